"""Random keys, tempos and chord sequences, and melodies over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.render.score import Chord, Key, Note

#: Chords of a bar or of half a bar: degree of the scale from 1, and quality; bars are separated by
#: spaces, the chords of a bar by commas.
MAJOR = (
    "1maj 5maj 6min 4maj",
    "1maj 6min 4maj 5maj",
    "6min 4maj 1maj 5maj",
    "1maj 4maj 5maj 4maj",
    "1maj7 6min7 2min7 57",
    "2min7 57 1maj7 1maj7",
    "1maj 1maj 4maj 4maj 1maj 5maj,4maj 1maj 5maj",
    "17 47 17 17 47 47 17 17 57 47 17 57",
    "1maj 3min 4maj 5sus4,5maj",
    "4maj7 57 3min7 6min7",
    "1maj 2min 4maj 1maj",
    "1maj,5maj 6min,3min 4maj,1maj 2min,5maj",
)
MINOR = (
    "1min 6maj 3maj 7maj",
    "1min 4min 7maj 3maj",
    "1min 7maj 6maj 57",
    "1min7 4min7 2hdim7 57",
    "1min 1min 4min 1min 6maj 57 1min 57",
    "1min 3maj 7maj 4min",
    "1min,7maj 6maj,5min 4min 5sus4,57",
)
#: Rhythms of two bars of a melody, (start, length) in beats, by metre; the end is for breathing.
PHRASES = {
    4: (
        ((0, 1), (1, 0.5), (1.5, 1), (2.5, 0.5), (3, 1), (4, 0.5), (4.5, 0.5), (5, 2)),
        ((0.5, 0.5), (1, 1), (2, 0.5), (2.5, 1.5), (4, 1), (5, 0.5), (5.5, 1.5)),
        ((0, 1.5), (1.5, 0.5), (2, 1), (3, 0.5), (3.5, 1.5), (5, 1), (6, 1)),
        ((0, 0.5), (0.5, 0.5), (1, 0.5), (1.5, 1.5), (4, 0.5), (4.5, 0.5), (5, 2.5)),
        ((1, 2), (3, 1), (4, 3)),
    ),
    3: (
        ((0, 2), (2, 1), (3, 2)),
        ((0, 1), (1, 1), (2, 1), (3, 1.5), (4.5, 0.5)),
        ((1, 0.5), (1.5, 0.5), (2, 1), (3, 2.5)),
    ),
}
LOWEST, HIGHEST = 57, 76  # of melodies


def pick_key(rng: Generator) -> Key:
    """Return a random key; two thirds are major."""
    return Key(int(rng.integers(12)), bool(rng.random() < 1 / 3))


def beat_times(
    rng: Generator, tempo: float, seconds: float, metre: int, *, lead: float, drift: float
) -> NDArray[np.float64]:
    """Return the seconds ``(N,)`` of the beats of whole bars that last until ``seconds`` or longer.

    The first is at ``lead``; the tempo (beats per minute) wanders by ``drift``, a ratio.
    """
    beat = 60 / tempo
    bars = int(np.ceil((seconds - lead) / (metre * beat * (1 - drift)))) + 1
    count = max(bars, 1) * metre
    walk = np.cumsum(rng.standard_normal(count)) / np.sqrt(count)
    lengths = beat * (1 + drift * np.tanh(walk))
    return np.concatenate([[lead], lead + np.cumsum(lengths)])


def make_chords(rng: Generator, key: Key, bars: int, metre: int) -> tuple[Chord, ...]:
    """Return the chords of ``bars`` bars: two sequences, as verse and chorus."""
    known = MINOR if key.minor else MAJOR
    verse, chorus = (known[k].split() for k in rng.choice(len(known), 2, replace=False))
    form: list[str] = []
    while len(form) < bars:
        form += 2 * verse + 2 * chorus
    chords = []
    for bar, symbols in enumerate(form[:bars]):
        names = symbols.split(",") if metre % 2 == 0 else symbols.split(",")[:1]
        length = metre / len(names)
        for number, name in enumerate(names):
            root = (key.tonic + key.scale[int(name[0]) - 1]) % 12
            chords.append(Chord(bar * metre + number * length, length, root, name[1:]))
    return tuple(chords)


def make_melody(
    rng: Generator, key: Key, chords: Sequence[Chord], bars: int, metre: int
) -> tuple[Note, ...]:
    """Return a line that walks along the scale; long notes belong to the chord."""
    scale = [p for p in range(LOWEST, HIGHEST) if (p - key.tonic) % 12 in key.scale]
    place = len(scale) // 2
    by_half_beat = {round(2 * each.start): each for each in chords}
    notes = []
    for bar in range(0, bars, 2):
        for start, length in PHRASES[metre][rng.integers(len(PHRASES[metre]))]:
            beat = bar * metre + start
            if beat + length > bars * metre:
                continue
            past = (k for k in range(round(2 * beat), -1, -1) if k in by_half_beat)
            chord = by_half_beat[next(past)]
            place = int(np.clip(place + rng.choice((-2, -1, -1, 0, 1, 1, 2)), 0, len(scale) - 1))
            pitch = scale[place]
            if length >= 1:
                fitting = [p for p in range(LOWEST, HIGHEST) if p % 12 in chord.pitch_classes]
                pitch = min(fitting, key=lambda p: abs(p - pitch))
            notes.append(Note(beat, length, pitch, int(rng.integers(70, 110))))
    return tuple(notes)
