"""The YAML files in which the community describes the network of a checkpoint.

The layout is that of Music-Source-Separation-Training (MSST): ``audio`` and ``inference`` describe
what the network is run on, ``model`` its layers, ``training`` its stems. A key that affects the
output and has no counterpart here is refused by name, as is any unknown key; the keys without
effect are listed below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.checkpoints.toml_table import Table
from stemsplit.errors import UsageError
from stemsplit.plain_yaml import read_yaml

#: Whole sections that only training reads.
TRAINING_ONLY = ("augmentations", "augmentation", "loss_multistft", "optimizer", "scheduler")
#: Keys of ``audio`` that the network's own section repeats, or that only training reads.
AUDIO_WITHOUT_EFFECT = ("dim_f", "dim_t", "hop_length", "n_fft", "min_mean_abs")
#: Keys of ``inference`` for the batch size, and for settings of other programs.
INFERENCE_WITHOUT_EFFECT = ("batch_size", "dim_t", "extension")
#: Values that MSST hard-codes if the keys are missing.
SAMPLE_RATE, CHANNELS = 44_100, 2
#: By our name of a network, words in file names that mark a variant of it. MSST treats variants as
#: separate networks, although their files have the same keys.
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "mdx23c": ("stht",),  # on a Hartley transform
    "scnet": ("masked", "tran", "unofficial"),
    "bs_roformer": ("conformer", "experimental", "hyperace"),
    "mel_band_roformer": ("conformer", "experimental"),
}


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The network that a YAML file describes."""

    architecture: str  # "module:Class"
    config: dict[str, Any]  # fields of the architecture's configuration
    overlap: float | None  # fraction of a segment, as the community runs this network


def read(path: Path, name: str) -> NetworkConfig:
    """Return the configuration in the file at ``path`` for the network that MSST calls ``name``.

    Raises ``UsageError`` for an unknown name, a file that cannot be read or is not such YAML, a key
    that is missing, unknown or has an invalid value, settings that our network does not support,
    and a file whose name marks it as one for a variant of the network.
    """
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise UsageError(f"unknown architecture {name!r}", hint=f"choose one of: {known}")
    document = Section(path, "", read_yaml(path))
    _refuse_variant(path, name)
    document.skip(*TRAINING_ONLY)
    return NETWORKS[name](document)


def _refuse_variant(path: Path, name: str) -> None:
    """Raise ``UsageError`` if the file's name marks it as one for a variant of ``name``.

    The keys of the file do not show that: MSST takes the name of the network separately.
    """
    words = re.split(r"[^a-z0-9]+", path.stem.lower())
    for variant in VARIANTS.get(name, ()):
        if variant in words:
            raise UsageError(
                f"is for {name}_{variant} according to its name, which is not supported",
                path=path,
                hint=f"if it is for {name}, rename it",
            )


class Section(Table):
    """A section of the file; keys that are null in YAML count as missing."""

    def __init__(self, path: Path | None, place: str, values: object) -> None:
        if isinstance(values, dict):
            values = {str(key): value for key, value in values.items() if value is not None}
        super().__init__(path, place, values)

    def wrong(self, reason: str) -> UsageError:
        return UsageError(f"{self.place}: {reason}" if self.place else reason, path=self.path)

    def section(self, key: str) -> Section:
        """Return the subsection ``key``."""
        return Section(self.path, key, self.take(key, dict))

    def take_switch(self, key: str, default: bool) -> bool:
        """Return the value of ``key``, true or false; ``default`` if it is missing."""
        return self.take_flag(key) if key in self else default

    def expect(self, key: str, value: object, *, default: object = ...) -> None:
        """Raise unless ``key``, or else its ``default``, equals the only supported ``value``."""
        found = self._rest.pop(key, value if default is ... else default)
        if found != value:
            raise self.wrong(
                f"{key} is {found!r:.200}, which is not supported: it must be {value!r}"
            )

    def skip(self, *keys: str) -> None:
        """Ignore ``keys``."""
        for key in keys:
            self._rest.pop(key, None)

    def take_rest(self) -> dict[str, Any]:
        """Return all values that have not been read."""
        rest, self._rest = self._rest, {}
        return rest


# --- Common to all networks ----------------------------------------------------------------------


