"""Bare files of tensors: all wrappings give the same network, and nothing else gets through."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import noise
from oracles import signal_to_difference
from registered import OwnRegistry, pull
from roformers import SMALL, fill
from torch import Tensor

from stemsplit.checkpoints import loading, registry
from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.weights import assemble, save
from stemsplit.errors import CheckpointError, UsageError
from stemsplit.models import build
from stemsplit.models.roformer import Roformer, rotary_frequencies

ARCHITECTURE = "mel_band_roformer:MelBandRoformer"
CONFIG: dict[str, Any] = SMALL | {"num_bands": 8}


@pytest.fixture(scope="module")
def network() -> Roformer:
    model = build(ARCHITECTURE, CONFIG)
    fill(model)
    assert isinstance(model, Roformer)
    return model.eval().requires_grad_(False)


def published(network: Roformer) -> dict[str, Tensor]:
    """Return the tensors of ``network`` as the community stores them."""
    state = dict(network.state_dict())
    for layer in range(2):
        for axis in range(2):
            name = f"layers.{layer}.{axis}.layers.0.0.rotary_embed.freqs"
            state[name] = rotary_frequencies(8)
    return state


def read(package: Any, path: Path) -> Roformer:
    torch.save(package, path)
    converted = convert("msst", [path], architecture=ARCHITECTURE, config=CONFIG)
    model = assemble(converted, path)
    assert isinstance(model, Roformer)
    return model


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: {"state": state, "best_metric": 11.0},
        lambda state: {"epoch": 3, "model_state_dict": state},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {"state_dict": {f"model.{name}": each for name, each in state.items()}},
    ],
)
def test_all_wrappings_give_the_network(
    network: Roformer, tmp_path: Path, wrap: Callable[[dict[str, Tensor]], Any]
) -> None:
    model = read(wrap(published(network)), tmp_path / "m.ckpt")
    assert model.config == network.config
    for name, tensor in network.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_half_precision(network: Roformer, tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in published(network).items()}
    model = read(halves, tmp_path / "m.ckpt")
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    with torch.no_grad():
        assert 50 < signal_to_difference(network(noise(8192)), model(noise(8192))) < 100


def test_a_converted_file_explains_itself(network: Roformer, tmp_path: Path) -> None:
    path, ours = tmp_path / "m.ckpt", tmp_path / "m.safetensors"
    torch.save(published(network), path)
    save(convert("msst", [path], architecture=ARCHITECTURE, config=CONFIG), ours)
    model = loading.load(str(ours))
    with torch.no_grad():
        assert torch.equal(model(noise(8192)), network(noise(8192)))
    again = convert("safetensors", [ours])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.origin == f"Music-Source-Separation-Training checkpoint sha256:{digest}"


def change(**tensors: Tensor | None) -> Callable[[dict[str, Tensor]], Any]:
    """Return what sets (or, given None, drops) tensors, their names written with ``__``."""

    def apply(state: dict[str, Any]) -> dict[str, Any]:
        state |= {name.replace("__", "."): tensor for name, tensor in tensors.items()}
        return {name: tensor for name, tensor in state.items() if tensor is not None}

    return apply


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change(layers__1__0__norm__gamma=None), "layers.1.0.norm.gamma is missing"),
        (change(final_norm__gamma=torch.ones(16)), "final_norm.gamma is not part of it"),
        (
            change(layers__0__1__norm__gamma=torch.ones(8)),
            r"is float32 \(8,\), not float32 \(16,\)",
        ),
        (change(a__rotary_embed__freqs=torch.ones(4)), "a.rotary_embed.freqs: frequencies differ"),
        (change(a__rotary_embed__freqs=torch.ones(2, 2)), "frequencies differ"),
        (lambda state: {"epoch": 3}, "does not contain the weights of a network"),
        (lambda state: {"state_dict": {}}, "does not contain the weights of a network"),
        (lambda state: [*state.values()], "does not contain the weights of a network"),
        (lambda state: state | {"path": Path("x")}, "refused: loading it would run pathlib"),
    ],
)
def test_other_files_are_refused(
    network: Roformer, tmp_path: Path, spoil: Callable[[dict[str, Tensor]], Any], reason: str
) -> None:
    path = tmp_path / "m.ckpt"
    with pytest.raises(CheckpointError, match=reason) as caught:
        read(spoil(published(network)), path)
    assert caught.value.path == str(path)
    assert caught.value.exit_code == 4


def test_the_network_must_be_specified(network: Roformer, tmp_path: Path) -> None:
    path = tmp_path / "m.ckpt"
    torch.save(published(network), path)
    with pytest.raises(UsageError, match="does not name its network") as told:
        convert("msst", [path])
    with pytest.raises(CheckpointError, match="not a checkpoint in a known format") as sniffed:
        sniff(path)
    for caught in (told.value, sniffed.value):
        assert caught.hint is not None
        assert "stemsplit models convert FILE --architecture NAME" in caught.hint


def test_the_registry_names_the_network(
    network: Roformer, tmp_path: Path, own_registry: OwnRegistry
) -> None:
    path = tmp_path / "m.ckpt"
    torch.save(published(network), path)
    config = ", ".join(f"{key} = {json.dumps(value)}" for key, value in CONFIG.items())
    own_registry.write(f"""
[models.mine]
description = "d"
architecture = "{ARCHITECTURE}"
config = {{ {config} }}
stems = ["vocals", "rest"]
sample_rate = 44100
channels = 2
segment = 8192
overlap = 0.75
licence = "MIT"
training_data = "none"
[[models.mine.sources]]
format = "msst"
[[models.mine.sources.files]]
address = "{path.as_uri()}"
sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"
""")
    pull(registry.resolve("mine"))
    model = loading.load("mine")
    assert (model.overlap, model.window, model.segment) == (0.75, "fade", 8192)
    with torch.no_grad():
        assert torch.equal(model(noise(8192)), network(noise(8192)))
