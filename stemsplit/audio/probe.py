"""What a file holds, before any of it is decoded. Needs no ffprobe."""

from __future__ import annotations

import re
import stat
import struct
from pathlib import Path
from typing import BinaryIO, TypeAlias

from stemsplit.audio.chunks import CAF, RIFF, WAVE64, WIDE_SIZES, walk
from stemsplit.audio.ffmpeg import Process, file_stream, process_of
from stemsplit.errors import InputError, NoAudioError
from stemsplit.types import StreamInfo

#: An ``au`` header: magic, offset, size, encoding, sample rate, channels, all big-endian.
AU_HEADER = struct.Struct(">4s5I")
#: Sample rates (Hz) of what is sound. Blocks are a second long, which at 2 GHz is more than memory
#: holds, as are the frames that a few bytes become if each lasts for a second.
RATES = range(100, 10_000_001)
REST_AT_A_TIME = 2**16  # bytes of the frame behind it, which nothing needs
DURATION = re.compile(r"^\[info\]   Duration: (?:(\d+):(\d\d):(\d\d\.\d+)|N/A),", re.MULTILINE)
CODEC = re.compile(r"^\[info\]   Stream #0:\d+ -> #0:0 \((\w+) \(", re.MULTILINE)
STREAM = re.compile(r"^\[info\]   Stream #0:\d+\S*: (?!.*\(attached pic\))", re.MULTILINE)
CONTAINER = re.compile(r"^\[info\] Input #0, (\S+), from '", re.MULTILINE)
ESTIMATED = re.compile(
    r"^\[\S+ @ 0x[0-9a-f]+\] \[warning\] Estimating duration from bitrate", re.MULTILINE
)
#: What ffmpeg says of a format that is not in `SELF_CONTAINED`, and what it means.
REFUSED = "Format not on whitelist"
FOREIGN_SOUND = (
    "holds no sound of its own: it is a text, a playlist or a picture, or in a format that is "
    "not known to be safe"
)
#: Containers that declare no duration; ffmpeg guesses one from time stamps, which may jump.
UNDECLARED = {"mpeg", "mpegts"}
#: Sizes in a WAV header whose writer did not know how much follows: none, as large as the field
#: (less a header), or just below 2 GiB (sox, arecord).
PLACEHOLDER_SIZES = (range(1), range(0x7FFFF000, 0x80000001), range(0xFFFFFF00, 0x100000000))
WAV_PCM_TAGS = (1, 3, 0xFFFE)
#: The start of a chunk ``fmt``: tag, channels, rate, bytes of a second, bytes of a frame.
WAV_FORM = struct.Struct("<HHIIH")
#: The start of a chunk ``desc``: rate, format, flags, bytes and frames of a packet.
CAF_FORM = struct.Struct(">d4s3I")
#: The bytes of a second, 0 where that is not fixed (all but PCM), and of the samples, None where
#: their writer did not know.
Promise: TypeAlias = tuple[float, int | None]


def probe(path: Path, stream: int = 0) -> StreamInfo:
    """Return what an audio stream of ``path`` is like: the first, or number ``stream`` from 0.

    The sample rate and the channels come from a header that ffmpeg writes for the decoded stream;
    only the duration (s) and the name of the codec are read from its report, and neither is used
    where the report says two different things: names and tags may imitate it.

    Raises ``InputError`` when ``path`` is missing, unreadable, not a file, empty or not audio, or
    has no such stream, and ``ResourceError`` when ffmpeg does not work.
    """
    refuse_unreadable(path)
    header, process = _decode_one_frame(path, stream)
    if len(header) < AU_HEADER.size:
        raise _why_no_audio(path, stream, process)
    magic, _offset, _size, _encoding, sample_rate, channels = AU_HEADER.unpack_from(header)
    if magic != b".snd" or not sample_rate or not channels:
        raise InputError("the audio stream has no sample rate or no channels", path=path)
    if sample_rate not in RATES:
        reason = f"a sample rate of {sample_rate} Hz; those of {RATES[0]} Hz to 10 MHz are read"
        raise InputError(reason, path=path)
    codecs = set(CODEC.findall(process.report))
    return StreamInfo(
        path=path,
        sample_rate=sample_rate,
        channels=min(channels, 2),
        stored_channels=channels,
        duration=_declared_duration(path, process.report),
        codec=codecs.pop() if len(codecs) == 1 else "unknown",
        stream=stream,
    )


def has_other_streams(path: Path) -> bool:
    """Return whether ``path`` holds more than one stream (a film does); a cover does not count."""
    _header, process = _decode_one_frame(path, 0)
    listed, _separator, _rest = process.report.partition("[info] Stream mapping:")
    return len(STREAM.findall(listed)) > 1


