"""Figures for TensorBoard and for loggers of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training import options, run_whole, write_songs

from stemsplit.training.loggers import make_loggers
from stemsplit.training.run import train


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


class Recorder:
    """Keeps what it is given."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder, self.facts = folder, facts
        self.steps: list[tuple[int, dict[str, float]]] = []
        self.sounds: list[tuple[int, str, tuple[int, ...], int]] = []
        self.closed = False
        LAST.append(self)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.steps.append((step, values))

    def sound(self, step: int, name: str, sound: np.ndarray, sample_rate: int) -> None:
        self.sounds.append((step, name, sound.shape, sample_rate))

    def close(self) -> None:
        self.closed = True


LAST: list[Recorder] = []


def test_a_plugged_logger_gets_what_the_metrics_have(tmp_path: Path, songs: Path) -> None:
    chosen = options(tmp_path, songs, "steps=4", "validation.examples=0.5")
    object.__setattr__(chosen, "loggers", (f"{__name__}:Recorder",))
    for _ in train(chosen):
        pass
    logger = LAST[-1]
    assert logger.closed
    assert logger.folder == tmp_path / "run"
    assert logger.facts["recipe"]["steps"] == 4
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [step for step, _ in logger.steps] == [line["step"] for line in lines]
    for (_, values), line in zip(logger.steps, lines, strict=True):
        assert values == {key: each for key, each in line.items() if isinstance(each, float)}
    assert logger.sounds == [
        (step, name, (1, 4000), 8000) for step in (0, 4) for name in ("vocals", "accompaniment")
    ]


def test_tensorboard_gets_scalars_sounds_and_spectrograms(tmp_path: Path, songs: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_whole(options(tmp_path, songs, "steps=4", "validation.examples=0.5"))
    events = EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"loss", "lr", "norm", "score", "sdr/vocals"} <= set(tags["scalars"])
    assert [each.step for each in events.Scalars("loss")] == [1, 2, 3, 4]
    assert set(tags["audio"]) == set(tags["images"]) == {"vocals", "accompaniment"}


def test_without_tensorboard_and_plugs_there_are_no_loggers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert make_loggers(tmp_path, {}, (), 0) == []