def _take_common(document: Section, audio: Section) -> tuple[dict[str, Any], float | None]:
    """Return the fields that all configurations have, and the overlap.

    Refuses any other keys in ``document`` and in ``audio``, its section of that name.
    """
    training, inference = document.section("training"), document.section("inference")
    document.refuse_rest()
    segment = audio.take_count("chunk_size", None)
    segment = inference.take_count("chunk_size", segment)
    if segment is None:
        raise audio.wrong("chunk_size is missing")
    fields = {
        "sources": _take_sources(training),
        "segment": segment,
        "sample_rate": audio.take_count("sample_rate", SAMPLE_RATE),
        "audio_channels": audio.take_count("num_channels", CHANNELS),
        "standardised": inference.take_switch("normalize", False),
    }
    audio.skip(*AUDIO_WITHOUT_EFFECT)
    audio.refuse_rest()
    return fields, _take_overlap(inference)


def _take_sources(training: Section) -> list[str]:
    """Return the stems: only the target if one is set, because the network then has no others."""
    target = training.take("target_instrument", str, None)
    return [target] if target else _take_instruments(training)


def _take_instruments(training: Section) -> list[str]:
    instruments = list(training.take_texts("instruments"))
    if not instruments:
        raise training.wrong("instruments is empty")
    return instruments


def _take_overlap(inference: Section) -> float | None:
    count = inference.take_count("num_overlap", None)
    inference.skip(*INFERENCE_WITHOUT_EFFECT)
    inference.refuse_rest()
    return None if count is None else 1 - 1 / count


# --- The networks --------------------------------------------------------------------------------


def _read_bs_roformer(document: Section) -> NetworkConfig:
    model = document.section("model")
    bands = model.take("freqs_per_bands", list, None)
    fields, overlap = _take_roformer(
        document, model, mask_layers=model.take_count("mask_estimator_depth", 2)
    )
    if bands is not None:
        fields["freqs_per_bands"] = bands
    return NetworkConfig("bs_roformer:BSRoformer", fields, overlap)


def _read_mel_band_roformer(document: Section) -> NetworkConfig:
    model = document.section("model")
    bands = model.take_count("num_bands", 60)
    # The published class derives the bands from a rate of its own.
    sample_rate = model.take_count("sample_rate", SAMPLE_RATE)
    # Mel-Band RoFormer counts only hidden layers here, BS-RoFormer all layers.
    fields, overlap = _take_roformer(
        document, model, mask_layers=1 + model.take_count("mask_estimator_depth", 1)
    )
    if sample_rate != fields["sample_rate"]:
        raise model.wrong(f"sample_rate is {sample_rate}, audio: {fields['sample_rate']}")
    return NetworkConfig(
        "mel_band_roformer:MelBandRoformer", {**fields, "num_bands": bands}, overlap
    )


def _take_roformer(
    document: Section, model: Section, *, mask_layers: int
) -> tuple[dict[str, Any], float | None]:
    """Return the fields that both RoFormers have, with the defaults of the published classes."""
    fields, overlap = _take_common(document, document.section("audio"))
    fields |= {
        "dim": model.take_count("dim"),
        "depth": model.take_count("depth"),
        "time_transformer_depth": model.take_count("time_transformer_depth", 2),
        "freq_transformer_depth": model.take_count("freq_transformer_depth", 2),
        "heads": model.take_count("heads", 8),
        "dim_head": model.take_count("dim_head", 64),
        "attn_dropout": model.take("attn_dropout", float | int, 0.0),
        "ff_dropout": model.take("ff_dropout", float | int, 0.0),
        "n_fft": model.take_count("stft_n_fft", 2048),
        "hop_length": model.take_count("stft_hop_length", 512),
        "mask_layers": mask_layers,
        "mask_expansion": model.take_count("mlp_expansion_factor", 4),
        "zero_dc": model.take_switch("zero_dc", True),
        "skip_connection": model.take_switch("skip_connection", False),
    }
    model.expect("stereo", fields["audio_channels"] == 2, default=False)
    model.expect("num_stems", len(fields["sources"]), default=1)
    model.expect("sample_rate", fields["sample_rate"])
    model.expect("linear_transformer_depth", 0)
    model.expect("stft_win_length", fields["n_fft"], default=2048)
    model.expect("stft_normalized", False)
    model.expect("use_pope", False)
    model.skip("flash_attn", "sage_attention", "use_torch_checkpoint", "dim_freqs_in")
    model.skip("match_input_audio_length", "multi_stft_resolution_loss_weight")
    model.skip("multi_stft_resolutions_window_sizes", "multi_stft_hop_size")
    model.skip("multi_stft_normalized")
    model.refuse_rest()
    return fields, overlap


