"""All that concerns an NVIDIA card, in one command of at most ten minutes.

    python tests/benchmarks/gpu.py > gpu.md
    python tests/benchmarks/gpu.py --step memory --step song     # some of it

Each step runs in a process of its own with its own time limit, so that it fails alone. What the
steps are, and what they need, is in ``gpu_steps.py``; weights that are neither in the cache nor
can be fetched are random. Without demucs 4.1.0 beside it, songs are measured alone.

Written on a machine without a card: NO CUDA CODE IN HERE HAS RUN YET. With ``--device cpu`` and
networks that are almost nothing, the same steps run anywhere, which is how they were tried.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

#: The steps, most important first, and the seconds that each may take.
LIMITS = {
    "environment": 30,
    "precision": 130,
    "memory": 80,
    "batches": 60,
    "streams": 40,
    "song": 130,
    "folder": 70,
    "tests": 60,
}
STEPS = Path(__file__).with_name("gpu_steps.py")


def run_step(name: str, device: str, seconds: float) -> str:
    """Return the section of the step ``name``: its report, how it ended, how long it took."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(STEPS), name, "--device", device],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        report, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # what the step started, too
        return format_step(name, process.communicate()[0], f"STOPPED after its {seconds:.0f} s")
    took = f"{time.monotonic() - began:.0f} s"
    if process.returncode:
        last = "\n".join(errors.strip().splitlines()[-12:])
        report = f"{report.strip()}\n\n```\n{last}\n```"
        return format_step(name, report, f"FAILED with {process.returncode} after {took}")
    return format_step(name, report, f"done in {took}")


def format_step(name: str, report: str, end: str) -> str:
    """Return a section of the report."""
    return f"## {name.capitalize()}: {end}\n\n{report.strip()}\n"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu for a try")
    parser.add_argument("--step", action="append", choices=LIMITS, help="repeatable; default: all")
    parser.add_argument("--minutes", type=float, default=10, help="for all steps together")
    return parser.parse_args(arguments)


def main() -> int:
    asked = parse()
    end = time.monotonic() + 60 * asked.minutes
    failed = 0
    print(f"# stemsplit on {asked.device}\n", flush=True)
    for name in asked.step or LIMITS:
        left = end - time.monotonic()
        if left < 1:
            section = format_step(name, "", "LEFT OUT: no time left")
        else:
            section = run_step(name, asked.device, min(LIMITS[name], left))
        failed += ": done" not in section.splitlines()[0]
        print(section, flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
