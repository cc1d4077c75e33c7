"""A night of splitting: what was done is not done again, and what was not is."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audio_files import run_ffmpeg
from command import TINY, files_below, run
from full_disk import limited_files

from stemsplit.audio.encode import StemWriter
from stemsplit.audio.tags.model import Tags
from stemsplit.audio.tags.reading import read_tags
from stemsplit.batch import song as song_module
from stemsplit.batch.discover import Song
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.run import Run
from stemsplit.errors import MissingDevice, ResourceError
from stemsplit.options import EngineOptions, SplitOptions
from stemsplit.outputs import manifest
from stemsplit.types import StreamInfo

STEMS = ["bass", "drums", "other", "vocals"]


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder of three short songs, two of them below."""
    return make_library(tmp_path / "library", 3)


def make_library(folder: Path, songs: int, seconds: float = 0.5) -> Path:
    for number in range(songs):
        path = folder / f"{'album/' if number else ''}{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).normal(0, 0.1, (int(44_100 * seconds), 2))
        soundfile.write(path, noise, 44_100)
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return everything below ``folder``: files with their bytes, folders with None."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def statuses(*arguments: object, cwd: Path) -> dict[str, str]:
    """Run with --json and return what became of each song, by its name."""
    result = run("library", *arguments, "--json", "-q", cwd=cwd)
    return {Path(record["input"]).stem: record["status"] for record in result.records}


ALL_DONE = {"0": "done", "1": "done", "2": "done"}
ALL_SKIPPED = {"0": "skipped", "1": "skipped", "2": "skipped"}


def test_a_manifest_records_inputs_and_outputs(library: Path, tmp_path: Path) -> None:
    assert run("library", "--depth", "16", cwd=tmp_path).code == 0
    known = json.loads((tmp_path / "separated/album/1" / manifest.NAME).read_text())
    song = library / "album/1.wav"
    assert known["input"] == {
        "name": "1.wav",
        "size": song.stat().st_size,
        "sha256": manifest.identify(song).sha256,
    }
    assert known["audio"] == {
        "sample_rate": 44_100,
        "channels": 2,
        "frames": 22_050,
        "seconds": 0.5,
    }
    assert sorted(known["outputs"]) == [f"{stem}.wav" for stem in STEMS]
    vocals = tmp_path / "separated/album/1/vocals.wav"
    told = known["outputs"]["vocals.wav"]
    assert (told["stem"], told["size"]) == ("vocals", vocals.stat().st_size)
    assert told["sha256"] == manifest.identify(vocals).sha256
    assert told["recipe"]["model"] == TINY
    assert told["recipe"]["settings"]["encoding"]["depth"] == "16"
    assert known["complete"] is True


def test_a_second_run_does_nothing_and_changes_nothing(library: Path, tmp_path: Path) -> None:
    assert statuses(cwd=tmp_path) == ALL_DONE
    before = tree(tmp_path / "separated")
    assert statuses(cwd=tmp_path) == ALL_SKIPPED
    assert tree(tmp_path / "separated") == before
    assert statuses("--force", cwd=tmp_path) == ALL_DONE
    assert tree(tmp_path / "separated") == before


def test_only_what_is_missing_or_changed_is_done_again(library: Path, tmp_path: Path) -> None:
    statuses(cwd=tmp_path)
    before = tree(tmp_path / "separated")
    (tmp_path / "separated/0/vocals.wav").unlink()
    (library / "album/2.wav").touch()
    result = run("library", "--json", "-q", cwd=tmp_path)
    assert [stem["name"] for stem in result.records[0]["stems"]] == ["vocals"]
    assert [record["status"] for record in result.records[1:]] == ["skipped", "skipped"]
    assert tree(tmp_path / "separated") == before


