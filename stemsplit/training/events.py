"""What a run of training reports, for the command line and loggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stemsplit.types import Noted, Warned


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Training starts or resumes after ``step`` steps."""

    step: int
    steps: int
    songs: int
    validation_songs: int
    parameters: int  # numbers that are trained
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """A step is done; rates and shares are those of the last ones."""

    step: int
    steps: int
    loss: float
    terms: Mapping[str, float]
    lr: float
    norm: float  # of the gradients, before clipping
    steps_per_second: float
    real_time: float  # seconds of music per second
    waiting: float  # share of the time in which the loop waits for data


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """Global SDR (dB) after ``step`` steps, of the weights that scored best."""

    step: int
    score: float  # mean over the sources
    scores: Mapping[str, float]  # by source
    weights: str  # "current", or the average with its decay
    better: bool  # than any before
    seconds: float  # that the validation took


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Training ends after ``step`` steps; ``score`` is the best one so far."""

    step: int
    score: float | None
    early: bool  # because validations no longer improve


TrainingEvent: TypeAlias = Started | Stepped | Validated | Finished | Noted | Warned
