"""The official files of Demucs v4 (``955717e8-8726e21a.th``): pickles of a class and its weights.

Such a file is a dict of ``klass`` (the class object), ``args`` and ``kwargs`` (of its constructor),
``state`` (tensors in half precision) and, unread here, ``training_args`` and ``metrics``.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from stemsplit.checkpoints.convert import read_pickle
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError
from stemsplit.models import htdemucs


class PublishedHTDemucs:
    """Stands for the class object in the file; it does nothing."""


class Unread:
    """Stands for numbers among the metrics, which nothing reads; it keeps none of its arguments."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


#: All that the official files name beside tensors and containers.
ALLOWED = {
    "demucs.htdemucs.HTDemucs": PublishedHTDemucs,
    "fractions.Fraction": Fraction,
    "numpy.dtype": Unread,
    "numpy.core.multiarray.scalar": Unread,
    "numpy._core.multiarray.scalar": Unread,
}

# The arguments of the published constructor (demucs 4.1.0), in three groups.

#: What our configuration has too: its name there, and the published default.
FIELDS: dict[str, tuple[str, Any]] = {
    "sources": ("sources", None),
    "samplerate": ("sample_rate", 44_100),
    "segment": ("segment", 10),  # in seconds
    "audio_channels": ("audio_channels", 2),
    "channels": ("channels", 48),
    "depth": ("depth", 4),
    "nfft": ("nfft", 4096),
    "bottom_channels": ("bottom_channels", 0),
    "t_layers": ("t_layers", 5),
    "t_heads": ("t_heads", 8),
}
#: What our network does in one way only.
IMPLEMENTED: dict[str, Any] = {
    "channels_time": None,
    "growth": htdemucs.GROWTH,
    "cac": True,
    "rewrite": True,
    "multi_freqs": None,
    "freq_emb": htdemucs.FREQUENCY_EMBEDDING_WEIGHT,
    "emb_scale": htdemucs.FREQUENCY_EMBEDDING_SCALE,
    "kernel_size": htdemucs.KERNEL_SIZE,
    "stride": htdemucs.STRIDE,
    "context": 1,
    "context_enc": 0,
    "dconv_mode": 3,
    "dconv_depth": htdemucs.DCONV_DEPTH,
    "dconv_comp": htdemucs.DCONV_COMPRESSION,
    "t_emb": "sin",
    "t_hidden_scale": htdemucs.HIDDEN_SCALE,
    "t_norm_in": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_max_period": htdemucs.MAX_PERIOD,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_weight_pos_embed": 1.0,
    "t_sin_random_shift": 0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_cross_first": False,
    "use_train_segment": True,
}
#: What only training reads, what another argument above switches off, and where norms start, which
#: the names of the tensors tell.
WITHOUT_EFFECT = frozenset(
    {
        *("wiener_iters", "end_iters", "wiener_residual", "multi_freqs_depth", "time_stride"),
        *("emb_smooth", "dconv_init", "rescale", "norm_starts", "norm_groups"),
        *("t_dropout", "t_weight_decay", "t_lr", "t_max_positions"),
        *("t_cape_mean_normalize", "t_cape_augment", "t_cape_glob_loc_scale"),
        *("t_mask_type", "t_mask_random_seed", "t_sparse_attn_window", "t_global_window"),
        *("t_sparsity", "t_auto_sparsity"),
    }
)


def read(path: Path) -> Weights:
    """Return the weights in an official file.

    Raises ``CheckpointError`` for a pickle that names more than :data:`ALLOWED`, for weights that
    are quantised, and for an argument that our network cannot honour, by its name.
    """
    package = read_pickle(path, ALLOWED)
    if not (
        isinstance(package, dict)
        and package.get("klass") is PublishedHTDemucs
        and package.get("args") == ()
        and isinstance(package.get("kwargs"), dict)
        and isinstance(package.get("state"), dict)
    ):
        raise CheckpointError("not a checkpoint of Demucs v4", path=path)
    state = package["state"]
    if not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError("its weights are quantised, which is not supported", path=path)
    try:
        config = _translate(package["kwargs"])
    except (ArithmeticError, LookupError, TypeError, ValueError) as exc:
        reason = f"made for a network that is not supported: {exc}"
        raise CheckpointError(reason, path=path) from exc
    return Weights(
        architecture="htdemucs:HTDemucs",
        config=config,
        state={name: tensor.float() for name, tensor in state.items()},
        origin="Demucs v4 checkpoint",
    )


def _translate(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return our configuration for the published constructor's ``arguments``.

    Raises ``ValueError`` for an argument, or a value of one, that our network cannot honour.
    """
    for name, value in arguments.items():
        if name in FIELDS or name in WITHOUT_EFFECT:
            continue
        if name not in IMPLEMENTED:
            raise ValueError(f"unknown argument {name}")
        # An empty list of bands is no bands.
        if value != IMPLEMENTED[name] and not (value == [] and IMPLEMENTED[name] is None):
            raise ValueError(f"{name} is {value!r}, not {IMPLEMENTED[name]!r}")
    values = {ours: arguments.get(name, default) for name, (ours, default) in FIELDS.items()}
    values["sources"] = [str(source) for source in values["sources"]]
    values["segment"] = int(values["segment"] * values["sample_rate"])
    return values
