"""Which folders are songs, and which songs are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsplit.data.layouts import SongStems, find_songs, pair_songs
from stemsplit.errors import InputError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(root: Path) -> dict[str, str]:
    return {song.name: song.path.relative_to(root).as_posix() for song in find_songs(root)}


def test_a_data_set_is_walked_to_its_songs(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "test/B - Song/mixture.wav",
        "test/B - Song/more/take.wav",
        "test/A.B/vocals.FLAC",
        "train/C.stem.mp4",
        ".hidden/vocals.wav",
        "notes/readme.txt",
    )
    assert names(tmp_path) == {
        "test/A.B": "test/A.B",
        "test/B - Song": "test/B - Song",
        "train/C": "train/C.stem.mp4",
    }


def test_a_folder_of_stems_is_one_song(tmp_path: Path) -> None:
    touch(tmp_path, "song/vocals.wav", "song/old/vocals.wav")
    assert names(tmp_path / "song") == {"song": "."}
    assert find_songs(tmp_path / "song/vocals.wav")[0].name == "vocals"


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/vocals.wav", "set/one/vocals.wav")
    (tmp_path / "set/two").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    assert [song.name for song in find_songs(tmp_path / "set")] == ["one", "two"]


def test_stem_files_side_by_side_are_songs(tmp_path: Path) -> None:
    touch(tmp_path, "One.stem.mp4", "Two.STEM.MP4", "readme.md")
    assert names(tmp_path) == {"One": "One.stem.mp4", "Two": "Two.STEM.MP4"}


@pytest.mark.parametrize(
    ("name", "words"), [("nowhere", "no such file or folder"), ("empty", "contains no stems")]
)
def test_nothing_there(tmp_path: Path, name: str, words: str) -> None:
    touch(tmp_path, "empty/readme.txt")
    with pytest.raises(InputError, match=words):
        find_songs(tmp_path / name)


def songs(*names: str) -> list[SongStems]:
    return [SongStems(name, Path(name)) for name in names]


def test_one_song_on_either_side_is_the_same() -> None:
    [(estimate, reference)] = pair_songs(songs("separated"), songs("true"))
    assert (estimate.name, reference.name) == ("separated", "true")


def test_songs_match_by_their_path_or_the_last_part_of_it() -> None:
    estimates = songs("a", "b", "test/c", "unmatched")
    pairs = pair_songs(estimates, songs("test/a", "x/b", "y/b", "test/c", "train/c"))
    assert [(e.name, r.name) for e, r in pairs] == [("a", "test/a"), ("test/c", "test/c")]


def test_no_song_matches() -> None:
    with pytest.raises(InputError, match=r"estimates \(a\) is among the references \(b, c\)"):
        pair_songs(songs("a"), songs("b", "c"))
