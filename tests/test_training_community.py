"""YAML files of the community's trainer become recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_checkpoints_msst_config import BS_ROFORMER, HTDEMUCS, MDX23C

from stemsplit.errors import UsageError
from stemsplit.training.augment import make_chain
from stemsplit.training.community_config import read_augmentations, settings_from_community
from stemsplit.training.community_recipe import read_community_recipe

INSTRUMENTS = ["vocals", "bass", "drums", "other"]
#: All keys of docs/augmentations.md, with some of its values.
AUGMENTATIONS: dict[str, Any] = {
    "enable": True,
    "loudness": True,
    "loudness_min": 0.5,
    "loudness_max": 1.5,
    "mixup": True,
    "mixup_probs": [0.2, 0.02],
    "mixup_loudness_min": 0.5,
    "mixup_loudness_max": 1.5,
    "mp3_compression_on_mixture": 0.01,
    "mp3_compression_on_mixture_bitrate_min": 32,
    "mp3_compression_on_mixture_bitrate_max": 320,
    "mp3_compression_on_mixture_backend": "lameenc",
    "all": {
        "channel_shuffle": 0.5,
        "random_inverse": 0.1,
        "random_polarity": 0.5,
        "mp3_compression": 0.01,
        "mp3_compression_min_bitrate": 32,
        "mp3_compression_max_bitrate": 320,
        "mp3_compression_backend": "lameenc",
        "pedalboard_reverb": 0.01,
        "pedalboard_reverb_room_size_min": 0.1,
        "pedalboard_pitch_shift": 0.01,
        "pedalboard_pitch_shift_semitones_min": -7,
        "pedalboard_resample": 0,
        "pedalboard_resample_target_sample_rate_min": 4000,
        "pedalboard_mp3_compressor": 0.01,
        "pedalboard_mp3_compressor_pedalboard_mp3_compressor_min": 0,
    },
    "vocals": {
        "pitch_shift": 0.1,
        "pitch_shift_min_semitones": -5,
        "pitch_shift_max_semitones": 5,
        "seven_band_parametric_eq": 0.25,
        "seven_band_parametric_eq_min_gain_db": -9,
        "seven_band_parametric_eq_max_gain_db": 9,
        "tanh_distortion": 0.1,
        "tanh_distortion_min": 0.1,
        "tanh_distortion_max": 0.7,
    },
    "drums": {
        "seven_band_parametric_eq": 0.25,
        "seven_band_parametric_eq_min_gain_db": -9,
        "seven_band_parametric_eq_max_gain_db": 9,
        "random_inverse": 0,
    },
    "other": {
        "gaussian_noise": 0.1,
        "gaussian_noise_min_amplitude": 0.001,
        "gaussian_noise_max_amplitude": 0.015,
        "time_stretch": 0.01,
        "time_stretch_min_rate": 0.8,
        "time_stretch_max_rate": 1.25,
    },
}


def config(**augmentations: Any) -> dict[str, Any]:
    return {
        "training": {"instruments": INSTRUMENTS},
        "augmentations": {"enable": True, **augmentations},
    }


def test_all_that_the_trainer_documents() -> None:
    found = read_augmentations(config(**AUGMENTATIONS))
    others = ["vocals", "bass", "other"]
    band = {"p": 0.25, "min_gain_db": -9, "max_gain_db": 9}
    assert found.tables == [
        {"name": "channel_shuffle", "p": 0.5},
        {"name": "random_inverse", "p": 0.1, "stems": others},
        {"name": "random_polarity", "p": 0.5},
        {
            "name": "pitch_shift",
            "p": 0.1,
            "min_semitones": -5,
            "max_semitones": 5,
            "stems": ["vocals"],
        },
        {"name": "seven_band_parametric_eq", **band, "stems": ["vocals", "drums"]},
        {"name": "tanh_distortion", "p": 0.1, "min": 0.1, "max": 0.7, "stems": ["vocals"]},
        {"name": "mp3_compression", "p": 0.01, "min_bitrate": 32, "max_bitrate": 320},
        {
            "name": "gaussian_noise",
            "p": 0.1,
            "min_amplitude": 0.001,
            "max_amplitude": 0.015,
            "stems": ["other"],
        },
        {"name": "time_stretch", "p": 0.01, "min_rate": 0.8, "max_rate": 1.25, "stems": ["other"]},
        {"name": "mixup", "probs": [0.2, 0.02], "loudness_min": 0.5, "loudness_max": 1.5},
        {"name": "gain", "low": 0.5, "high": 1.5},
        {
            "name": "mp3_compression_on_mixture",
            "p": 0.01,
            "min_bitrate": 32,
            "max_bitrate": 320,
        },
    ]
    assert found.left_out == [
        *("pedalboard_reverb", "pedalboard_pitch_shift", "pedalboard_mp3_compressor"),
    ]
    made = make_chain(found.tables, sources=INSTRUMENTS, sample_rate=44_100)
    sources = np.zeros((1, 4, 2, 100 + made.margin(100)), np.float32)
    assert made(sources, np.random.default_rng(0), 100).mix.shape == (1, 2, 100)


def test_a_stem_replaces_what_holds_for_all() -> None:
    own = {"random_polarity": 0.25}
    tables = settings_from_community(config(all={"random_polarity": 0.5}, bass=own))
    assert tables == [
        {"name": "random_polarity", "p": 0.5, "stems": ["vocals", "drums", "other"]},
        {"name": "random_polarity", "p": 0.25, "stems": ["bass"]},
    ]


@pytest.mark.parametrize(
    "whole",
    [
        {"training": {"instruments": INSTRUMENTS}},
        {"training": {}, "augmentations": None},
        config(**{**AUGMENTATIONS, "enable": False}),
        config(all={"random_polarity": 0, "channel_shuffle": -1}, loudness=False, loudness_min=0.5),
    ],
)
def test_nothing_is_applied_that_is_switched_off(whole: dict[str, Any]) -> None:
    assert settings_from_community(whole) == []


@pytest.mark.parametrize(
    ("augmentations", "message"),
    [
        ({"loudnes": True}, "augmentations: unknown key loudnes"),
        ({"piano": {"random_polarity": 0.5}}, "augmentations: unknown key piano"),
        ({"all": {"polarity": 1}}, "augmentations: all: unknown key polarity"),
        ({"all": {"pitch_shift": 1, "pitch_shift_cents": 5}}, "unknown key pitch_shift_cents"),
        ({"bass": {"pedalboard_gate": 0.1}}, "augmentations: bass: unknown key pedalboard_gate"),
        ({"loudness": 1}, "augmentations: loudness must be true or false, not 1"),
        (
            {"all": {"random_polarity": "often"}},
            "augmentations: all: random_polarity must be a number",
        ),
        ({"all": [1]}, "augmentations: all must be a table, not [1]"),
    ],
)
def test_unknown_keys_are_named(augmentations: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        settings_from_community(config(**augmentations), Path("their.yaml"))
    assert message in str(caught.value)
    assert str(caught.value).startswith("their.yaml: ")


def test_the_instruments_are_needed() -> None:
    with pytest.raises(UsageError, match="training: instruments must be a list of names"):
        settings_from_community({"augmentations": {"enable": True}})


# --- Whole recipes -------------------------------------------------------------------------------

TRAINING = """training: {instruments: [vocals, bass, drums, other], target_instrument: null,
  batch_size: 6, gradient_accumulation_steps: 2, grad_clip: 0.5, lr: 9.0e-05, patience: 3,
  reduce_factor: 0.9, num_epochs: 100, num_steps: 1000, q: 0.9, coarse_loss_clip: true,
  ema_momentum: 0.99, optimizer: adamw, other_fix: false, use_amp: true}
