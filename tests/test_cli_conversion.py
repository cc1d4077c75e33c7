"""Values of options: those converted late are those that Typer would convert at once."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from stemsplit.cli import conversion
from stemsplit.cli.commands import load_command

#: Command lines by command, with values of every kind.
LINES = {
    "split": [
        [],
        ["a.wav", "b.wav", "-n", "htdemucs", "--stems", "vocals", "--stems", "bass"],
        ["--format", "flac", "--depth", "24", "--overlap", "0.5", "--shifts", "2", "-vv"],
        ["--format", "FLAC", "--out", "folder", "--mix", "a=mix", "--progress", "lines"],
    ],
    "models": [["list"], ["list", "--sort", "sdr", "--stem", "x"], ["pull", "a", "b", "--offline"]],
}


def values(name: str, line: list[str]) -> dict[str, Any]:
    """Return the values that the command ``name`` reads from ``line``."""
    command: Any = typer.main.get_command(load_command(name))
    if name == "models":
        command, line = command.commands[line[0]], line[1:]
    return dict(command.make_context(name, line).params)


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in LINES for line in LINES[name]])
def test_late_conversion_changes_no_value(
    name: str, line: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = values(name, line)
    monkeypatch.setattr(conversion, "_convert_late", lambda parameter: parameter)
    assert late == values(name, line)


@pytest.mark.parametrize("word", [["--shifts", "x"], ["--overlap", "7"], ["--format", "no"]])
def test_invalid_values_are_refused_as_by_typer(
    word: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(typer.BadParameter) as late:
        values("split", word)
    monkeypatch.setattr(conversion, "_convert_late", lambda parameter: parameter)
    with pytest.raises(typer.BadParameter) as full:
        values("split", word)
    assert str(late.value) == str(full.value)
