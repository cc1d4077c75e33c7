"""Writing stems: what is in the files, and that there are all of them or none."""

import errno
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import mutagen.mp3
import numpy as np
import psutil
import pytest
import soundfile
from audio_files import decibel, lag, noise, run_ffmpeg, tones
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio import pcm
from stemsplit.audio.decode import decode
from stemsplit.audio.encode import StemWriter, refuse_existing
from stemsplit.audio.formats import RULES, encoded_rate
from stemsplit.audio.mp3 import BITRATES, checksum, correct_padding
from stemsplit.audio.probe import probe
from stemsplit.audio.quantise import Remainder, quantise
from stemsplit.errors import ExitCode, OutputError, ResourceError, StemsplitError, UsageError
from stemsplit.options import EncodingOptions

STEMS = ("vocals", "drums", "bass", "other")
#: Those with a file for each stem.
FORMATS = [format for format in RULES if format != "stem.mp4"]
#: How far a stem may be from what was written: half a step, or the codec's error in dB.
STEPS = {"16": 2**-16, "24": 2**-24, "32f": 0}


def write(folder, songs, rate=44100, *, block=10_000, force=False, commit=True, **options):
    """Write ``songs`` {stem: (C, n)}; return their paths and how many samples were too large."""
    chosen = EncodingOptions(**options)
    extension = RULES[chosen.format].extension
    paths = {stem: folder / f"{stem}.{extension}" for stem in songs}
    channels, frames = next(iter(songs.values())).shape
    writer = StemWriter(
        paths, options=chosen, sample_rate=rate, channels=channels, frames=frames, force=force
    )
    with writer:
        for start in range(0, frames, block):
            writer.write({stem: song[:, start : start + block] for stem, song in songs.items()})
        if commit:
            writer.commit()
    return paths, writer.above


def four(frames, channels=2):
    return {stem: noise(frames, channels, seed=i) for i, stem in enumerate(STEMS)}


def read(path):
    info = probe(path)
    blocks = list(decode(info))
    return np.concatenate([np.zeros((info.channels, 0), np.float32), *blocks], 1)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def form_of(path):
    """The tag, channels, rate and bits of the fmt chunk, and the start of every chunk."""
    data = path.read_bytes()
    place, found = 12, {}
    while place < len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        found[name] = data[place + 8 : place + 8 + min(size, 40)]
        place += 8 + size + size % 2
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", found[b"fmt "])
    return (tag, channels, rate, bits), found


@pytest.mark.parametrize(
    ("format", "depth"),
    [
        ("wav", "16"),
        ("wav", "24"),
        ("wav", "32f"),
        ("wav", None),
        ("flac", "16"),
        ("flac", None),
        ("aiff", "16"),
        ("aiff", None),
        ("alac", "16"),
        ("alac", None),
    ],
)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (96000, 2)])
def test_lossless_stems_come_back(tmp_path, format, depth, rate, channels):
    songs = four(30_011, channels)
    paths, clipped = write(tmp_path, songs, rate, format=format, depth=depth, dither=False)
    assert names(tmp_path) == sorted(f"{stem}.{RULES[format].extension}" for stem in STEMS)
    assert clipped == dict.fromkeys(STEMS, 0)
    step = STEPS[depth or RULES[format].depths[0]]
    for stem, song in songs.items():
        info = probe(paths[stem])
        assert (info.sample_rate, info.channels) == (rate, channels)
        found = read(paths[stem])
        assert found.shape == song.shape
        assert np.abs(found - song).max() <= step


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (22050, 2), (8000, 1)])
def test_mp3_keeps_count_place_and_level(tmp_path, rate, channels):
    song = noise(100_003, channels)
    paths, _ = write(tmp_path, {"vocals": song}, rate, format="mp3")
    found = read(paths["vocals"])
    assert found.shape == song.shape
    assert lag(song, found) == 0
    assert decibel(song, found) > 15
    assert abs(20 * np.log10(found.std() / song.std())) < 0.1


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 5000), format=st.sampled_from(["wav", "flac", "mp3"]))
def test_every_length_is_kept(tmp_path_factory, frames, format):
    song = noise(frames)
    paths, _ = write(tmp_path_factory.mktemp("len"), {"a": song}, block=999, format=format)
    assert read(paths["a"]).shape == (2, frames)
    assert soundfile.info(paths["a"]).frames == frames


