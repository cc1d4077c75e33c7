"""The plan of a run: where the stems of songs go that could be mistaken for each other."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from command import TINY

from stemsplit.batch.discover import Song
from stemsplit.batch.plan import plan_songs
from stemsplit.errors import UsageError
from stemsplit.options import SplitOptions


def folders(*songs: str, below: str = "") -> list[str]:
    """Return the folder of the stems of each of ``songs``, below the output folder."""
    found = [Song(Path(song), Path(below), found=True) for song in songs]
    plans = plan_songs(found, ["vocals"], SplitOptions(model=TINY, out=Path("out")))
    assert len({path for plan in plans.values() for path in plan.files}) == 2 * len(songs)
    return [plan.stems["vocals"].parent.relative_to("out").as_posix() for plan in plans.values()]


def test_songs_of_one_name_differ_by_their_folders() -> None:
    names = ("a/01.wav", "b/01.wav", "c/01.flac", "c/01.wav", "c/02.wav")
    assert folders(*names) == ["a/01", "b/01", "01.flac", "c/01", "02"]


def test_names_that_no_file_system_keeps_apart_differ_by_a_digest() -> None:
    """None of them stops the others; and which is which does not depend on where they are."""
    names = ["what*.wav", "what?.wav", "a\tb.wav", "a\nb.wav"]
    names += [f"{'l' * 250}{c}.wav" for c in "xy"]
    here, there = ([f"{place}/{name}" for name in names] for place in ("here", "there"))
    made = folders(*here, below="below")
    assert made == folders(*there, below="below")
    assert [re.sub("[0-9a-f]{8}$", "#", name) for name in made] == [
        *["below/what_.wav #"] * 2,
        *["below/a_b.wav #"] * 2,
        *[f"below/{'l' * 180} #"] * 2,
    ]


def test_songs_that_differ_in_their_endings_keep_them() -> None:
    assert folders("m/other.wav", "m/song.flac", "m/song.wav") == [
        "other",
        "song.flac",
        "song.wav",
    ]


def test_songs_that_differ_in_case_or_accents_alone_have_folders_of_their_own() -> None:
    """To macOS and Windows these names are one, and the folders are the same on all systems."""
    names = ("ONE.flac", "One.wav", "Song.wav", "cafe\u0301.wav", "caf\u00e9.wav", "one.WAV")
    made = folders(*names, "song.wav", "two.wav")
    assert len({unicodedata.normalize("NFC", name).lower() for name in made}) == 8
    assert [re.sub(" [0-9a-f]{8}$", " #", name) for name in made] == [
        "ONE.flac",
        "One.wav #",
        "Song.wav #",
        "cafe\u0301.wav #",
        "caf\u00e9.wav #",
        "one.WAV #",
        "song.wav #",
        "two",
    ]


def test_two_songs_for_one_file_are_refused() -> None:
    songs = [Song(Path("a.wav")), Song(Path("b.wav"))]
    options = SplitOptions(model=TINY, filename="all/{stem}.{ext}")
    with pytest.raises(UsageError, match=r"a\.wav and b\.wav would both write"):
        plan_songs(songs, ["vocals"], options)
