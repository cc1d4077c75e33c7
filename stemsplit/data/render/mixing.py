"""The mixing desk and the master: from single sounds to stems whose sum is the mixture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from stemsplit.data.render.effects import (
    CABINET,
    balance,
    combine_kernels,
    convolve,
    level_of,
    limit,
    make_filter,
    make_room,
    overdrive,
    random_equaliser,
)
from stemsplit.data.waveforms import Signal, gain
from stemsplit.stem_names import ORDER

#: Levels of the stems, dB.
LEVELS = {"vocals": 0.0, "drums": -1.0, "bass": -2.0, "other": -2.0}
SPREAD = 3.0  # dB that they may differ from it
CEILING = gain(-0.5)  # of the mixture
FADE = 0.03  # seconds, at the end
STEPS = 2**15  # of 16-bit samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A sound ``(2, T)`` of a stem on its way to the mixture."""

    stem: str
    sound: NDArray[np.float32]
    drive: float | None = None  # dB, of an amplifier
    level: float = 0.0  # dB, relative to the stem's


@dataclass(slots=True)
class Desk:
    """Mixes channels with random equalisers, rooms, levels and places."""

    rng: Generator
    sample_rate: int
    _room: Signal = field(init=False)

    def __post_init__(self) -> None:
        decay = float(self.rng.uniform(0.15, 1.6))
        self._room = make_room(self.rng, decay, 0.0, self.sample_rate)

    def mix(self, channels: Iterable[Channel], frames: int) -> dict[str, NDArray[np.float32]]:
        """Return the stems ``(2, frames)``, with 16-bit values, full scale ±1.

        The sum of all is below full scale too, and has 16-bit values.
        """
        stems = {name: np.zeros((2, frames), np.float32) for name in ORDER}
        for channel in channels:
            stems[channel.stem] += self._processed(channel)
        self._set_levels(stems)
        return master(stems, self.rng, self.sample_rate)

    def _processed(self, channel: Channel) -> NDArray[np.float32]:
        rng, sound = self.rng, channel.sound
        send = float(rng.uniform(-30, -10)) - (10 if channel.stem == "bass" else 0)
        room = self._room * gain(send)
        room[:, 0] = 1.0
        kernels = [random_equaliser(rng, 2.5, self.sample_rate), room]
        side = float(rng.uniform(-0.15, 0.15)) if channel.stem != "bass" else 0.0
        if channel.drive is not None:
            sound = overdrive(sound, channel.drive)
            if channel.stem == "other":
                kernels.append(make_filter(CABINET, self.sample_rate))
        sound = convolve(sound, combine_kernels(kernels))
        level = level_of(sound, self.sample_rate)
        factor = gain(channel.level + float(rng.uniform(-2, 2))) / level if level else 0.0
        return balance(sound * np.float32(factor), side)

    def _set_levels(self, stems: Mapping[str, NDArray[np.float32]]) -> None:
        for name, stem in stems.items():
            wanted = gain(LEVELS[name] + float(self.rng.uniform(-SPREAD, SPREAD)))
            level = level_of(stem, self.sample_rate)
            if level:
                stem *= np.float32(wanted / level)


def master(
    stems: Mapping[str, NDArray[np.float32]], rng: Generator, sample_rate: int
) -> dict[str, NDArray[np.float32]]:
    """Return ``stems`` ``(2, T)`` at a random loudness, limited together, with 16-bit values.

    Their sum is below full scale, and so is each of them.
    """
    total = sum_of(stems)
    peak = float(np.abs(total).max(initial=0.0))
    # A stem may be louder than the mixture, where others cancel it.
    limited = np.concatenate([total, *stems.values()])
    loudness = gain(float(rng.uniform(0, 6))) * CEILING / peak if peak else 0.0
    curve = limit(limited * np.float32(loudness), CEILING) * np.float32(loudness)
    fade = min(round(FADE * sample_rate), curve.size)
    curve[curve.size - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return {name: np.rint(stem * curve * STEPS) / STEPS for name, stem in stems.items()}


def sum_of(stems: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the sum of ``stems``, which all have the same shape."""
    total = np.zeros_like(next(iter(stems.values())))
    for stem in stems.values():
        total += stem
    return total
