"""What YAML files of the community say of a network, and what of it cannot be honoured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.checkpoints import msst_config
from stemsplit.checkpoints.registry import resolve
from stemsplit.cli.model_convert import Architecture
from stemsplit.errors import UsageError
from stemsplit.models import build

# In the layout of the published files; the values are theirs, the comments and the order not.
BS_ROFORMER = """
audio: {chunk_size: 131584, dim_f: 1024, dim_t: 256, hop_length: 512, n_fft: 2048,
        num_channels: 2, sample_rate: 44100, min_mean_abs: 0.001}
model:
  dim: 384
  depth: 12
  stereo: true
  num_stems: 1
  time_transformer_depth: 1
  freq_transformer_depth: 1
  linear_transformer_depth: 0
  freqs_per_bands: !!python/tuple [BANDS]
  dim_head: 64
  heads: 8
  attn_dropout: 0.1
  ff_dropout: 0.1
  flash_attn: true
  dim_freqs_in: 1025
  stft_n_fft: 2048
  stft_hop_length: 512
  stft_win_length: 2048
  stft_normalized: false
  mask_estimator_depth: 2
  multi_stft_resolution_loss_weight: 1.0
  multi_stft_resolutions_window_sizes: !!python/tuple
  - 4096
  - 256
  multi_stft_hop_size: 147
  multi_stft_normalized: False
training: {batch_size: 4, instruments: [vocals, other], lr: 5.0e-05, target_instrument: other}
augmentations: {enable: true, mixup_probs: !!python/tuple [0.2, 0.02]}
inference: {batch_size: 8, dim_t: 512, num_overlap: 2}
""".replace("BANDS", ", ".join(["2"] * 24 + ["4"] * 12 + ["12"] * 8 + ["24"] * 8 + ["48"] * 8))
BS_ROFORMER = BS_ROFORMER.replace("48]", "48, 128, 129]")

MEL_BAND_ROFORMER = """
audio: {chunk_size: 352800, num_channels: 2, sample_rate: 44100, min_mean_abs: 0.0}
model: {dim: 384, depth: 6, stereo: true, num_stems: 1, time_transformer_depth: 1,
  freq_transformer_depth: 1, num_bands: 60, dim_head: 64, heads: 8, attn_dropout: 0,
  ff_dropout: 0, flash_attn: True, dim_freqs_in: 1025, sample_rate: 44100, stft_n_fft: 2048,
  stft_hop_length: 441, stft_win_length: 2048, stft_normalized: False, mask_estimator_depth: 2}
training: {instruments: [vocals, other], target_instrument: vocals}
inference: {batch_size: 4, dim_t: 256, num_overlap: 2}
"""

SCNET = """
audio: {chunk_size: 485100, num_channels: 2, sample_rate: 44100, min_mean_abs: 0.000}
model:
  sources: [drums, bass, other, vocals]
  audio_channels: 2
  dims: [4, 64, 128, 256]
  nfft: 4096
  hop_size: 1024
  win_size: 4096
  normalized: True
  band_SR: [0.225, 0.372, 0.403]
  band_stride: [1, 4, 16]
  band_kernel: [3, 4, 16]
  conv_depths: [3, 2, 1]
  compress: 4
  conv_kernel: 3
  num_dplayer: 6
  expand: 1
training: {instruments: [drums, bass, other, vocals], target_instrument: null}
inference: {batch_size: 8, dim_t: 256, num_overlap: 4, normalize: false}
"""

MDX23C = """
audio: {chunk_size: 261120, dim_f: 4096, dim_t: 256, hop_length: 1024, n_fft: 8192,
        num_channels: 2, sample_rate: 44100, min_mean_abs: 0.001}
model: {act: gelu, bottleneck_factor: 4, growth: 128, norm: InstanceNorm,
        num_blocks_per_scale: 2, num_channels: 128, num_scales: 5, num_subbands: 4, scale: [2, 2]}
