"""Which part of a song to split: parsed from times, and rounded to samples."""

from __future__ import annotations

import dataclasses
import math
import re

from stemsplit.errors import InputError, UsageError
from stemsplit.options import Excerpt
from stemsplit.types import StreamInfo

LONGEST = 1e9  # seconds: 30 years
#: 90, 90.5, 1:30, 1:02:03.25
TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):(?=\d{2}(?:\.|$)))?(\d+(?:\.\d*)?|\.\d+)")


def parse_time(text: str) -> float:
    """Parse ``text`` to seconds: 90, 90.5, 1:30 or 1:02:03.25.

    Raises ``UsageError`` for anything else.
    """
    if (match := TIME.fullmatch(text.strip())) is None:
        raise UsageError(f"invalid time {text!r}", hint="give seconds or minutes: 90.5, 1:30")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    if (total := hours * 3600 + minutes * 60 + seconds) > LONGEST:
        raise UsageError(f"invalid time {text!r:.50}", hint="no song is that long")
    return total


def cut(info: StreamInfo, excerpt: Excerpt) -> StreamInfo:
    """Return ``info`` limited to ``excerpt``, so that `decode` yields only that part.

    Seconds are rounded to the nearest frame; an end after that of the song means the song's end.
    Raises ``InputError`` if the song is known to end before the excerpt starts.
    """
    start, end = excerpt.start or 0.0, excerpt.end
    if excerpt.duration is not None:
        end = start + excerpt.duration
    if excerpt.preview is not None:
        start = max(0.0, ((info.duration or 0.0) - excerpt.preview) / 2)
        end = start + excerpt.preview
    # The declared duration is rounded: a song of a few samples has a duration of 0.00 s.
    if start > 0 and info.duration is not None and start >= info.duration:
        ends = _clock(math.floor(10 * info.duration) / 10)
        raise InputError(f"ends at {ends}, before {_clock(start)}", path=info.path)
    first = round(start * info.sample_rate)
    # An excerpt that is shorter than a frame is one frame.
    last = None if end is None else max(first + 1, round(end * info.sample_rate))
    return dataclasses.replace(info, first_frame=first, end_frame=last)


def describe_excerpt(excerpt: Excerpt) -> str:
    """Return ``excerpt`` as used in file names, as ``0m45s-1m15s``; "" for the whole song."""
    if excerpt.preview is not None:
        return f"preview {_plain(excerpt.preview)}s"
    start, end = excerpt.start or 0.0, excerpt.end
    if excerpt.duration is not None:
        end = start + excerpt.duration
    if end is None:
        return f"{_time(start)}-end" if start else ""
    return f"{_time(start)}-{_time(end)}"


def _time(seconds: float) -> str:
    """Return a time as ``0m45s``, ``1m07.5s`` or ``1h02m00s``."""
    *hours, minutes, rest = _clock(seconds).split(":")
    return f"{hours[0]}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def _clock(seconds: float) -> str:
    """Return a time as ``0:45``, ``1:07.5`` or ``1:02:00``."""
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    text = _plain(rest)
    padded = text if rest >= 10 else f"0{text}"
    return f"{hours}:{minutes:02}:{padded}" if hours else f"{minutes}:{padded}"


def _plain(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")
