"""Running the command in this process, with its own streams and folder."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.cli import main
from stemsplit.outputs import manifest

TINY = "tiny.htdemucs"  # seeded weights: every command works without a network


@dataclass(frozen=True)
class Result:
    """How a run ended, and what it wrote."""

    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> bytes:
        """What went to stdout, as bytes."""
        return self.stdout.encode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def run(*arguments: object, cwd: Path, stdin: bytes = b"") -> Result:
    """Run ``stemsplit arguments`` in the folder ``cwd``, with ``stdin`` to read."""
    streams = sys.stdin, sys.stdout, sys.stderr
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = Path.cwd()
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    os.chdir(cwd)
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(stdin), "utf-8"), out, err
    try:
        code = main([os.fspath(a) if isinstance(a, Path) else str(a) for a in arguments])
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        os.chdir(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    written = [stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err)]  # type: ignore[attr-defined]
    return Result(int(code), *written)


def files_below(folder: Path) -> list[str]:
    """Return the names of all files below ``folder``, hidden ones too, but manifests."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() and not path.name.endswith(manifest.NAME)
    )
