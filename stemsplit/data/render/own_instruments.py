"""Plays parts with the synthetic instruments of this project, without other programs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.instruments import bowed, cymbal, kick, pluck, snare
from stemsplit.data.render import patterns
from stemsplit.data.render.orchestra import Group
from stemsplit.data.render.score import Score
from stemsplit.data.waveforms import Signal, hertz, pan, place

RELEASE = 0.06  # seconds
#: Programs below this one are plucked or struck, the others bowed.
SUSTAINED = 40
STRETCH = 0.1  # seconds: sounds are made for lengths in these steps
#: Ring of cymbals, in seconds; all other drums are toms.
RINGS = {
    patterns.HAT: 0.03,
    patterns.OPEN_HAT: 0.16,
    patterns.CRASH: 0.9,
    patterns.RIDE: 0.3,
    patterns.TAMBOURINE: 0.05,
}


def play(
    score: Score, group: Group, rng: Generator, *, frames: int, sample_rate: int
) -> NDArray[np.float32]:
    """Return the parts of ``group``, ``(2, frames)``."""
    stem = np.zeros((2, frames))
    for part, side in zip(group.parts, group.pans, strict=True):
        known: dict[tuple[int, int], Signal] = {}
        make = _maker(part.program, part.drums, part.stem, rng, sample_rate)
        for note in part.notes:
            start, end = score.seconds(note.start), score.seconds(note.start + note.length)
            key = (note.pitch, 0 if part.drums else max(round((end - start) / STRETCH), 1))
            if key not in known:
                sound = make(note.pitch, key[1] * STRETCH)
                known[key] = pan(sound, side)
            strength = (note.velocity / 127) ** 1.5
            place(stem, start, strength * known[key], sample_rate)
    return stem.astype(np.float32)


def _maker(
    program: int, drums: bool, stem: str, rng: Generator, sample_rate: int
) -> Callable[[int, float], Signal]:
    """Return what makes the sound of a pitch for a length in seconds."""
    if drums:
        return lambda pitch, _length: _drum(pitch, rng, sample_rate)
    if stem == "bass":
        return lambda pitch, length: _bass(pitch, length, sample_rate)
    if program >= SUSTAINED:
        return lambda pitch, length: bowed(pitch, length + RELEASE, sample_rate)
    return lambda pitch, length: _released(pluck(pitch, sample_rate), length, sample_rate)


def _drum(pitch: int, rng: Generator, sample_rate: int) -> Signal:
    if pitch in (35, patterns.KICK):
        return kick(rng, sample_rate)
    if pitch in (patterns.STICK, patterns.SNARE, 40):
        return snare(rng, sample_rate) * (0.75 if pitch != patterns.STICK else 0.3)
    if pitch in RINGS:
        return 0.25 * cymbal(rng, RINGS[pitch], sample_rate)
    times = np.arange(round(0.5 * sample_rate)) / sample_rate
    cycles = np.cumsum(hertz(pitch) * (1 + 0.4 * np.exp(-times / 0.05))) / sample_rate
    return np.asarray(0.8 * np.sin(2 * np.pi * cycles) * np.exp(-times / 0.15))


def _bass(pitch: int, length: float, sample_rate: int) -> Signal:
    """Return a plucked string with partials that fall by 6 to 12 dB an octave."""
    times = np.arange(round((length + RELEASE) * sample_rate)) / sample_rate
    sound = np.zeros_like(times)
    for partial in range(1, 13):
        decay = np.exp(-times * (0.8 + 0.6 * partial))
        turns = 2 * np.pi * partial * float(hertz(pitch)) * times
        sound += decay * np.sin(turns) / partial**1.3
    return _released(sound * np.minimum(times / 0.004, 1.0), length, sample_rate)


def _released(sound: Signal, length: float, sample_rate: int) -> Signal:
    """Return ``sound``, damped after ``length`` seconds."""
    sound = sound[: round((length + RELEASE) * sample_rate)]
    times = np.arange(sound.size) / sample_rate
    return np.asarray(sound * np.clip(1 - (times - length) / RELEASE, 0, 1))
