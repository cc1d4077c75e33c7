"""The entry point: which command is meant, and the one place that turns errors into exit codes."""

from __future__ import annotations

import contextlib
import copy
import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from stemsplit.cli.console import Console
from stemsplit.errors import (
    ExitCode,
    MemoryShortage,
    ResourceError,
    StemsplitError,
    UsageError,
)
from stemsplit.types import ProgressStyle

if TYPE_CHECKING:
    import typer

#: Each command and the module whose ``app`` it is. A first word that is no command is a file.
COMMANDS = {
    "split": "stemsplit.cli.split",
    "watch": "stemsplit.cli.watch",
    "models": "stemsplit.cli.models",
    "demo": "stemsplit.cli.demo",
    "evaluate": "stemsplit.cli.evaluate",
    "config": "stemsplit.cli.config",
    "doctor": "stemsplit.cli.doctor",
}
DEFAULT_COMMAND = "split"
#: Without a word more, these show their help.
NEED_ARGUMENTS = ("split", "watch", "models", "evaluate", "config")


def load_command(name: str) -> typer.Typer:
    """Return the Typer app of the command ``name``."""
    app: typer.Typer = importlib.import_module(COMMANDS[name]).app
    return app


def choose_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command that ``arguments`` mean, and what is left for it.

    ``stemsplit song.mp3`` is ``stemsplit split song.mp3``; a file with the name of a command is
    written ``./models``.
    """
    if arguments and arguments[0] in COMMANDS:
        return arguments[0], list(arguments[1:])
    return DEFAULT_COMMAND, list(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program on ``arguments`` (those of the process if None) and return its exit code."""
    _open_missing_streams()
    if arguments is None:
        arguments = sys.argv[1:]
        if "--debug" not in arguments:
            _hush_libraries()
    name, rest = choose_command(arguments)
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # What nohup or a parent chose to ignore stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_by_exception)
    console = Console(sys.stdout, sys.stderr, style=_style(rest))
    try:
        return _run(name, rest, console)
    except KeyboardInterrupt:
        console.error(StemsplitError("interrupted"))
        return ExitCode.INTERRUPTED
    except SystemExit as stop:
        if stop.code == ExitCode.TERMINATED:
            console.error(StemsplitError("terminated"))
            return ExitCode.TERMINATED
        return ExitCode.DONE  # Typer's way out when nobody reads the help to its end
    except Exception as exc:
        error = told(exc)
        if "--debug" in rest:
            sys.stderr.write(error.trace or "".join(traceback.format_exception(exc)))
        console.error(error)
        return error.exit_code
    finally:
        _flush(sys.stdout, sys.stderr)


def told(exc: Exception, song: os.PathLike[str] | None = None) -> StemsplitError:
    """Return what a person is told of ``exc``, and of the ``song`` that it came of."""
    if not isinstance(exc, StemsplitError):
        return defect(exc, song)
    if exc.exit_code == ExitCode.DEFECT and exc.trace is None:
        exc.trace = "".join(traceback.format_exception(exc))
    if song is None or exc.path is not None:
        return exc
    error = copy.copy(exc)  # other songs may have come to the same one
    error.path = os.fspath(song)
    return error


def defect(exc: Exception, song: os.PathLike[str] | None = None) -> StemsplitError:
    """Return what a person is told of ``exc``, which nobody has foreseen.

    Too little memory or room, or a library that cannot be loaded, is a lack of the machine, not a
    defect.
    """
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:  # as under `--help >/dev/full`
        return ResourceError(exc.strerror or "no space left", path=exc.filename or song)
    if isinstance(exc, MemoryError):
        return MemoryShortage("out of memory", path=song, hint="close other programs")
    if isinstance(exc, ImportError) and not (exc.name or "").startswith("stemsplit"):
        reason = str(exc).partition("\n")[0]
        hint = "install stemsplit anew; stemsplit doctor shows what else is missing"
        return ResourceError(f"a library cannot be loaded: {reason}", hint=hint)
    last = traceback.extract_tb(exc.__traceback__)[-1]
    place = f"{os.path.basename(last.filename)}:{last.lineno}"
    error = StemsplitError(
        f"{type(exc).__name__}: {exc} ({place})",
        path=song,
        hint="this is a defect of stemsplit; please report it with the output of --debug",
    )
    error.trace = "".join(traceback.format_exception(exc))
    return error


def _style(arguments: Sequence[str]) -> ProgressStyle:
    """Return how errors are told: as objects to a program that asks for those, even wrongly."""
    asked = ("--progress", "ndjson") in pairwise(arguments) or "--progress=ndjson" in arguments
    if asked or os.environ.get("STEMSPLIT_PROGRESS") == "ndjson":
        return "ndjson"
    return "auto"


def _run(name: str, arguments: list[str], console: Console) -> int:
    import typer

    program = "stemsplit" if name == DEFAULT_COMMAND else f"stemsplit {name}"
    app = load_command(name)
    if not arguments and name in NEED_ARGUMENTS:
        with contextlib.redirect_stdout(sys.stderr):
            app(["--help"], prog_name=program, standalone_mode=False)
        return ExitCode.USAGE
    command = typer.main.get_command(app)
    try:
        defaults = _defaults(name, command, arguments)
        status = command(arguments, prog_name=program, standalone_mode=False, default_map=defaults)
    except typer.TyperException as error:
        raise usage_error(error, program) from error
    if status == ExitCode.INTERRUPTED:  # Typer turns Ctrl-C into this
        raise KeyboardInterrupt
    return status or ExitCode.DONE


def _defaults(name: str, command: Any, arguments: Sequence[str]) -> dict[str, Any]:
    """Return what the configuration file settles for ``command``, called ``name``."""
    # What helps to mend the file must not need it.
    if name in ("config", "doctor") or {"--help", "-h", "--version"} & set(arguments):
        return {}
    from stemsplit.cli.settings import defaults_for, read_settings, without_outranked

    if not (settings := read_settings()):
        return {}
    import typer

    default = name == DEFAULT_COMMAND
    main_command = command if default else typer.main.get_command(load_command(DEFAULT_COMMAND))
    return without_outranked(
        defaults_for(settings, name, command, main_command), command, arguments
    )


def usage_error(error: Any, program: str) -> UsageError:
    """Return Typer's ``error`` as ours; what the configuration file says is told as such."""
    # The words "Value error" are those of the library that checks choices.
    reason = error.format_message().replace("Value error, ", "")
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    source = context and parameter and context.get_parameter_source(parameter.name)
    if source and source.name == "DEFAULT_MAP":
        from stemsplit.cli.settings import config_path

        return UsageError(reason, path=config_path())
    return UsageError(reason, hint=f"see {program} --help")


def end_by_exception(number: int, frame: FrameType | None) -> None:
    """End by an exception, so that children and temporary files are cleaned up on the way."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(ExitCode.TERMINATED)


def _hush_libraries() -> None:
    """Keep what libraries remark to their users, who are programmers, from the person's screen.

    Whoever sets PYTHONWARNINGS or TORCH_CPP_LOG_LEVEL wants to see it.
    """
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _open_missing_streams() -> None:
    """Give the process streams to write to where the caller closed them (``>&-``)."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _flush(stdout: TextIO, stderr: TextIO) -> None:
    """Flush; what cannot be written any more must not make the interpreter complain at its end."""
    for stream in (stdout, stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
