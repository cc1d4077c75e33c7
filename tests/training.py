"""Tiny songs and recipes, on which training takes seconds."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from stemsplit.training.recipe_file import parse_settings, read_recipe
from stemsplit.training.run import TrainOptions, train
from stemsplit.training.songs import find_songs

#: The files in the folder of a run that a resumed run must have to the bit.
COMPARED = ("state.safetensors", "best.safetensors", "last.safetensors")

RATE = 8_000
SOURCES = ("vocals", "accompaniment")
#: A network of 5,000 parameters on half a second of music.
RECIPE = """
architecture = "unet:UNet"
description = "A tiny U-Net"
steps = 8
batch = 2
log_every = 1

[network]
sources = ["vocals", "accompaniment"]
sample_rate = 8000
channels = 1
n_fft = 256
hop = 128
bins = 128
block = 16
widths = [4, 8]
dropout = 0.5
arrangement = "joint"

[data]
remix = 0.5

[[augment]]
name = "gain"
low = 0.5
high = 1.25

[[loss]]
name = "l1"

[optimizer]
lr = 1e-2

[[ema]]
decay = 0.5

[[ema]]
decay = 0.9
every = 2

[validation]
every = 4
seconds = 1.0

[checkpoint]
every = 3
keep = 3
"""


def write_songs(root: Path, count: int = 3, seconds: float = 2.0, name: str = "song") -> Path:
    """Write ``count`` songs of a tone and noise each below ``root``, and return it."""
    rng = np.random.default_rng(len(name) + 1)
    time = np.arange(round(seconds * RATE)) / RATE
    for number in range(count):
        folder = root / f"{name} {number}"
        folder.mkdir(parents=True)
        tone = 0.3 * np.sin(2 * np.pi * (160 + 50 * number + 10 * len(name)) * time)
        noise = 0.1 * rng.standard_normal(len(time))
        for source, sound in zip(SOURCES, (tone, noise), strict=True):
            soundfile.write(folder / f"{source}.wav", sound.astype(np.float32), RATE, "FLOAT")
    return root


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """Write a recipe to ``folder``, and return its path."""
    path = folder / "tiny.toml"
    path.write_text(text)
    return path


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


class Killer:
    """A logger that kills the process, as `kill -9` does, after KILL_AFTER steps."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self._step = int(os.environ["KILL_AFTER"])

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if step == self._step and "loss" in values:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        pass
