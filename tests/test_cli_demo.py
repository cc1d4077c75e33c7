"""`stemsplit demo`: a synthetic song, its stems and their scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from command import TINY, files_below, run

from stemsplit.audio.decode import read
from stemsplit.checkpoints import loading
from stemsplit.evaluation.metrics import global_sdr

STEMS = ["drums", "bass", "other", "vocals"]


def test_a_demo_renders_splits_and_scores(tmp_path: Path) -> None:
    result = run("demo", "-n", TINY, "--seconds", "3", "--json", cwd=tmp_path)
    assert result.code == 0
    split, scored = result.records
    assert split["status"] == "done"
    assert files_below(tmp_path / "demo") == sorted(
        ["song.wav", *(f"{part}/{stem}.wav" for part in ("stems", "true") for stem in STEMS)]
    )
    song = read(tmp_path / "demo/song.wav")
    assert song.shape == (2, 3 * 44_100)
    truth = {stem: read(tmp_path / f"demo/true/{stem}.wav") for stem in STEMS}
    assert abs(sum(truth.values()) - song).max() < 1e-6
    for score in scored["scores"]:
        estimate = read(tmp_path / f"demo/stems/{score['stem']}.wav")
        assert score["sdr"] == pytest.approx(global_sdr(truth[score["stem"]], estimate), abs=1e-3)
        unsplit = global_sdr(truth[score["stem"]], song)
        assert score["sdr_of_the_song"] == pytest.approx(unsplit, abs=1e-3)


def test_a_table_for_people(tmp_path: Path) -> None:
    result = run("demo", "-n", TINY, "--seconds", "2", "-o", "d", cwd=tmp_path)
    assert result.code == 0
    assert result.lines[:4] == [f"d/stems/{stem}.wav" for stem in STEMS]
    assert result.lines[4].split() == ["stem", "SDR", "unsplit", "song"]
    assert [line.split()[0] for line in result.lines[5:]] == STEMS


def test_a_demo_that_failed_can_be_repeated(tmp_path: Path) -> None:
    failed = run("demo", "-n", "htdemucs", "--offline", cwd=tmp_path)
    assert failed.code == 4
    assert files_below(tmp_path) == []
    again = run("demo", "-n", TINY, "--seconds", "2", cwd=tmp_path)
    assert again.code == 0
    repeated = run("demo", "-n", TINY, "--seconds", "2", cwd=tmp_path)
    assert (repeated.code, repeated.stdout) == (0, again.stdout.partition("vocals.wav\n")[2])
    refused = run("demo", "-n", "tiny.demucs_v3", "--seconds", "2", cwd=tmp_path)
    assert refused.code == 3
    assert "its stems in demo/stems were made with tiny.htdemucs, whole song" in refused.stderr
    assert run("demo", "-n", TINY, "--seconds", "2", "--force", cwd=tmp_path).code == 0


@pytest.mark.weights
def test_published_weights_tell_the_stems_of_the_demo_apart(tmp_path: Path) -> None:
    for _ in loading.prepare("htdemucs"):
        pass
    result = run("demo", "--json", "--seconds", "8", cwd=tmp_path)
    scores = {score["stem"]: score for score in result.records[1]["scores"]}
    for stem, least in {"drums": 10, "bass": 8, "other": 4, "vocals": 6}.items():
        assert scores[stem]["sdr"] > least
        assert scores[stem]["sdr"] > scores[stem]["sdr_of_the_song"] + 8
    assert soundfile.info(tmp_path / "demo/song.wav").frames == 8 * 44_100
