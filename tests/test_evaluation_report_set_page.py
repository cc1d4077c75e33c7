"""The page of several sets of stems: which songs it plays, what it shows of their scores."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from audio_files import noise
from song_scores import NAN, song_scores, stem_scores, stored_song

from stemsplit.evaluation.report import html
from stemsplit.evaluation.report.findings import describe_sets
from stemsplit.evaluation.report.set_page import choose_shown_sets, render_sets
from stemsplit.evaluation.report.stem_sets import ComparedSong


def compared(song: str, **values: float) -> ComparedSong:
    """Return a song of one stem, whose sets have these global SDR."""
    sets = {
        name: song_scores(stem_scores("vocals", global_sdr=value), song=song)
        for name, value in values.items()
    }
    return ComparedSong(name=song, sets=sets)


def test_of_many_songs_those_are_played_in_which_the_sets_differ_most() -> None:
    songs = [compared(f"difference {n}", a=20.0, b=20.0 - n, c=20.0) for n in (3, 1, 5, 0, 4)]
    songs.append(compared("undefined", a=30.0, b=NAN, c=30.0))
    shown, seconds = choose_shown_sets(songs)
    assert [song.name for song in shown] == ["difference 5", "difference 4", "difference 3"]
    assert seconds == html.SECONDS / html.SHOWN_SONGS
    many = compared("many", **{f"set {n}": 1.0 for n in range(58)})
    # The stem in each set, its reference, and the song.
    assert choose_shown_sets([many])[1] == html.MOST_AUDIO / 60


def test_remarks_on_all_sets_are_made_once() -> None:
    sets = {
        name: song_scores(stem_scores("vocals", delay=delay), remarks=("cut to 1 s",))
        for name, delay in (("a", 0), ("b", 441))
    }
    remarks = describe_sets(ComparedSong(name="song", sets=sets))
    assert remarks.count("cut to 1 s") == 1 and not any("cut" in text for text in remarks[1:])
    [late] = [text for text in remarks if "too late" in text]
    assert late.startswith("b: vocals: 441 samples")


def test_a_page_needs_a_song() -> None:
    with pytest.raises(ValueError, match="a report needs a song"):
        render_sets([])


def test_the_tables_have_signed_differences_and_the_best_values(tmp_path: Path) -> None:
    sets = {}
    for name, level in (("a", 9.25), ("b", 10.5), ("c", 9.0)):
        (tmp_path / name).mkdir()
        stored = stored_song(tmp_path / name, {"vocals": noise(8_000)}, {"vocals": noise(8_000)})
        sets[name] = replace(stored, scores=(stem_scores("vocals", global_sdr=level),))
    page = render_sets([ComparedSong(name="song", sets=sets)])
    table = page[page.index("<caption><b>Global SDR</b>") :]
    cells = re.findall(r"<td[^>]*>([^<]*)", table[: table.index("</table>")])
    assert cells == ["9.25", "10.50", "9.00", "+1.25", "−0.25"]
    best = re.findall(r'<td class="best">([^<]*)', table[: table.index("</table>")])
    assert best == ["10.50"]
