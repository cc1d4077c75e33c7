"""Kill runs over a folder at random moments, and compare them with an uninterrupted run.

    python tests/benchmarks/kills.py --songs FOLDER [--kills 20] [--seed 1] [--only N]

The folder of songs, each with a ``mixture``, is cut into 27 short ones of many formats, and five
that are broken. For several formats of stems a command that nobody disturbs is compared with runs
that are killed (SIGKILL, SIGINT, SIGTERM), also between two of its steps at the end of a song; with
two processes side by side, and where the disk is full for a while (needs root). Every second run is
the command, the others are a script's, through ``split_files``. What is left has to be the same to
the byte. Runs are forked from this process, which has loaded torch: so they begin at once, and
kills hit songs at work rather than imports. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from audio_files import run_ffmpeg

import stemsplit
from stemsplit.batch import separator  # noqa: F401  # all that a run imports, before the forks
from stemsplit.cli import main
from stemsplit.outputs import manifest
from stemsplit.types import Event, Finished, Opened, Progressed

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
#: Name of the song -> how ffmpeg encodes it.
FORMATS: dict[str, Sequence[str]] = {
    "16.wav": ("-c:a", "pcm_s16le"),
    "24.wav": ("-c:a", "pcm_s24le"),
    "float.wav": ("-c:a", "pcm_f32le"),
    "mono.wav": ("-c:a", "pcm_s16le", "-ac", "1"),
    "48.wav": ("-c:a", "pcm_s16le", "-ar", "48000"),
    "a/22.wav": ("-c:a", "pcm_s16le", "-ar", "22050"),
    "a/six.wav": ("-c:a", "pcm_s16le", "-ac", "6"),
    "a/song.flac": ("-c:a", "flac"),
    "a/96.flac": ("-c:a", "flac", "-ar", "96000"),
    "a/song.aiff": ("-c:a", "pcm_s24be"),
    "a/alac.m4a": ("-c:a", "alac"),
    "a/song.m4a": ("-c:a", "aac"),
    "b/song.mp3": ("-c:a", "libmp3lame"),
    "b/mono.mp3": ("-c:a", "libmp3lame", "-ac", "1", "-ar", "22050"),
    "b/song.ogg": ("-c:a", "libvorbis"),
    "b/song.opus": ("-c:a", "libopus"),
    "b/song.mka": ("-c:a", "libvorbis"),
    "b/song.wv": ("-c:a", "wavpack"),
    "b/song.wma": ("-c:a", "wmav2"),
    "b/song.aac": ("-c:a", "aac"),
    "b/song.au": ("-c:a", "pcm_s16be"),
    "b/song.caf": ("-c:a", "pcm_s16be"),
    "b/c/song.w64": ("-c:a", "pcm_s16le"),
    "b/c/film.mp4": ("-f", "mp4", "-c:a", "aac"),
    "b/c/song.webm": ("-c:a", "libopus"),
    "b/c/no suffix": ("-f", "flac", "-c:a", "flac"),
    "b/c/ümläut's.mp3": ("-c:a", "libmp3lame"),
}
#: Further options of the runs. Those that update find stems that were made in another depth.
OPTIONS = (
    {"shifts": 2},
    {"format": "mp3"},
    {"format": "flac", "depth": "16"},
    {"existing": "update", "depth": "16"},
)


def make_library(folder: Path, songs: Path) -> None:
    """Write excerpts of 2 to 4 s in all ``FORMATS``, and files that are broken."""
    mixtures = sorted(songs.rglob("mixture.*"))
    tags = ("-metadata", "title=A song", "-metadata", "artist=Somebody", "-metadata", "TBPM=120")
    for number, (name, encoder) in enumerate(FORMATS.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        source = mixtures[number % len(mixtures)]
        place = ("-ss", str(number % 9), "-t", str(2 + number % 3))
        run_ffmpeg(*place, "-i", str(source), "-vn", *tags, *encoder, f"file:{path}")
    (folder / "b/empty.mp3").touch()
    (folder / "b/text.flac").write_text("no music at all\n" * 99)
    (folder / "a/header.wav").write_bytes((folder / "16.wav").read_bytes()[:44])
    flac = (folder / "a/song.flac").read_bytes()
    (folder / "a/cut.flac").write_bytes(flac[: len(flac) // 2])
    (folder / "a/noise.m4a").write_bytes(random.Random(0).randbytes(30_000))
    (folder / "notes.txt").write_text("to be passed over\n")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return everything below ``folder``: files with their bytes, folders with None."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def command(out: Path, options: Mapping[str, Any]) -> int:
    """Split the library as a person does; return the exit code."""
    words: list[str] = []
    for key, value in options.items():
        words += [f"--{value}"] if key == "existing" else [f"--{key}", str(value)]
    return main(["library", "--progress", "ndjson", "-o", str(out), *words])


def script(out: Path, options: Mapping[str, Any]) -> int:
    """Split the library as a script does, with the events of interest on stderr."""

    def show(event: Event) -> None:
        about: dict[str, object]
        match event:
            case Opened():
                about = {"event": "opened"}
            case Progressed(done=done, total=total):
                about = {"event": "separated", "done": done, "total": total}
            case Finished():
                about = {"event": "finished"}
            case _:
                return
        print(json.dumps(about), file=sys.stderr, flush=True)

    results = stemsplit.split_files("library", out=out, on_event=show, **options)
    return 6 if any(result.error for result in results) else 0


def fork(run: Callable[[], int], log: Path, step: tuple[int, int] | None = None) -> int:
    """Start ``run`` and return its process, which ends with the exit code that ``run`` returns.

    With a ``step`` of (n, signal) it gets that signal just before it renames its n-th file.
    """
    process = os.fork()
    if process:
        return process
    os.setsid()
    for number, stream in ((1, os.devnull), (2, log)):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    if step is not None:
        _trap(*step)
    code = 1
    try:
        code = run()
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def _trap(at: int, number: int) -> None:
    """Have this process get the signal ``number`` just before its ``at``-th rename."""
    rename, count = os.replace, iter(range(1, sys.maxsize))

    def replace(source: str, target: str) -> None:
        if next(count) == at:
            kind = "manifest" if str(target).endswith(manifest.NAME) else "rename"
            os.write(2, json.dumps({"event": "killed", "phase": kind}).encode() + b"\n")
            os.kill(os.getpid(), number)
            time.sleep(0.2)  # Python handles it in the main thread
        rename(source, target)

    os.replace = replace  # type: ignore[assignment]


def finish(process: int) -> int:
    """Wait for ``process`` and return its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def events(log: Path) -> list[dict[str, object]]:
    found = []
    for line in log.read_text().splitlines() if log.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            found.append({"event": "garbled"})
    return found


