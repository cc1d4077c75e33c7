"""Time, memory and quality of `stemsplit` and of the reference program, with the same weights.

    python tests/benchmarks/against_demucs.py [--pairs 3] [--seconds 60] [--songs FOLDER]

Whole commands, in turn (A B, B A, …), so that a machine whose speed drifts does not favour one.
Without a folder of songs (each with ``mixture`` and true stems) a song is rendered.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
from processes import Cost, describe_machine, measure, spread

from stemsplit.audio.decode import read
from stemsplit.checkpoints import loading
from stemsplit.data.synthetic import render
from stemsplit.evaluation.metrics import global_sdr

SIGNATURE = "955717e8"


def write_checkpoint(folder: Path) -> None:
    """Write our weights of htdemucs as the reference program's own kind of checkpoint."""
    from demucs.htdemucs import HTDemucs

    for _ in loading.prepare("htdemucs"):
        pass
    model = loading.load("htdemucs")
    kwargs = {
        "sources": list(model.sources),
        "segment": Fraction(39, 5),
        "dconv_mode": 3,
        "bottom_channels": 512,
    }
    package = {
        "klass": HTDemucs,
        "args": (),
        "kwargs": kwargs,
        "state": {name: tensor.half() for name, tensor in model.state_dict().items()},
        "training_args": {},
    }
    folder.mkdir()
    torch.save(package, folder / f"{SIGNATURE}.th")


def write_song(path: Path, seconds: float) -> dict[str, np.ndarray]:
    """Write a rendered song of ``seconds``, repeated as often as it takes; return its stems."""
    stems = render(0, seconds=min(seconds, 30.0))
    frames = round(44_100 * seconds)
    repeated = {
        name: np.tile(stem, (1, 1 + frames // stem.shape[1])) for name, stem in stems.items()
    }
    stems = {name: stem[:, :frames] for name, stem in repeated.items()}
    soundfile.write(path, sum(stems.values()).T, 44_100, subtype="FLOAT")
    return stems


def find_songs(folder: Path) -> dict[Path, dict[str, np.ndarray]]:
    """Return the mixtures below ``folder`` and their true stems."""
    return {
        song: {p.stem: read(p) for p in song.parent.glob("*.flac") if p.stem != "mixture"}
        for song in sorted(folder.glob("*/mixture.flac"))
    }


def commands(song: Path, work: Path) -> dict[str, list[str]]:
    """Return the command with which each program splits ``song`` with the same settings."""
    ours = [sys.executable, "-m", "stemsplit", str(song), "-n", "htdemucs", "-d", "cpu", "--force"]
    theirs = [sys.executable, "-m", "demucs", str(song), "-n", SIGNATURE, "-d", "cpu"]
    theirs += ["--repo", str(work / "repo"), "--shifts", "0", "--float32", "--clip-mode", "none"]
    return {
        "stemsplit": [*ours, "-o", str(work / "ours"), "--filename", "{stem}.{ext}"],
        "demucs": [*theirs, "-o", str(work / "theirs"), "--filename", "{stem}.{ext}"],
    }


def compare(song: Path, truth: dict[str, np.ndarray], work: Path, pairs: int) -> None:
    """Run both programs on ``song`` ``pairs`` times in turn and show what it took and gave."""
    shown = commands(song, work)
    costs: dict[str, list[Cost]] = {name: [] for name in shown}
    for turn in range(pairs):
        for name in sorted(shown, reverse=turn % 2 == 0):
            costs[name].append(measure(shown[name]))
    print(f"{song.parent.name}/{song.name}, {soundfile.info(song).duration:.0f} s of audio")
    for name, runs in costs.items():
        print(
            f"  {name:<10} wall {spread([c.wall for c in runs])} s, "
            f"CPU {spread([c.cpu for c in runs])} s, peak {spread([c.peak for c in runs])} MB"
        )
    for figure in ("wall", "cpu", "peak"):
        ratios = [
            getattr(ours, figure) / getattr(theirs, figure)
            for ours, theirs in zip(costs["stemsplit"], costs["demucs"], strict=True)
        ]
        print(f"  ratio {figure:<5} {spread(ratios)}  (stemsplit / demucs, pair by pair)")
    for stem, reference in truth.items():
        ours = read(work / "ours" / f"{stem}.wav")
        theirs = read(work / "theirs" / SIGNATURE / f"{stem}.wav")
        scores = global_sdr(reference, ours), global_sdr(reference, theirs)
        print(
            f"  {stem:<8} SDR {scores[0]:6.2f} dB, reference {scores[1]:6.2f} dB, "
            f"difference {global_sdr(theirs, ours):6.1f} dB below"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--songs", type=Path)
    options = parser.parse_args()
    print(describe_machine())
    work = Path(tempfile.mkdtemp())
    try:
        write_checkpoint(work / "repo")
        songs = find_songs(options.songs) if options.songs else {}
        song = work / "song.wav"
        for mixture, truth in (songs or {song: write_song(song, options.seconds)}).items():
            compare(mixture, truth, work, options.pairs)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
