"""Linked stems: kept until their common gain is known."""

import numpy as np
import pytest
from audio_files import noise
from stem_files import STEMS, names, read, write

from stemsplit.audio.encode import StemWriter
from stemsplit.audio.format_table import FORMATS
from stemsplit.options import EncodingOptions

LOUD = {
    stem: noise(20_000, level=level, seed=i)
    for i, (stem, level) in enumerate(zip(STEMS, (0.5, 0.1, 0.1, 0.1), strict=True))
}


@pytest.mark.parametrize("options", [{}, {"depth": "16"}, {"format": "flac"}, {"format": "ogg"}])
def test_linked_stems_are_turned_down_together(tmp_path, options):
    assert np.abs(LOUD["vocals"]).max() > 1.5
    chosen = EncodingOptions(**options, clip="linked", dither=False)
    extension = FORMATS[chosen.format].extension
    paths = {stem: tmp_path / f"{stem}.{extension}" for stem in LOUD}
    writer = StemWriter(paths, options=chosen, sample_rate=44100, channels=2, frames=20_000)
    with writer:
        for start in range(0, 20_000, 3000):
            writer.write({stem: song[:, start : start + 3000] for stem, song in LOUD.items()})
        assert len(names(tmp_path)) == 4  # whatever there is for the meantime is hidden
        assert all(name.endswith(".part") for name in names(tmp_path))
        writer.commit()
    assert names(tmp_path) == sorted(path.name for path in paths.values())
    assert writer.above == dict.fromkeys(LOUD, 0)
    assert writer.gain == pytest.approx(1 / np.abs(LOUD["vocals"]).max(), rel=1e-5)
    found = {stem: read(path) for stem, path in paths.items()}
    if options.get("format") != "ogg":
        assert np.abs(found["vocals"]).max() == pytest.approx(1, abs=1e-4)
        total = sum(found.values())
        assert np.abs(total - writer.gain * sum(LOUD.values())).max() < 4 / 2**15
    else:
        assert np.std(found["vocals"]) == pytest.approx(
            writer.gain * np.std(LOUD["vocals"]), rel=0.05
        )


def test_linked_stems_without_peaks_above_full_scale_are_unchanged(tmp_path):
    songs = {stem: noise(5000, seed=i) for i, stem in enumerate(STEMS)}
    plain, _ = write(tmp_path / "1", songs)
    linked, _ = write(tmp_path / "2", songs, clip="linked")
    assert all(plain[stem].read_bytes() == linked[stem].read_bytes() for stem in STEMS)


@pytest.mark.parametrize("commit", [True, False])
def test_linked_stems_leave_nothing_when_they_fail(tmp_path, commit):
    songs = {stem: noise(5000) for stem in STEMS}
    if not commit:
        write(tmp_path / "new", songs, clip="linked", commit=False)
    else:
        writer = StemWriter(
            {stem: tmp_path / "new" / stem for stem in STEMS},
            options=EncodingOptions(clip="linked"),
            sample_rate=44100,
            channels=2,
            frames=5001,
        )
        with pytest.raises(Exception, match="has 5000 frames instead of 5001"), writer:
            writer.write(songs)
            writer.commit()
    assert names(tmp_path) == []
