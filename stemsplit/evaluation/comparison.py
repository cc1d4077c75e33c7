"""Compare estimates with their references, block by block."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stemsplit.audio.blocks import Block
from stemsplit.evaluation.bss_eval import BssEval, BssEvalScores
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.delay import DelayMeter
from stemsplit.evaluation.museval_backend import MusevalScores
from stemsplit.evaluation.scores import BSS_EVAL, SPECTRAL_BALANCE, WHOLE_STEM, StemScores
from stemsplit.evaluation.spectral_scores import BleedlessFullness
from stemsplit.evaluation.streaming import ScalarScores

#: Bytes for sums of BSS Eval: two minutes of four stereo stems are then correlated only once.
ROOM = 1 << 26


class Tracks(Protocol):
    """Stems that can be read in step, blocks ``(S, C, n)``, any number of times."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def frames(self) -> int: ...
    def blocks(self, block_frames: int) -> Generator[Block]: ...


class Comparison:
    """All scores that need references, over blocks ``(S, C, n)`` of two passes."""

    def __init__(self, names: Sequence[str], tracks: Tracks, options: BssEvalOptions) -> None:
        self._names = names
        self._bss_eval = BssEval(
            len(names),
            tracks.channels,
            tracks.sample_rate,
            window=options.window,
            hop=options.hop,
            room=ROOM,
        )
        self._museval: MusevalScores | None = None
        if options.implementation == "museval":
            lengths = {"window": self._bss_eval.window, "hop": self._bss_eval.hop}
            self._museval = MusevalScores(len(names), tracks.channels, tracks.frames, **lengths)
        self._scalars = ScalarScores(tracks.sample_rate)
        self._balance = BleedlessFullness(tracks.sample_rate)
        self._delays = DelayMeter(tracks.sample_rate)

    def add(self, references: Block, estimates: Block, mixture: Block | None) -> None:
        """Take the next block of the first pass, with that of the mixture if there is one."""
        self._delays.add(references, estimates)
        truth, guess = _double(references), _double(estimates)
        self._scalars.add(truth, guess, mixture)
        self._balance.find_peaks(truth, guess)
        self._bss_eval.correlate(truth, guess)

    def add_frames(self, references: Block, estimates: Block) -> None:
        """Take the next block of the second pass."""
        truth, guess = _double(references), _double(estimates)
        self._balance.compare(truth, guess)
        self._bss_eval.score(truth, guess)
        if self._museval is not None:
            self._museval.add(references, estimates)

    def result(self) -> tuple[tuple[StemScores, ...], tuple[str, ...]]:
        """Return the scores of each stem, and the metrics that rounding decides."""
        frames = self._score_frames()
        scalars = self._scalars.result()
        balance = dict(zip(SPECTRAL_BALANCE, self._balance.result(), strict=True))
        scores = []
        for k, (delay, inverted) in enumerate(self._delays.result()):
            figures: dict[str, Any] = {key: getattr(frames, key)[k] for key in BSS_EVAL}
            figures |= {key: float(value[k]) for key, value in balance.items()}
            figures |= {
                key: float(getattr(scalars, key)[k]) for key in WHOLE_STEM if key not in balance
            }
            name = self._names[k]
            scores.append(StemScores(name=name, delay=delay, inverted=inverted, **figures))
        return tuple(scores), frames.unreproducible

    def _score_frames(self) -> BssEvalScores:
        """Return BSS Eval; our own also shows which metrics rounding decides in `museval`'s."""
        own = self._bss_eval.result()
        # Where no frame has an answer, museval has none either, or refuses the song.
        if self._museval is None or np.isnan(own.sdr).all():
            return own
        return replace(own, **dict(zip(BSS_EVAL, self._museval.result(), strict=True)))


def _double(block: Block) -> Tensor:
    return torch.from_numpy(block.astype(np.float64))
