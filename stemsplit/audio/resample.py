"""Streaming conversion of sample rates, without any time shift."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from functools import lru_cache
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any, Self

import numpy as np

from stemsplit.audio.blocks import Block, as_block, as_bytes
from stemsplit.audio.ffmpeg import find_ffmpeg, process_of, raw_input
from stemsplit.errors import ResourceError, StemsplitError

#: Frames that are passed to ffmpeg, and read back, at a time.
PIECE = 16_384
#: libsoxr at 28 bits: errors below -140 dB, against -100 dB of swr as set here.
SOXR = {"resampler": "soxr", "precision": 28}
SWR = {"resampler": "swr", "filter_size": 64, "cutoff": 0.97}
MOST_PADDING = 0.1  # seconds; rounding and filters account for a few frames


def resample(
    blocks: Iterable[Block],
    *,
    channels: int,
    from_rate: int,
    to_rate: int,
    frames: int | None = None,
) -> Generator[Block]:
    """Yield ``blocks`` (C, n) at ``to_rate`` Hz: round(n · to_rate / from_rate) frames, ± a few.

    With ``frames``, yield exactly that many: excess frames are cut, missing ones are silent. The
    first frame stays the first; nothing is shifted. ``blocks`` is consumed to its end in the
    caller's thread, and its exceptions reach the caller. Raises ``ResourceError`` if ffmpeg fails,
    and ``StemsplitError`` (a defect) if more than 0.1 s are missing.
    """
    length = Length(frames, channels=channels, sample_rate=to_rate)
    same = from_rate == to_rate
    with _Unchanged() if same else Converter(channels, from_rate, to_rate) as converter:
        for block in blocks:
            for converted in converter.take(block):
                if (part := length.take(converted)).size:
                    yield part
        for converted in converter.rest():
            if (part := length.take(converted)).size:
                yield part
    if (silence := length.rest()).size:
        yield silence


class _Unchanged:
    """Takes the place of `Converter` when the rate stays the same."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def take(self, block: Block) -> Iterable[Block]:
        """Return ``block`` unchanged."""
        return (block,)

    def rest(self) -> Iterable[Block]:
        """Return nothing: everything has already been returned."""
        return ()


class Converter:
    """An ffmpeg process that resamples blocks (C, n); a thread collects its output."""

    def __init__(self, channels: int, from_rate: int, to_rate: int) -> None:
        self._channels = channels
        source = raw_input(sample_rate=from_rate, channels=channels)
        graph = conversion(source, to_rate).output("pipe:1", format="f32le", ac=channels)
        self._process = process_of(graph, feed=True)
        self._arrived: SimpleQueue[bytes] = SimpleQueue()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:  # a signal may raise at any moment
            process = stack.enter_context(self._process)
            arguments = (process.stdout, PIECE * self._channels * 4, self._arrived)
            reader = Thread(target=_collect, args=arguments, daemon=True)
            reader.start()
            stack.callback(reader.join)
            stack.callback(process.kill)  # runs first: the reader reads to the end of its output
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def take(self, block: Block) -> Iterable[Block]:
        """Pass in ``block``, and return the blocks that have been resampled so far."""
        try:
            for start in range(0, block.shape[1], PIECE):
                self._process.stdin.write(as_bytes(block[:, start : start + PIECE]))
        except BrokenPipeError as exc:
            self._process.finish()
            reason = f"ffmpeg stopped while resampling: {self._process.reason}"
            raise ResourceError(reason) from exc
        found = []
        while not self._arrived.empty():
            found.append(as_block(self._arrived.get(), self._channels))
        return found

    def rest(self) -> Iterable[Block]:
        """Return the remaining blocks, after the last call of ``take``."""
        with contextlib.suppress(BrokenPipeError):  # its status shows why it stopped reading
            self._process.stdin.close()
        found = []
        while data := self._arrived.get():
            found.append(as_block(data, self._channels))
        if self._process.finish() != 0:
            raise ResourceError(f"ffmpeg failed to resample: {self._process.reason}")
        return found


def conversion(source: Any, to_rate: int) -> Any:
    """Return the stream ``source`` of a graph at ``to_rate`` Hz, using ffmpeg's best resampler."""
    return source.filter("aresample", to_rate, **(SOXR if has_soxr() else SWR))


def has_soxr() -> bool:
    """Return whether the ffmpeg in use has libsoxr, the better of its two resamplers."""
    return _has_soxr(find_ffmpeg())


@lru_cache
def _has_soxr(_program: str) -> bool:
    """Return whether soxr can resample one frame of silence.

    The list of the filter's options proves nothing: it includes resamplers left out of the build.
    """
    source = raw_input(sample_rate=8000, channels=1)
    graph = source.filter("aresample", 16000, **SOXR).output("pipe:1", format="f32le")
    with process_of(graph, feed=True) as process:
        process.stdin.write(as_bytes(np.zeros((1, 1), np.float32)))
        return process.finish() == 0  # two samples of output wait in the pipe


def _collect(pipe: IO[bytes], size: int, arrived: SimpleQueue[bytes]) -> None:
    """Read everything from ``pipe`` into ``arrived``; an empty item marks the end."""
    data = pipe.read(size)
    while data:
        arrived.put(data)
        data = pipe.read(size)
    arrived.put(b"")


class Length:
    """Cuts blocks, or pads them with silence, to ``frames`` in total; None: any length."""

    def __init__(self, frames: int | None, *, channels: int, sample_rate: int) -> None:
        self._frames = self._missing = frames
        self._channels = channels
        self._sample_rate = sample_rate

    def take(self, block: Block) -> Block:
        """Return the part of the next ``block`` (C, n) that is within the length."""
        if self._missing is None:
            return block
        part = block[:, : self._missing]
        self._missing -= part.shape[1]
        return part

    def rest(self) -> Block:
        """Return the silence (C, n) at the end; n may be 0.

        Raises ``StemsplitError`` (a defect) if more than 0.1 s are missing.
        """
        missing = self._missing or 0
        if missing > MOST_PADDING * self._sample_rate:
            reason = f"{missing} of {self._frames} frames are missing at the end of a stream"
            raise StemsplitError(reason)
        return np.zeros((self._channels, missing), np.float32)
