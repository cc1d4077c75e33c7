"""Recipes from the YAML files of the community's trainer, Music-Source-Separation-Training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.checkpoints import msst_config
from stemsplit.checkpoints.msst_config import Section
from stemsplit.errors import UsageError
from stemsplit.plain_yaml import read_yaml
from stemsplit.training.community_config import instruments_of, read_augmentations

NUMBER = float | int
#: Keys of ``training`` that only other parts of the trainer read, and flags of its older versions.
WITHOUT_EFFECT = (
    *("other_fix", "segment", "shift", "samplerate", "channels", "normalize"),
    *("read_metadata_procs", "use_mp3_compress", "augmentation", "augmentation_type"),
    *("augmentation_mix", "augmentation_loudness", "augmentation_loudness_type"),
    *("augmentation_loudness_min", "augmentation_loudness_max"),
)
OPTIMIZERS = ("adam", "adamw", "sgd")
#: Networks whose loss the trainer computes within them.
OWN_LOSS = ("bs_roformer", "mel_band_roformer")


@dataclass(frozen=True, slots=True)
class CommunityRecipe:
    """The tables of a recipe, and sentences about what is left out of it."""

    tables: dict[str, Any]
    warnings: list[str]


def read_community_recipe(path: Path, name: str) -> CommunityRecipe:
    """Return the recipe in the file at ``path`` for the network that the trainer calls ``name``.

    A step of a recipe is one of the optimizer: accumulated batches of the trainer are one batch in
    several parts. Its epochs become the intervals of validation. The loss is the one that it uses
    without options. Raises ``UsageError`` as `msst_config.read` does, for unknown keys of all
    sections, and for optimizers that are not supported.
    """
    network = msst_config.read(path, name)
    config = read_yaml(path)
    assert isinstance(config, dict)  # msst_config has read it
    document = Section(path, "", config)
    training, audio = document.section("training"), document.take("audio", dict)
    augmentations = read_augmentations(config, path)
    instruments = instruments_of(config)
    background = [each for each in instruments if each not in network.config["sources"]]
    tables = {
        "architecture": network.architecture,
        "network": network.config,
        "segment": network.config["segment"] / network.config["sample_rate"],
        "augment": augmentations.tables,
        **_take_loop(training),
        "loss": _take_loss(document, training, name),
        "data": _data(Section(path, "audio", audio), background),
        "optimizer": _take_optimizer(document, training),
    }
    training.skip("instruments", "target_instrument", *WITHOUT_EFFECT)
    training.refuse_rest()
    return CommunityRecipe(tables, _warnings(augmentations.left_out))


def _warnings(left_out: list[str]) -> list[str]:
    if not left_out:
        return []
    return [
        f"left out: {', '.join(left_out)}: these need pedalboard, which is under the GPL; "
        "room, codec_round_trip and pitch_shift are the nearest of this program"
    ]


def _take_loop(training: Section) -> dict[str, Any]:
    """Return the settings of the loop: batches, steps, schedule, averages, precision."""
    parts = training.take_count("gradient_accumulation_steps", 1)
    epoch = max(1, training.take_count("num_steps", 1000) // parts)
    momentum = training.take("ema_momentum", NUMBER, 0)
    schedule = {
        "name": "plateau",
        "patience": training.take("patience", int, 2),
        "factor": training.take("reduce_factor", NUMBER, 0.95),
    }
    return {
        "batch": training.take_count("batch_size") * parts,
        "accumulate": parts,
        "steps": epoch * training.take_count("num_epochs", 1000),
        "precision": "fp16" if training.take_switch("use_amp", True) else "fp32",
        "schedule": schedule,
        "ema": [{"decay": momentum}] if momentum else [],
        "validation": {"every": epoch},
        "checkpoint": {"every": epoch},
    }


def _take_optimizer(document: Section, training: Section) -> dict[str, Any]:
    """Return the optimizer's table; the section ``optimizer`` has further arguments of it."""
    name = training.take("optimizer", str)
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise UsageError(
            f"training: optimizer {name!r} is not supported",
            path=document.path,
            hint=f"choose one of {known}",
        )
    table = {"name": name, "lr": float(training.take("lr", NUMBER))}
    if clip := training.take("grad_clip", NUMBER, 0):
        table["clip"] = clip
    if "optimizer" in document:
        section = document.section("optimizer")
        for key in ("betas", "eps", "weight_decay", "momentum"):
            if key in section:
                table[key] = section.take(key, list if key == "betas" else NUMBER)
        section.refuse_rest()
    return table


def _take_loss(document: Section, training: Section, name: str) -> list[dict[str, Any]]:
    """Return the tables of the loss that the trainer uses for the network ``name``."""
    quantile = training.take("q", NUMBER, 0.95)
    coarse = training.take_switch("coarse_loss_clip", True)
    if name not in OWN_LOSS:
        return [{"name": "mse", "quantile": quantile, "samples": not coarse}]
    model = document.section("model")
    spectral = {
        "name": "stft_l1",
        "weight": model.take("multi_stft_resolution_loss_weight", NUMBER, 1.0),
        "hop": model.take_count("multi_stft_hop_size", 147),
    }
    if "multi_stft_resolutions_window_sizes" in model:
        spectral["windows"] = model.take("multi_stft_resolutions_window_sizes", list)
    model.expect("multi_stft_normalized", False)
    return [{"name": "l1"}, spectral]


def _data(audio: Section, background: list[str]) -> dict[str, Any]:
    """Return how excerpts are drawn: sources of different songs, none of them silent."""
    data: dict[str, Any] = {"remix": 1.0, "background": background}
    if (floor := audio.take("min_mean_abs", NUMBER, 0)) > 0:
        data |= {"silent": 0.0, "quiet": round(20 * math.log10(floor), 2)}
    return data
