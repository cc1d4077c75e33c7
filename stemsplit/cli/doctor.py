"""``stemsplit doctor``: check this machine, as a report for bug reports."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import typer

from stemsplit.audio.format_table import FORMATS
from stemsplit.cli import options
from stemsplit.cli.commands import COMMANDS, DEFAULT_COMMAND, load_command
from stemsplit.cli.console import Console
from stemsplit.cli.environment import ENVIRONMENT
from stemsplit.cli.settings import config_path, defaults_for, read_settings
from stemsplit.cli.usage import usage_error
from stemsplit.errors import ExitCode, StemsplitError, printable
from stemsplit.version import __version__

app = options.new_app()

SCHEMA = 1  # of the record that --json writes
#: The ffmpeg encoders that formats need, each with the first such format.
ENCODERS: dict[str, str] = {}
for _name, _row in FORMATS.items():
    if _row.rules.ffmpeg_encoder:
        ENCODERS.setdefault(_row.rules.ffmpeg_encoder, _name)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
#: With less, the stems of a ten-minute song may not fit.
LITTLE_SPACE = 2e9  # bytes
LIBRARIES = ("numpy", "soundfile", "safetensors", "typer", "rich", "ffmpeg-python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a check: "missing" means an unmet requirement, "note" is worth knowing."""

    name: str
    status: Literal["ok", "note", "missing"] = "ok"
    detail: str
    hint: str | None = None


