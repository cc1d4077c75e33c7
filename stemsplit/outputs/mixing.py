"""Mixes blocks of a model's sources to blocks of the outputs: stems, and mixes of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stemsplit.audio.blocks import Block, BlockReader
from stemsplit.audio.quantise import Remainder
from stemsplit.outputs.job import Job


class Mixer:
    """Makes the outputs of a ``job`` from the sources that it needs, block by block.

    ``mix`` reads the song in parallel; it is required if an output needs it.
    """

    def __init__(self, job: Job, mix: BlockReader | None) -> None:
        self._channels = job.info.channels
        self._selection = selection = job.selection
        self._mix = mix
        self._outputs = list(job.outputs)
        self._closing = closing = job.closing
        self._mixed = list(dict.fromkeys((*job.outputs, *(selection.sums if closing else ()))))
        self._remainder = Remainder(selection.sums[:-1], dithered=job.encoding.dither)

    def take(self, block: Block) -> dict[str, Block]:
        """Return the outputs (C, n) by name, for the next ``block`` (S·C, n) of the sources."""
        selection = self._selection
        stacked = block.reshape(len(selection.needed), self._channels, -1)
        sources = dict(zip(selection.needed, stacked, strict=True))
        mix = None if self._mix is None else self._mix.take(block.shape[-1])
        if selection.file is not None:
            streams = selection.combine(sources, mix, selection.streams)
            return {selection.file: _stack_in_stereo(streams.values())}
        mixed = selection.combine(sources, mix, self._mixed)
        if self._closing is not None:
            mixed[self._closing] = mixed[self._closing] + self._remainder.take(mixed)
        return {name: mixed[name] for name in self._outputs}


def _stack_in_stereo(streams: Iterable[Block]) -> Block:
    """Return ``streams`` (C, n) as one block with two channels each, duplicating mono."""
    return np.concatenate([s if len(s) == 2 else s.repeat(2, axis=0) for s in streams])
