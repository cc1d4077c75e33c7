"""Words in the place of songs that are something else: a command, a format, a stem, a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import get_args

from stemsplit.cli.commands import COMMANDS
from stemsplit.cli.foreign_options import WORDS
from stemsplit.errors import UsageError
from stemsplit.stem_names import COLOURS
from stemsplit.types import StreamFormat

#: How similar a misspelt command is to the right one, for `get_close_matches`.
ALIKE = 0.75
#: How many words of a name with spaces are recognised without its quotes.
MOST_WORDS = 20


def refuse_misplaced(files: Sequence[str], words: Sequence[str]) -> None:
    """Raise ``UsageError`` if one of ``files`` or of the stems in ``words`` is something else.

    ``words`` is the whole command line, with options as ``--NAME=VALUE``. Existing files are
    accepted as files, except for the names of commands.
    """
    if files and not os.path.lexists(files[0]):
        _refuse_command(files[0])
    for file in files:
        if file in COMMANDS:
            raise UsageError(
                f"{file!r} is a command, which must come first: stemsplit {file} ...",
                hint=f"for a file or folder of that name: ./{file}",
            )
    _refuse_swallowed(words)
    missing = [file for file in files if not os.path.lexists(file)]
    stems = list(_values("--stems", words))
    for file in missing:
        if file.lower() in get_args(StreamFormat):
            raise UsageError(f"no file named {file!r}", hint=f"use --format {file.lower()}")
        if stems and file in COLOURS:
            hint = f"separate stems by commas: --stems {stems[-1]},{file}"
            raise UsageError(f"no file named {file!r}", hint=hint)
    if missing:
        _refuse_unquoted(files)


def refuse_models(files: Sequence[str]) -> None:
    """Raise ``UsageError`` if one of ``files`` does not exist, but is a model."""
    for file in files:
        if not os.path.lexists(file):
            # Imported here: most command lines do not need the registry.
            from stemsplit.checkpoints.registry import is_known

            if is_known(file):
                raise UsageError(f"{file!r} is a model, not a file", hint=f"use --model {file}")


def _refuse_command(word: str) -> None:
    """Raise ``UsageError`` if ``word``, which is not a file, is a command or misspelt."""
    if word in WORDS:
        raise UsageError(f"no command or file named {word!r}", hint=WORDS[word])
    near = get_close_matches(word, [*COMMANDS, *WORDS], n=1, cutoff=ALIKE)
    if near and word not in COMMANDS:
        hint = f"did you mean {WORDS.get(near[0], f'stemsplit {near[0]}')}?"
        raise UsageError(f"no command or file named {word!r}", hint=hint)


def _refuse_swallowed(words: Sequence[str]) -> None:
    """Raise ``UsageError`` for ``--two-stems song.wav``, where the song has become a stem."""
    for option in ("--two-stems", "--stems"):
        for value in _values(option, words):
            if "." in value and os.path.lexists(value):
                hint = f"{option} needs a stem before the file: {option} vocals {value}"
                raise UsageError(f"{value!r} is a file, not a stem", hint=hint)


def _refuse_unquoted(files: Sequence[str]) -> None:
    """Raise ``UsageError`` if consecutive ``files`` are a single one whose name has spaces."""
    for start, first in enumerate(files):
        if os.path.lexists(first):
            continue
        for end in range(start + 2, min(len(files), start + MOST_WORDS) + 1):
            name = " ".join(files[start:end])
            if os.path.lexists(name):
                hint = f'put names with spaces in quotes: "{name}"'
                raise UsageError(f"no file named {first!r}", hint=hint)


def _values(option: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the values of ``option`` in ``words``."""
    for word in words:
        name, equals, value = word.partition("=")
        if name == option and equals:
            yield value