@pytest.mark.parametrize(
    ("rate", "frames"),
    [
        *((44100, frames) for frames in (1, 2, 46, 47, 1152, 1153, 1198, 1199, 1152 * 20 + 1)),
        # ffmpeg 5 cannot read MPEG-2 files of a few frames, whoever wrote them.
        *((22050, 576 * 40 + frames) for frames in (0, 1, 46, 47, 48)),
    ],
)
def test_lengths_for_which_ffmpeg_cannot_declare_the_padding(tmp_path, rate, frames):
    paths, _ = write(tmp_path, {"a": noise(frames)}, rate, format="mp3")
    assert read(paths["a"]).shape == (2, frames)


def test_nothing_is_as_long_as_nothing(tmp_path):
    paths, _ = write(tmp_path, {"a": noise(0)})
    assert read(paths["a"]).shape == (2, 0)


def test_mp3_above_48_khz_is_stored_at_48_khz(tmp_path):
    options = EncodingOptions(format="mp3")
    found = {rate: encoded_rate(options, rate) for rate in (7350, 8000, 37800, 44100, 88200, 96000)}
    assert found == {
        7350: 8000, 8000: 8000, 37800: 44100, 44100: 44100, 88200: 48000, 96000: 48000,
    }  # fmt: skip
    assert encoded_rate(EncodingOptions(format="flac"), 192000) == 192000
    song = noise(96001)
    paths, _ = write(tmp_path, {"a": song}, 96000, format="mp3")
    found = read(paths["a"])
    assert probe(paths["a"]).sample_rate == 48000
    assert found.shape == (2, 48000)
    assert lag(song[:, ::2], found) == 0


@pytest.mark.parametrize("bitrate", BITRATES)
@pytest.mark.parametrize("rate", [44100, 22050])
def test_mp3_is_as_loud_at_every_bit_rate(tmp_path, bitrate, rate):
    """LAME alone would be 0.45 dB too low below 192 kbit/s: stems would not add up to the song."""
    song = tones(40_000, rate, (440.0, 880.0))
    paths, _ = write(tmp_path, {"a": song}, rate, format="mp3", bitrate=bitrate)
    assert abs(20 * np.log10(np.sum(read(paths["a"]) * song) / np.sum(song**2))) < 0.03


@pytest.mark.parametrize("bitrate", [128, 320])
def test_the_bit_rate_is_constant_and_as_asked(tmp_path, bitrate):
    paths, _ = write(tmp_path, {"a": noise(10 * 44100)}, format="mp3", bitrate=bitrate)
    assert paths["a"].stat().st_size == pytest.approx(10 * bitrate * 125, rel=0.02)


def test_the_gapless_tag_has_a_right_checksum(tmp_path):
    """The checksum that ffmpeg writes proves the one that replaces it."""
    samples = noise(44100).T.tobytes()
    words = ("-f", "f32le", "-ar", "44100", "-ac", "2", "-i", "pipe:0", "-id3v2_version", "0")
    run_ffmpeg(*words, "-b:a", "320k", str(tmp_path / "a.mp3"), data=samples)
    before = (tmp_path / "a.mp3").read_bytes()
    end = before.find(b"Info") + 154
    assert checksum(before[:end]) == int.from_bytes(before[end : end + 2], "big")
    correct_padding(tmp_path / "a.mp3", 44100)
    after = (tmp_path / "a.mp3").read_bytes()
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    maker = end - 34  # there was nothing else to correct
    assert changed
    assert {*changed} <= {*range(maker, maker + 9), end, end + 1}
    assert mutagen.mp3.MP3(tmp_path / "a.mp3").info.length == 1
    correct_padding(tmp_path / "a.mp3", 44000)
    after = (tmp_path / "a.mp3").read_bytes()
    assert checksum(after[:end]) == int.from_bytes(after[end : end + 2], "big")
    assert read(tmp_path / "a.mp3").shape == (2, 44000)
    with pytest.raises(StemsplitError, match=r"the mp3 holds \d+ frames, not 99999"):
        correct_padding(tmp_path / "a.mp3", 99999)
    (tmp_path / "b.mp3").write_bytes(bytes(2000))
    with pytest.raises(StemsplitError, match="no gapless tag"):
        correct_padding(tmp_path / "b.mp3", 1)


