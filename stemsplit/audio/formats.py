"""What each format of stems can hold, and what is asked of it when nobody says more."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any, Final

from stemsplit.audio import mp3
from stemsplit.errors import UsageError
from stemsplit.options import EncodingOptions
from stemsplit.types import Clip, Depth, Format

INTEGERS: Final[tuple[Depth, ...]] = ("16", "24")
#: Hz that the AAC of MPEG-4 can name (ISO 14496-3, table of sampling frequency indices).
AAC_RATES = (
    *(7350, 8000, 11025, 12000, 16000, 22050, 24000),
    *(32000, 44100, 48000, 64000, 88200, 96000),
)
#: Nominal kbit/s of Vorbis at the qualities -1 … 10, of stereo at 44.1 kHz (libvorbis' own table).
VORBIS_BITRATES = (45, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
STEM_FILE_RATES = (44100, 48000)  # Hz, of Native Instruments' stem files
OPUS_LARGEST_BITRATE = 256  # kbit/s of one channel, in libopus
#: As people write them: 320, 320k, 320 kbps; and V0 of LAME, q8 of oggenc.
BITRATE = re.compile(r"(\d{1,4})\s*(?:k|kbps|kbit/s)?", re.IGNORECASE)
QUALITY = re.compile(r"([vq]?)(-?\d{1,2})", re.IGNORECASE)
LETTERS: dict[str, Format] = {"v": "mp3", "q": "ogg"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one format takes: nothing in a field means that the format knows no such thing."""

    extension: str
    depths: tuple[Depth, ...] = ()  # the first one is the default
    bitrates: range | tuple[int, ...] = ()  # kbit/s
    bitrate: int | None = None  # the default
    qualities: range = range(0)
    quality: int | None = None  # the default, where the quality leads
    rates: range | tuple[int, ...] = ()  # Hz; nothing: any


RULES: dict[Format, Rules] = {
    "wav": Rules(extension="wav", depths=("32f", *INTEGERS)),
    "flac": Rules(extension="flac", depths=("24", "16")),
    "aiff": Rules(extension="aiff", depths=("24", "16")),
    "alac": Rules(extension="m4a", depths=("24", "16")),
    "mp3": Rules(
        extension="mp3",
        bitrates=mp3.BITRATES,
        bitrate=320,
        qualities=range(10),  # LAME's V0 … V9, best first
        rates=mp3.RATES,
    ),
    "m4a": Rules(extension="m4a", bitrates=range(32, 513), bitrate=256, rates=AAC_RATES),
    "opus": Rules(extension="opus", bitrates=range(8, 511), bitrate=192, rates=(48000,)),
    "ogg": Rules(
        extension="ogg",
        bitrates=range(VORBIS_BITRATES[0], VORBIS_BITRATES[-1] + 1),
        qualities=range(-1, 11),  # of oggenc, best last
        quality=8,
        rates=range(1, 192_001),  # libvorbis has no tables above 200 kHz
    ),
    "stem.mp4": Rules(
        extension="stem.mp4", bitrates=range(32, 513), bitrate=256, rates=STEM_FILE_RATES
    ),
}
#: A stem.mp4 that loses nothing.
ALAC_STEM_FILE = Rules(extension="stem.mp4", depths=("24", "16"), rates=STEM_FILE_RATES)


def rules_of(options: EncodingOptions) -> Rules:
    """Return what the format of ``options`` takes, with their codec."""
    return ALAC_STEM_FILE if options.codec == "alac" else RULES[options.format]


def parse_bitrate(text: str | None) -> int | None:
    """Return the kbit/s that ``text`` says: 320, 320k or 320 kbps.

    Raises ``UsageError`` for anything else.
    """
    if text is None:
        return None
    if (match := BITRATE.fullmatch(text.strip())) is None:
        raise UsageError(f"{text!r} is no bit rate", hint="write kbit/s: 320 or 320k")
    return int(match[1])


def parse_quality(text: str | None, format: Format) -> int | None:
    """Return the quality of ``format`` that ``text`` says: 0, V0 of mp3 or q8 of ogg.

    The best of one is among the worst of the other: raises ``UsageError`` for the letter of another
    format, as for what is no quality.
    """
    if text is None:
        return None
    if (match := QUALITY.fullmatch(text.strip())) is None:
        raise UsageError(f"{text!r} is no quality", hint="mp3 has 0 (or V0) to 9, ogg -1 to 10")
    owner = LETTERS.get(match[1].lower(), format)
    if owner != format and RULES[format].qualities:
        hint = f"it has: {_listed(RULES[format].qualities)}"
        raise UsageError(f"{text} is a quality of {owner}, not of {format}", hint=hint)
    return int(match[2])


