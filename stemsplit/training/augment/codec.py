"""Lossy codecs: signals encoded and decoded again, aligned to the sample."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator

from stemsplit.audio.decode import decode
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.probe import probe
from stemsplit.audio.resample import resample
from stemsplit.errors import UsageError
from stemsplit.options import EncodingOptions
from stemsplit.training.augment.base import Effect, EffectAugmentation, Signals, check_range
from stemsplit.types import Format

#: The formats in which these codecs are written.
CODECS: dict[str, Format] = {"mp3": "mp3", "aac": "m4a", "opus": "opus"}


@dataclass(frozen=True, kw_only=True)
class RoundTrip(EffectAugmentation):
    """Encodes and decodes with a random codec and bit rate (kbit/s), through ffmpeg."""

    p: float = 0.01
    min_bitrate: int = 32
    max_bitrate: int = 320

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The codecs to choose from."""

    def check(self) -> None:
        """Raise ``UsageError`` for unknown codecs, and ranges without a bit rate of a codec."""
        check_range("min_bitrate", self.min_bitrate, "max_bitrate", self.max_bitrate, least=1)
        if not self.names:
            raise UsageError("codecs is empty", hint=f"choose from {', '.join(CODECS)}")
        for name in self.names:
            if name not in CODECS:
                raise UsageError(f"unknown codec {name!r}", hint=f"choose from {', '.join(CODECS)}")
            if not self.bitrates(name):
                given = f"{self.min_bitrate} to {self.max_bitrate} kbit/s"
                raise UsageError(f"{name} has no bit rate of {given}")

    def bitrates(self, name: str) -> list[int]:
        """Return the bit rates (kbit/s) of the codec ``name`` that are in the range."""
        rates = FORMATS[CODECS[name]].rules.bitrates
        return [rate for rate in rates if self.min_bitrate <= rate <= self.max_bitrate]

    def draw(self, rng: Generator) -> Effect:
        """Return the effect with a random codec and bit rate."""
        name = self.names[rng.integers(len(self.names))]
        rates = self.bitrates(name)
        options = EncodingOptions(format=CODECS[name], bitrate=rates[rng.integers(len(rates))])
        return lambda signal: round_trip(signal, options, self.material.sample_rate)


def round_trip(signal: Signals, options: EncodingOptions, sample_rate: int) -> Signals:
    """Return ``signal`` (C, T) as it is after encoding with ``options`` and decoding: (C, T).

    Raises ``ResourceError`` without ffmpeg, or with one that lacks the encoder.
    """
    channels, frames = signal.shape
    with TemporaryDirectory(prefix="stemsplit-") as folder:
        path = Path(folder, f"signal.{FORMATS[options.format].extension}")
        facts = {"sample_rate": sample_rate, "channels": channels, "frames": frames}
        with StemWriter({"signal": path}, options=options, **facts) as writer:
            writer.write({"signal": signal})
            writer.commit()
        info = probe(path)
        with decode(info) as blocks:
            rates = {"from_rate": info.sample_rate, "to_rate": sample_rate}
            return np.concatenate(
                list(resample(blocks, channels=channels, frames=frames, **rates)), axis=1
            )


@dataclass(frozen=True, kw_only=True)
class Mp3Compression(RoundTrip):
    """MP3, by LAME."""

    names = ("mp3",)


@dataclass(frozen=True, kw_only=True)
class CodecRoundTrip(RoundTrip):
    """One of several ``codecs``: mp3, aac, opus."""

    codecs: tuple[str, ...] = ("mp3", "aac", "opus")

    @property
    def names(self) -> tuple[str, ...]:
        """The codecs to choose from."""
        return self.codecs
