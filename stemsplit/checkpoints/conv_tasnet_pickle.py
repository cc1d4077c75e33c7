"""The official files of Conv-TasNet: that of Demucs v2 for music, that of torchaudio for speech.

Both (``tasnet-beb46fac.th``, ``conv_tasnet_base_libri2mix.pt``) are pickled dicts of tensors and
nothing else; the tensors are called as in our own networks, and the sizes follow from their shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from stemsplit.checkpoints.pickles import read_state
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.conv_tasnet import ConvTasNetConfig


def read_music(path: Path) -> Weights:
    """Return the weights in a file of Conv-TasNet that Demucs v2 published.

    Raises ``CheckpointError`` where it is something else.
    """
    reason = "not the weights of a Conv-TasNet of Demucs v2"
    state = read_state(path, reason)
    blocks = "separator.network.2"
    try:
        filters, audio_channels, filter_length = state["encoder.conv1d_U.weight"].shape
        hidden, bottleneck, _ = state[f"{blocks}.0.0.net.0.weight"].shape
        kernel = state[f"{blocks}.0.0.net.3.net.0.weight"].shape[2]
        sources = state["separator.network.3.weight"].shape[0] // filters
    except (LookupError, ValueError) as exc:
        raise CheckpointError(reason, path=path) from exc
    names = ConvTasNetConfig().sources
    if sources != len(names):
        raise CheckpointError(f"gives {sources} stems, whose names are unknown", path=path)
    return Weights(
        architecture="conv_tasnet:ConvTasNet",
        config={
            "sources": list(names),
            "audio_channels": audio_channels,
            "filters": filters,
            "filter_length": filter_length,
            "bottleneck": bottleneck,
            "hidden": hidden,
            "kernel": kernel,
            "blocks": _count(state, f"{blocks}.0."),
            "repeats": _count(state, f"{blocks}."),
        },
        state=state,
        origin="Demucs v2 Conv-TasNet weights",
    )


def read_speech(path: Path) -> Weights:
    """Return the weights in a file of torchaudio's Conv-TasNet.

    Raises ``CheckpointError`` where it is something else.
    """
    reason = "not the weights of torchaudio's Conv-TasNet"
    state = read_state(path, reason)
    blocks = "mask_generator.conv_layers"
    try:
        filters, _, filter_length = state["encoder.weight"].shape
        hidden, bottleneck, _ = state[f"{blocks}.0.conv_layers.0.weight"].shape
        kernel = state[f"{blocks}.0.conv_layers.3.weight"].shape[2]
        skip = state[f"{blocks}.0.skip_out.weight"].shape[0]
        sources = state["mask_generator.output_conv.weight"].shape[0] // filters
    except (LookupError, ValueError) as exc:
        raise CheckpointError(reason, path=path) from exc
    # Dilations, which distinguish the repeats, are in no tensor: torchaudio repeats eight blocks.
    count, in_repeat = _count(state, f"{blocks}."), 8
    if count % in_repeat:
        raise CheckpointError(f"has {count} blocks, not repeats of {in_repeat}", path=path)
    return Weights(
        architecture="conv_tasnet:SpeechConvTasNet",
        config={
            "sources": [f"speaker{index + 1}" for index in range(sources)],
            "filters": filters,
            "filter_length": filter_length,
            "bottleneck": bottleneck,
            "hidden": hidden,
            "skip": skip,
            "kernel": kernel,
            "blocks": in_repeat,
            "repeats": count // in_repeat,
            # The paper has a sigmoid; torchaudio found ReLU to work better.
            "mask": "relu",
        },
        state=state,
        origin="torchaudio Conv-TasNet weights",
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered parts follow ``prefix``."""
    names = (name.removeprefix(prefix) for name in state if name.startswith(prefix))
    return len({name.partition(".")[0] for name in names})
