"""The official files of Conv-TasNet: Demucs v2's for music, torchaudio's for speech.

Both (``tasnet-beb46fac.th``, ``conv_tasnet_base_libri2mix.pt``) are plain pickled dicts of tensors.
The tensors have the same names as in our own networks, and the sizes follow from their shapes. No
tensor shows the activations, dilations or norms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from stemsplit.checkpoints.pickles import read_state
from stemsplit.checkpoints.settings import Settings, check_stems
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.conv_tasnet import SpeechConvTasNetConfig

MUSIC, SPEECH = "conv_tasnet:ConvTasNet", "conv_tasnet:SpeechConvTasNet"
#: Settings that the tensors do not show. gLN, cLN and causal networks use the same tensor names.
OPEN_MUSIC = ("sources", "sample_rate", "mask", "norm_type", "causal")
#: The total number of blocks is known, but not after how many of them the dilations restart.
OPEN_SPEECH = ("sources", "sample_rate", "mask", "blocks")


def read_music(path: Path, settings: Settings) -> Weights:
    """Return the weights in a file of Demucs v2's Conv-TasNet; ``settings`` hold `OPEN_MUSIC`.

    Raises ``CheckpointError`` for any other file, and if a setting is unknown.
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
    known = settings.require(path, MUSIC, OPEN_MUSIC)
    check_stems(known.get("sources"), sources, path)
    return Weights(
        architecture=MUSIC,
        config={
            **known,
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


def read_speech(path: Path, settings: Settings) -> Weights:
    """Return the weights in a file of torchaudio's Conv-TasNet; ``settings`` hold `OPEN_SPEECH`.

    Raises ``CheckpointError`` for any other file, and if a setting is unknown.
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
    known = settings.require(path, SPEECH, OPEN_SPEECH)
    check_stems(known.get("sources"), sources, path)
    count = _count(state, f"{blocks}.")
    in_repeat = known.setdefault("blocks", SpeechConvTasNetConfig().blocks)
    if in_repeat < 1 or count % in_repeat:
        raise CheckpointError(f"has {count} blocks, not a multiple of {in_repeat}", path=path)
    return Weights(
        architecture=SPEECH,
        config={
            **known,
            "filters": filters,
            "filter_length": filter_length,
            "bottleneck": bottleneck,
            "hidden": hidden,
            "skip": skip,
            "kernel": kernel,
            "repeats": count // in_repeat,
        },
        state=state,
        origin="torchaudio Conv-TasNet weights",
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many numbered parts follow ``prefix``."""
    names = (name.removeprefix(prefix) for name in state if name.startswith(prefix))
    return len({name.partition(".")[0] for name in names})
