"""A network to train with two programs: songs, a recipe, and the configuration of the other one.

Everything here loads torch or numpy: see `processes.apart`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Sources of the songs, and of the networks.
SOURCES = ("drums", "bass", "other", "vocals")
LR, CLIP, DECAY = 1e-4, 5.0, 0.999
GAINS = (0.5, 1.5)


@dataclass(frozen=True)
class Network:
    """A network that both programs have, and a size at which a step takes about a second."""

    title: str
    architecture: str
    kind: str  # for the other program
    batch: int
    seconds: float  # of an excerpt
    settings: Mapping[str, Any] = field(default_factory=dict)


NETWORKS = {
    "htdemucs": Network(
        *("HTDemucs", "htdemucs:HTDemucs", "htdemucs", 2, 2.0),
        {"channels": 8, "nfft": 2048, "bottom_channels": 64, "t_layers": 3, "t_heads": 4},
    ),
    "scnet": Network(
        *("SCNet", "scnet:SCNet", "scnet", 2, 1.5),
        {"dims": (8, 16, 32), "dual_path_layers": 2},
    ),
    "bs_roformer": Network(
        *("BS-RoFormer", "bs_roformer:BSRoformer", "bs_roformer", 1, 1.5),
        {"dim": 48, "depth": 2, "heads": 2, "dim_head": 24, "mask_expansion": 1},
    ),
}


def write_songs(folder: Path, count: int, seconds: float) -> None:
    """Write ``count`` rendered songs of ``seconds``, a folder each, with a file for each source."""
    import soundfile

    from stemsplit.data.synthetic import render

    for number in range(count):
        song = folder / f"song{number}"
        song.mkdir(parents=True)
        stems = render(number, seconds=seconds)
        for name in SOURCES:
            soundfile.write(song / f"{name}.wav", stems[name].T, 44_100, subtype="PCM_16")
        mixture = sum(stems[name] for name in SOURCES)
        soundfile.write(song / "mixture.wav", mixture.T, 44_100, subtype="PCM_16")


def write_setting(network: Network, folder: Path, steps: int) -> None:
    """Write ``recipe.toml`` and ``config.yaml`` for ``steps`` steps into ``folder``."""
    import yaml

    from stemsplit.models import build

    folder.mkdir(parents=True, exist_ok=True)
    segment = round(44_100 * network.seconds)
    settings = {**network.settings, "segment": segment, "sources": SOURCES}
    model = build(network.architecture, dict(settings))
    (folder / "recipe.toml").write_text(_recipe(network, settings, steps))
    document = _community_config(network, model.config, model.standardised, steps)
    (folder / "config.yaml").write_text(yaml.safe_dump(document))


def _recipe(network: Network, settings: Mapping[str, Any], steps: int) -> str:
    # Values of JSON are values of TOML too.
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    return f"""
architecture = "{network.architecture}"
steps = {steps}
batch = {network.batch}
[network]
{chr(10).join(lines)}
[data]
remix = 1.0
valid = 0.25
[[augment]]
name = "gain"
low = {GAINS[0]}
high = {GAINS[1]}
[[loss]]
name = "l1"
[optimizer]
name = "adam"
lr = {LR}
clip = {CLIP}
[[ema]]
decay = {DECAY}
[validation]
every = {steps}
seconds = 3
[checkpoint]
every = {steps}
"""


def _community_config(
    network: Network, config: Mapping[str, Any], standardised: bool, steps: int
) -> dict[str, Any]:
    from peer_weights import SECTIONS

    sources = list(SOURCES)
    segment, rate = config["segment"], config["sample_rate"]
    training = {
        "instruments": sources,
        "target_instrument": None,
        "batch_size": network.batch,
        "num_steps": steps,
        "num_epochs": 1,
        "optimizer": "adam",
        "lr": LR,
        "grad_clip": CLIP,
        "ema_momentum": DECAY,
        "normalize": standardised,
        "use_amp": False,
        "patience": 2,
        "reduce_factor": 0.95,
        "q": 0.95,
        "coarse_loss_clip": True,
        # Of HTDemucs only.
        "channels": config["audio_channels"],
        "samplerate": rate,
        "segment": segment / rate,
    }
    low, high = GAINS
    return {
        "audio": {
            "chunk_size": segment,
            "num_channels": config["audio_channels"],
            "sample_rate": rate,
            "min_mean_abs": 0.0,
        },
        "augmentations": {
            "enable": True,
            "loudness": True,
            "loudness_min": low,
            "loudness_max": high,
        },
        "training": training,
        "inference": {"batch_size": 1, "num_overlap": 1, "normalize": standardised},
    } | SECTIONS[network.architecture](dict(config))
