"""Compare estimates with their references, block by block."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stemsplit.audio.ffmpeg import Block
from stemsplit.evaluation.bss_eval import BssEval
from stemsplit.evaluation.delay import DelayMeter
from stemsplit.evaluation.options import Framing
from stemsplit.evaluation.scores import BSS_EVAL, WHOLE_STEM, StemScores
from stemsplit.evaluation.streaming import ScalarScores


class Tracks(Protocol):
    """Stems that can be read in step, blocks ``(S, C, n)``, any number of times."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def frames(self) -> int: ...
    def blocks(self, block_frames: int | None = None) -> Generator[Block]: ...


class Comparison:
    """All scores that need references, over blocks ``(S, C, n)`` of two passes."""

    def __init__(self, names: Sequence[str], tracks: Tracks, framing: Framing) -> None:
        self._names = names
        self._bss_eval = BssEval(
            len(names),
            tracks.channels,
            tracks.sample_rate,
            window=framing.window,
            hop=framing.hop,
        )
        self._scalars = ScalarScores(tracks.sample_rate)
        self._delays = DelayMeter(tracks.sample_rate)

    def add(self, references: Block, estimates: Block, mixture: Block | None) -> None:
        """Take the next block of the first pass, with that of the mixture if there is one."""
        self._delays.add(references, estimates)
        truth, guess = _double(references), _double(estimates)
        self._scalars.add(truth, guess, mixture)
        self._bss_eval.correlate(truth, guess)

    def add_frames(self, references: Block, estimates: Block) -> None:
        """Take the next block of the second pass."""
        self._bss_eval.score(_double(references), _double(estimates))

    def result(self) -> tuple[tuple[StemScores, ...], tuple[str, ...]]:
        """Return the scores of each stem, and the metrics that rounding decides."""
        frames = self._bss_eval.result()
        scalars = self._scalars.result()
        scores = []
        for k, (delay, inverted) in enumerate(self._delays.result()):
            figures: dict[str, Any] = {key: getattr(frames, key)[k] for key in BSS_EVAL}
            figures |= {key: float(getattr(scalars, key)[k]) for key in WHOLE_STEM}
            name = self._names[k]
            scores.append(StemScores(name=name, delay=delay, inverted=inverted, **figures))
        return tuple(scores), frames.unreproducible


def _double(block: Block) -> Tensor:
    return torch.from_numpy(block.astype(np.float64))
