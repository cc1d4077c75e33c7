"""Encoders of files and of streams: the same bytes."""

import io

import pytest
from audio_files import noise
from stem_files import write_stem
from tagged_files import TEXTS

from stemsplit.audio.encoders.base import Stem
from stemsplit.audio.encoders.opening import can_stream, open_stream_encoder
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.tags.model import Tags
from stemsplit.options import EncodingOptions

STREAMED = ("wav", "aiff")


class Kept(io.BytesIO):
    def close(self):
        """Stay readable."""


def stem_of(path, **options):
    return Stem(
        name="vocals",
        target=path,
        temporary=path,
        options=EncodingOptions(**options),
        sample_rate=44100,
        channels=1,
        frames=999,
        tags=Tags(texts=TEXTS).of_stem("vocals"),
    )


def streamed(path, *, bare=False, **options):
    sink = Kept()
    encoder = open_stream_encoder(stem_of(path, **options), sink, bare=bare)
    encoder.write(noise(999, 1)[:, :500])
    encoder.write(noise(999, 1)[:, 500:])
    encoder.close()
    assert encoder.frames == 999
    return sink.getvalue()


@pytest.mark.parametrize(
    ("format", "depth"), [(name, d) for name in STREAMED for d in FORMATS[name].rules.depths]
)
def test_a_stream_has_the_bytes_of_the_file(tmp_path, format, depth):
    tags = Tags(texts=TEXTS)
    path = write_stem(tmp_path, tags, format, frames=999, channels=1, depth=depth)
    assert streamed(tmp_path / "none", format=format, depth=depth) == path.read_bytes()
    samples = streamed(tmp_path / "none", bare=True, format=format, depth=depth)
    width = {"16": 2, "24": 3, "32f": 4}[depth]
    assert len(samples) == 999 * width  # an odd number of 24 bits: no padding
    assert samples in path.read_bytes()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_what_can_be_streamed(tmp_path, format):
    assert can_stream(EncodingOptions(format=format)) is (format in STREAMED)
    assert not can_stream(EncodingOptions(format=format, clip="linked"))
    if format not in STREAMED:
        with pytest.raises(ValueError, match=f"{format} cannot be written to a stream"):
            open_stream_encoder(stem_of(tmp_path / "a", format=format), Kept(), bare=False)
