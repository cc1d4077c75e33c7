"""``stemsplit models list``: a table to choose a model from."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import parse_names
from stemsplit.cli.model_facts import megabytes, record
from stemsplit.errors import ExitCode
from stemsplit.options import DEFAULT_MODEL

if TYPE_CHECKING:
    from stemsplit.checkpoints.choosing import Sections, Wish
    from stemsplit.checkpoints.entries import Model

STEMS_WIDTH = 12
#: Names of a stem that is the mix minus the other one.
REST = ("accompaniment", "instrumental", "rest")
#: The order of the columns; other metrics follow.
METRICS = ("uSDR", "cSDR", "SDR")


def list_(
    *,
    stem: Annotated[
        str | None,
        typer.Option("--stem", metavar="STEM,…", help="Only models with these stems."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Only weights whose licence contains these words, such as mit."
        ),
    ] = None,
    commercial: Annotated[
        bool,
        typer.Option(
            "--commercial", help="Only weights whose licence is known to allow commercial use."
        ),
    ] = False,
    architecture: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="Only this kind of network, such as scnet."),
    ] = None,
    downloaded: Annotated[
        bool, typer.Option("--downloaded", help="Only weights that are on this machine.")
    ] = False,
    causal: Annotated[
        bool,
        typer.Option("--causal", help="Only models that look ahead by at most one frame (0.1 s)."),
    ] = False,
    sort: Annotated[
        Literal["sdr", "size", "speed"] | None,
        typer.Option(
            help="Best published score, smallest download, or fewest operations per second first."
        ),
    ] = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all", help="Also show members of ensembles and models for testing (tiny.*)."
        ),
    ] = False,
    json: options.Json = False,
) -> int:
    """List models: stems, published scores, work, size, and whether commercial use is allowed.

    `models list --stem vocals --commercial --sort sdr` shows the best models for vocals whose
    licence allows commercial use.
    """
    from stemsplit.checkpoints import choosing

    console = Console(sys.stdout, sys.stderr, json=json)
    asked = any((stem, licence, commercial, architecture, downloaded, causal, sort))
    wish = choosing.Wish(
        stems=tuple(choosing.known_stem(name) for name in parse_names(stem or "")),
        licence=licence,
        commercial=commercial,
        architecture=choosing.known_architecture(architecture) if architecture else None,
        downloaded=downloaded,
        causal=causal,
        # For compatibility, --json without other options lists all models.
        hidden=all_ or (json and not asked),
    )
    sections = choosing.choose(wish, sort)
    if not any(sections.values()):
        console.note(_nothing(wish))
    elif json:
        for models in sections.values():
            for model in models:
                console.record(record(model))
    else:
        _show_table(console, sections, wish)
    return ExitCode.DONE


def _nothing(wish: Wish) -> str:
    """Return a message that explains why the list is empty."""
    if wish.causal:
        return "no matching model: all look ahead more than 0.1 s, most of them a whole segment"
    if wish.downloaded:
        return "no matching model is downloaded; stemsplit models pull NAME downloads one"
    return "no matching model; stemsplit models list shows all"


def _show_table(console: Console, sections: Sections, wish: Wish) -> None:
    models = [model for group in sections.values() for model in group]
    longest_name = max(len(model.name) for model in models)
    table = Table(console, list(_columns(models, wish.stems)), longest_name).with_room_for(
        Column("LICENCE", {model.name: model.licence for model in models}, right=False)
    )
    columns = table.columns
    table.write("NAME", [column.title for column in columns])
    for heading, group in sections.items():
        if heading:
            console.data(f"\n{heading}")
        for model in group:
            cells = [column.cells[model.name] for column in columns]
            table.write(model.name, cells, mark="*" if _is_here(model) else " ")
    for line in _legend(columns, wish):
        console.paragraph(line)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, and its cells by the names of the models."""

    title: str
    cells: dict[str, str]
    least_width: int = 0
    right: bool = True

    @property
    def width(self) -> int:
        """The width of its longest cell, but at least ``least_width``."""
        return max(self.least_width, len(self.title), *map(len, self.cells.values()))

    def aligned(self, cell: str) -> str:
        """Return ``cell``, padded to the width of the column."""
        return cell.rjust(self.width) if self.right else cell.ljust(self.width)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a name and ``columns``, at most as wide as the terminal, or 80 characters."""

    console: Console
    columns: Sequence[Column]
    longest_name: int

    def write(self, name: str, cells: Iterable[str], mark: str = " ") -> None:
        """Write a row, on two lines if the ``name`` does not fit into its column."""
        aligned = zip(self.columns, cells, strict=True)
        rest = " ".join(column.aligned(cell) for column, cell in aligned).rstrip()
        width = self._name_width()
        if len(name) > width:
            self.console.data(f"{mark} {name}")
            name, mark = "", " "
        self.console.data(f"{mark} {name:<{width}} {rest}")

    def with_room_for(self, column: Column) -> Table:
        """Return the table with another ``column`` if the terminal is wide enough."""
        wider = Table(self.console, [*self.columns, column], self.longest_name)
        return wider if wider._room() >= self.longest_name else self

    def _name_width(self) -> int:
        return max(1, min(self.longest_name, self._room()))

    def _room(self) -> int:
        # A mark and a space precede the name.
        return self.console.columns - 2 - sum(c.width + 1 for c in self.columns)


def _columns(models: Sequence[Model], stems: Sequence[str]) -> Iterator[Column]:
    """Yield the columns for ``models``; scores are for ``stems``, or for all if it is empty."""
    from stemsplit.checkpoints.choosing import commercial_of

    yield Column("STEMS", {m.name: _stems(m) for m in models}, STEMS_WIDTH, right=False)
    yield from _score_columns(models, stems)
    yield Column("WORK", {m.name: _work(m) for m in models}, 5)
    yield Column("MB", {m.name: megabytes(m) for m in models}, 4)
    yield Column("SELL", {m.name: commercial_of(m) for m in models}, 7, right=False)


def _score_columns(models: Sequence[Model], stems: Sequence[str]) -> Iterator[Column]:
    """Yield a column for each metric with a score of any of ``models``."""
    from stemsplit.checkpoints.choosing import BENCHMARKS, scores_of

    cells: dict[str, dict[str, str]] = {metric: {} for metric in METRICS}
    for model in models:
        for score in scores_of(model, stems):
            metric = score.benchmark.metric
            usual = next((b for b in BENCHMARKS if b.metric == metric), score.benchmark)
            mark = " " if score.complete and score.benchmark == usual else "~"
            cells.setdefault(metric, {}).setdefault(model.name, f"{score.value:.2f}{mark}")
    for metric, values in cells.items():
        if values:
            yield Column(f"{metric} ", {m.name: values.get(m.name, "") for m in models}, 6)


def _stems(model: Model) -> str:
    first, *others = model.stems
    if len(others) == 1 and others[0] in REST:
        return f"{first}+rest"
    names = "+".join(model.stems)
    return names if len(names) <= STEMS_WIDTH else f"{len(model.stems)} stems"


def _work(model: Model) -> str:
    """Return the operations per second of audio of ``model``, relative to the default model."""
    from stemsplit.checkpoints.costs import cost_of
    from stemsplit.checkpoints.registry import resolve

    cost, one = cost_of(model), cost_of(resolve(DEFAULT_MODEL))
    if cost is None or one is None or not cost.operations or not one.operations:
        return ""
    share = cost.operations / one.operations
    if share < 0.01:
        return "<0.01"
    return f"{share:.0f}" if share >= 10 else f"{share:.2g}"


def _is_here(model: Model) -> bool:
    from stemsplit.checkpoints import cache

    return not cache.missing(model)


def _legend(columns: Sequence[Column], wish: Wish) -> Iterator[str]:
    """Yield the legend of the columns that are shown."""
    titles = {column.title.strip() for column in columns}
    what = f"of {' and '.join(wish.stems)}" if wish.stems else "the mean over the stems of a model"
    known = {
        "uSDR": "uSDR: on MVSep Multisong",
        "cSDR": "cSDR: on MUSDB18",
        "SDR": "SDR: each on different songs",
    }
    measured = [text for metric, text in known.items() if metric in titles]
    yield ""
    if measured:
        yield f"Scores in dB, {what}; compare within a column only."
        yield f"{'; '.join(measured)}."
        if any("~" in cell for column in columns for cell in column.cells.values()):
            yield "~: without some of the stems, or on other songs; see `models show NAME`."
    yield f"WORK: operations per second of audio, {DEFAULT_MODEL} = 1. MB: size; *: downloaded."
    yield "SELL: whether the licence of the weights allows commercial use."
    if not wish.hidden:
        yield "--all also shows members of ensembles and models for testing (tiny.*)."
