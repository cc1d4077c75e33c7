"""Man pages: the command tree and the prose of ``docgen_pages`` as roff (man(7))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from stemsplit.cli.environment import ENVIRONMENT
from stemsplit.cli.foreign_options import FOREIGN, ForeignOption
from stemsplit.declarations import SECTIONS
from stemsplit.docgen.json_objects import Fields
from stemsplit.docgen.models import list_entries
from stemsplit.docgen.pages import COMING_FROM_OTHERS, EXIT_STATUS, FILES, PAGES, ManPage
from stemsplit.docgen.tree import PROGRAM, ArgumentEntry, CommandEntry, OptionEntry
from stemsplit.version import __version__

#: Of the version above; the pages must not change with the day they are made on.
RELEASE_DATE = "2026-11-21"

#: Typewriter characters that roff would turn into typographic ones: a command must stay copyable.
_LITERAL = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
    '"': "\\(dq",
}


def escape(text: str) -> str:
    """Return ``text`` so that roff shows it as it is, wherever it stands in a line of text."""
    return _guard(_literal(text))


def bold(text: str) -> str:
    """Return ``text`` in bold: what is typed as it stands."""
    return f"\\fB{_literal(text)}\\fR"


def italic(text: str) -> str:
    """Return ``text`` in italics: what stands for something else."""
    return f"\\fI{_literal(text)}\\fR"


def prose(text: str) -> str:
    """Return ``text`` with what is in backticks in bold, and each sentence on a line of its own."""
    marked = (
        bold(piece) if number % 2 else re.sub(r"(?<=[.?!]) +", "\n", _literal(piece))
        for number, piece in enumerate(text.split("`"))
    )
    return _guard("".join(marked))


def _literal(text: str) -> str:
    return "".join(
        _LITERAL.get(char, char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text
    )


def _guard(text: str) -> str:
    """Keep lines that begin with a dot from being requests; with apostrophes `_literal` does."""
    return re.sub(r"^(?=\.)", r"\\&", text, flags=re.MULTILINE)


def page_name(command: CommandEntry) -> str:
    """Return the name of the page of ``command``, without its section."""
    return command.invocation.replace(" ", "-")


def render_pages(commands: Iterable[CommandEntry]) -> dict[str, str]:
    """Return the man pages of ``commands`` by file name."""
    commands = list(commands)
    return {
        f"{page_name(command)}.1": "\n".join(_render(command, commands)) + "\n"
        for command in commands
    }


def preamble(name: str, section: int) -> Iterator[str]:
    """Yield what stands before the first section of a page."""
    yield '.\\" Made by `python -m stemsplit.docgen write`; changes belong there.'
    yield f'.TH {escape(name.upper())} {section} {RELEASE_DATE} "{PROGRAM} {__version__}"'
    yield from (".nh", ".ad l")  # names of options and variables are not to be hyphenated


def example(what: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines`` as they are typed, after a sentence that says what they do."""
    yield from (prose(what), ".PP", ".RS 4", ".EX", *map(escape, lines), ".EE", ".RE")


def _render(command: CommandEntry, commands: Iterable[CommandEntry]) -> Iterator[str]:
    others = [each for each in commands if each is not command]
    name = page_name(command)
    page = PAGES.get(command.name, ManPage())
    yield from preamble(name, 1)
    yield from (".SH NAME", f"{escape(name)} \\- {_as_title(command.summary)}")
    yield ".SH SYNOPSIS"
    yield from _synopsis(command)
    if command.is_default:
        for other in others:
            yield from (".br", f"{bold(other.invocation)} ...")
    yield ".SH DESCRIPTION"
    yield from paragraphs((*command.paragraphs, *page.description))
    if command.commands:
        yield ".SH COMMANDS"
        for below in command.commands:
            yield from (f".SS {bold(' '.join(below.words[1:]))}{_arguments(below.arguments)}",)
            yield from paragraphs(below.paragraphs)
            yield from _details(below)
    yield ".SH OPTIONS"
    yield from _details(command)
    if command.name == "models":
        yield from _models()
    yield from _reference(command, page)
    if command.is_default:
        yield ".SH COMING FROM OTHER PROGRAMS"
        yield from paragraphs(COMING_FROM_OTHERS)
        yield from _foreign_options()
    yield ".SH SEE ALSO"
    references = [(page_name(other), 1) for other in others] + [("ffmpeg", 1)]
    references += [(f"{PROGRAM}-{name}", 5) for name in ("config", "json")]
    yield ", ".join(f"{bold(name)}({section})" for name, section in references)


def _reference(command: CommandEntry, page: ManPage) -> Iterator[str]:
    """Yield the sections from EXAMPLES to EXIT STATUS."""
    if page.examples:
        yield ".SH EXAMPLES"
        for number, (what, text) in enumerate(page.examples.items()):
            yield from (".PP",) if number else ()
            yield from example(what, text.split("\n"))
    if page.output:
        yield ".SH OUTPUT"
        yield from paragraphs(page.output)
        for introduction, fields in (*page.records.items(), *page.events.items()):
            yield from (".PP", prose(introduction))
            yield from keys(fields)
    yield ".SH ENVIRONMENT"
    yield from _environment(command)
    if command.is_default:
        yield ".SH FILES"
        for path, text in FILES.items():
            yield from entry(italic(path), prose(text))
    yield ".SH EXIT STATUS"
    for code, meaning in {**EXIT_STATUS, **page.exit_status}.items():
        if meaning is not None:
            yield from entry(bold(str(code.value)), prose(meaning))


