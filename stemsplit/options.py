"""Every option of a split, declared once: its type, default, limits and help.

These dataclasses are the single source of the options on the command line, the keyword arguments in
Python, the settings in ``config.toml``, the man pages and the manifests. Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, Self, get_origin

from stemsplit.declarations import check, hints_of, option, parts_of
from stemsplit.errors import UsageError
from stemsplit.types import BatchSize, Clip, Codec, Daw, Depth, Existing, Format, Precision

DEFAULT_MODEL = "htdemucs"
DEFAULT_FOLDER = Path("separated")
DEFAULT_TEMPLATE = "{track}/{stem}.{ext}"
#: More than the cores of the largest machines; far more threads would fail to start.
MOST_THREADS = 1024
LONGEST_BATCH = 9  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How networks are run; None means the default of the model or the device.

    Raises ``UsageError`` for values out of range.
    """

    device: str = option(
        "auto",
        "auto, cuda, cuda:N, mps or cpu; several share the songs: cuda:0,cuda:1.",
        short="-d",
        metavar="DEVICE,…",
        variable="STEMSPLIT_DEVICE",
        section="Device and speed",
    )
    precision: Precision = option(
        "auto",
        "Precision of the network; auto: fp16 on CUDA, fp32 elsewhere. On CPUs with AVX512-BF16 or "
        "AMX, bf16 is faster but less exact.",
        variable="STEMSPLIT_PRECISION",
        section="Device and speed",
    )
    overlap: float | None = option(
        None,
        "Fraction of a segment that overlaps the next one (0.25 for most models).",
        metavar="SHARE",
        minimum=0,
        maximum=0.99,
        section="Model and quality",
    )
    segment: float | None = option(
        None,
        "Segment length in seconds.",
        metavar="SECONDS",
        minimum=0.1,
        maximum=600,
        section="Model and quality",
    )
    quick_end: bool = option(
        False,
        "Do not separate the end of a song twice; up to a sixth faster for songs of half a minute, "
        "just as good, but not as demucs does it.",
        section="Model and quality",
    )
    shifts: int = option(
        1,
        "Average N time-shifted passes.",
        metavar="N",
        minimum=1,
        maximum=99,
        section="Model and quality",
    )
    seed: int = option(
        0, "Random seed for --shifts.", metavar="N", minimum=0, section="Model and quality"
    )
    batch: BatchSize = option(
        None,
        "Segments to process at a time, from one or several songs (4 on CUDA); auto: as many as "
        "fit into memory.",
        metavar="N|auto",
        minimum=1,
        section="Device and speed",
    )
    threads: int | None = option(
        None,
        "CPU threads of the network for each device; by default OMP_NUM_THREADS, or one per core.",
        metavar="N",
        variable="STEMSPLIT_THREADS",
        minimum=1,
        maximum=MOST_THREADS,
        section="Device and speed",
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodingOptions:
    """How stems are encoded; None means the default of the format.

    Raises ``UsageError`` for unsupported values.
    """

    format: Format = option(
        "wav",
        "Format of the stems; raw (samples without a header) only with --out -.",
        variable="STEMSPLIT_FORMAT",
        section="Output",
    )
    codec: Codec | None = option(
        None,
        "Codec of stem.mp4: aac (the default), or alac, which is lossless but cannot be read by "
        "Traktor on Windows.",
        variable="STEMSPLIT_CODEC",
        section="Output",
    )
    depth: Depth | None = option(
        None,
        "Bits per sample; the default is 32f (floating point) for wav, 24 for other formats.",
        variable="STEMSPLIT_DEPTH",
        section="Output",
    )
    bitrate: int | None = option(
        None,
        "Bit rate, such as 320 or 320k; by default 320 for mp3, 256 for m4a, 192 for opus.",
        metavar="KBIT/S",
        variable="STEMSPLIT_BITRATE",
        section="Output",
    )
    quality: int | None = option(
        None,
        "Quality instead of a bit rate: 0 (best) to 9, or V0 to V9 as in LAME, for mp3; -1 to 10 "
        "(best), or q-1 to q10, for ogg (8 by default).",
        metavar="N",
        variable="STEMSPLIT_QUALITY",
        section="Output",
    )
    dither: bool = option(
        True, "Round to 16 bits without adding noise.", name="no-dither", section="Output"
    )
    clip: Clip | None = option(
        None,
        "Samples above full scale: none keeps them (default for 32f and lossy formats), clamp "
        "clips them (default for 16 and 24 bits), linked reduces the level of all stems of the "
        "song equally.",
        variable="STEMSPLIT_CLIP",
        section="Output",
    )
    tags: bool = option(
        True, "Do not copy the song's tags and cover art.", name="no-tags", section="Output"
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A part of a song, in seconds; ``preview`` is the length of a part around its middle.

    Raises ``UsageError`` for conflicting options and empty parts.
    """

    start: float | None = option(
        None,
        "Start of the part to split: 90, 90.5 or 1:30.",
        metavar="TIME",
        minimum=0,
        section="Input",
    )
    end: float | None = option(
        None, "End of the part to split.", metavar="TIME", minimum=0, section="Input"
    )
    duration: float | None = option(
        None,
        "Length of the part to split, instead of --end.",
        metavar="TIME",
        minimum=0,
        section="Input",
    )
    preview: float | None = option(
        None,
        "Split a part of this length from the middle of the song.",
        metavar="TIME",
        minimum=0,
        section="Input",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.end is not None and self.duration is not None:
            raise UsageError("--end and --duration are mutually exclusive")
        if self.preview is not None and (self.start, self.end, self.duration) != (None,) * 3:
            raise UsageError(
                "--preview selects the part: it cannot be used with --start, --end or --duration"
            )
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError("the selected part of the song is empty: --end is not after --start")
        if 0 in (self.duration, self.preview):
            raise UsageError("the selected part of the song is empty")

    @property
    def bounds(self) -> tuple[float, float | None]:
        """Start and end in seconds, without ``preview``; the end is None for that of the song."""
        start = self.start or 0.0
        # Rounded, so that a length of 2.2 s from 1.1 s ends at 3.3 s.
        return start, self.end if self.duration is None else round(start + self.duration, 9)


WHOLE = Excerpt()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """All options of a split, except the songs.

    ``existing`` determines what happens to existing stems (`types.Existing`).

    Raises ``UsageError`` for conflicting values.
    """

    out: Path = option(
        DEFAULT_FOLDER,
        "Output folder, or file for one stem; - writes one stem to standard output.",
        short="-o",
        metavar="FOLDER",
        variable="STEMSPLIT_OUT",
        section="Output",
    )
    filename: str | None = option(
        None,
        "File names in the folder, from {track}, {trackext}, {stem}, {ext} and {model}; "
        f"by default {DEFAULT_TEMPLATE}.",
        metavar="TEMPLATE",
        variable="STEMSPLIT_FILENAME",
        section="Output",
    )
    model: str = option(
        DEFAULT_MODEL,
        "Model: a name from `stemsplit models list`, or a checkpoint file.",
        short="-n",
        metavar="NAME",
        variable="STEMSPLIT_MODEL",
        section="Model and quality",
    )
    stems: tuple[str, ...] | None = option(
        None,
        "Write only these stems; `none` writes only mixes. Repeatable.",
        metavar="STEM,…",
        section="Stems and mixes",
    )
    two_stems: str | None = option(
        None,
        "Write this stem, and the mix without it.",
        metavar="STEM",
        section="Stems and mixes",
    )
    mixes: tuple[str, ...] = option(
        (),
        "Also write a mix: karaoke=mix-0.9*vocals, or instrumental=drums+bass+other.",
        name="mix",
        metavar="NAME=SUM",
        section="Stems and mixes",
    )
    sum_to_mix: str | None = option(
        None,
        "Add the residual (mix minus stems) to this stem, or spread it over all, so that the stems "
        "sum to the mix.",
        metavar="STEM|spread",
        section="Stems and mixes",
    )
    encoding: EncodingOptions = EncodingOptions()
    daw: tuple[Daw, ...] = option(
        (),
        "Write a project with a track for each stem: reaper (.rpp), dawproject (Bitwig, Studio "
        "One, Cubase).",
        metavar="PROGRAM,…",
        variable="STEMSPLIT_DAW",
        section="DAW",
    )
    existing: Existing = "resume"
    fail_fast: bool = option(
        False, "Stop at the first song that fails.", section="Folders and resuming"
    )
    jobs: int = option(
        1,
        "Songs to decode ahead of the current one.",
        short="-j",
        metavar="N",
        variable="STEMSPLIT_JOBS",
        minimum=1,
        section="Device and speed",
    )
    accept_truncated: bool = option(
        False, "Split the readable part of a truncated file.", section="Input"
    )
    excerpt: Excerpt = WHOLE
    engine: EngineOptions = EngineOptions()
    offline: bool = option(
        False,
        "Do not use the network; use only downloaded checkpoints.",
        variable="STEMSPLIT_OFFLINE",
        section="Model and quality",
    )
    allow_unverified: bool = option(
        False, "Allow downloads that have no published SHA-256.", section="Model and quality"
    )
    commercial: bool = option(
        False,
        "Refuse models whose licence is not known to allow commercial use.",
        variable="STEMSPLIT_COMMERCIAL",
        section="Model and quality",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.stems is not None and self.two_stems is not None:
            raise UsageError("--stems and --two-stems are mutually exclusive")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Return the options with these names, including those of nested dataclasses.

        Sequences become tuples, and paths ``Path``. Raises ``TypeError`` for an unknown name.
        """
        if unknown := options.keys() - names_of(cls):
            raise TypeError(f"unexpected keyword argument {min(unknown)!r}")
        collected: Self = _collect(cls, options)
        return collected

    def on(self, device: str) -> Self:
        """Return these options with another ``device``."""
        return dataclasses.replace(self, engine=dataclasses.replace(self.engine, device=device))


def _collect(cls: Any, options: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name, hint in hints_of(cls).items():
        if dataclasses.is_dataclass(hint):
            values[name] = _collect(hint, options)
        elif name in options:
            values[name] = _as_declared(options[name], hint)
    return cls(**values)


def _as_declared(value: Any, hint: Any) -> Any:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return tuple(value) if any(get_origin(part) is tuple for part in parts_of(hint)) else value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)  # also for NumPy integers
    return Path(value) if hint is Path and isinstance(value, str | PathLike) else value


def repeat(name: str) -> Any:
    """Return the field of the split option ``name``, for another command that has it too."""
    found = field_of(SplitOptions, name)
    if found is None:
        raise LookupError(f"no option {name!r}")
    return field(default=found.default, metadata=found.metadata)


def field_of(cls: Any, name: str) -> dataclasses.Field[Any] | None:
    """Return the field ``name`` of ``cls`` or its nested dataclasses, or None."""
    for each in dataclasses.fields(cls):
        hint = hints_of(cls)[each.name]
        if dataclasses.is_dataclass(hint):
            if (found := field_of(hint, name)) is not None:
                return found
        elif each.name == name:
            return each
    return None


def names_of(cls: Any) -> list[str]:
    """Return the names of all options in ``cls`` and its nested dataclasses."""
    names: list[str] = []
    for name, hint in hints_of(cls).items():
        names += names_of(hint) if dataclasses.is_dataclass(hint) else [name]
    return names


def parse_batch(text: str) -> BatchSize:
    """Return ``text`` as a number or "auto"; raises ``UsageError`` for anything else."""
    if text == "auto":
        return "auto"
    if text.isdecimal() and len(text) <= LONGEST_BATCH and int(text) >= 1:
        return int(text)
    raise UsageError(f"--batch must be a number of segments or auto, not {text!r:.50}")
