"""Writing stems: what is in the files, and that there are all of them or none."""

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from audio_files import decibel, noise
from stem_files import STEMS, four, names, read, write

from stemsplit.audio.encode import StemWriter
from stemsplit.errors import ExitCode, OutputError, ResourceError, StemsplitError, UsageError
from stemsplit.options import EncodingOptions


def test_errors_before_anything_is_written(tmp_path):
    for options, reason in (
        ({"format": "flac", "depth": "32f"}, "flac cannot store floats"),
        ({"format": "mp3", "bitrate": 317}, "mp3 has no bit rate of 317 kbit/s"),
        ({"format": "mp3", "depth": "16"}, "mp3 has no bit depth"),
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


def test_a_folder_that_is_now_in_use_is_kept(tmp_path):
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


def test_existing_files_are_refused_at_the_start(tmp_path):
    (tmp_path / "bass.wav").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"bass\.wav: already exists") as e:
        write(tmp_path, four(100))
    assert e.value.exit_code == ExitCode.FILE
    assert "--force" in (e.value.hint or "")
    assert names(tmp_path) == ["bass.wav"]
    (tmp_path / "bass.wav").unlink()
    (tmp_path / "bass.wav").symlink_to("nowhere")  # a link that leads nowhere exists as well
    with pytest.raises(OutputError, match="already exists"):
        write(tmp_path, four(100))


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_appears_meanwhile_undoes_the_other_renames(tmp_path, force):
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


def test_a_failing_rename_undoes_the_others(tmp_path, monkeypatch):
    """The disk refuses the third rename; the previous files are restored."""
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


def test_a_wav_that_cannot_fit_is_refused_before_the_work(tmp_path):
    frames = 2**50
    writer = StemWriter(
        {"a": tmp_path / "new" / "a.wav"},
        options=EncodingOptions(),
        sample_rate=44100,
        channels=2,
        frames=frames,
    )
    with pytest.raises(ResourceError, match="not enough disk space: 9007199255 MB needed") as e:
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
