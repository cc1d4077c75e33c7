"""Speed of `stemsplit train` and of the community's trainer, msst: same network, songs and steps.

    python tests/benchmarks/training_speed.py --core 1
    python tests/benchmarks/training_speed.py --network scnet --threads 2 --workers 1 --songs FOLDER

Whole processes in turn (A B, B A). Configuration, batch, excerpts, songs, gains, loss, optimizer,
clipping and average of the weights are the same in both; what happens before and after the steps is
left out of the rate. A ratio above 1 means that `stemsplit` trains faster; that of CPU time,
without workers, is right on a busy machine too. Memory is that of the largest process at its peak.

``--songs`` is a folder with a folder for each song with ``drums.wav``, ``bass.wav``, ``other.wav``,
``vocals.wav`` and ``mixture.wav``; else some are rendered. msst has to be installed beside, with
what its training imports:

    pip install --no-deps msst==0.1.0 auraloss && pip install wandb ml-collections omegaconf \\
        librosa matplotlib tqdm pyyaml einops beartype rotary-embedding-torch demucs
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import (
    CommandFailed,
    apart,
    describe_machine,
    limited_to,
    measure,
    pinned,
    spread,
    versions,
)
from training_setting import NETWORKS, Network, write_setting, write_songs

PROGRAMS = str(Path(__file__).with_name("training_programs.py"))
#: Steps at the start that do not count: memory is allocated, and workers start.
WARM = 3
SONGS, SONG_SECONDS = 4, 10.0
PACKAGES = ("stemsplit", "msst", "numpy", "soundfile")
HEADER = """
| network | program | ratio | ratio of CPU | items/s | music, s/s | waiting, % | start, s | GB |
|---|---|---:|---:|---:|---:|---:|---:|---:|
"""


@dataclass(frozen=True)
class Run:
    """What one run was measured to do."""

    rate: float  # items of a batch per second
    cpu_rate: float  # items per second of CPU time of the process with the loop
    waiting: float  # for data, share of the time
    start: float  # seconds from the start of the process to the end of the first step
    peak: float  # MB
    parameters: int


@dataclass(frozen=True)
class Setting:
    """Where a network is trained, and how."""

    network: Network
    folder: Path
    songs: Path
    workers: int
    threads: int
    steps: int

    def ours(self, out: Path) -> list[str]:
        """Return the arguments of our program, with a run folder ``out``."""
        words = ["train", str(self.folder / "recipe.toml"), "--data", str(self.songs)]
        return [*words, "--out", str(out), "-d", "cpu", "--workers", str(self.workers), "-q"]

    def theirs(self, out: Path) -> list[str]:
        """Return the arguments of the other program, with the folder ``out`` for its results."""
        words = ["--model_type", self.network.kind, "--results_path", str(out)]
        words += ["--config_path", str(self.folder / "config.yaml")]
        words += ["--data_path", str(self.songs), "--valid_path", str(self.songs)]
        words += ["--loss", "l1_loss", "--use_standard_loss"]
        return [*words, "--num_workers", str(self.workers)]


def run_once(program: str, setting: Setting) -> Run:
    """Train once with ``program`` in a new folder. Raises `CommandFailed`."""
    with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
        out, times = Path(folder) / "run", Path(folder) / "times.json"
        arguments = setting.ours(out) if program == "stemsplit" else setting.theirs(out)
        before = time.monotonic()
        cost = measure(
            [sys.executable, PROGRAMS, program, str(times), str(setting.steps), *arguments],
            limited_to(setting.threads),
        )
        return rate_of(json.loads(times.read_text()), setting.network.batch, before, cost.peak)


def rate_of(times: dict[str, list[float]], batch: int, before: float, peak: float) -> Run:
    """Return the figures of a run that started at ``before``, from what its program recorded."""
    ends = times["ends"]
    elapsed, cpu, waited = (
        times[name][-1] - times[name][WARM - 1] for name in ("ends", "cpu", "waits")
    )
    items = batch * (len(ends) - WARM)
    return Run(
        rate=items / elapsed,
        cpu_rate=items / cpu,
        waiting=waited / elapsed,
        start=ends[0] - before,
        peak=peak,
        parameters=times["parameters"],  # type: ignore[arg-type]
    )


def compare(setting: Setting, pairs: int) -> dict[str, list[Run]]:
    """Return ``pairs`` runs of each program, in turn."""
    runs: dict[str, list[Run]] = {"stemsplit": [], "msst": []}
    for turn in range(pairs):
        for program in runs if turn % 2 == 0 else reversed(runs):
            runs[program].append(run_once(program, setting))
    return runs


def format_rows(network: Network, runs: dict[str, list[Run]]) -> str:
    """Return a row for each program: medians, with ranges in brackets."""
    rows = []
    pairs = list(zip(runs["stemsplit"], runs["msst"], strict=True))
    wall = spread([ours.rate / theirs.rate for ours, theirs in pairs])
    cpu = spread([ours.cpu_rate / theirs.cpu_rate for ours, theirs in pairs])
    for program, each in runs.items():
        millions = statistics.median(run.parameters for run in each) / 1e6
        cells = [
            f"{network.title}, {millions:.3f} M, {network.batch} × {network.seconds:g} s",
            program,
            *((f"**{wall}**", cpu) if program == "stemsplit" else ("", "")),
            spread([run.rate for run in each]),
            spread([run.rate * network.seconds for run in each]),
            spread([100 * run.waiting for run in each], 1),
            f"{statistics.median(run.start for run in each):.1f}",
            f"{statistics.median(run.peak for run in each) / 1000:.2f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", action="append", choices=NETWORKS, help="repeatable")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each program")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of each program")
    parser.add_argument("--workers", type=int, default=0, help="that load data, in each program")
    parser.add_argument("--core", type=int, help="run everything on this core")
    parser.add_argument("--songs", type=Path, help="folder of songs; else some are rendered")
    return parser.parse_args(arguments)


def main() -> None:
    asked = parse()
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        songs = asked.songs
        if songs is None:
            songs = Path(work) / "songs"
            apart(write_songs, songs, SONGS, SONG_SECONDS)
        stack.enter_context(pinned(asked.core))
        place = "all cores" if asked.core is None else f"core {asked.core}"
        print(f"{describe_machine()}; {asked.threads} thread(s), {place}, ", end="")
        print(f"{asked.workers} worker(s), {asked.steps} steps")
        print(f"{versions(PACKAGES)}\n{HEADER}", end="", flush=True)
        for name in asked.network or NETWORKS:
            network = NETWORKS[name]
            folder = Path(work) / name
            apart(write_setting, network, folder, asked.steps)
            setting = Setting(
                *(network, folder, songs.resolve(), asked.workers, asked.threads, asked.steps)
            )
            try:
                rows = format_rows(network, compare(setting, asked.pairs))
            except CommandFailed as exc:
                rows = f"| {network.title} | {exc} | | | | | | | |"
            print(rows, flush=True)


if __name__ == "__main__":
    main()
