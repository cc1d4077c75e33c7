"""Losses: a recipe's ``[[loss]]`` tables, each a term of a weighted sum.

::

    [[loss]]                      # the loss of the RoFormers
    name = "l1"
    [[loss]]
    name = "stft_l1"

    [[loss]]                      # of Chimera++
    name = "deep_clustering"
    form = "whitened"
    weight = 0.975
    [[loss]]
    name = "phase_sensitive"
    permuted = true
    weight = 0.025

A term is one class and one row in `table`. Terms compute in fp32, regardless of autocast. Heads
(``activity``, ``pitch``) have parameters of their own, which are those of the `Loss`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from stemsplit.errors import UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.training.losses.base import Term
from stemsplit.training.losses.settings import read_settings
from stemsplit.training.losses.table import TERMS

__all__ = ["TERMS", "Loss", "make_loss"]


class Loss(nn.Module):
    """The weighted sum of `Term`s.

    Its parameters, if any, are those of heads, and must be trained with those of the network.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)

    def forward(
        self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss ``()``, and each term ``()`` by name, before its weight, for the log.

        ``outputs`` are those of ``training_outputs(mix)``, ``sources`` ``(B, S, C, T)`` the true
        ones, ``mix`` is ``(B, C, T)``.
        """
        with torch.autocast(mix.device.type, enabled=False):
            full = {name: _full_precision(output) for name, output in outputs.items()}
            true, mixture = _full_precision(sources), _full_precision(mix)
            values = {name: term(full, true, mixture) for name, term in self.terms.items()}
        weighted = [self.terms[name].weight * value for name, value in values.items()]
        return torch.stack(weighted).sum(), {name: v.detach() for name, v in values.items()}


def make_loss(settings: Sequence[Mapping[str, Any]], model: SeparationModel) -> Loss:
    """Return the loss of the tables ``settings`` for training ``model``.

    A term that occurs again is called ``NAME_2`` in the log. Raises ``UsageError`` for unknown
    names or keys, for invalid values, and for terms that do not suit the network.
    """
    terms: dict[str, Term] = {}
    for table in settings:
        name = table.get("name")
        if not isinstance(name, str) or name not in TERMS:
            raise UsageError(f"unknown loss {name!r}", hint=f"the losses are {', '.join(TERMS)}")
        rest = {key: value for key, value in table.items() if key != "name"}
        place = f"loss {name!r}"
        config = read_settings(TERMS[name].Config, rest, place)
        count = sum(type(term) is TERMS[name] for term in terms.values())
        try:
            terms[f"{name}_{count + 1}" if count else name] = TERMS[name](config, model)
        except UsageError as exc:
            raise UsageError(f"{place}: {exc.reason}", hint=exc.hint) from exc
    if not any(term.weight for term in terms.values()):
        raise UsageError("a recipe needs a loss with a weight above 0")
    return Loss(terms)


def _full_precision(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
