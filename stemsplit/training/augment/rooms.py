"""Rooms: sources convolved with the response of a room, synthetic or recorded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe
from stemsplit.audio.resample import resample
from stemsplit.data.waveforms import gain
from stemsplit.errors import UsageError
from stemsplit.training.augment.base import (
    Effect,
    EffectAugmentation,
    Signals,
    check_range,
)
from stemsplit.training.augment.filters import convolve

#: Reverberation time is the time of a decay by 60 dB: a factor of 1000.
DECAY = np.log(1000.0)
#: Seconds between the direct sound and the first reflections.
EARLIEST, LATEST = 0.002, 0.02
RECORDINGS = (".wav", ".flac", ".aiff", ".aif")
LONGEST = 10.0  # seconds of a recorded response that are used


@dataclass(frozen=True, kw_only=True)
class Room(EffectAugmentation):
    """A synthetic room: the sound itself, then noise that decays exponentially.

    ``seconds`` is the reverberation time (to -60 dB), ``wet_db`` the energy of the noise against
    the direct sound. The channels have independent noise; the energy of the whole is 1.
    """

    p: float = 0.1
    min_seconds: float = 0.1
    max_seconds: float = 0.8
    min_wet_db: float = -24.0
    max_wet_db: float = -6.0

    def check(self) -> None:
        """Raise ``UsageError`` for empty ranges, and times outside 0.01 to 10 s."""
        low, high = self.min_seconds, self.max_seconds
        check_range("min_seconds", low, "max_seconds", high, least=0.01, most=10.0)
        check_range("min_wet_db", self.min_wet_db, "max_wet_db", self.max_wet_db)

    def draw(self, rng: Generator) -> Effect:
        """Return the effect of a random room."""
        seconds = rng.uniform(self.min_seconds, self.max_seconds)
        wet = gain(rng.uniform(self.min_wet_db, self.max_wet_db))
        delay = rng.uniform(EARLIEST, LATEST)
        seed = rng.integers(2**63)  # all sources in this room get the same response

        def reverberate(signal: Signals) -> Signals:
            noise = np.random.default_rng(seed)
            rate = self.material.sample_rate
            return convolve(signal, response_of(seconds, wet, delay, len(signal), rate, noise))

        return reverberate


def response_of(
    seconds: float, wet: float, delay: float, channels: int, sample_rate: int, rng: Generator
) -> Signals:
    """Return the response (C, n) of a synthetic room, whose first sample is the direct sound."""
    first, frames = round(delay * sample_rate), round(seconds * sample_rate)
    decay = np.exp(-DECAY / frames * np.arange(frames))
    noise = rng.standard_normal((channels, frames)) * decay
    noise *= wet / np.sqrt(np.square(noise).sum(axis=1, keepdims=True))
    response = np.zeros((channels, first + frames))
    response[:, first:] = noise
    response[:, 0] = 1.0
    scaled: Signals = (response / np.sqrt(1 + wet**2)).astype(np.float32)
    return scaled


@dataclass(frozen=True, kw_only=True)
class RoomResponse(EffectAugmentation):
    """A recorded response, one of the sound files in ``folder`` and the folders in it.

    The strongest sample counts as the direct sound: what comes before it is cut, so that sources
    remain aligned. The energy is made 1.
    """

    p: float = 0.1
    folder: str

    def check(self) -> None:
        """Raise ``UsageError`` for a folder without sound files."""
        if not self.files:
            endings = ", ".join(RECORDINGS)
            raise UsageError(f"has no room responses ({endings})", path=self.folder)

    @property
    def files(self) -> list[Path]:
        """The responses, in an order that does not depend on the disk."""
        return _files(self.folder)

    def draw(self, rng: Generator) -> Effect:
        """Return the effect of a random response. Raises ``InputError`` for a damaged file."""
        path = self.files[rng.integers(len(self.files))]
        return lambda signal: convolve(signal, self._response(path, len(signal)))

    def _response(self, path: Path, channels: int) -> Signals:
        recorded = recorded_response(path, self.material.sample_rate)
        if len(recorded) in (1, channels):
            return recorded
        mean: Signals = recorded.mean(axis=0, keepdims=True)
        return mean


@lru_cache(maxsize=16)
def _files(folder: str) -> list[Path]:
    found = Path(folder).expanduser().rglob("*")
    return sorted(path for path in found if path.suffix.lower() in RECORDINGS)


@lru_cache(maxsize=64)
def recorded_response(path: Path, sample_rate: int) -> Signals:
    """Return the response (C, n) in the file at ``path``, from its strongest sample on.

    Raises ``InputError`` for a file that cannot be read, and ``UsageError`` for a silent one.
    """
    info = probe(path)
    with decode(info) as blocks:
        rates = {"from_rate": info.sample_rate, "to_rate": sample_rate}
        response = np.concatenate(list(resample(blocks, channels=info.channels, **rates)), axis=1)
    first = int(np.abs(response).max(axis=0).argmax()) if response.size else 0
    response = response[:, first : first + round(LONGEST * sample_rate)]
    if not (energy := float(np.square(response).sum(axis=1).mean()) if response.size else 0.0):
        raise UsageError("is silent: not the response of a room", path=path)
    scaled: Signals = response * np.float32(1 / np.sqrt(energy))
    return scaled