@pytest.mark.parametrize(
    ("depth", "form"),
    [("16", (1, 2, 44100, 16)), ("24", (1, 2, 44100, 24)), ("32f", (3, 2, 44100, 32))],
)
def test_wav_headers_are_plain_and_hold_no_time(tmp_path, depth, form):
    """Players refuse WAVE_FORMAT_EXTENSIBLE (0xFFFE)."""
    paths, _ = write(tmp_path, {"a": noise(1000)}, depth=depth)
    found, chunks = form_of(paths["a"])
    assert found == form
    assert paths["a"].read_bytes()[:4] == b"RIFF"
    assert {b"fmt ", b"data"} <= set(chunks)
    assert b"PEAK" not in chunks  # which would hold the time of writing


@pytest.mark.parametrize("options", [{}, {"depth": "16"}, {"format": "flac"}, {"format": "mp3"}])
def test_two_runs_write_the_same_bytes(tmp_path, options):
    song = noise(20_000)
    first, _ = write(tmp_path / "1", {"a": song}, **options)
    time.sleep(1.05)  # a time stamp in seconds would differ
    second, _ = write(tmp_path / "2", {"a": song}, block=777, **options)
    assert first["a"].read_bytes() == second["a"].read_bytes()


def test_rf64_starts_where_a_wav_cannot_count(tmp_path, monkeypatch):
    form = {"depth": "16", "sample_rate": 44100, "channels": 1}
    assert pcm.wav_start(**form, frames=2**31 - 2**25).startswith(b"RIFF")
    assert pcm.wav_start(**form, frames=2**31 - 2**25 + 1).startswith(b"RF64")
    monkeypatch.setattr(pcm, "MOST_DATA", 7999)
    song = noise(1000)
    paths, _ = write(tmp_path, {"a": song})
    data = paths["a"].read_bytes()
    assert (data[:4], data[8:16]) == (b"RF64", b"WAVEds64")
    sizes = struct.unpack_from("<QQQ", data, 20)
    assert sizes == (len(data) - 8, 8000, 1000)
    assert np.array_equal(read(paths["a"]), song)
    assert np.array_equal(soundfile.read(paths["a"], dtype="float32")[0].T, song)


@pytest.mark.slow
def test_more_than_four_gigabytes(tmp_path):
    frames = 2**29 + 5  # stereo floats: 4 GiB and a little
    block = noise(2**20)
    writer = StemWriter(
        {"a": tmp_path / "a.wav"},
        options=EncodingOptions(),
        sample_rate=44100,
        channels=2,
        frames=frames,
    )
    with writer:
        for start in range(0, frames, 2**20):
            writer.write({"a": block[:, : frames - start]})
        writer.commit()
    assert soundfile.info(tmp_path / "a.wav").frames == frames
    assert probe(tmp_path / "a.wav").duration == pytest.approx(frames / 44100)


@pytest.mark.parametrize("depth", ["16", "24"])
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_integers_clip_and_are_counted(tmp_path, format, depth):
    song = np.float32([[1.5, -1.5, 1.0, -1.0, 0.5, 0.0], [0.25, 3.0, 0.0, -0.75, 0.0, 0.0]])
    paths, clipped = write(tmp_path, {"a": song}, format=format, depth=depth, dither=False)
    assert clipped == {"a": 3}
    highest = 1 - 2.0 ** (1 - int(depth))
    expected = np.clip(song, -1, highest)
    assert np.array_equal(read(paths["a"]), expected.astype(np.float32))


def test_floats_do_not_clip(tmp_path):
    song = 20 * noise(1000)
    paths, above = write(tmp_path, {"a": song})
    assert above == {"a": np.count_nonzero(np.abs(song) > 1)}
    assert above["a"] > 0
    assert np.array_equal(read(paths["a"]), song)


@settings(max_examples=50, deadline=None)
@given(step=st.integers(-(2**15), 2**15 - 1), part=st.floats(-0.49, 0.49))
def test_samples_are_rounded_to_the_nearest_step(step, part):
    sixteen, _ = quantise(np.float32([[(step + part) / 2**15]]), "16")
    assert sixteen.tolist() == [[step]]
    assert sixteen.dtype == np.int16
    exact, _ = quantise(np.float32([[step / 2**15]]), "24")
    assert exact.tolist() == [[step << 16]]


