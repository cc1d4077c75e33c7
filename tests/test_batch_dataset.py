"""`stemsplit evaluate --dataset`: every song of a data set is separated and scored, once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import museval_package
import numpy as np
import pytest
import soundfile
from audio_files import run_ffmpeg
from command import TINY, Result, files_below, run

from stemsplit.batch import dataset, dataset_scorer
from stemsplit.batch.song import SongRun
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.sounds import Sounds

RATE = 44_100
STEMS = ("vocals", "drums", "bass", "other")
#: A model of two stems: BSS Eval of four takes five times as long.
SMALL = "tiny.unet"


@pytest.fixture
def data_set(true_stems: dict[str, np.ndarray], mixture: np.ndarray, tmp_path: Path) -> Path:
    """Two songs of a second each, as MUSDB18-HQ stores them; the second has no mixture."""
    for number, name in enumerate(("First - Song", "Second")):
        folder = tmp_path / "hq" / "test" / name
        folder.mkdir(parents=True)
        part = slice(number * RATE, (number + 1) * RATE)
        for stem, samples in {**true_stems, "mixture": mixture}.items():
            if (name, stem) != ("Second", "mixture"):
                soundfile.write(folder / f"{stem}.wav", samples[:, part].T, RATE, subtype="FLOAT")
    return tmp_path / "hq"


def evaluate(tmp_path: Path, *options: str, model: str = SMALL) -> Result:
    words = ("evaluate", "--dataset", "hq", "-n", model, "-o", "found", *options)
    return run(*words, cwd=tmp_path)


def test_all_songs_are_scored_and_kept(data_set: Path, tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--json", model=TINY)
    assert result.code == 0, result.stderr
    first, second, summary = result.records
    assert [first["song"], second["song"]] == ["test/First - Song", "test/Second"]
    assert {stem["name"] for stem in first["scores"]} == set(STEMS)
    assert first["settings"]["model"] == TINY
    assert first["null_residual"] is not None and second["null_residual"] is not None
    assert "no mixture found: separated the sum of" in result.stderr
    assert [stem["songs"] for stem in summary["summary"]] == [2] * 4
    assert files_below(tmp_path / "found") == [
        f"{TINY}/test/First - Song.json",
        f"{TINY}/test/Second.json",
    ]
    kept = json.loads((tmp_path / f"found/{TINY}/test/Second.json").read_text())
    assert kept == second


def test_the_scores_are_those_of_the_stems(data_set: Path, tmp_path: Path) -> None:
    """Separated by hand and scored by hand, a song has the same scores."""
    mixture = data_set / "test/First - Song/mixture.wav"
    assert run(mixture, "-n", SMALL, "-o", "sep", cwd=tmp_path).code == 0
    by_hand = run("evaluate", "sep/mixture", mixture.parent, "--json", cwd=tmp_path)
    kept = evaluate(tmp_path, "--json", "--keep-stems").records[0]
    scores = [
        {stem["name"]: stem for stem in record["scores"]} for record in (kept, *by_hand.records)
    ]
    assert sorted(scores[0]) == sorted(scores[1]) == ["accompaniment", "vocals"]
    for stem in scores[0]:
        assert scores[0][stem]["global_sdr"] == pytest.approx(scores[1][stem]["global_sdr"])
        assert scores[0][stem]["median"] == pytest.approx(scores[1][stem]["median"], abs=1e-4)
    stems = tmp_path / f"found/{SMALL}/test/First - Song"
    assert files_below(stems) == ["accompaniment.wav", "vocals.wav"]
    assert (stems / "vocals.wav").read_bytes() == (tmp_path / "sep/mixture/vocals.wav").read_bytes()


def test_another_run_does_what_is_missing_or_has_changed(data_set: Path, tmp_path: Path) -> None:
    whole = evaluate(tmp_path)
    assert whole.code == 0
    first, second = (tmp_path / f"found/{SMALL}/test/{name}.json" for name in
                     ("First - Song", "Second"))  # fmt: skip

    def ages() -> tuple[int, int]:
        return first.stat().st_mtime_ns, second.stat().st_mtime_ns

    before = ages()
    again = evaluate(tmp_path, "-v")
    assert (again.code, again.stdout) == (0, whole.stdout)
    assert "2 of 2 songs are already done" in again.stderr
    assert "loaded in" not in again.stderr
    assert ages() == before

    second.write_text("{")  # a file that was damaged
    assert "1 of 2 songs are already done" in evaluate(tmp_path).stderr
    assert ages()[0] == before[0] and json.loads(second.read_text())["song"] == "test/Second"

    record = json.loads(second.read_text())
    record["settings"]["versions"]["numpy"] = "1.0"  # found by another NumPy
    second.write_text(json.dumps(record))
    assert "1 of 2 songs are already done" in evaluate(tmp_path).stderr
    assert json.loads(second.read_text())["settings"]["versions"]["numpy"] == np.__version__

    vocals = data_set / "test/First - Song/vocals.wav"
    os.utime(vocals, ns=(1, 1))
    before = ages()
    assert evaluate(tmp_path).code == 0
    assert ages()[0] > before[0] and ages()[1] == before[1]

    before = ages()
    assert "already done" not in evaluate(tmp_path, "--shifts", "2", "--segment", "1").stderr
    assert all(new > old for new, old in zip(ages(), before, strict=True))
    settings = json.loads(first.read_text())["settings"]
    assert (settings["shifts"], settings["segment"]) == (2, 1)


def test_scores_of_another_bss_eval_are_not_reused(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(museval_package.write_imitation(tmp_path / "site"))
    shutil.rmtree(data_set / "test/Second")
    assert evaluate(tmp_path).code == 0
    chosen = evaluate(tmp_path, "--bss-eval", "museval", "--json")
    assert "already done" not in chosen.stderr
    assert chosen.records[0]["bss_eval"] == chosen.records[0]["settings"]["bss_eval"]
    assert "1 of 1 songs are already done" in evaluate(tmp_path, "--bss-eval", "museval").stderr
    assert evaluate(tmp_path, "--json").records[0]["bss_eval"] == "own"


def test_stems_that_an_interrupted_run_could_not_score_are_scored(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    really = SongRun.separate
    monkeypatch.setattr(
        SongRun, "separate", lambda run: runs.append(run.job.info.path.parent.name) or really(run)
    )

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dataset_scorer, "score_sounds", interrupted)
        assert evaluate(tmp_path).code == 130
    work = tmp_path / "found" / SMALL / dataset.WORK
    waiting = list(work.glob("*/*/estimates"))
    assert waiting
    assert {*map(tuple, map(files_below, waiting))} == {("accompaniment.wav", "vocals.wav")}
    assert evaluate(tmp_path).code == 0
    assert len(runs) == len(set(runs)) == 2  # each song once
    assert not work.exists()


def test_two_processes_can_share_a_data_set(data_set: Path, tmp_path: Path) -> None:
    words = ("evaluate", "--dataset", "hq", "-n", SMALL, "-o", "found", "-q")
    processes = [
        subprocess.Popen([sys.executable, "-m", "stemsplit", *words], cwd=tmp_path)
        for _ in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert files_below(tmp_path / "found") == [
        f"{SMALL}/test/First - Song.json",
        f"{SMALL}/test/Second.json",
    ]


def test_remarks_name_no_temporary_folder(data_set: Path, tmp_path: Path) -> None:
    bass = data_set / "test/Second/bass.wav"
    samples, _ = soundfile.read(bass)
    soundfile.write(bass, samples[:-100], RATE)
    [record] = [
        r
        for r in evaluate(tmp_path, "--json", model=TINY).records
        if r.get("song") == "test/Second"
    ]
    assert any(remark.startswith("estimates/vocals.wav: ") for remark in record["remarks"])
    assert ".stemsplit" not in json.dumps(record)


def test_a_song_that_fails_does_not_stop_the_rest(data_set: Path, tmp_path: Path) -> None:
    (data_set / "test/First - Song/drums.wav").write_text("no audio")
    result = evaluate(tmp_path, "--json")
    assert result.code == 6
    failed, done = result.records
    assert (failed["song"], failed["exit_code"]) == ("test/First - Song", 3)
    assert done["song"] == "test/Second"
    assert files_below(tmp_path / "found") == [f"{SMALL}/test/Second.json"]


def test_a_row_of_markdown_is_named_after_the_model(data_set: Path, tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--markdown")
    assert result.lines[-1].startswith(f"| {SMALL} | 2 | ")


def test_without_the_weights_nothing_is_tried(data_set: Path, tmp_path: Path) -> None:
    words = ("evaluate", "--dataset", "hq", "-n", "htdemucs", "--offline", "-o", "found")
    result = run(*words, cwd=tmp_path)
    assert (result.code, result.stdout) == (4, "")
    assert not (tmp_path / "found").exists()


def test_files_of_five_streams(data_set: Path, tmp_path: Path) -> None:
    """MUSDB18 stores mixture, drums, bass, other and vocals as five streams of one file."""
    song = data_set / "test/First - Song"
    names = ("mixture", "drums", "bass", "other", "vocals")
    inputs = [word for name in names for word in ("-i", str(song / f"{name}.wav"))]
    maps = [word for number in range(5) for word in ("-map", str(number))]
    file = data_set / "test/Five.stem.mp4"
    run_ffmpeg(*inputs, *maps, "-c:a", "alac", f"file:{file}")
    shutil.rmtree(data_set / "test/Second")
    first, five, _ = evaluate(tmp_path, "--json").records
    assert (five["song"], first["song"]) == ("test/Five", "test/First - Song")
    for one, other in zip(five["scores"], first["scores"], strict=True):
        assert one["name"] == other["name"]
        assert one["global_sdr"] == pytest.approx(other["global_sdr"], abs=0.02)


# --- What goes wrong ------------------------------------------------------------------------------


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Songs in the order in which they were scored, or would have been: it takes no time."""
    names: list[str] = []

    def score(sounds: Sounds, *_: object) -> Iterator[object]:
        names.append(sounds.song)
        yield from ()
        return SongScores(
            song=sounds.song,
            sample_rate=RATE,
            frames=RATE,
            window=1.0,
            hop=1.0,
            scores=(),
            measures=(),
            null_residual=None,
        )

    monkeypatch.setattr(dataset_scorer, "score_sounds", score)
    return names


