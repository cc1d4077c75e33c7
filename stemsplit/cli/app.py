"""The entry point: choose the command, and turn errors into exit codes, here only."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from io import TextIOWrapper
from itertools import pairwise
from typing import Any, NoReturn, TextIO

from stemsplit.cli.commands import COMMANDS, DEFAULT_COMMAND, load_command
from stemsplit.cli.console import ESCAPED, Console
from stemsplit.cli.usage import naming_path, program_of, usage_error
from stemsplit.errors import ExitCode, StemsplitError, UsageError, describe
from stemsplit.signals import end_by_exception
from stemsplit.types import ProgressStyle


def choose_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command that ``arguments`` select, and the remaining arguments.

    ``stemsplit song.mp3`` is ``stemsplit split song.mp3``; a file with the name of a command is
    given as ``./models``.
    """
    if arguments and arguments[0] in COMMANDS:
        return arguments[0], list(arguments[1:])
    return DEFAULT_COMMAND, list(arguments)


def run_process() -> NoReturn:
    """Run the program on the arguments of this process, and end it.

    Its modules and objects are left to the kernel: Python would take them down one by one, which
    costs 0.1 s of CPU time with torch.
    """
    status: list[int] = []  # empty if an exception has ended the program

    def end() -> None:
        if status:
            _flush(sys.stdout, sys.stderr)
            os._exit(status[0])

    if not atexit._ncallbacks():  # what a profiler registered earlier would come after it
        atexit.register(end)
    status.append(main())
    sys.exit(status[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program on ``arguments`` (those of the process if None) and return its exit code."""
    _open_missing_streams()
    if isinstance(sys.stdout, TextIOWrapper):  # for the output of Typer; `Console.data` does it too
        sys.stdout.reconfigure(errors=ESCAPED)
    if arguments is None:
        arguments = sys.argv[1:]
        if "--debug" not in arguments:
            _silence_libraries()
    name, rest = choose_command(arguments)
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        # Signals that nohup or a parent process ignores stay ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_by_exception)
    console = Console(sys.stdout, sys.stderr, style=_style(rest))
    try:
        status = _command(name, rest)()
        if status == ExitCode.INTERRUPTED:  # how Typer reports Ctrl-C
            raise KeyboardInterrupt
        return status or ExitCode.DONE
    except KeyboardInterrupt:
        console.error(StemsplitError("interrupted"))
        return ExitCode.INTERRUPTED
    except SystemExit as stop:
        if stop.code == ExitCode.TERMINATED:
            console.error(StemsplitError("terminated"))
            return ExitCode.TERMINATED
        return ExitCode.DONE  # Typer exits if the reader of the help has closed the pipe
    except Exception as exc:
        error = usage_error(exc, program_of(name)) or describe(exc)
        if name in arguments[:1]:
            error = naming_path(error, name)
        if "--debug" in rest:
            sys.stderr.write(error.trace or "".join(traceback.format_exception(exc)))
        console.error(error)
        return error.exit_code
    finally:
        _flush(sys.stdout, sys.stderr)


def _command(name: str, arguments: list[str]) -> Callable[[], int]:
    """Return a function that runs the command ``name`` on ``arguments``."""
    import typer

    app, program = load_command(name), program_of(name)
    if not arguments and COMMANDS[name].needs_arguments:
        if name != DEFAULT_COMMAND and os.path.lexists(name):
            raise UsageError(f"the command {name!r} needs arguments", hint=f"see {program} --help")
        return partial(_show_help, app, program)
    command: Callable[..., int] = typer.main.get_command(app)
    defaults = _defaults(name, command, arguments)
    return partial(
        command, arguments, prog_name=program, standalone_mode=False, default_map=defaults
    )


def _show_help(app: Any, program: str) -> int:
    with contextlib.redirect_stdout(sys.stderr):
        app(["-h"], prog_name=program, standalone_mode=False)
    return ExitCode.USAGE


def _defaults(name: str, command: Any, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the defaults of ``command``, called ``name``, from the configuration file."""
    # Commands that help to repair the file must work without it.
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


def _style(arguments: Sequence[str]) -> ProgressStyle:
    """Return the style of errors: objects if ``arguments`` request them, even if invalid."""
    asked = ("--progress", "ndjson") in pairwise(arguments) or "--progress=ndjson" in arguments
    if asked or os.environ.get("STEMSPLIT_PROGRESS") == "ndjson":
        return "ndjson"
    return "auto"


def _silence_libraries() -> None:
    """Hide warnings and logs of libraries, which are meant for programmers.

    PYTHONWARNINGS and TORCH_CPP_LOG_LEVEL turn them on.
    """
    import logging
    import warnings

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _open_missing_streams() -> None:
    """Open the null device for standard streams that the caller closed (``>&-``)."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _flush(stdout: TextIO, stderr: TextIO) -> None:
    """Flush both streams; discard what cannot be written, so that Python exits cleanly."""
    for stream in (stdout, stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