def phase(out: Path, log: Path) -> str:
    """Return what a stalled run was doing, according to its events and files."""
    names = list(out.rglob(".*stemsplit*")) if out.exists() else []
    if any(path.name.endswith("-manifest.part") for path in names):
        return "manifest"
    for path in names:
        if path.name == manifest.NAME and b'"complete": false' in path.read_bytes():
            return "rename"
    told = [event for event in events(log) if event["event"] in ("opened", "separated", "finished")]
    locked = any(path.name.endswith(".lock") for path in names)
    if not told or told[-1]["event"] == "finished":
        return "scan" if locked else "between songs" if told else "start"
    last = told[-1]
    if last["event"] == "opened":
        return "scan"
    return "encoding" if last["done"] == last["total"] else "separation"


def kill(process: int, number: int, out: Path, log: Path) -> tuple[str, int]:
    """Stop a run, look what it is about, send the signal, and return that and the exit code."""
    os.killpg(process, signal.SIGSTOP)
    time.sleep(0.01)
    about = phase(out, log)
    if number == signal.SIGINT:
        os.killpg(process, number)
    else:
        os.kill(process, number)
    os.killpg(process, signal.SIGCONT)
    return about, finish(process)


class Night:
    """A folder of songs, and runs over it."""

    def __init__(self, work: Path, options: Mapping[str, Any], seed: int) -> None:
        self.work = work
        self.options = options
        self.random = random.Random(seed)
        self.number = 0
        self.phases: Counter[str] = Counter()
        self.codes: Counter[int] = Counter()

    def start(self, out: Path, step: tuple[int, int] | None = None) -> tuple[int, Path]:
        """Start a run: the first is the command, the second a script, and so on in turn."""
        way = (command, script)[self.number % 2]
        self.number += 1
        log = self.work / f"{out.name}-{self.number}.log"
        return fork(lambda: way(out, self.options), log, step), log

    def make_otherwise(self, out: Path) -> None:
        """Split all songs before, into stems that the runs are to update."""
        before = {**self.options, "existing": "resume", "depth": "24"}
        assert finish(fork(lambda: script(out, before), self.work / "before.log")) == 6

    def undisturbed(self, out: Path) -> float:
        start = time.monotonic()
        process, _ = self.start(out)
        assert finish(process) == 6, "some songs are broken, the others are not"
        return time.monotonic() - start

    def disturb(self, out: Path, seconds: float) -> bool:
        """Kill a run within ``seconds``; return whether it was still at work."""
        process, log = self.start(out)
        time.sleep(self.random.uniform(0.01, 0.12) * seconds)
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        about, code = kill(process, self.random.choice(SIGNALS), out, log)
        self.phases[about] += 1
        self.codes[code] += 1
        return True

    def trip(self, out: Path) -> bool:
        """Kill a run just before one of its renames; return whether it came so far."""
        step = (self.random.randint(1, 20), self.random.choice(SIGNALS))
        process, log = self.start(out, step)
        code = finish(process)
        found = [event["phase"] for event in events(log) if event["event"] == "killed"]
        self.phases.update(map(str, found))
        self.codes[code] += bool(found)
        return bool(found)

    def complete(self, out: Path) -> list[int]:
        """Run until nothing is left to do, in two processes at once; return the exit codes."""
        return [finish(process) for process, _ in [self.start(out), self.start(out)]]


