"""From one sample rate to another, in a stream, without any shift."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import lru_cache
from queue import SimpleQueue
from threading import Thread
from typing import IO, Any

import numpy as np

from stemsplit.audio.blocks import Block, as_block, as_bytes
from stemsplit.audio.ffmpeg import find_ffmpeg, process_of, raw_input
from stemsplit.errors import ResourceError, StemsplitError

#: Frames that are handed to ffmpeg, and taken back, at a time.
PIECE = 16_384
#: libsoxr at 28 bits: errors below -140 dB, against -100 dB of swr as set here.
SOXR = {"resampler": "soxr", "precision": 28}
SWR = {"resampler": "swr", "filter_size": 64, "cutoff": 0.97}
MOST_PADDING = 0.1  # seconds; rounding and filters account for a few frames


def resample(
    blocks: Iterable[Block], *, channels: int, from_rate: int, to_rate: int
) -> Generator[Block]:
    """Yield ``blocks`` (C, n) at ``to_rate`` Hz: round(n · to_rate / from_rate) frames, ± a few.

    The first frame stays the first: nothing is shifted. ``blocks`` is pulled in the thread of the
    caller, which gets what it raises. Raises ``ResourceError`` when ffmpeg fails.
    """
    if from_rate == to_rate:
        yield from blocks
        return
    source = raw_input(sample_rate=from_rate, channels=channels)
    graph = conversion(source, to_rate).output("pipe:1", format="f32le", ac=channels)
    with process_of(graph, feed=True) as process:
        arrived: SimpleQueue[bytes] = SimpleQueue()
        reader = Thread(
            target=_collect, args=(process.stdout, PIECE * channels * 4, arrived), daemon=True
        )
        reader.start()
        try:
            for block in blocks:
                for start in range(0, block.shape[1], PIECE):
                    process.stdin.write(as_bytes(block[:, start : start + PIECE]))
                    while not arrived.empty():
                        yield as_block(arrived.get(), channels)
            process.stdin.close()
            while data := arrived.get():
                yield as_block(data, channels)
            if process.finish() != 0:
                raise ResourceError(f"ffmpeg failed to resample: {process.reason}")
        except BrokenPipeError as exc:
            process.finish()
            raise ResourceError(f"ffmpeg stopped while resampling: {process.reason}") from exc
        finally:
            process.kill()
            reader.join()


def conversion(source: Any, to_rate: int) -> Any:
    """Return the stream ``source`` of a graph at ``to_rate`` Hz, by ffmpeg's best resampler."""
    return source.filter("aresample", to_rate, **(SOXR if has_soxr() else SWR))


def has_soxr() -> bool:
    """Return whether the ffmpeg in use has libsoxr, the better of its two resamplers."""
    return _has_soxr(find_ffmpeg())


@lru_cache
def _has_soxr(_program: str) -> bool:
    """Return whether soxr resamples one frame of silence.

    The options of a filter do not help: they list resamplers that were left out of the build.
    """
    source = raw_input(sample_rate=8000, channels=1)
    graph = source.filter("aresample", 16000, **SOXR).output("pipe:1", format="f32le")
    with process_of(graph, feed=True) as process:
        process.stdin.write(as_bytes(np.zeros((1, 1), np.float32)))
        return process.finish() == 0  # two samples of output wait in the pipe


def _collect(pipe: IO[bytes], size: int, arrived: SimpleQueue[bytes]) -> None:
    """Move everything from ``pipe`` to ``arrived``; the last item is empty."""
    data = pipe.read(size)
    while data:
        arrived.put(data)
        data = pipe.read(size)
    arrived.put(b"")


def fit(
    blocks: Iterable[Block], frames: int, *, channels: int, sample_rate: int
) -> Generator[Block]:
    """Yield ``blocks`` (C, n) cut, or padded with silence, to exactly ``frames`` in all.

    All of ``blocks`` is pulled, so that checks at its end take place. Raises ``StemsplitError``, a
    defect, when more than 0.1 s would have to be padded. There may be no block at all: at a lower
    rate ffmpeg makes none of a single frame.
    """
    missing = frames
    for block in blocks:
        if missing:
            part = block[:, :missing]
            missing -= part.shape[1]
            yield part
    if missing > MOST_PADDING * sample_rate:
        raise StemsplitError(f"{missing} of {frames} frames are missing at the end of a stream")
    if missing:
        yield np.zeros((channels, missing), np.float32)
