"""Finding ffmpeg, and the process that never outlives its use."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stemsplit.audio.ffmpeg import address, find_ffmpeg
from stemsplit.audio.ffmpeg_facts import major_version
from stemsplit.audio.probe import probe
from stemsplit.audio.process import Process
from stemsplit.errors import ExitCode, ResourceError


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_variable_comes_first_then_path_then_the_wheel(tmp_path, monkeypatch):
    chosen = program(tmp_path / "mine", "true")
    on_path = program(tmp_path / "ffmpeg", "true")
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(chosen))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == str(chosen)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", "")
    assert find_ffmpeg() == str(on_path)
    on_path.unlink()
    assert "imageio_ffmpeg" in find_ffmpeg()


@pytest.mark.parametrize(
    ("said", "major"),
    [
        ("5.1.9-0+deb12u1", 5),
        ("n9.0.2-17-g2a571b6068-20260930", 9),
        ("4.2.2-static", 4),
        ("10.0", 10),
        ("N-109542-g9c2d2ef8b2", None),
        ("git-2023-01-01-abc", None),
    ],
)
def test_the_major_version(said, major):
    assert major_version(said) == major


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand for ffmpeg")
@pytest.mark.parametrize(("said", "refused"), [("4.4.2", True), ("3.4", True), ("N-1-g2", False)])
def test_an_ffmpeg_before_version_5_is_refused(tmp_path, monkeypatch, said, refused):
    old = program(tmp_path / "old", f"echo ffmpeg version {said} Copyright")
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(old))
    if not refused:
        assert find_ffmpeg() == str(old)
        return
    with pytest.raises(ResourceError, match=f"too old: {said}; versions 5 to 9 work") as e:
        find_ffmpeg()
    assert e.value.exit_code == ExitCode.ENVIRONMENT
    assert e.value.path == str(old)


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand for ffmpeg")
@pytest.mark.parametrize(
    ("says", "asked"),
    [
        ('exec "{}" "$@"', 0),
        # A wrapper that prints something first hides the version.
        ('echo "loading modules" >&2; exec "{}" "$@"', 1),
    ],
)
def test_a_song_is_described_without_asking_for_the_version_first(
    tmp_path, monkeypatch, song, says, asked
):
    calls = tmp_path / "calls"
    chosen = program(tmp_path / "own", f'echo "$2" >> {calls}; {says.format(find_ffmpeg())}')
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(chosen))
    probe(song)
    probe(song)
    assert calls.read_text().split().count("-version") == asked


@pytest.mark.skipif(os.name == "nt", reason="shell scripts stand for ffmpeg")
@pytest.mark.parametrize("way", ["echo '[info] ffmpeg version 4.4.2 Copyright' >&2", "exit 1"])
def test_an_old_ffmpeg_is_refused_when_a_song_is_described(tmp_path, monkeypatch, song, way):
    script = f'[ "$2" = -version ] && echo ffmpeg version 4.4.2 Copyright && exit\n{way}'
    old = program(tmp_path / "old", script)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(old))
    with pytest.raises(ResourceError, match=r"too old: 4\.4\.2; versions 5 to 9 work"):
        probe(song)


def test_a_variable_that_names_nothing_is_an_error_that_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(tmp_path / "absent"))
    reason = r"\$STEMSPLIT_FFMPEG does not name a program: .*absent"
    with pytest.raises(ResourceError, match=reason) as e:
        find_ffmpeg()
    assert e.value.exit_code == ExitCode.ENVIRONMENT
    assert "STEMSPLIT_FFMPEG" in (e.value.hint or "")


@pytest.mark.parametrize(("platform", "word"), [("darwin", "brew"), ("win32", "winget")])
def test_without_any_ffmpeg_the_hint_fits_the_system(tmp_path, monkeypatch, platform, word):
    monkeypatch.delenv("STEMSPLIT_FFMPEG", raising=False)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # import raises ImportError
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(ResourceError, match="ffmpeg was not found") as e:
        find_ffmpeg()
    assert word in (e.value.hint or "")


def test_a_program_that_cannot_start_is_a_resource_error(tmp_path):
    bad = tmp_path / "ffmpeg"
    bad.write_bytes(b"\x7fELF nonsense")
    bad.chmod(0o755)
    with pytest.raises(ResourceError, match="ffmpeg cannot be started"), Process([str(bad)]):
        pass


def test_leaving_the_block_kills_whatever_still_runs(tmp_path):
    stubborn = program(tmp_path / "ffmpeg", "trap '' TERM INT\nwhile true; do sleep 0.05; done")
    with pytest.raises(KeyError), Process([str(stubborn)]) as process:
        child = psutil.Process(process._process.pid)
        assert os.getsid(child.pid) == child.pid  # its own session: Ctrl-C does not reach it
        raise KeyError
    assert not child.is_running()


def test_a_chatty_child_does_not_block_and_its_report_is_bounded(tmp_path):
    """Twenty times the 64 KiB of a pipe on stderr, before anything comes on stdout."""
    words = "import sys; sys.stderr.write('[x @ 0x1] [error] no\\n' * 70000); print('done')"
    with Process([sys.executable, "-c", words]) as process:
        assert process.stdout.read() == b"done\n"
        assert process.finish() == 0
        assert process.complaints == ["no"]
        assert process.report.count("\n") < 10_000


def test_the_reason_is_the_first_complaint_without_contexts_and_addresses(tmp_path):
    song = tmp_path / "a\nb\x01.mp3"
    shown = address(song).replace("\x01", "?")
    lines = f"""[info] [error] just talk
[mp3 @ 0x55aa] [dec:mp3 @ 0x1f] [error] {shown}: Header missing
[error] Conversion failed!"""
    talker = program(tmp_path / "ffmpeg", f"cat >&2 <<'END'\n{lines}\nEND\nexit 69")
    with Process([str(talker)], address=address(song)) as process:
        assert process.finish() == 69
        assert process.reason == "Header missing"


def test_a_silent_failure_still_has_a_reason(tmp_path):
    with Process([str(program(tmp_path / "a", "exit 7"))]) as process:
        assert process.finish() == 7
        assert process.reason == "ffmpeg exited with status 7"
    with Process([str(program(tmp_path / "b", "kill -9 $$"))]) as process:
        assert process.finish() == -9
        assert process.reason == "ffmpeg was killed by SIGKILL"


def test_importing_the_audio_package_does_not_import_torch():
    rooms = ", ".join(f"stemsplit.audio.{m}" for m in ("probe", "decode", "resample", "encode"))
    code = (
        f"import sys, {rooms}; sys.exit('torch' in sys.modules or 'imageio_ffmpeg' in sys.modules)"
    )
    start = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert time.monotonic() - start < 5
