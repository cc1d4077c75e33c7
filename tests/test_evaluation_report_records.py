"""Records of scores: as strict JSON that is read back, and as museval reads them."""

from __future__ import annotations

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
from stemsplit.data.stems import StemFiles
from stemsplit.evaluation.report.records import from_json, to_json, to_museval
from stemsplit.evaluation.report.tables import summarise
from stemsplit.evaluation.scores import LEADERBOARD, SongScores

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


def test_values_that_json_lacks_are_null_or_a_word() -> None:
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
    for key in LEADERBOARD:
        del record["scores"][0][key]
    assert math.isnan(from_json(record).scores[0].bleedless)
    del record["scores"][0]["mrstft"]
    with pytest.raises(ValueError, match="mrstft"):
        from_json(record)


@given(values=st.lists(st.floats(allow_nan=True, width=32), max_size=8))
def test_any_frames_survive_a_record(values: list[float]) -> None:
    song = song_scores(stem_scores("vocals", values))
    again = from_json(json.loads(json.dumps(to_json(song), allow_nan=False)))
    np.testing.assert_array_equal(again.scores[0].sdr, song.scores[0].sdr)


@pytest.mark.parametrize(
    "record", [{}, {"schema": 1}, {"schema": 2}, {"schema": 2, "null_residual": 0, "mixture": 3}]
)
def test_invalid_records_are_refused(record: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"schema|invalid record"):
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
    """The oracle: museval 0.4.1, with pandas and its dependencies, in a separate folder."""
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
