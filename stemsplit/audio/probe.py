"""Finds out what a file contains before it is decoded. Does not need ffprobe."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

from stemsplit.audio import headers
from stemsplit.audio.clock import LONGEST_GAP, OWN_CLOCK, START_PRINTED, silence_before
from stemsplit.audio.ffmpeg import check_version, file_stream, process_of
from stemsplit.audio.mp4 import declared_frames
from stemsplit.audio.process import Process
from stemsplit.audio.readable import refuse_unreadable
from stemsplit.errors import InputError, NoAudioError
from stemsplit.git_lfs import refuse_pointer
from stemsplit.types import StreamInfo

#: An ``au`` header: magic, offset, size, encoding, sample rate, channels, all big-endian.
AU_HEADER = struct.Struct(">4s5I")
#: Plausible sample rates (Hz). Blocks are one second long, which at 2 GHz would not fit in memory;
#: nor would the sound of a few bytes if each frame lasted a second.
RATES = range(100, 10_000_001)
MOST_CHANNELS = 64  # that ffmpeg can mix
REST_AT_A_TIME = 2**16  # bytes of the frame after the header, which are discarded
DURATION = re.compile(
    r"^\[info\]   Duration: (?:(\d+):(\d\d):(\d\d\.\d+)|N/A),(?: start: (-?[\d.]+))?", re.MULTILINE
)
CODEC = re.compile(r"^\[info\]   Stream #0:\d+ -> #0:0 \((\w+) \(", re.MULTILINE)
STREAM = re.compile(r"^\[info\]   Stream #0:\d+\S*: (?!.*\(attached pic\))", re.MULTILINE)
CONTAINER = re.compile(r"^\[info\] Input #0, (\S+), from '", re.MULTILINE)
ESTIMATED = re.compile(
    r"^\[\S+ @ 0x[0-9a-f]+\] \[warning\] Estimating duration from bitrate", re.MULTILINE
)
#: What ffmpeg reports for a format that is not in `SELF_CONTAINED`, and what that means.
REFUSED = "Format not on whitelist"
FOREIGN_SOUND = (
    "contains no audio itself: it is text, a playlist or a picture, or in a format that is "
    "not known to be safe"
)
#: Containers whose header gives a duration, but not to the sample.
INEXACT = {"mp3", "avi"}
#: Containers that declare no duration; ffmpeg estimates one from time stamps, which may jump.
UNDECLARED = {"mpeg", "mpegts"}
MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
#: Containers whose duration counts from zero, whatever their first time stamp is.
FROM_ZERO = {"matroska,webm", MP4, "asf", "nut"}
#: Codecs for which some versions of ffmpeg decode more than the header counts.
OVERLONG = ("flac", "alac", "adpcm")
#: Bare packet streams: ffmpeg derives their time stamps from all bytes, including those that are
#: not sound.
UNTIMED = frozenset(["aac", "ac3", "adts", "amr", "dts", "eac3", "loas", "mlp", "mp3", "truehd"])
#: The most channels for which ffmpeg may guess the layout. It also has guesses for 10, 12, 16, 24.
USUAL = 8
#: Options of every input: keep the time stamps of the file, and limit those guesses.
INPUT = {"guess_layout_max": USUAL} | OWN_CLOCK


def probe(path: Path, stream: int = 0) -> StreamInfo:
    """Describe an audio stream of ``path``: the first, or the one with index ``stream`` (from 0).

    The sample rate and the channels come from a header that ffmpeg writes for the decoded stream.
    Only the duration (s) and the name of the codec are read from its report, and neither is used
    if the report contradicts itself: names and tags may imitate it.

    Raises ``InputError`` if ``path`` is missing, unreadable, not a file, empty or not audio, or
    does not have that stream, and ``ResourceError`` if ffmpeg does not work.
    """
    refuse_unreadable(path)
    header, process = _decode_one_frame(path, stream)
    if len(header) < AU_HEADER.size:
        raise _why_no_audio(path, stream, process)
    magic, _offset, _size, _encoding, sample_rate, channels = AU_HEADER.unpack_from(header)
    if magic != b".snd" or not sample_rate or not channels:
        raise InputError("the audio stream has no sample rate or no channels", path=path)
    _refuse_unsupported(path, sample_rate, channels)
    codecs = set(CODEC.findall(process.report))
    codec = codecs.pop() if len(codecs) == 1 else "unknown"
    duration, counted = _declared_duration(path, process.report, codec)
    decoder = _own_decoder(path, process.report)
    info = StreamInfo(
        path=path,
        sample_rate=sample_rate,
        channels=min(channels, 2),
        stored_channels=channels,
        timed=not UNTIMED.intersection(CONTAINER.findall(process.report)),
        placed=not _lacks_layout(process.report, channels),
        duration=duration,
        counted=counted,
        codec=codec if decoder is None else decoder,
        decoder=decoder,
        stream=stream,
    )
    most = _most_frames(info, process.report)
    return replace(info, most_frames=most, silent_frames=_silent_frames(info, process))


def _refuse_unsupported(path: Path, sample_rate: int, channels: int) -> None:
    if channels > MOST_CHANNELS:
        reason = f"has {channels} channels; at most {MOST_CHANNELS} are supported"
        raise InputError(reason, path=path, hint="export it with fewer channels")
    if sample_rate not in RATES:
        supported = f"supported: {RATES[0]} Hz to 10 MHz"
        raise InputError(f"unsupported sample rate of {sample_rate} Hz; {supported}", path=path)


def has_other_streams(path: Path) -> bool:
    """Return whether ``path`` has more than one stream, as a video does; covers do not count."""
    _header, process = _decode_one_frame(path, 0)
    return _lists_others(process.report)


def _lists_others(report: str) -> bool:
    listed, _separator, _rest = report.partition("[info] Stream mapping:")
    return len(STREAM.findall(listed)) > 1


def _decode_one_frame(path: Path, stream: int) -> tuple[bytes, Process]:
    """Return the au header of the first frame (empty without one) and the finished process."""
    form = {"format": "au", "acodec": "pcm_s16be", "frames:a": 1, "af": START_PRINTED}
    graph = file_stream(f"a:{stream}", **INPUT).output("pipe:1", **form)
    with process_of(graph, file=path, level="info", introduced=True) as process:
        header = process.read(AU_HEADER.size)
        while process.read(REST_AT_A_TIME):
            pass
        status = process.finish()
        check_version(process)
        if status != 0 or not process.report:
            process.refuse_broken()
        return header, process


def _why_no_audio(path: Path, stream: int, process: Process) -> InputError:
    """Return the error for a file without audio; raises ``InputError`` for a Git LFS pointer."""
    if any("matches no streams" in text for text in process.complaints):
        which = f" number {stream + 1}" if stream else ""
        return NoAudioError(f"has no audio stream{which}", path=path)
    refuse_pointer(path, InputError)
    if any(text.startswith(REFUSED) for text in process.complaints):
        return InputError(FOREIGN_SOUND, path=path, hint="name the audio files themselves")
    reason = f"not an audio file that ffmpeg can read ({process.reason})"
    return InputError(reason, path=path)


def _declared_duration(path: Path, report: str, codec: str) -> tuple[float | None, bool]:
    """Return the declared duration (s), if any, and whether the container counts samples."""
    containers = set(CONTAINER.findall(report))
    if len(containers) == 1:
        (container,) = containers
        try:
            with path.open("rb") as file:
                return headers.declared_duration(file, container), container not in INEXACT
        except (headers.Undecided, struct.error, ValueError):  # the last two: a damaged header
            pass
    if ESTIMATED.search(report) or containers & UNDECLARED:
        return None, False
    times = set(DURATION.findall(report))
    if len(times) != 1:
        return None, False
    hours, minutes, seconds, start = times.pop()
    if not hours:
        return None, False
    duration = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    from_zero = containers & FROM_ZERO or (containers == {"ogg"} and codec == "opus")
    before = float(start or 0) if from_zero else 0.0
    return duration - before if 0 < before < duration else duration, False


def _most_frames(info: StreamInfo, report: str) -> int | None:
    """Return how many frames of sound the header counts, where ffmpeg may decode more."""
    if set(CONTAINER.findall(report)) == {MP4}:
        with info.path.open("rb") as file:
            return declared_frames(file, info.stream, info.sample_rate)
    if info.duration is None or not info.counted or not info.codec.startswith(OVERLONG):
        return None
    return round(info.duration * info.sample_rate)


def _own_decoder(path: Path, report: str) -> str | None:
    containers = set(CONTAINER.findall(report))
    if len(containers) != 1:
        return None
    with path.open("rb") as file:
        return headers.pcm_decoder(file, containers.pop())


def _silent_frames(info: StreamInfo, process: Process) -> int:
    """Return how many frames of silence precede the sound that ``process`` has decoded.

    There are some if another stream starts earlier; a start after the end is ignored.
    """
    if not _lists_others(process.report) or not process.numbers:
        return 0
    late = silence_before(info.path, info.stream, process.numbers[0])
    longest = LONGEST_GAP if info.duration is None else info.duration
    return round(late * info.sample_rate) if late <= longest else 0


def _lacks_layout(report: str, channels: int) -> bool:
    """Return whether the layout of ``channels`` is unknown.

    For up to `USUAL` channels ffmpeg assumes the usual layout.
    """
    return channels > USUAL and f" Hz, {channels} channels, " in report
