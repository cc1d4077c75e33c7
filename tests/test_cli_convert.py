"""``stemsplit models convert``: from a checkpoint of the community to stems."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import soundfile
import torch
from audio_files import Samples, store_wav
from command import run
from safetensors.torch import save_file

from stemsplit.checkpoints import weights
from stemsplit.models.conv_tasnet import SpeechConvTasNet, SpeechConvTasNetConfig
from stemsplit.models.mdx23c import MDX23C, MDX23CConfig
from stemsplit.models.scnet import SCNet, SCNetConfig

CONFIG = """
audio: {chunk_size: 16384, num_channels: 2, sample_rate: 44100}
model: {sources: [vocals, rest], dims: [4, 8, 16], nfft: 512, hop_size: 128, win_size: 512,
        band_stride: [1, 4, 8], band_kernel: [3, 4, 8], num_dplayer: 2}
training: {instruments: [vocals, rest], target_instrument: null, lr: 5.0e-04}
augmentations: {mixup_probs: !!python/tuple [0.2, 0.02]}
inference: {batch_size: 8, num_overlap: 2}
"""
NETWORK = SCNetConfig(
    sources=("vocals", "rest"),
    segment=16_384,
    dims=(8, 16),
    n_fft=512,
    hop_length=128,
    band_strides=(1, 4, 8),
    band_kernels=(3, 4, 8),
    dual_path_layers=2,
)


@pytest.fixture
def network() -> SCNet:
    torch.manual_seed(0)
    return SCNet(NETWORK).eval()


@pytest.fixture
def folder(tmp_path: Path, network: SCNet) -> Path:
    """A folder with a checkpoint and its configuration, as the community publishes them."""
    folder = tmp_path / "download"
    folder.mkdir()
    torch.save({"state_dict": network.state_dict()}, folder / "net.ckpt")
    (folder / "net.yaml").write_text(CONFIG)
    return folder


SCNET = ("--architecture", "scnet", "--config", "net.yaml")


def test_from_a_checkpoint_to_stems(folder: Path, network: SCNet, song: Path) -> None:
    result = run("models", "convert", "net.ckpt", *SCNET, cwd=folder)
    assert result.code == 0, result.stderr
    assert result.lines == ["net.safetensors"]
    assert "scnet:SCNet of vocals, rest" in result.stderr
    assert "segments overlap by 0.5" in result.stderr
    stored = weights.load(folder / "net.safetensors")
    assert stored.config == dataclasses.asdict(NETWORK)
    assert all(torch.equal(a, b) for a, b in zip(
        network.state_dict().values(), stored.state_dict().values(), strict=True
    ))  # fmt: skip
    split = run("-n", "net.safetensors", "--overlap", "0", song, cwd=folder)
    assert split.code == 0, split.stderr
    assert [Path(line).name for line in split.lines] == ["vocals.wav", "rest.wav"]
    found, _ = soundfile.read(folder / split.lines[0], dtype="float32")
    mix, _ = soundfile.read(song, dtype="float32")
    with torch.no_grad():
        expected = network(torch.from_numpy(mix.T[None, :, : NETWORK.segment]))[0, 0]
    assert len(found) == len(mix)
    torch.testing.assert_close(torch.from_numpy(found.T[:, : NETWORK.segment]), expected)


def test_the_overlap_of_the_configuration_is_kept_and_used(folder: Path, mixture: Samples) -> None:
    """With a hop of a sixteenth, every sample is processed sixteen times; the output shows it."""
    song = store_wav(folder / "short.wav", mixture[:, :30_000])
    text = CONFIG.replace("num_overlap: 2", "num_overlap: 16")
    (folder / "net.yaml").write_text(text)
    assert run("models", "convert", "net.ckpt", *SCNET, cwd=folder).code == 0
    assert weights.read_header(folder / "net.safetensors").overlap == 1 - 1 / 16
    stems = []
    for arguments in ([], ["--overlap", "0.9375"], ["--overlap", "0.75"]):
        split = run("-n", "net.safetensors", "-f", *arguments, song, cwd=folder)
        assert split.code == 0, split.stderr
        stems.append((folder / split.lines[0]).read_bytes())
    assert stems[0] == stems[1] != stems[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_bare_safetensors(folder: Path, network: SCNet, tmp_path: Path, dtype: torch.dtype) -> None:
    path = folder / "bare.safetensors"
    state = {name: tensor.to(dtype) for name, tensor in network.state_dict().items()}
    save_file(state, path)
    told = run("-n", "bare.safetensors", "song.wav", cwd=folder)
    assert told.code == 4
    assert "a safetensors file without stemsplit's header" in told.stderr
    assert "--architecture NAME --config FILE.yaml" in told.stderr
    result = run("models", "convert", "bare.safetensors", *SCNET, cwd=folder)
    assert result.code == 3
    assert "is the input" in result.stderr and "use --out to write to another file" in result.stderr
    ours = tmp_path / "ours.safetensors"
    result = run("models", "convert", "bare.safetensors", *SCNET, "-o", ours, cwd=folder)
    assert result.code == 0, result.stderr
    stored = weights.load(ours).state_dict()
    assert stored.keys() == state.keys()
    assert all(torch.equal(stored[name], tensor.float()) for name, tensor in state.items())
    path.write_bytes(path.read_bytes()[:-4])
    result = run("models", "convert", "bare.safetensors", *SCNET, "-fo", ours, cwd=folder)
    assert result.code == 4
    assert "bare.safetensors: damaged" in result.stderr


def test_another_architecture_and_place(tmp_path: Path) -> None:
    config = MDX23CConfig(
        sources=("dry",), segment=1920, n_fft=512, hop_length=128, bins=256, scales=1, channels=4
    )
    torch.save(MDX23C(config).state_dict(), tmp_path / "d.pth")
    (tmp_path / "d.yaml").write_text("""
