"""What Git LFS leaves in the place of a file is called that, wherever it is met."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from command import TINY, run
from fetching import BODY, failure, left_in
from loopback import Loopback

from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.entries import RemoteFile, Source
from stemsplit.errors import CheckpointError

POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4
size 84141911
"""
REASON = "a Git LFS pointer: the actual file (84.1 MB) was not fetched"


@pytest.mark.parametrize("name", ["955717e8.th", "x.safetensors", "net.ckpt", "net.onnx", "plain"])
def test_a_file_that_is_given(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(POINTER)
    result = run("-n", f"./{name}", "song.wav", cwd=tmp_path)
    assert result.code == 4
    assert f"{name}: {REASON}" in result.stderr
    assert "git lfs pull" in result.stderr
    result = run("models", "convert", name, "-o", "out.safetensors", cwd=tmp_path)
    assert (result.code, REASON in result.stderr) == (4, True)


def test_a_file_whose_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.ckpt").write_bytes(POINTER)
    with pytest.raises(CheckpointError, match=re.escape(REASON)):
        convert("msst", [tmp_path / "net.ckpt"], architecture="scnet:SCNet")


@pytest.mark.parametrize(
    ("size", "words"), [(84141911, "84.1 MB"), (35400, "35.4 kB"), (7, "7 bytes")]
)
def test_a_song(tmp_path: Path, size: int, words: str) -> None:
    (tmp_path / "song.flac").write_bytes(POINTER.replace(b"84141911", b"%d" % size))
    result = run("song.flac", "-n", TINY, cwd=tmp_path)
    reason = f"song.flac: a Git LFS pointer: the actual file ({words}) was not fetched"
    assert (result.code, result.stderr.splitlines()[0]) == (3, f"stemsplit: error: {reason}")


@pytest.mark.parametrize(
    "content", [b"version 1\n", POINTER[:60], POINTER.replace(b"size", b"length"), b""]
)
def test_other_text_is_not_a_pointer(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.th").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint in a known format"):
        sniff(tmp_path / "x.th")


@pytest.mark.parametrize(
    "facts",
    [
        {"sha256": hashlib.sha256(BODY).hexdigest(), "size": len(BODY)},
        {"sha256": hashlib.sha256(BODY).hexdigest()},
        {"sha256_prefix": "8726e21a"},
        {},
    ],
    ids=["size known", "digest known", "digits known", "nothing known"],
)
def test_a_file_that_is_fetched(server: Loopback, tmp_path: Path, facts: dict[str, Any]) -> None:
    address = server.serve("/a.th", POINTER)
    source = Source(format="safetensors", files=(RemoteFile(address=address, **facts),))
    assert failure(source, tmp_path) == "a.th is a Git LFS pointer, not the actual file"
    assert left_in(tmp_path) == []
