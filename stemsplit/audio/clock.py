"""The clock of a file: where its sound starts, and where its time stamps leave gaps.

Zero is the start of the earliest stream of a video; a file with sound only starts at its first
sample. ffmpeg removes encoder delay before its filters run, so that it does not count as a gap.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from stemsplit.audio.ffmpeg import file_input, process_of

#: The shortest gap (s): just below the packet length of common codecs (20 ms and more), because
#: containers round to 1 ms. Smaller steps are jitter.
SHORTEST_GAP = 0.0195
#: The longest gap (s) that is filled with silence, which ffmpeg holds in memory. A longer jump, or
#: one back, means that files were joined: the sound continues without a gap.
LONGEST_GAP = 600
#: A step back (s) of at least this size means a different clock, not jitter.
BACK = 1
#: How late (s) a stream may be because of rounding.
ROUNDING = 0.002

#: Per frame of a stream, variables 0 to 3 hold: the expected time stamp (0), the time stamp on the
#: output's clock (1), the step to the actual one (2), and all gaps so far (3). Only a step that the
#: output has not made yet is a gap, so neither jitter nor slow drift adds up. The filter
#: ``asetpts`` prints the place and length (s) of each gap, as errors, and sets time stamps that
#: increase by the gaps alone.
_FILL = (
    "if(eq(N,0), st(0,PTS); st(1,PTS));"
    "st(2, PTS-ld(0));"
    f"if(gt(ld(2),{LONGEST_GAP}*SR) + lt(ld(2),-{BACK}*SR), st(1,ld(1)+ld(2)); st(2,0));"
    "st(2, min(ld(2), PTS-ld(1)));"
    f"if(gte(ld(2),{SHORTEST_GAP}*SR),"
    "  print((NB_CONSUMED_SAMPLES+ld(3))/SR,16) + print(ld(2)/SR,16), st(2,0));"
    "st(3, ld(3)+ld(2));"
    "st(0, if(isnan(PTS),ld(0),PTS) + NB_SAMPLES);"
    "st(1, ld(1)+ld(2)+NB_SAMPLES);"
    "NB_CONSUMED_SAMPLES+ld(3)"
)
#: ffmpeg restarts its filters whenever the format of the frames changes. ``volume`` knows the
#: number of channels; it prints it as a negative number and leaves the sound unchanged.
_CHANNELS = "1 + 0*if(eq(n,0), print(-nb_channels,16))"
#: Options of an input that keep the time stamps of the file.
OWN_CLOCK: dict[str, Any] = {"copyts": None}
#: A filter that prints the time (s) of each frame as an error.
START_PRINTED = r"asetpts=print(T\,16)*0+PTS"
#: Lines of framecrc: the kind of a stream (``0: video``), its time base, and a packet: its stream,
#: when it is decoded and when it is shown, and its duration.
_KIND = re.compile(r"#media_type (\d+): (\w+)")
_BASE = re.compile(r"#tb (\d+): (\d+)/(\d+)")
_PACKET = re.compile(r"(\d+), +(-?\d+), +(-?\d+), +(\d+), ")
_UNKNOWN = -(2**63)  # the value of an unknown time stamp


def with_gaps_filled(stream: Any) -> Any:
    """Return ``stream`` of a graph with silence where its time stamps leave gaps.

    The process then prints where the gaps are: see ``gaps``.
    """
    stream = stream.filter("asetpts", _FILL.replace(" ", ""))
    # ``async`` 1 fills and never stretches.
    return stream.filter("aresample", **{"async": 1, "min_hard_comp": SHORTEST_GAP - 0.0005})


def with_channels_printed(stream: Any) -> Any:
    """Return ``stream`` of a graph; the process prints its channels: see ``channel_counts``."""
    return stream.filter("volume", volume=_CHANNELS, eval="frame")


def gaps(numbers: Sequence[float]) -> list[tuple[float, float]]:
    """Return place and length (s) of each gap, from the ``numbers`` that the filters print."""
    printed = [number for number in numbers if number >= 0]
    return list(zip(printed[::2], printed[1::2], strict=False))


def channel_counts(numbers: Sequence[float]) -> list[int]:
    """Return the number of channels of the sound, one entry per change of its format."""
    return [int(-number) for number in numbers if number < 0]


def silence_before(path: Path, stream: int, first: float) -> float:
    """Return how many seconds after the earliest stream of a video its audio ``stream`` starts.

    ``first`` (s) is the time stamp of its first decoded frame, which is compared with those of
    pictures. Other audio streams have an encoder delay like this one, so that their first packets
    are compared, except for what comes before zero, which is not played.
    """
    starts = _first_packets(path)
    pictures = [start for kind, start in starts if kind == "video"]
    sounds = [start for kind, start in starts if kind == "audio"]
    late = [first - start for start in pictures]
    if stream < len(sounds):
        late += [sounds[stream] - start if start >= 0 else first for start in sounds]
    longest = max(late, default=0.0)
    return longest if longest > ROUNDING else 0.0


def length_of_video(path: Path) -> float:
    """Return the time (s) from the start of the earliest stream to the end of the last one.

    This reads the whole file, but decodes nothing.
    """
    source = file_input(**OWN_CLOCK)
    pictures, *others = (source[kind] for kind in ("V?", "a?", "s?", "d?"))  # s, d: subtitles, data
    graph = pictures.output(*others, "pipe:1", c="copy", format="framecrc", copy_unknown=None)
    start, end = inf, -inf
    with closing(_packets(graph, path)) as packets:
        for packet in packets:
            start, end = min(start, packet.start), max(end, packet.end)
    return max(0.0, end - start)


def _first_packets(path: Path) -> list[tuple[str, float]]:
    """Return kind and first time stamp (s) of each video and audio stream, audio last."""
    source = file_input(**OWN_CLOCK)
    graph = source["V?"].output(
        "pipe:1", **{"map": "0:a", "c": "copy", "format": "framecrc", "flush_packets": 1}
    )
    starts: dict[int, tuple[str, float]] = {}
    with closing(_packets(graph, path)) as packets:
        for packet in packets:
            starts.setdefault(packet.stream, (packet.kind, packet.start))
            if len(starts) == packet.streams:
                break
    return [starts[number] for number in sorted(starts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packet:
    """A packet of ``stream``, one of so many ``streams``; ``start`` and ``end`` in seconds."""

    stream: int
    streams: int
    kind: str
    start: float
    end: float


def _packets(graph: Any, path: Path) -> Generator[_Packet]:
    """Yield the packets of ``graph``, whose output is framecrc."""
    kinds: dict[int, str] = {}
    bases: dict[int, float] = {}
    with process_of(graph, file=path) as process:
        for text in process.lines():
            if match := _KIND.match(text):
                kinds[int(match[1])] = match[2]
            elif match := _BASE.match(text):
                bases[int(match[1])] = int(match[2]) / int(match[3])
            elif match := _PACKET.match(text):
                stream, decoding, shown, duration = map(int, match.groups())
                start = decoding if shown == _UNKNOWN else shown
                base = bases.get(stream, 0.0)
                yield _Packet(
                    stream=stream,
                    streams=len(bases),
                    kind=kinds.get(stream, ""),
                    start=start * base,
                    end=(start + duration) * base,
                )
