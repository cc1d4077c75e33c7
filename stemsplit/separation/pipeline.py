"""Separates a file into blocks of its stems, with the song's sample rate and channels."""

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

    ``stems`` yields blocks ``(S, C, n)`` of the selected ``sources``; together they are as long as
    the song. ``mix`` reads the song in parallel, if requested. The constructor adds the song to the
    ``queue`` of the network; ``close`` removes it and stops reading the file.

    Raises ``InputError`` and ``ResourceError``, in the constructor and while ``stems`` is read.
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
        """Discard the rest of the song."""
        self._stack.close()

    def _decode(self) -> Iterator[Block]:
        # The scan has already reported damage.
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
            return stems  # the number of frames is unchanged
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
    """Yield warnings about losses when a model at ``model_rate`` (Hz) separates ``info``."""
    if info.stored_channels > info.channels:
        how = "" if info.placed else " equally, because the file has no channel layout"
        yield (
            f"{info.path}: {info.stored_channels} channels are mixed down to {info.channels}{how}; "
            f"the stems have {info.channels} too"
        )
    if info.sample_rate != model_rate and not has_soxr():
        yield (
            f"{info.path}: this ffmpeg has no soxr, the better resampler; "
            "resampling errors are near -100 dB instead of -140 dB"
        )


def widen(mix: Tensor, channels: int) -> Tensor:
    """Return ``mix`` ``(..., C, T)`` with the ``channels`` of a model: mono is copied to all.

    Stereo stays stereo, even for a mono model, which then runs on the channels one by one.
    """
    return mix.expand(*mix.shape[:-2], channels, mix.shape[-1]) if mix.shape[-2] == 1 else mix


def narrow(stems: Tensor, channels: int) -> Tensor:
    """Return ``stems`` ``(..., C, T)`` with the ``channels`` of the song, averaged for mono."""
    return stems.mean(dim=-2, keepdim=True) if channels == 1 else stems
