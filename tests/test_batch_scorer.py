"""`stemsplit song.wav --reference stems/`: split, and compared with the true stems at once."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from command import TINY, files_below, run

from stemsplit.batch.results import Result
from stemsplit.batch.scorer import ReferenceScorer
from stemsplit.evaluation import global_sdr
from stemsplit.evaluation.scores import SongScores
from stemsplit.types import Scoring

RATE = 44_100
STEMS = ["bass", "vocals"]
#: BSS Eval of four stems takes five times as long.
TWO = ("--stems", ",".join(STEMS))


@pytest.fixture
def true(
    true_stems: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The true stems of the short song; and the model is a small one."""
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    folder = tmp_path / "true"
    folder.mkdir()
    for name, stem in true_stems.items():
        soundfile.write(folder / f"{name}.wav", stem.T, RATE, subtype="FLOAT")
    return folder


def test_the_table_goes_to_stderr_and_the_paths_to_stdout(
    true: Path, song: Path, tmp_path: Path
) -> None:
    result = run(song, *TWO, "--reference", true, cwd=tmp_path)
    assert result.code == 0
    assert result.lines == [f"separated/song/{stem}.wav" for stem in STEMS]
    rows = [line.split()[0] for line in result.stderr.splitlines() if line.strip()]
    assert [row for row in rows if row in STEMS][:2] == STEMS
    assert "SI-SDR" in result.stderr


def test_the_record_has_the_scores_of_evaluate(true: Path, song: Path, tmp_path: Path) -> None:
    [record] = run(song, *TWO, "--reference", true, "--json", cwd=tmp_path).records
    assert record["status"] == "done"
    by_hand = run("evaluate", "separated/song", true, "--mixture", song, "--json", cwd=tmp_path)
    [alone] = by_hand.records
    for one, other in zip(sorted_stems(record["scores"]), sorted_stems(alone), strict=True):
        assert one["global_sdr"] == pytest.approx(other["global_sdr"], abs=1e-9)
    assert record["scores"]["null_residual"] == pytest.approx(alone["null_residual"])
    assert record["scores"]["settings"]["model"] == TINY


def sorted_stems(song: dict) -> list[dict]:
    return sorted(song["scores"], key=lambda stem: stem["name"])


def test_two_stems_are_compared_with_the_stem_and_the_rest(
    true: Path, song: Path, tmp_path: Path
) -> None:
    options = ("--two-stems", "bass", "--reference", true, "--json")
    [record] = run(song, *options, cwd=tmp_path).records
    assert [stem["name"] for stem in record["scores"]["scores"]] == ["bass", "no_bass"]
    assert record["scores"]["null_residual"] < -100  # the rest is what is left


def test_some_stems_are_compared_with_their_own_references(
    true: Path, song: Path, tmp_path: Path
) -> None:
    """``other`` is the rest of the model's stems, not of those that were asked for."""
    options = ("--stems", "bass,other", "--reference", true, "--json")
    [record] = run(song, *options, cwd=tmp_path).records
    references = record["scores"]["references"]
    assert references["other"]["paths"] == [str(true / "other.wav")]


