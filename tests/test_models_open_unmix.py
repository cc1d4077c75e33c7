"""Open-Unmix: sizes, the published files, what the filter leaves, and the reference package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import run
from openunmix_package import reference_package
from oracles import lstm_in_numpy, signal_to_difference
from torch import Tensor

from stemsplit.checkpoints.convert import convert
from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.checkpoints.weights import assemble
from stemsplit.data.synthetic import render
from stemsplit.errors import CheckpointError
from stemsplit.models import build, open_unmix
from stemsplit.models.open_unmix import OpenUnmix, OpenUnmixConfig, Target
from stemsplit.separation.engine import Engine

TINY: dict[str, Any] = {"n_fft": 512, "hop": 128, "hidden": 16, "segment": 40_000}
PUBLISHED = [model for model in list_models() if model.name.startswith("open_unmix.")]


def tiny(**fields: Any) -> OpenUnmix:
    model = build("open_unmix:OpenUnmix", TINY | fields)
    assert isinstance(model, OpenUnmix)
    return fill(model)


def fill(model: OpenUnmix) -> OpenUnmix:
    """Give ``model`` weights as after training: no norm, mean or scale leaves things as they are.

    Each target gets others, and its masks are mostly between 0 and 2.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point():
                continue
            if tensor.dim() == 2:
                tensor.normal_(0, tensor.shape[1] ** -0.5, generator=generator)
            elif name.endswith("input_scale"):
                tensor.uniform_(0.05, 0.2, generator=generator)
            elif name.endswith(("input_mean", "bias", "running_mean")) or "bias" in name:
                tensor.normal_(0, 0.1, generator=generator)
            else:
                tensor.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def noise(*shape: int) -> Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))


# --- Sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1499, 1500, 1501, 2401])
def test_pieces_of_the_blstm_are_close_to_the_whole(frames: int) -> None:
    target = tiny().targets[0].eval()
    assert isinstance(target, Target)
    embedded = noise(frames, 2, 16)
    with torch.inference_mode():
        context = target.lstm(embedded)[0]
        joined = torch.cat([embedded, context], dim=-1).flatten(0, 1)
        expected = target.bn2(target.fc2(joined)).relu().view(embedded.shape)
        found = target.encode(embedded)
    assert signal_to_difference(expected, found) > 110


@pytest.mark.parametrize(
    ("name", "parameters", "input_bins"),
    [("umxhq", 8_893_348, 1487), ("umx", 8_893_348, 1487), ("umxl", 28_257_188, 1487)],
)
def test_a_target_has_the_published_size(name: str, parameters: int, input_bins: int) -> None:
    """Counts are those of openunmix 1.3.0; in fp32, 34.0 MiB as the files of umxhq have."""
    model = published(name)
    with torch.device("meta"):
        network = build(model.architecture, model.config)
    assert sum(p.numel() for p in network.parameters()) == 4 * parameters
    assert network.state_dict()["targets.0.fc1.weight"].shape == (
        model.config.get("hidden", 512),
        2 * input_bins,
    )


def published(name: str) -> Model:
    return next(model for model in PUBLISHED if model.name == f"open_unmix.{name}")


@pytest.mark.parametrize("model", PUBLISHED, ids=[model.name for model in PUBLISHED])
def test_the_published_networks_are_built(model: Model) -> None:
    with torch.device("meta"):
        network = build(model.architecture, model.config)
    assert network.sources == model.stems
    assert (network.sample_rate, network.channels) == (model.sample_rate, model.channels)
    assert network.segment == model.segment
    (source,) = model.sources
    assert len(source.files) == len(model.stems)
    for file, stem in zip(source.files, model.stems, strict=True):
        digits = (file.sha256 or file.sha256_prefix or "")[:8]
        assert file.address.rpartition("/")[2] in {f"{stem}-{digits}.pth", f"{stem}_{digits}.pth"}


