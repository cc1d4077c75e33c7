"""Songs from standard input, a stem to standard output, and nothing else anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import store_wav, tones
from command import TINY, files_below, run

PROGRAM = [sys.executable, "-m", "stemsplit"]
VOCALS = ("--stems", "vocals", "-q")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one short song, a folder for temporary files in it, and the small model."""
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what it has been so far in this process
    (tmp_path / "tmp").mkdir()
    noise = np.random.default_rng(1).normal(0, 0.1, (11_025, 2))
    soundfile.write(tmp_path / "song.wav", noise, 44_100)
    return tmp_path


def pipe(data: bytes, *words: str, folder: Path) -> tuple[int, bytes, str]:
    """Run with ``data`` on standard input; return the exit code, stdout, and stderr."""
    done = run(*words, cwd=folder, stdin=data)
    assert files_below(folder / "tmp") == []
    return done.code, done.data, done.stderr


@pytest.mark.parametrize("form", [("wav",), ("wav", "--depth", "16"), ("flac",)])
def test_the_stem_on_stdout_is_the_file_to_the_byte(form: tuple[str, ...], folder: Path) -> None:
    words = (*VOCALS, "--format", *form)
    assert run("song.wav", *words, cwd=folder).code == 0
    (file,) = (folder / "separated/song").glob("vocals.*")
    song = (folder / "song.wav").read_bytes()
    assert pipe(song, "-", *words, "-o", "-", folder=folder) == (0, file.read_bytes(), "")
    assert files_below(folder / "separated") == [f"song/{file.name}"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_other_names_of_standard_output(name: str, folder: Path) -> None:
    stem = run("song.wav", *VOCALS, "-o", "-", cwd=folder)
    assert (stem.code, stem.data[:4]) == (0, b"RIFF")
    assert run("song.wav", *VOCALS, "-o", name, cwd=folder).data == stem.data


def test_the_same_applies_between_processes(folder: Path) -> None:
    assert run("song.wav", *VOCALS, cwd=folder).code == 0
    stored = (folder / "separated/song/vocals.wav").read_bytes()
    done = subprocess.run(
        [*PROGRAM, "-", *VOCALS, "-o", "-"],
        input=(folder / "song.wav").read_bytes(),
        capture_output=True,
        cwd=folder,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, stored, b"")
    assert files_below(folder / "tmp") == []


def test_raw_contains_only_the_samples(folder: Path) -> None:
    code, data, _ = pipe(b"", "song.wav", *VOCALS, "--format", "raw", "-o", "-", folder=folder)
    run("song.wav", *VOCALS, cwd=folder)
    stored = soundfile.read(folder / "separated/song/vocals.wav", dtype="float32")[0]
    assert code == 0
    assert np.array_equal(np.frombuffer(data, "<f4").reshape(-1, 2), stored)


def test_a_mix_goes_to_stdout_too(folder: Path) -> None:
    words = ("--stems", "none", "--mix", "karaoke=mix-vocals", "-q")
    run("song.wav", *words, cwd=folder)
    code, data, _ = pipe(b"", "song.wav", *words, "-o", "-", folder=folder)
    assert (code, data) == (0, (folder / "separated/song/karaoke.wav").read_bytes())


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("song.wav", "-o", "-"), "only one stem can go to standard output, not 4"),
        (("song.wav", "song.wav", "--stems", "vocals", "-o", "-"), "only one song can go to"),
        (("song.wav", "--two-stems", "vocals", "-o", "-"), "not 2 (vocals, no_vocals)"),
        (("song.wav", "--stems", "vocals", "-o", "-", "--json"), "it cannot be used with --json"),
        (
            ("song.wav", "--stems", "vocals", "-o", "-", "--resume"),
            "it cannot be used with --resume",
        ),
        (("song.wav", "--format", "raw"), "raw samples have no header"),
        (("song.wav", "--input-name", "a"), "needs a song from standard input"),
        (("-", "--files-from", "-"), "a song or a list of songs, not both"),
        (("-", "--input-name", "a.m3u"), "a name for a playlist"),
    ],
)
def test_impossible_requests_are_reported_at_once(
    words: tuple[str, ...], reason: str, folder: Path
) -> None:
    result = run(*words, cwd=folder)
    assert (result.code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert files_below(folder) == ["song.wav"]


def test_a_terminal_is_not_a_pipe(folder: Path) -> None:
    main, side = os.openpty()
    for words, stream in ((("song.wav", *VOCALS, "-o", "-"), "stdout"), (("-",), "stdin")):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE} | {stream: side}
        done = subprocess.run([*PROGRAM, *words], cwd=folder, stderr=subprocess.PIPE, **streams)
        assert done.returncode == 2
        assert b"which is a terminal\nhint: " in done.stderr
    os.close(main)
    os.close(side)


