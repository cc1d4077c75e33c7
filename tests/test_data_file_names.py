"""What the names of files say about stems and songs."""

from pathlib import Path

import pytest

from stemsplit.data.file_names import excluded_stem, normalise, stem_of, title_of


@pytest.mark.parametrize(
    ("name", "normal"),
    [("Lead Vocals", "lead_vocals"), ("  01-Drums.", "01_drums"), ("---", "---"), ("ß", "ss")],
)
def test_normal_form(name: str, normal: str) -> None:
    assert normalise(name) == normal


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Song - Vocals", "vocals"),
        ("song (lead vocals)", "lead_vocals"),
        ("song_no_vocals", "no_vocals"),
        ("My Mixture", "mixture"),
        ("avocals", "avocals"),
        ("Kazoo Solo", "kazoo_solo"),
    ],
)
def test_the_stem_that_a_name_ends_with(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_stems_of_a_model_count_as_endings_too() -> None:
    assert stem_of("Song - Speaker1", ["speaker1"]) == "speaker1"


@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        ("no_drums", "drums"),
        ("minus_lead_vocals", "lead_vocals"),
        ("karaoke", "vocals"),
        ("vocals", None),
        ("nocturne", None),
        ("no_no_vocals", None),
    ],
)
def test_the_stem_that_a_name_excludes(name: str, excluded: str | None) -> None:
    assert excluded_stem(name) == excluded


def test_the_title_of_a_song_is_not_mixture(tmp_path: Path) -> None:
    for name, title in (("Tune.wav", "Tune"), ("mixture.wav", "Album"), ("Mix.flac", "Album")):
        assert title_of(tmp_path / "Album" / name) == title
