"""Fetching: what servers do wrong, and what is left of it on the disk."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fetching import BODY, failure, left_in, run, source
from full_disk import limited_files
from loopback import Loopback

from stemsplit.checkpoints import sources, transfer_limits
from stemsplit.checkpoints.entries import Source
from stemsplit.checkpoints.sources import fetch, label_of
from stemsplit.errors import ResourceError
from stemsplit.types import Fetching


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        yield server


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


def test_the_progress_is_that_of_all_files(server: Loopback, tmp_path: Path) -> None:
    bodies = [BODY, BODY[:1000], BODY[:200_000]]
    files = [
        source(server.serve(f"/{number}.th", body), body, len(body)).files[0]
        for number, body in enumerate(bodies)
    ]
    total = sum(map(len, bodies))
    _, events = run(Source(format="safetensors", files=tuple(files)), tmp_path)
    assert {event.total for event in events} == {total}
    done = [event.done or 0 for event in events]
    assert done == sorted(done) and done[-1] == total
    unknown = replace(files[2], size=None)
    (other := tmp_path / "other").mkdir()
    _, events = run(Source(format="safetensors", files=(files[0], unknown)), other)
    assert events[0].total is None
    assert events[-1].done == events[-1].total == len(BODY) + 200_000


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


def test_a_broken_connection_is_resumed(server: Loopback, tmp_path: Path) -> None:
    address = server.serve("/w.th", BODY, break_after=100_000, breaks=2)
    paths, _ = run(source(address), tmp_path)
    assert paths[0].read_bytes() == BODY
    assert server.requests == [
        ("/w.th", None),
        ("/w.th", "bytes=100000-"),
        ("/w.th", "bytes=200000-"),
    ]


def test_a_server_that_always_breaks_the_connection_is_abandoned(
    server: Loopback, tmp_path: Path
) -> None:
    wanted = source(server.serve("/w.th", BODY, break_after=10_000, breaks=99))
    assert failure(wanted, tmp_path) == "the connection ended after 50000 of 300000 bytes"
    assert len(server.requests) == 5
    [part] = tmp_path.iterdir()
    assert part.suffix == ".part"
    assert part.read_bytes() == BODY[:50_000]


def test_a_later_run_resumes(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, stall_after=120_000))
    assert failure(wanted, tmp_path) == "stalled: no data for 0.8 s"
    server.serve("/w.th", BODY)
    server.requests.clear()
    paths, events = run(wanted, tmp_path)
    assert paths[0].read_bytes() == BODY
    assert server.requests == [("/w.th", "bytes=120000-")]
    assert events[0].done == 120_000
    assert events[0].total == len(BODY)


@pytest.mark.parametrize("how", [{"ranges": False}, {"whole_as_range": True}])
def test_a_server_that_cannot_resume_starts_over(
    server: Loopback, tmp_path: Path, how: dict[str, bool]
) -> None:
    wanted = source(server.serve("/w.th", BODY, stall_after=120_000))
    failure(wanted, tmp_path)
    server.serve("/w.th", BODY, **how)
    paths, _ = run(wanted, tmp_path)
    assert paths[0].read_bytes() == BODY


@pytest.mark.parametrize("left", [BODY, BODY + b"?", b"?" * len(BODY)])
def test_leftovers_of_an_earlier_run_are_not_trusted(
    server: Loopback, tmp_path: Path, left: bytes
) -> None:
    wanted = source(server.serve("/w.th", BODY))
    [path], _ = run(wanted, tmp_path)
    path.rename(f"{path}.part").write_bytes(left)
    [path], _ = run(wanted, tmp_path)
    assert path.read_bytes() == BODY
    assert left_in(tmp_path) == [path.name]


def test_a_silent_server_costs_the_time_out_and_no_more(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY, stall_after=0))
    start = time.monotonic()
    assert failure(wanted, tmp_path) == "no answer in 0.5 s"
    assert time.monotonic() - start < 2
    assert left_in(tmp_path) == []


def test_a_file_that_is_missing_on_the_server(server: Loopback, tmp_path: Path) -> None:
    assert failure(source(f"{server.root}/none.th"), tmp_path) == "HTTP 404 Not Found"


def test_an_unreachable_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections get no answer
        port = unused.getsockname()[1]
        told = failure(source(f"http://127.0.0.1:{port}/w.th"), tmp_path)
    assert told == "Connection refused"


def test_closing_keeps_the_partial_file(server: Loopback, tmp_path: Path) -> None:
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
    assert label_of(wanted) == "a local file"


def test_a_full_disk_is_reported(server: Loopback, tmp_path: Path) -> None:
    wanted = source(server.serve("/w.th", BODY))
    message = r"the disk is full \(File too large\)"
    with limited_files(100_000), pytest.raises(ResourceError, match=message) as caught:
        run(wanted, tmp_path)
    assert caught.value.exit_code == 5
    assert "STEMSPLIT_CACHE_DIR" in str(caught.value.hint)
    paths, _ = run(wanted, tmp_path)  # with space again, it resumes
    assert paths[0].read_bytes() == BODY


def test_a_server_that_drips_is_abandoned(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte always comes before the time for one is over; in all it would take hours."""
    monkeypatch.setattr(transfer_limits, "WINDOW_SECONDS", 1.0)
    monkeypatch.setattr(transfer_limits, "LEAST_BYTES", 1000)
    start = time.monotonic()
    reason = failure(source(server.serve("/w.th", BODY, drip=0.05)), tmp_path)
    assert re.fullmatch(r"too slow: \d+ bytes in 1 s", reason)
    assert 1 <= time.monotonic() - start < 10
    server.serve("/w.th", BODY)
    paths, events = run(source(f"{server.root}/w.th"), tmp_path)  # what came is gone on with
    assert paths[0].read_bytes() == BODY
    assert (events[0].done or 0) > 0


def test_a_server_that_is_slow_and_steady_is_not(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_limits, "WINDOW_SECONDS", 0.3)
    monkeypatch.setattr(transfer_limits, "LEAST_BYTES", 10)
    body = BODY[:100]
    paths, _ = run(source(server.serve("/w.th", body, drip=0.01), body), tmp_path)
    assert paths[0].read_bytes() == body


def test_the_length_of_a_piece_that_drips_is_not_waited_for(
    server: Loopback, tmp_path: Path
) -> None:
    """One read of the body then is many of the connection, each within its time."""
    start = time.monotonic()
    reason = failure(source(server.serve("/w.th", BODY, chunked=True, drip=0.1)), tmp_path)
    assert reason == "stalled: no data for 1.6 s"
    assert time.monotonic() - start < 10


def test_a_body_without_an_end_is_cut_where_no_size_is_known(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_limits, "LARGEST_FILE", 100_000)
    wanted = source(server.serve("/w.th", BODY, declared=False))
    assert re.fullmatch(r"too large: \d+ bytes .+", failure(wanted, tmp_path))
    monkeypatch.setattr(sources, "LARGEST_FILE", 100_000)
    wanted = source(server.serve("/w.th", BODY))
    assert failure(wanted, tmp_path) == "w.th has 300000 bytes, more than any checkpoint"


@pytest.mark.parametrize("name", ["/dev/zero", "pipe"])
def test_a_local_source_is_a_regular_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    wanted = source((tmp_path / name).as_uri())
    assert failure(wanted, tmp_path).endswith(f"{name}: is not a regular file")
