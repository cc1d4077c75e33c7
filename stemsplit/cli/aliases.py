"""Translate options of other programs into those of stemsplit, before parsing.

The result is the same as typing the translation: settings, variables and errors use its names.
`FOREIGN` is the table. Options of stemsplit itself are never changed.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from stemsplit.cli.commands import DEFAULT_COMMAND
from stemsplit.cli.foreign_options import FOREIGN, SEPARATE, ForeignOption
from stemsplit.cli.help import HelpPage
from stemsplit.cli.mistyped import refuse_misplaced, refuse_models
from stemsplit.errors import UsageError

#: The key in the ``meta`` of a context for the programs whose options were translated.
_PROGRAMS = "stemsplit.programs"


class TranslatingCommand(HelpPage):
    """A command that also accepts options of other programs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Translate and parse ``args``. Raises ``UsageError`` for options without an equivalent."""
        if self.name == DEFAULT_COMMAND:
            args = _without_separate(args)
        line = _Line(self.get_params(ctx))
        line.read(args)
        if self.name == DEFAULT_COMMAND:
            refuse_misplaced(line.files, line.words)
        ctx.meta[_PROGRAMS] = frozenset(line.programs)
        rest: list[str] = super().parse_args(ctx, line.words)
        if self.name == DEFAULT_COMMAND:
            refuse_models(line.files)
        return rest


def programs_of(context: typer.Context) -> frozenset[str]:
    """Return the other programs whose options are on the command line of ``context``."""
    found: frozenset[str] = context.meta.get(_PROGRAMS, frozenset())
    return found


@dataclass(slots=True)
class _Line:
    """A command line being translated, for a command with ``parameters``.

    ``words`` are the translation, ``files`` the words that are neither options nor their values,
    ``programs`` the programs whose options were translated.
    """

    parameters: Iterable[Any]
    words: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    programs: set[str] = field(default_factory=set)
    _own: dict[str, Any] = field(init=False)
    _said: dict[str, list[_Said]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._own = {
            name: parameter
            for parameter in self.parameters
            if parameter.param_type_name == "option"
            for name in parameter.opts
        }

    def read(self, arguments: Iterable[str]) -> None:
        """Translate ``arguments``. Raises ``UsageError`` for options without an equivalent."""
        rest = deque(arguments)
        while rest:
            word = rest.popleft()
            if word == "--":
                self.words += [word, *rest]
                break
            if not word.startswith("-") or word == "-":
                self.words.append(word)
                self.files.append(word)
            elif word.startswith("--"):
                name, equals, value = word.partition("=")
                self._option(name, value if equals else None, rest)
            else:
                self._short_options(word, rest)
        self._refuse_contradictions()

    def _short_options(self, word: str, rest: deque[str]) -> None:
        """Translate a word with one dash: flags, then perhaps an option with its value attached.

        Raises ``UsageError`` for a long option with one dash: ``-format`` is not ``-f -o rmat``.
        """
        name = f"-{word.partition('=')[0]}"
        if len(name) > 3 and (name in self._own or _rows(name)):
            raise UsageError(f"No such option: {name[1:]}", hint=f"did you mean {name}?")
        for place, letter in enumerate(word[1:], 2):
            if self._takes_value(f"-{letter}"):
                self._option(f"-{letter}", word[place:] or None, rest)
                return
            self._option(f"-{letter}", None, rest if place == len(word) else deque())

    def _takes_value(self, name: str) -> bool:
        if (own := self._own.get(name)) is not None:
            return not (own.is_flag or own.count)
        return any(row.placeholder for _, row in _rows(name))

    def _option(self, name: str, value: str | None, rest: deque[str]) -> None:
        """Translate an option with its ``value``, which may be the first word in ``rest``."""
        attached, rows = value is not None, _rows(name)
        if value is None and rest and any(row.placeholder for _, row in rows):
            value = rest[0]
        found = next(((program, row) for program, row in rows if row.fits(value)), None)
        if found is None:
            if rows and name not in self._own:
                raise _unfit(name, value, rows)
            if not attached and self._takes_value(name) and rest:
                self._keep(name, rest.popleft())
            else:
                self._keep(name, value if attached else None)
            return
        program, row = found
        shown = name if value is None or not row.placeholder else f"{name} {value}"
        if row.here is None:
            reason = f"{shown} is an option of {program}, not of stemsplit"
            raise UsageError(reason, hint=row.hint.replace("{}", value or row.placeholder))
        if value is None and row.placeholder:
            raise _unfit(name, value, rows)
        self.programs.add(program)
        for each in _values(row, value, rest, attached):
            self._translate(row, each, shown)

    def _keep(self, name: str, value: str | None) -> None:
        """Copy an option unchanged."""
        if value is None:
            self.words.append(name)
        elif name.startswith("--"):
            self.words.append(f"{name}={value}")
        else:
            self.words += [name, value]
        self._note(name, value, name if value is None else f"{name} {value}", foreign=False)

    def _translate(self, row: ForeignOption, value: str | None, shown: str) -> None:
        """Append the translation of ``row`` for ``value``."""
        assert row.here is not None
        name, _, word = row.here.partition(" ")
        if name == "{}":
            self.words.append(value or "")
            self.files.append(value or "")
        elif name:
            word = word.replace("{}", row.read(value or ""))
            self.words.append(f"{name}={word}")
            self._note(name, word, shown, foreign=True)

    def _note(self, name: str, value: str | None, shown: str, *, foreign: bool) -> None:
        own = self._own.get(name)
        if own is not None and value is not None and not own.multiple:
            self._said.setdefault(own.name, []).append(_Said(shown, value.lower(), foreign))

    def _refuse_contradictions(self) -> None:
        """Raise ``UsageError`` if an option of another program contradicts another option."""
        for said in self._said.values():
            if any(each.foreign for each in said) and len({each.value for each in said}) > 1:
                names = " and ".join(dict.fromkeys(each.shown for each in said))
                raise UsageError(f"{names} are mutually exclusive")


@dataclass(frozen=True, slots=True)
class _Said:
    """A value of an option; ``shown`` is the option as typed."""

    shown: str
    value: str
    foreign: bool


def _rows(name: str) -> list[tuple[str, ForeignOption]]:
    """Return the rows of the option ``name``, each with its program.

    ``_`` and ``-`` between words are equivalent, but rows with exactly this name come first.
    """
    wanted = name.replace("_", "-")
    found = [
        (program, row)
        for program, rows in FOREIGN.items()
        for row in rows
        if wanted in (each.replace("_", "-") for each in row.names)
    ]
    return sorted(found, key=lambda each: name not in each[1].names)


def _values(
    row: ForeignOption, value: str | None, rest: deque[str], attached: bool
) -> Iterator[str | None]:
    """Yield the values of an option: the ``attached`` one, if any, and those in ``rest``."""
    if not row.placeholder:
        yield None
        return
    yield value if attached else rest.popleft()
    while row.takes_several and rest and not rest[0].startswith("-"):
        yield rest.popleft()


def _unfit(name: str, value: str | None, rows: Sequence[tuple[str, ForeignOption]]) -> UsageError:
    if value is None:
        return UsageError(f"Option {name!r} requires an argument.")
    hint = "; ".join(f"{name} {row.placeholder} ({program})" for program, row in rows)
    return UsageError(f"Invalid value for '{name}': {value!r}", hint=f"use {hint}")


def _without_separate(arguments: Sequence[str]) -> list[str]:
    """Return ``arguments`` without Spleeter's command ``separate``, unless a file has that name."""
    if arguments[:1] == [SEPARATE] and not os.path.lexists(SEPARATE):
        return list(arguments[1:])
    return list(arguments)
