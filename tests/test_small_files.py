"""What the program reads back may have been replaced by anything: it costs one song at most."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command import TINY, run
from measured import measure

from stemsplit.batch.locks import SongLocks
from stemsplit.errors import ExitCode
from stemsplit.outputs import manifest
from stemsplit.small_files import (
    DEEPEST,
    LARGEST,
    UnsuitableFile,
    open_regular,
    parse_json,
    parse_toml,
    read_small,
)

SECONDS = 45
TOKEN = "0123456789abcdef"


def pipe(path: Path) -> None:
    os.mkfifo(path)


#: Ways to replace a small file.
REPLACED: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "folder": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "deep": lambda path: path.write_text("[" * 200_000) and None,
    "nested": lambda path: path.write_text("[" * 500 + "]" * 500) and None,
    "table": lambda path: path.write_text('{"a":' * 500 + "1" + "}" * 500) and None,
    "large": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40),
    "binary": lambda path: path.write_bytes(bytes(range(256))) and None,
    "number": lambda path: path.write_text("9" * 100_000) and None,
    "other": lambda path: path.write_text('{"schema": 1, "outputs": 5}') and None,
}


def run_replaced(kind: str, *words: object, cwd: Path) -> tuple[int, str]:
    """Return exit code and stderr of a run in a separate process, since it may hang."""
    if kind in ("pipe", "device", "terminal"):
        done = measure(*words, cwd=cwd, seconds=SECONDS)
        return done.code, done.stderr
    here = run(*words, cwd=cwd)
    return here.code, here.stderr


@pytest.mark.parametrize("kind", sorted(REPLACED))
def test_a_manifest_in_a_folder_of_songs(song, tmp_path, kind):
    REPLACED[kind](song.parent / f".x{manifest.NAME}")
    code, stderr = run_replaced(kind, song.parent, "-n", TINY, "--dry-run", cwd=tmp_path)
    assert code == ExitCode.DONE, stderr


@pytest.mark.parametrize("kind", sorted(set(REPLACED) - {"folder"}))
def test_the_manifest_of_a_song_costs_nothing_but_a_warning(song, tmp_path, kind):
    folder = tmp_path / "out" / "song"
    folder.mkdir(parents=True)
    REPLACED[kind](folder / manifest.NAME)
    done = run(song, "-n", TINY, "--stems", "vocals", "-o", "out", "--force", cwd=tmp_path)
    assert done.code == ExitCode.DONE, done.stderr
    assert manifest.read(folder / manifest.NAME).complete


@pytest.mark.parametrize("name", [f".stemsplit-{TOKEN}.lock", ".stemsplit-**.lock"])
@pytest.mark.parametrize("kind", sorted(REPLACED))
def test_the_lock_of_another_song(song, tmp_path, kind, name):
    (tmp_path / "out").mkdir()
    REPLACED[kind](tmp_path / "out" / name)
    done = run(song, "-n", TINY, "--stems", "vocals", "-o", "out", cwd=tmp_path)
    assert done.code == ExitCode.DONE, done.stderr


def test_a_lock_affects_nothing_outside_its_folder(tmp_path):
    """What is below the folder is removed; what is named by a path, or by a link, is not."""
    root, other = tmp_path / "out", tmp_path / "other"
    inside = root / "song"
    for folder in (inside, other):
        folder.mkdir(parents=True)
        (folder / f".stemsplit-{TOKEN}-1.part").touch()
    (root / "link").symlink_to(other)
    names = ["song", "../other", str(other), "link", "song/../../other", 5, None]
    (root / f".stemsplit-{TOKEN}.lock").write_text(json.dumps(names))
    with SongLocks(root):
        pass
    assert not list(inside.iterdir())
    assert len(list(other.iterdir())) == 1


def test_a_lock_that_is_a_link_does_not_empty_what_it_leads_to(song, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".stemsplit-{TOKEN}.lock").symlink_to(precious)
    assert run(song, "-n", TINY, "--stems", "vocals", "-o", "out", cwd=tmp_path).code == 0
    assert precious.read_text() == "mine"


def test_a_manifest_that_names_a_device_does_not_block(song, tmp_path):
    """An interrupted run's: its stems are hashed, to see which of them are whole."""
    assert run(song, "-n", TINY, "--stems", "vocals", "-o", "out", cwd=tmp_path).code == 0
    path = tmp_path / "out" / "song" / manifest.NAME
    content = json.loads(path.read_text())
    [stem] = content["outputs"].values()
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/zero", str(tmp_path / "pipe"), "a\0b", "x" * 300):
        content["outputs"][name] = {**stem, "size": 0}
    content["complete"] = False
    path.write_text(json.dumps(content))
    done = measure(
        *(song, "-n", TINY, "--stems", "vocals", "-o", "out", "--resume"),
        cwd=tmp_path,
        seconds=SECONDS,
    )
    assert done.code == ExitCode.DONE, done.stderr


