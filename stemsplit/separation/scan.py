"""The first pass over a song, for facts that need the whole song decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from math import sqrt
from threading import Event as Flag

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import FrameCounter
from stemsplit.audio.decode import decode
from stemsplit.audio.resample import resample
from stemsplit.errors import InputError
from stemsplit.types import ScanResult, StreamInfo


def scan(
    info: StreamInfo,
    sample_rate: int,
    *,
    accept_truncated: bool = False,
    stop: Flag | None = None,
) -> ScanResult:
    """Return length and statistics of a song, as a model at ``sample_rate`` (Hz) receives it.

    Decodes the whole song once, block by block. Raises ``InputError`` if the song has 0 frames,
    contains NaN or infinite values, or cannot be decoded to its end; ``CancelledError`` once
    another thread has set ``stop``.
    """
    counter = FrameCounter(info)
    with decode(info, accept_truncated=accept_truncated) as decoder:
        resampled = resample(
            counter.count(_until(stop, decoder)),
            channels=info.channels,
            from_rate=info.sample_rate,
            to_rate=sample_rate,
        )
        with closing(resampled):
            mean, deviation = moments(resampled)
    if counter.frames == 0:
        reason = f"ends before {info.first_frame / info.sample_rate:g} s"
        reason = reason if info.first_frame else "has no audio: 0 frames"
        raise InputError(reason, path=info.path)
    return ScanResult(
        frames=counter.frames,
        mean=mean,
        deviation=deviation,
        warnings=tuple(decoder.warnings),
    )


def _until(
    stop: Flag | None, blocks: Iterable[NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        if stop is not None and stop.is_set():
            raise CancelledError
        yield block


def moments(blocks: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """Return mean and unbiased deviation of the average of the channels of ``blocks``."""
    frames, total, squares = 0, 0.0, 0.0
    for block in blocks:
        mono = block.mean(axis=0, dtype=np.float64)
        frames += len(mono)
        total += float(mono.sum())
        squares += float(mono @ mono)
    mean = total / max(1, frames)
    variance = (squares - frames * mean * mean) / max(1, frames - 1)
    return mean, sqrt(max(0.0, variance))