def test_speech_networks_use_the_highest_bins() -> None:
    config = published("umxse").config
    assert OpenUnmixConfig(**config | {"sources": ("speech", "noise")}).input_bins == 513


def test_segments_start_where_excerpts_of_the_filter_do() -> None:
    for model in PUBLISHED:
        network = build(model.architecture, {**model.config, "layers": 1})
        assert isinstance(network, OpenUnmix)
        assert network.alignment == 300 * network.settings.hop
        for overlap in (0.0, 0.25, 0.6, 0.95):
            assert Engine(network, device="cpu", overlap=overlap).hop % network.alignment == 0


def test_segments_are_close_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # As many segments as a song of 4 minutes has; a sixteenth of the window. 76 dB were measured,
    # and more where no other segment has faded in.
    mix = noise(2, 660_000)
    fields = {"n_fft": 256, "hop": 64, "hidden": 32, "segment": 8 * 300 * 64}
    model = tiny(sources=["vocals", "drums"], **fields)
    with torch.inference_mode():
        joined = torch.cat(list(Engine(model, device="cpu").separate([mix])), -1)
    monkeypatch.setattr(open_unmix, "LEAST_CUT", 10**6)
    whole = run(model, mix[None])[0]
    assert signal_to_difference(whole, joined) > 70
    alone = model.segment // 2
    assert signal_to_difference(whole[..., :alone], joined[..., :alone]) > 130


@pytest.mark.parametrize(
    "fields",
    [
        {"sources": ["vocals"]},
        {"sources": ["residual"], "residual": True},
        {"sources": [], "iterations": 0},
        {"channels": 3},
        {"hidden": 15},
        {"hop": 257},
        {"iterations": -1},
        {"segment": 0},
    ],
)
def test_impossible_values_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|not within"):
        tiny(**fields)


# --- One target in numpy -------------------------------------------------------------------------


