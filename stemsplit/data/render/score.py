"""What a song consists of: beats, chords, and the notes of each part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.midi import DRUM_CHANNEL, Control, MidiFile, MidiNote, MidiTrack

DIVISION = 960  # ticks per beat
PITCHES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
#: Sharps of the major keys, by tonic.
SHARPS = (0, -5, 2, -3, 4, -1, -6, 1, -4, 3, -2, 5)
#: Semitones above the root, by the names of C. Harte et al., "Symbolic representation of musical
#: chords", ISMIR 2005.
QUALITIES = {
    "maj": (0, 4, 7),
    "min": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "min7": (0, 3, 7, 10),
    "hdim7": (0, 3, 6, 10),
    "sus4": (0, 5, 7),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key; the tonic is 0 for C to 11 for B."""

    tonic: int
    minor: bool

    def __str__(self) -> str:
        return f"{PITCHES[self.tonic]}:{'min' if self.minor else 'maj'}"

    @property
    def sharps(self) -> int:
        """The number of sharps in its signature; negative for flats."""
        return SHARPS[(self.tonic + 3) % 12 if self.minor else self.tonic]

    @property
    def scale(self) -> tuple[int, ...]:
        """The semitones of its degrees above the tonic."""
        return (0, 2, 3, 5, 7, 8, 10) if self.minor else (0, 2, 4, 5, 7, 9, 11)


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord; times in beats, the root from 0 (C) to 11 (B), the quality from ``QUALITIES``."""

    start: float
    length: float
    root: int
    quality: str

    def __str__(self) -> str:
        return f"{PITCHES[self.root]}:{self.quality}"

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Its notes, from 0 (C) to 11 (B), the root first."""
        return tuple((self.root + each) % 12 for each in QUALITIES[self.quality])


@dataclass(frozen=True, slots=True)
class Note:
    """A note; times in beats, pitch as MIDI number, velocity from 1 to 127."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one instrument plays; a ``program`` of General MIDI, counted from 0, or its drum kit."""

    name: str
    stem: str
    program: int
    notes: tuple[Note, ...]
    drums: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A song: ``metre`` beats a bar, ``beats`` (N,) the seconds of all beats, N - 1 complete."""

    style: str
    metre: int
    beats: NDArray[np.float64]
    key: Key
    chords: tuple[Chord, ...]
    parts: tuple[Part, ...]
    voice_size: float = 1.0  # of the singer's throat, relative to a woman's

    def seconds(self, beat: float) -> float:
        """Return the time of a position in beats; before and after, the tempo stays the same."""
        last = len(self.beats) - 1
        index = min(max(int(beat // 1), 0), last - 1)
        first, second = self.beats[index], self.beats[index + 1]
        return float(first + (beat - index) * (second - first))

    def chord_at(self, beat: float) -> Chord:
        """Return the chord at a position in beats."""
        past = [chord for chord in self.chords if chord.start <= beat + 1e-9]
        return past[-1] if past else self.chords[0]

    @property
    def tempo(self) -> float:
        """The mean tempo in beats per minute."""
        return float(60 * (len(self.beats) - 1) / (self.beats[-1] - self.beats[0]))


def humanise(part: Part, rng: Generator, *, spread: float) -> Part:
    """Return ``part`` with random deviations of ``spread`` beats and of the velocity."""
    shifts = rng.normal(0, spread, len(part.notes))
    accents = rng.integers(-6, 7, len(part.notes))
    notes = (
        replace(
            note,
            start=max(note.start + float(shift), 0.0),
            velocity=int(np.clip(note.velocity + accent, 1, 127)),
        )
        for note, shift, accent in zip(part.notes, shifts, accents, strict=True)
    )
    return replace(part, notes=tuple(sorted(notes, key=lambda note: (note.start, note.pitch))))


def to_midi(score: Score, parts: tuple[Part, ...], *, pans: tuple[float, ...] = ()) -> MidiFile:
    """Return ``parts`` as a MIDI file with the tempo of ``score``.

    ``pans`` are the places of the parts, from -1 (left) to 1. Beat 0 is preceded by a bar, which
    lasts as long as the silence before it.
    """
    lead = score.metre * DIVISION
    midi = MidiFile(division=DIVISION)
    midi.tempos = [(0, float(score.beats[0]) / score.metre)] if score.beats[0] > 0 else []
    lead = lead if midi.tempos else 0
    lengths = np.diff(score.beats)
    midi.tempos += [(lead + k * DIVISION, float(each)) for k, each in enumerate(lengths)]
    midi.metres = [(0, score.metre, 4)]
    midi.keys = [(0, score.key.sharps, score.key.minor)]
    midi.markers = [(lead + round(each.start * DIVISION), str(each)) for each in score.chords]
    midi.end = lead + len(lengths) * DIVISION
    melodic = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    for number, part in enumerate(parts):
        channel = DRUM_CHANNEL if part.drums else melodic[number % len(melodic)]
        track = MidiTrack(part.name, programs=[(0, channel, part.program)])
        if pans:
            track.controls = [Control(0, channel, 10, round(64 + 63 * pans[number]))]
        track.notes = [
            MidiNote(
                start=lead + round(note.start * DIVISION),
                length=max(round(note.length * DIVISION), 1),
                pitch=note.pitch,
                velocity=note.velocity,
                channel=channel,
            )
            for note in part.notes
        ]
        midi.tracks.append(track)
    return midi
