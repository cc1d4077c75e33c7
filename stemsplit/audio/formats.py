"""Parses and checks encoding options against the table of formats, and fills in defaults."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any, Final

from stemsplit.audio.format_table import FORMATS, Rules
from stemsplit.errors import UsageError
from stemsplit.options import EncodingOptions
from stemsplit.types import Clip, Depth, Format

INTEGERS: Final[tuple[Depth, ...]] = ("16", "24")
#: As people write them: 320, 320k, 320 kbps.
BITRATE = re.compile(r"(\d{1,4})\s*(?:k|kbps|kbit/s)?", re.IGNORECASE)
#: Formats by the prefix of a quality: V0 for mp3, q8 for ogg.
LETTERS: dict[str, Format] = {
    row.rules.quality_letter.lower(): name
    for name, row in FORMATS.items()
    if row.rules.quality_letter
}
QUALITY = re.compile(rf"([{''.join(LETTERS)}]?)(-?\d{{1,2}})", re.IGNORECASE)


def rules_of(options: EncodingOptions) -> Rules:
    """Return the rules for the format and codec of ``options``."""
    row = FORMATS[options.format]
    return row.rules if options.codec is None else row.codecs.get(options.codec, row.rules)


def depth_of(options: EncodingOptions) -> Depth | None:
    """Return the bit depth of stored samples; None for a lossy format."""
    return options.depth or next(iter(rules_of(options).depths), None)


def bitrate_of(options: EncodingOptions) -> int:
    """Return the requested bit rate (kbit/s), or the default; 0 if there is neither."""
    return options.bitrate or rules_of(options).bitrate or 0


def clip_of(options: EncodingOptions) -> Clip:
    """Return how samples above full scale are treated: clamped by integer formats, else kept."""
    if options.clip is not None:
        return options.clip
    return "clamp" if depth_of(options) in INTEGERS else "none"


def encoded_rate(options: EncodingOptions, sample_rate: int) -> int:
    """Return the rate (Hz) at which stems of ``sample_rate`` are stored.

    If the format does not support that rate, this is the next higher rate, or the highest.
    """
    rules = rules_of(options)
    rates = rules.rates
    if not rates:
        return sample_rate
    if rules.high_rates and sample_rate > rates[-1]:
        rates = rules.high_rates
    return rates[min(bisect_left(rates, sample_rate), len(rates) - 1)]


def encoded_frames(options: EncodingOptions, frames: int, sample_rate: int) -> int:
    """Return how many frames are stored for ``frames`` at ``sample_rate``: 0 only for 0."""
    stored = round(frames * encoded_rate(options, sample_rate) / sample_rate)
    return max(stored, min(frames, 1))


def largest_size(options: EncodingOptions, seconds: float, sample_rate: int, channels: int) -> int:
    """Return the most bytes that so many ``seconds`` of one stem take, headers and tags aside.

    Savings by lossless compression are unknown in advance; a quality may need the highest bit rate.
    """
    if depth := depth_of(options):
        bits = int(depth.removesuffix("f"))
        return round(seconds * encoded_rate(options, sample_rate)) * channels * bits // 8
    highest = 0 if options.quality is None else max(rules_of(options).bitrates)
    kilobits = highest or bitrate_of(options) or max(rules_of(options).bitrates)
    return round(seconds * kilobits * 1000 / 8)


def parse_bitrate(text: str | None) -> int | None:
    """Parse a bit rate (kbit/s): 320, 320k or 320 kbps. Raises ``UsageError`` otherwise."""
    if text is None:
        return None
    if (match := BITRATE.fullmatch(text.strip())) is None:
        raise UsageError(f"invalid bit rate {text!r:.50}", hint="give kbit/s: 320 or 320k")
    return int(match[1])


def parse_quality(text: str | None, format: Format) -> int | None:
    """Parse a quality of ``format``: 0, V0 (mp3) or q8 (ogg).

    Raises ``UsageError`` for an invalid quality, and for the prefix of another format, because the
    best quality of one format is among the worst of another.
    """
    if text is None:
        return None
    if (match := QUALITY.fullmatch(text.strip())) is None:
        ranges = (_range_of_qualities(name, FORMATS[name].rules) for name in LETTERS.values())
        raise UsageError(f"invalid quality {text!r:.50}", hint=", ".join(ranges))
    owner = LETTERS.get(match[1].lower(), format)
    own = FORMATS[format].rules.qualities
    if owner != format and own:
        raise UsageError(
            f"{text} is a quality for {owner}, not {format}", hint=f"supported: {_listed(own)}"
        )
    return int(match[2])


def check_encoding(options: EncodingOptions) -> None:
    """Raise ``UsageError`` for what the format of ``options`` does not support."""
    _check_codec(options)
    rules = rules_of(options)
    _check_depth(options, rules)
    _check_bitrate(options, rules)
    _check_quality(options, rules)
    depth = depth_of(options)
    if options.clip == "none" and depth in INTEGERS:
        floats = _formats_with(lambda rules: "32f" in rules.depths)
        raise UsageError(
            f"{depth}-bit {options.format} cannot store samples above full scale",
            hint=f"use --clip clamp or linked, or --format {floats} --depth 32f, which keeps them",
        )


def fitting(options: EncodingOptions, asked: Container[str]) -> EncodingOptions:
    """Return ``options`` without those that the format does not support, unless ``asked`` for.

    A general setting, as in a configuration file, must not prevent the use of another format.
    """
    if "codec" not in asked and (not FORMATS[options.format].codecs or "bitrate" in asked):
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


def alternatives(names: Sequence[str], word: str = "or") -> str:
    """Join ``names``, at least one, to a phrase: ``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def _check_codec(options: EncodingOptions) -> None:
    if options.codec is None or options.codec in FORMATS[options.format].codecs:
        return
    choices = alternatives([name for name, row in FORMATS.items() if row.codecs])
    raise UsageError(
        f"{options.format} has no choice of codecs", hint=f"--codec is for --format {choices}"
    )