def target_in_numpy(target: Any, magnitudes: np.ndarray) -> np.ndarray:
    """Return magnitudes ``(N, C, F)`` of the source in ``magnitudes``, in float64."""
    w = {name: tensor.double().numpy() for name, tensor in target.state_dict().items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        deviation = np.sqrt(w[f"{name}.running_var"] + 1e-5)
        normed = (x - w[f"{name}.running_mean"]) / deviation
        return normed * w[f"{name}.weight"] + w[f"{name}.bias"]

    frames = len(magnitudes)
    scaled = (magnitudes[..., : target.input_bins] + w["input_mean"]) * w["input_scale"]
    x = context = np.tanh(norm(scaled.reshape(frames, -1) @ w["fc1.weight"].T, "bn1"))
    lstm = {name.removeprefix("lstm."): value for name, value in w.items() if "lstm" in name}
    for layer in range(3):
        ways = [lstm_in_numpy(lstm, context, f"l{layer}{way}") for way in ("", "_reverse")]
        context = np.concatenate(ways, axis=1)
    x = norm(np.concatenate([x, context], axis=1) @ w["fc2.weight"].T, "bn2").clip(0)
    x = norm(x @ w["fc3.weight"].T, "bn3").reshape(magnitudes.shape)
    return (x * w["output_scale"] + w["output_mean"]).clip(0) * magnitudes


@pytest.mark.parametrize("channels", [1, 2])
def test_a_target_in_numpy(channels: int) -> None:
    """Of 257 bins, 186 are used, up to 16 kHz."""
    model = tiny(channels=channels)
    magnitudes = 10 * noise(12, 1, channels, 257).abs()
    for target in model.targets:
        with torch.inference_mode():
            found = target(magnitudes)[:, 0]
        truth = target_in_numpy(target, magnitudes[:, 0].double().numpy())
        assert (truth == 0).mean() < 0.6
        assert signal_to_difference(torch.from_numpy(truth), found) > 110
    assert model.targets[0].input_bins == 186


def test_the_published_settings() -> None:
    config = OpenUnmixConfig()
    assert (config.n_fft, config.hop, config.layers, config.iterations) == (4096, 1024, 3, 1)
    assert (config.hidden, config.sample_rate, config.channels) == (512, 44_100, 2)
    assert tiny().targets[0].lstm.dropout == 0.4  # type: ignore[union-attr]


# --- What comes out ------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 5_000), st.integers(1, 2), st.integers(1, 2), st.booleans())
def test_any_length_comes_back(samples: int, batch: int, channels: int, residual: bool) -> None:
    model = tiny(channels=channels, residual=residual)
    stems = run(model, noise(batch, channels, samples))
    assert stems.shape == (batch, 4, channels, samples)
    assert stems.isfinite().all()


def test_targets_and_residual_are_the_mixture() -> None:
    mix = noise(1, 2, 30_000)
    whole = run(tiny(sources=["vocals", "drums", "residual"], residual=True), mix).sum(1)
    assert signal_to_difference(mix, whole) > 50


def test_without_the_filter_magnitudes_keep_the_phase_of_the_mixture() -> None:
    """A mask of exactly 2 on every bin doubles the mixture."""
    model = tiny(iterations=0)
    with torch.no_grad():
        for target in model.targets:
            target.output_scale.zero_()  # type: ignore[operator, union-attr]
            target.output_mean.fill_(2.0)  # type: ignore[operator, union-attr]
    mix = noise(1, 2, 20_000)
    for stem in run(model, mix).unbind(1):
        assert signal_to_difference(2 * mix, stem) > 110


def test_training_leaves_the_filter_out() -> None:
    """And it takes all excerpts at once, whose statistics its norms need."""
    model, mix = tiny(), noise(1, 2, 40_000)
    without = tiny(iterations=0)
    without.load_state_dict(model.state_dict())
    for module in (model, without):
        for target in module.targets:
            target.lstm.dropout = 0.0  # type: ignore[union-attr]
    stems = model.train()(mix)
    assert torch.equal(stems, without.train()(mix))
    assert torch.equal(stems, model.training_outputs(mix)["sources"])
    frames = 40_000 // 128 + 1
    assert model.training_outputs(mix)["magnitudes"].shape == (1, 4, 2, 257, frames)
    assert not torch.equal(run(model.eval(), mix), run(without.eval(), mix))


def test_silence_is_silence() -> None:
    for residual in (False, True):
        assert torch.equal(
            run(tiny(residual=residual), torch.zeros(1, 2, 9_000)), torch.zeros(1, 4, 2, 9_000)
        )


# --- The published files -------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[OpenUnmix, list[Path]]:
    """A network, and a file for each of its targets as the authors publish them."""
    model = tiny()
    paths = []
    for number, target in enumerate(model.targets):
        legacy = {
            "sample_rate": torch.tensor(44_100),
            "stft.window": torch.hann_window(512),
            "transform.0.window": torch.hann_window(512),
        }
        paths.append(tmp_path / f"{number}.pth")
        torch.save({**target.state_dict(), **(legacy if number % 2 else {})}, paths[-1])
    return model, paths


def read(paths: list[Path], **fields: Any) -> OpenUnmix:
    weights = convert(
        "open_unmix" if len(paths) == 4 else "open_unmix.speech",
        paths,
        architecture="open_unmix:OpenUnmix",
        config=TINY | fields,
    )
    network = assemble(weights, paths[0])
    assert isinstance(network, OpenUnmix)
    return network


def test_a_file_for_each_target_gives_the_network(files: tuple[OpenUnmix, list[Path]]) -> None:
    model, paths = files
    mix = noise(1, 2, 9_000)
    assert torch.equal(run(read(paths), mix), run(model, mix))
    swapped = run(read([paths[1], paths[0], *paths[2:]]), mix)
    assert signal_to_difference(run(model, mix)[:, 1], swapped[:, 0]) > 100
    pair = read(paths[:2], sources=("speech", "noise"))
    assert pair.sources == ("speech", "noise")


def test_the_same_files_give_a_residual(files: tuple[OpenUnmix, list[Path]]) -> None:
    names = ("vocals", "drums", "bass", "other", "residual")
    network = read(files[1], sources=names, residual=True)
    assert network.sources == names
    mix = noise(1, 2, 9_000)
    assert signal_to_difference(mix, run(network, mix).sum(1)) > 50


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop("fc1.weight"), "targets.0.fc1.weight is missing"),
        (lambda state: state.update(encoder=torch.zeros(1)), "targets.0.encoder is not part"),
        (lambda state: state.clear(), "does not contain the weights of an Open-Unmix"),
        (lambda state: state.update(epoch=3), "does not contain the weights of an Open-Unmix"),
    ],
)
def test_other_files_are_refused(
    files: tuple[OpenUnmix, list[Path]], change: Any, reason: str
) -> None:
    path = files[1][0]
    state = dict(torch.load(path, weights_only=True))
    change(state)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        read(files[1])
    assert caught.value.path == str(path)


