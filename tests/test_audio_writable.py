"""Whether a file can be written at a place, and why not."""

import os
from pathlib import Path

import pytest
from audio_files import noise
from stem_files import names, write

from stemsplit.audio.writable import refuse_existing
from stemsplit.errors import ExitCode, OutputError


def test_folders_that_cannot_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "gone").symlink_to("nowhere")
    for folder in ("file", "file/deep", "gone", "gone/deep"):
        for force in (False, True):
            with pytest.raises(OutputError, match=r"(file|gone): is not a folder$") as e:
                refuse_existing(tmp_path / folder / "a.wav", force=force)
            assert e.value.exit_code == ExitCode.FILE
            assert e.value.hint == f"needed for {tmp_path / folder / 'a.wav'}"
        with pytest.raises(OutputError, match=r"(file|gone): is not a folder$"):
            write(tmp_path / folder, {"a": noise(10)})
    if Path("/proc/self").exists():  # where not even root can make anything
        with pytest.raises(OutputError, match=r"/proc/self.*(not writable|be written)"):
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
    with pytest.raises(OutputError, match=r"is not writable \(permission denied\)") as e:
        refuse_existing(locked / name, force=True)
    assert e.value.exit_code == ExitCode.FILE
    assert e.value.path == str(locked)
    locked.chmod(0o755)


def test_a_relative_path_without_a_folder_may_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refuse_existing(Path("a.wav"))
    refuse_existing(Path("new/deep/a.wav"))
