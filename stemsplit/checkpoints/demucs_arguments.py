"""Translation of the published Demucs classes' arguments to our networks' configurations.

The official files hold the arguments their network was built with (demucs 4.1.0; for the first
generation, demucs 1 and 2.0.3). The arguments of each class fall into three groups; any other
argument is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemsplit.models import demucs, demucs_layers, hdemucs, htdemucs


@dataclass(frozen=True, slots=True, kw_only=True)
class Constructor:
    """A published class: its name in this program, and how to translate its arguments."""

    architecture: str  # module:Class
    version: str  # of Demucs, for display
    #: Arguments that our configuration has too: our name, and the published default.
    fields: Mapping[str, tuple[str, Any]]
    #: Arguments for which our network supports a single value.
    implemented: Mapping[str, Any]
    #: Arguments that only training reads, or that an argument above switches off.
    without_effect: frozenset[str]

    def translate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return our configuration for the published constructor's ``arguments``.

        Raises ``ValueError`` for an argument or a value that our network does not support.
        """
        for name, value in arguments.items():
            if name in self.fields or name in self.without_effect:
                continue
            if name not in self.implemented:
                raise ValueError(f"unknown argument {name}")
            expected = self.implemented[name]
            # An empty list of bands means no bands.
            if value != expected and not (value == [] and expected is None):
                raise ValueError(f"{name} is {value!r}, not {expected!r}")
        return {ours: arguments.get(name, default) for name, (ours, default) in self.fields.items()}


def _same(**defaults: Any) -> dict[str, tuple[str, Any]]:
    """Return fields with the same name in our configuration, with their published defaults."""
    return {name: (name, default) for name, default in defaults.items()}


HTDEMUCS = Constructor(
    architecture="htdemucs:HTDemucs",
    version="v4",
    fields={
        "samplerate": ("sample_rate", 44_100),
        **_same(
            sources=None,
            segment=10,  # in seconds
            audio_channels=2,
            channels=48,
            depth=4,
            nfft=4096,
            bottom_channels=0,
            t_layers=5,
            t_heads=8,
            dconv_mode=1,
        ),
    },
    implemented={
        "channels_time": None,
        "growth": htdemucs.GROWTH,
        "cac": True,
        "rewrite": True,
        "multi_freqs": None,
        "freq_emb": demucs_layers.FREQUENCY_EMBEDDING_WEIGHT,
        "emb_scale": demucs_layers.FREQUENCY_EMBEDDING_SCALE,
        "kernel_size": htdemucs.KERNEL_SIZE,
        "stride": htdemucs.STRIDE,
        "context": 1,
        "context_enc": 0,
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
    },
    # The tensor names show where norms start.
    without_effect=frozenset(
        {
            *("wiener_iters", "end_iters", "wiener_residual", "multi_freqs_depth", "time_stride"),
            *("emb_smooth", "dconv_init", "rescale", "norm_starts", "norm_groups"),
            *("t_dropout", "t_weight_decay", "t_lr", "t_max_positions"),
            *("t_cape_mean_normalize", "t_cape_augment", "t_cape_glob_loc_scale"),
            *("t_mask_type", "t_mask_random_seed", "t_sparse_attn_window", "t_global_window"),
            *("t_sparsity", "t_auto_sparsity"),
        }
    ),
)

#: Fields that HDemucs and Demucs v3 have in common.
_RESIDUAL_BRANCHES = _same(
    norm_starts=4,
    norm_groups=4,
    dconv_mode=1,
    dconv_depth=2,
    dconv_comp=4,
    dconv_attn=4,
    dconv_lstm=4,
)

HDEMUCS = Constructor(
    architecture="hdemucs:HDemucs",
    version="v3",
    fields={
        "samplerate": ("sample_rate", 44_100),
        **_same(
            sources=None,
            segment=40,
            audio_channels=2,
            channels=48,
            channels_time=None,
            nfft=4096,
            cac=True,
            depth=6,
            hybrid_old=False,
            multi_freqs=None,
            multi_freqs_depth=2,
            time_stride=2,
            wiener_iters=0,
            wiener_residual=False,
        ),
        **_RESIDUAL_BRANCHES,
    },
    implemented={
        "growth": hdemucs.GROWTH,
        "rewrite": True,
        "hybrid": True,
        "freq_emb": demucs_layers.FREQUENCY_EMBEDDING_WEIGHT,
        "emb_scale": demucs_layers.FREQUENCY_EMBEDDING_SCALE,
        "kernel_size": hdemucs.KERNEL_SIZE,
        "stride": hdemucs.STRIDE,
        "context": 1,
        "context_enc": 0,
    },
    without_effect=frozenset({"end_iters", "emb_smooth", "dconv_init", "rescale"}),
)

DEMUCS_V3 = Constructor(
    architecture="demucs:DemucsV3",
    version="v3",
    fields={
        "samplerate": ("sample_rate", 44_100),
        **_same(
            sources=None,
            segment=40,
            audio_channels=2,
            channels=64,
            depth=6,
            gelu=True,
            resample=True,
            normalize=True,
            lstm_layers=0,
        ),
        **_RESIDUAL_BRANCHES,
    },
    implemented={
        "growth": demucs.GROWTH,
        "rewrite": True,
        "kernel_size": demucs_layers.KERNEL_SIZE,
        "stride": demucs_layers.STRIDE,
        "context": demucs.CONTEXT,
        "glu": True,
    },
    without_effect=frozenset({"dconv_init", "rescale"}),
)

DEMUCS = Constructor(
    architecture="demucs:Demucs",
    version="v1 or v2",
    fields={
        "samplerate": ("sample_rate", 44_100),
        "segment_length": ("segment", 1_764_000),  # in samples; v1 does not have it
        **_same(
            sources=4,
            audio_channels=2,
            channels=64,
            depth=6,
            glu=True,
            lstm_layers=2,
            resample=None,  # on by default in v2; not available in v1
        ),
    },
    implemented={
        "rewrite": True,
        "upsample": False,
        "kernel_size": demucs_layers.KERNEL_SIZE,
        "stride": demucs_layers.STRIDE,
        "growth": demucs.GROWTH,
        "context": 1 + 2 * demucs.CONTEXT,
        "normalize": False,
    },
    without_effect=frozenset({"rescale"}),
)
