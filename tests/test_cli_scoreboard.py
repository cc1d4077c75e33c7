"""Scores as tables on a terminal."""

from __future__ import annotations

import dataclasses
import math

import pytest
from song_scores import NAN, song_scores, stem_measures, stem_scores

from stemsplit.cli.scoreboard import show_briefly, show_song, show_summary

INF = math.inf


def words(line: str) -> list[str]:
    return line.split()


def test_the_table_of_a_song_has_all_figures_in_80_columns() -> None:
    song = song_scores(
        stem_scores("vocals", delay=44, si_sdr=-INF),
        stem_scores("a stem of many words", (-100.5,), inverted=True),
        measures=(stem_measures("vocals", overlap={"x": 0.25, "y": 0.5}, correlation={"y": -0.5}),),
        null_residual=-41.25,
        unreproducible=("sir", "sar"),
        remarks=("references are at 48000 Hz, estimates at 44100 Hz: resampled to 44100 Hz " * 2,),
    )
    shown = show_song(song)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    vocals = next(line for line in lines if line.startswith("vocals"))
    assert vocals.split()[1:] == words("2.50 3.50 4.50 5.50 9.25 -inf 14.00 9.75 12.50")
    other = next(line for line in lines if line.startswith("a stem of m..."))
    assert other.split()[4:8] == words("-100.50 -99.50 -98.50 -97.50")
    measured = [line for line in lines if line.startswith("vocals")][1]
    assert measured.split()[1:] == words("-18.1 -1.5 -1.2 -31.2 -inf 1.5 0 -0.50 0.50 y")
    assert "* vocals: 44 samples (1.0 ms) too late, not corrected" in lines
    assert (
        "* vocals: 1 of 4 frames not scored because a reference or an estimate is silent" in lines
    )
    assert "* a stem of many words: inverted polarity, not corrected" in lines
    assert "* residual (mix minus sum of stems): -41.2 dB relative to the mix" in lines
    marked = "* SIR, SAR: some frames depend on rounding, because the references have empty bands;"
    assert f"{marked} museval's own values vary there too" in " ".join(lines)
    assert "rounding" not in show_song(dataclasses.replace(song, unreproducible=()))
    assert "computed by" not in shown
    by_museval = dataclasses.replace(song, bss_eval="museval 0.4.1")
    assert "* SDR, ISR, SIR, SAR: computed by museval 0.4.1" in show_song(by_museval).splitlines()
    assert "* references are at 48000 Hz" in shown
    assert shown.isascii()


def test_leaderboards_have_a_table_and_all_stems_a_row() -> None:
    figures = {"k_sdr": 78.76, "bleedless": 31.25, "fullness": 9.0, "l1_freq": 55.5}
    vocals = stem_scores("vocals", **figures, aura_stft=12.5, aura_mrstft=100.0)
    bass = stem_scores("bass", (3.0,), k_sdr=0.0)
    lines = show_song(song_scores(vocals, bass)).splitlines()
    assert max(map(len, lines)) <= 80
    found = [words(line)[1:] for line in lines if line.startswith(("vocals ", "bass ", "all "))]
    assert found[2][:4] == words("2.75 3.75 4.75 5.75")
    assert found[3:] == [
        words("78.76 31.25 9.00 55.50 12.50 100.00"),
        words("0.00 - - - - -"),
        words("39.38 31.25 9.00 55.50 12.50 100.00"),
    ]
    alone = show_song(song_scores(stem_scores("vocals")))
    assert "\nall" not in alone and "bleed" not in alone  # written by an earlier version


def test_names_are_text_on_the_terminal() -> None:
    song = song_scores(stem_scores("[red]x[/]\x1b[31m"), song="[bold]\x1b]0;title\x07")
    shown = show_song(song, colour=False)
    assert "\x1b" not in shown and "\x07" not in shown
    assert shown.startswith("[bold]\\x1b]0;title\\x07\n") and "[red]x[/]" in shown


def test_colour_is_there_when_asked_for() -> None:
    song = song_scores(stem_scores("vocals"))
    assert "\x1b[1m" in show_song(song, colour=True)
    assert "\x1b" not in show_song(song)


def test_without_references_there_are_measures_alone() -> None:
    shown = show_song(song_scores(measures=(stem_measures("vocals"),)))
    assert "LUFS" in shown and "SDR" not in shown and "SIR" not in shown


def test_a_brief_table_has_one_figure_for_each_stem() -> None:
    scores, measures = (stem_scores("vocals"), stem_scores("bass", (3.0,))), stem_measures("vocals")
    shown = show_briefly(song_scores(*scores, measures=(measures,), song="x"))
    assert shown.split() == ["x", "stem", "SDR", "vocals", "2.50", "bass", "3.00"]
    assert show_briefly(song_scores(measures=(measures,))).split()[-4:] == [
        *("stem", "LUFS", "vocals", "-18.1")
    ]


def test_the_summary_says_what_is_missing() -> None:
    songs = [
        song_scores(stem_scores("vocals", (4,), global_sdr=1.0), song="a"),
        song_scores(stem_scores("vocals", (NAN,), global_sdr=2.0), song="b"),
    ]
    shown = show_summary(songs)
    assert shown.startswith("2 songs\n")
    vocals = next(line for line in shown.splitlines() if line.startswith("vocals"))
    assert vocals.split()[1:6] == ["4.00", "5.00", "6.00", "7.00", "1.50"]
    assert "undefined in 2 songs: sdr of 1, isr of 1, sir of 1, sar of 1" in " ".join(
        shown.split()
    ).replace("* ", "")
    assert show_summary([]) == "0 songs"


@pytest.mark.parametrize("width", [30, 60])
def test_a_narrow_terminal_gets_more_tables_with_all_figures(width: int) -> None:
    """No figure is cut, and no line is broken within one."""
    measures = stem_measures("vocals", overlap={"bass": 0.5}, correlation={"bass": -0.5})
    song = song_scores(stem_scores("vocals"), stem_scores("bass", (3.0,)), measures=(measures,))
    narrow, wide = (
        [line for line in show_song(song, width=each).splitlines() if line.startswith("vocals ")]
        for each in (width, 80)
    )
    assert max(map(len, show_song(song, width=width).splitlines())) <= width
    assert len(narrow) > len(wide) == 2
    assert [figure for line in narrow for figure in words(line)[1:]] == [
        figure for line in wide for figure in words(line)[1:]
    ]
