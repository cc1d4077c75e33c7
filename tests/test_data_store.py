"""Any part of any song, whatever its format, from several processes, in bounded disk space."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from audio_files import cut, noise, store, store_stem_file, store_wav
from data_sets import FOUR, RATE, write_song, write_sound
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe
from stemsplit.audio.resample import resample
from stemsplit.data import sound_index
from stemsplit.data.collections import TrainingSong, find_training_songs
from stemsplit.data.leakage import refuse_leaks
from stemsplit.data.levels import FLOOR
from stemsplit.data.stems import StemFiles
from stemsplit.data.store import SongStore
from stemsplit.errors import InputError, ResourceError, UsageError

LIMIT = 10**9


def opened(root: Path, cache: Path, sources: tuple[str, ...] = FOUR, **settings: Any) -> SongStore:
    settings = {"sample_rate": RATE, "channels": 1, "limit": LIMIT, **settings}
    return SongStore(find_training_songs(root, sources), sources, cache=cache, **settings)


def single(path: Path, cache: Path, **settings: Any) -> SongStore:
    """Return a store of one song whose only source is the file at ``path``."""
    song = TrainingSong(name="song", split=None, stems={"vocals": StemFiles(paths=(path,))})
    settings = {"sample_rate": RATE, "channels": 2, "limit": LIMIT, **settings}
    return SongStore([song], ("vocals",), cache=cache, **settings)


def whole(path: Path, rate: int, channels: int) -> np.ndarray:
    """Return what the program decodes, resampled as a whole."""
    info = probe(path)
    decoded = np.concatenate(list(decode(info)), axis=1)
    frames = round(decoded.shape[1] * rate / info.sample_rate)
    blocks = resample(
        [decoded], channels=len(decoded), from_rate=info.sample_rate, to_rate=rate, frames=frames
    )
    sound = np.concatenate(list(blocks), axis=1)
    sound = sound.mean(axis=0, keepdims=True) if len(sound) > channels else sound
    return np.repeat(sound, channels // len(sound), axis=0)


# --- Parts of files -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[SongStore, np.ndarray]]:
    """Files of several formats, rates and channel counts: the store, and the whole sound."""
    folder = tmp_path_factory.mktemp("library")
    stereo, mono = noise(20_001, 2, seed=1), noise(15_500, 1, seed=2)
    paths = {
        "wav": store(folder / "a.wav", stereo, RATE),
        "wav24": store(folder / "b.wav", stereo, RATE, "-c:a", "pcm_s24le"),
        "wav32f": store(folder / "c.wav", stereo, RATE, "-c:a", "pcm_f32le"),
        "flac": store(folder / "d.flac", stereo, RATE),
        "mono": store(folder / "e.flac", mono, RATE),
        "wav at 11025 Hz": store(folder / "f.wav", stereo, 11_025),
        "flac at 44100 Hz": store(folder / "g.flac", noise(60_000, 2, seed=4), 44_100),
        "mp3": store(folder / "h.mp3", noise(50_000, 2, seed=3), 44_100),
        "m4a": store(folder / "i.m4a", noise(50_000, 2, seed=3), 48_000),
        "opus": store(folder / "j.opus", noise(50_000, 1, seed=3), 48_000),
        "aiff": store(folder / "k.aiff", stereo, RATE),
        "surround": store(folder / "l.wav", noise(9_000, 6, seed=5), RATE),
    }
    return {
        f"{name}, {channels}": (
            single(path, folder / "cache", channels=channels),
            whole(path, RATE, channels),
        )
        for name, path in paths.items()
        for channels in (1, 2)
    }


def test_files_are_read_in_place_where_that_is_exact(library: dict[str, Any]) -> None:
    cache = next(iter(library.values()))[0]._index.cache
    entries = list((cache / "decoded").iterdir())
    in_place = {"wav", "wav24", "wav32f", "flac", "mono"}
    assert len(entries) == len(library) // 2 - len(in_place)


@settings(max_examples=25, deadline=None)
@given(start=st.integers(-3000, 21_000), frames=st.integers(0, 24_000))
def test_any_part_is_the_slice_of_the_whole(
    library: dict[str, Any], start: int, frames: int
) -> None:
    for name, (songs, sound) in library.items():
        assert songs.frames(0) == sound.shape[1], name
        padded = np.pad(sound, ((0, 0), (3000, 50_000)))
        expected = padded[:, start + 3000 : start + 3000 + frames]
        found = songs.read(0, "vocals", start, frames)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype(np.float32), err_msg=name)


def test_the_streams_of_one_file(tmp_path: Path) -> None:
    stems = [noise(20_000, 2, seed=number) for number in range(5)]
    (tmp_path / "train").mkdir()
    store_stem_file(tmp_path / "train" / "x.stem.mp4", stems, "-c:a", "alac")
    for path in (tmp_path / "train").glob("*.wav"):
        path.unlink()
    settings = {"sample_rate": 44_100, "channels": 2, "mixtures": True}
    songs = opened(tmp_path, tmp_path / "cache", **settings)
    for number, source in enumerate(("mixture", "drums", "bass", "other", "vocals")):
        found = songs.read(0, source, 0, 20_000)
        np.testing.assert_allclose(found, stems[number], atol=1e-4, err_msg=source)


def test_stems_are_sums_of_files_and_absent_ones_are_silent(tmp_path: Path) -> None:
    song = write_song(tmp_path / "set" / "One", ("vocals_lead", "vocals_backing", "drums"))
    write_sound(song / "vocals_backing.wav", seed=9, frames=2500)
    songs = opened(tmp_path / "set", tmp_path / "cache")
    parts = [soundfile.read(song / f"vocals_{each}.wav")[0] for each in ("lead", "backing")]
    expected = parts[0].copy()
    expected[:2500] += parts[1]
    np.testing.assert_allclose(songs.read(0, "vocals", 0, 4000)[0], expected, atol=1e-6)
    assert not songs.read(0, "bass", 0, 4000).any()
    total = expected + soundfile.read(song / "drums.wav")[0]
    np.testing.assert_allclose(songs.read(0, "mixture", 0, 4000)[0], total, atol=1e-6)
    assert songs.frames(0) == 4000
    with pytest.raises(UsageError, match="unknown source 'kazoo'"):
        songs.read(0, "kazoo", 0, 10)


def test_the_mixture_of_a_song_is_its_file_only_if_asked_for(tmp_path: Path) -> None:
    song = write_song(tmp_path / "set" / "One")
    file = soundfile.read(song / "mixture.wav", dtype="float32")[0]
    with_file = opened(tmp_path / "set", tmp_path / "cache", mixtures=True)
    np.testing.assert_array_equal(with_file.read(0, "mixture", 5, 50)[0], file[5:55])
    without = opened(tmp_path / "set", tmp_path / "cache")
    total = sum(without.read(0, source, 5, 50) for source in FOUR)
    np.testing.assert_allclose(without.read(0, "mixture", 5, 50), total, atol=1e-6)


def test_levels_every_tenth_of_a_second(tmp_path: Path) -> None:
    sound = np.zeros(4100, np.float32)
    sound[:800] = 0.1
    sound[1600:2400] = 1e-3
    (tmp_path / "set/One").mkdir(parents=True)
    soundfile.write(tmp_path / "set/One/vocals_a.wav", sound, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "set/One/vocals_b.wav", sound[:800], RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "set/One/bass.wav", np.ones(400), RATE, subtype="FLOAT")
    songs = opened(tmp_path / "set", tmp_path / "cache")
    found = songs.levels(0, "vocals")
    expected = [-17, FLOOR, -60, FLOOR, FLOOR, FLOOR]
    np.testing.assert_allclose(found, expected, atol=0.02)  # two equal powers are 3 dB more
    np.testing.assert_allclose(songs.levels(0, "bass"), [0, *[FLOOR] * 5], atol=0.01)
    assert (songs.levels(0, "drums") == FLOOR).all()
    assert songs.levels(0, "drums").shape == (6,)


def test_levels_are_read_once_and_stay_as_they_are(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    songs = opened(tmp_path / "set", tmp_path / "cache")
    first = songs.levels(0, "bass").copy()
    shutil.rmtree(tmp_path / "cache")
    np.testing.assert_array_equal(songs.levels(0, "bass"), first)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ValueError, match="read-only"):
        songs.levels(0, "bass")[0] = 0.0


def test_one_channel_is_the_mean_of_two(tmp_path: Path) -> None:
    store_wav(tmp_path / "vocals.wav", noise(500, 2), RATE)
    found = single(tmp_path / "vocals.wav", tmp_path / "cache", sample_rate=RATE, channels=1)
    both = soundfile.read(tmp_path / "vocals.wav", dtype="float32")[0]
    np.testing.assert_array_equal(found.read(0, "vocals", 7, 400)[0], both[7:407].mean(axis=1))


# --- What is wrong --------------------------------------------------------------------------------


def test_unreadable_songs_are_left_out_with_a_warning(tmp_path: Path) -> None:
    for name in ("Cut", "Empty", "Fine", "NaN", "Text", "Memo"):
        write_song(tmp_path / "set" / name)
    root = tmp_path / "set"
    shutil.move(cut(root / "Cut/bass.wav"), root / "Cut/bass.wav")
    soundfile.write(root / "Empty/vocals.wav", [], RATE)
    soundfile.write(root / "NaN/drums.wav", [0.0, float("nan")] * 50, RATE, subtype="FLOAT")
    (root / "Text/other.wav").write_text("not a sound")
    for path in (root / "Memo").iterdir():
        path.unlink()
    write_sound(root / "Memo/memo.wav")
    songs = opened(root, tmp_path / "cache")
    assert [song.name for song in songs.songs] == ["Fine"]
    found = {text.partition(" is left out: ")[0]: text for text in songs.warnings}
    assert sorted(found) == ["Cut", "Empty", "Memo", "NaN", "Text"]
    assert "truncated" in found["Cut"]
    assert "0 frames" in found["Empty"]
    assert "has none of the stems" in found["Memo"]
    assert "NaN" in found["NaN"]


def test_a_damaged_flac_is_found_before_the_run(tmp_path: Path) -> None:
    song = write_song(tmp_path / "set" / "One", ("vocals", "drums"))
    write_song(tmp_path / "set" / "Two", ("vocals", "drums"))
    path = write_sound(song / "bass.flac", frames=40_000)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    songs = opened(tmp_path / "set", tmp_path / "cache")
    assert [song.name for song in songs.songs] == ["Two"]


def test_no_songs_and_only_one_stem(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "Memo", ("memo",))
    with pytest.raises(InputError, match="none of the 1 songs can be used; Memo is left out"):
        opened(tmp_path / "set", tmp_path / "cache")
    write_song(tmp_path / "one" / "A", ("vocals",))
    with pytest.raises(InputError, match="the songs have only one stem, vocals"):
        opened(tmp_path / "one", tmp_path / "cache")
    assert opened(tmp_path / "one", tmp_path / "cache", ("vocals",)).frames(0) == 4000


def test_a_file_that_changes_during_the_run_is_an_error(tmp_path: Path) -> None:
    song = write_song(tmp_path / "set" / "One")
    songs = opened(tmp_path / "set", tmp_path / "cache")
    write_sound(song / "bass.wav", seed=99, frames=3000)
    with pytest.raises(InputError, match=r"bass\.wav: has changed since the run started"):
        songs.read(0, "bass", 0, 10)
    (song / "bass.wav").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        songs.read(0, "bass", 0, 10)
    assert songs.read(0, "vocals", 0, 10).any()


@pytest.mark.skipif(os.name == "nt", reason="needs /dev/full or a file in the way")
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    (tmp_path / "file").write_text("x")
    with pytest.raises(Exception, match=r"is not a folder|cannot be written") as caught:
        opened(tmp_path / "set", tmp_path / "file" / "cache")
    assert not isinstance(caught.value, OSError)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_song(tmp_path / "set" / "One")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sound_index.os, "replace", fail)
    with pytest.raises(ResourceError, match="the disk is full"):
        opened(tmp_path / "set", tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.part"))


# --- The cache ------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are measured while a test runs."""
    found: list[str] = []
    original = sound_index.decode

    def count(info: Any) -> Any:
        found.append(info.path.name)
        return original(info)

    monkeypatch.setattr(sound_index, "decode", count)
    return found