def test_a_changed_song_is_done_again(library: Path, tmp_path: Path) -> None:
    statuses(cwd=tmp_path)
    data = soundfile.read(library / "0.wav")[0]
    times = (library / "0.wav").stat()
    soundfile.write(library / "0.wav", -data, 44_100)
    os.utime(library / "0.wav", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert statuses(cwd=tmp_path) == ALL_SKIPPED | {"0": "done"}


def test_other_settings_other_stems_and_other_formats(library: Path, tmp_path: Path) -> None:
    assert statuses("--stems", "vocals", cwd=tmp_path) == ALL_DONE
    vocals = (tmp_path / "separated/0/vocals.wav").stat().st_mtime_ns
    assert statuses("--stems", "vocals,bass", cwd=tmp_path) == ALL_DONE
    assert (tmp_path / "separated/0/vocals.wav").stat().st_mtime_ns == vocals
    assert statuses("--stems", "vocals,bass", cwd=tmp_path) == ALL_SKIPPED
    assert statuses("--stems", "vocals", "--depth", "16", "--update", cwd=tmp_path) == ALL_DONE
    assert soundfile.info(tmp_path / "separated/0/vocals.wav").subtype == "PCM_16"
    assert statuses("--stems", "vocals", "--format", "flac", cwd=tmp_path) == ALL_DONE
    assert statuses("--stems", "vocals", "--depth", "16", cwd=tmp_path) == ALL_SKIPPED
    assert files_below(tmp_path / "separated/0") == ["bass.wav", "vocals.flac", "vocals.wav"]


@pytest.mark.parametrize("way", ["--skip-existing", "--resume"])
def test_linked_stems_are_made_together(way: str, tmp_path: Path) -> None:
    """One gain for all: those that are there would not have that of one that is made alone."""
    loud = np.random.default_rng(1).normal(0, 2, (22_050, 2)).clip(-1, 1)
    soundfile.write(tmp_path / "loud.wav", loud, 44_100)
    linked = ("loud.wav", "--clip", "linked", "--json", "-q")
    run(*linked, cwd=tmp_path)
    before = tree(tmp_path / "separated")
    (tmp_path / "separated/loud/vocals.wav").unlink()
    again = run(*linked, way, cwd=tmp_path)
    assert sorted(stem["name"] for stem in again.records[0]["stems"]) == STEMS
    assert tree(tmp_path / "separated") == before
    alone = run(*linked, way, "--stems", "vocals", cwd=tmp_path).records[0]
    assert alone["status"] == ("skipped" if way == "--skip-existing" else "failed")


def test_projects_of_linked_stems_are_written_once(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "song.wav", np.full((22_050, 2), 0.1), 44_100)
    words = ("song.wav", "--clip", "linked", "--daw", "reaper", "--resume", "--json", "-q")
    project = tmp_path / "separated/song/song.rpp"
    for expected in ("done", "skipped"):
        assert [record["status"] for record in run(*words, cwd=tmp_path).records] == [expected]
        assert project.is_file()
    before = tree(tmp_path / "separated")
    project.unlink()
    [record] = run(*words, cwd=tmp_path).records
    assert (record["stems"], len(record["projects"])) == ([], 1)
    assert tree(tmp_path / "separated") == before


def test_what_another_program_put_there_is_refused(library: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "separated/0/vocals.wav"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"precious")
    assert statuses(cwd=tmp_path) == ALL_DONE | {"0": "failed"}
    assert foreign.read_bytes() == b"precious"


def test_a_damaged_manifest_makes_the_stems_foreign(library: Path, tmp_path: Path) -> None:
    statuses(cwd=tmp_path)
    before = tree(tmp_path / "separated")
    (tmp_path / "separated/0" / manifest.NAME).write_text('{"schema": 1')
    result = run("library", "--json", cwd=tmp_path)
    assert [record["status"] for record in result.records] == ["failed", "skipped", "skipped"]
    assert "separated/0/.stemsplit.json: damaged manifest" in result.stderr
    assert statuses("--force", cwd=tmp_path) == ALL_DONE
    assert tree(tmp_path / "separated") == before


def test_what_was_stopped_between_its_last_two_steps_is_settled(
    library: Path, tmp_path: Path
) -> None:
    statuses(cwd=tmp_path)
    before = tree(tmp_path / "separated")
    for number, kept in (("0", 4), ("album/1", 2)):
        folder = tmp_path / "separated" / number
        text = (folder / manifest.NAME).read_text()
        (folder / manifest.NAME).write_text(text.replace('"complete": true', '"complete": false'))
        for stem in STEMS[kept:]:
            (folder / f"{stem}.wav").unlink()
    assert statuses(cwd=tmp_path) == ALL_SKIPPED | {"1": "done"}
    assert tree(tmp_path / "separated") == before


def test_manifests_of_songs_that_share_a_folder(library: Path, tmp_path: Path) -> None:
    template = ("--filename", "{track} - {stem}.{ext}", "--stems", "vocals", "-o", "library")
    assert statuses(*template, cwd=tmp_path) == ALL_DONE
    assert statuses(*template, cwd=tmp_path) == ALL_SKIPPED
    assert (library / "album" / ".1.stemsplit.json").is_file()


def test_fail_fast(library: Path, tmp_path: Path) -> None:
    (library / "0 bad.wav").write_bytes(b"RIFF")
    result = run("library", "--fail-fast", cwd=tmp_path)
    assert (result.code, result.stdout) == (3, "")
    assert result.stderr.count("skipped because ") == 6  # in order, and in the table
    assert not (tmp_path / "separated").exists()


def test_the_table_at_the_end(library: Path, tmp_path: Path) -> None:
    (library / "bad.wav").write_bytes(b"RIFF")
    (library / "silent").write_bytes(b"ID3\4\0\0\0\0\0\0")
    result = run("library", cwd=tmp_path)
    assert result.code == 6
    counts, failure = result.stderr.splitlines()[-2:]
    assert counts == "3 done, 0 skipped, 1 failed"
    assert failure.startswith("  failed   library/bad.wav: not an audio file")


def test_what_has_nothing_to_hear_is_passed_over(library: Path, tmp_path: Path) -> None:
    film = str(library / "film.mp4")
    run_ffmpeg("-f", "lavfi", "-i", "color=size=16x16:duration=1", "-c:v", "mpeg4", film)
    assert statuses(cwd=tmp_path) == ALL_DONE
    shutil.move(film, library / "film.mp3")  # that does not look like a video by its name
    assert statuses(cwd=tmp_path) == ALL_SKIPPED | {"film": "failed"}
    shutil.move(library / "film.mp3", film)
    named = run("library/film.mp4", cwd=tmp_path)
    assert (named.code, named.stdout) == (3, "")
    assert "film.mp4: has no audio stream" in named.stderr


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "stemsplit", "library", "-q", *arguments]