@pytest.mark.parametrize("depth", ["16", "24"])
def test_what_is_no_number_becomes_silence_and_infinity_full_scale(depth):
    block = np.float32([[np.nan, np.inf, -np.inf, 3e38, 0.5]])
    before = block.copy()
    steps, clipped = quantise(block, depth)
    full = 2**15 if depth == "16" else 2**31
    top = full - 1 if depth == "16" else full - 256
    assert steps[:, 0].tolist() == [0, top, -full, top, full // 2]
    assert clipped == 3
    assert np.array_equal(block, before, equal_nan=True)


def test_what_is_clipped_is_no_remainder() -> None:
    """Another stem would be damaged by it, and would clip in its turn."""
    stems = {"a": np.float32([[0.25, 1.5, -3.0]]), "b": np.float32([[0.3 / 2**15, 0.0, 0.0]])}
    lost = Remainder(["a", "b"], dithered=False).take(stems)
    assert (lost * 2**15 == np.float32([[0.3, 0.0, 0.0]])).all()


def test_refusals_before_anything_is_made(tmp_path):
    for options, reason in (
        ({"format": "flac", "depth": "32f"}, "flac stores no floats"),
        ({"format": "mp3", "bitrate": 317}, "mp3 has no bit rate of 317 kbit/s"),
        ({"format": "mp3", "depth": "16"}, "mp3 has no depth"),
    ):
        with pytest.raises(UsageError, match=reason) as e:
            write(tmp_path / "new", {"a": noise(10)}, **options)
        assert e.value.exit_code == ExitCode.USAGE
        assert e.value.hint
    same = {"a": tmp_path / "new" / "a.wav", "b": tmp_path / "new" / ".." / "new" / "a.wav"}
    with pytest.raises(UsageError, match="same file"):
        StemWriter(same, options=EncodingOptions(), sample_rate=8000, channels=1, frames=1)
    assert names(tmp_path) == []


def test_a_wrong_number_of_channels_is_a_defect(tmp_path):
    with pytest.raises(ValueError, match="a: 1 channels, not 2"):
        write(tmp_path, {"b": noise(9), "a": noise(9, 1)})
    assert names(tmp_path) == []


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_leaving_without_commit_leaves_nothing(tmp_path, format):
    before = psutil.Process().children()
    write(tmp_path / "a" / "b", four(20_000), format=format, commit=False)
    assert names(tmp_path) == []
    with pytest.raises(KeyError):
        failing(tmp_path / "a" / "b", format)
    assert names(tmp_path) == []
    assert psutil.Process().children() == before


def failing(folder, format):
    writer = StemWriter(
        {stem: folder / stem for stem in STEMS},
        options=EncodingOptions(format=format),
        sample_rate=44100,
        channels=2,
        frames=100,
    )
    with writer:
        writer.write(four(100))
        found = names(folder)
        assert len(found) == 4
        assert all(name.startswith(".stemsplit-") and name.endswith(".part") for name in found)
        raise KeyError


def test_a_folder_that_somebody_else_uses_by_now_stays(tmp_path):
    options = EncodingOptions()
    paths = {"a": tmp_path / "new" / "deep" / "a.wav"}
    with StemWriter(paths, options=options, sample_rate=8000, channels=1, frames=1):
        (tmp_path / "new" / "note.txt").write_text("mine")
    assert names(tmp_path / "new") == ["note.txt"]


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_a_missing_frame_is_a_defect_and_nothing_appears(tmp_path, format):
    writer = StemWriter(
        {"a": tmp_path / "a", "b": tmp_path / "b"},
        options=EncodingOptions(format=format),
        sample_rate=44100,
        channels=1,
        frames=100,
    )
    with pytest.raises(StemsplitError, match="stem b has 99 frames instead of 100") as e, writer:
        writer.write({"a": noise(100, 1), "b": noise(99, 1)})
        writer.commit()
    assert e.value.exit_code == ExitCode.DEFECT
    assert names(tmp_path) == []


def test_what_exists_is_refused_at_the_start(tmp_path):
    (tmp_path / "bass.wav").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"bass\.wav: exists already") as e:
        write(tmp_path, four(100))
    assert e.value.exit_code == ExitCode.FILE
    assert "--force" in (e.value.hint or "")
    assert names(tmp_path) == ["bass.wav"]
    (tmp_path / "bass.wav").unlink()
    (tmp_path / "bass.wav").symlink_to("nowhere")  # a link that leads nowhere exists as well
    with pytest.raises(OutputError, match="exists already"):
        write(tmp_path, four(100))