audio: {chunk_size: 1920, num_channels: 2, n_fft: 512, hop_length: 128, dim_f: 256}
model: {act: gelu, bottleneck_factor: 4, growth: 128, norm: InstanceNorm, num_scales: 1,
        num_blocks_per_scale: 2, num_channels: 4, num_subbands: 4, scale: [2, 2]}
training: {instruments: [dry, wet], target_instrument: dry}
inference: {num_overlap: 4}
""")
    arguments = ("--architecture", "mdx23c", "--config", "d.yaml", "-q", "-o", "e.safetensors")
    result = run("models", "convert", "d.pth", *arguments, cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert weights.read_header(tmp_path / "e.safetensors").config == {
        **dataclasses.asdict(config),
        "sources": ["dry"],
        "scale": [2, 2],
    }


def test_weights_on_the_hartley_transform_are_not_mdx23c(tmp_path: Path) -> None:
    """MSST's mdx23c_stht: the same YAML file, but half the channels, having no imaginary parts."""
    config = MDX23CConfig(
        sources=("dry",), segment=1920, n_fft=512, hop_length=128, bins=256, scales=1, channels=4
    )
    state = MDX23C(config).state_dict()
    state["first_conv.weight"] = state["first_conv.weight"][:, ::2]
    torch.save(state, tmp_path / "d.pth")
    (tmp_path / "d.yaml").write_text("""
audio: {chunk_size: 1920, num_channels: 2, n_fft: 512, hop_length: 128, dim_f: 256}
model: {act: gelu, bottleneck_factor: 4, growth: 128, norm: InstanceNorm, num_scales: 1,
        num_blocks_per_scale: 2, num_channels: 4, num_subbands: 4, scale: [2, 2]}
training: {instruments: [dry, wet], target_instrument: dry}
inference: {num_overlap: 4}
""")
    arguments = ("--architecture", "mdx23c", "--config", "d.yaml")
    result = run("models", "convert", "d.pth", *arguments, cwd=tmp_path)
    assert result.code == 4
    assert "first_conv.weight is float32 (4, 8, 1, 1), not float32 (4, 16, 1, 1)" in result.stderr
    (tmp_path / "d.yaml").rename(tmp_path / "mdx23c_stht.yaml")
    arguments = ("--architecture", "mdx23c", "--config", "mdx23c_stht.yaml")
    result = run("models", "convert", "d.pth", *arguments, cwd=tmp_path)
    assert result.code == 2
    assert "mdx23c_stht.yaml: is for mdx23c_stht according to its name" in result.stderr


