"""What encoding options mean for a format, by the table: parsed, checked and completed."""

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
#: Formats by the letter before a quality: V0 is of mp3, q8 of ogg.
LETTERS: dict[str, Format] = {
    row.rules.quality_letter.lower(): name
    for name, row in FORMATS.items()
    if row.rules.quality_letter
}
QUALITY = re.compile(rf"([{''.join(LETTERS)}]?)(-?\d{{1,2}})", re.IGNORECASE)


def rules_of(options: EncodingOptions) -> Rules:
    """Return what the format of ``options`` takes, with their codec."""
    row = FORMATS[options.format]
    return row.rules if options.codec is None else row.codecs.get(options.codec, row.rules)


def depth_of(options: EncodingOptions) -> Depth | None:
    """Return how samples are stored; None where the format is lossy, and has no depth."""
    return options.depth or next(iter(rules_of(options).depths), None)


def bitrate_of(options: EncodingOptions) -> int:
    """Return the bit rate (kbit/s) that was asked for, or the default; 0 where there is neither."""
    return options.bitrate or rules_of(options).bitrate or 0


def clip_of(options: EncodingOptions) -> Clip:
    """Return what happens to samples above full scale: integers clamp, all others keep them."""
    if options.clip is not None:
        return options.clip
    return "clamp" if depth_of(options) in INTEGERS else "none"


def encoded_rate(options: EncodingOptions, sample_rate: int) -> int:
    """Return the rate (Hz) at which stems of ``sample_rate`` are stored.

    Where the format does not have that rate it is the next higher one, or the highest of all.
    """
    rules = rules_of(options)
    rates = rules.rates
    if not rates:
        return sample_rate
    if rules.high_rates and sample_rate > rates[-1]:
        rates = rules.high_rates
    return rates[min(bisect_left(rates, sample_rate), len(rates) - 1)]


def encoded_frames(options: EncodingOptions, frames: int, sample_rate: int) -> int:
    """Return how many frames are stored for ``frames`` at ``sample_rate``: at least one for any."""
    stored = round(frames * encoded_rate(options, sample_rate) / sample_rate)
    return max(stored, min(frames, 1))


def largest_size(options: EncodingOptions, seconds: float, sample_rate: int, channels: int) -> int:
    """Return the most bytes that so many ``seconds`` of one stem take, headers and tags aside.

    Lossless compression saves what nobody knows before; a quality may need the highest bit rate.
    """
    if depth := depth_of(options):
        bits = int(depth.removesuffix("f"))
        return round(seconds * encoded_rate(options, sample_rate)) * channels * bits // 8
    highest = 0 if options.quality is None else max(rules_of(options).bitrates)
    kilobits = highest or bitrate_of(options) or max(rules_of(options).bitrates)
    return round(seconds * kilobits * 1000 / 8)


def parse_bitrate(text: str | None) -> int | None:
    """Return the kbit/s of ``text``: 320, 320k or 320 kbps. Raises ``UsageError`` otherwise."""
    if text is None:
        return None
    if (match := BITRATE.fullmatch(text.strip())) is None:
        raise UsageError(f"invalid bit rate {text!r}", hint="write kbit/s: 320 or 320k")
    return int(match[1])


def parse_quality(text: str | None, format: Format) -> int | None:
    """Return the quality of ``format`` that ``text`` means: 0, V0 of mp3 or q8 of ogg.

    The best quality of one format is among the worst of another. So ``UsageError`` is raised for
    the letter of another format, as for an invalid quality.
    """
    if text is None:
        return None
    if (match := QUALITY.fullmatch(text.strip())) is None:
        ranges = (_range_of_qualities(name, FORMATS[name].rules) for name in LETTERS.values())
        raise UsageError(f"invalid quality {text!r}", hint=", ".join(ranges))
    owner = LETTERS.get(match[1].lower(), format)
    own = FORMATS[format].rules.qualities
    if owner != format and own:
        raise UsageError(
            f"{text} is a quality of {owner}, not of {format}", hint=f"it has: {_listed(own)}"
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
            f"{options.format} of {depth} bits holds nothing above full scale",
            hint=f"--clip clamp or linked; or --format {floats} --depth 32f, which holds "
            "everything",
        )


def fitting(options: EncodingOptions, asked: Container[str]) -> EncodingOptions:
    """Return ``options`` without those that the format does not have, unless ``asked`` for.

    A setting for all songs, as of a configuration file, must not exclude another format today.
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
    """Return ``names``, at least one, as a person lists them: ``a, b or c``."""
    *others, last = names
    return f"{', '.join(others)} {word} {last}" if others else last


def _check_codec(options: EncodingOptions) -> None:
    if options.codec is None or options.codec in FORMATS[options.format].codecs:
        return
    choices = alternatives([name for name, row in FORMATS.items() if row.codecs])
    raise UsageError(
        f"{options.format} leaves no choice of codecs", hint=f"--codec is for --format {choices}"
    )


def _check_depth(options: EncodingOptions, rules: Rules) -> None:
    if options.depth is None or options.depth in rules.depths:
        return
    if rules.depths:
        others = _formats_with(lambda rules: options.depth in rules.depths)
        hint = f"--depth {rules.depths[0]}, or --format {others}"
        what = "floats" if options.depth == "32f" else f"{options.depth} bits"
        raise UsageError(f"{options.format} stores no {what}", hint=hint)
    raise UsageError(f"{options.format} has no depth", hint=f"{_ways_of(rules)} how exact it is")


def _check_bitrate(options: EncodingOptions, rules: Rules) -> None:
    if options.bitrate is None or options.bitrate in rules.bitrates:
        return
    if not rules.bitrates:
        lossy = _formats_with(lambda rules: bool(rules.bitrates))
        reason = f"{options.format} has no bit rate: it loses nothing"
        raise UsageError(reason, hint=f"--depth sets its size; --format {lossy}")
    reason = f"{options.format} has no bit rate of {options.bitrate} kbit/s"
    raise UsageError(reason, hint=f"it has: {_listed(rules.bitrates)}")


def _check_quality(options: EncodingOptions, rules: Rules) -> None:
    if options.quality is None:
        return
    if not rules.qualities:
        others = _formats_with(lambda rules: bool(rules.qualities), "and")
        hint = f"{_ways_of(rules)} how exact it is; {others} have qualities"
        raise UsageError(f"{options.format} has no quality", hint=hint)
    if options.quality not in rules.qualities:
        reason = f"{options.format} has no quality {options.quality}"
        raise UsageError(reason, hint=f"it has: {_listed(rules.qualities)}")
    if options.bitrate is not None:
        raise UsageError("--bitrate and --quality exclude each other")


def _formats_with(wanted: Callable[[Rules], bool], word: str = "or") -> str:
    """List the formats with ``wanted`` rules that, like most, store each stem in its own file."""
    rows = FORMATS.items()
    return alternatives(
        [name for name, row in rows if wanted(row.rules) and not row.holds_all_stems], word
    )


def _ways_of(rules: Rules) -> str:
    ways = {"--depth": rules.depths, "--bitrate": rules.bitrates, "--quality": rules.qualities}
    named = [name for name, values in ways.items() if values]
    return f"{' or '.join(named)} sets"


def _range_of_qualities(format: Format, rules: Rules) -> str:
    first, last, letter = rules.qualities[0], rules.qualities[-1], rules.quality_letter
    return f"{format} has {first} to {last} (or {letter}{first} to {letter}{last})"


def _listed(values: range | tuple[int, ...]) -> str:
    if isinstance(values, range):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))
