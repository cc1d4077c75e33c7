"""Files of Demucs that are tensors alone: those of v2, and of torchaudio's Hybrid Demucs.

The sizes of the network follow from the shapes of the tensors, and its layers from their names.
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

#: What the tensors leave open. Resampling and standardising have no weights.
OPEN_V2 = ("sources", "sample_rate", "resample", "stride", "normalize")
#: The same for torchaudio's, of which the three sizes of the network are for different rates.
OPEN_TORCHAUDIO = ("sources", "sample_rate", "norm_groups", "stride", "freq_emb", "emb_scale")
#: Seconds that v2 is run on at a time, and torchaudio's network in its tutorial.
V2_SECONDS, TORCHAUDIO_SECONDS = 40, 10


def read_v2(path: Path, settings: Settings) -> Weights:
    """Return the weights in a file that v2 published; ``settings`` are `OPEN_V2`.

    Raises ``CheckpointError`` where it is something else, or a setting is not known.
    """
    state = read_state(path, "not a dict of weights")
    try:
        channels, audio_channels, _ = state["encoder.0.0.weight"].shape
        depth = _count(state, "encoder")
        outputs = state[f"decoder.{depth - 1}.2.weight"].shape[1]
    except (LookupError, ValueError) as exc:
        raise CheckpointError("not the weights of a Demucs of v2", path=path) from exc
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
    """Return the weights of v2 for a network that takes its input as it is.

    v2 divides its input by 1 + 1e-5, where it would otherwise standardise it; so its first
    convolution does.
    """
    name = "encoder.0.0.weight"
    if name not in state:
        raise CheckpointError(f"not a Demucs of v2: {name} is missing", path=path)
    return {**state, name: state[name] / (1 + EPSILON)}


#: What torchaudio calls the branches, and the one tensor it keeps although nothing reads it.
BRANCHES = {
    "freq_encoder": "encoder",
    "freq_decoder": "decoder",
    "time_encoder": "tencoder",
    "time_decoder": "tdecoder",
}
_UNREAD = re.compile(r"time_encoder\.(\d+)\.norm1\.(weight|bias)")


def read_torchaudio(path: Path, settings: Settings) -> Weights:
    """Return the weights in a file of torchaudio's HDemucs; ``settings`` are `OPEN_TORCHAUDIO`.

    Raises ``CheckpointError`` where it is something else, or a setting is not known.
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
            "nfft": 8 * rows,  # half of the bins are left out, and three of four rows are merged
            "segment": TORCHAUDIO_SECONDS * sample_rate,
        },
        state=state,
        origin="torchaudio HDemucs weights",
    )


def _count(state: Mapping[str, Tensor], branch: str) -> int:
    """Return how many layers the ``branch`` of a network has."""
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith(f"{branch}."))
