"""Time and memory against length, threads, batch, precision and model: a table and a picture.

    python tests/benchmarks/curves.py [--songs FOLDER] [--picture .github/images/speed.svg]

Whole commands, one after the other: each cell is the median of ``--runs``. Wall time counts, so
the machine must have nothing else to do. The picture has time and memory against length, for
`stemsplit` and, where it is installed, demucs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lines import accepted_precisions
from peer_weights import write_weights
from peers import PEERS, Job, stemsplit
from processes import CommandFailed, Cost, apart, describe_machine, measure
from songs import write_excerpts

MODELS = ("htdemucs", "spleeter_2stems", "open_unmix.umxhq", "hdemucs_mmi", "scnet")
COLOURS = ("#2f6fde", "#8a8f98")  # ours, theirs
Curves = Mapping[str, Sequence[tuple[float, Cost]]]  # length in s -> cost, by program
HEADER = "| {} | CPU, s | wall, s | × real time | peak, GB |\n|---|---:|---:|---:|---:|"


def median_cost(command: Sequence[str], runs: int) -> Cost:
    """Return the medians of ``runs`` runs of ``command``."""
    costs = [measure(command) for _ in range(runs)]
    walls, cpus, peaks = ([getattr(c, name) for c in costs] for name in ("wall", "cpu", "peak"))
    return Cost(*map(statistics.median, (walls, cpus, peaks)))


def format_row(name: str, seconds: float, cost: Cost) -> str:
    """Return a row of a table."""
    speed = f"{seconds / cost.wall:.1f}"
    return f"| {name} | {cost.cpu:.1f} | {cost.wall:.1f} | {speed} | {cost.peak / 1000:.2f} |"


def measure_lengths(job: Job, work: Path, asked: argparse.Namespace) -> Curves:
    """Return and print what songs of each length cost, in both programs."""
    programs = {"stemsplit": stemsplit}
    if (peer := PEERS["demucs"]).missing(None) is None:
        programs[peer.shown] = peer.command
    curves: dict[str, list[tuple[float, Cost]]] = {name: [] for name in programs}
    print(HEADER.format("length") + "\n", end="")
    for seconds in asked.seconds:
        songs = write_songs(work, seconds, asked.songs)
        for name, command in programs.items():
            cost = median_cost(command(replace(job, songs=songs)), asked.runs)
            curves[name].append((seconds, cost))
            print(format_row(f"{seconds:g} s, {name}", seconds, cost), flush=True)
    return curves


def measure_options(job: Job, work: Path, asked: argparse.Namespace) -> None:
    """Print what one song costs with other threads, batches, precisions and models."""
    seconds = asked.middle
    job = replace(job, songs=write_songs(work, seconds, asked.songs))
    cases = {f"--threads {n}": replace(job, threads=n) for n in asked.threads}
    cases |= {f"--batch {n}": replace(job, options=("--batch", str(n))) for n in asked.batches}
    for name in (name for name in accepted_precisions() if name not in ("auto", "fp16")):
        cases[f"--precision {name}"] = replace(job, options=("--precision", name))
    for model in asked.models:
        weights = apart(write_weights, model, "none", work / f"weights-{model}", None)
        cases[f"-n {model}"] = replace(job, weights=weights)
    print(f"\n{HEADER.format(f'{seconds:g} s with')}")
    for name, case in cases.items():
        try:
            print(format_row(name, seconds, median_cost(stemsplit(case), asked.runs)), flush=True)
        except CommandFailed as exc:
            print(f"| {name} | {exc} | | | |", flush=True)


def write_songs(work: Path, seconds: float, songs: Path | None) -> list[Path]:
    """Return one song of ``seconds``, in a list, written unless it is there."""
    folder = work / f"{seconds:g}"
    if not folder.is_dir():
        apart(write_excerpts, folder, seconds, 1, songs)
    return list(folder.iterdir())


def draw(curves: Curves, title: str, picture: Path) -> None:
    """Write ``picture``, an SVG: wall time and memory against length, side by side."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "stemsplit"}
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for panel, field, scale, label in zip(
        panels, ("wall", "peak"), (1, 1000), ("seconds", "peak memory, GB"), strict=True
    ):
        for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
            values = [getattr(cost, field) / scale for _, cost in points]
            panel.plot(
                [x for x, _ in points], values, "o-", color=colour, label=name, clip_on=False
            )
        panel.set(xlabel="length of the song, s", ylabel=label, xlim=(0, None), ylim=(0, None))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.suptitle(title, fontsize=10)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, metadata={"Date": None})


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", "--model", default="htdemucs")
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 30, 60, 120, 240, 480])
    parser.add_argument("--middle", type=float, default=60, help="length for all other tables")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--songs", type=Path, help="folder of songs; else one is rendered")
    parser.add_argument("--picture", type=Path, help="SVG file to write")
    return parser.parse_args(arguments)


def main() -> None:
    asked = parse()
    machine = describe_machine()
    print(f"{machine}\n")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        kind = "none" if PEERS["demucs"].missing(None) else "demucs"
        weights = apart(write_weights, asked.model, kind, work / "weights", None)
        job = Job([], weights, work / "out", threads=max(asked.threads, default=1))
        curves = measure_lengths(job, work, asked)
        measure_options(job, work, asked)
    if asked.picture:
        apart(draw, curves, f"{asked.model}, {machine.split(' (')[0]}", asked.picture)
        print(f"wrote {asked.picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