def check_encoding(options: EncodingOptions) -> None:
    """Raise ``UsageError`` for what the format of ``options`` cannot do."""
    if options.codec is not None and options.format != "stem.mp4":
        reason = f"{options.format} leaves no choice of codecs"
        raise UsageError(reason, hint="--codec is for --format stem.mp4")
    rules = rules_of(options)
    _check_depth(options, rules)
    _check_bitrate(options, rules)
    _check_quality(options, rules)
    depth = depth_of(options)
    if options.clip == "none" and depth in INTEGERS:
        raise UsageError(
            f"{options.format} of {depth} bits holds nothing above full scale",
            hint="--clip clamp or linked; or --format wav --depth 32f, which holds everything",
        )


def fitting(options: EncodingOptions, asked: Container[str]) -> EncodingOptions:
    """Return ``options`` without what the format does not know, unless that was ``asked`` for.

    What is settled once, for all songs, must not stand in the way of another format today.
    """
    if "codec" not in asked and (options.format != "stem.mp4" or "bitrate" in asked):
        options = replace(options, codec=None)
    rules = rules_of(options)
    useless = {
        "depth": not rules.depths,
        "bitrate": not rules.bitrates or "quality" in asked,
        "quality": not rules.qualities or "bitrate" in asked,
    }
    dropped: dict[str, Any] = {
        name: None for name, holds in useless.items() if holds and name not in asked
    }
    return replace(options, **dropped)


def _check_depth(options: EncodingOptions, rules: Rules) -> None:
    if options.depth is None or options.depth in rules.depths:
        return
    if rules.depths:
        reason = f"{options.format} stores no floats"
        raise UsageError(reason, hint="--depth 24, or --format wav")
    raise UsageError(
        f"{options.format} has no depth",
        hint=f"{_ways_of(rules)} how exact it is",
    )


def _check_bitrate(options: EncodingOptions, rules: Rules) -> None:
    if options.bitrate is None or options.bitrate in rules.bitrates:
        return
    if not rules.bitrates:
        reason = f"{options.format} has no bit rate: it loses nothing"
        raise UsageError(reason, hint="--depth sets its size; --format mp3, m4a, opus or ogg")
    reason = f"{options.format} has no bit rate of {options.bitrate} kbit/s"
    raise UsageError(reason, hint=f"it has: {_listed(rules.bitrates)}")


def _check_quality(options: EncodingOptions, rules: Rules) -> None:
    if options.quality is None:
        return
    if not rules.qualities:
        reason = f"{options.format} has no quality"
        ways = f"{_ways_of(rules)} how exact it is; mp3 and ogg have qualities"
        raise UsageError(reason, hint=ways)
    if options.quality not in rules.qualities:
        reason = f"{options.format} has no quality {options.quality}"
        raise UsageError(reason, hint=f"it has: {_listed(rules.qualities)}")
    if options.bitrate is not None:
        raise UsageError("--bitrate and --quality exclude each other")


def _ways_of(rules: Rules) -> str:
    ways = {"--depth": rules.depths, "--bitrate": rules.bitrates, "--quality": rules.qualities}
    named = [name for name, values in ways.items() if values]
    return f"{' or '.join(named)} sets"


def _listed(values: range | tuple[int, ...]) -> str:
    if isinstance(values, range):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))


def depth_of(options: EncodingOptions) -> Depth | None:
    """Return how samples are stored; None where the format is lossy, and has no depth."""
    return options.depth or next(iter(rules_of(options).depths), None)


def clip_of(options: EncodingOptions) -> Clip:
    """Return what becomes of samples above full scale: integers clamp, all others keep them."""
    if options.clip is not None:
        return options.clip
    return "clamp" if depth_of(options) in INTEGERS else "none"


def encoded_rate(options: EncodingOptions, sample_rate: int) -> int:
    """Return the rate (Hz) that stems of ``sample_rate`` are stored at.

    Where the format does not know that rate it is the next higher one, or the highest of all.
    """
    rates = rules_of(options).rates
    if not rates:
        return sample_rate
    return rates[min(bisect_left(rates, sample_rate), len(rates) - 1)]


def encoded_frames(options: EncodingOptions, frames: int, sample_rate: int) -> int:
    """Return how many frames are stored of ``frames`` at ``sample_rate``: at least one of any."""
    stored = round(frames * encoded_rate(options, sample_rate) / sample_rate)
    return max(stored, min(frames, 1))


def vorbis_quality(options: EncodingOptions) -> float:
    """Return the quality at which Vorbis has the asked bit rate, or the asked one."""
    if options.quality is not None:
        return options.quality
    if options.bitrate is None:
        return RULES["ogg"].quality or 0
    above = next(i for i, rate in enumerate(VORBIS_BITRATES) if rate >= options.bitrate)
    if above == 0:
        return -1
    lower, upper = VORBIS_BITRATES[above - 1 : above + 1]
    return above - 2 + (options.bitrate - lower) / (upper - lower)