# --- Tensors alone -------------------------------------------------------------------------------


@pytest.fixture
def speech(tmp_path: Path) -> SpeechConvTasNet:
    """A network that ``tmp_path`` holds the tensors of, as torchaudio writes them."""
    torch.manual_seed(0)
    config = SpeechConvTasNetConfig(
        filters=16, bottleneck=8, hidden=12, skip=8, blocks=6, repeats=4, sample_rate=16_000
    )
    network = SpeechConvTasNet(config).eval()
    torch.save(network.state_dict(), tmp_path / "net.pt")
    return network


def test_settings_that_tensors_do_not_show_are_required(
    tmp_path: Path, speech: SpeechConvTasNet
) -> None:
    expected = [
        "stemsplit: error: net.pt: its tensors do not show sources, sample_rate, mask, blocks",
        "hint: specify how it was trained: stemsplit models convert net.pt --set sources=SOURCES "
        "--set sample_rate=SAMPLE_RATE --set mask=MASK --set blocks=BLOCKS",
    ]
    for command in (("models", "convert", "net.pt"), ("-n", "net.pt", "song.wav")):
        result = run(*command, cwd=tmp_path)
        assert (result.code, result.stderr.splitlines()) == (4, expected)
    settings = ("sources=speaker1, speaker2", "sample_rate=16000", "mask=sigmoid", "blocks=6")
    options = [word for setting in settings for word in ("--set", setting)]
    result = run("models", "convert", "net.pt", *options, "--set", "segment=32000", cwd=tmp_path)
    assert result.code == 0, result.stderr
    stored = weights.load(tmp_path / "net.safetensors")
    assert stored.config == speech.config | {"segment": 32_000}
    mix = torch.randn(1, 1, 4_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(stored(mix), speech(mix))


@pytest.mark.parametrize(
    ("settings", "code", "reason"),
    [
        (["mask"], 2, "--set takes NAME=VALUE, not 'mask'"),
        (["=relu"], 2, "--set takes NAME=VALUE, not '=relu'"),
        (["mask="], 2, "--set takes NAME=VALUE, not 'mask='"),
        (["mask=relu", "mask=sigmoid"], 2, "--set mask is given twice"),
        (["mask=relu"], 4, "its tensors do not show sources, sample_rate, blocks"),
        (["blocks=six", "sources=a,b", "sample_rate=8000", "mask=relu"], 2, "blocks must be a who"),
        (["blocks=6", "sources=a,b", "sample_rate=8000", "mask=relu", "tuba=1"], 2, "no setting"),
        (["blocks=5", "sources=a,b", "sample_rate=8000", "mask=relu"], 4, "24 blocks, not a mult"),
    ],
)
def test_settings_that_are_wrong(
    tmp_path: Path, speech: SpeechConvTasNet, settings: list[str], code: int, reason: str
) -> None:
    options = [word for setting in settings for word in ("--set", setting)]
    result = run("models", "convert", "net.pt", *options, cwd=tmp_path)
    assert result.code == code, result.stderr
    assert reason in result.stderr
    assert not (tmp_path / "net.safetensors").exists()


def test_a_yaml_file_has_all_settings(folder: Path) -> None:
    result = run("models", "convert", "net.ckpt", *SCNET, "--set", "n_fft=512", cwd=folder)
    assert result.code == 2
    assert "--set cannot be used with --config" in result.stderr


# -------------------------------------------------------------------------------------------------


def test_an_existing_file_is_not_replaced(folder: Path) -> None:
    target = folder / "net.safetensors"
    target.write_bytes(b"precious")
    result = run("models", "convert", "net.ckpt", *SCNET, cwd=folder)
    assert result.code == 3
    assert "net.safetensors: already exists" in result.stderr
    assert target.read_bytes() == b"precious"
    assert run("models", "convert", "net.ckpt", *SCNET, "--force", cwd=folder).code == 0
    assert weights.read_header(target).architecture == "scnet:SCNet"


def test_the_input_is_not_replaced_either(folder: Path) -> None:
    result = run("models", "convert", "net.ckpt", *SCNET, "-o", "net.ckpt", "-f", cwd=folder)
    assert result.code == 3
    assert "net.ckpt: is the input" in result.stderr
    assert run("models", "convert", "net.ckpt", *SCNET, "-o", ".", "-f", cwd=folder).code == 3


def test_an_unwritable_target(folder: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    before = sorted(folder.iterdir())
    # The name of the temporary file leads to a device on which every write fails for lack of space.
    (folder / f".out.safetensors.{os.getpid()}.part").symlink_to("/dev/full")
    result = run("models", "convert", "net.ckpt", *SCNET, "-o", "out.safetensors", cwd=folder)
    assert result.code == 5
    assert result.stderr.splitlines() == [
        "stemsplit: error: out.safetensors: the disk is full (No space left on device)",
        "hint: free some space, or use --out to write elsewhere",
    ]
    assert sorted(folder.iterdir()) == before
    result = run("models", "convert", "net.ckpt", *SCNET, "-o", "no/out.safetensors", cwd=folder)
    assert result.code == 3
    assert "no/out.safetensors: cannot be written: No such file or directory" in result.stderr


class Hostile:
    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.touched,)


def test_a_hostile_pickle_runs_nothing(folder: Path) -> None:
    torch.save({"state_dict": Hostile(folder / "touched")}, folder / "net.ckpt")
    result = run("models", "convert", "net.ckpt", *SCNET, cwd=folder)
    assert result.code == 4
    assert "refused: loading it would run" in result.stderr
    assert not (folder / "touched").exists()
    assert not (folder / "net.safetensors").exists()


def test_weights_of_another_network(folder: Path, network: SCNet) -> None:
    (folder / "net.yaml").write_text(CONFIG.replace("num_dplayer: 2", "num_dplayer: 4"))
    result = run("models", "convert", "net.ckpt", *SCNET, cwd=folder)
    assert result.code == 4
    assert "does not fit scnet:SCNet: separation_net.dp_modules.2" in result.stderr
    state = network.state_dict()
    state["extra"] = torch.zeros(1)
    torch.save(state, folder / "net.ckpt")
    (folder / "net.yaml").write_text(CONFIG)
    result = run("models", "convert", "net.ckpt", *SCNET, cwd=folder)
    assert result.code == 4
    assert "extra is not part of it" in result.stderr
    assert not (folder / "net.safetensors").exists()


def test_a_configuration_that_gives_no_network(folder: Path) -> None:
    (folder / "net.yaml").write_text(CONFIG.replace("num_dplayer: 2", "num_dplayer: 3"))
    result = run("models", "convert", "net.ckpt", *SCNET, cwd=folder)
    assert result.code == 4
    assert "dual_path_layers must be even, not 3" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--architecture", "bandit", "--config", "net.yaml"), "'bandit' is not one of"),
        (("--architecture", "scnet"), "--architecture and --config must be used together"),
        (("--config", "net.yaml"), "--architecture and --config must be used together"),
        (("--architecture", "scnet", "--config", "none.yaml"), "none.yaml: cannot be read"),
        (("--architecture", "mdx23c", "--config", "net.yaml"), "audio: n_fft is missing"),
    ],
)
def test_what_is_wrong_on_the_command_line(
    folder: Path, arguments: tuple[str, ...], reason: str
) -> None:
    result = run("models", "convert", "net.ckpt", *arguments, cwd=folder)
    assert result.code == 2
    assert reason in result.stderr


def test_a_missing_file(folder: Path) -> None:
    assert run("models", "convert", "none.ckpt", *SCNET, cwd=folder).code == 4
    assert run("models", "convert", "none.ckpt", cwd=folder).code == 4


def test_a_file_of_bare_tensors_needs_an_architecture(folder: Path) -> None:
    result = run("models", "convert", "net.ckpt", cwd=folder)
    assert result.code == 4
    assert "--architecture NAME --config FILE.yaml" in result.stderr
    result = run("-n", "net.ckpt", "song.wav", cwd=folder)
    assert result.code == 4
    assert "--architecture NAME --config FILE.yaml" in result.stderr