def _models() -> Iterator[str]:
    """Yield the section of the models themselves."""
    yield ".SH MODELS"
    yield prose("What `models list` shows, in words. Scores are SDR in dB, as published.")
    for group, entries in list_entries():
        yield f".SS {escape(group)}"
        for name, text in entries:
            # Addresses may go on in the next line after a slash.
            yield from entry(bold(name), prose(text).replace("/", "/\\:"))


def _synopsis(command: CommandEntry) -> Iterator[str]:
    """Yield how the command is typed; of a group, a line for each command below it."""
    leaves = [each for each in command.walk() if not each.commands]
    for number, leaf in enumerate(leaves):
        if number:
            yield ".br"
        yield f"{bold(leaf.invocation)} [\\fIOPTION\\fR]...{_arguments(leaf.arguments)}"


def _arguments(arguments: Iterable[ArgumentEntry]) -> str:
    texts = []
    for argument in arguments:
        text = italic(argument.value.metavar) + ("..." if argument.many else "")
        texts.append(text if argument.required else f"[{text}]")
    return "".join(f" {text}" for text in texts)


def _details(command: CommandEntry) -> Iterator[str]:
    """Yield what the arguments and options of ``command`` mean."""
    for argument in command.arguments:
        if argument.help:
            yield from entry(italic(argument.value.metavar), prose(argument.help))
    if not command.has_sections:
        yield from _list_options(command.options)
        return
    for section in (*SECTIONS, None):
        yield f".SS {section or 'Other options'}"
        yield from _list_options(each for each in command.options if each.section == section)


def _list_options(options: Iterable[OptionEntry]) -> Iterator[str]:
    for option in options:
        yield from entry(_option_head(option), "\n".join(option_text(option)))


def _option_head(option: OptionEntry) -> str:
    names = ", ".join(bold(name) for name in option.names)
    if option.value is None:
        return names
    if option.value.kind == "choice":
        return f"{names} " + "|".join(bold(word) for word in option.value.words)
    return f"{names} {italic(option.value.metavar)}"


def option_text(option: OptionEntry) -> Iterator[str]:
    """Yield what an option means, its limits, its default and its variable."""
    if option.help:
        yield prose(option.help)
    if option.value is not None:
        least, most = option.value.minimum, option.value.maximum
        if least is not None and most is not None:
            yield f"From {least:g} to {most:g}."
        elif least is not None:
            yield f"At least {least:g}."
        elif most is not None:
            yield f"At most {most:g}."
    if option.default is not None:
        yield f"The default is {bold(option.default)}."
    if option.envvar:
        yield f"Environment variable: {bold(option.envvar)}."


def _foreign_options() -> Iterator[str]:
    """Yield what the options of other programs are here, by program."""
    for program, rows in FOREIGN.items():
        yield f".SS {escape(program)}"
        for row in rows:
            names = ", ".join(map(bold, row.names))
            value = "|".join(map(bold, row.values)) or italic(row.placeholder)
            yield from entry(f"{names} {value}".strip(), prose(_meaning(row)))


def _meaning(row: ForeignOption) -> str:
    if row.here is None:
        return f"Instead: {row.hint.replace('{}', row.placeholder)}."
    if not row.here:
        return "It is always so, and changes nothing."
    return f"The same as `{row.here.replace('{}', row.placeholder)}`."


def _environment(command: CommandEntry) -> Iterator[str]:
    """Yield the variables of the options; the page of the default command has all the others."""
    options = {
        option.envvar: option
        for each in command.walk()
        for option in each.options
        if option.envvar is not None
    }
    if options:
        yield "An option on the command line goes before its variable."
    for variable, option in options.items():
        long = option.names[-1]
        text = f"The same as `{long}`." if option.value else f"If it is 1, the same as `{long}`."
        yield from entry(bold(variable), prose(text))
    if command.is_default:
        yield from definitions(ENVIRONMENT)
    else:
        what = "The others" if options else "Variables"
        yield from (*([".PP"] if options else []), prose(f"{what} are described in {PROGRAM}(1)."))


def definitions(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield each term with what it means."""
    for term, text in texts.items():
        yield from entry(bold(term), prose(text))


def keys(fields: Fields) -> Iterator[str]:
    """Yield each key of an object with what JSON has there and what that means."""
    for key, (kind, text) in fields.items():
        yield from entry(f"{bold(key)} ({escape(kind)})", prose(text))


def entry(head: str, text: str) -> tuple[str, ...]:
    """Return a paragraph with ``head`` hanging out on the left."""
    return (".TP", head, text) if text else (".TP", head, "\\&")


def paragraphs(texts: Iterable[str]) -> Iterator[str]:
    """Yield ``texts`` with a break between them; at the start of a section none is needed."""
    for number, text in enumerate(texts):
        yield from (".PP", prose(text)) if number else (prose(text),)


def _as_title(sentence: str) -> str:
    """Return a sentence as the NAME section has it: beginning in lower case."""
    return prose(sentence[:1].lower() + sentence[1:])
