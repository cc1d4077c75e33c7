"""From a file of any format to blocks of float32 samples."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from stemsplit.audio import ogg
from stemsplit.audio.blocks import Block, as_block
from stemsplit.audio.ffmpeg import file_stream, process_of
from stemsplit.audio.patience import chosen_seconds
from stemsplit.audio.probe import has_other_streams, probe, refuse_unreadable
from stemsplit.errors import InputError
from stemsplit.types import StreamInfo

#: What may be missing of the declared duration (s) before a file counts as truncated: containers
#: round (to 1 ms … 1 frame of a codec), and some tags forget the delay of the encoder.
TOLERATED = 1.0
#: What may be missing (s) without a warning, and at all where samples are counted (PCM, FLAC).
UNREMARKABLE = 0.1
WHOLE = "get the whole file again, or split what is there with --accept-truncated"
#: Different complaints of ffmpeg that are passed on; a hundred more would not help.
PASSED_ON = 5


def decode(info: StreamInfo, *, accept_truncated: bool = False) -> Decoder:
    """Return the blocks (C, n) of the audio stream ``info``, at its native sample rate.

    C is ``info.channels``, n is one second in all blocks but the last. More than two channels are
    mixed down by ffmpeg, which knows their layout; as these are floats, nothing clips. After the
    last block, or when ffmpeg fails before it, ``InputError`` is raised for a file that is damaged,
    or shorter than it declares (unless ``accept_truncated``).
    """
    return Decoder(info, accept_truncated)


def read(path: Path) -> Block:
    """Return all of the file at ``path`` as one block (C, T): for files that fit into memory.

    Raises ``InputError`` as ``probe`` and ``decode`` do, and for a file without a frame.
    """
    with decode(probe(path)) as blocks:
        joined = list(blocks)
    if not joined:
        raise InputError("holds no audio: 0 frames", path=path)
    return np.concatenate(joined, axis=1)


class Decoder(Iterator[Block]):
    """The blocks of one file, once. ``close`` (or leaving a ``with``) ends ffmpeg at any time."""

    def __init__(self, info: StreamInfo, accept_truncated: bool) -> None:
        self.info = info
        self.frames = 0  # decoded so far
        self.warnings: list[str] = []  # what ffmpeg complained of; complete after the last block
        self._accept_truncated = accept_truncated
        self._blocks = self._decode()

    def __next__(self) -> Block:
        return next(self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End ffmpeg; no more blocks come."""
        self._blocks.close()

    def _decode(self) -> Generator[Block]:
        info = self.info
        refuse_unreadable(info.path)
        # One or two channels stay as they are: a number of channels makes ffmpeg mix odd layouts.
        mix = {"ac": info.channels} if info.stored_channels > info.channels else {}
        form = {"format": "f32le", "acodec": "pcm_f32le", "ar": info.sample_rate}
        wanted = _cut(file_stream(f"a:{info.stream}"), info)
        graph = wanted.output("pipe:1", **form, **mix)
        second = info.sample_rate * info.channels * 4  # bytes
        # What comes before the part is decoded too; that gives nothing, and may take long.
        patience = chosen_seconds() + info.first_frame / info.sample_rate
        with process_of(graph, file=info.path, patience=patience) as process:
            while data := process.read(second):
                block = as_block(data, info.channels)
                self.frames += block.shape[1]
                yield block
            status = process.finish()
            if status != 0:
                process.refuse_broken()
                raise InputError(f"cannot be decoded: {process.reason}", path=info.path)
            self._note(process.complaints)
        self._refuse_truncated()

    def _note(self, complaints: list[str]) -> None:
        self.warnings += complaints[:PASSED_ON]
        if len(complaints) > PASSED_ON:
            self.warnings.append(f"… and {len(complaints) - PASSED_ON} more complaints of ffmpeg")

    def _refuse_truncated(self) -> None:
        end = self.info.first_frame + self.frames
        if end == self.info.end_frame:
            return
        if ogg.ends_within_stream(self.info.path):
            self._refuse("truncated: the file ends in the middle of a stream")
            return
        declared = self.info.duration
        decoded = end / self.info.sample_rate
        if declared is None or declared - decoded <= UNREMARKABLE:
            return
        # The sound of a film may end before its picture, and the duration is that of the longer.
        if not self.warnings and has_other_streams(self.info.path):
            return
        found = f"{decoded:.1f} s of {declared:.1f} s could be decoded"
        exact = self.info.codec == "flac" or self.info.codec.startswith("pcm_")
        if exact or declared - decoded > TOLERATED:
            self._refuse(f"truncated: {found}")
        else:
            self.warnings.append(found)

    def _refuse(self, reason: str) -> None:
        if not self._accept_truncated:
            raise InputError(reason, path=self.info.path, hint=WHOLE)
        self.warnings.append(reason)


def _cut(source: Any, info: StreamInfo) -> Any:
    """Return the part of ``source`` that ``info`` means, to the sample.

    What comes before it is decoded and dropped, because seeking is exact in few formats only.
    """
    if (info.first_frame, info.end_frame) == (0, None):
        return source
    end = {} if info.end_frame is None else {"end_sample": info.end_frame}
    return source.filter("atrim", start_sample=info.first_frame, **end)
