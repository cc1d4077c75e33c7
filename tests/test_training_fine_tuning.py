"""Runs that start with the weights of another network, and the check before any run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from training import figures, files_of, interrupt, options, run_whole, write_songs

from stemsplit.checkpoints.safetensors_file import read_tensors
from stemsplit.errors import CheckpointError, InputError, UsageError
from stemsplit.models import build
from stemsplit.models.unet import UNet
from stemsplit.training import initial
from stemsplit.training.network import freeze, set_to_train
from stemsplit.training.run import TrainOptions, check

#: The network of the recipe in `training`.
UP = "networks.0.up.1.convolution"
DOWN = "networks.0.down.0.convolution.weight"


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, songs: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run_whole(options(folder, songs, "steps=4", "network.widths=[6, 12]"))
    return folder / "run/last.safetensors"


def test_a_run_starts_with_the_weights_and_the_network_of_a_checkpoint(
    tmp_path: Path, songs: Path, trained: Path
) -> None:
    settings = (f"fine_tuning.init={trained}", "steps=1", "optimizer.lr=1e-12")
    run_whole(options(tmp_path, songs, *settings))
    before, after = read_tensors(trained), read_tensors(tmp_path / "run/last.safetensors")
    assert all(
        torch.allclose(before[name], after[name], atol=1e-6)
        for name in before
        if "running" not in name and "num_batches" not in name
    )
    card = (tmp_path / "run/card.md").read_text()
    assert f"Made from other weights. {trained}: unknown." in card


def test_sources_that_differ_start_anew(tmp_path: Path, songs: Path, trained: Path) -> None:
    recipe = options(tmp_path, songs, f"fine_tuning.init={trained}").recipe
    three = {**recipe.network, "sources": ["vocals", "drums", "other"]}
    found = initial.initial_network(dataclasses.replace(recipe, network=three))
    given = read_tensors(trained)
    assert found.model.sources == ("vocals", "drums", "other")
    assert torch.equal(found.model.state_dict()[DOWN], given[DOWN])
    (_, note) = found.notes
    assert note.startswith("2 of ")
    assert f"start anew, because their shapes differ: {UP}.weight, {UP}.bias" in note


def test_the_same_sources_keep_the_order_of_the_checkpoint(
    tmp_path: Path, songs: Path, trained: Path
) -> None:
    recipe = options(tmp_path, songs, f"fine_tuning.init={trained}").recipe
    turned = {**recipe.network, "sources": ["accompaniment", "vocals"]}
    found = initial.initial_network(dataclasses.replace(recipe, network=turned))
    assert found.model.sources == ("vocals", "accompaniment")
    assert len(found.notes) == 1


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path, songs: Path) -> None:
    chosen = options(tmp_path, songs, "fine_tuning.init=tiny.htdemucs")
    with pytest.raises(CheckpointError, match=r"tiny\.htdemucs is a htdemucs:HTDemucs, and the"):
        run_whole(chosen)


def test_frozen_parameters_do_not_change_and_others_do(tmp_path: Path, songs: Path) -> None:
    settings = ("fine_tuning.freeze=['networks.0.down.*']", "checkpoint.every=1", "steps=3")
    run_whole(options(tmp_path, songs, *settings, "checkpoint.keep=1"))
    first, last = (
        read_tensors(tmp_path / f"run/states/step-0000000{step}.safetensors") for step in (1, 3)
    )
    for name in first:
        if name.startswith("network.model.networks.0.down.") and "dropout" not in name:
            assert torch.equal(first[name], last[name]), name
    assert not torch.equal(first[f"network.model.{UP}.weight"], last[f"network.model.{UP}.weight"])


def test_patterns_that_freeze_nothing_or_everything_are_refused() -> None:
    network = build("unet:UNet", {})
    with pytest.raises(UsageError, match=r"freeze: no parameter matches 'encoder\.\*'"):
        freeze(network, ["encoder.*"])
    with pytest.raises(UsageError, match="freeze: all parameters are frozen"):
        freeze(network, ["*"])


def test_frozen_norms_keep_their_statistics() -> None:
    network = build("unet:UNet", {})
    freeze(network, ["networks.*.down.*"])
    set_to_train(network)
    assert not network.get_submodule("networks.0.down.0.norm").training
    assert network.get_submodule("networks.0.up.0.norm").training


def test_one_source_can_be_weighted(tmp_path: Path, songs: Path) -> None:
    """The mask of the other source gets no gradient, so its part of the last layer stays."""
    settings = ("loss.0.stems={vocals=1.0}", "checkpoint.every=1", "steps=3", "checkpoint.keep=1")
    run_whole(options(tmp_path, songs, *settings))
    first, last = (
        read_tensors(tmp_path / f"run/states/step-0000000{step}.safetensors")[
            f"network.model.{UP}.bias"
        ]
        for step in (1, 3)
    )
    assert first[0] != last[0]
    assert first[1] == last[1]


def test_a_run_that_is_resumed_does_not_need_the_first_weights(
    tmp_path: Path, songs: Path, trained: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(trained.read_bytes())
    settings = (f"fine_tuning.init={copy}", "steps=4")
    interrupt(options(tmp_path, songs, *settings), 6)
    copy.unlink()
    run_whole(options(tmp_path, songs, *settings))
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["licence"] == f"{copy}: unknown"


def test_a_run_that_ended_before_its_first_state_takes_the_weights_again(
    tmp_path: Path, songs: Path, trained: Path
) -> None:
    settings = (f"fine_tuning.init={trained}", "steps=2")
    run_whole(options(tmp_path / "whole", songs, *settings))
    interrupt(options(tmp_path / "parts", songs, *settings), 2)  # before the first validation
    assert (tmp_path / "parts/run/run.json").exists()
    assert not (tmp_path / "parts/run/state.safetensors").exists()
    run_whole(options(tmp_path / "parts", songs, *settings))
    assert files_of(tmp_path / "whole/run") == files_of(tmp_path / "parts/run")
    assert figures(tmp_path / "whole/run") == figures(tmp_path / "parts/run")


# --- The check -----------------------------------------------------------------------------------


def for_check(folder: Path, songs: Path, *settings: str) -> TrainOptions:
    return options(folder, songs, "optimizer.lr=0.05", "network.dropout=0.0", *settings)


def test_a_network_that_can_learn_passes(tmp_path: Path, songs: Path) -> None:
    *_, result = check(for_check(tmp_path, songs), budget=5.0)
    assert result.learned
    assert result.unreached == ()
    assert {each.name for each in result.sources} == {"vocals", "accompaniment"}
    assert all(each.after > each.before + 1 for each in result.sources)


class Disconnected(UNet):
    """A U-Net whose second source has no gradient."""

    def training_outputs(self, mix: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = super().training_outputs(mix)
        sources = outputs["sources"]
        outputs["sources"] = torch.cat([sources[:, :1], sources[:, 1:].detach()], dim=1)
        return outputs


def test_a_disconnected_network_fails(
    tmp_path: Path, songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemsplit.models.unet.UNet", Disconnected)
    # Separate networks, so that one cannot learn through the other.
    *_, result = check(for_check(tmp_path, songs, "network.arrangement=separate"), budget=3.0)
    assert not result.learned
    assert result.unlearned == ("accompaniment",)
    assert result.unreached
    assert all(name.startswith("model.networks.1.") for name in result.unreached)


def test_a_source_that_is_silent_everywhere_is_named(tmp_path: Path) -> None:
    root = write_songs(tmp_path / "songs")
    for path in root.glob("*/vocals.wav"):
        soundfile.write(path, np.zeros(16_000, np.float32), 8_000, "FLOAT")
    with pytest.raises(InputError, match="vocals is silent wherever"):
        list(check(for_check(tmp_path, root), budget=3.0))
