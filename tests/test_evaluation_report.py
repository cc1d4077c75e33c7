"""Scores as records and tables: on values, as the programs that read them see them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from song_scores import NAN, song_scores, stem_measures, stem_scores

from stemsplit.audio.ffmpeg import find_ffmpeg
from stemsplit.cli.scoreboard import show_song, show_summary
from stemsplit.data.stems import StemFiles
from stemsplit.evaluation.report.findings import describe_song, find_lowest
from stemsplit.evaluation.report.records import from_json, to_json, to_museval
from stemsplit.evaluation.report.tables import (
    COLUMNS,
    average,
    decibel,
    summarise,
    to_csv,
    to_markdown,
)
from stemsplit.evaluation.scores import SongScores, median

INF = math.inf


def full_song() -> SongScores:
    return song_scores(
        stem_scores("vocals", si_sdr=-INF, log_wmse=NAN, delay=None),
        stem_scores("drums", inverted=True, delay=-3),
        song="söng",
        measures=(
            stem_measures("vocals", correlation={"drums": 0.25}, overlap={"drums": 0.5}),
            stem_measures("drums", clipped=7, correlation={"vocals": 0.25}),
        ),
        null_residual=-INF,
        unreproducible=("sir", "sar"),
        bss_eval="museval 0.4.1",
        remarks=("resampled",),
        estimates={"vocals": StemFiles(paths=(Path("a/v.wav"),))},
        references={"vocals": StemFiles(paths=(Path("l.wav"), Path("b.wav")), missing=("choir",))},
        mixture=StemFiles(paths=(Path("mix.stem.mp4"),), streams=(2,)),
        settings={"model": "htdemucs", "overlap": 0.25, "shifts": 0, "offline": True},
    )


def test_the_lowest_frame_of_a_part() -> None:
    stem = stem_scores("a", (-9.0, 4.0, NAN, 2.0, 3.0, -7.0))
    assert find_lowest(stem) == 0
    assert find_lowest(stem, 1, 5) == 3
    assert find_lowest(stem, 1, 3) is None  # one alone is no lowest


def test_frames_that_no_stem_has_are_told_once() -> None:
    song = song_scores(stem_scores("a"), stem_scores("b"), stem_scores("c", (1.0,)))
    unscored = "a, b: 1 of 4 frames not scored, a reference or an estimate is silent there"
    assert list(describe_song(song)) == [unscored]


def test_a_record_is_valid_json_and_is_read_back() -> None:
    song = full_song()
    text = json.dumps(to_json(song), allow_nan=False)  # refuses NaN and infinities
    again = from_json(json.loads(text))
    assert json.dumps(to_json(again), allow_nan=False) == text
    np.testing.assert_array_equal(again.scores[0].sdr, song.scores[0].sdr)
    assert again.scores[0].si_sdr == -INF and math.isnan(again.scores[0].log_wmse)
    assert again.measures == song.measures
    assert (again.estimates, again.references) == (song.estimates, song.references)
    assert (again.mixture, again.settings) == (song.mixture, song.settings)
    assert (again.unreproducible, again.bss_eval) == (("sir", "sar"), "museval 0.4.1")


def test_what_json_cannot_say_is_null_or_a_word() -> None:
    record = to_json(full_song())
    vocals = record["scores"][0]
    assert record["schema"] == 2 and record["seconds"] == 4.0
    assert (vocals["log_wmse"], vocals["si_sdr"], vocals["delay"]) == (None, "-inf", None)
    assert vocals["frames"]["sdr"] == [1.0, 2.5, None, 11.25]
    assert vocals["median"] == {"sdr": 2.5, "isr": 3.5, "sir": 4.5, "sar": 5.5}
    assert record["null_residual"] == "-inf"
    assert (record["unreproducible"], record["replicated"]) == (["sir", "sar"], False)


def test_records_of_earlier_versions_are_read() -> None:
    """They could repeat the rounding of museval, and had only one BSS Eval."""
    record = to_json(full_song()) | {"replicated": True}
    del record["bss_eval"]
    assert to_json(from_json(record)) == record | {"replicated": False, "bss_eval": "own"}


@given(values=st.lists(st.floats(allow_nan=True, width=32), max_size=8))
def test_any_frames_survive_a_record(values: list[float]) -> None:
    song = song_scores(stem_scores("vocals", values))
    again = from_json(json.loads(json.dumps(to_json(song), allow_nan=False)))
    np.testing.assert_array_equal(again.scores[0].sdr, song.scores[0].sdr)


@pytest.mark.parametrize(
    "record", [{}, {"schema": 1}, {"schema": 2}, {"schema": 2, "null_residual": 0, "mixture": 3}]
)
def test_what_is_no_record_is_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"schema|no record"):
        from_json(record)


def test_museval_frames_have_its_names_times_and_decimals() -> None:
    song = song_scores(stem_scores("vocals", (1.123456789, INF, NAN)), window=2.0, hop=1.5)
    record = to_museval(song)
    (target,) = record["targets"]
    assert target["name"] == "vocals"
    assert [(f["time"], f["duration"]) for f in target["frames"]] == [(0, 2), (1.5, 2), (3, 2)]
    metrics = target["frames"][0]["metrics"]
    assert metrics == {"SDR": 1.12346, "ISR": 2.12346, "SIR": 3.12346, "SAR": 4.12346}
    assert all(math.isnan(v) for f in target["frames"][1:] for v in f["metrics"].values())
    assert "NaN" in json.dumps(record)


@pytest.mark.network
def test_museval_reads_and_aggregates_them(tmp_path: Path) -> None:
    """The oracle: museval 0.4.1, with pandas and all it needs, in a folder of its own."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(tmp_path / "museval")]
    subprocess.run([*install, "museval==0.4.1"], check=True, capture_output=True)
    songs = [
        song_scores(
            stem_scores("vocals", (1, 2, NAN, 4)), stem_scores("drums", (INF, 5)), song="a"
        ),
        song_scores(stem_scores("vocals", (7, 8, 9)), stem_scores("drums", (0, 1)), song="b"),
        song_scores(stem_scores("vocals", (NAN, NAN)), stem_scores("drums", (2, 3)), song="c"),
    ]
    folder = tmp_path / "model" / "test"
    folder.mkdir(parents=True)
    for song in songs:
        (folder / f"{song.song}.json").write_text(json.dumps(to_museval(song)))
    code = """
import json, sys, museval
store = museval.EvalStore()
store.add_eval_dir(sys.argv[1])
methods = museval.MethodStore()
methods.add_eval_dir(sys.argv[1])
assert set(methods.df.method) == {"model"}, methods.df
track = museval.TrackStore("a")
track.scores = json.load(open(sys.argv[1] + "/test/a.json"))
track.validate()
assert len(track.df) == 4 * (4 + 2), track.df
print(json.dumps({f"{t} {m}": v for (t, m), v in store.agg_frames_tracks_scores().items()}))
"""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("ffmpeg", "ffprobe"):  # looked for when it is imported, never called here
        (programs / name).symlink_to(find_ffmpeg())
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "museval"), "PATH": str(programs)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(out.splitlines()[-1])
    vocals, _drums = summarise(songs)
    assert found["vocals SDR"] == pytest.approx(vocals.values["sdr"]) == 5.0
    # What is infinite is NaN to museval, so that drums have medians of 5, 0.5 and 2.5.
    assert found["drums SDR"] == pytest.approx(2.5)
    assert found["drums SAR"] == pytest.approx(5.5)


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
    assert (rows[0]["frames"], rows[0]["silent_frames"], rows[0]["delay"]) == ("4", "1", "")
    assert [rows[1][name] for name in ("stem", "sdr", "delay", "inverted")] == [
        "drums", "", "-3", "1",
    ]  # fmt: skip


