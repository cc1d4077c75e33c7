"""Several networks as one: each stem is the weighted mean of the members' outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stemsplit.models.base import SeparationModel

#: Attributes that all members, and the ensemble, have in common.
AGREED = (
    *("sample_rate", "channels", "segment", "standardised", "any_length", "alignment"),
    *("overlap", "window"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedMeanConfig:
    """Configuration of an ensemble; ``weights`` has a row per member, a column per source."""

    sources: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


class WeightedMean(SeparationModel):
    """The weighted mean of ``members``, stem by stem.

    Besides its configuration it takes its members: networks with the same `AGREED` attributes.
    Raises ``ValueError`` if these differ, or if a source has no member.
    """

    Config = WeightedMeanConfig

    def __init__(self, config: WeightedMeanConfig, members: Sequence[SeparationModel]) -> None:
        first = members[0]
        super().__init__(
            config,
            channels=first.channels,
            sample_rate=first.sample_rate,
            segment=first.segment,
        )
        for member in members:
            for name in AGREED:
                if getattr(member, name) != getattr(first, name):
                    raise ValueError(f"the members of an ensemble differ in {name}")
        for name in AGREED:
            setattr(self, name, getattr(first, name))
        contexts = [member.context for member in members]
        if None in contexts and contexts != [None] * len(members):
            raise ValueError("the members of an ensemble differ in context")
        self.context = max((each for each in contexts if each is not None), default=None)
        self.members = nn.ModuleList(members)
        if [len(row) for row in config.weights] != [len(config.sources)] * len(members):
            raise ValueError("weights need a row per member and a column per source")
        self._totals = [sum(column) for column in zip(*config.weights, strict=True)]
        if not all(total > 0 for total in self._totals):
            raise ValueError("each source needs a member with a weight above 0")
        #: What each member contributes: to which source, which of its own sources, and its weight.
        self._shares = [
            [
                (column, member.sources.index(source), weight)
                for column, (source, weight) in enumerate(zip(config.sources, row, strict=True))
                if weight != 0
            ]
            for member, row in zip(members, config.weights, strict=True)
        ]

    def forward(self, mix: Tensor, context: int = 0) -> Tensor:
        """Return the sources ``(B, S, C, T)`` of ``mix`` ``(B, C, T + 2 context)``, as fp32.

        Each member gets the context that it needs. Members run one after the other, so that only
        one needs memory at a time.
        """
        sums: list[Tensor | float] = [0.0] * len(self.sources)
        for member, shares in zip(self.members, self._shares, strict=True):
            assert isinstance(member, SeparationModel)
            own = min(context, member.context or 0)
            surplus = context - own
            around = mix[..., surplus : mix.shape[-1] - surplus]
            estimates = member(around, own) if own else member(around)
            for column, index, weight in shares:
                sums[column] = sums[column] + estimates[:, index].float() * weight
        means = [part / total for part, total in zip(sums, self._totals, strict=True)]
        return torch.stack(means, dim=1)
