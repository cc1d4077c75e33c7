"""``stemsplit data render``: what is written, refused, and left behind."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from command import files_below, run

from stemsplit.batch.data_render import render_songs, song_folders
from stemsplit.data.render.combine import CombineSettings, combine_song
from stemsplit.data.render.recordings import find_songs, open_store
from stemsplit.data.render.song import RenderedSong, Settings, Stopped, render_song
from stemsplit.data.render.styles import BUILT_IN
from stemsplit.errors import InputError

STEMS = ("bass", "drums", "other", "vocals")
SHORT = ("--synthetic", "--seconds", "1", "-q")
FILES = ["bass.wav", "drums.wav", "labels.json", "mixture.wav", "other.wav", "song.mid"]
needs_fluidsynth = pytest.mark.skipif(shutil.which("fluidsynth") is None, reason="needs fluidsynth")


def render(folder: Path, *words: object) -> tuple[int, str, str]:
    result = run("data", "render", *words, cwd=folder)
    return result.code, result.stdout, result.stderr


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def test_songs_that_the_data_room_reads(tmp_path: Path) -> None:
    code, out, err = render(tmp_path, "set", "--songs", 2, *SHORT)
    assert (code, out, err) == (0, "set/song-0-00000\nset/song-0-00001\n", "")
    song = tmp_path / "set" / "song-0-00001"
    assert files_below(song) == [*FILES, "vocals.wav"]
    sounds = {name: soundfile.read(song / f"{name}.wav", dtype="int16")[0] for name in STEMS}
    mixture, rate = soundfile.read(song / "mixture.wav", dtype="int16")
    assert (mixture.shape, rate) == ((44_100, 2), 44_100)
    np.testing.assert_array_equal(mixture, sum(sounds.values()))
    labels = json.loads((song / "labels.json").read_text())
    assert (labels["schema"], labels["name"], labels["number"]) == (1, "song-0-00001", 1)
    *checked, total = run("data", "check", "set", "--json", cwd=tmp_path).records
    assert (total["songs"], total["failed"], total["duplicates"]) == (2, 0, [])
    assert {tuple(sorted(each["stems"])) for each in checked} == {STEMS}
    assert not {"missing", "silent", "clipped", "sum", "lengths"} & set(total["findings"])


def test_neither_the_number_of_workers_nor_of_songs_changes_a_song(tmp_path: Path) -> None:
    render(tmp_path, "a", "--songs", 3, "--workers", 1, *SHORT)
    render(tmp_path, "b", "--songs", 2, "--workers", 2, *SHORT)
    first, second = content(tmp_path / "a"), content(tmp_path / "b")
    assert second == {name: first[name] for name in second}
    assert len(second) == 14
    render(tmp_path, "c", "--songs", 1, "--seed", 1, *SHORT)
    other = content(tmp_path / "c")
    assert other["song-1-00000/vocals.wav"] != first["song-0-00000/vocals.wav"]


def test_flac_has_the_same_samples(tmp_path: Path) -> None:
    render(tmp_path, "a", "--songs", 1, *SHORT)
    render(tmp_path, "b", "--songs", 1, "--format", "flac", *SHORT)
    for name in (*STEMS, "mixture"):
        wav, flac = (
            soundfile.read(tmp_path / folder / f"song-0-00000/{name}.{ending}", dtype="int16")[0]
            for folder, ending in (("a", "wav"), ("b", "flac"))
        )
        np.testing.assert_array_equal(wav, flac)


def test_json_describes_each_song(tmp_path: Path) -> None:
    words = ("set", "--songs", 1, "--json", "--style", "plain-waltz", *SHORT)
    [record] = map(json.loads, render(tmp_path, *words)[1].splitlines())
    assert (record["song"], record["status"], record["metre"]) == ("set/song-0-00000", "done", 3)
    assert (record["style"], record["sound_font"]) == ("plain-waltz", None)
    [record] = map(json.loads, render(tmp_path, *words, "--skip-existing")[1].splitlines())
    assert record == {"schema": 1, "song": "set/song-0-00000", "status": "skipped"}


def test_songs_that_exist_are_refused_skipped_or_replaced(tmp_path: Path) -> None:
    render(tmp_path, "set", "--songs", 1, *SHORT)
    before = content(tmp_path / "set")
    kept = tmp_path / "set" / "song-0-00000" / "notes.txt"
    kept.write_text("mine")
    code, _, err = render(tmp_path, "set", "--songs", 2, *SHORT)
    assert (code, err.splitlines()) == (
        3,
        [
            "stemsplit: error: set/song-0-00000: already exists",
            "hint: --force replaces them, --skip-existing keeps them, another --seed adds others",
        ],
    )
    assert render(tmp_path, "set", "--songs", 2, "--skip-existing", *SHORT)[0] == 0
    assert kept.exists()
    assert render(tmp_path, "set", "--songs", 1, "--force", *SHORT)[0] == 0
    assert not kept.exists()
    after = content(tmp_path / "set")
    assert {name: after[name] for name in before} == before
    assert not [name for name in os.listdir(tmp_path / "set") if name.startswith(".")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--style", "polka99"), "unknown style 'polka99'"),
        (("--style", ","), "--style is empty: name at least one style"),
        (("--not-style", "plain-*"), "no style is left"),
        (("--stems", "x"), "--stems and --synthetic contradict each other"),
        (("--stems", "x", "--style", "y"), "--stems and --style contradict each other"),
        (("--soundfont", "x.sf2"), "--synthetic and --soundfont contradict each other"),
        (("--force", "--skip-existing"), "--force and --skip-existing contradict each other"),
    ],
)
def test_wrong_options(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    code, out, err = render(tmp_path, "set", *words, *SHORT)
    assert (code, out) == (2, "")
    assert err.startswith(f"stemsplit: error: {message}")
    assert os.listdir(tmp_path) == []


def test_without_fluidsynth_a_hint_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "font.sf2").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = render(tmp_path, "set", "--soundfont", "font.sf2")
    assert code == 5
    assert err.splitlines()[0] == "stemsplit: error: fluidsynth was not found"
    assert "apt install fluidsynth" in err
    assert "--synthetic" in err
    assert render(tmp_path, "set", "--songs", 1, *SHORT)[0] == 0


@needs_fluidsynth
def test_without_mma_the_built_in_styles_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "fluidsynth").symlink_to(str(shutil.which("fluidsynth")))
    monkeypatch.setenv("PATH", str(programs))
    words = ("set", "--songs", 1, "--seconds", 1, "--json")
    result = run("data", "render", *words, cwd=tmp_path)
    assert result.code == 0
    assert "warning: mma was not found: only the built-in styles are used" in result.stderr
    [record] = result.records
    assert record["style"].startswith("plain-")
    assert record["sound_font"].endswith((".sf2", ".sf3"))


@needs_fluidsynth
def test_a_broken_sound_font(tmp_path: Path) -> None:
    (tmp_path / "broken.sf2").write_bytes(b"junk")
    words = ("--songs", 1, "--seconds", 1, "--style", "plain-rock", "-q")
    code, out, err = render(tmp_path, "set", "--soundfont", "broken.sf2", *words)
    assert (code, out) == (3, "")
    assert err.startswith("stemsplit: error: broken.sf2: cannot be used as a sound font")
    code, _, err = render(tmp_path, "set", "--soundfont", "nowhere", *words)
    assert (code, err) == (3, "stemsplit: error: nowhere: no such file or folder\n")


def test_a_song_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    def make(number: int, stop: threading.Event) -> RenderedSong:
        if number == 1:
            raise InputError("no such groove")
        stems = {name: np.zeros((2, 100), np.float32) for name in STEMS}
        return RenderedSong(stems=stems, labels={"style": "x"})

    folders = song_folders(tmp_path / "set", 0, 3)
    results = list(render_songs(make, folders, workers=2))
    assert [str(each.error) if each.error else None for each in results] == [
        None,
        f"{folders[1]}: no such groove",
        None,
    ]
    assert sorted(os.listdir(tmp_path / "set")) == ["song-0-00000", "song-0-00002"]


def write_flac(path: Path, sound: np.ndarray, rate: int = 44_100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.T, rate, subtype="PCM_24")


def sine(hertz: float, seconds: float) -> np.ndarray:
    """Return a tone that pauses every second second, ``(1, T)``."""
    times = np.arange(round(seconds * 44_100)) / 44_100
    return 0.3 * np.sin(2 * np.pi * hertz * times)[None] * (times % 2 >= 1)


def strongest(sound: np.ndarray) -> float:
    """Return the frequency (Hz) of the highest peak of ``sound`` ``(T, 2)``."""
    mono = sound.sum(axis=1)
    return float(np.abs(np.fft.rfft(mono)).argmax() * 44_100 / mono.size)


def labels_of(song: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((song / "labels.json").read_text())
    return found


def test_singing_starts_on_bars(tmp_path: Path) -> None:
    write_flac(tmp_path / "singers/one/a.flac", sine(700, 9))
    (tmp_path / "singers/notes.txt").write_text("no sound")
    words = ("--synthetic", "--songs", 1, "--seconds", 12, "--seed", 2, "-q")
    assert render(tmp_path, "set", "--singing", "singers", *words) == (
        0,
        "set/song-2-00000\n",
        "",
    )
    song = tmp_path / "set/song-2-00000"
    labels, (vocals, _) = labels_of(song), soundfile.read(song / "vocals.wav")
    assert "vocals" not in labels["notes"]
    assert [each["song"] for each in labels["excerpts"]] == ["one/a.flac"] * len(labels["excerpts"])
    assert {each["start"] for each in labels["excerpts"]} <= set(labels["downbeats"])
    assert strongest(vocals) == pytest.approx(700, abs=2)
    sung = np.zeros(len(vocals), bool)
    for each in labels["excerpts"]:
        sung[round(each["start"] * 44_100) : round(each["end"] * 44_100) + 2 * 44_100] = True
    assert sung.any()
    assert np.abs(vocals[: round(labels["excerpts"][0]["start"] * 44_100)]).max(initial=0) == 0
    render(tmp_path, "again", "--singing", "singers", *words)
    assert content(tmp_path / "again") == content(tmp_path / "set")


def test_the_vocals_of_a_data_set_are_singing(tmp_path: Path) -> None:
    for number, hertz in ((1, 500), (2, 600)):
        for name in ("vocals", "drums", "mixture"):
            sound = sine(hertz if name == "vocals" else 3_000, 6)
            write_flac(tmp_path / f"songs/s{number}/{name}.flac", sound)
    words = ("--synthetic", "--songs", 1, "--seconds", 8, "-q")
    assert render(tmp_path, "set", "--singing", "songs", *words)[0] == 0
    song = tmp_path / "set/song-0-00000"
    assert {each["song"] for each in labels_of(song)["excerpts"]} <= {"s1", "s2"}
    assert strongest(soundfile.read(song / "vocals.wav")[0]) < 610


def test_drums_from_samples_play_the_labelled_notes(tmp_path: Path) -> None:
    click = np.zeros((1, 4_000))
    click[0, 0] = 0.9
    write_flac(tmp_path / "kit/Kick 01.flac", click)
    words = ("--synthetic", "--songs", 1, "--seconds", 8, "--style", "plain-disco", "-q")
    assert render(tmp_path, "set", "--drums", "kit", *words)[0] == 0
    song = tmp_path / "set/song-0-00000"
    drums, _ = soundfile.read(song / "drums.wav")
    notes = labels_of(song)["notes"]["drums"]
    assert {note["pitch"] for note in notes} == {36}
    level = np.abs(drums).max(axis=1)
    onsets = []
    for place in np.flatnonzero(level > 0.3 * level.max()):
        if not onsets or place - onsets[-1] > 4_000:
            onsets.append(int(place))
    np.testing.assert_allclose(
        np.array(onsets) / 44_100, [note["start"] for note in notes], atol=0.001
    )


def test_a_loop_sets_the_tempo(tmp_path: Path) -> None:
    beat = 44_100 // 2
    loop = np.zeros((1, 8 * beat))
    loop[0, ::beat] = 0.9
    write_flac(tmp_path / "loops/house_120bpm.flac", loop)
    words = ("--synthetic", "--songs", 1, "--seconds", 8, "--style", "plain-house", "-q")
    assert render(tmp_path, "set", "--drums", "loops", *words)[0] == 0
    song = tmp_path / "set/song-0-00000"
    labels, (drums, _) = labels_of(song), soundfile.read(song / "drums.wav")
    assert labels["tempo"] == 120
    assert "drums" not in labels["notes"]
    level = np.abs(drums).max(axis=1)
    for time in labels["beats"][:-1]:
        place = round(time * 44_100)
        near = slice(max(place - 8_000, 0), place + 8_000)
        assert abs(int(level[near].argmax()) + near.start - place) <= 6


def test_stems_are_combined_from_different_songs(tmp_path: Path) -> None:
    tones = {}
    for number in range(4):
        for k, name in enumerate(STEMS):
            tones[f"s{number}", name] = 300 + 100 * (4 * number + k)
            sound = sine(tones[f"s{number}", name], 8)
            write_flac(tmp_path / f"in/train/s{number}/{name}.flac", sound)
    for name in STEMS:
        write_flac(tmp_path / f"in/test/s9/{name}.flac", sine(3_000, 8))
    words = ("--stems", "in", "--songs", 4, "--seconds", 4, "-q")
    assert render(tmp_path, "set", *words)[0] == 0
    for song in sorted((tmp_path / "set").iterdir()):
        labels = labels_of(song)
        sources = {each["stem"]: each["song"] for each in labels["excerpts"]}
        assert len(set(sources.values())) == 4
        total = 0
        for name in STEMS:
            sound, _ = soundfile.read(song / f"{name}.wav", dtype="int16")
            folder = sources[name].rpartition("/")[2]
            assert strongest(sound) == pytest.approx(tones[folder, name], abs=3)
            total = total + sound.astype(int)
        np.testing.assert_array_equal(total, soundfile.read(song / "mixture.wav", dtype="int16")[0])
        assert not (song / "song.mid").exists()


@pytest.mark.parametrize("option", ["--singing", "--drums", "--stems"])
def test_folders_that_cannot_be_used(tmp_path: Path, option: str) -> None:
    (tmp_path / "empty").mkdir()
    more = () if option == "--stems" else ("--synthetic",)
    for folder in ("nowhere", "empty"):
        code, _, err = render(tmp_path, "set", option, folder, *more)
        assert code == 3
        assert err.startswith(f"stemsplit: error: {folder}: ")
    assert not (tmp_path / "set").exists()


def test_unreadable_singing_is_left_out_with_a_warning(tmp_path: Path) -> None:
    write_flac(tmp_path / "singers/a.flac", sine(700, 5))
    (tmp_path / "singers/b.flac").write_bytes(b"fLaC" + bytes(100))
    words = ("--synthetic", "--songs", 1, "--seconds", 1, "-q")
    code, _, err = render(tmp_path, "set", "--singing", "singers", *words)
    assert code == 0
    assert err.startswith("stemsplit: warning: b.flac is left out: ")


def test_songs_that_are_not_wanted_any_longer_are_given_up(tmp_path: Path) -> None:
    given_up = []

    def make(number: int, stop: threading.Event) -> RenderedSong:
        if number:
            given_up.append(stop.wait(20))
            raise Stopped
        stems = {name: np.zeros((2, 100), np.float32) for name in STEMS}
        return RenderedSong(stems=stems, labels={})

    results = render_songs(make, song_folders(tmp_path / "set", 0, 9), workers=2)
    assert next(results).error is None
    results.close()
    assert set(given_up) == {True}
    assert os.listdir(tmp_path / "set") == ["song-0-00000"]


@pytest.mark.parametrize("maker", ["render", "combine"])
def test_a_maker_gives_up_when_it_is_stopped(tmp_path: Path, maker: str) -> None:
    stop = threading.Event()
    stop.set()
    for number in range(2):
        for name in ("vocals", "drums"):
            write_flac(tmp_path / f"in/s{number}/{name}.flac", sine(500, 2))
    with pytest.raises(Stopped):
        if maker == "render":
            settings = Settings(seed=0, seconds=1, styles=(BUILT_IN["plain-rock"],))
            render_song(settings, 0, stop)
        else:
            store = open_store(find_songs(tmp_path / "in", STEMS), STEMS, 44_100)
            combine_song(CombineSettings(seed=0, seconds=1, store=store), 0, stop)


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "stemsplit", "data", "render", *map(str, words)]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        command("set", "--songs", 3, *SHORT),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 5
    assert "song-0-00000: the disk is full" in done.stderr
    assert done.stderr.count("error:") == 1
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_whole_songs(tmp_path: Path, number: signal.Signals) -> None:
    words = ("set", "--songs", 1000, "--workers", 2, *SHORT)
    process = subprocess.Popen(command(*words), cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(2):
        process.stdout.readline()
    process.send_signal(number)
    status = process.wait(30)
    process.stdout.close()
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    names = os.listdir(tmp_path / "set")
    songs = [name for name in names if not name.startswith(".")]
    assert len(songs) >= 2
    for song in songs:
        assert files_below(tmp_path / "set" / song) == [*FILES, "vocals.wav"]
    if number != signal.SIGKILL:
        assert songs == names
