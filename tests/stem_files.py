"""Stems written in any format, and read back."""

import numpy as np
from audio_files import noise

from stemsplit.audio.decode import decode
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.probe import probe
from stemsplit.options import EncodingOptions

STEMS = ("vocals", "drums", "bass", "other")
#: Those with a file for each stem.
EACH_STEM = [format for format, row in FORMATS.items() if not row.holds_all_stems]
#: Those that libsndfile reads.
OTHER_READER = [f for f in ("wav", "aiff", "flac", "mp3", "ogg", "opus") if f in EACH_STEM]
LOSSLESS = [format for format in EACH_STEM if FORMATS[format].rules.depths]
LOSSY = [format for format in EACH_STEM if not FORMATS[format].rules.depths]


def write(folder, songs, rate=44100, *, block=10_000, force=False, commit=True, **options):
    """Write ``songs`` {stem: (C, n)}; return their paths and how many samples were too large."""
    chosen = EncodingOptions(**options)
    extension = FORMATS[chosen.format].extension
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


def write_stem(folder, tags, format, *, frames=20_000, rate=44100, channels=2, **options):
    """Write one stem ``vocals`` with the ``tags`` of its song; return its path."""
    path = folder / f"{format}.{FORMATS[format].extension}"
    writer = StemWriter(
        {"vocals": path},
        options=EncodingOptions(format=format, **options),
        sample_rate=rate,
        channels=channels,
        frames=frames,
        tags=tags,
    )
    with writer:
        writer.write({"vocals": noise(frames, channels)})
        writer.commit()
    return path