def differences(out: Path, expected: dict[str, bytes | None]) -> list[str]:
    found = tree(out)
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name, 0) != expected.get(name, 0)]


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """Have ``folder`` be a file system of ``size`` bytes."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def full_disk(night: Night, expected: dict[str, bytes | None]) -> list[str]:
    """Run on a disk that is full, make room little by little, and return what differs then."""
    needed = sum(len(data) for data in expected.values() if data)
    out = night.work / "disk"
    with small_disk(out, needed // 5):
        for share in (2, 3, 4, 8):
            process, _ = night.start(out)
            code = finish(process)
            night.codes[code] += 1
            hidden = list(out.rglob(".stemsplit-*"))
            assert not hidden, hidden
            remount = f"remount,size={needed * share // 4 + 2**20}"
            subprocess.run(["mount", "-o", remount, out], check=True)
        night.complete(out)
        return differences(out, expected)


def together(night: Night, out: Path, seconds: float) -> None:
    """Two runs at once, of which one is killed."""
    other, _ = night.start(out)
    night.disturb(out, seconds)
    night.codes[finish(other)] += 1


def one_night(work: Path, options: Mapping[str, Any], asked: argparse.Namespace) -> list[str]:
    """Kill runs with ``options`` in the folder ``work``, log each kill, and return what differs."""
    make_library(work / "library", asked.songs)
    os.chdir(work)
    night = Night(work, {"model": asked.model, **options}, asked.seed)
    seconds = night.undisturbed(work / "undisturbed")
    expected = tree(work / "undisturbed")
    out = work / "killed"
    if "existing" in options:
        night.make_otherwise(out)
    for number in range(asked.kills):
        if not (night.trip(out) if number % 2 else night.disturb(out, seconds)):
            break  # all is done
        if number == asked.kills // 2:
            together(night, out, seconds)
    codes = night.complete(out)
    different = differences(out, expected)
    print(f"{options}: {len(expected)} files and folders, {seconds:.0f} s undisturbed")
    print(f"  kills: {dict(night.phases)}; exit codes: {dict(night.codes)}; at the end: {codes}")
    print(f"  different: {different or 'nothing'}", flush=True)
    if os.geteuid() == 0:
        night.codes.clear()
        on_disk = full_disk(night, expected)
        print(f"  full disk: exit codes {dict(night.codes)}; different: {on_disk or 'nothing'}")
        different += on_disk
    return different


def main_program() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--songs", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="tiny.htdemucs")
    parser.add_argument("--only", type=int, choices=range(len(OPTIONS)), help="one of the formats")
    asked = parser.parse_args()
    asked.songs = asked.songs.resolve()
    different = []
    for options in OPTIONS if asked.only is None else [OPTIONS[asked.only]]:
        with tempfile.TemporaryDirectory() as folder:
            different += one_night(Path(folder), options, asked)
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main_program())
