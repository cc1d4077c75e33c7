"""Which songs and stems are found in the layouts of data sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from data_sets import (
    FOUR,
    write_dsd100,
    write_medley,
    write_moises,
    write_slakh,
    write_song,
    write_sound,
)

from stemsplit.data.collections import TrainingSong, find_training_songs, recognise
from stemsplit.data.collections.musdb import VALIDATION
from stemsplit.errors import InputError, UsageError


def files_of(song: TrainingSong) -> dict[str, list[str]]:
    return {source: [path.name for path in each.paths] for source, each in song.stems.items()}


def by_name(root: Path, *sources: str, **mapping: list[str]) -> dict[str, TrainingSong]:
    return {song.name: song for song in find_training_songs(root, sources or FOUR, mapping)}


def test_musdb18_hq_with_its_official_validation_songs(tmp_path: Path) -> None:
    for name in ("train/ANiMAL - Rockshow", "train/A - B", "test/ANiMAL - Rockshow"):
        write_song(tmp_path / name)
    songs = by_name(tmp_path)
    assert {name: song.split for name, song in songs.items()} == {
        "train/ANiMAL - Rockshow": "valid",
        "train/A - B": "train",
        "test/ANiMAL - Rockshow": "test",
    }
    song = songs["train/A - B"]
    assert files_of(song) == {name: [f"{name}.wav"] for name in FOUR}
    assert song.mixture is not None
    assert song.mixture.paths == (tmp_path / "train/A - B/mixture.wav",)
    assert len(VALIDATION) == 14
    assert recognise(tmp_path).name == "folder for each song"


def test_the_folder_of_a_split_is_enough(tmp_path: Path) -> None:
    write_song(tmp_path / "train" / "Leaf - Summerghost")
    write_song(tmp_path / "validation" / "X")
    assert by_name(tmp_path / "train")["Leaf - Summerghost"].split == "valid"
    assert by_name(tmp_path / "validation")["X"].split == "valid"


def test_files_with_five_streams(tmp_path: Path) -> None:
    for name in ("train/Triviul - Angelsaint", "test/X"):
        path = tmp_path / f"{name}.stem.mp4"
        path.parent.mkdir()
        path.write_bytes(b"not opened")
    songs = by_name(tmp_path)
    assert recognise(tmp_path).name == "MUSDB18"
    song = songs["train/Triviul - Angelsaint"]
    assert song.split == "valid"
    assert {source: each.streams for source, each in song.stems.items()} == {
        "vocals": (4,),
        "drums": (1,),
        "bass": (2,),
        "other": (3,),
    }
    assert song.mixture is not None
    assert song.mixture.parts() == [(tmp_path / "train/Triviul - Angelsaint.stem.mp4", 0)]
    two = by_name(tmp_path, "vocals", "accompaniment")["test/X"]
    assert two.stems["accompaniment"].streams == (1, 2, 3)
    assert by_name(tmp_path, "vocals", "other")["test/X"].stems["other"].streams == (1, 2, 3)


def test_dsd100(tmp_path: Path) -> None:
    write_dsd100(tmp_path)
    songs = by_name(tmp_path)
    assert {name: song.split for name, song in songs.items()} == {
        "Dev/051 - A - One": "train",
        "Test/001 - B - Two": "test",
    }
    song = songs["Dev/051 - A - One"]
    assert list(song.stems) == list(FOUR)
    assert song.mixture is not None
    assert song.mixture.paths[0] == tmp_path / "Mixtures/Dev/051 - A - One/mixture.wav"


def test_moisesdb_sums_tracks_and_keeps_its_taxonomy(tmp_path: Path) -> None:
    write_moises(tmp_path)
    (song,) = by_name(tmp_path).values()
    assert song.name == "moisesdb_v0.1/uuid-0"
    assert files_of(song) == {
        "vocals": ["a.wav", "b.wav"],
        "drums": ["c.wav"],
        "bass": ["d.wav"],
        "other": ["e.wav", "f.wav"],
    }
    assert song.remarks == ("recorded with bleed: bass",)
    (six,) = by_name(tmp_path, *FOUR, "piano").values()
    assert files_of(six)["piano"] == ["e.wav"]
    assert files_of(six)["other"] == ["f.wav"]
    (fine,) = by_name(tmp_path, "lead_female_singer", "vocals", "other").values()
    assert files_of(fine)["lead_female_singer"] == ["a.wav"]
    assert files_of(fine)["vocals"] == ["b.wav"]
    (mapped,) = by_name(tmp_path, "vocals", "keys", keys=["*piano", "other_keys"]).values()
    assert files_of(mapped)["keys"] == ["e.wav", "f.wav"]
    (two,) = by_name(tmp_path, "vocals", "no_vocals").values()
    assert files_of(two)["no_vocals"] == ["c.wav", "d.wav", "e.wav", "f.wav"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stems": [{}]}', '{"stems": 7}', "[" * 99])
def test_damaged_metadata_of_moisesdb_is_a_problem_of_that_song(tmp_path: Path, text: str) -> None:
    write_moises(tmp_path)
    bad = tmp_path / "moisesdb_v0.1" / "uuid-1"
    (bad / "vocals").mkdir(parents=True)
    (bad / "data.json").write_text(text)
    songs = by_name(tmp_path)
    assert songs["moisesdb_v0.1/uuid-0"].problem is None
    reason = songs["moisesdb_v0.1/uuid-1"].problem
    assert reason == "data.json: not the metadata of a song of MoisesDB"


def test_a_missing_file_of_moisesdb(tmp_path: Path) -> None:
    write_moises(tmp_path)
    (tmp_path / "moisesdb_v0.1/uuid-0/drums/c.wav").unlink()
    (song,) = by_name(tmp_path).values()
    assert song.problem == "no such file: drums/c.wav"


@pytest.mark.parametrize("place", [None, "Metadata", "../Metadata"])
def test_medleydb_names_the_instruments(tmp_path: Path, place: str | None) -> None:
    root = tmp_path / "MedleyDB"
    write_medley(root, None if place is None else root / place)
    (song,) = by_name(root).values()
    assert song.name == "Audio/Band_Song"
    stem = "Band_Song_STEM_0{}.wav".format
    assert files_of(song) == {
        "vocals": [stem(1)],
        "drums": [stem(2), stem(3)],
        "bass": [stem(4)],
        "other": [stem(5)],
    }
    assert song.mixture is not None
    assert song.remarks == ("recorded with bleed",)
    (fine,) = by_name(root, "drums", "percussion", "guitar", "other").values()
    assert files_of(fine)["percussion"] == [stem(3)]
    assert files_of(fine)["guitar"] == [stem(5)]


def test_medleydb_without_usable_metadata(tmp_path: Path) -> None:
    song = write_medley(tmp_path)
    file = song / "Band_Song_METADATA.yaml"
    text = file.read_text()
    file.write_text(text.replace("female singer", "Main System"))
    assert by_name(tmp_path)["Audio/Band_Song"].problem == (
        "has a stem with several instruments (Main System)"
    )
    file.write_text("- 1")
    problem = by_name(tmp_path)["Audio/Band_Song"].problem
    assert problem == f"{file.name}: not the metadata of a song of MedleyDB"
    file.unlink()
    problem = by_name(tmp_path)["Audio/Band_Song"].problem
    assert problem == f"has no {file.name}, which names the instruments"


def test_slakh_without_the_omitted_songs(tmp_path: Path) -> None:
    splits = {"train": "Track00001", "validation": "Track01501", "omitted": "Track00003"}
    write_slakh(tmp_path, splits)
    songs = by_name(tmp_path)
    assert {name: song.split for name, song in songs.items()} == {
        "train/Track00001": "train",
        "validation/Track01501": "valid",
    }
    song = songs["train/Track00001"]
    assert files_of(song) == {
        "drums": ["S01.flac"],
        "bass": ["S00.flac"],
        "other": ["S02.flac", "S03.flac"],
    }
    assert song.mixture is not None
    assert song.mixture.paths[0].name == "mix.flac"
    fine = by_name(tmp_path, "strings", "keys", "other", keys=["electric piano*"])
    assert files_of(fine["train/Track00001"])["keys"] == ["S02.flac"]
    assert files_of(fine["train/Track00001"])["strings"] == ["S03.flac"]
    (tmp_path / "train/Track00001/metadata.yaml").write_text("stems: [")
    problem = by_name(tmp_path)["train/Track00001"].problem
    assert problem is not None
    assert problem.startswith("metadata.yaml: not plain YAML")


def test_a_folder_for_each_stem(tmp_path: Path) -> None:
    for name in ("vocals/vocals_1.wav", "vocals/b.flac", "bass/bass_1.wav", "guitar/x.wav"):
        write_sound(tmp_path / "train" / name)
    songs = by_name(tmp_path)
    assert recognise(tmp_path).name == "folder for each stem"
    assert {name: list(song.stems) for name, song in songs.items()} == {
        "train/vocals/vocals_1": ["vocals"],
        "train/vocals/b": ["vocals"],
        "train/bass/bass_1": ["bass"],
    }
    assert songs["train/bass/bass_1"].split == "train"
    mapped = by_name(tmp_path, "vocals", "other", other=["guitar", "bass"])
    assert sum("other" in song.stems for song in mapped.values()) == 2


def test_a_song_that_is_named_after_a_stem_is_a_song(tmp_path: Path) -> None:
    write_song(tmp_path / "Other")
    assert list(by_name(tmp_path)["Other"].stems) == list(FOUR)


@pytest.mark.parametrize("column", ["instrum", "type"])
def test_a_list_of_stems(tmp_path: Path, column: str) -> None:
    write_sound(tmp_path / "a.wav")
    far = write_sound(tmp_path / "far" / "b.wav")
    file = tmp_path / "list.csv"
    rows = f"vocals,a.wav\nbass,{far}\ndrums,gone.wav\nkazoo,a.wav\n\n"
    file.write_text(f"\ufeff{column},path\n{rows}")
    songs = by_name(file)
    assert {song.problem for song in songs.values()} == {None, "no such file: gone.wav"}
    assert songs["a"].stems["vocals"].paths == (tmp_path / "a.wav",)
    assert [song.stems["bass"].paths for song in songs.values() if "bass" in song.stems] == [(far,)]
    file.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not a list of stems"):
        find_training_songs(file, FOUR)


def test_songs_with_only_some_instruments(tmp_path: Path) -> None:
    write_song(tmp_path / "One", ("flute", "violin", "mixture"))
    write_song(tmp_path / "Two", ("violin", "mixture"))
    songs = by_name(tmp_path, "flute", "violin")
    assert files_of(songs["One"]) == {"flute": ["flute.wav"], "violin": ["violin.wav"]}
    assert files_of(songs["Two"]) == {"violin": ["violin.wav"]}


def test_several_files_that_are_mapped_make_one_stem(tmp_path: Path) -> None:
    write_song(tmp_path / "One", ("KICK", "snare L", "gesang", "gtr"))
    write_song(tmp_path / "Two", ("kick", "gesang"))
    songs = by_name(tmp_path, drums=["kick*", "snare*"], vocals=["gesang*"])
    assert files_of(songs["One"]) == {
        "vocals": ["gesang.wav"],
        "drums": ["KICK.wav", "snare L.wav"],
    }
    assert files_of(songs["Two"])["drums"] == ["kick.wav"]
    assert any("gtr.wav" in remark for remark in songs["One"].remarks)
    with pytest.raises(UsageError, match=r"no file of any song matches 'tom\*', mapped to drums"):
        by_name(tmp_path, drums=["tom*"])
    with pytest.raises(UsageError, match="unknown stem 'kazoo'"):
        by_name(tmp_path, kazoo=["kick*"])


@pytest.mark.parametrize("write", [write_moises, write_medley])
def test_a_pattern_that_no_instrument_matches(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    write(tmp_path)
    with pytest.raises(UsageError, match=r"nothing in any song matches 'harp\*', mapped to synth"):
        by_name(tmp_path, "vocals", "synth", synth=["harp*"])


def test_a_folder_without_the_stems_is_a_problem_of_that_song(tmp_path: Path) -> None:
    write_song(tmp_path / "One")
    write_song(tmp_path / "Notes", ("memo",))
    write_song(tmp_path / "Twice", ("vocals",))
    write_sound(tmp_path / "Twice" / "vocals.flac")
    songs = by_name(tmp_path)
    assert songs["One"].problem is None
    assert songs["Notes"].problem == "has none of the stems vocals, drums, bass, other"
    assert songs["Twice"].problem == "vocals.flac and vocals.wav both match the stem vocals"


def test_links_and_loops(tmp_path: Path) -> None:
    write_song(tmp_path / "store" / "One")
    root = tmp_path / "set"
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "store" / "One")
    (root / "again").symlink_to(root)
    assert list(by_name(root)) == ["linked"]


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_training_songs(tmp_path / "gone", FOUR)
    with pytest.raises(InputError, match="contains no stems"):
        find_training_songs(tmp_path, FOUR)
    write_sound(tmp_path / "guitar" / "a.wav")
    with pytest.raises(InputError, match="contains none of the stems vocals"):
        find_training_songs(tmp_path, ("vocals", "bass"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(InputError, match="cannot be read"):
        find_training_songs(tmp_path, FOUR)
