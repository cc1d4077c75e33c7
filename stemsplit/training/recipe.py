"""A recipe: everything that determines what a run of training computes, as frozen dataclasses.

Each table of a recipe's TOML file is a dataclass here, and each key is a field, with its limits in
its type. `recipe_file` reads them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeAlias

from stemsplit.errors import UsageError
from stemsplit.models.config import CheckedConfig, Count, CountOrZero, Rule, at_least, at_most

Steps: TypeAlias = Annotated[int, at_least(1), at_most(10**9)]
StepsOrZero: TypeAlias = Annotated[int, at_least(0), at_most(10**9)]
Positive: TypeAlias = Annotated[float, Rule(lambda value: value > 0, "be above 0")]
NotNegative: TypeAlias = Annotated[float, at_least(0)]
Probability: TypeAlias = Annotated[float, Rule(lambda p: 0 <= p <= 1, "be from 0 to 1")]
Decay: TypeAlias = Annotated[float, Rule(lambda decay: 0 < decay < 1, "be between 0 and 1")]
#: A number whose sequences do not repeat: numpy takes it as one word.
Seed: TypeAlias = Annotated[int, at_least(0), at_most(2**32 - 1)]
Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]
#: Tables that another part of this room reads: `augment.make_chain` and `losses.make_loss`.
Tables: TypeAlias = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings(CheckedConfig):
    """Which excerpts of which songs are drawn."""

    #: Sources that are in the mixtures, but that the network does not separate.
    background: tuple[str, ...] = ()
    #: Probability that the sources of an excerpt come from different songs.
    remix: Probability = 0.0
    #: A source whose loudest 0.1 s is below this level is silent in an excerpt, dB.
    quiet: float = -60.0
    #: Probability that an excerpt of a silent source is used; else another one is drawn.
    silent: Probability = 1.0
    #: Whether long songs are drawn more often, or all songs equally often.
    weigh: Literal["length", "song"] = "length"
    #: Share of the songs to validate on, where the layout of the data set names none.
    valid: Probability = 0.1
    #: Gigabytes of decoded songs to keep on the disk.
    cache: Positive = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSettings(CheckedConfig):
    """How gradients change the weights; ``clip`` is the largest norm of all gradients (0: any)."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: Positive = 1e-3
    betas: tuple[float, ...] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NotNegative = 0.0
    momentum: NotNegative = 0.0  # of sgd
    clip: NotNegative = 0.0

    def validate(self) -> None:
        """Raise ``ValueError`` for decay rates that Adam cannot have."""
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two shares below 1, not {list(self.betas)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings(CheckedConfig):
    """How the learning rate changes.

    It rises linearly over ``warmup`` steps. Then "step" multiplies it by ``factor`` every ``every``
    steps, "exponential" does the same gradually, "cosine" lets it fall to ``floor`` (a share) over
    ``length`` steps, and "plateau" multiplies it by ``factor`` after ``patience`` validations
    without a better score.
    """

    name: Literal["constant", "step", "exponential", "cosine", "plateau"] = "constant"
    warmup: StepsOrZero = 0
    factor: Decay = 0.5
    every: Steps = 10_000
    length: StepsOrZero = 0
    floor: Probability = 0.0
    patience: CountOrZero = 2

    def validate(self) -> None:
        """Raise ``ValueError`` for a cosine without a length."""
        if self.name == "cosine" and not self.length:
            raise ValueError("length must be the steps of the cosine, not 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmaSettings(CheckedConfig):
    """An exponential moving average of the weights, updated ``every`` so many steps."""

    decay: Decay = 0.999
    every: Steps = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSettings(CheckedConfig):
    """When and on how much music the network is validated."""

    every: Steps = 1000
    #: Seconds of music, spread over all songs for validation.
    seconds: Positive = 120.0
    #: Seconds that a validation may take: the first one, before the first step, measures how much
    #: music that is. 0: any time. Runs with a limit are not reproducible from the recipe alone.
    limit: NotNegative = 0.0
    #: Validations without a better score after which training stops; 0: never.
    patience: CountOrZero = 0
    #: Seconds of each source in the logger's examples; 0: none.
    examples: NotNegative = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings(CheckedConfig):
    """Every how many steps the state is saved, and every how many of them it is also kept."""

    every: Steps = 1000
    keep: StepsOrZero = 0

    def validate(self) -> None:
        """Raise ``ValueError`` unless kept states are among those that are saved."""
        if self.keep % self.every:
            raise ValueError(f"keep must be a multiple of every, {self.every}, not {self.keep}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings(CheckedConfig):
    """When a step counts as failed: a loss above ``factor`` times the median of the last ones."""

    factor: Positive = 20.0
    window: Count = 100
    attempts: Count = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuningSettings(CheckedConfig):
    """Which weights to start from, and patterns of the names of those that do not change."""

    init: str = ""  # a model or a checkpoint file; the option --init sets it
    #: Settings of the table network that replace those of the checkpoint.
    override: tuple[str, ...] = ("sources",)
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(CheckedConfig):
    """A recipe. ``batch`` is the number of excerpts in a step, over all processes."""

    architecture: str  # "module:Class"
    description: str = ""
    steps: Steps = 100_000
    batch: Count = 8
    accumulate: Count = 1  # parts of a batch that are processed one after the other
    segment: NotNegative = 0.0  # seconds of an excerpt; 0: a segment of the network
    seed: Seed = 0
    precision: Precision = "fp32"
    compile: bool = False
    network: Mapping[str, Any] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    augment: Tables = ()
    loss: Tables = ({"name": "l1"},)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    ema: tuple[EmaSettings, ...] = ()
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    guard: GuardSettings = field(default_factory=GuardSettings)
    fine_tuning: FineTuningSettings = field(default_factory=FineTuningSettings)
    log_every: Steps = 50

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        if self.batch % self.accumulate:
            raise ValueError(
                f"batch must be a multiple of accumulate, {self.accumulate}, not {self.batch}"
            )
        if not self.loss:
            raise ValueError("loss must have at least one table")

    def plain(self) -> dict[str, Any]:
        """Return the recipe as plain values for JSON, in which tuples are lists."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    def share(self, processes: int) -> int:
        """Return the excerpts of a step for each of ``processes``; ``UsageError`` for a rest."""
        if self.batch % (processes * self.accumulate):
            parts = f" in {self.accumulate} parts" if self.accumulate > 1 else ""
            raise UsageError(
                f"a batch of {self.batch} does not divide among {processes} processes{parts}"
            )
        return self.batch // processes


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value
