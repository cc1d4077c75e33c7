"""Weights without a published SHA-256: fetched only with permission, then kept as found."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import TINY, run
from loopback import Loopback
from registered import OwnRegistry, pull, table

from stemsplit.checkpoints import cache, loading, registry, weights
from stemsplit.checkpoints.entries import Model
from stemsplit.errors import CheckpointError
from stemsplit.types import Fetching, Noted, Warned

Register = Callable[..., Model]


@pytest.fixture
def register(own_registry: OwnRegistry) -> Register:
    """Return a function that enters a model ``mine``: a source for each line of facts of a file."""

    def enter(*sources: str) -> Model:
        own_registry.write(table("mine", sources))
        return registry.resolve("mine")

    return enter


def warnings(events: list[Fetching | Noted | Warned]) -> list[str]:
    """Return the warnings, but for the licence, which is shown before every fetch."""
    messages = [event.message for event in events if isinstance(event, Warned)]
    return [message for message in messages if "licence of the weights" not in message]


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_it_takes_the_permission(register: Register, server: Loopback, checkpoint: bytes) -> None:
    model = register(f'address = "{server.serve("/w", checkpoint)}"')
    assert not cache.is_verifiable(model)
    with pytest.raises(CheckpointError, match="mine cannot be verified") as caught:
        pull(model)
    assert caught.value.exit_code == 4
    assert "stemsplit models pull mine --allow-unverified" in str(caught.value.hint)
    assert server.requests == []
    host = server.root.removeprefix("http://")
    assert warnings(pull(model, unverified=True)) == [f"mine is unverified: {host} was trusted"]
    origin = json.loads((cache.folder_of(model) / "origin.json").read_text())
    assert origin["files"][0]["sha256"] == digest_of(checkpoint)
    # Once here, it is used like any other, and compared with what was fetched.
    assert pull(model) == pull(model, offline=True) == []
    assert len(server.requests) == 1
    assert not cache.is_verifiable(model)
    cache.verify(model)
    path = cache.find(model)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match="damaged") as caught:
        cache.verify(model)
    assert "models pull mine --allow-unverified" in str(caught.value.hint)


def test_known_digits_are_checked_but_do_not_replace_permission(
    register: Register, server: Loopback, checkpoint: bytes
) -> None:
    address = server.serve("/w", checkpoint)
    right = digest_of(checkpoint)[:8]
    wrong = f"{int(right, 16) ^ 1:08x}"
    model = register(f'address = "{address}", sha256_prefix = "{wrong}"')
    with pytest.raises(CheckpointError, match="cannot be verified"):
        pull(model)
    with pytest.raises(CheckpointError) as caught:
        pull(model, unverified=True)
    assert f"w has SHA-256 {digest_of(checkpoint)[:12]}…, not {wrong}…" in str(caught.value)
    model = register(f'address = "{address}", sha256_prefix = "{right}"')
    pull(model, unverified=True)
    assert cache.find(model) is not None
    assert cache.find(register(f'address = "{address}", sha256_prefix = "{wrong}"')) is None


def test_what_was_fetched_counts_once_its_digest_is_known(
    register: Register, server: Loopback, checkpoint: bytes
) -> None:
    address = server.serve("/w", checkpoint)
    pull(register(f'address = "{address}"'), unverified=True)
    known = register(f'address = "{address}", sha256 = "{digest_of(checkpoint)}"')
    assert cache.find(known) is not None
    assert cache.is_verifiable(known)
    assert cache.find(register(f'address = "{address}", sha256 = "{"0" * 64}"')) is None
    assert cache.find(register(f'address = "{address}2"')) is None


def test_a_mirror_that_can_be_verified_needs_no_permission(
    register: Register, server: Loopback, checkpoint: bytes, tmp_path: Path
) -> None:
    official = f'address = "{server.serve("/official", checkpoint)}"'
    address = server.serve("/mirror", checkpoint)
    model = register(official, f'address = "{address}", sha256 = "{digest_of(checkpoint)}"')
    assert cache.is_verifiable(model)
    [told] = warnings(pull(model))
    assert told.startswith("mine came from a mirror (")
    assert told.endswith(": cannot be verified)")
    assert [path for path, _ in server.requests] == ["/mirror"]
    assert cache.is_verifiable(model)
    cache.remove(model)
    # With the permission the official address comes first, and gives what the mirror would have.
    assert warnings(pull(model, unverified=True)) == []
    assert [path for path, _ in server.requests] == ["/mirror", "/official"]
    cache.remove(model)
    network = loading.load(TINY).requires_grad_(False)
    next(network.parameters()).fill_(1.0)
    state = dict(network.state_dict())
    path = tmp_path / "other.safetensors"
    weights.save(weights.Weights("htdemucs:HTDemucs", network.config, state, "test"), path)
    server.serve("/official", path.read_bytes())
    [told] = warnings(pull(model, unverified=True))
    assert told.startswith("mine is unverified")
    assert not cache.is_verifiable(model)


def test_a_mirror_that_takes_permission_is_pointed_to(
    register: Register, server: Loopback, checkpoint: bytes
) -> None:
    absent = f'address = "{server.root}/official", sha256 = "{digest_of(checkpoint)}"'
    model = register(absent, f'address = "{server.serve("/mirror", checkpoint)}"')
    assert cache.is_verifiable(model)
    with pytest.raises(CheckpointError, match=r"404 Not Found; .*: cannot be verified\)") as caught:
        pull(model)
    assert "--allow-unverified also uses the address" in str(caught.value.hint)
    assert [path for path, _ in server.requests] == ["/official"]
    [told] = warnings(pull(model, unverified=True))
    assert told.startswith("mine came from a mirror")
    assert [path for path, _ in server.requests][-1] == "/mirror"


def test_an_unverifiable_partial_file_is_not_resumed(
    register: Register, server: Loopback, checkpoint: bytes
) -> None:
    """Nothing would show that the two halves belong to different files."""
    server.serve("/w", bytes(len(checkpoint)), stall_after=len(checkpoint) // 2)
    model = register(f'address = "{server.root}/w"')
    with pytest.raises(CheckpointError, match="stalled"):
        pull(model, unverified=True)
    server.serve("/w", checkpoint)
    server.requests.clear()
    pull(model, unverified=True)
    assert server.requests == [("/w", None)]
    cache.verify(model)


def test_the_commands(
    register: Register, server: Loopback, checkpoint: bytes, song: Path, tmp_path: Path
) -> None:
    register(f'address = "{server.serve("/w", checkpoint)}"')
    for arguments in (["models", "pull", "mine"], ["-n", "mine", song]):
        refused = run(*arguments, cwd=tmp_path)
        assert refused.code == 4
        assert "mine cannot be verified" in refused.stderr
        assert "stemsplit models pull mine --allow-unverified" in refused.stderr
    listed = run("models", "list", cwd=tmp_path).stdout
    assert "  mine " in listed
    shown = run("models", "show", "mine", cwd=tmp_path).stdout
    assert "no, unverified" in shown
    assert f"{server.root}/w (unverified)" in shown
    assert server.requests == []
    split = run("-n", "mine", song, "--allow-unverified", "--stems", "bass", cwd=tmp_path)
    assert split.code == 0, split.stderr
    assert "mine is unverified" in split.stderr
    assert "yes, unverified" in run("models", "show", "mine", cwd=tmp_path).stdout
    [record] = run("models", "show", "mine", "--json", cwd=tmp_path).records
    assert (record["here"], record["verifiable"]) == (True, False)
    verified = run("models", "verify", "mine", cwd=tmp_path)
    assert verified.lines == ["mine: ok, same as downloaded, but unverified"]
    run("models", "rm", "mine", cwd=tmp_path)
    assert run("models", "pull", "mine", "--allow-unverified", cwd=tmp_path).code == 0


def test_an_address_that_does_not_answer(
    register: Register, tmp_path: Path, song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: connections get no answer
        register(f'address = "http://127.0.0.1:{unused.getsockname()[1]}/w"')
        start = time.monotonic()
        result = run("-n", "mine", song, "--allow-unverified", cwd=tmp_path)
    assert time.monotonic() - start < 5
    assert result.code == 4
    assert "Connection refused" in result.stderr
    assert "run: stemsplit models pull mine --allow-unverified; then copy" in result.stderr
