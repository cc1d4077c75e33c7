"""Folders of Open-Unmix, as its training writes them: by the commands, and as the package does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from audio_files import Samples, store_wav
from command import run
from openunmix_package import reference_package
from oracles import signal_to_difference
from torch import Tensor

from stemsplit.checkpoints import loading, registry
from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.open_unmix_folder import find_targets
from stemsplit.checkpoints.weights import assemble
from stemsplit.errors import CheckpointError, UsageError
from stemsplit.models.open_unmix import OpenUnmix, OpenUnmixConfig

SEPARATOR = {"nfft": 1024, "nhop": 256, "sample_rate": 44_100.0, "nb_channels": 2}
FIELDS: dict[str, Any] = {"n_fft": 1024, "hop": 256, "bandwidth": 8_000, "hidden": 16, "layers": 3}


def targets(count: int) -> list[dict[str, Tensor]]:
    """Return the tensors of ``count`` targets of one network, where every bias counts."""
    generator = torch.Generator().manual_seed(count)
    sources = tuple(f"s{number}" for number in range(count + 1))
    model = OpenUnmix(OpenUnmixConfig(sources=sources, residual=True, **FIELDS))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return [dict(target.state_dict()) for target in model.targets]


def write(folder: Path, names: Sequence[str], **changes: Any) -> Path:
    """Write a folder of the targets ``names`` as Open-Unmix's script for training does."""
    folder.mkdir()
    for name, state in zip(names, targets(len(names)), strict=True):
        torch.save(state, folder / f"{name}.pth")
        torch.save({"state_dict": state, "optimizer": {}}, folder / f"{name}.chkpnt")
        arguments = {"nfft": 1024, "nhop": 256, "nb_channels": 2, "hidden_size": 16}
        (folder / f"{name}.json").write_text(json.dumps({"args": arguments, "best_loss": 1.0}))
    write_separator(folder, **changes)
    return folder


def write_separator(folder: Path, **changes: Any) -> None:
    (folder / "separator.json").write_text(json.dumps(SEPARATOR | changes))


def test_every_file_is_found_by_its_target(tmp_path: Path) -> None:
    folder = write(tmp_path / "umx", ["vocals", "strings", "drums"])
    os.rename(folder / "drums.pth", folder / "drums-69e0ebd4.pth")
    os.rename(folder / "strings.pth", folder / "strings_04a6fc2d.pth")
    (folder / "vocals-bccbd9aa.pth").write_bytes(b"an older one")
    found = {name: path.name for name, path in find_targets(folder).items()}
    assert found == {
        "drums": "drums-69e0ebd4.pth",
        "vocals": "vocals.pth",
        "strings": "strings_04a6fc2d.pth",
    }
    assert list(found) == ["drums", "vocals", "strings"]
    assert sniff(folder) == "open_unmix.folder"


def test_the_folder_says_what_network_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "umx", ["vocals", "drums"])
    weights = convert("open_unmix.folder", [folder])
    assert weights.config == {
        **{"sources": ["drums", "vocals"], "residual": False, "iterations": 1},
        **{"sample_rate": 44_100, "channels": 2, "n_fft": 1024, "hop": 256},
        **{"hidden": 16, "layers": 3, "bandwidth": 7_968, "segment": 8 * 300 * 256},
    }
    assert weights.origin.startswith("Open-Unmix folder sha256:")
    assert loading.stems_of(str(folder)) == ("drums", "vocals")
    assert loading.label(f"{folder}/") == "umx"


def test_a_single_target_is_not_filtered(tmp_path: Path) -> None:
    folder = write(tmp_path / "umx", ["vocals"])
    weights = convert("open_unmix.folder", [folder])
    assert (weights.config["sources"], weights.config["iterations"]) == (["vocals"], 0)
    weights = convert("open_unmix.folder", [folder], config={"residual": True})
    assert weights.config["sources"] == ["vocals", "residual"]
    assert weights.config["iterations"] == 1


def test_other_weights_are_another_checkpoint(tmp_path: Path) -> None:
    folder = write(tmp_path / "umx", ["vocals", "drums"])
    first = loading.fingerprint(str(folder))
    (folder / "drums.chkpnt").unlink()
    assert loading.fingerprint(str(folder)) == first
    os.replace(folder / "drums.pth", folder / "bass.pth")
    assert loading.fingerprint(str(folder)) != first
    assert loading.load(str(folder)).sources == ("bass", "vocals")


