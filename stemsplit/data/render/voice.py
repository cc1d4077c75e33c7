"""The synthetic singer, as the lead voice of a song."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data import instruments
from stemsplit.data.render.score import Note, Score

#: Voices have little above 10 kHz, so that half the rate saves half of the work.
RATE_DIVISOR = 2
#: Size of the throat, relative to that of a woman; above 1.08 the voice sings an octave lower.
SIZES = (0.9, 1.2)
MALE = 1.08


def sing(
    score: Score,
    notes: Sequence[Note],
    rng: Generator,
    *,
    frames: int,
    sample_rate: int,
) -> NDArray[np.float32]:
    """Return ``notes`` sung, ``(2, frames)``, by the singer of ``score``.

    The throat is enlarged by playing it slower: pitches and times are adapted before.
    """
    stem = np.zeros((2, frames), np.float32)
    size = score.voice_size
    shift = 12 * float(np.log2(size))
    melody = []
    for note in notes:
        start, end = score.seconds(note.start), score.seconds(note.start + note.length)
        melody.append(instruments.Note(start / size, (end - start) / size, note.pitch + shift))
    if not melody:
        return stem
    count = -(-frames // RATE_DIVISOR)
    rate = round(sample_rate / RATE_DIVISOR * size)
    line = instruments.Composition(1.0, (), tuple(melody))
    sound = instruments.sing(line, rng, count, rate)
    stem[:] = _double_rate(sound)[:, :frames]
    return stem


def pick_size(rng: Generator) -> tuple[float, int]:
    """Return the size of a throat, and the octave that it sings in."""
    size = float(rng.uniform(*SIZES))
    return size, -1 if size > MALE else 0


def _double_rate(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``sound`` ``(2, N)`` as ``(2, 2 N)`` or longer, without new frequencies."""
    size = (sound.shape[-1] // 2**14 + 1) * 2**14  # fast, and silence keeps the ends apart
    spectrum = np.fft.rfft(sound, size)
    return np.asarray(2 * np.fft.irfft(spectrum, 2 * size))
