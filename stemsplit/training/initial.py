"""The network that a run starts with: new weights, or those of a checkpoint (fine-tuning)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from stemsplit.checkpoints import foreign, loading, registry
from stemsplit.checkpoints.convert import sniff
from stemsplit.errors import CheckpointError, UsageError
from stemsplit.models import architecture, build
from stemsplit.models.base import SeparationModel
from stemsplit.training.network import seed_all
from stemsplit.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialNetwork:
    """A network, the recipe with its whole configuration, and what to say about it."""

    model: SeparationModel
    recipe: Recipe
    notes: tuple[str, ...] = ()
    licence: str | None = None  # of the weights that it starts with


def build_network(recipe: Recipe) -> SeparationModel:
    """Return a network with new weights, which are a function of the seed of ``recipe``.

    Raises ``UsageError`` for an unknown architecture, and for an invalid configuration.
    """
    seed_all(recipe.seed)
    try:
        config = architecture(recipe.architecture).Config
    except LookupError as exc:
        raise UsageError(f"architecture: {exc.args[0]}") from exc
    _refuse_unknown_keys(recipe.network, config)
    try:
        return build(recipe.architecture, recipe.network)
    except (TypeError, ValueError) as exc:
        reason = str(exc).replace(f"{type(exc).__name__}: ", "")
        raise UsageError(f"network: {reason}") from exc


def _refuse_unknown_keys(network: Mapping[str, Any], config: type[Any]) -> None:
    known = [field.name for field in dataclasses.fields(config)]
    for key in network:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean network.{near[0]}?" if near else f"keys: {', '.join(known)}"
            raise UsageError(f"unknown key network.{key}", hint=hint)


def initial_network(recipe: Recipe) -> InitialNetwork:
    """Return the network that ``recipe`` starts with. The weights of ``init`` must be on the disk.

    Raises ``CheckpointError`` for a checkpoint of another architecture, and ``UsageError`` as
    `build_network` does.
    """
    name = recipe.fine_tuning.init
    if not name:
        model = build_network(recipe)
        return InitialNetwork(model=model, recipe=_with_network(recipe, model.config))
    given = loading.load(name)
    found = architecture_of(given)
    if found != recipe.architecture:
        raise CheckpointError(
            f"{name} is a {found}, and the recipe is for a {recipe.architecture}",
            hint="choose a recipe of the architecture of the checkpoint",
        )
    network = _merge(given.config, recipe)
    recipe = _with_network(recipe, network)
    model = build_network(recipe)
    notes = [f"starts with the weights of {name}", *_take_weights(model, given.state_dict(), name)]
    return InitialNetwork(model=model, recipe=recipe, notes=tuple(notes), licence=licence_of(name))


def architecture_of(model: SeparationModel) -> str:
    """Return the name ``module:Class`` of the architecture of ``model``."""
    return f"{type(model).__module__.rpartition('.')[2]}:{type(model).__name__}"


def licence_of(name: str) -> str:
    """Return the licence of the weights ``name``, as one line."""
    path = registry.local_file(name)
    model = registry.resolve(name) if path is None else foreign.find_listed(path, sniff(path))
    return f"{name}: unknown" if model is None else model.terms


def _with_network(recipe: Recipe, config: Mapping[str, Any]) -> Recipe:
    return dataclasses.replace(recipe, network=dict(config))


def _merge(given: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the configuration of the checkpoint with the recipe's own sources and settings.

    The same sources keep the order of the checkpoint.
    """
    kept = [key for key in recipe.fine_tuning.override if key in recipe.network]
    merged = {**given, **{key: recipe.network[key] for key in kept}}
    if set(merged["sources"]) == set(given["sources"]):
        merged["sources"] = given["sources"]
    return merged


def _take_weights(model: SeparationModel, given: Mapping[str, Tensor], name: str) -> list[str]:
    """Copy the tensors of ``given`` that fit into ``model``; return notes about the others."""
    own = model.state_dict()
    fitting = {
        key: tensor
        for key, tensor in given.items()
        if key in own and own[key].shape == tensor.shape
    }
    fresh = [key for key in own if key not in fitting]
    if not fitting:
        raise CheckpointError(f"no tensor of {name} fits the network of the recipe")
    with torch.no_grad():
        for key, tensor in fitting.items():
            own[key].copy_(tensor)
    if not fresh:
        return []
    some = ", ".join(fresh[:3]) + (" …" if len(fresh) > 3 else "")
    return [f"{len(fresh)} of {len(own)} tensors start anew, because their shapes differ: {some}"]
