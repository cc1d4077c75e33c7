"""CPU seconds of whole commands on one core, of this tree and of an earlier one, in turn.

python tests/benchmarks/commands.py [--against TREE] [--pairs 5] [--songs 1000]

``TREE`` is a folder with another version of the package, as `git worktree add` makes it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from processes import describe_machine, measure

HERE = Path(__file__).parents[2]
TINY = ["-n", "tiny.htdemucs", "-qq"]
#: Scans and decodes a song, as a split does, without a network.
DECODE = (
    "import sys; from pathlib import Path; from stemsplit.audio.decode import decode;"
    "from stemsplit.audio.probe import probe; from stemsplit.separation.scan import scan;"
    "info = probe(Path(sys.argv[1])); scan(info, 44100); [block for block in decode(info)]"
)


def scenarios(folder: Path, songs: int) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each scenario and what Python runs, on songs made in ``folder``."""
    short, long, flac = folder / "short.wav", folder / "long.wav", folder / "long.flac"
    make_song(short, 5, 44_100)
    make_song(long, 240, 44_100)
    make_song(flac, 240, 44_100)
    run = ["-m", "stemsplit"]
    stems = ["-o", str(folder / "stems")]
    yield "a file that is missing", [*run, str(folder / "missing.wav")]
    yield "an unknown model", [*run, "-n", "nosuch", str(short)]
    yield "--dry-run", [*run, "--dry-run", *TINY, *stems, str(short)]
    yield "--help", [*run, "--help"]
    yield "models list", [*run, "models", "list"]
    yield "5 s, tiny network", [*run, *TINY, *stems, "--force", str(short)]
    yield "scan and decode, WAV of 240 s", ["-c", DECODE, str(long)]
    yield "scan and decode, FLAC of 240 s", ["-c", DECODE, str(flac)]
    for number in range(20):
        make_song(folder / "twenty" / f"{number}.wav", 10, 44_100)
    yield "20 songs of 10 s, tiny network", [*run, *TINY, *stems, "--force", str(folder / "twenty")]
    for number in range(songs):
        make_song(folder / "many" / f"{number}.wav", 3, 8_000)
    rerun = [*run, *TINY, "-o", str(folder / "done"), str(folder / "many")]
    if songs:
        measure([sys.executable, *rerun])
        yield f"nothing to do, {songs} songs of 3 s", rerun


def make_song(path: Path, seconds: int, sample_rate: int) -> None:
    """Write ``seconds`` of stereo noise without much treble, which compresses like music."""
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).standard_normal((seconds * sample_rate, 2)).cumsum(0)
    soundfile.write(path, 0.3 * np.sin(noise / 20), sample_rate, "PCM_16")


def cpu_seconds(arguments: list[str], tree: Path) -> float:
    """Return the CPU time of Python with ``arguments``, with the package from ``tree``."""
    environment = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    # A shell hides the exit codes of the scenarios that fail on purpose.
    command = ["sh", "-c", '"$@"; true', "sh", sys.executable, *arguments]
    return measure(command, environment).cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--songs", type=int, default=1000)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    trees = [tree.resolve() for tree in (options.against, HERE) if tree is not None]
    print(f"{describe_machine()}; one core, medians of {options.pairs}")
    print("| command |" + " before, s |" * (len(trees) - 1) + " now, s |")
    print("|---|" + "---|" * len(trees))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # Python looks for the package in the current folder first
        for name, arguments in scenarios(Path(folder), options.songs):
            for tree in trees:  # compiles its modules
                cpu_seconds(arguments, tree)
            runs = [[cpu_seconds(arguments, t) for t in trees] for _ in range(options.pairs)]
            medians = [statistics.median(each) for each in zip(*runs, strict=True)]
            print(f"| {name} |" + "".join(f" {seconds:.3f} |" for seconds in medians), flush=True)


if __name__ == "__main__":
    main()
