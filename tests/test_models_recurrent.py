"""Mask Inference and Chimera: published counts, and the whole way once more in numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import lstm_in_numpy, randomise, sigmoid, signal_to_difference
from torch import Tensor, nn

from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.models.mel import mel_edges, mel_triangles
from stemsplit.models.recurrent import LevelNorm, RecurrentSeparator

TINY: dict[str, Any] = {"sample_rate": 8000, "n_fft": 64, "hop": 16, "hidden": 6, "layers": 2}
SPEECH: dict[str, Any] = {"sample_rate": 8000, "n_fft": 256, "hop": 64, "hidden": 600}
#: Luo's network for singing voice.
LUO: dict[str, Any] = {"n_fft": 1024, "hop": 256, "hidden": 500, "mel_bands": 150}
BOTH = ("vocals", "accompaniment")


def tiny(name: str = "mask_inference:MaskInference", **fields: Any) -> RecurrentSeparator:
    torch.manual_seed(0)
    model = build(name, TINY | {"sources": BOTH} | fields)
    assert isinstance(model, RecurrentSeparator)
    randomise(model)
    norm = model.normalization.batch_norm
    nn.init.uniform_(norm.running_mean, -45, -35)  # dB, as after training
    nn.init.uniform_(norm.running_var, 200, 400)
    with torch.no_grad():
        model.mask.linear.weight *= 20  # masks from 0 to 1
    return model.eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- The published networks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "count"),
    [
        ("mask_inference:MaskInference", {}, 7_990_459),
        ("mask_inference:MaskInference", {"norm_per_bin": True}, 7_990_457 + 2 * 257),
        ("chimera:Chimera", {}, 11_079_599),
        ("chimera:Chimera", SPEECH | {"sources": BOTH}, 32_866_040),
        ("deep_clustering:DeepClustering", {}, 32_556_182),
        # 23.9 million; layers of 2 x 500 on 150 bands, of which both heads speak as well.
        ("chimera:Chimera", LUO | {"sources": BOTH}, 20_632_002 + 1001 * 150 * (20 + 2)),
    ],
)
def test_published_number_of_parameters(name: str, fields: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        model = build(name, fields)
    assert sum(weight.numel() for weight in model.parameters()) == count
    lstm = model.recurrent_stack.rnn
    assert isinstance(lstm, nn.LSTM)
    assert (lstm.num_layers, lstm.bidirectional) == (4, True)
    assert lstm.dropout == 0.3  # torch's own: after every layer but the last


def test_the_tutorials_settings() -> None:
    with torch.device("meta"):
        model = build("chimera:Chimera", {})
    assert (model.sources, model.sample_rate, model.channels) == (("vocals",), 16_000, 1)
    assert model.segment == 10 * model.sample_rate


def test_names_in_the_state_dict_are_the_librarys() -> None:
    with torch.device("meta"):
        names = set(build("chimera:Chimera", {}).state_dict())
    lstm = {
        f"recurrent_stack.rnn.{kind}_{gate}_l{layer}{way}"
        for kind in ("weight", "bias")
        for gate in ("ih", "hh")
        for layer in range(4)
        for way in ("", "_reverse")
    }
    heads = {f"{head}.linear.{kind}" for head in ("mask", "embedding") for kind in KINDS}
    norm = {f"normalization.batch_norm.{kind}" for kind in (*KINDS, *STATISTICS)}
    assert names == lstm | heads | norm


KINDS = ("weight", "bias")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def test_fresh_weights() -> None:
    """Xavier's deviations, and forget gates that are open from the start."""
    torch.manual_seed(0)
    model = build("chimera:Chimera", {})
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            deviation = math.sqrt(2 / sum(weight.shape))
            assert weight.std().item() == pytest.approx(deviation, rel=0.02), name
        elif "rnn.bias" in name:
            assert weight.nonzero().flatten().tolist() == list(range(300, 600)), name
            assert weight[300:600].eq(1).all(), name
        elif "linear.bias" in name:
            assert not weight.any(), name