def _read_scnet(document: Section) -> NetworkConfig:
    model = document.section("model")
    fields, overlap = _take_common(document, document.section("audio"))
    stems = list(model.take_texts("sources", ["drums", "bass", "other", "vocals"]))
    if stems != fields["sources"]:
        raise model.wrong(f"sources are {', '.join(stems)}; training: {fields['sources']}")
    if not (dims := model.take("dims", list, [4, 32, 64, 128])):
        raise model.wrong("dims is empty")
    first, *dims = dims
    if first != 2 * fields["audio_channels"]:
        raise model.wrong(f"dims begin with {first!r}, not {2 * fields['audio_channels']}")
    model.expect("audio_channels", fields["audio_channels"], default=CHANNELS)
    fields |= {
        "n_fft": model.take_count("nfft", 4096),
        "hop_length": model.take_count("hop_size", 1024),
        "normalized": model.take_switch("normalized", True),
        "dims": dims,
        "band_ratios": model.take("band_SR", list, [0.175, 0.392, 0.433]),
        "band_strides": model.take("band_stride", list, [1, 4, 16]),
        "band_kernels": model.take("band_kernel", list, [3, 4, 16]),
        "conv_depths": model.take("conv_depths", list, [3, 2, 1]),
        "compression": model.take_count("compress", 4),
        "conv_kernel": model.take_count("conv_kernel", 3),
        "dual_path_layers": model.take_count("num_dplayer", 6),
        "expansion": model.take_count("expand", 1),
    }
    model.expect("win_size", fields["n_fft"], default=4096)
    model.refuse_rest()
    return NetworkConfig("scnet:SCNet", fields, overlap)


def _read_mdx23c(document: Section) -> NetworkConfig:
    audio, model = document.section("audio"), document.section("model")
    spectrogram = {
        "n_fft": audio.take_count("n_fft"),
        "hop_length": audio.take_count("hop_length"),
        "bins": audio.take_count("dim_f"),
    }
    fields, overlap = _take_common(document, audio)
    fields |= spectrogram | {
        "subbands": model.take_count("num_subbands"),
        "scales": model.take_count("num_scales"),
        "scale": model.take("scale", list),
        "blocks_per_scale": model.take_count("num_blocks_per_scale"),
        "channels": model.take_count("num_channels"),
        "growth": model.take_count("growth"),
        "bottleneck_factor": model.take_count("bottleneck_factor"),
        "norm": model.take("norm", str),
        "activation": model.take("act", str),
    }
    model.refuse_rest()
    return NetworkConfig("mdx23c:MDX23C", fields, overlap)


def _read_htdemucs(document: Section) -> NetworkConfig:
    """Return the configuration of an HTDemucs, which has the arguments of Demucs' own class."""
    from stemsplit.checkpoints.demucs_arguments import HTDEMUCS

    document.expect("model", "htdemucs", default="none")
    document.skip("audio")  # ``training`` repeats all of it
    arguments, training = document.section("htdemucs"), document.section("training")
    overlap = _take_overlap(document.section("inference"))
    document.refuse_rest()
    arguments.expect("num_subbands", 1)
    arguments.skip("use_train_segment")  # all segments have full length here
    sample_rate = training.take_count("samplerate")
    try:
        fields = HTDEMUCS.translate(
            {
                **arguments.take_rest(),
                "samplerate": sample_rate,
                "audio_channels": training.take_count("channels"),
                "sources": _take_instruments(training),
            }
        )
    except ValueError as exc:
        raise arguments.wrong(str(exc)) from exc
    fields["segment"] = round(training.take("segment", float | int) * sample_rate)
    return NetworkConfig(HTDEMUCS.architecture, fields, overlap)


#: The readers, by MSST's names of the networks.
NETWORKS: Mapping[str, Callable[[Section], NetworkConfig]] = {
    "bs_roformer": _read_bs_roformer,
    "mel_band_roformer": _read_mel_band_roformer,
    "scnet": _read_scnet,
    "mdx23c": _read_mdx23c,
    "htdemucs": _read_htdemucs,
}
