"""Renders a song: from a seed to its stems and labels."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemsplit.data.midi import serialise
from stemsplit.data.render import fluid, own_instruments, voice
from stemsplit.data.render.composing import compose
from stemsplit.data.render.drum_samples import (
    DrumSamples,
    Loop,
    play_loop,
    play_strokes,
    playable,
)
from stemsplit.data.render.labels import make_labels
from stemsplit.data.render.mixing import Channel, Desk
from stemsplit.data.render.orchestra import Group, make_groups
from stemsplit.data.render.score import Score, to_midi
from stemsplit.data.render.singing import place_excerpts
from stemsplit.data.render.styles import Style
from stemsplit.data.store import SongStore

SAMPLE_RATE = 44_100


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How songs are rendered. Without ``sound_fonts``, the project's own instruments play."""

    seed: int
    seconds: float
    styles: tuple[Style, ...]
    sound_fonts: tuple[Path, ...] = ()
    singing: SongStore | None = None  # instead of the synthetic singer
    drums: DrumSamples | None = None  # instead of the drums of the sound font


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedSong:
    """Stems ``(2, T)`` at ``SAMPLE_RATE`` with 16-bit values, labels, and a MIDI file."""

    stems: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, Any]
    midi: bytes | None = None


class Stopped(Exception):
    """The song is not wanted any longer."""


def render_song(
    settings: Settings, number: int, stop: threading.Event | None = None
) -> RenderedSong:
    """Return song ``number``, which depends on nothing but that and ``settings``.

    Raises ``ResourceError`` if a program is missing or fails, ``InputError`` if the sound font or a
    recording cannot be read, and ``Stopped`` soon after ``stop`` is set.
    """
    return _Renderer(settings, number, stop or threading.Event()).render()


class _Renderer:
    """Renders one song."""

    def __init__(self, settings: Settings, number: int, stop: threading.Event) -> None:
        self._settings, self._number, self._stop = settings, number, stop
        self._rng = np.random.default_rng([settings.seed, number])
        self._frames = round(settings.seconds * SAMPLE_RATE)
        self._excerpts: list[dict[str, Any]] = []
        fonts = settings.sound_fonts
        self._font = fonts[self._rng.integers(len(fonts))] if fonts else None

    def render(self) -> RenderedSong:
        settings, rng = self._settings, self._rng
        style = settings.styles[rng.integers(len(settings.styles))]
        loop = settings.drums.pick_loop(style.metre, rng) if settings.drums else None
        score = self._compose(style, loop)
        desk = Desk(rng, SAMPLE_RATE)
        stems = desk.mix(self._unless_stopped(self._channels(score, loop)), self._frames)
        labels = {
            "seed": settings.seed,
            "number": self._number,
            "seconds": self._frames / SAMPLE_RATE,
            "sample_rate": SAMPLE_RATE,
            "sound_font": self._font.name if self._font is not None else None,
            **make_labels(score, settings.seconds, self._excerpts),
        }
        midi = serialise(to_midi(score, score.parts))
        return RenderedSong(stems=stems, labels=labels, midi=midi)

    def _unless_stopped(self, channels: Iterator[Channel]) -> Iterator[Channel]:
        for channel in channels:
            if self._stop.is_set():
                raise Stopped
            yield channel

    def _compose(self, style: Style, loop: Loop | None) -> Score:
        """Return a score whose parts are exactly what is played."""
        settings = self._settings
        score = compose(
            style,
            settings.seconds,
            self._rng,
            tempo=loop.tempo if loop is not None else None,
            sings=settings.singing is None,
        )
        if settings.drums is None:
            return score
        parts = [part for part in score.parts if not part.drums]
        if loop is None:
            drums = (part for part in score.parts if part.drums)
            parts += [playable(part, settings.drums) for part in drums]
        return replace(score, parts=tuple(parts))

    def _channels(self, score: Score, loop: Loop | None) -> Iterator[Channel]:
        samples, rng = self._settings.drums, self._rng
        parts = [part for part in score.parts if part.stem != "vocals"]
        if samples is not None:
            parts = [part for part in parts if not part.drums]
        for group in make_groups(parts, rng):
            yield Channel(stem=group.stem, sound=self._play(score, group), drive=group.drive)
        if samples is not None and loop is not None:
            sound, excerpts = play_loop(score, samples, loop, self._frames)
            self._excerpts += excerpts
            yield Channel(stem="drums", sound=sound)
        elif samples is not None:
            yield Channel(stem="drums", sound=play_strokes(score, samples, rng, self._frames))
        yield Channel(stem="vocals", sound=self._sing(score))

    def _play(self, score: Score, group: Group) -> NDArray[np.float32]:
        size = {"frames": self._frames, "sample_rate": SAMPLE_RATE}
        if self._font is None:
            return own_instruments.play(score, group, self._rng, **size)
        return fluid.play(to_midi(score, group.parts, pans=group.pans), self._font, **size)

    def _sing(self, score: Score) -> NDArray[np.float32]:
        if (singing := self._settings.singing) is not None:
            sound, excerpts = place_excerpts(score, singing, self._rng, self._frames)
            self._excerpts += excerpts
            return sound
        [line] = [part for part in score.parts if part.stem == "vocals"]
        seconds = self._settings.seconds
        notes = [note for note in line.notes if score.seconds(note.start) < seconds]
        size = {"frames": self._frames, "sample_rate": SAMPLE_RATE}
        return voice.sing(score, notes, self._rng, **size)
