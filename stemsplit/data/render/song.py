"""Renders a song: from a seed to its stems and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.midi import serialise
from stemsplit.data.render import fluid, mma, own_instruments, voice
from stemsplit.data.render.harmony import beat_times, make_chords, make_melody, pick_key
from stemsplit.data.render.labels import make_labels
from stemsplit.data.render.mixing import Channel, Desk
from stemsplit.data.render.orchestra import Group, assign_instruments, make_groups
from stemsplit.data.render.patterns import PATTERNS, make_bass, make_drums, make_parts
from stemsplit.data.render.score import Chord, Part, Score, humanise, to_midi
from stemsplit.data.render.styles import Style

SAMPLE_RATE = 44_100
#: Tempos in beats per minute of the styles of mma: mean, deviation, limits.
TEMPOS = (112, 24, 66, 184)
#: The lead voice, in labels and MIDI files: "voice oohs".
VOICE = 53
#: Longest deviations: of the tempo as a ratio, of notes in seconds (one standard deviation).
DRIFT, HURRY = 0.03, 0.012


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How songs are rendered. Without ``sound_fonts``, the project's own instruments play."""

    seed: int
    seconds: float
    styles: tuple[Style, ...]
    sound_fonts: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedSong:
    """Stems ``(2, T)`` at ``SAMPLE_RATE`` with 16-bit values, labels, and a MIDI file."""

    stems: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, Any]
    midi: bytes | None = None


def render_song(settings: Settings, number: int) -> RenderedSong:
    """Return song ``number``, which depends on nothing but that and ``settings``.

    Raises ``ResourceError`` if a program is missing or fails, ``InputError`` if the sound font
    cannot be read.
    """
    rng = np.random.default_rng([settings.seed, number])
    frames = round(settings.seconds * SAMPLE_RATE)
    score = compose(settings, rng)
    font = None
    if settings.sound_fonts:
        font = settings.sound_fonts[rng.integers(len(settings.sound_fonts))]
    desk = Desk(rng, SAMPLE_RATE)
    channels = [
        Channel(stem=group.stem, sound=_play(score, group, font, rng, frames), drive=group.drive)
        for group in make_groups([each for each in score.parts if each.stem != "vocals"], rng)
    ]
    [line] = [part for part in score.parts if part.stem == "vocals"]
    channels.append(Channel(stem="vocals", sound=_sing(score, line, rng, frames)))
    stems = desk.mix(channels, frames)
    labels = {
        "seed": settings.seed,
        "number": number,
        "seconds": frames / SAMPLE_RATE,
        "sample_rate": SAMPLE_RATE,
        "sound_font": font.name if font is not None else None,
        **make_labels(score, settings.seconds),
    }
    return RenderedSong(stems=stems, labels=labels, midi=serialise(to_midi(score, score.parts)))


def compose(settings: Settings, rng: Generator) -> Score:
    """Return a random song in one of the styles, as it is played."""
    style = settings.styles[rng.integers(len(settings.styles))]
    key = pick_key(rng)
    tempo = _pick_tempo(style, rng)
    drift = DRIFT * float(rng.random()) if rng.random() < 0.5 else 0.0
    lead = float(rng.uniform(0.02, 0.6))
    beats = beat_times(rng, tempo, settings.seconds, style.metre, lead=lead, drift=drift)
    bars = (len(beats) - 1) // style.metre
    chords = make_chords(rng, key, bars, style.metre)
    if style.library is None:
        parts = make_parts(PATTERNS[style.name], chords, bars, rng)
    else:
        parts = _completed(mma.accompany(style, key, chords, bars, rng), style, chords, bars, rng)
    parts = assign_instruments(parts, rng)
    melody = make_melody(rng, key, chords, bars, style.metre)
    size, octave = voice.pick_size(rng)
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


def _completed(
    parts: Sequence[Part], style: Style, chords: Sequence[Chord], bars: int, rng: Generator
) -> tuple[Part, ...]:
    """Return ``parts`` with drums and a bass, which some styles lack."""
    names = sorted(name for name, each in PATTERNS.items() if each.metre == style.metre)
    pattern = PATTERNS[names[rng.integers(len(names))]]
    stems = {part.stem for part in parts}
    added = []
    if "drums" not in stems:
        added.append(make_drums(pattern, bars, rng))
    if "bass" not in stems:
        added.append(make_bass(pattern, chords, bars, rng))
    return (*parts, *added)


def _play(
    score: Score, group: Group, font: Path | None, rng: Generator, frames: int
) -> NDArray[np.float32]:
    if font is None:
        return own_instruments.play(score, group, rng, frames=frames, sample_rate=SAMPLE_RATE)
    midi = to_midi(score, group.parts, pans=group.pans)
    return fluid.play(midi, font, frames=frames, sample_rate=SAMPLE_RATE)


def _sing(score: Score, line: Part, rng: Generator, frames: int) -> NDArray[np.float32]:
    seconds = frames / SAMPLE_RATE
    notes = [note for note in line.notes if score.seconds(note.start) < seconds]
    return voice.sing(score, notes, rng, frames=frames, sample_rate=SAMPLE_RATE)