training: {instruments: [vocals, bass, drums, other], target_instrument: null}
inference: {batch_size: 1, dim_t: 256, num_overlap: 4}
"""

HTDEMUCS = """
audio: {chunk_size: 485100, min_mean_abs: 0.001, hop_length: 1024}
model: htdemucs
htdemucs: {channels: 48, channels_time: , growth: 2, num_subbands: 1, nfft: 4096, cac: true,
  wiener_iters: 0, end_iters: 0, wiener_residual: false, depth: 4, rewrite: true, multi_freqs: [],
  multi_freqs_depth: 3, freq_emb: 0.2, emb_scale: 10, emb_smooth: true, kernel_size: 8, stride: 4,
  time_stride: 2, context: 1, context_enc: 0, norm_starts: 4, norm_groups: 4, dconv_mode: 3,
  dconv_depth: 2, dconv_comp: 8, dconv_init: 1e-3, bottom_channels: 512, t_layers: 5, t_heads: 8,
  t_hidden_scale: 4.0, t_dropout: 0.0, t_layer_scale: True, t_gelu: True, t_emb: sin, t_lr: ,
  t_norm_in: True, t_norm_in_group: False, t_group_norm: False, t_norm_first: True,
  t_norm_out: True, t_cross_first: False, rescale: 0.1}
training: {instruments: [drums, bass, other, vocals], target_instrument: null, segment: 11,
  samplerate: 44100, channels: 2, normalize: true}
inference: {num_overlap: 4}
"""


def read(text: str, name: str, folder: Path) -> msst_config.NetworkConfig:
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return msst_config.read(path, name)


def whole(architecture: str, config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the network of ``config``, with what that leaves out."""
    with torch.device("meta"):
        return build(architecture, config).config


@pytest.mark.parametrize(
    ("name", "text", "model", "overlap"),
    [
        ("bs_roformer", BS_ROFORMER, "bs_roformer.viperx_1053", 0.5),
        ("mel_band_roformer", MEL_BAND_ROFORMER, "mel_band_roformer.kim", 0.5),
        ("scnet", SCNET, "scnet.large_zfturbo", 0.75),
        ("mdx23c", MDX23C, "mdx23c.musdb", 0.75),
        ("htdemucs", HTDEMUCS, "htdemucs", 0.75),
    ],
)
def test_published_files_say_what_the_registry_says(
    name: str, text: str, model: str, overlap: float, tmp_path: Path
) -> None:
    found = read(text, name, tmp_path)
    entry = resolve(model)
    assert (found.architecture, found.overlap) == (entry.architecture, overlap)
    expected = whole(entry.architecture, entry.config)
    if name == "htdemucs":  # which MSST runs on longer segments
        expected |= {"segment": 485_100}
    dropout = {"attn_dropout", "ff_dropout"}  # counts in training only
    config = whole(found.architecture, found.config)
    assert {k: v for k, v in config.items() if k not in dropout} == {
        k: v for k, v in expected.items() if k not in dropout
    }


def test_defaults_are_those_of_the_published_classes(tmp_path: Path) -> None:
    text = """
audio: {chunk_size: 1000, num_channels: 1}
model: {dim: 8, depth: 1}
training: {instruments: [a]}
inference: {}
"""
    bs, mel = (read(text, name, tmp_path) for name in ("bs_roformer", "mel_band_roformer"))
    assert bs.overlap is None
    assert bs.config["sample_rate"] == 44_100
    assert bs.config["time_transformer_depth"] == bs.config["freq_transformer_depth"] == 2
    assert (bs.config["n_fft"], bs.config["hop_length"]) == (2048, 512)
    assert bs.config["mask_layers"] == mel.config["mask_layers"] == 2
    assert mel.config["num_bands"] == 60