def test_songs_are_compared_by_name(true: Path, song: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copy(song, song.parent / f"{name}.wav")
    song.unlink()
    shutil.copytree(true, tmp_path / "all/two")
    shutil.copytree(true, tmp_path / "all/three")
    result = run("music", "--stems", "bass", "--reference", "all", "--json", cwd=tmp_path)
    assert result.code == 0
    one, two = result.records
    assert "music/one.wav: no references found, not compared" in result.stderr
    assert one["scores"]["scores"] == []
    assert [stem["name"] for stem in two["scores"]["scores"]] == ["bass"]


def test_a_mixture_is_named_after_its_folder(true: Path, song: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(true, tmp_path / "set" / name)
        shutil.copy(song, tmp_path / "set" / name / "mixture.wav")
    words = ("set/two/mixture.wav", "--stems", "bass", "--reference", "set", "--json")
    result = run(*words, "--report", "two.html", cwd=tmp_path)
    assert result.code == 0, result.stderr
    [record] = result.records
    assert record["scores"]["song"] == "two"
    assert record["scores"]["references"]["bass"]["paths"] == ["set/two/bass.wav"]
    assert "<title>two – stemsplit</title>" in (tmp_path / "two.html").read_text()


def test_references_that_are_not_there_stop_it_before_the_work(
    true: Path, song: Path, tmp_path: Path
) -> None:
    (tmp_path / "kazoo").mkdir()
    shutil.copy(true / "bass.wav", tmp_path / "kazoo/kazoo.wav")
    for folder, words in {
        "nowhere": "nowhere: no such file or folder",
        "kazoo": "kazoo: has none of the stems drums, bass, other, vocals",
    }.items():
        result = run(song, "--reference", folder, cwd=tmp_path)
        assert (result.code, result.stdout) == (3, "")
        assert words in result.stderr
        assert not (tmp_path / "separated").exists()


def test_stems_that_could_not_be_scored_are_still_written(
    true: Path, song: Path, tmp_path: Path
) -> None:
    (true / "bass.wav").write_text("no audio")
    result = run(song, *TWO, "--reference", true, "--json", cwd=tmp_path)
    assert result.code == 3
    [record] = result.records
    assert (record["status"], record["exit_code"]) == ("done", 3)
    assert "true/bass.wav: not an audio file" in record["error"]
    assert files_below(tmp_path / "separated") == sorted(f"song/{stem}.wav" for stem in STEMS)


def test_a_defect_in_scoring_costs_one_song_its_scores(
    true: Path, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        shutil.copy(song, tmp_path / f"{name}.wav")
        shutil.copytree(true, tmp_path / "ref" / name)
    really = ReferenceScorer.score

    def fail_in_one(
        scorer: ReferenceScorer, result: Result, *rest: Any
    ) -> Generator[Scoring, None, SongScores]:
        if result.input.stem == "one":
            raise ZeroDivisionError("of ours")
        return really(scorer, result, *rest)

    monkeypatch.setattr(ReferenceScorer, "score", fail_in_one)
    result = run("one.wav", "two.wav", *TWO, "--reference", "ref", "--json", cwd=tmp_path)
    assert result.code == 6
    one, two = result.records
    assert (one["status"], one["exit_code"], "scores" in one) == ("done", 1, False)
    assert one["error"].startswith("one.wav: ZeroDivisionError: of ours (")
    assert sorted(stem["name"] for stem in two["scores"]["scores"]) == STEMS
    assert "exit_code" not in two


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [(("--start", "0.8", "--end", "1.8"), 35_280, 79_380), (("--preview", "1"), 22_050, 66_150)],
)
def test_a_part_of_a_song_is_compared_with_the_same_part(
    true: Path,
    song: Path,
    true_stems: dict[str, np.ndarray],
    tmp_path: Path,
    options: tuple[str, ...],
    first: int,
    last: int,
) -> None:
    words = (song, "--reference", true, *options, "--stems", "vocals,bass", "--json")
    [record] = run(*words, cwd=tmp_path).records
    stems = {stem["name"]: stem["path"] for stem in record["stems"]}
    assert record["scores"]["frames"] == last - first
    assert record["scores"]["mixture"]["start"] == first / RATE
    for stem in record["scores"]["scores"]:
        estimate, _ = soundfile.read(tmp_path / stems[stem["name"]])
        wanted = global_sdr(true_stems[stem["name"]][:, first:last], estimate.T)
        assert stem["global_sdr"] == pytest.approx(wanted, abs=1e-6)
    beyond = run(song, "--reference", true, "--start", "9", "-o", "beyond", cwd=tmp_path)
    assert (beyond.code, beyond.stdout) == (3, "")


def test_a_page_about_the_stems(true: Path, song: Path, tmp_path: Path) -> None:
    words = (song, *TWO, "--reference", true, "--report", "pages/song.html")
    assert run(*words, cwd=tmp_path).code == 0
    page = (tmp_path / "pages/song.html").read_text()
    assert "<html" in page and "vocals" in page
    refused = run(*words, "-o", "again", cwd=tmp_path)
    assert (refused.code, refused.stdout) == (3, "")
    assert "pages/song.html: already exists" in refused.stderr
    assert not (tmp_path / "again").exists()


def test_the_stems_of_a_stem_file_are_compared_too(true: Path, song: Path, tmp_path: Path) -> None:
    form = ("--format", "stem.mp4", "--codec", "alac", "--depth", "24")
    words = (song, *form, "--reference", true, "--report", "song.html", "--json")
    result = run(*words, cwd=tmp_path)
    assert result.code == 0, result.stderr
    [record] = result.records
    assert files_below(tmp_path / "separated") == ["song.stem.mp4"]
    files = run(song, "-o", "files", "--reference", true, "--json", cwd=tmp_path)
    [alone] = files.records
    pairs = zip(sorted_stems(record["scores"]), sorted_stems(alone["scores"]), strict=True)
    for one, other in pairs:
        assert one["name"] == other["name"]
        assert one["global_sdr"] == pytest.approx(other["global_sdr"], abs=1e-3)
    assert "song.stem.mp4 (stream 2)" in (tmp_path / "song.html").read_text()


def test_the_readable_part_of_a_truncated_song_is_scored(song: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(song.read_bytes()[: song.stat().st_size * 2 // 3])
    words = (cut, *TWO, "-n", TINY, "--report", "cut.html", "--json")
    refused = run(*words, cwd=tmp_path)
    assert (refused.code, (tmp_path / "cut.html").exists()) == (3, False)
    result = run(*words, "--accept-truncated", cwd=tmp_path)
    assert result.code == 0, result.stderr
    [record] = result.records
    assert record["scores"]["frames"] == record["frames"]
    assert any("truncated" in remark for remark in record["scores"]["remarks"])
    assert (tmp_path / "cut.html").exists()


def test_a_song_is_named_once_while_it_is_scored(true: Path, song: Path, tmp_path: Path) -> None:
    result = run(song, *TWO, "--reference", true, cwd=tmp_path)
    assert f"scoring {song.name}\n" in result.stderr
