"""Types that the whole program shares. Standard library only.

Shapes use the same notation everywhere: ``B`` batch, ``S`` sources (stems), ``C`` channels, ``T``
samples of one channel (also called frames of audio), ``F`` frequency bins, ``N`` frames of a
spectrogram. A *block* is a float32 array ``(C, n)`` with any ``n``, in which audio passes through
the program; full scale is ±1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["wav", "flac", "aiff", "alac", "mp3", "m4a", "opus", "ogg", "stem.mp4"]
#: A stream may also be headerless samples.
StreamFormat: TypeAlias = Literal[Format, "raw"]
Codec: TypeAlias = Literal["aac", "alac"]
Depth: TypeAlias = Literal["16", "24", "32f"]
Daw: TypeAlias = Literal["reaper", "dawproject"]
Clip: TypeAlias = Literal["none", "clamp", "linked"]
#: What happens to existing outputs. "resume" writes those that are missing, or were made before the
#: song changed; "update" also those made with other settings; neither replaces edited files.
#: "skip" keeps every existing file, "force" replaces all.
Existing: TypeAlias = Literal["resume", "update", "skip", "force"]
#: Why a song was split, skipped or refused. All of its outputs ("new") or some ("missing") did not
#: exist; a run that was replacing them was "interrupted"; they were made before the song changed,
#: with other settings (another model, another excerpt) or from another song, or edited after they
#: were written; they are "foreign" (not in the manifest) or "up_to_date". "exists" is why
#: --skip-existing skips, "forced" why --force replaces.
Reason: TypeAlias = Literal[
    "new",
    "missing",
    "interrupted",
    "song_changed",
    "made_otherwise",
    "other_song",
    "edited",
    "foreign",
    "up_to_date",
    "exists",
    "forced",
]
Window: TypeAlias = Literal["triangle", "fade"]
BatchSize: TypeAlias = int | Literal["auto"] | None
ProgressStyle: TypeAlias = Literal["auto", "bar", "lines", "ndjson", "none"]
Precision: TypeAlias = Literal["auto", "fp32", "fp16", "bf16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """What is known about an audio stream before it is decoded."""

    path: Path
    sample_rate: int  # Hz, as stored
    channels: int  # after decoding: 1 or 2
    stored_channels: int  # as stored; more than ``channels`` means a downmix
    duration: float | None  # seconds, as declared by the container
    counted: bool = False  # whether the duration is exact: the header counts samples
    most_frames: int | None = None  # of sound; some versions of ffmpeg decode more
    timed: bool = True  # whether the container stores time stamps
    placed: bool = True  # whether the channel layout is known
    codec: str
    decoder: str | None = None  # of ffmpeg, where its own choice would be wrong
    stream: int = 0  # index among the audio streams of the file, from 0
    silent_frames: int = 0  # before the sound, if a video starts with the picture
    first_frame: int = 0  # first frame to decode, counted from the start of the video
    end_frame: int | None = None  # first frame not to decode; None: decode to the end


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """The result of the first pass over a song.

    ``mean`` and ``deviation`` (unbiased) are those of the average of the channels, at the model's
    sample rate.
    """

    frames: int  # at the native sample rate
    mean: float
    deviation: float
    warnings: tuple[str, ...] = ()  # damage that the decoder skipped


# --- Events: what happens during a split, for its caller ------------------------------------------


@dataclass(frozen=True, slots=True)
class Planned:
    """The songs of a run: path to display name. ``entries`` also counts invalid inputs."""

    songs: Mapping[Path, str]
    entries: int


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning; the run goes on. ``song`` is the song that it concerns, if any."""

    message: str
    song: Path | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """A status message for people."""

    message: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """A download; ``done`` and ``total`` are bytes of all its files, None where unknown.

    In the ``convert`` stage, what was downloaded becomes weights of this program.
    """

    name: str
    source: str
    done: int | None
    total: int | None
    stage: Literal["download", "convert"] = "download"


@dataclass(frozen=True, slots=True)
class Loading:
    """The model is being loaded, which begins with the import of torch."""

    model: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model is ready; ``execution`` says on what device and in which precision it runs.

    ``speed`` is what it reached in earlier runs here, as a multiple of real time, if that is known.
    """

    model: str
    execution: str
    seconds: float  # taken to load it
    device: str
    speed: float | None = None  # seconds of sound per second, as measured earlier


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The lengths (s) of the songs of a run that have stems to be written; None where unknown."""

    lengths: Mapping[Path, float | None]


@dataclass(frozen=True, slots=True)
class Estimated:
    """Totals of the songs that a dry run would split."""

    songs: int
    seconds: float  # of those whose length is known
    of_unknown_length: int
    disk: int  # bytes of the stems, at most
    free: int  # bytes on the disk of the output folder
    model: str
    download: int | None  # bytes of missing weights; None if their size is not published


@dataclass(frozen=True, slots=True)
class Scanning:
    """A song is being read for the first time, from start to end."""

    song: Path


@dataclass(frozen=True, slots=True)
class NotAudio:
    """A file in a folder has no audio and is skipped, for this ``reason``."""

    song: Path
    reason: str


@dataclass(frozen=True, slots=True)
class WaitingForOthers:
    """Another run is splitting these songs; this one waits for it."""

    songs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """The file of a song was opened and has audio."""

    song: Path
    info: StreamInfo


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` frames (native sample rate) are separated after ``elapsed`` seconds."""

    song: Path
    done: int
    total: int
    sample_rate: int  # Hz
    elapsed: float

    @property
    def fraction(self) -> float:
        """The fraction that is done, 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def speed(self) -> float:
        """The speed as a multiple of real time; 0 at the start."""
        return self.done / self.sample_rate / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated wall-clock seconds until the song is separated; None at the start."""
        if not self.done or not self.elapsed:
            return None
        return self.elapsed * (self.total - self.done) / self.done


@dataclass(frozen=True, slots=True)
class Finished:
    """All stems of a song, and the projects made from them, are in place."""

    song: Path
    stems: dict[str, Path]
    sample_rate: int  # Hz, of the stems
    channels: int
    frames: int  # of the song
    projects: dict[Daw, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scoring:
    """``done`` of ``total`` steps of scoring the stems of a song."""

    song: Path
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Counted:
    """``done`` of ``total`` songs of a run on several ``devices`` are finished."""

    done: int
    total: int
    devices: tuple[str, ...]


Event: TypeAlias = (
    Planned
    | Warned
    | Noted
    | Fetching
    | Loading
    | Loaded
    | Surveyed
    | Estimated
    | Scanning
    | NotAudio
    | WaitingForOthers
    | Opened
    | Progressed
    | Finished
    | Scoring
    | Counted
)