def test_a_mode_of_branches_left_out_is_that_of_the_published_class(tmp_path: Path) -> None:
    assert " dconv_mode: 3," in HTDEMUCS
    assert read(HTDEMUCS, "htdemucs", tmp_path).config["dconv_mode"] == 3
    without = HTDEMUCS.replace(" dconv_mode: 3,", "")
    assert read(without, "htdemucs", tmp_path).config["dconv_mode"] == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bs_roformer", BS_ROFORMER),
        ("mel_band_roformer", MEL_BAND_ROFORMER),
        ("scnet", SCNET.replace(", normalize: false", "")),
        ("mdx23c", MDX23C),
    ],
)
def test_what_inference_says_wins(name: str, text: str, tmp_path: Path) -> None:
    """The length of a segment, and that the song is standardised."""
    text = text.replace("inference: {", "inference: {normalize: true, chunk_size: 44100, ")
    found = read(text, name, tmp_path)
    assert (found.config["segment"], found.config["standardised"]) == (44_100, True)
    with torch.device("meta"):
        network = build(found.architecture, found.config)
    assert network.standardised


@pytest.mark.parametrize(
    ("name", "text", "old", "new", "reason"),
    [
        ("scnet", SCNET, "audio:", "audios:", "audio is missing"),
        ("scnet", SCNET, "training: {instruments: [drums, bass, other, vocals],", "training: {",
         "training: instruments is missing"),
        ("scnet", SCNET, "instruments: [drums, bass, other, vocals]", "instruments: []",
         "training: instruments is empty"),
        ("htdemucs", HTDEMUCS, "instruments: [drums, bass, other, vocals]", "instruments: []",
         "training: instruments is empty"),
        ("scnet", SCNET, "chunk_size: 485100, ", "", "audio: chunk_size is missing"),
        ("scnet", SCNET, "expand: 1", "use_mamba: true", "model: unknown key use_mamba"),
        ("scnet", SCNET, "[drums, bass, other, vocals]\n  audio", "[a, b]\n  audio", "are a, b"),
        ("scnet", SCNET, "[4, 64", "[8, 64", "model: dims begin with 8, not 4"),
        ("scnet", SCNET, "win_size: 4096", "win_size: 2048", "win_size is 2048"),
        ("scnet", SCNET, "min_mean_abs", "gain", "audio: unknown key gain"),
        ("scnet", SCNET, "normalize: false", "window: hann", "inference: unknown key window"),
        ("scnet", SCNET, "inference:", "lora: {r: 8}\ninference:", "unknown key lora"),
        ("scnet", SCNET, "num_dplayer: 6", "num_dplayer: six", "num_dplayer must be a whole"),
        ("scnet", SCNET, "num_overlap: 4", "num_overlap: 0", "num_overlap must be above 0"),
        ("mdx23c", MDX23C, "act: gelu, ", "", "model: act is missing"),
        ("mdx23c", MDX23C, "dim_f: 4096, ", "", "audio: dim_f is missing"),
        ("bs_roformer", BS_ROFORMER, "  dim: 384\n", "", "model: dim is missing"),
        ("bs_roformer", BS_ROFORMER, "depth: 12", "depth: 12\n  use_pope: true",
         "use_pope is True"),
        ("bs_roformer", BS_ROFORMER, "stereo: true", "stereo: false", "stereo is False"),
        ("bs_roformer", BS_ROFORMER, "num_stems: 1", "num_stems: 2", "num_stems is 2, which"),
        ("bs_roformer", BS_ROFORMER, "linear_transformer_depth: 0", "linear_transformer_depth: 1",
         "linear_transformer_depth is 1"),
        ("bs_roformer", BS_ROFORMER, "stft_normalized: false", "stft_normalized: true",
         "stft_normalized is True"),
        ("htdemucs", HTDEMUCS, "model: htdemucs", "model: hdemucs", "model is 'hdemucs'"),
        ("htdemucs", HTDEMUCS, "t_emb: sin", "t_emb: cape", "t_emb is 'cape'"),
        ("htdemucs", HTDEMUCS, "cac: true", "cac: false", "cac is False"),
        ("htdemucs", HTDEMUCS, "num_subbands: 1", "num_subbands: 4", "num_subbands is 4"),
    ],
)  # fmt: skip
def test_unsupported_settings_are_refused_by_name(
    name: str, text: str, old: str, new: str, reason: str, tmp_path: Path
) -> None:
    assert old in text
    with pytest.raises(UsageError, match=reason) as caught:
        read(text.replace(old, new), name, tmp_path)
    assert caught.value.path == str(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("name", "text", "file", "variant"),
    [
        ("mdx23c", MDX23C, "config_musdb18_mdx23c_stht.yaml", "mdx23c_stht"),
        ("mdx23c", MDX23C, "MDX23C-STHT.yaml", "mdx23c_stht"),
        ("scnet", SCNET, "config_musdb18_scnet_masked.yaml", "scnet_masked"),
        ("scnet", SCNET, "config_vocals_scnet_unofficial.yaml", "scnet_unofficial"),
        ("bs_roformer", BS_ROFORMER, "config_vocals_bs_conformer.yaml", "bs_roformer_conformer"),
        ("mel_band_roformer", MEL_BAND_ROFORMER, "mel_experimental.yaml", "mel_band_roformer_exp"),
    ],
)
def test_a_file_that_is_named_for_a_variant_is_refused(
    name: str, text: str, file: str, variant: str, tmp_path: Path
) -> None:
    """Files of such networks have the same keys, so nothing in them shows the difference."""
    path = tmp_path / file
    path.write_text(text)
    with pytest.raises(UsageError, match=f"is for {variant}.* according to its name") as caught:
        msst_config.read(path, name)
    assert caught.value.hint == f"if it is for {name}, rename it"
    path = path.rename(tmp_path / "config_musdb18_mastht.yaml")  # a part of a word means nothing
    assert msst_config.read(path, name).architecture


