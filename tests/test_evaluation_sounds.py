"""The files of a song to score."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsplit.data.layouts import SongStems
from stemsplit.evaluation.sounds import find_sounds


def song(folder: Path, *names: str) -> SongStems:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return SongStems(folder.name, folder)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Song - Vocals.wav", "vocals"),
        ("02_mix_(Drums).flac", "drums"),
        ("song_no_vocals.mp3", "no_vocals"),
        ("Instrumental.wav", "instrumental"),
        ("Kazoo Solo.wav", "kazoo_solo"),
    ],
)
def test_one_file_is_the_stem_that_it_is_named_for(tmp_path: Path, name: str, stem: str) -> None:
    path = tmp_path / name
    path.touch()
    sounds = find_sounds(SongStems(path.stem, path), None)
    assert list(sounds.estimates) == [stem]


def test_a_stem_is_compared_with_the_reference_of_its_name(tmp_path: Path) -> None:
    made = song(tmp_path / "made", "Song - Bass.wav", "Song - Vocals.wav", "mix.wav")
    true = song(tmp_path / "true", "line.wav", "drums.wav", "vocals.flac", "mixture.wav")
    sounds = find_sounds(made, true, mapping={"bass": "line.*"})
    assert {name: str(files) for name, files in sounds.estimates.items()} == {
        "vocals": "Song - Vocals.wav",
        "bass": "Song - Bass.wav",
    }
    assert {name: str(files) for name, files in sounds.references.items()} == {
        "vocals": "vocals.flac",
        "bass": "line.wav",
    }
    assert sounds.song == "made"


def test_one_file_is_compared_with_another_or_with_one_of_a_folder(tmp_path: Path) -> None:
    made, true = song(tmp_path / "made", "a.wav"), song(tmp_path / "true", "bass.wav", "a_bass.wav")
    estimate = SongStems("my bass", made.path / "a.wav")
    alone = find_sounds(estimate, SongStems("x", true.path / "a_bass.wav"))
    assert {name: str(files) for name, files in alone.references.items()} == {"bass": "a_bass.wav"}
    among = find_sounds(estimate, true)
    assert {name: str(files) for name, files in among.references.items()} == {"bass": "bass.wav"}


def test_the_mixture_is_the_one_given_then_that_of_the_references(tmp_path: Path) -> None:
    made = song(tmp_path / "made", "bass.wav", "mix.wav")
    true = song(tmp_path / "true", "bass.wav", "mixture.wav")
    given = tmp_path / "song.mp3"
    for references, mixture, name in (
        (true, given, "song.mp3"),
        (true, None, "mixture.wav"),
        (None, None, "mix.wav"),
    ):
        assert str(find_sounds(made, references, mixture=mixture).mixture) == name
