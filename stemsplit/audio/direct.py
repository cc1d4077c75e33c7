"""Reads whole WAV and FLAC files without ffmpeg, to the very samples that ffmpeg gives.

Starting ffmpeg costs more than reading a short file, and its output goes through a pipe. Only files
are read that leave no room for interpretation: one or two channels, an ordinary depth, and a layout
without surprises. At the first sign of damage the blocks end, and ffmpeg takes over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from stemsplit.audio.blocks import Block, as_block
from stemsplit.audio.chunks import RIFF, walk
from stemsplit.audio.flac import FLAC_START, START_SIZE, holds_another_flac
from stemsplit.audio.headers import (
    EXTENSIBLE,
    EXTENSIBLE_FORM,
    FLOAT_KIND,
    PCM_KIND,
    WAV_FORM,
)
from stemsplit.audio.sound_files import open_sound
from stemsplit.types import StreamInfo

#: Format tags of WAV.
_INTEGERS, _FLOATS = 1, 3
#: Format tag and bytes per sample of a WAV, by ffmpeg's name of the codec.
_WAV_CODECS = {
    "pcm_s16le": (_INTEGERS, 2),
    "pcm_s24le": (_INTEGERS, 3),
    "pcm_s32le": (_INTEGERS, 4),
    "pcm_f32le": (_FLOATS, 4),
}


def direct_blocks(info: StreamInfo) -> Iterator[Block]:
    """Yield the blocks (C, n) of the sound ``info`` from its start, each at most one second.

    They end before the sound does if ffmpeg is needed for the rest: at once for most files, or
    where damage is found.
    """
    if info.silent_frames or info.stream or info.decoder:
        return
    if info.duration is None or not info.counted:
        return
    with suppress(OSError):
        if info.codec in _WAV_CODECS:
            yield from _wav_blocks(info)
        elif info.codec == "flac":
            yield from _flac_blocks(info)


def _wav_blocks(info: StreamInfo) -> Iterator[Block]:
    tag, width = _WAV_CODECS[info.codec]
    frame = width * info.channels  # bytes
    with info.path.open("rb") as file:
        found = _find_samples(file, (tag, info.channels, info.sample_rate, frame, 8 * width))
        if found is None:
            return
        start, size = found
        file.seek(start)
        for done in range(0, size, info.sample_rate * frame):
            wanted = min(info.sample_rate * frame, size - done)
            data = file.read(wanted)
            if len(data) < wanted:
                return
            yield _as_block(data, info.channels, info.codec)


def _find_samples(file: BinaryIO, form: tuple[int, ...]) -> tuple[int, int] | None:
    """Return place and size (bytes) of the samples in a WAV ``file`` with the ``form``.

    None unless the file consists of whole chunks, with one that says so and one with samples.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(RIFF.start)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    forms, samples, place = [], [], RIFF.start
    for name, size in walk(file, RIFF):
        place = file.tell()
        if name == b"fmt ":
            forms.append(_form(file.read(min(size, EXTENSIBLE_FORM.size))))
        elif name == b"data":
            samples.append((place, size))
        elif name == b"ds64":
            return None
        place += size
    frame = form[3]
    if forms != [form] or len(samples) != 1 or not 0 <= end - place <= 1:
        return None
    return samples[0] if samples[0][1] and samples[0][1] % frame == 0 else None


def _form(body: bytes) -> tuple[int, ...] | None:
    """Return tag, channels, rate, bytes per frame and bits per sample of a ``fmt`` chunk."""
    if len(body) < WAV_FORM.size + 2:
        return None
    tag, channels, rate, _bytes_per_second, frame = WAV_FORM.unpack_from(body)
    bits = int.from_bytes(body[WAV_FORM.size :][:2], "little")
    if tag == EXTENSIBLE and len(body) >= EXTENSIBLE_FORM.size:
        *_others, valid, kind = EXTENSIBLE_FORM.unpack_from(body)
        tag = {PCM_KIND: _INTEGERS, FLOAT_KIND: _FLOATS}.get(kind, tag)
        bits = bits if valid == bits else 0
    return tag, channels, rate, frame, bits


def _as_block(data: bytes, channels: int, codec: str) -> Block:
    """Return the interleaved samples in ``data`` as a block (C, n); full scale is 1."""
    samples: npt.NDArray[np.signedinteger[Any]]
    match codec:
        case "pcm_f32le":
            return as_block(data, channels)
        case "pcm_s16le":
            samples, full_scale = np.frombuffer(data, "<i2"), 2.0**15
        case "pcm_s24le":
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            samples, full_scale = wide.view("<i4").reshape(-1), 2.0**31
        case _:
            samples, full_scale = np.frombuffer(data, "<i4"), 2.0**31
    block = np.array(samples.reshape(-1, channels).T, dtype=np.float32, order="C")
    block *= np.float32(1 / full_scale)
    return block


def _flac_blocks(info: StreamInfo) -> Iterator[Block]:
    """Yield the blocks of a FLAC up to the first frame whose checksum is wrong."""
    import soundfile

    with info.path.open("rb") as file:
        if not FLAC_START.match(file.read(START_SIZE)) or holds_another_flac(info.path):
            return
    with suppress(soundfile.LibsndfileError), open_sound(info.path) as sound:
        form = (sound.samplerate, sound.channels, sound.format)
        if form != (info.sample_rate, info.channels, "FLAC"):
            return
        if sound.subtype not in ("PCM_16", "PCM_24"):
            return
        while (block := sound.read(info.sample_rate, "float32", always_2d=True)).size:
            yield np.ascontiguousarray(block.T)
