"""Scores a network on songs that it is not trained on, by the same code that separates songs."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.data.store import SongStore
from stemsplit.evaluation.metrics import global_sdr
from stemsplit.models.base import SeparationModel
from stemsplit.models.operators import PUBLIC
from stemsplit.separation.engine import Engine
from stemsplit.separation.scan import moments

Sound = NDArray[np.float32]
#: Frames of the blocks in which songs are passed to the engine.
BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The middle of a song: ``sources`` (S, C, T) and the mixture ``mix`` (C, T)."""

    name: str
    sources: Sound
    mix: Sound


@dataclass(frozen=True, slots=True)
class Found:
    """The weights that score best: their ``name``, and SDR (dB) as the mean and by source."""

    name: str
    score: float
    scores: dict[str, float]
    unprocessed: dict[str, float]  # SDR of the mixture
    seconds: float  # that it took


@dataclass
class Validator:
    """Validates ``model`` on the songs of ``store``, on ``device``."""

    model: SeparationModel
    store: SongStore
    background: tuple[str, ...]
    device: str

    def __post_init__(self) -> None:
        # Its own copy, because the weights are replaced, and the engine has its own modes.
        self.model = copy.deepcopy(self.model).requires_grad_(False)
        self._engine = Engine(self.model, device=self.device, precision="fp32")
        # Which operators are faster is measured, so it can differ from run to run.
        self._engine.execution = dataclasses.replace(self._engine.execution, operators=PUBLIC)

    def choose(
        self,
        candidates: Mapping[str, Mapping[str, Tensor]],
        seconds: float,
        unprocessed: dict[str, float] | None,
        go_on: Callable[[], bool],
    ) -> Found | None:
        """Return which of ``candidates``, weights by name, score best; None as `score` does.

        ``unprocessed`` are the scores of the mixture, if they are known.
        """
        before = time.perf_counter()
        mixture = unprocessed or self.score_mixture(seconds)
        found: list[tuple[float, str, dict[str, float]]] = []
        for name, weights in candidates.items():
            scores = self.score(weights, seconds, go_on)
            if scores is None:
                return None
            found.append((float(np.mean(list(scores.values()))), name, scores))
        score, name, scores = max(found, key=lambda each: each[0])
        return Found(name, score, scores, mixture, time.perf_counter() - before)

    def score(
        self,
        weights: Mapping[str, Tensor],
        seconds: float,
        go_on: Callable[[], bool] = lambda: True,
    ) -> dict[str, float] | None:
        """Return the mean global SDR of each source with ``weights``, dB.

        None once ``go_on`` returns false, which is asked before each song.
        """
        self.model.load_state_dict(weights)
        scores: dict[str, list[float]] = {name: [] for name in self.model.sources}
        for excerpt in self.excerpts(seconds):
            if not go_on():
                return None
            self._add(scores, excerpt, self.separate(excerpt.mix))
        return _means(scores)

    def score_mixture(self, seconds: float) -> dict[str, float]:
        """Return the mean global SDR of the mixture as the estimate of each source, dB."""
        scores: dict[str, list[float]] = {name: [] for name in self.model.sources}
        for excerpt in self.excerpts(seconds):
            self._add(scores, excerpt, np.broadcast_to(excerpt.mix, excerpt.sources.shape))
        return _means(scores)

    def separate(self, mix: Sound) -> Sound:
        """Return the sources ``(S, C, T)`` of ``mix`` ``(C, T)``, as a song is separated."""
        blocks = [mix[:, start : start + BLOCK] for start in range(0, mix.shape[1], BLOCK)]
        mean, deviation = moments(iter(blocks)) if self.model.standardised else (0.0, 1.0)
        tensors = (torch.from_numpy(np.ascontiguousarray(block)) for block in blocks)
        with closing(self._engine.separate(tensors, mean=mean, deviation=deviation)) as stems:
            return np.concatenate([block.numpy() for block in stems], axis=-1)

    def excerpts(self, seconds: float) -> Iterator[Excerpt]:
        """Yield the excerpts that are ``seconds`` together: as much of each song as of another."""
        frames = round(seconds * self.model.sample_rate / len(self.store.songs))
        sources = (*self.model.sources, *self.background)
        for song, described in enumerate(self.store.songs):
            length = min(frames, self.store.frames(song))
            start = (self.store.frames(song) - length) // 2
            read = np.stack([self.store.read(song, name, start, length) for name in sources])
            kept = read[: len(self.model.sources)]
            yield Excerpt(described.name, kept, read.sum(0))

    def _add(self, scores: dict[str, list[float]], excerpt: Excerpt, estimates: Sound) -> None:
        """Add the scores of ``estimates`` ``(S, C, T)``; a silent source has none."""
        for name, truth, estimate in zip(
            self.model.sources, excerpt.sources, estimates, strict=True
        ):
            if truth.any():
                scores[name].append(float(global_sdr(truth, np.ascontiguousarray(estimate))))


def _means(scores: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in scores.items() if values}
