"""Synthetic instruments: a voice, a drum kit, a bass, and a guitar over strings.

Frequencies are in Hz, times in seconds, levels in dB, pitches in MIDI numbers (69 is 440 Hz).
Nothing here calls BLAS, whose sums differ with the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from stemsplit.data.waveforms import (
    CONTROL_RATE,
    Signal,
    Weight,
    at,
    gain,
    harmonics,
    hertz,
    hiss,
    hump,
    pan,
    place,
    reverberate,
    smooth,
)

Syllable = tuple[str, str, str]

#: Formants of women's vowels: G. E. Peterson and H. L. Barney, "Control methods used in a study of
#: the vowels", JASA 24 (1952), table II; the fourth and fifth are typical of that voice.
VOWELS = {
    "a": (850, 1220, 2810, 3800, 4900),
    "e": (610, 2330, 2990, 3900, 4900),
    "i": (310, 2790, 3310, 4200, 4900),
    "o": (590, 920, 2710, 3700, 4900),
    "u": (370, 950, 2670, 3600, 4900),
    "m": (280, 1000, 2200, 3600, 4900),
    "l": (360, 1300, 2700, 3700, 4900),
}
FORMANT_WIDTHS = (90, 110, 150, 220, 300)
#: Voiceless consonants as bursts of noise: (lowest Hz, highest Hz, seconds, dB).
HISSES = {
    "s": (4_500, 10_000, 0.11, -17.0),
    "sh": (2_200, 7_000, 0.11, -16.0),
    "t": (3_000, 9_000, 0.035, -14.0),
    "k": (1_500, 4_500, 0.04, -14.0),
    "h": (700, 5_000, 0.08, -24.0),
}
#: Syllables: the onset (a key of ``HISSES``, a hum of ``VOWELS``, or none), and the two vowels that
#: the voice glides between.
SYLLABLES = (
    ("s", "a", "i"), ("l", "o", "u"), ("t", "e", "e"), ("m", "a", "a"), ("sh", "i", "i"),
    ("k", "o", "o"), ("h", "a", "e"), ("", "e", "i"), ("l", "a", "a"), ("t", "u", "u"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """One sung pitch."""

    start: float  # seconds
    length: float  # seconds
    pitch: float  # MIDI number


@dataclass(frozen=True, slots=True)
class Composition:
    """The notes of a song in 4/4."""

    beat: float  # seconds
    chords: tuple[tuple[int, ...], ...]  # four pitches a bar, the root first
    melody: tuple[Note, ...]


# --- Instruments: each returns its stem (2, T) ----------------------------------------------------


def sing(song: Composition, rng: Generator, frames: int, sample_rate: int) -> Signal:
    """Return the melody, sung: harmonics of a glottal pulse through gliding formants, and noise."""
    words = [SYLLABLES[rng.integers(len(SYLLABLES))] for _ in song.melody]
    points = int(frames / sample_rate * CONTROL_RATE) + 2
    fundamental, loudness, formants = articulate(song.melody, words, rng, points)

    def throat(frequency: Signal) -> Weight:
        # The pulse falls by 12 dB an octave, and the radiation of the lips adds 6.
        weight = (fundamental / frequency * loudness).astype(complex)
        for centre, width in zip(formants, FORMANT_WIDTHS, strict=True):
            ratio = frequency / centre
            weight /= 1 - ratio**2 + 1j * ratio * width / centre
        return weight

    voice = harmonics(fundamental, throat, 9_000, frames, sample_rate)
    airflow = np.interp(
        np.arange(frames) * (CONTROL_RATE / sample_rate), np.arange(points), loudness
    )
    voice += gain(-34) * airflow * hiss(rng, frames / sample_rate, 1_000, 8_000, sample_rate)
    silent_since = -1.0
    for note, (onset, _, _) in zip(song.melody, words, strict=True):
        if note.start > silent_since + 0.2:  # breathe in before a phrase
            breath = gain(-32) * hiss(rng, 0.25, 600, 5_000, sample_rate)
            place(voice, note.start - 0.35, breath * hump(breath.size), sample_rate)
        if onset in HISSES:
            low, high, length, level = HISSES[onset]
            burst = gain(level) * hiss(rng, length, low, high, sample_rate)
            place(voice, note.start - length / 2, burst * hump(burst.size), sample_rate)
        silent_since = note.start + note.length
    return reverberate(pan(voice, 0.0), rng, sample_rate, decay=1.1, level=-16)


def articulate(
    melody: Sequence[Note], words: Sequence[Syllable], rng: Generator, points: int
) -> tuple[Signal, Signal, Signal]:
    """Return a line's fundamental in Hz ``(N,)``, its loudness ``(N,)`` and formants ``(5, N)``."""
    pitch, loudness, vibrato = np.full(points, melody[0].pitch), np.zeros(points), np.zeros(points)
    formants = np.tile(np.array([VOWELS["a"]], dtype=float).T, points)
    for note, (onset, first, last) in zip(melody, words, strict=True):
        begin, end = (at(t, points) for t in (note.start, note.start + note.length))
        if onset in HISSES:  # the voice starts after the consonant, which straddles the beat
            half = HISSES[onset][2] / 2
            loudness[at(note.start - half, points) : begin] = 0.0
            begin = at(note.start + half, points)
        pitch[begin:] = note.pitch
        loudness[begin:end] = gain(rng.uniform(-2, 1)) * np.linspace(1.0, 0.7, end - begin)
        vibrato[at(note.start + 0.2, points) : end] = 1.0
        formants[:, begin:] = np.array([VOWELS[first]]).T
        formants[:, (begin + end) // 2 :] = np.array([VOWELS[last]]).T
        if onset in VOWELS:
            hum = slice(begin, at(note.start + 0.08, points))
            formants[:, hum] = np.array([VOWELS[onset]]).T
            loudness[hum] *= gain(-7)
    loudness[0] = 0.0  # silence before the first note
    sway = np.sin(2 * np.pi * 5.6 * np.arange(points) / CONTROL_RATE) * smooth(vibrato, 0.25)
    drift = 0.35 * smooth(rng.standard_normal(points), 0.04)  # no voice holds a pitch exactly
    fundamental = hertz(smooth(pitch, 0.09) + 0.4 * sway + drift)
    formants = smooth(formants, 0.07)
    formants[0] = np.maximum(formants[0], 1.05 * fundamental)  # as singers do on high notes
    return fundamental, smooth(loudness, 0.035) * gain(1) ** sway, formants


def drum(song: Composition, rng: Generator, frames: int, sample_rate: int) -> Signal:
    """Return a kit: kick and snare in the middle, hats to the right, a cymbal to the left."""
    kit = np.zeros((2, frames))
    sixteenth = song.beat / 4
    kicks = ((0, 6, 8), (0, 7, 8, 10), (0, 3, 8, 11))[rng.integers(3)]
    for bar in range(len(song.chords)):
        for step in range(16):
            start = (16 * bar + step) * sixteenth
            touch = gain(rng.uniform(-2.5, 0))
            if step in kicks:
                place(kit, start, pan(kick(rng, sample_rate) * touch, 0.0), sample_rate)
            if step in (4, 12):
                place(kit, start, pan(0.75 * snare(rng, sample_rate) * touch, 0.05), sample_rate)
            if step % 2 == 0:
                ring = 0.16 if step == 14 else 0.035
                accent = touch * (0.3 if step % 4 else 0.22)
                place(kit, start, pan(accent * cymbal(rng, ring, sample_rate), 0.35), sample_rate)
        if bar % 4 == 0:
            crash = 0.3 * cymbal(rng, 0.9, sample_rate)
            place(kit, 16 * bar * sixteenth, pan(crash, -0.4), sample_rate)
    return reverberate(np.tanh(1.5 * kit), rng, sample_rate, decay=0.35, level=-16)


def play_bass(song: Composition, frames: int, sample_rate: int) -> Signal:
    """Return eighths on the roots, the last of a bar an octave up: a saw through a low-pass."""
    points = int(frames / sample_rate * CONTROL_RATE) + 2
    pitch, loudness, cutoff = np.full(points, 40.0), np.zeros(points), np.full(points, 200.0)
    for eighth in range(8 * len(song.chords)):
        begin, end = (at(n * song.beat / 2, points) for n in (eighth, eighth + 1))
        since = np.arange(end - begin) / CONTROL_RATE
        pitch[begin:] = song.chords[eighth // 8][0] - 24 + (12 if eighth % 8 == 7 else 0)
        loudness[begin:end] = np.exp(-since / 0.6) * (since < 0.44 * song.beat)
        cutoff[begin:end] = 220 + 1_100 * np.exp(-since / 0.1)
    loudness[0] = 0.0
    fundamental = hertz(smooth(pitch, 0.02))
    loudness = smooth(loudness, 0.012)

    def filtered(frequency: Signal) -> Weight:
        ratio = frequency / cutoff
        return np.asarray(fundamental / frequency * loudness / (1 - ratio**2 + 1.1j * ratio))

    return pan(np.tanh(harmonics(fundamental, filtered, 3_000, frames, sample_rate)), 0.0)


def play_chords(song: Composition, rng: Generator, frames: int, sample_rate: int) -> Signal:
    """Return broken chords on a plucked guitar, half left, over strings that are spread wide."""
    stem = np.zeros((2, frames))
    order = ((0, 2, 1, 3, 2, 1, 3, 2), (0, 1, 2, 3, 2, 1, 2, 3))[rng.integers(2)]
    for bar, chord in enumerate(song.chords):
        for eighth, string in enumerate(order):
            start = (4 * bar + eighth / 2) * song.beat
            touch = gain(rng.uniform(-3, 0))
            place(stem, start, pan(touch * pluck(chord[string], sample_rate), -0.45), sample_rate)
        for number, pitch in enumerate(chord):
            for detuned, side in ((-0.06, -1), (0.06, 1)):
                bow = bowed(pitch + detuned, 4 * song.beat + 0.2, sample_rate) * gain(-15)
                place(stem, 4 * bar * song.beat, pan(bow, side * (0.3 + number / 6)), sample_rate)
    return reverberate(stem, rng, sample_rate, decay=0.9, level=-14)


# --- Single strokes: (T,) of their own length ----------------------------------------------------


def kick(rng: Generator, sample_rate: int) -> Signal:
    """Return a falling sine and the click of the beater."""
    times = np.arange(round(0.45 * sample_rate)) / sample_rate
    cycles = np.cumsum(48 + 150 * np.exp(-times / 0.022)) / sample_rate
    body = np.sin(2 * np.pi * cycles) * np.exp(-times / 0.12)
    click = hiss(rng, 0.45, 1_500, 6_000, sample_rate) * np.exp(-times / 0.004)
    return np.asarray(body + 0.25 * click)


def snare(rng: Generator, sample_rate: int) -> Signal:
    """Return two modes of the head and the rattle of the wires."""
    times = np.arange(round(0.4 * sample_rate)) / sample_rate
    head = np.sin(2 * np.pi * 187 * times) * np.exp(-times / 0.06)
    head += 0.6 * np.sin(2 * np.pi * 331 * times) * np.exp(-times / 0.04)
    wires = hiss(rng, 0.4, 900, 11_000, sample_rate) * np.exp(-times / 0.085)
    return np.asarray(0.7 * head + 0.45 * wires)


def cymbal(rng: Generator, ring: float, sample_rate: int) -> Signal:
    """Return high noise that decays by 8.7 dB in ``ring`` seconds."""
    length = 6 * ring
    times = np.arange(round(length * sample_rate)) / sample_rate
    return np.asarray(hiss(rng, length, 6_500, 15_000, sample_rate) * np.exp(-times / ring))


def pluck(pitch: float, sample_rate: int) -> Signal:
    """Return a steel string, plucked at a fifth of its length: high partials decay first."""
    times = np.arange(round(1.6 * sample_rate)) / sample_rate
    fundamental = float(hertz(pitch))
    sound = np.zeros_like(times)
    for partial in range(1, 25):
        frequency = partial * fundamental * np.sqrt(1 + 1e-4 * partial**2)  # stiffness
        if frequency < 0.45 * sample_rate:
            weight = np.sin(np.pi * partial / 5) / partial**1.1
            decay = np.exp(-times * (1.6 + 0.35 * partial))
            sound += weight * decay * np.sin(2 * np.pi * frequency * times)
    return sound * np.minimum(times / 0.002, 1.0)


def bowed(pitch: float, length: float, sample_rate: int) -> Signal:
    """Return a soft section of strings on one note."""
    times = np.arange(round(length * sample_rate)) / sample_rate
    fundamental = float(hertz(pitch))
    sound = np.zeros_like(times)
    for partial in range(1, 9):
        weight = 1 / (partial * (1 + (partial * fundamental / 1_500) ** 2))
        sound += weight * np.sin(2 * np.pi * partial * fundamental * times + partial**2)
    return np.asarray(sound * np.clip(np.minimum(times / 0.25, (length - times) / 0.25), 0, 1))
