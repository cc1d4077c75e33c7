"""Time, memory and quality of `stemsplit` and of the reference program, with the same weights.

    python tests/benchmarks/against_demucs.py [--pairs 3] [--seconds 60] [--songs FOLDER]

Whole commands, in turn (A B, B A, …), so that a machine whose speed drifts does not favour one.
Without a folder of songs (each with ``mixture`` and true stems) a song is rendered.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from peer_weights import Weights, write_weights
from peers import PEERS, Job, stemsplit
from processes import apart, describe_machine, measure_in_turn, spread
from songs import write_song_and_stems

from stemsplit.audio.decode import read
from stemsplit.evaluation.metrics import global_sdr


def find_songs(folder: Path) -> dict[Path, dict[str, np.ndarray]]:
    """Return the mixtures below ``folder`` and their true stems."""
    return {
        song: {p.stem: read(p) for p in song.parent.glob("*.flac") if p.stem != "mixture"}
        for song in sorted(folder.glob("*/mixture.flac"))
    }


def compare(song: Path, truth: dict[str, np.ndarray], job: Job, pairs: int) -> None:
    """Run both programs on ``song`` ``pairs`` times in turn and show what it took and gave."""
    ours, theirs = job.out / "ours", job.out / "theirs"
    job = replace(job, songs=[song])
    commands = {
        "stemsplit": stemsplit(replace(job, out=ours)),
        "demucs": PEERS["demucs"].command(replace(job, out=theirs)),
    }
    costs = measure_in_turn(commands, pairs)
    print(f"{song.parent.name}/{song.name}, {soundfile.info(song).duration:.0f} s of audio")
    for name, runs in costs.items():
        print(
            f"  {name:<10} wall {spread([c.wall for c in runs])} s, "
            f"CPU {spread([c.cpu for c in runs])} s, peak {spread([c.peak for c in runs])} MB"
        )
    for figure in ("wall", "cpu", "peak"):
        ratios = [
            getattr(own, figure) / getattr(other, figure)
            for own, other in zip(costs["stemsplit"], costs["demucs"], strict=True)
        ]
        print(f"  ratio {figure:<5} {spread(ratios)}  (stemsplit / demucs, pair by pair)")
    for stem, reference in truth.items():
        own, other = (read(next(out.rglob(f"{stem}.wav"))) for out in (ours, theirs))
        scores = global_sdr(reference, own), global_sdr(reference, other)
        print(
            f"  {stem:<8} SDR {scores[0]:6.2f} dB, reference {scores[1]:6.2f} dB, "
            f"difference {global_sdr(other, own):6.1f} dB below"
        )
    for out in (ours, theirs):
        shutil.rmtree(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--songs", type=Path)
    options = parser.parse_args()
    print(describe_machine())
    work = Path(tempfile.mkdtemp())
    try:
        weights: Weights = apart(write_weights, "htdemucs", "demucs", work / "weights", None)
        job = Job([], weights, work, os.cpu_count() or 1)
        songs = find_songs(options.songs) if options.songs else {}
        song = work / "song.wav"
        for mixture, truth in (
            songs or {song: write_song_and_stems(song, options.seconds)}
        ).items():
            compare(mixture, truth, job, options.pairs)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