@pytest.mark.parametrize("force", [False, True])
def test_what_appears_meanwhile_takes_the_others_back(tmp_path, force):
    """The third of four targets turns into a folder while the stems are written."""
    (tmp_path / "in").mkdir()
    paths = {stem: tmp_path / "in" / f"{stem}.wav" for stem in STEMS}
    if force:
        paths["vocals"].write_bytes(b"old")
    writer = StemWriter(
        paths,
        options=EncodingOptions(),
        sample_rate=44100,
        channels=2,
        frames=100,
        force=force,
    )
    with pytest.raises(OutputError, match=r"bass\.wav: is a folder"), writer:
        writer.write(four(100))
        paths["bass"].mkdir()
        writer.commit()
    assert names(tmp_path / "in") == (["bass.wav", "vocals.wav"] if force else ["bass.wav"])
    if force:
        assert paths["vocals"].read_bytes() == b"old"


def test_a_failing_rename_takes_the_others_back(tmp_path, monkeypatch):
    """The disk refuses the third rename; what stood there before stands there again."""
    for stem in STEMS:
        (tmp_path / f"{stem}.wav").write_bytes(stem.encode())
    really = os.replace

    def replace(source, target):
        if Path(target).name == "bass.wav" and Path(source).stat().st_size > 100:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutputError, match=r"bass\.wav: cannot be written: Input/output error"):
        write(tmp_path, four(100), force=True)
    assert names(tmp_path) == sorted(f"{stem}.wav" for stem in STEMS)
    assert all((tmp_path / f"{stem}.wav").read_bytes() == stem.encode() for stem in STEMS)


def interrupting(monkeypatch, owner, name, number):
    """Let Ctrl-C come just after the call ``number`` of ``owner.name``, while all is half done."""
    really = getattr(owner, name)
    calls = []

    def call(*arguments, **options):
        if name == "open" and "xb" not in arguments:  # opens what is there: changes nothing
            return really(*arguments, **options)
        calls.append(arguments)
        try:
            return really(*arguments, **options)
        finally:
            if len(calls) == number:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("format", ["wav", "mp3"])
@pytest.mark.parametrize(
    ("owner", "name", "most"),  # of the calls of one run
    [(Path, "open", 6), (os, "replace", 6), (Path, "unlink", 12), (Path, "mkdir", 2)],
)
def test_ctrl_c_in_between_leaves_all_or_none(tmp_path, monkeypatch, format, owner, name, most):
    """Each call that changes the folder, one by one; two of the four stems are there before."""
    before = psutil.Process().children()
    interrupted = 0
    for number in range(1, most + 1):
        folder = tmp_path / str(number) / "deep"
        fresh = name == "mkdir"  # otherwise two stems are replaced
        if not fresh:
            folder.mkdir(parents=True)
            for stem in STEMS[:2]:
                (folder / f"{stem}.{format}").write_bytes(b"old")
        with monkeypatch.context() as patch:
            interrupting(patch, owner, name, number)
            try:
                write(folder, four(100), force=True, format=format)
            except KeyboardInterrupt:
                interrupted += 1
        found = {path.name: path.stat().st_size for path in folder.parent.rglob("*.*")}
        if len(found) == 4:
            assert set(found) == {f"{stem}.{format}" for stem in STEMS}
            assert min(found.values()) > 100
        else:
            assert found == ({} if fresh else {f"{s}.{format}": 3 for s in STEMS[:2]})
            assert folder.parent.exists() is not fresh
        assert psutil.Process().children() == before
    assert interrupted == most


def test_force_keeps_the_old_files_until_the_new_ones_are_complete(tmp_path):
    for stem in STEMS:
        (tmp_path / f"{stem}.wav").write_bytes(b"old")
    write(tmp_path, four(100), force=True, commit=False)
    assert all(path.read_bytes() == b"old" for path in tmp_path.iterdir())
    paths, _ = write(tmp_path, songs := four(100), force=True)
    assert names(tmp_path) == sorted(f"{stem}.wav" for stem in STEMS)
    assert all(np.array_equal(read(paths[stem]), songs[stem]) for stem in STEMS)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
