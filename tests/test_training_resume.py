"""A run that is interrupted and resumed equals one that is not, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
from training import figures, files_of, interrupt, options, run_whole, write_songs


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


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
