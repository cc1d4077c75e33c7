"""Summaries of many songs, as CSV and Markdown: on values."""

from __future__ import annotations

import csv
import io
import math

import pytest
from song_scores import NAN, song_scores, stem_scores

from stemsplit.evaluation.report.tables import (
    COLUMNS,
    average,
    decibel,
    pool,
    summarise,
    to_csv,
    to_markdown,
)

INF = math.inf


def test_many_songs_come_to_medians_of_medians_and_means() -> None:
    songs = [
        song_scores(stem_scores("vocals", (1, 2, NAN, 4), global_sdr=1.0, si_sdr=NAN)),
        song_scores(stem_scores("vocals", (7, 8, 9), global_sdr=4.0), stem_scores("bass", (3,))),
        song_scores(stem_scores("vocals", (NAN, NAN), global_sdr=10.0, si_sdr=1.5)),
    ]
    vocals, bass = summarise(songs)
    assert (vocals.name, vocals.songs, bass.name, bass.songs) == ("vocals", 3, "bass", 1)
    assert vocals.values["sdr"] == 5.0  # of 2 and 8; the third song has no answer
    assert vocals.values["sar"] == 8.0
    assert vocals.values["global_sdr"] == 5.0
    assert vocals.values["si_sdr"] == 5.0
    assert (vocals.unanswered["sdr"], vocals.unanswered["si_sdr"]) == (1, 1)
    assert (vocals.frames, vocals.silent_frames) == (9, 3)
    assert average([vocals, bass], "sdr") == 4.0
    assert summarise([]) == []


def test_all_stems_and_songs_together_are_not_the_mean_of_the_stems() -> None:
    songs = [
        song_scores(stem_scores("vocals", (1,), bleedless=10.0), stem_scores("bass", (9,))),
        song_scores(stem_scores("vocals", (2,), bleedless=20.0), stem_scores("bass", (3,))),
        song_scores(stem_scores("vocals", (4, 4, 7), bleedless=60.0)),
    ]
    together = pool(songs)
    assert (together.name, together.values["sdr"]) == ("all", 3.0)  # of 1, 9, 2, 3, 4
    assert average(summarise(songs), "sdr") == 4.0  # of 2 and 6
    assert together.values["bleedless"] == 30.0
    assert pool(songs[:1]).values["sir"] == 7.0  # of 3 and 11


def test_infinities_have_a_mean_unless_they_are_both() -> None:
    def mean(*values: float) -> float:
        songs = [song_scores(stem_scores("vocals", si_sdr=value)) for value in values]
        return summarise(songs)[0].values["si_sdr"]

    assert mean(1.0, INF) == INF
    assert mean(-INF, NAN) == -INF
    assert math.isnan(mean(-INF, INF)) and math.isnan(mean(NAN))


def test_csv_is_read_back_by_csv() -> None:
    song = song_scores(
        stem_scores("vocals", si_sdr=-INF, log_wmse=NAN, delay=None),
        stem_scores("drums", (NAN,), inverted=True, delay=-3),
        song='a "song", twice\nover',
    )
    rows = list(csv.DictReader(io.StringIO(to_csv([song, song]))))
    assert len(rows) == 4 and tuple(rows[0]) == COLUMNS
    assert rows[0]["song"] == 'a "song", twice\\nover'
    assert [rows[0][name] for name in ("sdr", "si_sdr", "log_wmse")] == ["2.5", "-inf", ""]
    assert COLUMNS[-1] == "aura_mrstft" and rows[0]["bleedless"] == ""
    assert (rows[0]["frames"], rows[0]["silent_frames"], rows[0]["delay"]) == ("4", "1", "")
    assert [rows[1][name] for name in ("stem", "sdr", "delay", "inverted")] == [
        "drums", "", "-3", "1",
    ]  # fmt: skip


def test_markdown_is_one_row_to_paste() -> None:
    song = song_scores(stem_scores("vocals"), stem_scores("drums", (NAN,), global_sdr=-0.25))
    lines = to_markdown([song], "my|model").splitlines()
    assert [line.count(" | ") for line in lines[:2]] == [8, 8]
    assert lines[0].startswith("| model | songs | vocals SDR | drums SDR | average SDR |")
    assert lines[2] == "| my\\|model | 1 | 2.50 | - | - | 9.25 | -0.25 | 4.50 | 2.50 |"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.234, "1.23"), (-0.001, "0.00"), (-3.1, "-3.10"), (NAN, "-"), (-INF, "-inf"), (INF, "inf")],
)
def test_figures_are_written_for_tables(value: float, text: str) -> None:
    assert decibel(value) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("=1+1|cmd", "'=1+1|cmd"),
        ("+1", "'+1"),
        ("-1 dB", "'-1 dB"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", "\\t=1"),
        ("A=1", "A=1"),
        ("'=1", "'=1"),
    ],
)
def test_no_name_is_a_formula_and_numbers_stay_numbers(name: str, shown: str) -> None:
    song = song_scores(stem_scores(name, global_sdr=-3.2), song=name)
    [row] = csv.DictReader(io.StringIO(to_csv([song])))
    assert (row["song"], row["stem"]) == (shown, shown)
    assert row["global_sdr"] == "-3.2"