@pytest.mark.parametrize(
    "name",
    [
        "with spaces 'quotes\" \\",
        "new\nline",
        "🎧 émoji",
        "-y",
        "%d:[0]",
        os.fsdecode(b"latin-\xe9"),
    ],
)
def test_hostile_names(tmp_path, monkeypatch, format, name):
    monkeypatch.chdir(tmp_path)
    songs = {f"{name}{stem}": noise(1152, seed=i) for i, stem in enumerate("ab")}
    paths, _ = write(Path("..") / tmp_path.name / name, songs, format=format)
    for stem, path in paths.items():
        assert path.name == f"{stem}.{format}"
        assert decibel(songs[stem], read(path)) > 10


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: File name too long"):
        write(tmp_path, {"a" * 300: noise(10)})
    with pytest.raises(OutputError, match="cannot be written: embedded null"):
        write(tmp_path, {"a\0": noise(10)})
    write(tmp_path, {"a" * 250: noise(10)})
    assert len(names(tmp_path)) == 1


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "gone").symlink_to("nowhere")
    for folder in ("file", "file/deep", "gone", "gone/deep"):
        for force in (False, True):
            with pytest.raises(OutputError, match="its folder is in fact a file") as e:
                refuse_existing(tmp_path / folder / "a.wav", force=force)
            assert e.value.exit_code == ExitCode.FILE
        with pytest.raises(OutputError, match="its folder is in fact a file"):
            write(tmp_path / folder, {"a": noise(10)})
    if Path("/proc/self").exists():  # where not even root can make anything
        with pytest.raises(OutputError, match=r"/proc/self.* be written"):
            write(Path("/proc/self/new"), {"a": noise(10)})
    assert names(tmp_path) == ["file", "gone"]


@pytest.mark.parametrize("name", ["a.wav", "new/deep/a.wav", "old.wav"])
def test_a_folder_that_may_not_be_written_is_refused_before_the_work(tmp_path, monkeypatch, name):
    """Root may write everywhere, so the answer of the system is given here."""
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "old.wav").touch()
    refuse_existing(locked / name, force=True)
    locked.chmod(0o555)
    if os.access(locked, os.W_OK):
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != locked)
    with pytest.raises(OutputError, match=r"may not be written \(permission denied\)") as e:
        refuse_existing(locked / name, force=True)
    assert e.value.exit_code == ExitCode.FILE
    assert e.value.path == str(locked)
    locked.chmod(0o755)


def test_a_relative_path_without_a_folder_may_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_existing(Path("a.wav"))
    refuse_existing(Path("new/deep/a.wav"))


def test_a_wav_that_cannot_fit_is_refused_before_the_work(tmp_path):
    frames = 2**50
    writer = StemWriter(
        {"a": tmp_path / "new" / "a.wav"},
        options=EncodingOptions(),
        sample_rate=44100,
        channels=2,
        frames=frames,
    )
    with pytest.raises(ResourceError, match="the disk is too full: 9007199255 MB are needed") as e:
        writer.__enter__()
    assert e.value.exit_code == ExitCode.ENVIRONMENT
    assert e.value.path == str(tmp_path / "new")
    assert names(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_a_disk_that_fills_up(small_disk, monkeypatch, format):
    """Found out while writing: the check before is switched off, as if others filled the disk."""
    monkeypatch.setattr(StemWriter, "_refuse_full_disk", lambda self: None)
    message = r"\.\w+: the disk is full \(No space left on device\)"
    with pytest.raises(ResourceError, match=message) as e:
        write(small_disk / "new", {"a": noise(44100 * 20), "b": noise(44100 * 20)}, format=format)
    assert e.value.exit_code == ExitCode.ENVIRONMENT
    assert e.value.path is not None
    assert e.value.path.startswith(str(small_disk / "new"))
    assert names(small_disk) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of POSIX")
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_a_file_that_may_not_grow(tmp_path, format):
    """The limit counts as a full disk; it is set in a child, because it cannot be raised again."""
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from test_audio_encode import Path, ResourceError, noise, write
try:
    write(Path({str(tmp_path / "new")!r}), {{"a": noise(400_000)}}, format={format!r})
except ResourceError as error:
    print(error.reason)
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert child.stdout == b"the disk is full (File too large)\n"
    assert names(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_an_ffmpeg_that_dies_while_encoding(tmp_path):
    writer = StemWriter(
        {"a": tmp_path / "a.mp3"},
        options=EncodingOptions(format="mp3"),
        sample_rate=44100,
        channels=2,
        frames=10**7,
    )
    with pytest.raises(OutputError, match=r"a\.mp3: cannot be written: .*SIGKILL"), writer:
        writer.write({"a": noise(100_000)})
        psutil.Process().children()[-1].kill()
        while True:
            writer.write({"a": noise(100_000)})
    assert names(tmp_path) == []