def survive(tmp_path: Path, songs: int, kills: int, seed: int, batch: int = 1) -> None:
    """Kill runs at random moments; the last one has to end with the tree of an undisturbed run."""
    make_library(tmp_path / "library", songs)
    batches = ("--batch", str(batch), "-o")
    start = time.monotonic()
    subprocess.run(
        command(*batches, "undisturbed"), cwd=tmp_path, check=True, stdout=subprocess.DEVNULL
    )
    whole = time.monotonic() - start
    moments = random.Random(seed)
    killed = 0
    for _ in range(kills):
        process = subprocess.Popen(
            command(*batches, "killed"),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            # Well before the end: the machine may be faster now than it was a moment ago.
            process.wait(moments.uniform(0.2, 0.6) * whole)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    subprocess.run(command(*batches, "killed"), cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert killed
    assert tree(tmp_path / "killed") == tree(tmp_path / "undisturbed")


def test_a_night_with_kills(tmp_path: Path) -> None:
    survive(tmp_path, songs=4, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_long_night_with_many_kills(tmp_path: Path, seed: int) -> None:
    survive(tmp_path, songs=12, kills=8, seed=seed, batch=1 + 2 * (seed % 2))


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    make_library(tmp_path / "library", 8)
    processes = [
        subprocess.Popen(command("--json"), cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(2)
    ]
    outs = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    records = [json.loads(line) for lines in outs for line in lines]
    assert len(records) == 16
    done = [record["input"] for record in records if record["status"] == "done"]
    assert len(done) == len(set(done)) == 8
    assert not list((tmp_path / "separated").glob(".stemsplit-*"))


def test_a_claim_is_free_when_its_process_is_dead(tmp_path: Path) -> None:
    code = (
        "import time; from pathlib import Path; from stemsplit.batch.locks import SongLocks\n"
        "locks = SongLocks(Path('out')).__enter__()\n"
        "mark = locks.acquire(Path('out/song/m'), [Path('out/song')])\n"
        "Path('out/song').mkdir(); Path('out/song', f'.stemsplit-{mark}-1.part').touch()\n"
        "print(mark, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    mark = holder.stdout.readline().strip()
    part = tmp_path / f"out/song/.stemsplit-{mark}-1.part"
    song = (tmp_path / "out/song/m", [tmp_path / "out/song"])
    with SongLocks(tmp_path / "out") as alive:
        assert alive.acquire(*song) is None
        assert part.exists()
    holder.kill()
    holder.communicate()
    with SongLocks(tmp_path / "out") as free:
        assert not part.exists()
        assert free.acquire(*song) == mark
    assert files_below(tmp_path / "out") == []


def test_it_says_that_it_waits_for_another_process(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "separated/album/2"
    words = [sys.executable, "-m", "stemsplit", "library", "--stems", "vocals"]
    with (
        SongLocks(tmp_path / "separated") as other,
        subprocess.Popen(
            words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process,
    ):
        guard = threading.Timer(120, process.kill)
        guard.start()
        mark = other.acquire(folder / manifest.NAME, [folder])
        assert process.stderr and mark
        for line in process.stderr:
            if "waiting" in line:
                assert line == "waiting for another process to finish library/album/2.wav\n"
                other.release(mark)
        guard.cancel()
    assert process.returncode == 0
    assert (folder / "vocals.wav").is_file()
    assert line == "3 done, 0 skipped, 0 failed\n"


def test_a_song_that_cannot_be_claimed_is_free(tmp_path: Path) -> None:
    song = (tmp_path / "out/song/m", [tmp_path / "out/song"])
    with SongLocks(tmp_path / "out") as mine, SongLocks(tmp_path / "out") as other:
        with limited_files(0), pytest.raises(ResourceError, match="the disk is full"):
            mine.acquire(*song)
        assert other.acquire(*song) is not None
    assert files_below(tmp_path) == []


def test_a_song_whose_model_cannot_be_loaded_is_free(library: Path, tmp_path: Path) -> None:
    options = SplitOptions(
        model=TINY, out=tmp_path / "out", offline=True, engine=EngineOptions(device="cuda:99")
    )
    song = Song(library / "0.wav")
    with pytest.raises(MissingDevice, match="no device 'cuda:99' on this machine"):
        list(Run(options).split([song]))
    with SongLocks(options.out) as locks:
        assert locks.acquire(options.out / "0" / manifest.NAME, [])


def test_a_defect_of_ours_costs_one_song(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(info: StreamInfo) -> tuple[Tags, list[str]]:
        if info.path.name == "1.wav":
            raise KeyError("a tag")
        return read_tags(info)

    monkeypatch.setattr(song_module, "read_tags", stumble)
    result = run("library", "--json", "--debug", cwd=tmp_path)
    records = {Path(record["input"]).stem: record for record in result.records}
    assert {name: record["status"] for name, record in records.items()} == ALL_DONE | {
        "1": "failed"
    }
    assert (result.code, records["1"]["exit_code"]) == (6, 1)
    assert records["1"]["error"].startswith(
        "library/album/1.wav: KeyError: 'a tag' (test_batch_night.py:"
    )
    assert "in stumble" in result.stderr  # where it comes from
    assert "please report it" in result.stderr
    assert [name for name in files_below(tmp_path / "separated") if "/1/" in name] == []
    monkeypatch.undo()
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    assert statuses(cwd=tmp_path) == ALL_SKIPPED | {"1": "done"}


@pytest.mark.parametrize("words", [(), ("--clip", "linked"), ("--format", "flac")])
@pytest.mark.parametrize("method", ["write", "complete"])
def test_an_output_folder_that_is_removed_meanwhile_costs_the_song_in_work(
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    method: str,
) -> None:
    honest = getattr(StemWriter, method)

    def meddled(writer: StemWriter, *arguments: Any) -> Any:
        result = honest(writer, *arguments)
        shutil.rmtree(tmp_path / "separated/0", ignore_errors=True)
        return result

    monkeypatch.setattr(StemWriter, method, meddled)
    result = run("library", "--json", *words, cwd=tmp_path)
    records = {Path(record["input"]).stem: record for record in result.records}
    assert {name: record["status"] for name, record in records.items()} == ALL_DONE | {
        "0": "failed"
    }
    assert (result.code, records["0"]["exit_code"]) == (6, 3)
    assert "cannot be written: " in records["0"]["error"]
    monkeypatch.setattr(StemWriter, method, honest)
    assert statuses(*words, cwd=tmp_path) == ALL_SKIPPED | {"0": "done"}


def test_ctrl_c_leaves_a_folder_that_can_be_gone_on_with(library: Path, tmp_path: Path) -> None:
    make_library(library, 8, seconds=2)
    process = subprocess.Popen(
        command(), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    left = [name for name in files_below(tmp_path / "separated") if "/.stem" in f"/{name}"]
    assert left == []
    for record in (tmp_path / "separated").rglob(manifest.NAME):
        assert len(list(record.parent.iterdir())) == 5
    shutil.rmtree(tmp_path / "separated")


def test_a_folder_in_the_place_of_the_manifest_is_told(library: Path, tmp_path: Path) -> None:
    song = next(path for path in sorted(library.iterdir()) if path.is_file())
    first = run(song, cwd=tmp_path)
    [place] = (tmp_path / "separated").rglob(manifest.NAME)
    place.unlink()
    place.mkdir()
    failed = run(song, "--force", cwd=tmp_path)
    assert (first.code, failed.code) == (0, 3)
    assert f"{place.relative_to(tmp_path)}: " in failed.stderr
    assert "Is a directory" in failed.stderr