def copies(data_set: Path, *names: str) -> None:
    """Let the songs of the data set be copies of the second, which has no mixture."""
    for name in names:
        shutil.copytree(data_set / "test/Second", data_set / "test" / name)
    for name in {"First - Song", "Second"} - {*names}:
        shutil.rmtree(data_set / "test" / name)


def test_songs_whose_names_file_systems_may_not_tell_apart(
    data_set: Path, tmp_path: Path, scored: list[str]
) -> None:
    names = ["Hey", "HEY", "Hey.", "What?", "What_", "x" * 200 + "1", "x" * 200 + "2"]
    copies(data_set, *names)
    assert evaluate(tmp_path).code == 0
    assert sorted(scored) == sorted(f"test/{name}" for name in names)


def test_a_full_disk_while_scoring_ends_the_run(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}" for number in range(6)]
    copies(data_set, *names)
    separated: list[Path] = []
    really = SongRun.separate
    monkeypatch.setattr(
        SongRun, "separate", lambda run: separated.append(run.job.info.path) or really(run)
    )

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dataset_scorer, "score_sounds", full)
    result = evaluate(tmp_path, "--json")
    assert result.code == 5
    assert len(separated) <= 3  # it was not known before the first was scored
    errors = [record["error"] for record in result.records]
    assert errors[0] == "test/0: No space left on device"
    assert len(errors) == 6
    assert errors[3:] == [f"test/{n}: skipped because test/0 failed" for n in (3, 4, 5)]


