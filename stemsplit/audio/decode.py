"""Decodes files of any format to blocks of float32 samples, on the clock of the file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Self

import numpy as np

from stemsplit.audio import ogg
from stemsplit.audio.blocks import Block, as_block
from stemsplit.audio.clock import (
    channel_counts,
    gaps,
    length_of_video,
    with_channels_printed,
    with_gaps_filled,
)
from stemsplit.audio.complaints import CHANNEL_CHANGE, warnings_of
from stemsplit.audio.direct import direct_blocks
from stemsplit.audio.ffmpeg import file_stream, process_of
from stemsplit.audio.flac import holds_another_flac
from stemsplit.audio.headers import lacks_end_mark
from stemsplit.audio.probe import INPUT, has_other_streams, probe
from stemsplit.audio.process import Process
from stemsplit.audio.readable import refuse_unreadable
from stemsplit.errors import InputError
from stemsplit.types import StreamInfo

#: How much of the declared duration (s) may be missing before a file counts as truncated:
#: containers round (to 1 ms … 1 frame of a codec), and some tags ignore the encoder delay.
TOLERATED = 1.0
#: How much may be missing (s) without a warning; also the limit where samples are counted (PCM,
#: FLAC).
UNREMARKABLE = 0.1
WHOLE = "get a complete copy, or split what remains with --accept-truncated"
#: ffmpeg 9 trims the end of ALAC in CAF twice; the excess is cut off here instead.
UNCUT = {"flags2": "+skip_manual"}
VERIFIED = {"err_detect": "crccheck"}  # verify checksums where the format has them


def decode(info: StreamInfo, *, accept_truncated: bool = False) -> Decoder:
    """Return the blocks (C, n) of the audio stream ``info``, at its native sample rate.

    C is ``info.channels``, n is at most one second. Time zero is the start of a video's earliest
    stream, or the first sample of a file with sound only; gaps in the time stamps become silence.
    More than two channels are downmixed by ffmpeg according to their layout, or averaged if it is
    unknown; as samples are floats, nothing clips. After the last block, or when ffmpeg fails before
    it, ``InputError`` is raised if the file is damaged, or shorter than it declares (unless
    ``accept_truncated``).
    """
    return Decoder(info, accept_truncated)


def read(path: Path) -> Block:
    """Return the whole file at ``path`` as one block (C, T), for files that fit into memory.

    Raises ``InputError`` as ``probe`` and ``decode`` do, and for a file with 0 frames.
    """
    with decode(probe(path)) as blocks:
        joined = list(blocks)
    if not joined:
        raise InputError("has no audio: 0 frames", path=path)
    return np.concatenate(joined, axis=1)


class Decoder(Iterator[Block]):
    """A single-use iterator over the blocks of one file.

    ``close``, or leaving a ``with`` block, stops ffmpeg at any time.
    """

    def __init__(self, info: StreamInfo, accept_truncated: bool) -> None:
        self.info = info
        self.frames = 0  # decoded so far
        self.warnings: list[str] = []  # damage and gaps; complete after the last block
        self.has_end = True  # whether the end is complete; known after the last block
        self._accept_truncated = accept_truncated
        self._damaged = False  # whether ffmpeg complained
        self._stopped = False  # whether ffmpeg stopped at the next part of a chain
        self._place = 0  # on the clock, in frames
        self._read_directly = 0  # frames from the start that need not come from ffmpeg
        self._blocks = self._decode()

    def __next__(self) -> Block:
        return next(self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop ffmpeg; no more blocks follow."""
        self._blocks.close()

    def _decode(self) -> Generator[Block]:
        """Yield the requested part of the sound.

        What comes before it is decoded and dropped, because seeking is exact in few formats only.
        """
        refuse_unreadable(self.info.path)
        first, end = self.info.first_frame, self.info.end_frame
        for block in self._on_clock():
            start, self._place = self._place, self._place + block.shape[1]
            begin = max(first, self._read_directly)
            kept = block[:, max(0, begin - start) : None if end is None else max(0, end - start)]
            if kept.shape[1]:
                self.frames += kept.shape[1]
                yield kept
        if end is None or self._place < end:
            self._refuse_truncated()

    def _on_clock(self) -> Iterator[Block]:
        """Yield the blocks (C, n) of the whole sound, preceded by silence until it starts.

        If ffmpeg must take over from `direct_blocks`, it decodes what they had once more.
        """
        info = self.info
        for block in direct_blocks(info):
            yield block
            if self._is_over():
                return
        if self._place and self._missing() == 0:
            return
        self._read_directly, self._place = self._place, 0
        for start in range(0, info.silent_frames, info.sample_rate):
            frames = min(info.sample_rate, info.silent_frames - start)
            yield np.zeros((info.channels, frames), np.float32)
        if self._is_over():
            return
        # Keep one or two channels: asking ffmpeg for a number of channels would mix odd layouts.
        mixed = info.stored_channels > info.channels and info.placed
        mix = {"ac": info.channels} if mixed else {}
        form = {"format": "f32le", "acodec": "pcm_f32le", "ar": info.sample_rate}
        uncut = UNCUT if info.counted and info.codec == "alac" else {}
        decoder = {} if info.decoder is None else {"acodec": info.decoder}
        source = file_stream(f"a:{info.stream}", **INPUT, **VERIFIED, **uncut, **decoder)
        sound = with_channels_printed(source)
        sound = with_gaps_filled(sound) if info.timed else sound
        graph = sound.output("pipe:1", **form, **mix)
        with process_of(graph, file=info.path) as process:
            yield from self._read(process, info.channels if info.placed else info.stored_channels)

    def _is_over(self) -> bool:
        """Return whether the requested part has ended."""
        return self.info.end_frame is not None and self._place >= self.info.end_frame

    def _read(self, process: Process, channels: int) -> Iterator[Block]:
        """Yield what ``process`` decodes, as far as requested, and collect its complaints."""
        info = self.info
        second = info.sample_rate * channels * 4  # bytes
        while data := process.read(second):
            block = as_block(data, channels)
            yield self._fitted(block) if info.placed else _mixed_equally(block, info.channels)
            if self._is_over():
                process.kill()
                self._note(process)
                return
        if process.finish() != 0:
            process.refuse_broken()
            raise InputError(f"cannot be decoded: {process.reason}", path=info.path)
        self._note(process)

    def _fitted(self, block: Block) -> Block:
        """Return the next ``block``, cut to the number of frames that the header counts."""
        info = self.info
        if info.most_frames is None:
            return block
        left = info.silent_frames + info.most_frames - self._place
        if left >= block.shape[1] or holds_another_flac(info.path):
            return block
        return block[:, : max(0, left)]

    def _note(self, process: Process) -> None:
        """Add what ``process`` reports on damage, gaps and channel changes to the warnings."""
        info = self.info
        found = [
            (info.silent_frames + round(place * info.sample_rate), length)
            for place, length in gaps(process.numbers)
        ]
        # ffmpeg evaluates its expressions once more at the end, with an arbitrary time stamp.
        found = [(at, length) for at, length in found if info.first_frame <= at < self._place]
        whole = not found and self._missing() <= 0
        damage = warnings_of(process.complaints, info.path, info.sample_rate, whole=whole)
        self.warnings += damage
        self._damaged = bool(damage)
        if found:
            total = sum(length for _at, length in found)
            several = f", in {len(found)} gaps, the first" if len(found) > 1 else ""
            self.warnings.append(
                f"{total:.2f} s are missing according to its time stamps{several} at "
                f"{found[0][0] / info.sample_rate:.2f} s; the stems are silent there"
            )
        self._stopped = CHANNEL_CHANGE in process.complaints
        counts = ogg.channels_of_links(info.path) or channel_counts(process.numbers)
        counts = list(dict.fromkeys(counts))
        if max(counts, default=0) > info.channels and len(counts) > 1:
            listed = ", then ".join(map(str, counts))
            self.warnings.append(f"has {listed} channels; everything is mixed to {info.channels}")

    def _missing(self) -> float:
        """Return the seconds of the declared duration not decoded; 0 if none is declared."""
        if self.info.duration is None:
            return 0.0
        return self.info.duration - self._place / self.info.sample_rate

    def _refuse_truncated(self) -> None:
        info = self.info
        if self._stopped:
            read = f"ffmpeg reads only the first {self._place / info.sample_rate:.1f} s"
            self._refuse(f"joins parts with different channel counts: {read}")
            return
        ending = ogg.ending_of(info.path)
        if ending == "cut":
            self._refuse("truncated: the file ends in the middle of a stream")
            return
        if ending == "unmarked" or lacks_end_mark(info.path):
            self._add_at_end("has no end marker; the original may be longer")
        missing, decoded = self._missing(), self._place / info.sample_rate
        if missing <= UNREMARKABLE:
            if info.counted and (frames := round(missing * info.sample_rate)) > 0:
                self._add_at_end(f"its last {frames} frames ({missing:.3f} s) are missing")
            return
        # The sound of a video may end before the picture, and the longer one sets the duration.
        video = has_other_streams(info.path)
        if video and self._lasts_as_declared():
            return
        found = f"{decoded:.1f} s of {info.duration:.1f} s could be decoded"
        refused = _counts_samples(info) or missing > TOLERATED
        if refused and (self._damaged or not video):
            self._refuse(f"truncated: {found}")
        else:
            self._add_at_end(found)

    def _lasts_as_declared(self) -> bool:
        """Return whether some stream of a video lasts as long as the video; its sound need not."""
        length = length_of_video(self.info.path)
        return self.info.duration is None or self.info.duration - length <= TOLERATED

    def _refuse(self, reason: str) -> None:
        if not self._accept_truncated:
            raise InputError(reason, path=self.info.path, hint=WHOLE)
        self._add_at_end(reason)

    def _add_at_end(self, warning: str) -> None:
        self.has_end = False
        self.warnings.append(warning)


def _counts_samples(info: StreamInfo) -> bool:
    return info.codec == "flac" or info.codec.startswith("pcm_")


def _mixed_equally(block: Block, channels: int) -> Block:
    """Return the average of all channels of ``block`` in each of ``channels``."""
    return np.repeat(block.mean(axis=0, keepdims=True, dtype=np.float32), channels, axis=0)
