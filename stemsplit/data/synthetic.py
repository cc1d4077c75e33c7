"""A synthetic song with four stems, for demonstrations and tests that need true stems.

It is similar enough to music (drums, bass, guitar and strings, a sung line with vowels and
consonants) for networks trained on real recordings to separate it.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.instruments import Composition, Note, drum, play_bass, play_chords, sing
from stemsplit.data.waveforms import gain

PEAK = -3.0  # dBFS of the mixture
#: Level of a stem (root mean square) against the vocals, dB.
LEVELS = {"vocals": 0.0, "drums": 0.0, "bass": -1.0, "other": -3.0}

MAJOR = (0, 2, 4, 5, 7, 9, 11)
#: Roots of the chords, one a bar, as degrees of the scale counted from 0.
PROGRESSIONS = ((0, 4, 5, 3), (5, 3, 0, 4), (0, 5, 3, 4), (0, 3, 5, 4))
#: Two bars of the melody: (start, length) in beats, with time to breathe at the end.
PHRASES = (
    ((0, 1), (1, 0.5), (1.5, 1), (2.5, 0.5), (3, 1), (4, 0.5), (4.5, 0.5), (5, 2)),
    ((0.5, 0.5), (1, 1), (2, 0.5), (2.5, 1.5), (4, 1), (5, 0.5), (5.5, 1.5)),
    ((0, 1.5), (1.5, 0.5), (2, 1), (3, 0.5), (3.5, 1.5), (5, 1), (6, 1)),
)


def render(
    seed: int = 0, *, seconds: float = 12.0, sample_rate: int = 44_100
) -> dict[str, NDArray[np.float32]]:
    """Return a song as stems ``(2, T)``: ``vocals``, ``drums``, ``bass``, ``other``.

    The mixture is the sum of the four and peaks at ``PEAK`` dBFS. ``seed`` picks key, tempo, chords
    and melody; the same arguments result in the same samples on the same machine. Raises
    ``ValueError`` for less than one sample, and for rates below 8,000 Hz, which lose the hi-hats.
    """
    frames = round(seconds * sample_rate)
    if frames < 1 or sample_rate < 8_000:
        raise ValueError(f"{seconds} s at {sample_rate} Hz is not a song that can be rendered")
    rng = np.random.default_rng(seed)
    song = compose(rng, seconds)
    stems = {
        "vocals": sing(song, rng, frames, sample_rate),
        "drums": drum(song, rng, frames, sample_rate),
        "bass": play_bass(song, frames, sample_rate),
        "other": play_chords(song, rng, frames, sample_rate),
    }
    for name, stem in stems.items():
        level = np.sqrt(np.mean(stem**2))
        if level > 0:
            stem *= gain(LEVELS[name]) / level
    peak = np.abs(sum(stems.values())).max()
    scale = gain(PEAK) / peak if peak > 0 else 1.0
    return {name: (stem * scale).astype(np.float32) for name, stem in stems.items()}


def compose(rng: Generator, seconds: float) -> Composition:
    """Return chords and a melody for ``seconds`` of music, at 88 to 112 beats a minute."""
    beat = 60.0 / rng.integers(88, 113)
    tonic = int(rng.integers(55, 63))
    degrees = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    bars = int(np.ceil(seconds / (4 * beat)))
    chords = []
    melody: list[Note] = []
    step = int(rng.integers(4, 7))  # of the scale, above the tonic
    for bar in range(bars):
        root = degrees[bar % 4]
        chords.append(tuple(tonic + scale_step(root + third) for third in (0, 2, 4, 7)))
        if bar % 2:
            continue
        for start, length in PHRASES[rng.integers(len(PHRASES))]:
            harmony = degrees[(bar + (start >= 4)) % 4]
            step = int(np.clip(step + rng.choice((-2, -1, -1, 0, 1, 1, 2)), 1, 10))
            if length >= 1:  # long notes belong to the chord
                chord = [s for s in range(12) if (s - harmony) % 7 in (0, 2, 4)]
                step = chord[int(np.abs(np.subtract(chord, step)).argmin())]
            pitch = tonic + scale_step(step)
            melody.append(Note((4 * bar + start) * beat, length * beat, pitch))
    return Composition(beat, tuple(chords), tuple(melody))


def scale_step(step: int) -> int:
    """Return how many semitones ``step`` steps of the major scale are."""
    octave, degree = divmod(step, 7)
    return 12 * octave + MAJOR[degree]