def test_files_are_measured_once_and_hashed_only_if_they_changed(
    tmp_path: Path, decoded: list[str], hashed: list[Path]
) -> None:
    song = write_song(tmp_path / "set" / "One")
    first = opened(tmp_path / "set", tmp_path / "cache")
    assert sorted(decoded) == sorted(f"{name}.wav" for name in FOUR)
    assert len(hashed) == 4
    decoded.clear()
    hashed.clear()
    assert opened(tmp_path / "set", tmp_path / "cache").digest == first.digest
    assert (decoded, hashed) == ([], [])
    os.utime(song / "bass.wav", (1, 1))  # the same content
    assert opened(tmp_path / "set", tmp_path / "cache").digest == first.digest
    assert (decoded, [path.name for path in hashed]) == ([], ["bass.wav"])
    write_sound(song / "bass.wav", seed=77)
    assert opened(tmp_path / "set", tmp_path / "cache").digest != first.digest
    assert decoded == ["bass.wav"]
    decoded.clear()
    shutil.move(tmp_path / "set", tmp_path / "moved")
    opened(tmp_path / "moved", tmp_path / "cache")
    assert decoded == []


def test_the_digest_is_of_names_sources_and_contents(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    digest = opened(tmp_path / "set", tmp_path / "cache").digest
    assert opened(tmp_path / "set", tmp_path / "other", sample_rate=4000).digest == digest
    assert opened(tmp_path / "set", tmp_path / "cache", ("vocals", "bass")).digest != digest
    shutil.move(tmp_path / "set/One", tmp_path / "set/Two")
    assert opened(tmp_path / "set", tmp_path / "cache").digest != digest


def test_damaged_entries_are_made_anew(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    before = opened(tmp_path / "set", tmp_path / "cache", sample_rate=4000)
    expected, levels = before.read(0, "bass", 100, 500), before.levels(0, "bass")
    for path in (tmp_path / "cache").rglob("*"):
        if path.suffix in (".npz", ".json", ".f32"):
            path.write_bytes(path.read_bytes()[:7])
    np.testing.assert_array_equal(before.levels(0, "bass"), levels)
    after = opened(tmp_path / "set", tmp_path / "cache", sample_rate=4000)
    np.testing.assert_array_equal(after.read(0, "bass", 100, 500), expected)
    assert after.digest == before.digest


def test_the_disk_is_bounded_and_removed_sound_is_decoded_again(tmp_path: Path) -> None:
    for name in ("A", "B", "C"):
        song = tmp_path / "set" / name
        for number, stem in enumerate(FOUR):
            write_sound(song / f"{stem}.wav", seed=10 * ord(name) + number)
    entry = 2000 * 4  # bytes, at 4 kHz
    songs = opened(tmp_path / "set", tmp_path / "cache", sample_rate=4000, limit=3 * entry)
    assert songs.warnings == [
        "the decoded sound takes 0.0 GB, but the cache is limited to 0.0 GB: "
        "songs are decoded again and again"
    ]
    folder = tmp_path / "cache" / "decoded"
    roomy = opened(tmp_path / "set", tmp_path / "roomy", sample_rate=4000)
    assert roomy.warnings == []
    assert len(list((tmp_path / "roomy/decoded").iterdir())) == 12
    for number in (0, 2, 1):
        for stem in FOUR[:3]:
            expected = roomy.read(number, stem, 3, 800)
            np.testing.assert_array_equal(songs.read(number, stem, 3, 800), expected)
            assert sum(path.stat().st_size for path in folder.iterdir()) <= 3 * entry


def test_the_least_recently_used_sound_is_removed_first(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    songs = opened(tmp_path / "set", tmp_path / "cache", sample_rate=4000, limit=4 * 8000)
    entries = sorted((tmp_path / "cache/decoded").iterdir())
    for age, path in enumerate(entries):
        os.utime(path, (1000 + age, 1000 + age))
    for stem in FOUR[1:]:
        songs.read(0, stem, 0, 10)
    kept = {path.name for path in entries if path.stat().st_mtime > 2000}
    write_song(tmp_path / "more" / "Two", ("vocals", "drums"), frames=4001)
    opened(tmp_path / "more", tmp_path / "cache", sample_rate=4000, limit=5 * 8004)
    assert kept <= {path.name for path in (tmp_path / "cache/decoded").iterdir()}


def _read(songs: SongStore) -> bytes:
    return b"".join(songs.read(0, stem, 17, 600).tobytes() for stem in FOUR)


def _open_and_read(root: Path, cache: Path) -> bytes:
    return _read(opened(root, cache, sample_rate=4000, limit=2 * 8000))


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        places = [(tmp_path / "set", tmp_path / "cache")] * 3
        found = pool.starmap(_open_and_read, places)
    expected = _read(opened(tmp_path / "set", tmp_path / "own", sample_rate=4000))
    assert found == [expected] * 3
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_store_is_pickled_and_used_by_threads(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    songs = opened(tmp_path / "set", tmp_path / "cache", sample_rate=4000, limit=8000)
    copy = pickle.loads(pickle.dumps(songs))
    assert copy.digest == songs.digest
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(_read, [songs, copy] * 4))) == 1


def test_progress_counts_the_files(tmp_path: Path) -> None:
    write_song(tmp_path / "set" / "One")
    seen: list[tuple[int, int]] = []
    opened(tmp_path / "set", tmp_path / "cache", progress=lambda *each: seen.append(each))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# --- Songs in the training and the validation data ------------------------------------------------


def test_the_same_song_in_both_sets_is_refused(
    tmp_path: Path, true_stems: dict[str, np.ndarray]
) -> None:
    for name, gain in (("train/Song", 1.0), ("valid/Copy", 0.3)):
        for stem, sound in true_stems.items():
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            store_wav(tmp_path / name / f"{stem}.wav", gain * sound)
    write_song(tmp_path / "valid" / "Else")
    settings = {"sample_rate": 44_100, "channels": 2}
    train = opened(tmp_path / "train", tmp_path / "cache", **settings)
    valid = opened(tmp_path / "valid", tmp_path / "cache", **settings)
    with pytest.raises(UsageError) as caught:
        refuse_leaks(train, valid)
    assert str(caught.value) == (
        "the same song is in the training and the validation data: "
        "Song (train) and Copy (validation) have the same sound"
    )
    shutil.rmtree(tmp_path / "valid" / "Copy")
    write_song(tmp_path / "valid" / "SONG")  # a title alone may be that of other songs
    refuse_leaks(train, opened(tmp_path / "valid", tmp_path / "cache", **settings))
    (tmp_path / "valid" / "Else").rename(tmp_path / "valid" / "a - b")
    (tmp_path / "train" / "Song").rename(tmp_path / "train" / "A - B")
    train = opened(tmp_path / "train", tmp_path / "cache", **settings)
    with pytest.raises(UsageError, match=r"A - B \(train\) and a - b \(validation\) .* same name"):
        refuse_leaks(train, opened(tmp_path / "valid", tmp_path / "cache", **settings))
    shutil.rmtree(tmp_path / "valid" / "a - b")
    refuse_leaks(train, opened(tmp_path / "valid", tmp_path / "cache", **settings))
