"""Render the man pages of section 5: the configuration file and the JSON output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stemsplit.cli.settings import NOT_SETTINGS
from stemsplit.docgen.man import (
    bold,
    entry,
    escape,
    example,
    italic,
    keys,
    option_text,
    paragraphs,
    preamble,
    prose,
)
from stemsplit.docgen.pages import FILES, PAGES, ManPage
from stemsplit.docgen.tree import PROGRAM, SHORT_HELP, CommandEntry, OptionEntry, walk

_CONFIG_DESCRIPTION = (
    "The configuration file sets options permanently. It is a TOML file: a setting is the long "
    'name of an option without its dashes, as in `format = "flac"`. A flag is `true` or `false`, '
    "and an option that can be repeated for more effect (`-v`) is a number. Options that take "
    "names separated by commas also take a list of names. Options that can be given several times "
    "take a list, or a single value.",
    "Settings at the top of the file apply to `stemsplit FILE` and to options of other commands "
    "that have the same environment variable. A table such as `[demo]` or `[models.pull]` applies "
    "only to that command, and overrides the settings at the top.",
    "Options on the command line override environment variables, which override this file, which "
    "overrides the defaults: those of the model, then those of stemsplit. `stemsplit config show` "
    "shows the values in effect and where each comes from. Unknown settings are errors.",
    "A setting is ignored if an option that it conflicts with is given: `stems` with "
    "`--two-stems`, `model` with `--ensemble`, `skip-existing` with `--force`, `preview` with "
    "`--start`, and vice versa. A flag that is `true` here cannot be turned off on the command "
    "line; `STEMSPLIT_CONFIG=/dev/null` ignores the whole file.",
)
_QUOTE = '"'
_CONFIG_EXAMPLE = (
    'model = "htdemucs_ft"',
    'out = "/home/me/stems"',
    'format = "flac"',
    'mix = ["karaoke=mix-0.9*vocals", "band=mix-vocals"]',
    "",
    "[demo]",
    'model = "htdemucs"',
)
_JSON_DESCRIPTION = (
    "With `--json`, a command writes objects to standard output, one per line (NDJSON), in UTF-8. "
    "Each has a key `schema`, the version of its format. Within a version, keys may be added, but "
    "none is removed or changes its meaning: programs should ignore keys that they do not know, "
    "and refuse versions that they do not know.",
    "Paths are written as they were given, or are derived from those. Bytes that are not valid "
    "UTF-8 become lone surrogates, as in Python.",
)


def render_section_5(commands: Iterable[CommandEntry]) -> dict[str, str]:
    """Return the man pages of section 5 by file name."""
    commands = list(commands)
    pages = {"config": _config(commands), "json": _json(commands)}
    return {f"{PROGRAM}-{name}.5": "\n".join(lines) + "\n" for name, lines in pages.items()}


def _config(commands: list[CommandEntry]) -> Iterator[str]:
    yield from preamble(f"{PROGRAM}-config", 5)
    yield from (".SH NAME", f"{escape(PROGRAM)}\\-config \\- the configuration file of {PROGRAM}")
    yield ".SH DESCRIPTION"
    yield from paragraphs(_CONFIG_DESCRIPTION)
    default = next(command for command in commands if command.is_default)
    yield ".SH SETTINGS"
    for option in _settings(default):
        yield from entry(_head(option), "\n".join(option_text(option)))
    yield ".SH SETTINGS OF OTHER COMMANDS"
    for command in walk(commands):
        if command.is_default or command.commands:
            continue
        names = ", ".join(bold(option.long[2:]) for option in _settings(command))
        yield from entry(bold(f"[{'.'.join(command.words)}]"), f"{names}." if names else "None.")
    yield ".SH EXAMPLES"
    yield from example("Better weights and another format, but a quick demo:", _CONFIG_EXAMPLE)
    yield ".SH ENVIRONMENT"
    yield from entry(
        bold("STEMSPLIT_CONFIG"), prose("A configuration file to read instead of this one.")
    )
    yield ".SH FILES"
    path = next(path for path in FILES if path.endswith("config.toml"))
    yield from entry(italic(path), prose(FILES[path]))
    yield from (".SH SEE ALSO", f"{bold(PROGRAM)}(1), {bold(f'{PROGRAM}-json')}(5)")


def _settings(command: CommandEntry) -> list[OptionEntry]:
    return [
        option
        for option in command.options
        if option.names != SHORT_HELP and option.long[2:] not in NOT_SETTINGS
    ]


def _head(option: OptionEntry) -> str:
    name = bold(option.long[2:])
    if option.value is None:
        return f"{name} = " + (italic("NUMBER") if option.repeats else italic("true|false"))
    if option.value.kind == "choice":
        # A line may break after any of them.
        return f"{name} = " + "|\\:".join(bold(f'"{word}"') for word in option.value.words)
    placeholder = italic(option.value.metavar)
    if option.value.minimum is None:  # not a number
        placeholder = f"{bold(_QUOTE)}{placeholder}{bold(_QUOTE)}"
    return f"{name} = " + (f"[{placeholder}, ...]" if option.repeats else placeholder)


def _json(commands: list[CommandEntry]) -> Iterator[str]:
    yield from preamble(f"{PROGRAM}-json", 5)
    yield from (".SH NAME", f"{escape(PROGRAM)}\\-json \\- the JSON output of {PROGRAM}")
    yield ".SH DESCRIPTION"
    yield from paragraphs(_JSON_DESCRIPTION)
    for command in commands:
        page = PAGES.get(command.name, ManPage())
        if objects := [*page.records.items(), *page.events.items()]:
            yield f".SH {escape(command.invocation.upper())}"
            for number, (introduction, fields) in enumerate(objects):
                yield from (".PP",) if number else ()
                yield prose(introduction)
                yield from keys(fields)
    yield from (".SH SEE ALSO", f"{bold(PROGRAM)}(1), {bold(f'{PROGRAM}-config')}(5)")
