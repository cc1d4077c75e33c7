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
    left_out: int  # songs that cannot be read
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


def describe_event(event: TrainingEvent) -> str | None:
    """Return ``event`` as a line for people; None for one that is only progress."""
    match event:
        case Started():
            left_out = f"{event.left_out} left out, " if event.left_out else ""
            return (
                f"{event.songs} songs to train on, {event.validation_songs} to validate on, "
                f"{left_out}{event.parameters:,} parameters on {event.device}"
            )
        case Validated():
            stems = ", ".join(f"{name} {score:.2f}" for name, score in event.scores.items())
            best = ", the best so far" if event.better else ""
            return f"step {event.step}: SDR {event.score:.2f} dB ({stems}), {event.weights}{best}"
        case Finished():
            score = "" if event.score is None else f", best SDR {event.score:.2f} dB"
            early = ", because it no longer improves" if event.early else ""
            return f"finished after step {event.step}{early}{score}"
        case Noted():
            return event.message
        case Warned():
            return f"warning: {event.message}"
        case Stepped():
            return None
