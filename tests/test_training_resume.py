"""A run that is interrupted and resumed equals one that is not, to the bit."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from training import write_recipe, write_songs

from stemsplit.training.recipe_file import parse_settings, read_recipe
from stemsplit.training.run import TrainOptions, train
from stemsplit.training.songs import find_songs

COMPARED = ("state.safetensors", "best.safetensors", "last.safetensors")
TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


def options(folder: Path, songs: Path, *settings: str, workers: int = 0) -> TrainOptions:
    """Return a run in ``folder``/run."""
    folder.mkdir(exist_ok=True)
    recipe = read_recipe(str(write_recipe(folder)), parse_settings(settings))
    found = find_songs([songs], recipe.network["sources"], (), {})
    return TrainOptions(
        recipe=recipe,
        songs=tuple(found),
        data=(str(songs),),
        out=folder / "run",
        cache=folder / "cache",
        device="cpu",
        workers=workers,
    )


def run_whole(chosen: TrainOptions) -> None:
    for _ in train(chosen):
        pass


def interrupt(chosen: TrainOptions, events: int) -> None:
    """Stop a run after some of its events, without a chance to save."""
    run = train(chosen)
    for _ in range(events):
        next(run)
    run.close()


def files_of(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in COMPARED}


def figures(run: Path) -> list[dict[str, float]]:
    """Return the figures of a run without those of time."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    timed = ("steps_per_second", "waiting", "validation_seconds")
    return [{key: line[key] for key in line if key not in timed} for line in lines]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("precision=fp16",),
        ("precision=bf16", "accumulate=2"),
        ("optimizer.name=adamw", "optimizer.clip=0.1", "schedule.name=plateau"),
        ("optimizer.name=sgd", "optimizer.momentum=0.9", "schedule.name=cosine"),
    ],
    ids=["plain", "fp16", "bf16", "adamw", "sgd"],
)
def test_a_run_that_was_interrupted_twice_equals_one_that_was_not(
    tmp_path: Path, songs: Path, settings: tuple[str, ...]
) -> None:
    settings = (*settings, "schedule.length=8", "schedule.patience=0")
    run_whole(options(tmp_path / "whole", songs, *settings))
    interrupt(options(tmp_path / "parts", songs, *settings), 5)
    interrupt(options(tmp_path / "parts", songs, *settings), 7)
    run_whole(options(tmp_path / "parts", songs, *settings))
    assert files_of(tmp_path / "whole/run") == files_of(tmp_path / "parts/run")
    assert figures(tmp_path / "whole/run") == figures(tmp_path / "parts/run")


def test_the_number_of_workers_changes_nothing(tmp_path: Path, songs: Path) -> None:
    for workers in (0, 1, 3):
        run_whole(options(tmp_path / str(workers), songs, "steps=4", workers=workers))
    without, *others = (files_of(tmp_path / str(workers) / "run") for workers in (0, 1, 3))
    assert all(each == without for each in others)


def test_another_seed_gives_other_weights(tmp_path: Path, songs: Path) -> None:
    for seed in (0, 1):
        run_whole(options(tmp_path / str(seed), songs, "steps=2", f"seed={seed}"))
    first, second = (files_of(tmp_path / str(seed) / "run") for seed in (0, 1))
    assert first["last.safetensors"] != second["last.safetensors"]


# --- Processes -----------------------------------------------------------------------------------


def command(folder: Path, songs: Path, *further: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    places = ["--data", str(songs), "--out", str(folder / "run"), "--device", "cpu"]
    recipe = str(write_recipe(folder))
    return [sys.executable, "-m", "stemsplit", "train", recipe, *places, *further]


def environment(**further: str) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **further}


def start(folder: Path, songs: Path, *further: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(folder, songs, *further),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )


def end(*processes: subprocess.Popen[str]) -> list[int]:
    """Return the exit codes of ``processes``."""
    for each in processes:
        each.communicate(timeout=120)
    return [each.returncode for each in processes]


def test_a_run_that_was_killed_equals_one_that_was_not(tmp_path: Path, songs: Path) -> None:
    run_whole(options(tmp_path / "whole", songs))
    folder = tmp_path / "killed"
    killer = ("--workers", "1", "--logger", "training:Killer")
    assert end(start(folder, songs, *killer, KILL_AFTER="5")) == [-signal.SIGKILL]
    assert not (tmp_path / "killed/run/states/step-00000006.safetensors").exists()
    assert end(start(folder, songs, "--workers", "1")) == [0]
    assert files_of(tmp_path / "whole/run") == files_of(folder / "run")
    assert figures(tmp_path / "whole/run") == figures(folder / "run")


def two(folder: Path, songs: Path, **variables: str) -> list[subprocess.Popen[str]]:
    """Start two processes that train together, as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **variables}
    further = ("--logger", "training:Killer") if "KILL_AFTER" in variables else ()
    return [
        start(
            folder, songs, "--workers", "0", "--steps", "5", *further,
            RANK=str(rank), LOCAL_RANK=str(rank), **together,
        )
        for rank in range(2)
    ]  # fmt: skip


def test_two_processes_that_were_killed_equal_two_that_were_not(
    tmp_path: Path, songs: Path
) -> None:
    whole = two(tmp_path / "whole", songs)
    first, second = two(tmp_path / "killed", songs, KILL_AFTER="4")
    assert end(first) == [-signal.SIGKILL]
    second.kill()  # torchrun does
    assert end(*whole, second) == [0, 0, -signal.SIGKILL]
    assert end(*two(tmp_path / "killed", songs)) == [0, 0]
    assert files_of(tmp_path / "whole/run") == files_of(tmp_path / "killed/run")
    assert figures(tmp_path / "whole/run") == figures(tmp_path / "killed/run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_step_and_ends(
    tmp_path: Path, songs: Path, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path / "run", songs, "--steps", "100000", "--set", "validation.every=90000")
    for line in wait_for(tmp_path / "run/run/metrics.jsonl"):
        if '"step": 20' in line:
            break
    process.send_signal(number)
    assert end(process) == [code]
    from stemsplit.training.state import load_state

    assert load_state(tmp_path / "run/run/state.safetensors").values["progress"]["step"] >= 20
    assert not list((tmp_path / "run/run").glob("**/*.part"))


def wait_for(path: Path) -> Iterator[str]:
    """Yield the lines of ``path`` as they are written."""
    for _ in range(600):
        if path.exists():
            yield from path.read_text().splitlines()
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")
