"""CPU time of commands that need no tensor, above that of a bare interpreter.

python tests/benchmarks/startup.py [--runs 9]
"""

from __future__ import annotations

import argparse
import statistics
import sys

from processes import describe_machine, measure

COMMANDS = {
    "--help": ["-m", "stemsplit", "--help"],
    "--version": ["-m", "stemsplit", "--version"],
    "models list": ["-m", "stemsplit", "models", "list"],
    "a file that is missing": ["-c", "from stemsplit.cli import main; main(['missing.mp3'])"],
    "demucs --help": ["-m", "demucs", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    print(describe_machine())
    bare = statistics.median(measure([sys.executable, "-c", "pass"]).cpu for _ in range(runs))
    print(f"{'bare interpreter':<24}{bare:.3f} s")
    for name, words in COMMANDS.items():
        cpu = statistics.median(measure([sys.executable, *words]).cpu for _ in range(runs))
        print(f"{name:<24}{cpu - bare:.3f} s above it")


if __name__ == "__main__":
    main()
