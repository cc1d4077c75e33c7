"""Composes songs: key, tempo, chords, accompaniment, instruments and melody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from stemsplit.data.render import mma, voice
from stemsplit.data.render.harmony import beat_times, make_chords, make_melody, pick_key
from stemsplit.data.render.orchestra import assign_instruments
from stemsplit.data.render.patterns import PATTERNS, make_bass, make_drums, make_parts
from stemsplit.data.render.score import Chord, Key, Part, Score, humanise
from stemsplit.data.render.styles import Style

#: Tempos in beats per minute of the styles of mma: mean, deviation, limits.
TEMPOS = (112, 24, 66, 184)
#: The lead voice, in labels and MIDI files: "voice oohs".
VOICE = 53
#: Largest deviations: of the tempo as a ratio, of notes in seconds (one standard deviation).
DRIFT, HURRY = 0.03, 0.012


def compose(
    style: Style, seconds: float, rng: Generator, *, tempo: float | None, sings: bool
) -> Score:
    """Return a random song in ``style`` as it is played, of ``seconds`` or a little more.

    ``tempo`` (beats per minute) is random, and may drift, unless it is given. ``sings`` says
    whether there is a melody. Raises ``ResourceError`` and ``InputError`` as `mma.accompany` does.
    """
    key = pick_key(rng)
    drift = DRIFT * float(rng.random()) if tempo is None and rng.random() < 0.5 else 0.0
    tempo = tempo or _pick_tempo(style, rng)
    lead = float(rng.uniform(0.02, 0.6))
    beats = beat_times(rng, tempo, seconds, style.metre, lead=lead, drift=drift)
    bars = (len(beats) - 1) // style.metre
    chords = make_chords(rng, key, bars, style.metre)
    parts = assign_instruments(_accompany(style, key, chords, bars, rng), rng)
    size, octave = voice.pick_size(rng)
    if sings:
        melody = make_melody(rng, key, chords, bars, style.metre)
        sung = tuple(replace(note, pitch=note.pitch + 12 * octave) for note in melody)
        parts += (Part(name="Voice", stem="vocals", program=VOICE, notes=sung),)
    spread = HURRY * float(rng.random()) * tempo / 60
    return Score(
        style=style.name,
        metre=style.metre,
        beats=beats,
        key=key,
        chords=chords,
        parts=tuple(humanise(part, rng, spread=spread) for part in parts),
        voice_size=size,
    )


def _pick_tempo(style: Style, rng: Generator) -> float:
    if style.library is None:
        low, high = PATTERNS[style.name].tempos
        return float(rng.uniform(low, high))
    mean, deviation, low, high = TEMPOS
    return float(np.clip(rng.normal(mean, deviation), low, high))


def _accompany(
    style: Style, key: Key, chords: Sequence[Chord], bars: int, rng: Generator
) -> tuple[Part, ...]:
    """Return the accompaniment; styles of mma that lack drums or a bass get built-in ones."""
    if style.library is None:
        return make_parts(PATTERNS[style.name], chords, bars, rng)
    parts = mma.accompany(style, key, chords, bars, rng)
    names = sorted(name for name, each in PATTERNS.items() if each.metre == style.metre)
    pattern = PATTERNS[names[rng.integers(len(names))]]
    stems = {part.stem for part in parts}
    if "drums" not in stems:
        parts += (make_drums(pattern, bars, rng),)
    if "bass" not in stems:
        parts += (make_bass(pattern, chords, bars, rng),)
    return parts
