"""Drums from folders of samples: kits of single strokes, and loops."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.render.recordings import Progress, find_sounds, open_store
from stemsplit.data.render.score import Part, Score
from stemsplit.data.store import SongStore
from stemsplit.data.waveforms import place
from stemsplit.errors import InputError

DRUMS = "drums"
LONGEST = 4.0  # seconds, of a stroke
#: A tempo in a name, such as "funk_96bpm" or "BPM 120".
TEMPO = re.compile(r"(?<!\d)(\d{2,3})[ _-]*bpm|bpm[ _-]*(\d{2,3})(?!\d)", re.IGNORECASE)
#: The drum that a name means; the first that matches is used.
WORDS = {
    "open_hat": ("open", "openhat", "ohh", "oh"),
    "hat": ("hat", "hats", "hihat", "closedhat", "closed", "hh", "ch", "chh"),
    "kick": ("kick", "kicks", "bassdrum", "bd"),
    "rim": ("rim", "rimshot", "stick", "sidestick"),
    "snare": ("snare", "snares", "sd", "sn"),
    "clap": ("clap", "claps", "handclap"),
    "crash": ("crash", "splash", "china"),
    "ride": ("ride",),
    "tom": ("tom", "toms"),
    "tambourine": ("tambourine", "tamb", "shaker", "maracas", "cabasa"),
    "cowbell": ("cowbell", "bell", "woodblock"),
}
#: The drums of General MIDI.
NOTES = {
    "kick": (35, 36),
    "rim": (37,),
    "snare": (38, 40),
    "clap": (39,),
    "tom": (41, 43, 45, 47, 48, 50),
    "hat": (42, 44),
    "open_hat": (46,),
    "crash": (49, 52, 55, 57),
    "ride": (51, 53, 59),
    "tambourine": (54, 69, 70, 82),
    "cowbell": (56, 76, 77),
}
#: Which drum plays if a kit lacks one.
STAND_INS = {
    "rim": "snare",
    "clap": "snare",
    "open_hat": "hat",
    "ride": "hat",
    "crash": "open_hat",
    "tambourine": "hat",
}


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop: its number in the store, its tempo in beats per minute, and its name."""

    song: int
    tempo: float
    name: str


@dataclass(frozen=True, slots=True)
class DrumSamples:
    """Strokes by drum, as numbers in ``store``, and loops."""

    store: SongStore
    strokes: Mapping[str, Sequence[int]]
    loops: tuple[Loop, ...]

    def pick_loop(self, metre: int, rng: Generator) -> Loop | None:
        """Return a random loop; None where single strokes shall play, and always in 3/4."""
        if not self.loops or metre != 4 or (self.strokes and rng.random() < 0.5):
            return None
        return self.loops[int(rng.integers(len(self.loops)))]

    def drum_of(self, pitch: int) -> str | None:
        """Return the drum that plays a note of General MIDI; None if the kit has nothing alike."""
        drum = next((name for name, pitches in NOTES.items() if pitch in pitches), None)
        while drum is not None and drum not in self.strokes:
            drum = STAND_INS.get(drum)
        return drum


def open_drum_samples(
    root: Path, sample_rate: int, progress: Progress | None = None
) -> DrumSamples:
    """Return the samples below ``root``; their names say what they are.

    Raises ``InputError`` if no name is understood, and the errors of `SongStore`.
    """
    files = find_sounds(root, DRUMS)
    known = [file for file in files if TEMPO.search(file.name) or drum_named(file.name)]
    if not known:
        hint = "names should contain a drum (kick, snare, hat, …), or the tempo of a loop (96bpm)"
        raise InputError("contains no drum samples", path=root, hint=hint)
    store = open_store(known, (DRUMS,), sample_rate, progress)
    strokes: dict[str, list[int]] = {}
    loops: list[Loop] = []
    for number, song in enumerate(store.songs):
        if found := TEMPO.search(song.name):
            loops.append(Loop(number, float(found[1] or found[2]), song.name))
        elif drum := drum_named(song.name):
            strokes.setdefault(drum, []).append(number)
    return DrumSamples(store, strokes, tuple(loops))


def drum_named(name: str) -> str | None:
    """Return the drum that a path means: its file name, or else its folders."""
    for part in reversed(Path(name).with_suffix("").parts):
        words = set(re.findall("[a-z]+", part.lower()))
        for drum, names in WORDS.items():
            if words & set(names):
                return drum
    return None


def playable(part: Part, samples: DrumSamples) -> Part:
    """Return ``part`` without the notes that no sample can play."""
    notes = tuple(note for note in part.notes if samples.drum_of(note.pitch) is not None)
    return replace(part, notes=notes)


def play_strokes(
    score: Score, samples: DrumSamples, rng: Generator, frames: int
) -> NDArray[np.float32]:
    """Return the drums of ``score``, ``(2, frames)``, with one sample for each drum."""
    store, stem = samples.store, np.zeros((2, frames))
    kit = {drum: int(rng.choice(songs)) for drum, songs in sorted(samples.strokes.items())}
    longest = round(LONGEST * store.sample_rate)
    sounds = {
        drum: store.read(song, DRUMS, 0, min(store.frames(song), longest)).astype(np.float64)
        for drum, song in kit.items()
    }
    for note in (note for part in score.parts if part.drums for note in part.notes):
        drum = samples.drum_of(note.pitch)
        if drum is not None:
            strength = (note.velocity / 127) ** 1.5
            place(stem, score.seconds(note.start), strength * sounds[drum], store.sample_rate)
    return stem.astype(np.float32)


def play_loop(
    score: Score, samples: DrumSamples, loop: Loop, frames: int
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Return drums ``(2, frames)``: the loop again and again, and the labels of each time."""
    store, stem = samples.store, np.zeros((2, frames))
    length = store.frames(loop.song)
    beats = max(round(length / store.sample_rate * loop.tempo / 60), 1)
    sound = store.read(loop.song, DRUMS, 0, length).astype(np.float64)
    labels = []
    for start, end in _times(score, beats, frames / store.sample_rate):
        place(stem, start, sound[:, : round((end - start) * store.sample_rate)], store.sample_rate)
        labels.append(
            {
                "stem": DRUMS,
                "song": loop.name,
                "from": 0.0,
                "start": round(start, 4),
                "end": round(min(end, frames / store.sample_rate), 4),
            }
        )
    return stem.astype(np.float32), labels


def _times(score: Score, beats: int, seconds: float) -> Iterator[tuple[float, float]]:
    """Yield start and end in seconds of every ``beats`` beats."""
    beat = 0
    while (start := score.seconds(beat)) < seconds:
        beat += beats
        yield start, score.seconds(beat)