# --- The contract --------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 1_000), st.integers(1, 2))
def test_any_length_comes_back(samples: int, channels: int) -> None:
    model, wave = tiny(channels=channels), noise(2, channels, samples)
    torch.testing.assert_close(
        model.restore(model.transform(wave), samples), wave, atol=1e-5, rtol=0
    )
    with torch.inference_mode():
        stems = model(wave)
    assert stems.shape == (2, 2, channels, samples)
    assert stems.dtype == torch.float32


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"hop": 33}, "a hop of 33 is not within half a window of 64"),
        ({"hop": 0}, "hop must be at least 1, not 0"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"segment": 0}, "segment must be at least 1, not 0"),
        ({"sources": []}, "at least one source"),
        ({"mel_bands": 40}, "40 bands are too many for windows of 64 samples"),
        ({"mask_activation": "relu"}, "'softmax' or 'clipped_relu', not 'relu'"),
        ({"mask_activation": "softmax", "sources": ["vocals"]}, "at least two sources"),
        ({"embedding_activation": "relu"}, "must be 'sigmoid' or 'tanh', not 'relu'"),
    ],
)
def test_values_that_do_not_fit_are_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build("chimera:Chimera", TINY | fields)


# --- Pieces --------------------------------------------------------------------------------------


def test_levels_are_in_dB_of_full_scale_and_end_at_80_below() -> None:
    model = build("mask_inference:MaskInference", {"hidden": 2})
    assert isinstance(model, RecurrentSeparator)
    time = torch.arange(16_000.0)
    for amplitude, level in [(1.0, -6.02), (0.1, -26.02), (1e-3, -66.02), (1e-5, -80.0)]:
        wave = amplitude * torch.sin(2 * torch.pi * 40 / 512 * time)[None, None]
        levels = model.levels(model.transform(wave).abs())
        assert levels.shape == (1, 126, 257)
        assert levels[0, 60].max().item() == pytest.approx(level, abs=0.01)
        assert levels.min() >= -80
        if level > -80:
            assert levels[0, 60].argmax() == 40


@pytest.mark.parametrize(("features", "groups"), [(1, 1), (6, 6)])
def test_norm_over_everything_or_for_each_bin(features: int, groups: int) -> None:
    levels = 20 * noise(4, 50, 6) - torch.arange(6) ** 2
    normed = LevelNorm(features)(levels).reshape(-1, groups)
    torch.testing.assert_close(normed.mean(0), torch.zeros(groups), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.std(0, correction=0), torch.ones(groups), atol=1e-5, rtol=0)


def test_gru_layers_are_three_quarters_of_lstm_layers() -> None:
    sizes = {
        cell: sum(weight.numel() for weight in tiny(cell=cell).recurrent_stack.parameters())
        for cell in ("lstm", "gru")
    }
    assert sizes["gru"] == 3 * sizes["lstm"] / 4
    with pytest.raises(ValueError, match="cell must be 'lstm' or 'gru', not 'rnn'"):
        tiny(cell="rnn")


def test_gru_layers_in_numpy() -> None:
    """One layer in both directions: reset, update and candidate, in this order."""
    model = tiny(cell="gru", layers=1)
    rnn = model.recurrent_stack.rnn
    features = noise(1, 9, 33, seed=3)
    w = {name: weight.detach().double().numpy() for name, weight in rnn.named_parameters()}
    states = []
    for end in ("", "_reverse"):
        inputs = features[0].double().numpy()[:: -1 if end else 1]
        state, found = np.zeros(6), []
        for frame in inputs:
            own = w[f"weight_ih_l0{end}"] @ frame + w[f"bias_ih_l0{end}"]
            back = w[f"weight_hh_l0{end}"] @ state + w[f"bias_hh_l0{end}"]
            reset, update = (sigmoid(own[k : k + 6] + back[k : k + 6]) for k in (0, 6))
            candidate = np.tanh(own[12:] + reset * back[12:])
            state = (1 - update) * candidate + update * state
            found.append(state)
        states.append(np.array(found[:: -1 if end else 1]))
    with torch.inference_mode():
        ours = model.recurrent_stack(features)[0].numpy()
    np.testing.assert_allclose(ours, np.concatenate(states, -1), atol=1e-5)


