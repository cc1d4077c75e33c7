"""Ogg: streams and pages of Vorbis and Opus."""

import pytest
from audio_files import noise
from stem_files import STEMS, read, write

from stemsplit.audio import ogg


@pytest.mark.parametrize("format", ["ogg", "opus"])
def test_ogg_streams_have_distinct_serial_numbers(tmp_path, format):
    paths, _ = write(tmp_path, {stem: noise(20_000) for stem in STEMS}, format=format)
    serials = set()
    for path in paths.values():
        with path.open("rb") as file:
            serials |= {page.serial for page in ogg.pages(file)}
    assert len(serials) == len(STEMS)
    assert 0 not in serials


@pytest.mark.parametrize("seconds", [2.9, 3.1])
def test_short_and_longer_vorbis_are_exact(tmp_path, seconds):
    """Below three seconds every packet gets a page, for ffmpeg; above, pages are as usual."""
    frames = int(seconds * 44100)
    paths, _ = write(tmp_path, {"a": noise(frames)}, format="ogg")
    assert read(paths["a"]).shape == (2, frames)
    pages = paths["a"].read_bytes().count(b"OggS")
    assert pages > 100 if seconds < 3 else pages < 10
