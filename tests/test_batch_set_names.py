"""What sets of stems are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsplit.batch.set_names import name_sets
from stemsplit.data.layouts import SongStems
from stemsplit.errors import UsageError
from stemsplit.outputs import manifest
from stemsplit.outputs.manifest import InputFile, Manifest, StoredAudio, StoredFile
from stemsplit.outputs.provenance import Provenance


def make(folder: Path, *models: str) -> Path:
    """Make ``folder`` with a manifest of stems that ``models`` have made, if there are any."""
    folder.mkdir(parents=True)
    outputs = {
        f"{number}.wav": StoredFile(
            stem=str(number),
            size=1,
            sha256="",
            provenance=Provenance(model=model, digest="", parts={}, settings={}),
        )
        for number, model in enumerate(models)
    }
    if models:
        source = InputFile(name="song.wav", size=1, sha256="")
        audio = StoredAudio(sample_rate=1, channels=1, frames=1, seconds=1.0)
        written = Manifest(input=source, audio=audio, outputs=outputs)
        manifest.write(folder / manifest.NAME, written, "token")
    return folder


def names(*places: Path) -> list[str]:
    return name_sets(places, [[SongStems(place.name, place)] for place in places])


def test_a_set_is_named_after_its_model_or_else_its_folder(tmp_path: Path) -> None:
    a = make(tmp_path / "a", "htdemucs", "htdemucs")
    mine = make(tmp_path / "b", "/weights/my net.safetensors")
    assert names(a, mine, make(tmp_path / "umxl out")) == ["htdemucs", "my net", "umxl out"]


def test_stems_of_two_models_have_the_name_of_their_folder(tmp_path: Path) -> None:
    assert names(make(tmp_path / "a", "htdemucs", "umxl"), make(tmp_path / "b")) == ["a", "b"]


def test_two_sets_of_one_model_are_named_after_their_folders(tmp_path: Path) -> None:
    a, b = make(tmp_path / "fast", "htdemucs"), make(tmp_path / "slow", "htdemucs")
    assert names(a, b) == ["fast", "slow"]


def test_folders_of_the_same_name_are_distinguished_by_their_parents(tmp_path: Path) -> None:
    assert names(make(tmp_path / "x/1/song"), make(tmp_path / "y/1/song")) == ["x", "y"]
    inside = names(make(tmp_path / "song"), make(tmp_path / "song/song"))
    assert len(set(inside)) == 2 and all(inside)
    assert not any(name.startswith("/") for name in inside)


def test_a_damaged_manifest_is_ignored(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    (folder / manifest.NAME).write_text("{")
    assert names(folder, make(tmp_path / "b")) == ["a", "b"]


def test_a_set_is_given_once(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    with pytest.raises(UsageError, match="is given 2 times"):
        names(folder, tmp_path / "a" / ".." / "a")
