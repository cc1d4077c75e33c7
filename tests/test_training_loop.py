"""What a run does besides steps: validation, averages, going back, stopping, keeping states."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command import run
from full_disk import limited_files
from training import RATE, SOURCES, files_of, interrupt, options, run_whole, write_songs

from stemsplit.checkpoints import weights
from stemsplit.checkpoints.safetensors_file import read_tensors
from stemsplit.errors import CheckpointError, ExitCode, OutputError, ResourceError, UsageError
from stemsplit.evaluation.metrics import global_sdr
from stemsplit.training.events import Finished, TrainingEvent, Validated
from stemsplit.training.guard import Diverged
from stemsplit.training.run import train
from stemsplit.training.state import load_state
from stemsplit.types import Warned


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def events(folder: Path, songs: Path, *settings: str) -> list[TrainingEvent]:
    return list(train(options(folder, songs, *settings)))


def facts(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "run/run.json").read_text())
    return found


def test_the_best_weights_score_in_separation_what_validation_says(
    tmp_path: Path, songs: Path
) -> None:
    """The whole of the song for validation is separated here by the command, and scored."""
    happened = events(tmp_path, songs, "steps=12", "validation.seconds=2")
    best = max(
        (each for each in happened if isinstance(each, Validated)), key=lambda each: each.score
    )
    (name,) = facts(tmp_path)["validate"]  # type: ignore[misc]
    truth = {
        source: soundfile.read(songs / name / f"{source}.wav", dtype="float32")[0][None]
        for source in SOURCES
    }
    mix = sum(truth.values())
    soundfile.write(tmp_path / "mix.wav", mix[0], RATE, "FLOAT")  # type: ignore[index]
    arguments = ["-n", tmp_path / "run/best.safetensors", tmp_path / "mix.wav", "--device", "cpu"]
    assert run(*arguments, "-o", tmp_path / "out", cwd=tmp_path).code == 0
    for source in SOURCES:
        estimate = soundfile.read(tmp_path / f"out/mix/{source}.wav", dtype="float32")[0][None]
        sdr = float(global_sdr(truth[source], estimate))
        assert sdr == pytest.approx(best.scores[source], abs=1e-3)
    assert best.score == pytest.approx(np.mean(list(best.scores.values())))


def test_training_gains_on_songs_that_it_does_not_train_on(tmp_path: Path, songs: Path) -> None:
    settings = ("steps=60", "validation.every=60", "network.dropout=0.0")
    first, *_, last = (e for e in events(tmp_path, songs, *settings) if isinstance(e, Validated))
    assert last.score > first.score + 5
    assert not set(facts(tmp_path)["train"]) & set(facts(tmp_path)["validate"])  # type: ignore[call-overload]


def test_the_average_with_the_best_score_is_what_is_saved(tmp_path: Path, songs: Path) -> None:
    """With a high learning rate, the average of the weights is better than the weights."""
    settings = ("steps=24", "optimizer.lr=1.0", "ema.0.decay=0.9", "validation.every=8")
    happened = events(tmp_path, songs, *settings)
    best = [each for each in happened if isinstance(each, Validated) and each.better][-1]
    assert (best.step, best.weights) == (24, "average 0.9 every 2")
    saved = read_tensors(tmp_path / "run/best.safetensors")
    state = load_state(tmp_path / "run/state.safetensors")
    for name, tensor in saved.items():
        assert torch.equal(tensor, state.tensors[f"average.1.model.{name}"])


def test_averages_are_exact_while_few_steps_are_done(tmp_path: Path, songs: Path) -> None:
    """With a decay near 1 the average is the mean of all weights so far."""
    settings = ("steps=3", "ema=[{decay=0.999999}]", "checkpoint.every=1", "checkpoint.keep=1")
    run_whole(options(tmp_path, songs, *settings))
    name = "network.model.networks.0.down.0.convolution.weight"
    kept = [load_state(tmp_path / f"run/states/step-0000000{n}.safetensors") for n in (1, 2, 3)]
    mean = torch.stack([state.tensors[name] for state in kept]).mean(0)
    average = kept[-1].tensors[name.replace("network.", "average.0.", 1)]
    assert torch.allclose(average, mean, atol=1e-6)


def test_training_ends_early_when_validations_no_longer_improve(
    tmp_path: Path, songs: Path
) -> None:
    settings = ("steps=100", "validation.patience=2", "validation.every=2", "optimizer.lr=1e-12")
    *_, last = events(tmp_path, songs, *settings)
    assert isinstance(last, Finished)
    assert (last.step < 20, last.early) == (True, True)
    assert events(tmp_path, songs, *settings)[-1] == last  # the same command does nothing more


def test_a_limit_on_validation_reduces_the_music(tmp_path: Path, songs: Path) -> None:
    happened = events(tmp_path, songs, "steps=1", "validation.limit=1e-3")
    assert any("to stay below the limit" in getattr(each, "message", "") for each in happened)
    progress = load_state(tmp_path / "run/state.safetensors").values["progress"]
    assert 0 < progress["seconds"] < 1.0


# --- Failed steps --------------------------------------------------------------------------------


#: A network without norms, with a learning rate far too high.
EXPLODES = (
    "architecture=tasnet:TasNet",
    'network={sources=["vocals", "accompaniment"], sample_rate=8000, segment=4000, basis=64,'
    " hidden=32}",
    "optimizer.name=sgd",
    "optimizer.lr=1e6",
    "validation.every=100",
)


def test_a_run_that_diverges_ends_after_three_attempts(tmp_path: Path, songs: Path) -> None:
    with pytest.raises(Diverged, match=r"training failed 3 times: the .* is inf") as caught:
        events(tmp_path, songs, *EXPLODES)
    assert caught.value.exit_code == ExitCode.DEFECT
    failed = sorted(path.name for path in (tmp_path / "run/failed").iterdir())
    assert len(failed) == 3
    saved = read_tensors(tmp_path / "run/failed" / failed[0])
    assert torch.equal(saved["mix"], saved["sources"].sum(1))
    for tensor in read_tensors(tmp_path / "run/last.safetensors").values():
        assert tensor.isfinite().all()  # nothing that was trained is lost


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    """Songs one of which has a burst so loud that its loss is far above all others."""
    root = write_songs(tmp_path / "poisoned", 4, seconds=8.0)
    path = root / "song 3" / "vocals.wav"
    sound = soundfile.read(path, dtype="float32")[0]
    sound[16_000:16_100] = 1e6
    soundfile.write(path, sound, RATE, "FLOAT")
    return root


def test_after_a_failed_step_the_run_goes_back_and_on_with_other_batches(
    tmp_path: Path, poisoned: Path
) -> None:
    settings = ("steps=60", "validation.every=100", "data.remix=0.0", "data.valid=0.01")
    chosen = options(tmp_path, poisoned, *settings, "seed=4")
    happened = list(train(chosen))
    warnings = [each.message for each in happened if isinstance(each, Warned)]
    assert any("failed: the loss is" in warning for warning in warnings)
    assert isinstance(happened[-1], Finished)
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == list(range(1, 61))
    assert max(line["loss"] for line in lines if "loss" in line) < 1
    # Interrupted after it went back, it ends the same.
    place = next(n for n, each in enumerate(happened) if isinstance(each, Warned))
    other = options(tmp_path / "other", poisoned, *settings, "seed=4")
    interrupt(other, place + 3)
    run_whole(other)
    assert files_of(tmp_path / "run") == files_of(tmp_path / "other/run")


# --- States --------------------------------------------------------------------------------------


def test_a_kept_state_starts_another_run(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path / "first", songs, "steps=6"))
    chosen = options(tmp_path / "second", songs, "steps=8", "optimizer.lr=0.001")
    start = f"{tmp_path / 'first/run'}@3"
    object.__setattr__(chosen, "start", start)
    happened = list(train(chosen))
    assert isinstance(happened[-1], Finished)
    assert any("continues after step 3" in getattr(each, "message", "") for each in happened)
    run_whole(chosen)  # resumes the new run, not the old state
    for text, message in ((f"{tmp_path / 'first/run'}@4", "no state of step 4"), ("x", "no state")):
        third = options(tmp_path / "third", songs)
        object.__setattr__(third, "start", text)
        with pytest.raises(UsageError, match=message):
            run_whole(third)


def test_a_run_does_not_continue_with_other_settings_but_with_more_steps(
    tmp_path: Path, songs: Path
) -> None:
    run_whole(options(tmp_path, songs, "steps=2"))
    with pytest.raises(UsageError, match=r"has optimizer\.lr = 0\.01, not 0\.5"):
        run_whole(options(tmp_path, songs, "steps=2", "optimizer.lr=0.5"))
    run_whole(options(tmp_path, songs, "steps=4"))
    assert load_state(tmp_path / "run/state.safetensors").values["progress"]["step"] == 4


def test_a_full_disk_ends_the_run_and_keeps_the_last_state(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path, songs, "steps=3"))
    before = files_of(tmp_path / "run")
    with limited_files(20_000), pytest.raises(ResourceError, match="the disk is full"):
        run_whole(options(tmp_path, songs, "steps=6"))
    assert files_of(tmp_path / "run") == before
    run_whole(options(tmp_path, songs, "steps=6"))


def test_a_damaged_state_is_refused(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path, songs, "steps=1"))
    path = tmp_path / "run/state.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        run_whole(options(tmp_path, songs, "steps=2"))


def test_two_runs_cannot_share_a_folder(tmp_path: Path, songs: Path) -> None:
    first = train(options(tmp_path, songs))
    next(first)
    with pytest.raises(OutputError, match="another process is training in this folder"):
        run_whole(options(tmp_path, songs))
    first.close()


def test_changed_songs_are_reported(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    run_whole(options(tmp_path, songs, "steps=1"))
    path = songs / "song 0/vocals.wav"
    soundfile.write(path, np.zeros(RATE, np.float32) + 0.1, RATE, "FLOAT")
    happened = events(tmp_path, songs, "steps=2")
    assert any("songs have changed" in getattr(each, "message", "") for each in happened)


# --- The folder ----------------------------------------------------------------------------------


def test_the_folder_describes_the_run(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path, songs))
    found = facts(tmp_path)
    assert found["versions"]["torch"] == torch.__version__  # type: ignore[index]
    assert len(str(found["digest"])) == 64
    card = (tmp_path / "run/card.md").read_text()
    assert "| vocals |" in card
    assert str(found["digest"]) in card
    assert "Trained from new weights" in card
    assert "finished after step 8" in (tmp_path / "run/log.txt").read_text()
    header = weights.read_header(tmp_path / "run/last.safetensors")
    assert header.origin == "trained by stemsplit as run, step 8"


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path, songs))
    page = (tmp_path / "run/curves.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert page.count("<svg") >= 8  # each chart for wide and for narrow windows
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)|url\((?!#)|<script", page)
    assert "accompaniment" in page