def refuse_unreadable(path: Path) -> None:
    """Raise ``InputError`` unless ``path`` is a file that is not empty and may be read."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError("is a folder, not a file", path=path)
        if not stat.S_ISREG(status.st_mode):
            reason = "is not a regular file"
            raise InputError(reason, path=path, hint="a song is read twice: store it in a file")
        with path.open("rb"):
            pass
    except FileNotFoundError as exc:
        raise InputError("no such file", path=path) from exc
    except PermissionError as exc:
        raise InputError("may not be read (permission denied)", path=path) from exc
    except (OSError, ValueError) as exc:  # ValueError: a name with a NUL byte
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"cannot be read: {reason}", path=path) from exc
    if status.st_size == 0:
        raise InputError("is empty (0 bytes)", path=path)


def _decode_one_frame(path: Path, stream: int) -> tuple[bytes, Process]:
    """Return the au header of the first frame (nothing without one) and the ended process."""
    form = {"format": "au", "acodec": "pcm_s16be", "frames:a": 1}
    graph = file_stream(f"a:{stream}").output("pipe:1", **form)
    with process_of(graph, file=path, level="info") as process:
        header = process.read(AU_HEADER.size)
        while process.read(REST_AT_A_TIME):
            pass
        if process.finish() != 0 or not process.report:
            process.refuse_broken()
        return header, process


def _why_no_audio(path: Path, stream: int, process: Process) -> InputError:
    if any("matches no streams" in text for text in process.complaints):
        which = f" number {stream + 1}" if stream else ""
        return NoAudioError(f"has no audio stream{which}", path=path)
    if any(text.startswith(REFUSED) for text in process.complaints):
        return InputError(FOREIGN_SOUND, path=path, hint="name the songs themselves")
    reason = f"not an audio file that ffmpeg can read ({process.reason})"
    return InputError(reason, path=path)


def _declared_duration(path: Path, report: str) -> float | None:
    """Return the seconds that the container declares; None where that is unknown."""
    containers = set(CONTAINER.findall(report))
    for name, read in HEADERS.items():
        if containers == {name}:
            with path.open("rb") as file:
                bytes_per_second, size = read(file)
            if size is None:
                return None
            if bytes_per_second:
                return size / bytes_per_second
    if ESTIMATED.search(report) or containers & UNDECLARED:
        return None
    times = set(DURATION.findall(report))
    if len(times) != 1:
        return None
    hours, minutes, seconds = times.pop()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds) if hours else None


def _wav_promise(file: BinaryIO) -> Promise:
    """Return what the header of a RIFF or RF64 file promises.

    ffmpeg reports what the file is long enough for instead, which hides that it is truncated.
    """
    bytes_per_second = 0
    wide = False
    for name, size in walk(file, RIFF):
        if name == b"data":
            unknown = not wide and any(size in sizes for sizes in PLACEHOLDER_SIZES)
            return bytes_per_second, None if unknown else size
        if name == b"fmt ":
            bytes_per_second = _wav_rate(file.read(min(size, WAV_FORM.size)))
        wide = wide or (name == b"ds64" and size >= WIDE_SIZES)
    return bytes_per_second, None


def _w64_promise(file: BinaryIO) -> Promise:
    """Return what the header of a Wave64 file promises."""
    bytes_per_second = 0
    for name, size in walk(file, WAVE64):
        if name == b"data":
            known = 0 < size < 2**62  # else its writer did not know
            return bytes_per_second, size if known else None
        if name == b"fmt ":
            bytes_per_second = _wav_rate(file.read(min(size, WAV_FORM.size)))
    return bytes_per_second, None


def _wav_rate(form: bytes) -> int:
    """Return the bytes of a second by the chunk ``fmt``; 0 for all but PCM."""
    if len(form) < WAV_FORM.size:
        return 0
    tag, _channels, rate, _bytes_per_second, block_size = WAV_FORM.unpack(form)
    return int(rate * block_size) if tag in WAV_PCM_TAGS else 0


def _caf_promise(file: BinaryIO) -> Promise:
    """Return what the header of a CAF file promises."""
    bytes_per_second = 0.0
    for name, size in walk(file, CAF):
        if name == b"data":  # an edit count comes first; -1: up to the end of the file
            # Compressed audio has a table of its packets, which says where it ends.
            return bytes_per_second, size - 4 if size > 4 or not bytes_per_second else None
        body = file.read(CAF_FORM.size) if name == b"desc" else b""
        if len(body) == CAF_FORM.size:
            rate, _form, _flags, packet_bytes, packet_frames = CAF_FORM.unpack(body)
            bytes_per_second = rate * packet_bytes / packet_frames if packet_frames else 0
    return bytes_per_second, None


#: Containers, as ffmpeg calls them, whose headers are read here: for a truncated file ffmpeg
#: reports what is left of it, or nothing.
HEADERS = {
    "wav": _wav_promise,
    "w64": _w64_promise,
    "caf": _caf_promise,
}