optimizer: {weight_decay: 0.01, betas: [0.8, 0.99]}
augmentations: {enable: true, loudness: true, loudness_min: 0.5, loudness_max: 1.5,
  all: {pedalboard_chorus: 0.1}}
"""
THEIRS = MDX23C.replace(
    "training: {instruments: [vocals, bass, drums, other], target_instrument: null}\n", TRAINING
)


def recipe_of(text: str, name: str, folder: Path) -> Any:
    path = folder / "their.yaml"
    path.write_text(text)
    return read_community_recipe(path, name)


def test_a_whole_file_becomes_a_recipe(tmp_path: Path) -> None:
    found = recipe_of(THEIRS, "mdx23c", tmp_path)
    tables = dict(found.tables)
    network = tables.pop("network")
    assert network["sources"] == INSTRUMENTS and network["channels"] == 128
    assert tables == {
        "architecture": "mdx23c:MDX23C",
        "segment": 261_120 / 44_100,
        "augment": [{"name": "gain", "low": 0.5, "high": 1.5}],
        "batch": 12,
        "accumulate": 2,
        "steps": 50_000,
        "precision": "fp16",
        "schedule": {"name": "plateau", "patience": 3, "factor": 0.9},
        "ema": [{"decay": 0.99}],
        "validation": {"every": 500},
        "checkpoint": {"every": 500},
        "loss": [{"name": "mse", "quantile": 0.9, "samples": False}],
        "data": {"remix": 1.0, "background": [], "silent": 0.0, "quiet": -60.0},
        "optimizer": {
            **{"name": "adamw", "lr": 9e-5, "clip": 0.5},
            **{"betas": [0.8, 0.99], "weight_decay": 0.01},
        },
    }
    (warning,) = found.warnings
    assert "pedalboard_chorus" in warning and "GPL" in warning


def test_the_loss_of_a_roformer_is_its_own(tmp_path: Path) -> None:
    text = BS_ROFORMER.replace("lr: 5.0e-05", "lr: 5.0e-05, optimizer: adam")
    found = recipe_of(text, "bs_roformer", tmp_path).tables
    assert found["loss"] == [
        {"name": "l1"},
        {"name": "stft_l1", "weight": 1.0, "hop": 147, "windows": [4096, 256]},
    ]
    assert found["network"]["sources"] == ["other"]
    assert found["data"]["background"] == ["vocals"]
    assert found["augment"] == []


def test_htdemucs_has_another_layout(tmp_path: Path) -> None:
    more = "normalize: true, batch_size: 8, lr: 9.0e-05, optimizer: adam, use_amp: false, shift: 1"
    found = recipe_of(HTDEMUCS.replace("normalize: true", more), "htdemucs", tmp_path).tables
    assert found["architecture"] == "htdemucs:HTDemucs"
    assert (found["batch"], found["accumulate"], found["precision"]) == (8, 1, "fp32")
    assert found["segment"] == 11.0


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("other_fix", "other_fixes", "training: unknown key other_fixes"),
        ("adamw", "muon", "training: optimizer 'muon' is not supported"),
        ("weight_decay", "wd", "optimizer: unknown key wd"),
        ("batch_size: 6", "batch_size: 0", "training: batch_size must be above 0, not 0"),
        ("batch_size: 6, ", "", "training: batch_size is missing"),
        ("lr: 9.0e-05", "lr: fast", "training: lr must be a number"),
        ("loudness: true", "loudness: true, loud: 1", "augmentations: unknown key loud"),
        ("act: gelu", "act: gelu, depth: 3", "model: unknown key depth"),
    ],
)
def test_what_cannot_be_translated_is_named(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        recipe_of(THEIRS.replace(before, after), "mdx23c", tmp_path)
    assert message in str(caught.value)
    assert "their.yaml: " in str(caught.value)
