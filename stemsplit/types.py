"""The vocabulary of the program. Standard library only.

Shapes are written in one notation everywhere: ``B`` batch, ``S`` sources (stems), ``C`` channels,
``T`` samples of one channel (also called frames of audio), ``F`` frequency bins, ``N`` frames of a
spectrogram. A *block* is a float32 array ``(C, n)`` of any ``n``: audio on its way through the
program; full scale is ±1.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["wav", "flac", "aiff", "alac", "mp3", "m4a", "opus", "ogg", "stem.mp4"]
#: A stream may be samples alone.
StreamFormat: TypeAlias = Literal[Format, "raw"]
Codec: TypeAlias = Literal["aac", "alac"]
Depth: TypeAlias = Literal["16", "24", "32f"]
Daw: TypeAlias = Literal["reaper", "dawproject"]
Clip: TypeAlias = Literal["none", "clamp", "linked"]
Existing: TypeAlias = Literal["refuse", "force", "skip", "resume"]
Window: TypeAlias = Literal["triangle", "fade"]
Batch: TypeAlias = int | Literal["auto"] | None
ProgressStyle: TypeAlias = Literal["auto", "bar", "lines", "ndjson", "none"]
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What is known of an audio stream before it is decoded."""

    path: Path
    sample_rate: int  # Hz, as stored
    channels: int  # after decoding: 1 or 2
    stored_channels: int  # as stored; more than ``channels`` means a downmix
    duration: float | None  # seconds, as the container declares it
    codec: str
    stream: int = 0  # which of the audio streams of the file, from 0
    first_frame: int = 0  # of the part that is decoded
    end_frame: int | None = None  # the first that is not; None: to the end


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What only a whole decode tells.

    ``mean`` and ``deviation`` (unbiased) are of the average of the channels, at the rate and with
    the channels that the model hears.
    """

    frames: int  # at the native sample rate
    model_frames: int  # at the model's sample rate
    mean: float
    deviation: float
    warnings: tuple[str, ...] = ()  # damage that the decoder passed over


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingOptions:
    """How stems are stored. None means the format's own default."""

    format: Format = "wav"
    codec: Codec | None = None  # of stem.mp4
    depth: Depth | None = None
    bitrate: int | None = None  # kbit/s, of lossy formats
    quality: int | None = None  # instead of a bit rate: LAME's V of mp3, Vorbis' q of ogg
    dither: bool = True  # of 16 bits
    clip: Clip | None = None  # what becomes of samples above full scale
    tags: bool = True  # whether the stems get those of the song


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How networks are run; None is what the model, or the device, is usually run with.

    ``overlap`` is the share of a segment that overlaps the next, ``segment`` its length in seconds,
    ``batch`` how many segments are in one run of the network. A song is heard ``shifts`` times,
    each time shifted by an amount that depends on ``seed``.
    """

    device: str = "auto"
    precision: Precision = "auto"
    overlap: float | None = None
    segment: float | None = None
    batch: Batch = None
    shifts: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know, which stops nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """A checkpoint is on its way; ``done`` and ``total`` are bytes, None where unknown."""

    name: str
    source: str
    done: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """An input turned out to be audio."""

    info: StreamInfo


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` frames (native sample rate) are separated and handed to the writers."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Finished:
    """All stems of one input stand in their places, and the projects made of them."""

    stems: dict[str, Path]
    sample_rate: int
    channels: int
    frames: int
    projects: dict[Daw, Path] = field(default_factory=dict)


Event: TypeAlias = Warned | Fetching | Opened | Progressed | Finished
