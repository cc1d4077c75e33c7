"""How long a file claims to be, according to its own header.

For a truncated file, ffmpeg reports the length of what is left, or none; and its versions differ in
what they subtract from the stored length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from stemsplit.audio.chunks import AIFF, CAF, RIFF, WAVE64, WIDE_SIZES, walk

#: Sizes in a WAV header whose writer did not know the length: zero, the largest value of the field
#: (less a header), or just below 2 GiB (sox, arecord).
PLACEHOLDER_SIZES = (range(1), range(0x7FFFF000, 0x80000001), range(0xFFFFFF00, 0x100000000))
WAV_PCM_TAGS = (1, 3, 6, 7, 0xFFFE)  # integers, floats, A-law, µ-law, extensible
#: The start of a ``fmt`` chunk: tag, channels, rate, bytes per second, bytes per frame.
WAV_FORM = struct.Struct("<HHIIH")
#: An extensible ``fmt`` chunk: tag, channels, bytes per frame, bits stored and valid, kind.
EXTENSIBLE_FORM = struct.Struct("<HH8xHH2xH4x16s")
EXTENSIBLE = 0xFFFE
PCM_KIND = bytes.fromhex("0100000000001000800000aa00389b71")
FLOAT_KIND = bytes.fromhex("0300000000001000800000aa00389b71")
PCM_DECODERS = {2: "pcm_s16le", 3: "pcm_s24le", 4: "pcm_s32le"}  # by bytes per sample
#: The start of a ``desc`` chunk: rate, format, flags, bytes and frames per packet.
CAF_FORM = struct.Struct(">d4s3I")
#: The start of a ``pakt`` chunk: packets, valid frames, frames before and after these.
CAF_PACKETS = struct.Struct(">qqii")
#: An ``au`` header after its magic: offset, size, encoding, rate, channels.
AU_FORM = struct.Struct(">5I")
AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}  # per sample, by encoding
#: A sound block of the new type in a VOC file: rate, bits, channels, codec; and its PCM codecs.
VOC_FORM = struct.Struct("<IBBH")
VOC_PCM = (0, 4, 6, 7)
VOC_START = b"Creative Voice File\x1a"
MOST_BLOCKS = 100_000
#: The start of an AVI: its size, and in the first list the time per picture and their number.
AVI_HEAD = struct.Struct("<4xI16x4s4xI12xI")
AVI_HEAD_OF_RIFF = 7  # bytes that the size does not count, less one of padding
#: Samples per layer III frame in MPEG-1, and in MPEG-2 and 2.5.
MP3_FRAMES = (1152, 576)


class Undecided(Exception):
    """The header does not give the length of the sound; use ffmpeg's report instead."""


#: Takes an open file; returns seconds, or None if the writer of the file did not know.
Reader: TypeAlias = Callable[[BinaryIO], float | None]


def _wav_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the header of a RIFF or RF64 file declares."""
    form = b""
    wide = False
    for name, size in walk(file, RIFF):
        if name == b"data":
            if not wide and any(size in sizes for sizes in PLACEHOLDER_SIZES):
                return None
            return _wav_seconds(form, size, file)
        if name == b"fmt ":
            form = file.read(min(size, WAV_FORM.size))
        wide = wide or (name == b"ds64" and size >= WIDE_SIZES)
    return None


def _w64_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the header of a Wave64 file declares."""
    form = b""
    for name, size in walk(file, WAVE64):
        if name == b"data":
            known = 0 < size < 2**62  # otherwise its writer did not know
            return _wav_seconds(form, size, file) if known else None
        if name == b"fmt ":
            form = file.read(min(size, WAV_FORM.size))
    return None