def test_mixtures_are_made_when_their_turn_comes_and_do_not_stay(
    data_set: Path, tmp_path: Path, scored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies(data_set, *(f"{number}" for number in range(6)))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    most = 0
    really = SongRun.separate

    def separate(run: SongRun) -> Iterator[object]:
        nonlocal most
        most = max(most, len([*tmp_path.rglob("mixture.wav")]))
        return really(run)

    monkeypatch.setattr(SongRun, "separate", separate)
    assert evaluate(tmp_path).code == 0
    assert len(scored) == 6
    assert 1 <= most <= 4  # of the song, and of those that are prepared and scored meanwhile
    assert not [*tmp_path.rglob("mixture.wav")] and not [*tmp_path.rglob(".stemsplit*")]
    assert not [*temporary.iterdir()]


def test_errors_name_the_song_and_no_temporary_file(data_set: Path, tmp_path: Path) -> None:
    copies(data_set, "One", "Two")
    for stem in STEMS:  # readable as far as it was looked at, and then not
        path = data_set / f"test/Two/{stem}.wav"
        path.write_bytes(path.read_bytes()[:60])
    result = evaluate(tmp_path, "--json")
    assert result.code == 6
    _, record = result.records
    assert record["song"] == "test/Two"
    assert ".stemsplit" not in record["error"] and "/tmp" not in record["error"].partition(":")[0]
    assert not [*tmp_path.rglob("mixture.wav")]


def test_an_unwritable_folder_is_not_a_defect(data_set: Path, tmp_path: Path) -> None:
    (tmp_path / "found").write_text("a file")
    result = evaluate(tmp_path, "--json")
    assert result.code == 3
    assert [record["exit_code"] for record in result.records] == [3, 3]
    assert "defect" not in result.stderr


def test_an_existing_report_is_detected_before_anything_is_downloaded(
    data_set: Path, tmp_path: Path
) -> None:
    (tmp_path / "scores.csv").touch()
    result = evaluate(tmp_path, "--offline", "--csv", "scores.csv", model="htdemucs")
    assert result.code == 3
    assert "scores.csv: already exists" in result.stderr