def test_markdown_is_one_row_to_paste() -> None:
    song = song_scores(stem_scores("vocals"), stem_scores("drums", (NAN,), global_sdr=-0.25))
    lines = to_markdown([song], "my|model").splitlines()
    assert [line.count(" | ") for line in lines[:2]] == [7, 7]
    assert lines[0].startswith("| model | songs | vocals SDR | drums SDR | average SDR |")
    assert lines[2] == "| my\\|model | 1 | 2.50 | - | - | 9.25 | -0.25 | 4.50 |"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.234, "1.23"), (-0.001, "0.00"), (-3.1, "-3.10"), (NAN, "-"), (-INF, "-inf"), (INF, "inf")],
)
def test_figures_are_written_for_tables(value: float, text: str) -> None:
    assert decibel(value) == text


def test_a_median_leaves_out_what_has_no_answer() -> None:
    assert median(np.array([NAN, 3.0, 1.0, NAN])) == 2.0
    assert math.isnan(median(np.array([NAN]))) and math.isnan(median(np.array([])))


def words(line: str) -> list[str]:
    return line.split()


# --- On a terminal -------------------------------------------------------------------------------


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
    assert "* vocals: 1 of 4 frames not scored, a reference or an estimate is silent there" in lines
    assert "* a stem of many words: inverted polarity, not corrected" in lines
    assert "* mix minus sum of the stems: -41.2 dB relative to the mix" in lines
    marked = "* SIR, SAR: rounding decides some frames, because the references have empty bands;"
    assert f"{marked} museval's own values vary there too" in " ".join(lines)
    assert "rounding" not in show_song(dataclasses.replace(song, unreproducible=()))
    assert "computed by" not in shown
    by_museval = dataclasses.replace(song, bss_eval="museval 0.4.1")
    assert "* SDR, ISR, SIR, SAR: computed by museval 0.4.1" in show_song(by_museval).splitlines()
    assert "* references are at 48000 Hz" in shown
    assert shown.isascii()


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


def test_the_summary_says_what_is_missing() -> None:
    songs = [
        song_scores(stem_scores("vocals", (4,), global_sdr=1.0), song="a"),
        song_scores(stem_scores("vocals", (NAN,), global_sdr=2.0), song="b"),
    ]
    shown = show_summary(songs)
    assert shown.startswith("2 songs\n")
    vocals = next(line for line in shown.splitlines() if line.startswith("vocals"))
    assert vocals.split()[1:6] == ["4.00", "5.00", "6.00", "7.00", "1.50"]
    assert "no answer in 2 songs: sdr of 1, isr of 1, sir of 1, sar of 1" in " ".join(
        shown.split()
    ).replace("* ", "")
    assert show_summary([]) == "0 songs"