def _wav_seconds(form: bytes, size: int, file: BinaryIO) -> float:
    """Return the duration (s) of ``size`` bytes of samples that start here."""
    if len(form) < WAV_FORM.size:
        raise Undecided
    tag, _channels, rate, bytes_per_second, block_size = WAV_FORM.unpack(form)
    if tag in WAV_PCM_TAGS and rate and block_size:
        return float(size // block_size / rate)
    start = file.tell()
    if start + size > file.seek(0, 2) and bytes_per_second:
        return float(size / bytes_per_second)
    raise Undecided


def _caf_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the header of a CAF file declares.

    The table of packets, which may come last, is more exact than the number of bytes.
    """
    rate = packet_bytes = packet_frames = 0
    seconds: float | None = None
    for name, size in walk(file, CAF):
        if name == b"desc" and size >= CAF_FORM.size:
            rate, _form, _flags, packet_bytes, packet_frames = CAF_FORM.unpack(
                file.read(CAF_FORM.size)
            )
        elif name == b"pakt" and size >= CAF_PACKETS.size and rate:
            _packets, valid, _before, after = CAF_PACKETS.unpack(file.read(CAF_PACKETS.size))
            if not after and not packet_bytes:  # ffmpeg 5 to 8 count whole packets as valid
                raise Undecided
            if after:
                return float(valid / rate)
        elif name == b"data" and packet_bytes and packet_frames and rate:
            # An edit count comes first; size -1 means up to the end of the file.
            frames = (size - 4) // packet_bytes * packet_frames
            seconds = float(frames / rate) if size > 4 else None
    if packet_bytes:
        return seconds
    raise Undecided


def _aiff_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the header of an AIFF file declares."""
    for name, size in walk(file, AIFF):
        if name == b"COMM" and size >= 18:
            _channels, frames, _bits = struct.unpack(">hIh", file.read(8))
            exponent, mantissa = struct.unpack(">HQ", file.read(10))
            rate = mantissa * 2.0 ** (exponent - 16383 - 63)
            kind = file.read(4) if size >= 22 else b"NONE"
            if not rate or kind not in (b"NONE", b"sowt", b"twos", b"fl32", b"FL32", b"in24"):
                break
            return frames / rate if frames else None
    raise Undecided


def _au_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the header of an AU file declares."""
    file.seek(4)
    form = file.read(AU_FORM.size)
    if len(form) < AU_FORM.size:
        raise Undecided
    _offset, size, encoding, rate, channels = AU_FORM.unpack(form)
    frame = AU_BYTES.get(encoding, 0) * channels
    if not frame or not rate:
        raise Undecided
    return None if size == 0xFFFFFFFF else size // frame / rate


def _voc_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the blocks of a VOC file declare; the last may be truncated."""
    seconds = per_second = 0.0
    for kind, size in _voc_blocks(file):
        content = size
        if kind == 9:
            rate, bits, channels, codec = VOC_FORM.unpack(file.read(VOC_FORM.size))
            if codec not in VOC_PCM:
                raise Undecided
            per_second, content = rate * channels * bits / 8, size - 12
        elif kind == 1:
            divisor, codec = file.read(2)
            if codec != 0:
                raise Undecided
            per_second, content = round(1e6 / (256 - divisor)), size - 2
        if kind in (1, 2, 9) and per_second:
            seconds += content / per_second
        elif kind in (6, 7, 8):  # repeats, and rate changes
            raise Undecided
    return seconds or None


def _voc_blocks(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield kind and size (bytes) of each block of a VOC ``file``, positioned at its content.

    The end marker has kind 0; it comes last, unless the file was cut.
    """
    file.seek(20)
    place = int.from_bytes(file.read(2), "little")
    for _ in range(MOST_BLOCKS):
        file.seek(place)
        head = file.read(4)
        if not head or (len(head) < 4 and head[0]):
            return
        kind, size = head[0], int.from_bytes(head[1:], "little")
        yield kind, size
        if kind == 0:
            return
        place += 4 + size


def lacks_end_mark(path: Path) -> bool:
    """Return whether the file at ``path`` is a VOC without its end marker."""
    with path.open("rb") as file:
        if file.read(len(VOC_START)) != VOC_START:
            return False
        return all(kind for kind, _size in _voc_blocks(file))


def _avi_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) of the pictures of a truncated AVI, which ffmpeg cannot know."""
    head = file.read(AVI_HEAD.size)
    if len(head) < AVI_HEAD.size:
        raise Undecided
    size, name, microseconds, frames = AVI_HEAD.unpack(head)
    whole = size in PLACEHOLDER_SIZES[0] or file.seek(0, 2) >= size + AVI_HEAD_OF_RIFF
    if whole or name != b"avih" or not frames:
        raise Undecided
    return float(frames * microseconds / 1e6)


def _flac_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) that the header of a FLAC file declares; skip an ID3 tag."""
    file.seek(_after_id3(file))
    head = file.read(42)
    if len(head) < 42 or head[:4] != b"fLaC":
        raise Undecided
    rate = int.from_bytes(head[18:21], "big") >> 4
    frames = int.from_bytes(head[21:26], "big") & (1 << 36) - 1
    return frames / rate if frames and rate else None


def _mp3_duration(file: BinaryIO) -> float | None:
    """Return the duration (s) in the tag of an MP3's first frame, without LAME's delays.

    ffmpeg 5 and 6 count the delays as sound. Raises ``Undecided`` for a tag without delays.
    """
    file.seek(_after_id3(file))
    head = file.read(1600)
    mark = max(head.find(b"Xing"), head.find(b"Info"))
    if mark < 0 or head[:1] != b"\xff" or len(head) < mark + 144 or head[mark + 7] & 1 == 0:
        raise Undecided
    if not head[mark + 120 :].startswith((b"LAME", b"Lavf", b"Lavc")):
        raise Undecided
    version, index = head[1] >> 3 & 3, head[2] >> 2 & 3
    if version == 1 or index == 3:
        raise Undecided
    rate = (44100, 48000, 32000)[index] >> {3: 0, 2: 1, 0: 2}[version]
    held = int.from_bytes(head[mark + 8 :][:4], "big") * MP3_FRAMES[version != 3]
    delays = int.from_bytes(head[mark + 141 :][:3], "big")
    return max(0, held - (delays >> 12) - (delays & 0xFFF)) / rate


def _after_id3(file: BinaryIO) -> int:
    """Return where the ID3 tags at the start of ``file`` end; 0 if there are none."""
    place = 0
    while True:
        file.seek(place)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return place
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        place += 10 + size + (10 if head[5] & 0x10 else 0)


def pcm_decoder(file: BinaryIO, container: str) -> str | None:
    """Return the decoder for a WAV or W64 whose samples have fewer valid bits than stored bits.

    None for any other file. ffmpeg assumes that only the valid bits are stored; in fact they are
    the most significant of the stored bits.
    """
    layout = {"wav": RIFF, "w64": WAVE64}.get(container)
    if layout is None:
        return None
    for name, size in walk(file, layout):
        if name == b"fmt " and size >= EXTENSIBLE_FORM.size:
            tag, channels, block_size, _bits, valid, kind = EXTENSIBLE_FORM.unpack(
                file.read(EXTENSIBLE_FORM.size)
            )
            if tag != EXTENSIBLE or kind != PCM_KIND or not channels:
                return None
            stored = block_size // channels
            return PCM_DECODERS.get(stored) if -(-valid // 8) < stored else None
    return None


def declared_duration(file: BinaryIO, container: str) -> float | None:
    """Return the duration (s) that the header of ``file`` declares; None if it is left open.

    ``container`` is ffmpeg's name for the format. Raises ``Undecided`` if the header does not
    give a duration.
    """
    if (reader := READERS.get(container)) is None:
        raise Undecided
    return reader(file)


#: By ffmpeg's name for the container.
READERS: dict[str, Reader] = {
    "wav": _wav_duration,
    "w64": _w64_duration,
    "caf": _caf_duration,
    "aiff": _aiff_duration,
    "au": _au_duration,
    "voc": _voc_duration,
    "avi": _avi_duration,
    "flac": _flac_duration,
    "mp3": _mp3_duration,
}