# --- The reference -------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("samples", [50_000, 350_001])
def test_the_numbers_are_those_of_openunmix(residual: bool, samples: int) -> None:
    """Of a real network's size; the longer song takes two excerpts of the filter."""
    names = ("vocals", "drums", "residual") if residual else ("vocals", "drums")
    model = fill(OpenUnmix(OpenUnmixConfig(sources=names, residual=residual)))
    mix = torch.from_numpy(np.sum(list(render(seconds=samples / 44_100).values()), axis=0))[None]
    with reference_package() as openunmix:
        targets = {}
        for name, ours in zip(names, model.targets, strict=False):
            target = openunmix.model.OpenUnmix(2049, 2, 512, max_bin=1487).eval()
            target.load_state_dict(ours.state_dict())
            targets[name] = target
        separator = openunmix.model.Separator(targets, niter=1, residual=residual).eval()
        with torch.inference_mode():
            theirs = separator(mix)
    stems = run(model, mix)
    assert stems.shape == theirs.shape
    for truth, stem in zip(theirs[0], stems[0], strict=True):
        assert signal_to_difference(truth, stem) > 90


@pytest.mark.network
def test_mono_is_that_of_openunmix_too() -> None:
    config = published("umxse").config
    model = build("open_unmix:OpenUnmix", config)
    assert isinstance(model, OpenUnmix)
    fill(model)
    mix = noise(1, 1, 200_000)
    with reference_package() as openunmix:
        targets = {}
        for name, ours in zip(model.sources, model.targets, strict=True):
            target = openunmix.model.OpenUnmix(513, 1, 256, max_bin=513).eval()
            target.load_state_dict(ours.state_dict())
            targets[name] = target
        separator = openunmix.model.Separator(
            targets, niter=1, sample_rate=16_000, n_fft=1024, n_hop=512, nb_channels=1
        ).eval()
        with torch.inference_mode():
            theirs = separator(mix)
    assert signal_to_difference(theirs, run(model, mix)) > 90


def test_a_new_network_whitens_its_input_by_the_mixtures_it_is_given() -> None:
    torch.manual_seed(0)
    model = build("open_unmix:OpenUnmix", {"n_fft": 512, "hop": 128, "hidden": 8, "segment": 8192})
    mix = torch.randn(4, 2, 8192) * 3 + 1
    model.adapt_to(mix)
    target = model.get_submodule("targets.0")
    spectrum = torch.stft(
        mix.flatten(0, 1), 512, 128, window=torch.hann_window(512), return_complex=True
    ).abs()
    magnitudes = spectrum[:, : len(target.input_mean)]
    white = (magnitudes + target.input_mean[:, None]) * target.input_scale[:, None]
    assert torch.allclose(white.mean((0, 2)), torch.zeros(magnitudes.shape[1]), atol=1e-2)
    assert torch.allclose(white.std((0, 2)), torch.ones(magnitudes.shape[1]), atol=5e-2)