@pytest.mark.parametrize("kind", sorted(set(REPLACED) - {"large"}))
def test_a_configuration_file(song, tmp_path, kind, monkeypatch):
    path = tmp_path / "config.toml"
    REPLACED[kind](path)
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(path))
    code, stderr = run_replaced(kind, song, "--dry-run", cwd=tmp_path)
    assert code == ExitCode.USAGE, stderr
    assert str(path) in stderr
    assert len(stderr) < 1500


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a" + ".a" * 1000 + " = 1"])
def test_a_deep_configuration_file(song, tmp_path, text, monkeypatch):
    (tmp_path / "config.toml").write_text(text)
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "config.toml"))
    done = run(song, "--dry-run", cwd=tmp_path)
    assert done.code == ExitCode.USAGE
    assert "nested too deeply" in done.stderr
    monkeypatch.delenv("STEMSPLIT_CONFIG")
    monkeypatch.setenv("STEMSPLIT_REGISTRY", str(tmp_path / "config.toml"))
    done = run("models", "list", cwd=tmp_path)
    assert done.code == ExitCode.USAGE
    assert "nested too deeply" in done.stderr


@pytest.mark.parametrize("kind", ["pipe", "device", "terminal", "folder", "loop", "dangling"])
@pytest.mark.parametrize("words", [("list.m3u",), ("--files-from", "list.m3u")])
def test_a_list_of_songs(song, tmp_path, kind, words):
    """It costs itself; the song that is named beside it is split."""
    REPLACED[kind](tmp_path / "list.m3u")
    code, stderr = run_replaced(kind, song, *words, "-n", TINY, "--dry-run", cwd=tmp_path)
    assert code == ExitCode.PARTLY, stderr
    assert "list.m3u" in stderr


def test_a_list_that_a_shell_gives_is_read(song, tmp_path):
    """``--files-from <(find …)`` is a pipe as well, with a writer at its other end."""
    reader, writer = os.pipe()
    os.write(writer, bytes(song) + b"\n")
    os.close(writer)
    done = run("--files-from", f"/dev/fd/{reader}", "-n", TINY, "--dry-run", cwd=tmp_path)
    os.close(reader)
    assert done.code == ExitCode.DONE, done.stderr
    assert "song.wav" in done.stderr


def test_only_regular_files_are_opened(tmp_path):
    for kind in ("pipe", "device", "terminal", "folder"):
        REPLACED[kind](tmp_path / kind)
        with pytest.raises(OSError, match=r"is not a regular file|Is a directory"):
            open_regular(tmp_path / kind)
    assert read_small(Path(os.devnull)) == b""


def test_no_more_is_read_than_such_a_file_can_have(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(LARGEST))
    assert len(read_small(path)) == LARGEST
    path.write_bytes(bytes(LARGEST + 1))
    with pytest.raises(UnsuitableFile, match="larger than the 4194304 bytes"):
        read_small(path)


def test_depth_is_bounded():
    assert parse_json("[" * DEEPEST + "]" * DEEPEST)
    for text in ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "[" * 10**6):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml(b"a = " + b"[" * 10_000)
