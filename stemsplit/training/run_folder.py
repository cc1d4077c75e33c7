"""The folder of a run: what it was made from, its states, its log and its figures."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.audio.atomic import write_text
from stemsplit.audio.writable import output_error, writing
from stemsplit.errors import CheckpointError, OutputError, UsageError
from stemsplit.small_files import parse_json, read_small
from stemsplit.training.recipe import Recipe
from stemsplit.version import __version__

#: Keys of a recipe that may change when a run continues: they do not change what a step computes.
FREE_KEYS = frozenset({"description", "steps", "checkpoint", "log_every"})
#: The most bytes of the figures of a run: a million lines.
LARGEST_METRICS = 1 << 30


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths in the folder ``root``."""

    root: Path

    @property
    def state(self) -> Path:
        """The state to resume from."""
        return self.root / "state.safetensors"

    @property
    def good(self) -> Path:
        """The state to go back to when a step fails."""
        return self.root / "states" / "good.safetensors"

    @property
    def best(self) -> Path:
        """The weights with the best score, for ``stemsplit -n``."""
        return self.root / "best.safetensors"

    @property
    def last(self) -> Path:
        """The weights of the last state, for ``stemsplit -n``."""
        return self.root / "last.safetensors"

    @property
    def facts(self) -> Path:
        """What the run was made from."""
        return self.root / "run.json"

    @property
    def metrics(self) -> Path:
        """The figures, one object per line."""
        return self.root / "metrics.jsonl"

    @property
    def log(self) -> Path:
        """The log, for people."""
        return self.root / "log.txt"

    @property
    def page(self) -> Path:
        """The curves."""
        return self.root / "curves.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.root / "card.md"

    def kept(self, step: int) -> Path:
        """The state after ``step`` steps that is kept."""
        return self.root / "states" / f"step-{step:08}.safetensors"

    def failed(self, step: int, order: int, process: int) -> Path:
        """The batch of a step that failed."""
        return self.root / "failed" / f"step-{step:08}-{order}-{process}.safetensors"

    def create(self) -> None:
        """Create the folder. Raises ``OutputError`` if it cannot be."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder. Raises ``OutputError`` if another process trains there."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            raise OutputError("another process is training in this folder", path=self.root) from exc
        except OSError as exc:
            raise output_error(exc, self.root) from exc
        try:
            yield
        finally:
            lock.release()

    def write_log(self, line: str) -> None:
        """Add a line with the time to the log."""
        with writing(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def kept_state(text: str) -> Path:
    """Return the file of a state given as ``RUN@STEP``, or ``RUN``, its last one.

    Raises ``UsageError`` for a run that has no such state.
    """
    place, at, step = text.rpartition("@")
    if not at:
        place, step = text, ""
    folder = RunFolder(Path(place))
    if at and not step.isdecimal():
        raise UsageError(f"--from takes RUN@STEP, not {text!r}")
    path = folder.kept(int(step)) if at else folder.state
    if not path.is_file():
        found = sorted(int(each) for each in _kept_steps(folder))
        hint = f"kept steps: {', '.join(map(str, found))}" if found else "the run kept no steps"
        what = f"no state of step {step}" if at else "no state"
        raise UsageError(what, path=place, hint=hint)
    return path


def _kept_steps(folder: RunFolder) -> Iterator[str]:
    for path in folder.root.glob("states/step-*.safetensors"):
        if found := re.fullmatch(r"step-(\d+)", path.stem):
            yield found[1]


# --- What a run was made from --------------------------------------------------------------------


def describe_run(recipe: Recipe, **further: Any) -> dict[str, Any]:
    """Return what a run with ``recipe`` is made from: versions of programs, and ``further``."""
    import numpy
    import torch

    versions = {
        "stemsplit": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }
    return {"schema": 1, "versions": versions, "recipe": recipe.plain(), **further}


def write_facts(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Write what the run is made from, for programs and as a recipe."""
    write_text(folder.facts, json.dumps(facts, indent=2) + "\n")
    write_text(folder.root / "recipe.toml", to_toml(facts["recipe"]))


def read_facts(folder: RunFolder) -> dict[str, Any] | None:
    """Return what the run is made from; None if there is no run yet.

    Raises ``CheckpointError`` if the file is damaged.
    """
    try:
        facts: dict[str, Any] = parse_json(read_small(folder.facts))
        return facts if facts["recipe"] else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise CheckpointError(f"damaged: {exc}", path=folder.facts) from exc


def require_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: RunFolder) -> None:
    """Raise ``UsageError`` if a run continues with another recipe, naming the first difference."""
    for key, old, new in _differences(before, now, ""):
        if key.split(".")[0] not in FREE_KEYS:
            raise UsageError(
                f"this run has {key} = {json.dumps(old)}, not {json.dumps(new)}",
                path=folder.root,
                hint="use another --out, with --from RUN@STEP to continue with other settings",
            )


def _differences(before: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys((*before, *now)):
            dotted = f"{key}.{name}" if key else name
            yield from _differences(before.get(name), now.get(name), dotted)
    elif before != now:
        yield key, before, now


def to_toml(table: Mapping[str, Any], place: str = "") -> str:
    """Return ``table``, of plain values, as TOML; values that are None are left out."""
    lines: list[str] = []
    below: list[str] = []
    for key, value in table.items():
        dotted = f"{place}.{key}" if place else key
        if isinstance(value, Mapping):
            below.append(f"\n[{dotted}]\n{to_toml(value, dotted)}")
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            below += [f"\n[[{dotted}]]\n{to_toml(each, dotted)}" for each in value]
        elif value is not None:
            lines.append(f"{key} = {_value(value)}\n")
    return "".join((*lines, *below))


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


# --- Figures -------------------------------------------------------------------------------------


class Metrics:
    """The figures of a run in ``path``, one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, values: Mapping[str, Any]) -> None:
        """Add a line."""
        with writing(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def truncate(self, step: int) -> None:
        """Remove the lines after ``step`` steps, from which the run continues."""
        kept = [line for line in self.read() if line["step"] <= step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))

    def read(self) -> list[dict[str, Any]]:
        """Return all lines; a last one that was not written completely is left out."""
        if not os.path.exists(self._path):
            return []
        with writing(self._path):
            text = read_small(self._path, LARGEST_METRICS).decode()
        lines = []
        for line in text.splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return lines
