"""What a person sees on a terminal, and what a program reads elsewhere."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import TINY
from measured import PACKAGE

from stemsplit.cli.console import Console, clock
from stemsplit.errors import InputError
from stemsplit.types import Progressed


def console(**settings: int) -> Console:
    return Console(io.StringIO(), io.StringIO(), **settings)


def said(it: Console) -> str:
    assert isinstance(it.stderr, io.StringIO)
    return it.stderr.getvalue()


@pytest.mark.parametrize(
    ("quiet", "expected"),
    [
        (0, "note\nstemsplit: warning: careful\nstemsplit: error: x: bad\nhint: do\n"),
        (1, "stemsplit: warning: careful\nstemsplit: error: x: bad\nhint: do\n"),
        (2, "stemsplit: error: x: bad\nhint: do\n"),
    ],
)
def test_quiet_hides_all_but_errors(quiet: int, expected: str) -> None:
    it = console(quiet=quiet)
    it.note("note")
    it.warn("careful")
    it.detail("only when asked")
    it.error(InputError("bad", path="x", hint="do"))
    assert said(it) == expected


def test_details_are_for_those_who_ask() -> None:
    it = console(verbose=1)
    it.detail("42 s")
    assert said(it) == "42 s\n"


def test_messages_stay_on_one_line() -> None:
    it = console()
    it.warn("a\nb\x1b[31m")
    it.error(InputError("bad", path="new\nline\udcff"))
    assert said(it) == (
        "stemsplit: warning: a\\nb\\x1b[31m\nstemsplit: error: new\\nline\\udcff: bad\n"
    )


def test_lines_come_at_every_tenth() -> None:
    it = console()
    with it.progress("song") as meter:
        for done in range(101):
            meter.update(done, 100, "fast")
    lines = said(it).splitlines()
    assert lines == ["song: 0 %", *(f"song: {n} %, fast" for n in range(10, 101, 10))]


def test_a_length_that_is_not_known_gives_one_line() -> None:
    it = console()
    with it.progress("fetching") as meter:
        for done in range(50):
            meter.update(done, None, f"{done} MB")
    assert said(it) == "fetching: …\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3_599, "59:59"), (7_261, "2:01:01")],
)
def test_times(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_progress_has_a_fraction_a_speed_and_the_time_left() -> None:
    start, half = (Progressed(Path("a"), n, 441_000, 44_100, s) for n, s in ((0, 0), (220_500, 2)))
    assert (start.fraction, start.speed, start.seconds_left) == (0, 0, None)
    assert (half.fraction, half.speed, half.seconds_left) == (0.5, 2.5, 2)


def test_a_terminal_gets_a_bar_and_whole_lines(song: Path, tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stemsplit", str(song), "-n", TINY, "-v"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            shown += os.read(screen, 65_536)
        except OSError:  # how Linux says that the other side is closed
            break
    out, _ = process.communicate(timeout=60)
    os.close(screen)
    assert process.returncode == 0
    assert len(out.splitlines()) == 4
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "━" in text and "100%" in text and "× real time" in text
    lines = [line.rpartition("\r")[2] for line in text.split("\r\n")]
    assert any(re.fullmatch(r"song\.wav: 0:02 in [\d.]+ s", line) for line in lines)
    assert any(line.startswith("tiny.htdemucs on cpu") for line in lines)


NAME = "Beyonc\xe9 \u65e5\u672c.wav"
#: Encodings of pipes and terminals, and what they make of the name.
ENCODED = {
    "ascii": b"Beyonc\\xe9 \\u65e5\\u672c",
    "cp1252": b"Beyonc\xe9 \\u65e5\\u672c",
    "latin-1": b"Beyonc\xe9 \\u65e5\\u672c",
    "cp932": "Beyonc\\xe9 \u65e5\u672c".encode("cp932"),
    "utf-8": "Beyonc\xe9 \u65e5\u672c".encode(),
}


def run_encoded(encoding: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-m", "stemsplit", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ENCODED)
def test_a_name_that_stdout_cannot_show_is_escaped(
    song: Path, tmp_path: Path, encoding: str
) -> None:
    song.rename(tmp_path / NAME)
    split = ("-n", TINY, "--stems", "vocals", NAME)
    done = run_encoded(encoding, *split, "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"out/" + ENCODED[encoding] + b"/vocals.wav\n"
    assert NAME.encode(encoding, "backslashreplace") in done.stderr
    for words in (["--json"], ["--dry-run"], ["--progress", "ndjson"]):
        done = run_encoded(encoding, *split, "-o", f"out{words[0]}", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        json_lines = done.stdout if "--json" in words else done.stderr
        if "--dry-run" not in words:
            assert all(json.loads(line) for line in json_lines.splitlines())


@pytest.mark.parametrize("words", ["--help", "models list", "config show", "doctor"])
def test_no_command_fails_because_stdout_lacks_a_character(tmp_path: Path, words: str) -> None:
    done = run_encoded("ascii", *words.split(), cwd=tmp_path)
    assert b"Unicode" not in done.stderr
    assert done.stdout
    assert done.returncode == 0


def test_bytes_that_are_not_text_are_written_unchanged() -> None:
    for encoding in ("ascii", "utf-8", "cp1252"):
        raw = io.BytesIO()
        it = Console(io.TextIOWrapper(raw, encoding), io.StringIO())
        it.data("a\udcff\u65e5")
        shown = "\u65e5".encode(encoding, "backslashreplace")
        assert raw.getvalue() == b"a\xff" + shown + b"\n"