def test_gru_layers_are_made_with_biases_of_0() -> None:
    fresh = build("mask_inference:MaskInference", {**TINY, "cell": "gru"})
    biases = [w for name, w in fresh.recurrent_stack.named_parameters() if "bias" in name]  # type: ignore[union-attr, operator]
    assert len(biases) == 8
    assert not any(bias.any() for bias in biases)


def test_features_are_the_states_of_the_last_layer() -> None:
    model, mix = tiny(), noise(2, 1, 700)
    with torch.inference_mode():
        features = model.training_outputs(mix)["features"]
        assert torch.equal(features, model.encode(mix)[1].mT)
    assert features.shape == (2, 12, 45)


def test_chimera_separates_with_its_masks_alone() -> None:
    chimera, inference = tiny("chimera:Chimera", embedding=5), tiny()
    state = chimera.state_dict()
    inference.load_state_dict({key: state[key] for key in inference.state_dict()})
    mix = noise(2, 1, 500)
    with torch.inference_mode():
        outputs, stems = chimera.training_outputs(mix), chimera(mix)
        assert torch.equal(stems, inference(mix))
    assert torch.equal(outputs["sources"], stems)
    assert outputs["embeddings"].shape == (2, 1, 33, 33, 5)
    lengths = outputs["embeddings"].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert (outputs["embeddings"] > 0).all()  # sigmoids


def test_bands_of_the_mel_scale_in_numpy() -> None:
    """O'Shaughnessy's formula is not meant: 15 marks are 1 kHz, and 27 more 6.4 times as much."""
    marks = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 42)
    edges = np.where(marks < 15, marks * 200 / 3, 1000 * 6.4 ** ((marks - 15) / 27))
    assert mel_edges(40, 16_000) == pytest.approx(edges.tolist())
    found = np.array(mel_triangles(40, 512, 16_000))
    frequencies = np.arange(257) * 16_000 / 512
    for number, row in enumerate(found):
        truth = np.interp(frequencies, edges[number : number + 3], [0, 1, 0])
        truth[0] += number == 0
        truth[-1] += number == 39
        np.testing.assert_allclose(row, truth, atol=1e-9)


def test_a_mask_for_all_bands_is_the_same_for_all_bins() -> None:
    model = build("chimera:Chimera", LUO | {"hidden": 2})
    assert isinstance(model, RecurrentSeparator)
    ones = torch.ones(1, 1, 1, 150, 3)
    torch.testing.assert_close(model.to_bins(0.7 * ones), 0.7 * torch.ones(1, 1, 1, 513, 3))
    # A level is that of the bins in a band, however many these are.
    torch.testing.assert_close(
        model.to_bands(0.3 * torch.ones(2, 513, 4)), 0.3 * torch.ones(2, 150, 4)
    )
    assert "bands" not in model.state_dict()


def test_a_band_is_read_and_masked_at_its_bins() -> None:
    model = build("chimera:Chimera", LUO | {"hidden": 2})
    assert isinstance(model, RecurrentSeparator)
    tone = torch.zeros(513, 1)
    tone[128] = 1.0  # 2 kHz
    band = int(model.to_bands(tone)[:, 0].argmax())
    edges = mel_edges(150, 16_000)
    assert edges[band] < 2_000 < edges[band + 2]
    mask = torch.zeros(150, 1)
    mask[band] = 1.0
    bins = model.to_bins(mask)[:, 0].nonzero().flatten() * 16_000 / 1024
    assert edges[band] <= bins.min() <= 2_000 <= bins.max() <= edges[band + 2]


@pytest.mark.parametrize("name", ["mask_inference:MaskInference", "chimera:Chimera"])
def test_masks_of_three_kinds(name: str) -> None:
    mix = noise(1, 1, 500)
    kinds = ("sigmoid", "softmax", "clipped_relu")
    models = [tiny(name, mask_activation=kind) for kind in kinds]
    logits = []
    models[0].mask.linear.register_forward_hook(lambda *call: logits.append(call[2]))
    with torch.inference_mode():
        masks = [model.training_outputs(mix)["masks"][0, :, 0] for model in models]
    x = logits[0][0].view(-1, 33, 2).permute(2, 1, 0)
    for mask, expected in zip(masks, [x.sigmoid(), x.softmax(0), x.clamp(0, 1)], strict=True):
        torch.testing.assert_close(mask, expected)
    assert (masks[2] == 0).any() and (masks[2] == 1).any()