def test_a_song_from_stdin_is_called_so(folder: Path) -> None:
    song = (folder / "song.wav").read_bytes()
    code, out, err = pipe(song, "-", "--json", "--stems", "vocals", folder=folder)
    assert (code, json.loads(out)["input"]) == (0, "-")
    assert files_below(folder / "separated") == ["stdin/vocals.wav"]
    assert str(folder) not in err
    again = ("-", "--resume", "--json", *VOCALS)
    assert json.loads(pipe(song, *again, folder=folder)[1])["status"] == "skipped"
    named = ("-", "--input-name", "A song.wav", "--progress", "ndjson", *VOCALS[:2])
    code, out, err = pipe(song, *named, folder=folder)
    assert (code, out) == (0, b"separated/A song/vocals.wav\n")
    assert {json.loads(line).get("input") for line in err.splitlines()} == {"-"}


def test_other_names_of_standard_input(folder: Path) -> None:
    """A redirected file, too, which ffmpeg itself is not given."""
    command = (sys.executable, "-m", "stemsplit", "/dev/stdin", "-n", TINY, "--stems", "vocals")
    with (folder / "song.wav").open("rb") as song:
        ended = subprocess.run(command, cwd=folder, stdin=song, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "separated/stdin/vocals.wav\n"), ended.stderr


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no names of open files here")
def test_a_pipe_of_the_shell_is_read_as_standard_input_is(folder: Path) -> None:
    def through_pipes(*names: str, count: int = 1) -> subprocess.CompletedProcess[str]:
        feeders = [
            subprocess.Popen(["cat", str(folder / "song.wav")], stdout=subprocess.PIPE)
            for _ in range(count)
        ]
        ends = [feeder.stdout.fileno() for feeder in feeders if feeder.stdout]
        files = [f"/dev/fd/{end}" for end in ends]
        command = (sys.executable, "-m", "stemsplit", *files, "-n", TINY, "--stems", "vocals")
        ended = subprocess.run(
            [*command, *names], cwd=folder, pass_fds=ends, capture_output=True, text=True
        )
        for feeder in feeders:
            feeder.kill()
            feeder.communicate()
        return ended

    ended = through_pipes("--input-name", "My song")
    assert (ended.returncode, ended.stdout) == (0, "separated/My song/vocals.wav\n"), ended.stderr
    ended = through_pipes(count=2)
    assert ended.returncode == 2
    assert "only one song can come from standard input or a pipe" in ended.stderr


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "is empty (0 bytes)"), (b"no song", "not an audio file that ffmpeg can read")],
)
def test_standard_input_that_is_not_a_song(data: bytes, reason: str, folder: Path) -> None:
    code, out, err = pipe(data, "-", folder=folder)
    assert (code, out) == (3, b"")
    assert err.startswith(f"stemsplit: error: -: {reason}")
    assert len(err.splitlines()) == 1


def test_a_reader_that_stops_is_not_a_failure(folder: Path) -> None:
    store_wav(folder / "long.wav", tones(30 * 44_100, 44_100, (220, 330)))
    process = subprocess.Popen(
        [*PROGRAM, "long.wav", *VOCALS, "-o", "-"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and process.stderr
    assert process.stdout.read(4) == b"RIFF"
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (0, b"")
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_write_without_a_reader(number: signal.Signals, folder: Path) -> None:
    long = store_wav(folder / "long.wav", tones(30 * 44_100, 44_100, (220, 330)))
    with long.open("rb") as song:
        process = subprocess.Popen(
            [*PROGRAM, "-", *VOCALS, "-o", "-"],
            cwd=folder,
            stdin=song,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    assert process.stdout
    assert process.stdout.read(4) == b"RIFF"
    assert files_below(folder / "tmp") != []
    process.send_signal(number)
    assert process.wait(30) == 128 + number  # its pipe is full, and never read
    process.communicate()
    assert files_below(folder / "tmp") == []


def test_quiet_is_quiet(folder: Path) -> None:
    """Libraries say nothing either, and warnings stay warnings."""
    (folder / "sitecustomize.py").write_text(
        "import atexit, logging, warnings\n"
        "atexit.register(lambda: (warnings.warn('a'), logging.getLogger('b').warning('b')))"
    )
    six = np.random.default_rng(1).normal(0, 0.1, (11_025, 6))
    soundfile.write(folder / "six.wav", six, 44_100)
    environment = os.environ | {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
    environment.pop("PYTHONWARNINGS", None)

    done = subprocess.run(
        [*PROGRAM, "song.wav", "song.wav", *VOCALS],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("separated/song/vocals.wav\n", "")

    def said(*words: str) -> str:
        return run(*words, "--force", "--stems", "vocals", cwd=folder).stderr

    assert said("six.wav", "-q").startswith("stemsplit: warning: six.wav: 6 channels are")
    assert said("six.wav", "-qq") == ""
    assert said("absent.opus", "-qq") == "stemsplit: error: absent.opus: no such file\n"


def test_the_name_of_a_mix_is_not_a_path_on_stdout(song: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    words = ["--stems", "none", "--mix", f"{outside}=drums+bass", "--format", "flac"]
    done = run("-q", song, "-o", "-", *words, cwd=tmp_path)
    assert (done.code, done.data[:4]) == (0, b"fLaC")
    assert not outside.exists()