def _check_depth(options: EncodingOptions, rules: Rules) -> None:
    if options.depth is None or options.depth in rules.depths:
        return
    if rules.depths:
        others = _formats_with(lambda rules: options.depth in rules.depths)
        hint = f"--depth {rules.depths[0]}, or --format {others}"
        what = "floats" if options.depth == "32f" else f"{options.depth} bits"
        raise UsageError(f"{options.format} cannot store {what}", hint=hint)
    raise UsageError(f"{options.format} has no bit depth", hint=f"use {_ways_of(rules)} instead")


def _check_bitrate(options: EncodingOptions, rules: Rules) -> None:
    if options.bitrate is None or options.bitrate in rules.bitrates:
        return
    if not rules.bitrates:
        lossy = _formats_with(lambda rules: bool(rules.bitrates))
        reason = f"{options.format} has no bit rate: it is lossless"
        raise UsageError(reason, hint=f"use --depth to set its size, or --format {lossy}")
    reason = f"{options.format} has no bit rate of {options.bitrate} kbit/s"
    raise UsageError(reason, hint=f"supported: {_listed(rules.bitrates)}")


def _check_quality(options: EncodingOptions, rules: Rules) -> None:
    if options.quality is None:
        return
    if not rules.qualities:
        others = _formats_with(lambda rules: bool(rules.qualities), "and")
        hint = f"use {_ways_of(rules)} instead; {others} have qualities"
        raise UsageError(f"{options.format} has no quality", hint=hint)
    if options.quality not in rules.qualities:
        reason = f"{options.format} has no quality {options.quality}"
        raise UsageError(reason, hint=f"supported: {_listed(rules.qualities)}")
    if options.bitrate is not None:
        raise UsageError("--bitrate and --quality are mutually exclusive")


def _formats_with(wanted: Callable[[Rules], bool], word: str = "or") -> str:
    """List the formats with ``wanted`` rules that store each stem in its own file."""
    rows = FORMATS.items()
    return alternatives(
        [name for name, row in rows if wanted(row.rules) and not row.holds_all_stems], word
    )


def _ways_of(rules: Rules) -> str:
    ways = {"--depth": rules.depths, "--bitrate": rules.bitrates, "--quality": rules.qualities}
    named = [name for name, values in ways.items() if values]
    return " or ".join(named)


def _range_of_qualities(format: Format, rules: Rules) -> str:
    first, last, letter = rules.qualities[0], rules.qualities[-1], rules.quality_letter
    return f"{format} has {first} to {last} (or {letter}{first} to {letter}{last})"


def _listed(values: range | tuple[int, ...]) -> str:
    if isinstance(values, range):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))
