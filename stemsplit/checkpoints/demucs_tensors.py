"""Demucs files of bare tensors: those of v2, and of torchaudio's Hybrid Demucs.

The sizes of the network follow from the shapes of the tensors, its layers from their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from stemsplit.checkpoints.demucs_arguments import DEMUCS, HDEMUCS
from stemsplit.checkpoints.pickles import read_state
from stemsplit.checkpoints.settings import Settings, check_stems
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models.demucs import DemucsConfig
from stemsplit.models.demucs_layers import EPSILON
from stemsplit.models.hdemucs import HDemucsConfig

#: Settings that the tensors do not show. Resampling and standardising have no weights.
OPEN_V2 = ("sources", "sample_rate", "resample", "stride", "normalize")
#: The same for torchaudio's network, whose three sizes are for different sample rates.
OPEN_TORCHAUDIO = ("sources", "sample_rate", "norm_groups", "stride", "freq_emb", "emb_scale")
#: Segment length (s) of v2, and of torchaudio's network in its tutorial.
V2_SECONDS, TORCHAUDIO_SECONDS = 40, 10


def read_v2(path: Path, settings: Settings) -> Weights:
    """Return the weights in a published v2 file; ``settings`` hold `OPEN_V2`.

    Raises ``CheckpointError`` for any other file, and if a setting is unknown.
    """
    state = read_state(path, "not a dict of weights")
    try:
        channels, audio_channels, _ = state["encoder.0.0.weight"].shape
        depth = _count(state, "encoder")
        outputs = state[f"decoder.{depth - 1}.2.weight"].shape[1]
    except (LookupError, ValueError) as exc:
        raise CheckpointError("not the weights of Demucs v2", path=path) from exc
    known = settings.require(path, DEMUCS.architecture, OPEN_V2)
    check_stems(known.get("sources"), outputs // audio_channels, path)
    sample_rate = known.setdefault("sample_rate", DemucsConfig().sample_rate)
    return Weights(
        architecture=DEMUCS.architecture,
        config={
            **known,
            "audio_channels": audio_channels,
            "channels": channels,
            "depth": depth,
            "lstm_layers": sum(name.startswith("lstm.lstm.weight_ih_l") for name in state) // 2,
            "skip": "add",
            "segment": V2_SECONDS * sample_rate,
        },
        state=without_scale(state, path),
        origin="Demucs v2 weights",
    )


def without_scale(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return v2's weights for a network that does not scale its input.

    Without standardisation, v2 divides its input by 1 + 1e-5. Divide the weights of the first
    convolution instead.
    """
    name = "encoder.0.0.weight"
    if name not in state:
        raise CheckpointError(f"not Demucs v2: {name} is missing", path=path)
    return {**state, name: state[name] / (1 + EPSILON)}


#: torchaudio's names of the branches, and the only tensors it stores but never uses.
BRANCHES = {
    "freq_encoder": "encoder",
    "freq_decoder": "decoder",
    "time_encoder": "tencoder",
    "time_decoder": "tdecoder",
}
_UNREAD = re.compile(r"time_encoder\.(\d+)\.norm1\.(weight|bias)")


def read_torchaudio(path: Path, settings: Settings) -> Weights:
    """Return the weights in a file of torchaudio's HDemucs; ``settings`` hold `OPEN_TORCHAUDIO`.

    Raises ``CheckpointError`` for any other file, and if a setting is unknown.
    """
    published = read_state(path, "not a dict of weights")
    try:
        channels, parts, *_ = published["freq_encoder.0.conv.weight"].shape
        depth, depth_time = _count(published, "freq_encoder"), _count(published, "time_encoder")
        outputs = published[f"freq_decoder.{depth - 1}.conv_tr.weight"].shape[1]
        rows = len(published["freq_emb.embedding.weight"])
    except (LookupError, ValueError) as exc:
        raise CheckpointError("not the weights of torchaudio's HDemucs", path=path) from exc
    known = settings.require(path, HDEMUCS.architecture, OPEN_TORCHAUDIO)
    check_stems(known.get("sources"), outputs // parts, path)
    sample_rate = known.setdefault("sample_rate", HDemucsConfig().sample_rate)
    state = {}
    for name, tensor in published.items():
        unread = _UNREAD.fullmatch(name)
        if not (unread and int(unread[1]) == depth_time - 1):
            branch, _, rest = name.partition(".")
            state[f"{BRANCHES.get(branch, branch)}.{rest}"] = tensor
    return Weights(
        architecture=HDEMUCS.architecture,
        config={
            **known,
            "audio_channels": parts // 2,
            "channels": channels,
            "depth": depth,
            "nfft": 8 * rows,  # nfft / 2 bins, which the first layer reduces to a quarter
            "segment": TORCHAUDIO_SECONDS * sample_rate,
        },
        state=state,
        origin="torchaudio HDemucs weights",
    )


def _count(state: Mapping[str, Tensor], branch: str) -> int:
    """Return how many layers the ``branch`` of a network has."""
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith(f"{branch}."))
