"""What all encoders through ffmpeg do when it fails."""

import psutil
import pytest
from audio_files import noise
from stem_files import names, write

from stemsplit.audio.encode import StemWriter
from stemsplit.audio.format_table import FORMATS
from stemsplit.errors import OutputError, ResourceError
from stemsplit.options import EncodingOptions


def test_a_missing_encoder_of_ffmpeg_is_reported(tmp_path, monkeypatch):
    row = FORMATS["ogg"]
    rules = row.rules._replace(ffmpeg_encoder="libno")
    monkeypatch.setitem(FORMATS, "ogg", row._replace(rules=rules))
    with pytest.raises(ResourceError, match=r"this ffmpeg cannot write it: .*libno") as e:
        write(tmp_path, {"a": noise(500_000)}, format="ogg")
    assert "--format" in (e.value.hint or "")
    assert names(tmp_path) == []


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