@pytest.mark.parametrize("name", ["deep_clustering:DeepClustering", "chimera:Chimera"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_embeddings_of_two_kinds(name: str, activation: str) -> None:
    model = build(
        name, TINY | {"sources": BOTH, "embedding": 4, "embedding_activation": activation}
    )
    assert isinstance(model, RecurrentSeparator)
    captured = []
    model.embedding.linear.register_forward_hook(lambda *call: captured.append(call[2]))
    with torch.inference_mode():
        found = model.eval().training_outputs(noise(1, 1, 500))["embeddings"][0, 0]
    x = captured[0][0].view(-1, 33, 4).transpose(0, 1)
    x = x.tanh() if activation == "tanh" else x.sigmoid()
    torch.testing.assert_close(found, x / x.norm(dim=-1, keepdim=True))


# --- The whole way in numpy ----------------------------------------------------------------------


def separate_in_numpy(
    model: SeparationModel, mix: np.ndarray, *, mel: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return masks ``(S, C, F, N)`` and stems ``(S, C, T)`` of ``mix`` ``(C, T)`` in float64."""
    w = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    channels, samples = mix.shape
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64))
    padded = np.pad(mix, [(0, 0), (0, -samples % 16)])
    padded = np.pad(padded, [(0, 0), (32, 32)], mode="reflect")
    starts = range(0, padded.shape[1] - 63, 16)
    spectrum = np.stack([np.fft.rfft(padded[:, n : n + 64] * window) for n in starts])  # N, C, F
    bands = np.array(mel_triangles(6, 64, 8000)) if mel else np.eye(33)
    in_bands = np.abs(spectrum) @ (bands / bands.sum(1, keepdims=True)).T
    level = 10 * np.log10(np.maximum((in_bands / window.sum()) ** 2, 1e-8))
    x = level.transpose(0, 2, 1).reshape(len(starts), -1)
    norm = {key.rpartition(".")[2]: w[key] for key in w if "batch_norm" in key}
    x = (x - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5)
    x = x * norm["weight"] + norm["bias"]
    rnn = {key.rpartition(".")[2]: w[key] for key in w if "rnn" in key}
    for layer in range(2):
        ways = [lstm_in_numpy(rnn, x, f"l{layer}{way}") for way in ("", "_reverse")]
        x = np.concatenate(ways, axis=1)
    logits = x @ w["mask.linear.weight"].T + w["mask.linear.bias"]
    masks = sigmoid(logits).reshape(len(starts), len(bands), channels, -1).transpose(3, 2, 1, 0)
    masks = np.einsum("mf,scmn->scfn", bands / bands.sum(0), masks)
    frames = np.fft.irfft(masks * spectrum.transpose(1, 2, 0), axis=2)
    total, weight = np.zeros((*frames.shape[:2], padded.shape[1])), np.zeros(padded.shape[1])
    for number, start in enumerate(starts):
        total[..., start : start + 64] += frames[..., number] * window
        weight[start : start + 64] += window**2
    return masks, (total[..., 32:-32] / weight[32:-32])[..., :samples]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [480, 1_003])
@pytest.mark.parametrize("norm_per_bin", [False, True])
@pytest.mark.parametrize("mel_bands", [0, 6])
def test_mask_inference_in_numpy(
    channels: int, samples: int, norm_per_bin: bool, mel_bands: int
) -> None:
    model = tiny(channels=channels, norm_per_bin=norm_per_bin, mel_bands=mel_bands)
    mix = noise(1, channels, samples)
    with torch.inference_mode():
        outputs = model.training_outputs(mix)
    masks, stems = separate_in_numpy(model, mix[0].double().numpy(), mel=mel_bands > 0)
    assert masks.std() > 0.1
    np.testing.assert_allclose(outputs["masks"][0].numpy(), masks, atol=1e-5)
    assert signal_to_difference(torch.from_numpy(stems), outputs["sources"][0]) > 90
    magnitudes = model.transform(mix).abs()[0].numpy()
    np.testing.assert_allclose(outputs["magnitudes"][0].numpy(), masks * magnitudes, atol=1e-4)
