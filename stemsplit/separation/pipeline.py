"""From a file to blocks of its stems, at the song's own rate and with its channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import torch
from torch import Tensor

from stemsplit.audio.blocks import Block, BlockReader
from stemsplit.audio.decode import decode
from stemsplit.audio.resample import has_soxr, resample
from stemsplit.separation.engine import Engine
from stemsplit.separation.ensemble import EnsembleEngine
from stemsplit.separation.queue import SegmentQueue
from stemsplit.types import ScanResult, StreamInfo


class SeparatedSong:
    """The stems of one file, as a stream; memory does not depend on its length.

    ``stems`` are blocks ``(S, C, n)`` of the wanted ``sources``; together they are as long as the
    song. ``mix`` reads the song beside them, if that was asked for. The song is in the ``queue`` of
    the network as soon as this exists; ``close`` takes it out again and ends what reads the file.

    Raises ``InputError`` and ``ResourceError``, now and while ``stems`` are read.
    """

    def __init__(
        self,
        info: StreamInfo,
        scanned: ScanResult,
        engine: Engine | EnsembleEngine,
        sources: Sequence[str],
        *,
        with_mix: bool = False,
        queue: SegmentQueue | None = None,
    ) -> None:
        self._info = info
        self._stack = ExitStack()
        self._picked = [engine.sources.index(name) for name in sources]
        try:
            self.stems = self._separate(scanned, engine, queue)
            self.mix = BlockReader(self._decode()) if with_mix else None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up what is left of the song."""
        self._stack.close()

    def _decode(self) -> Iterator[Block]:
        # The scan has reported damage already.
        return self._stack.enter_context(decode(self._info, accept_truncated=True))

    def _separate(
        self, scanned: ScanResult, engine: Engine | EnsembleEngine, queue: SegmentQueue | None
    ) -> Iterator[Block]:
        info = self._info
        mix = self._decode()
        if engine.sample_rate != info.sample_rate:
            mix = self._resampled(mix, info.channels, info.sample_rate, engine.sample_rate)
        separated = self._stack.enter_context(
            closing(
                engine.separate(
                    (widen(torch.from_numpy(block), engine.channels) for block in mix),
                    mean=scanned.mean,
                    deviation=scanned.deviation,
                    queue=queue,
                )
            )
        )
        channels = len(self._picked) * info.channels
        stems: Iterator[Block] = (
            narrow(block[self._picked], info.channels).flatten(0, 1).numpy() for block in separated
        )
        if engine.sample_rate == info.sample_rate:
            return stems  # as many frames as went in
        return self._resampled(
            stems, channels, engine.sample_rate, info.sample_rate, frames=scanned.frames
        )

    def _resampled(
        self,
        blocks: Iterator[Block],
        channels: int,
        from_rate: int,
        to_rate: int,
        *,
        frames: int | None = None,
    ) -> Iterator[Block]:
        resampled = resample(
            blocks, channels=channels, from_rate=from_rate, to_rate=to_rate, frames=frames
        )
        return self._stack.enter_context(closing(resampled))


def warnings_for(info: StreamInfo, model_rate: int) -> Iterator[str]:
    """Yield what separating ``info`` with a model at ``model_rate`` (Hz) does to the sound."""
    if info.stored_channels > info.channels:
        how = "" if info.placed else " equally, because the file does not say where each belongs"
        yield (
            f"{info.path}: {info.stored_channels} channels are mixed down to {info.channels}{how}; "
            "so are the stems"
        )
    if info.sample_rate != model_rate and not has_soxr():
        yield (
            f"{info.path}: this ffmpeg lacks soxr, the better resampler; "
            "its errors are near -100 dB instead of -140 dB"
        )


def widen(mix: Tensor, channels: int) -> Tensor:
    """Return ``mix`` ``(..., C, T)`` with the ``channels`` of a model: mono goes to all of them.

    Stereo stays stereo, even for a model of mono, which then runs on the channels one by one.
    """
    return mix.expand(*mix.shape[:-2], channels, mix.shape[-1]) if mix.shape[-2] == 1 else mix


def narrow(stems: Tensor, channels: int) -> Tensor:
    """Return ``stems`` ``(..., C, T)`` with the ``channels`` of the song: mono is the average."""
    return stems.mean(dim=-2, keepdim=True) if channels == 1 else stems