@app.command()
def doctor(
    json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Check everything that splitting needs, and print a report to paste into a bug report.

    Nothing is downloaded, and no file of yours is changed. The exit status is 5 if a requirement is
    not met.
    """
    console = Console(sys.stdout, sys.stderr, json=json)
    findings = []
    for check in CHECKS:
        for finding in _explained(check):
            findings.append(finding)
            if not json:
                _show(console, finding)
    if json:
        console.record({"schema": SCHEMA, "findings": [dataclasses.asdict(f) for f in findings]})
    missing = any(finding.status == "missing" for finding in findings)
    return ExitCode.ENVIRONMENT if missing else ExitCode.DONE


def _show(console: Console, finding: Finding) -> None:
    mark = {"ok": " ", "note": "-", "missing": "!"}[finding.status]
    console.data(f"{mark} {finding.name:<12} {finding.detail}")
    if finding.hint:
        console.data(f"  {'':<12} hint: {finding.hint}")


def _explained(check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield the findings of ``check``; if it fails, the error is a finding."""
    try:
        yield from check()
    except (StemsplitError, ImportError, OSError) as error:
        name = check.__name__.removeprefix("_check_")
        hint = error.hint if isinstance(error, StemsplitError) else None
        yield Finding(name=name, status="missing", detail=printable(error), hint=hint)


def _check_program() -> Iterator[Finding]:
    yield Finding(name="stemsplit", detail=f"{__version__}, {Path(__file__).parents[1]}")
    python = f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"
    yield Finding(name="python", detail=python)
    cores = os.cpu_count()
    yield Finding(
        name="system", detail=f"{platform.platform()}, {platform.machine()}, {cores} CPUs"
    )
    yield from _check_libraries()


def _check_libraries() -> Iterator[Finding]:
    found = {name: version for name in LIBRARIES if (version := _version(name))}
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    if missing := [name for name in LIBRARIES if name not in found]:
        detail = f"missing: {', '.join(missing)}"
        hint = "reinstall stemsplit: pip install --force-reinstall stemsplit"
        yield Finding(name="libraries", status="missing", detail=detail, hint=hint)
    else:
        yield Finding(name="libraries", detail=versions)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _check_torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as exc:
        yield Finding(name="torch", status="missing", detail=f"cannot be imported: {exc}")
        return
    yield Finding(name="torch", detail=torch.__version__)
    yield Finding(name="threads", detail=_threads(torch.get_num_threads()))
    yield from _check_cuda()
    if torch.backends.mps.is_available():
        yield Finding(name="mps", detail="usable")


def _threads(by_default: int) -> str:
    """Return how many CPU threads a split would use, and where the number comes from."""
    try:
        asked = _split_context()
    except StemsplitError:  # reported by _check_settings
        asked = None
    if asked is None or asked.params["threads"] is None:
        chosen = "OMP_NUM_THREADS" if os.environ.get("OMP_NUM_THREADS") else "torch's choice"
        return f"{by_default} ({chosen})"
    by_variable = asked.get_parameter_source("threads").name == "ENVIRONMENT"
    return f"{asked.params['threads']} ({'STEMSPLIT_THREADS' if by_variable else config_path()})"


def _check_cuda() -> Iterator[Finding]:
    import torch

    from stemsplit.separation.nvidia import unusable_card

    built_for = torch.version.cuda
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            name = torch.cuda.get_device_name(number)
            memory = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
            yield Finding(name=f"cuda:{number}", detail=f"{name}, {memory}, CUDA {built_for}")
    if (card := unusable_card()) is not None:
        yield Finding(name="cuda", status="note", detail=card.problem, hint=card.remedy)
    elif not torch.cuda.is_available():
        reason = "no GPU or no driver" if built_for else "torch was built without CUDA"
        yield Finding(name="cuda", status="note", detail=f"not usable: {reason}")


def _check_execution() -> Iterator[Finding]:
    try:
        from stemsplit.separation.execution import choose_execution
    except (ImportError, OSError):
        return  # torch does not work, which is a finding of its own

    yield Finding(name="networks run", detail=str(choose_execution("auto", "auto", None)))


def _check_torchaudio() -> Iterator[Finding]:
    try:
        # This also fails if torch does not work.
        from stemsplit.separation.tensor_resample import import_torchaudio

        import_torchaudio()
    except (ImportError, OSError) as exc:
        reason = str(exc).partition("\n")[0]
        detail = f"not usable, so ffmpeg resamples instead: {reason}"
        yield Finding(name="torchaudio", status="note", detail=detail)
    else:
        yield Finding(name="torchaudio", detail=importlib.metadata.version("torchaudio"))


def _check_ffmpeg() -> Iterator[Finding]:
    from stemsplit.audio.ffmpeg import NEWEST, OLDEST, find_ffmpeg
    from stemsplit.audio.ffmpeg_facts import encoders_of, major_version, version_of
    from stemsplit.audio.resample import has_soxr

    program = find_ffmpeg()
    said = version_of(program)
    # `find_ffmpeg` refuses versions before the oldest.
    known = (major_version(said) or NEWEST + 1) <= NEWEST
    yield Finding(
        name="ffmpeg",
        status="ok" if known else "note",
        detail=f"{said} ({OLDEST} to {NEWEST} work), {program}",
    )
    there = encoders_of(program)
    lacking = [f"{name} ({format})" for name, format in ENCODERS.items() if name not in there]
    if lacking:
        yield Finding(name="encoders", status="note", detail=f"missing: {', '.join(lacking)}")
    else:
        yield Finding(name="encoders", detail=", ".join(ENCODERS))
    if has_soxr():
        yield Finding(name="resampler", detail="soxr")
    else:
        yield Finding(
            name="resampler", status="note", detail="swr: this ffmpeg was built without soxr"
        )


def _check_soundfile() -> Iterator[Finding]:
    import soundfile

    yield Finding(name="libsndfile", detail=soundfile.__libsndfile_version__)


def _check_cache() -> Iterator[Finding]:
    from stemsplit.checkpoints.cache import find, folder_of, networks
    from stemsplit.checkpoints.folders import cache_dir
    from stemsplit.checkpoints.registry import list_models

    here = {
        network.name: folder_of(network)
        for model in list_models()
        for network in networks(model)
        if network.sources and find(network)
    }
    size = sum(file.stat().st_size for folder in here.values() for file in folder.iterdir())
    models = f": {', '.join(sorted(here))}" if here else ""
    detail = f"{cache_dir()}, {len(here)} models, {size / 1e6:.0f} MB{models}"
    yield Finding(name="cache", detail=detail)
    for finding in _space("cache disk", cache_dir()):
        # Weights that are already downloaded can be used even if there is no space for more.
        yield replace(finding, status="note") if here and finding.status != "ok" else finding


def _check_folders() -> Iterator[Finding]:
    for name, folder in (("this folder", os.getcwd), ("temporary", tempfile.gettempdir)):
        try:
            (finding,) = _space(name, Path(folder()))
        except OSError as exc:
            finding = Finding(name=name, status="missing", detail=printable(exc))
        # Stems can be written elsewhere.
        yield finding if finding.status == "ok" else replace(finding, status="note")


def _space(name: str, folder: Path) -> Iterator[Finding]:
    """Yield the free space where ``folder`` is or would be, and whether it is writable."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(there).free
    detail = f"{folder}, {free / 1e9:.1f} GB free"
    if not there.is_dir():
        detail = f"{folder}: cannot be created, {there} is not a folder"
        yield Finding(name=name, status="missing", detail=detail)
    elif not os.access(there, os.W_OK):
        yield Finding(name=name, status="missing", detail=f"{detail}, not writable")
    elif free < LITTLE_SPACE:
        yield Finding(name=name, status="note", detail=detail, hint="free some space")
    else:
        yield Finding(name=name, detail=detail)


def _check_settings() -> Iterator[Finding]:
    path, settings = config_path(), read_settings()
    asked = _split_context()
    options.choose_model(asked.params["model"], asked.params["ensemble"])
    names = ", ".join(settings) or ("empty" if path.exists() else "does not exist")
    yield Finding(name="settings", detail=f"{path}: {names}")


def _split_context() -> Any:
    """Return Click's context of a split without arguments: the settings of file and variables.

    Raises ``UsageError`` for settings that splitting, or another command, would refuse.
    """
    settings = read_settings()
    commands = {name: typer.main.get_command(load_command(name)) for name in COMMANDS}
    main = commands[DEFAULT_COMMAND]
    defaults = {
        name: defaults_for(settings, name, command, main) for name, command in commands.items()
    }
    try:
        return main.make_context(DEFAULT_COMMAND, [], default_map=defaults[DEFAULT_COMMAND])
    except typer.TyperException as error:
        raise usage_error(error, "stemsplit") or error from error


def _check_environment() -> Iterator[Finding]:
    set_here = [name for name in sorted(os.environ) if name.startswith("STEMSPLIT_")]
    known = _variables()
    values = ", ".join(f"{name}={os.environ[name]}" for name in set_here if name in known)
    yield Finding(name="environment", detail=values or "no STEMSPLIT_* variables")
    if unknown := [name for name in set_here if name not in known]:
        # Their values are not shown, as they may be secret.
        detail = f"unknown variables: {', '.join(unknown)}"
        yield Finding(name="environment", status="note", detail=detail)


def _variables() -> set[str]:
    """Return the environment variables that stemsplit reads."""
    found: set[str] = set(ENVIRONMENT)
    commands: list[Any] = [typer.main.get_command(load_command(n)) for n in COMMANDS]
    for command in commands:
        found |= {option.envvar for option in command.params if option.envvar}
        commands += getattr(command, "commands", {}).values()
    return found


def _check_proxy() -> Iterator[Finding]:
    found = [name for name in os.environ if name.lower() in PROXIES]
    detail = ", ".join(f"{name}={_without_password(os.environ[name])}" for name in sorted(found))
    yield Finding(name="proxy", detail=detail or "none")


def _without_password(address: str) -> str:
    """Return ``address``, which may be incomplete, without user, password and query."""
    match = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address)
    scheme = match[0] if match else ""
    _user, at, host = address.removeprefix(scheme).rpartition("@")
    return f"{scheme}{'…@' if at else ''}{host.partition('?')[0]}"


CHECKS = (
    _check_program,
    _check_torch,
    _check_execution,
    _check_torchaudio,
    _check_ffmpeg,
    _check_soundfile,
    _check_cache,
    _check_folders,
    _check_settings,
    _check_environment,
    _check_proxy,
)
