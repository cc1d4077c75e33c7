"""``stemsplit evaluate``: score stems, or a model on a whole data set."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stemsplit.cli import options
from stemsplit.cli.console import Console
from stemsplit.cli.declared import with_groups
from stemsplit.errors import ExitCode, StemsplitError, UsageError
from stemsplit.options import EngineOptions, SplitOptions
from stemsplit.types import Event, Planned

if TYPE_CHECKING:
    from stemsplit.batch.results import Scored
    from stemsplit.cli.score_reports import Reports

app = options.new_app()

#: The default folder for results of `--dataset`.
RESULTS = Path("evaluation")


@app.command()
@with_groups
def evaluate(
    *,
    places: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="STEMS",
            help="The stems to score, then the true stems: folders, .stem.mp4 files, or folders of "
            "songs. Without true stems, stems are only measured.",
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(
            "--references",
            metavar="PATH",
            help="The true stems; all STEMS are then sets to score and compare.",
        ),
    ] = None,
    mixture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The song; by default, the one in the folder of the stems."
        ),
    ] = None,
    mapped: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="STEM=NAME",
            help="Use the file NAME, such as kick*.wav, as the reference for STEM. Repeatable.",
        ),
    ] = None,
    window: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="Length of a frame of BSS Eval, in seconds.")
    ] = 1.0,
    hop: Annotated[
        float,
        typer.Option(
            metavar="S", min=0.01, help="Distance from one frame to the next, in seconds."
        ),
    ] = 1.0,
    bss_eval: Annotated[
        Literal["own", "museval"],
        typer.Option(
            "--bss-eval", help="Compute SDR, ISR, SIR and SAR with our own code, or with museval."
        ),
    ] = "own",
    dataset: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Separate and score every song in this folder."),
    ] = None,
    choice: options.ModelChoice,
    ensemble: options.Ensemble = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="With --dataset: folder for the JSON files of the songs, by model.",
        ),
    ] = RESULTS,
    keep_stems: Annotated[
        bool, typer.Option("--keep-stems", help="With --dataset: also keep the stems there.")
    ] = False,
    engine: EngineOptions,
    fetching: options.FetchOptions,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Write a CSV line for each stem of each song."),
    ] = None,
    museval: Annotated[
        Path | None,
        typer.Option(
            "--museval",
            metavar="FOLDER",
            help="Write a JSON file in museval's format for each song.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write an HTML page with scores and players."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a row of a Markdown table instead of a table.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace existing reports.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = 0,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> int:
    """Score stems against the true ones, or measure them on their own.

    The table goes to stdout, progress and notes to stderr.
    """
    console = Console(sys.stdout, sys.stderr, quiet=quiet, verbose=verbose, json=json, debug=debug)
    mapping = parse_mapping(mapped or [])
    estimates, references = sort_out(places or [], references)
    if references in (places or [])[1:] and _is_separated(references):
        console.warn(
            f"{references} is taken as the true stems, but stemsplit made it; to compare two "
            "sets: stemsplit evaluate A B --references TRUE"
        )
    asked = {
        "--mixture": mixture is not None,
        "--map": bool(mapping),
        "--markdown": markdown,
        "--json": json,
    }
    _refuse_contradictions(estimates, references, dataset, asked)
    # Imported here: --help does not need numpy.
    from stemsplit.checkpoints import loading
    from stemsplit.cli.score_reports import SongReports
    from stemsplit.evaluation.bss_eval_options import BssEvalOptions

    shapes: dict[str, Any] = {
        "console": console,
        "csv": csv,
        "museval": museval,
        "html": html,
        "markdown": markdown,
        "force": force,
    }
    scoring = BssEvalOptions(window=window, hop=hop, implementation=bss_eval)
    if dataset is None:
        about: dict[str, Any] = {"mixture": mixture, "mapping": mapping, "bss_eval": scoring}
        return score_places(estimates, references, about, shapes)
    from stemsplit.batch.dataset import DataSet

    name = options.choose_model(choice.model, ensemble)
    data = DataSet(
        root=dataset,
        folder=out / loading.label(name),
        options=SplitOptions(
            model=name,
            engine=engine,
            offline=fetching.offline,
            allow_unverified=fetching.allow_unverified,
        ),
        mapping=mapping,
        bss_eval=scoring,
        keep_stems=keep_stems,
    )
    return show_scores(data.evaluate(), SongReports(**shapes), name)


def score_places(
    estimates: Sequence[Path],
    references: Path | None,
    about: Mapping[str, Any],
    shapes: Mapping[str, Any],
) -> ExitCode:
    """Score the stems at ``estimates``, or compare several sets; return the exit code.

    ``about`` are fields of ``StemFolders`` and ``StemSets``, ``shapes`` fields of their reports.
    """
    from stemsplit.separation.device import keep_freed_memory

    keep_freed_memory()
    if len(estimates) > 1:
        from stemsplit.batch.stem_sets import StemSets
        from stemsplit.cli.set_reports import SetReports

        assert references is not None
        sets = StemSets(places=estimates, references=references, **about)
        return show_scores(sets.evaluate(), SetReports(**shapes), "")
    from stemsplit.batch.stem_folders import StemFolders
    from stemsplit.cli.score_reports import SongReports
    from stemsplit.data.layouts import song_name

    (place,) = estimates
    folders = StemFolders(estimates=place, references=references, **about)
    return show_scores(folders.evaluate(), SongReports(**shapes), song_name(place))


def sort_out(places: Sequence[Path], references: Path | None) -> tuple[list[Path], Path | None]:
    """Return which of ``places`` contain stems to score, and which path contains the true stems.

    Without ``references``, it is the second of two places. Raises ``UsageError`` for more places.
    """
    if references is not None or len(places) < 2:
        return list(places), references
    if len(places) > 2:
        raise UsageError(
            f"cannot tell which of the {len(places)} paths contains the true stems",
            hint="specify it with --references PATH; the other paths are then compared",
        )
    return [places[0]], places[1]


def _is_separated(place: Path) -> bool:
    """Return whether the stems in or below ``place`` are those of a separation."""
    from stemsplit.outputs.manifest import NAME

    return any(next(place.glob(f"{depth}*{NAME}"), None) for depth in ("", "*/"))


def show_scores(events: Generator[Event | Scored], reports: Reports, label: str) -> ExitCode:
    """Show ``events`` and scores, write the ``reports``, and return the exit code."""
    from stemsplit.batch.results import Scored, exit_code
    from stemsplit.cli.render import Renderer

    errors: list[StemsplitError | None] = []
    with Renderer(reports.console) as renderer, closing(events):
        for event in events:
            if isinstance(event, Scored):
                errors.append(event.error)
                reports.show(event)
                continue
            if isinstance(event, Planned):
                reports.refuse_existing(list(event.songs.values()))
            renderer.show(event)
    reports.finish(label)
    return exit_code(errors)


def _refuse_contradictions(
    estimates: Sequence[Path],
    references: Path | None,
    dataset: Path | None,
    asked: Mapping[str, bool],
) -> None:
    """Raise ``UsageError`` for conflicting arguments; ``asked`` says which options are given."""
    if bool(estimates) == (dataset is not None):
        raise UsageError(
            "STEMS and --dataset are mutually exclusive" if dataset else "nothing to evaluate",
            hint="give a folder of stems, or a data set with --dataset FOLDER",
        )
    if dataset is not None and references is not None:
        raise UsageError("--dataset contains the true stems of its songs: omit --references")
    if dataset is not None and asked["--mixture"]:
        raise UsageError("--mixture is for a single song, not for a --dataset")
    if dataset is None and references is None and asked["--map"]:
        raise UsageError("--map needs references, and none are given")
    if asked["--markdown"] and asked["--json"]:
        raise UsageError("--markdown and --json are mutually exclusive")


def parse_mapping(texts: Iterable[str]) -> dict[str, str]:
    """Return the names of files by stem, from ``texts`` of the form ``STEM=NAME``."""
    mapping: dict[str, str] = {}
    for text in texts:
        stem, sign, name = text.partition("=")
        if not (stem and sign and name):
            raise UsageError(
                f"--map takes STEM=NAME, not {text!r}", hint="such as --map bass=bassline.wav"
            )
        if mapping.setdefault(stem, name) != name:
            raise UsageError(f"--map gives two files for {stem}")
    return mapping