def test_the_commands_take_it(tmp_path: Path, mixture: Samples) -> None:
    write(tmp_path / "umx", ["vocals", "drums"])
    store_wav(tmp_path / "song.wav", mixture[:, :40_000])
    split = run("-n", "umx", "song.wav", cwd=tmp_path)
    assert split.code == 0, split.stderr
    assert [Path(line).name for line in split.lines] == ["drums.wav", "vocals.wav"]
    result = run("models", "convert", "umx/", cwd=tmp_path)
    assert (result.code, result.lines) == (0, ["umx.safetensors"]), result.stderr
    again = run("-n", "umx.safetensors", "song.wav", "-o", "again", cwd=tmp_path)
    assert again.code == 0, again.stderr
    for first, second in zip(split.lines, again.lines, strict=True):
        assert (tmp_path / first).read_bytes() == (tmp_path / second).read_bytes()
    result = run("models", "convert", ".", "--set", "residual=true", cwd=tmp_path / "umx")
    assert (result.code, result.lines) == (0, ["umx.safetensors"]), result.stderr
    assert "of drums, vocals, residual" in result.stderr


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: (folder / "separator.json").unlink(), "is a folder, not a checkpoint"),
        (lambda folder: [p.unlink() for p in folder.glob("*.pth")], "is a folder, not a checkp"),
        (lambda folder: (folder / "separator.json").write_text("{}"), "contain valid nfft"),
        (lambda folder: (folder / "separator.json").write_text("["), "contain valid nfft"),
        (lambda folder: write_separator(folder, nfft=0), "contain valid nfft"),
        (lambda folder: write_separator(folder, nhop=float("inf")), "contain valid nfft"),
        (lambda folder: write_separator(folder, nfft=10**9), "n_fft must be at most"),
        (lambda folder: (folder / "drums.pth").write_bytes(b"PK"), "torch can read, or damaged"),
        (lambda folder: torch.save([1], folder / "drums.pth"), "contain the weights of an"),
        (lambda folder: torch.save(targets(1)[0] | {"x": torch.ones(1)}, folder / "vocals.pth"),
         "targets.1.x is not part of it"),
        (lambda folder: torch.save({"x": torch.ones(1)}, folder / "drums.pth"), "damaged: KeyE"),
    ],
)  # fmt: skip
def test_a_folder_with_something_wrong(
    tmp_path: Path, harm: Callable[[Path], object], reason: str
) -> None:
    folder = write(tmp_path / "umx", ["vocals", "drums"])
    harm(folder)
    result = run("-n", "./umx", "song.wav", cwd=tmp_path)
    assert result.code == 4
    assert reason in result.stderr
    result = run("models", "convert", "umx", cwd=tmp_path)
    assert (result.code, reason in result.stderr) == (4, True)


def test_a_pointer_in_the_folder_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "umx", ["vocals", "drums"])
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 35637796\n"
    (folder / "drums.pth").write_text(pointer)
    with pytest.raises(CheckpointError, match=r"Git LFS pointer.*35\.6 MB") as caught:
        convert("open_unmix.folder", [folder])
    assert caught.value.path == str(folder / "drums.pth")


def test_settings_that_contradict_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "umx", ["vocals", "drums"])
    with pytest.raises(CheckpointError, match="n_fft is 1024 according to the file, not 4096"):
        convert("open_unmix.folder", [folder], config={"n_fft": 4096})
    with pytest.raises(UsageError, match="residual must be true or false, not 'yes'"):
        convert("open_unmix.folder", [folder], config={"residual": "yes"})


def test_a_folder_is_distinguished_from_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "htdemucs", ["vocals"])
    write(tmp_path / "mine", ["vocals"])
    (tmp_path / "empty").mkdir()
    assert registry.local_file("htdemucs") is None  # a name of the registry wins
    assert registry.local_file("mine") == Path("mine")
    assert registry.local_file("empty") is None
    with pytest.raises(CheckpointError, match="is a folder, not a checkpoint") as caught:
        registry.local_file("./empty")
    assert "separator.json and TARGET.pth" in str(caught.value.hint)


@pytest.mark.network
@pytest.mark.parametrize("residual", [False, True])
def test_the_numbers_are_those_of_openunmix(
    tmp_path: Path, mixture: Samples, residual: bool
) -> None:
    folder = write(tmp_path / "umx", ["vocals", "drums"])
    song = store_wav(tmp_path / "song.wav", mixture[:, :100_000])
    wave = torch.from_numpy(soundfile.read(song, dtype="float32")[0].T)[None]
    with reference_package() as openunmix:
        names = ["drums", "vocals"]
        theirs = openunmix.utils.load_separator(str(folder), targets=names, residual=residual)
        with torch.inference_mode():
            expected = theirs.eval()(wave)[0]
    weights = convert("open_unmix.folder", [folder], config={"residual": residual})
    with torch.inference_mode():
        found = assemble(weights, folder)(wave)[0]
    assert len(found) == len(expected) == 2 + residual
    for truth, stem in zip(expected, found, strict=True):
        assert signal_to_difference(truth, stem) > 100
