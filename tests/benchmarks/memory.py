"""Peak memory of `stemsplit` against the length of the song.

    python tests/benchmarks/memory.py [--minutes 3 180] [-n MODEL]

Without a model it takes a network that is almost nothing in itself, with the segments of the
published one: what is left is the way of the song, and three hours of it take minutes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from processes import describe_machine, measure

SAMPLE_RATE = 44_100


def write_noise(path: Path, minutes: float) -> None:
    """Write ``minutes`` of stereo noise, a minute at a time."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 2, "PCM_16") as file:
        for _ in range(round(minutes * 60)):
            file.write(generator.normal(0, 0.1, (SAMPLE_RATE, 2)).astype(np.float32))


def write_small_network(path: Path) -> None:
    """Write an untrained network with the segments of the published one."""
    from stemsplit.checkpoints.weights import Weights, save
    from stemsplit.models import build

    model = build(
        "htdemucs:HTDemucs",
        {"channels": 8, "depth": 4, "bottom_channels": 0, "t_layers": 1, "t_heads": 2},
    )
    save(Weights("htdemucs:HTDemucs", model.config, model.state_dict(), "benchmark"), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[3, 180])
    parser.add_argument("-n", "--model")
    options = parser.parse_args()
    print(describe_machine())
    work = Path(tempfile.mkdtemp())
    try:
        model = options.model
        if model is None:
            model = str(work / "small.safetensors")
            write_small_network(Path(model))
        for minutes in options.minutes:
            song = work / "song.wav"
            write_noise(song, minutes)
            words = [sys.executable, "-m", "stemsplit", str(song), "-n", model, "-d", "cpu"]
            cost = measure([*words, "-o", str(work / "out"), "--force"])
            print(
                f"{minutes:6.1f} min: peak {cost.peak:7.0f} MB, wall {cost.wall:7.1f} s, "
                f"CPU {cost.cpu:7.1f} s",
                flush=True,
            )
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