@pytest.mark.parametrize("rate", ["", "sample_rate: 44100, "])
def test_the_bands_of_mel_band_roformer_are_those_of_one_rate(rate: str, tmp_path: Path) -> None:
    """The published class derives them from a separate rate, 44,100 Hz if no key names it."""
    text = MEL_BAND_ROFORMER.replace(
        "channels: 2, sample_rate: 44100", "channels: 2, sample_rate: 48000"
    )
    assert text != MEL_BAND_ROFORMER
    text = text.replace("dim_freqs_in: 1025, sample_rate: 44100, ", f"dim_freqs_in: 1025, {rate}")
    with pytest.raises(UsageError, match="model: sample_rate is 44100, audio: 48000"):
        read(text, "mel_band_roformer", tmp_path)


def test_an_unknown_architecture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown architecture 'bandit'") as caught:
        read(SCNET, "bandit", tmp_path)
    assert caught.value.hint is not None and "mel_band_roformer" in caught.value.hint


def test_a_command_offers_all_architectures() -> None:
    assert get_args(Architecture) == tuple(msst_config.NETWORKS)


@pytest.mark.parametrize(
    "text",
    [
        "audio: !!python/object/apply:os.system ['touch FILE']",
        "audio: !!python/name:os.system",
        "audio: [1, 2",
        "a: &a [*b]",
        "\x00",
        "- 1\n- 2",
        "",
        "audio: 2024-13-45",
        "[" * 5000,
    ],
)
def test_yaml_that_is_not_plain_is_refused(text: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with pytest.raises(UsageError):
        read(text.replace("FILE", str(touched)), "scnet", tmp_path)
    assert not touched.exists()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        msst_config.read(tmp_path / "none.yaml", "scnet")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(
    name=st.sampled_from(list(msst_config.NETWORKS)),
    key=st.integers(0, 100),
    value=VALUES,
)
def test_any_value_is_taken_or_refused(
    name: str, key: int, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any value in any place of a file results in a configuration or an error."""
    texts = {
        "bs_roformer": BS_ROFORMER,
        "mel_band_roformer": MEL_BAND_ROFORMER,
        "scnet": SCNET,
        "mdx23c": MDX23C,
        "htdemucs": HTDEMUCS,
    }
    document = yaml.safe_load(texts[name].replace("!!python/tuple", ""))
    places = [
        (section, each)
        for section, values in document.items()
        if isinstance(values, dict)
        for each in values
    ]
    section, each = places[key % len(places)]
    document[section][each] = value
    folder = tmp_path_factory.getbasetemp()
    try:
        found = read(yaml.safe_dump(document), name, folder)
    except UsageError as refusal:
        assert refusal.reason
    else:
        assert found.config["sources"]
