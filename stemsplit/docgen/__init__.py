"""Generate man pages, completions, a type stub and the compiled registry.

``python -m stemsplit.docgen write`` regenerates ``man/``, ``completions/`` and those two files.
``… check`` names the files that ``write`` would change, and exits with 1 if there are any. ``…
costs`` writes the costs of the networks in the registry, which takes a minute or two.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stemsplit.checkpoints.registry import COMPILED, compiled
from stemsplit.docgen.bash import render_bash
from stemsplit.docgen.fish import render_fish
from stemsplit.docgen.man import render_pages
from stemsplit.docgen.man5 import render_section_5
from stemsplit.docgen.stub import render_stub
from stemsplit.docgen.tree import read_commands
from stemsplit.docgen.zsh import render_zsh

ROOT = Path(__file__).parents[2]


def render() -> dict[Path, str]:
    """Return the content of every generated file, by its path relative to the repository."""
    commands = read_commands()
    pages = render_pages(commands) | render_section_5(commands)
    files = {Path("man", f"man{name[-1]}", name): text for name, text in pages.items()}
    return files | {
        Path("completions", "stemsplit.bash"): render_bash(commands),
        Path("completions", "_stemsplit"): render_zsh(commands),
        Path("completions", "stemsplit.fish"): render_fish(commands),
        Path("stemsplit", "__init__.pyi"): render_stub(),
        Path("stemsplit", "checkpoints", COMPILED.name): compiled(),
    }


def find_stale(root: Path) -> list[Path]:
    """Return the files in ``root`` that are missing, out of date, or no longer generated."""
    wanted = render()
    there = [
        path.relative_to(root)
        for folder in ("man", "completions")
        for path in root.glob(f"{folder}/**/*")
        if path.is_file()
    ]
    stale = {path for path in there if path not in wanted}
    for path, text in wanted.items():
        try:
            if (root / path).read_bytes() != text.encode():
                stale.add(path)
        except FileNotFoundError:
            stale.add(path)
    return sorted(stale)


def write(root: Path) -> list[Path]:
    """Bring all files in ``root`` up to date; return those that changed."""
    wanted = render()
    stale = find_stale(root)
    for path in stale:
        if path in wanted:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(wanted[path].encode())
        else:
            (root / path).unlink()
    return stale


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Write or check; return the exit code."""
    # Models that a user adds to the registry must not get into files of the repository.
    os.environ.pop("STEMSPLIT_REGISTRY", None)
    match list(arguments):
        case ["write"]:
            for path in write(root):
                print(f"{'wrote' if (root / path).exists() else 'removed'} {path}")
            return 0
        case ["check"]:
            stale = find_stale(root)
            for path in stale:
                print(f"stale: {path} (python -m stemsplit.docgen write)", file=sys.stderr)
            return 1 if stale else 0
        case ["costs"]:
            from stemsplit.docgen.costs import COSTS, render_costs  # imports torch

            (root / COSTS).write_text(render_costs(), encoding="utf-8")
            return 0
    print("usage: python -m stemsplit.docgen write|check|costs", file=sys.stderr)
    return 2
