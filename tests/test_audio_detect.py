"""Files that may be audio, by their names; first bytes are tried with songs to discover."""

import pytest

from stemsplit.audio.detect import STEM_SUFFIXES, has_audio_name, has_media_name, may_be_audio


@pytest.mark.parametrize(
    ("name", "sounds", "promises"),
    [
        ("a.wav", True, True),
        ("A.FLAC", True, True),
        ("a.b.opus", True, True),
        ("a.mp4", True, False),  # a video may have no sound
        (".a.mp3", False, True),
        ("a.txt", False, False),
        ("wav", False, False),
    ],
)
def test_names(name, sounds, promises):
    assert has_media_name(name) is sounds
    assert has_audio_name(name) is promises


def test_stem_files_count_as_audio():
    assert all(has_media_name(f"song{suffix}") for suffix in STEM_SUFFIXES)


def test_an_unreadable_file_is_not_audio(tmp_path):
    assert not may_be_audio(tmp_path / "absent.wav")
    assert not may_be_audio(tmp_path)
