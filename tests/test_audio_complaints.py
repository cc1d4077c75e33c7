"""Damage is reported, and only damage."""

import numpy as np
import pytest
from audio_files import noise, store

from stemsplit.audio.complaints import PASSED_ON, warnings_of
from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe

RATE = 44_100
#: What has a checksum: in its frames, its packets or its pages.
CHECKED = {
    "a.flac": ("-c:a", "flac"),
    "a.oga": ("-c:a", "flac", "-page_duration", "1"),
    "flac.mka": ("-c:a", "flac"),
    "a.wv": ("-c:a", "wavpack"),
    "wv.mka": ("-c:a", "wavpack"),
    "a.tta": ("-c:a", "tta"),
    "tta.mka": ("-c:a", "tta"),
    "a.ogg": ("-c:a", "libvorbis", "-page_duration", "1"),
    "a.opus": ("-c:a", "libopus", "-page_duration", "1"),
}
ID3_BEHIND = b"ID3\3\0\0\0\0\x27\x08" + bytes(5000) + b"TAG" + b" " * 125
LYRICS = b"LYRICSBEGIN" + b"x" * 2000 + b"002011LYRICS200"


def whole(path):
    decoder = decode(probe(path))
    return sum(block.shape[1] for block in decoder), decoder.warnings


@pytest.mark.parametrize("name", CHECKED)
def test_a_flipped_bit_is_reported_and_keeps_the_length(tmp_path, name):
    path = store(tmp_path / name, noise(4 * RATE), RATE, *CHECKED[name])
    frames, warnings = whole(path)
    assert warnings == []
    data = path.read_bytes()
    for place in np.random.default_rng(1).uniform(0.25, 0.75, 4):
        flipped = bytearray(data)
        flipped[int(place * len(data))] ^= 4
        path.write_bytes(flipped)
        found, warnings = whole(path)
        assert any("damaged" in text or "missing" in text for text in warnings), place
        assert abs(found - frames) <= 150


def test_the_place_of_damage_is_a_time():
    said = ["CRC error at PTS 61440", "CRC error at PTS -9223372036854775808", "overread"]
    found = warnings_of(said, _file(b"fLaC"), RATE, whole=True)
    assert found == ["damaged: CRC error at 1.39 s", "damaged: CRC error", "damaged: overread"]
    found = warnings_of(said[:1], _file(b"\x1a\x45\xdf\xa3"), RATE, whole=True)
    assert found == ["damaged: CRC error at 61.44 s"]


def test_consequences_and_remarks_about_the_output_are_left_out():
    said = [
        "invalid residual",
        "decode_frame() failed",
        "Error submitting packet to decoder: Invalid data found when processing input",
        "provided invalid, non monotonically increasing dts to muxer in stream 0: 1 >= 0",
    ]
    assert warnings_of(said, _file(b""), RATE, whole=False) == ["damaged: invalid residual"]
    assert warnings_of(said[2:3], _file(b""), RATE, whole=False) != []
    assert warnings_of(said[3:], _file(b""), RATE, whole=False) == []
    many = [f"trouble {number}" for number in range(9)]
    found = warnings_of(many, _file(b""), RATE, whole=False)
    assert len(found) == PASSED_ON + 1
    assert found[-1] == "damaged: … and in 4 more places"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _file(start):
    from pathlib import Path

    path = Path("song")
    path.write_bytes(start + bytes(100))
    return path


@pytest.mark.parametrize("behind", [ID3_BEHIND, LYRICS, b"TAG" + b" " * 125])
@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.aac"])
def test_tags_after_the_sound_cause_no_ffmpeg_jargon(tmp_path, name, behind):
    path = store(tmp_path / name, noise(3 * RATE), RATE)
    frames, _ = whole(path)
    path.write_bytes(path.read_bytes() + behind)
    found, warnings = whole(path)
    assert warnings == []
    assert abs(found - frames) < 300  # bytes of a tag may look like part of a frame of MP3


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.opus", "a.aac"])
def test_joined_files_cause_no_ffmpeg_jargon(tmp_path, name):
    path = store(tmp_path / name, noise(3 * RATE), RATE)
    frames, _ = whole(path)
    path.write_bytes(path.read_bytes() * 2)
    found, warnings = whole(path)
    assert warnings == []
    # ffmpeg 5 to 7 lose the last frames of FLAC at the join; LAME's padding is sound there.
    assert 2 * frames - 4 * 4608 <= found <= 2 * frames + 3000


def test_missing_mp3_frames_are_reported(tmp_path):
    path = store(tmp_path / "a.mp3", noise(6 * RATE), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :][:1] = b""
    middle = len(data) // 2
    data[middle : middle + 5000] = bytes(5000)
    path.write_bytes(data)
    _frames, warnings = whole(path)
    assert "damaged: Header missing" in warnings
    assert any(text.endswith("of 6.0 s could be decoded") for text in warnings)
