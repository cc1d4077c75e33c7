"""What MP3 can do, and what has to be put right so that a stem is as long and as loud as the song.

The gapless tag in the first frame is laid out as http://gabriel.mp3-tech.org/mp3infotag.html says.
"""

from __future__ import annotations

from pathlib import Path

from stemsplit.errors import StemsplitError

#: Hz that MPEG-1, 2 and 2.5 layer III know (ISO 11172-3 §2.4.2.3, 13818-3 §2.4.2.3).
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
#: kbit/s of MPEG-1 layer III, the same tables.
BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
#: LAME 3.100 turns the volume down at low bit rates (kbit/s); measured, as no page says so.
LAME_VOLUMES = {192: 0.97, 224: 0.98, 256: 1.0, 320: 1.0}
LAME_LOWEST_VOLUME = 0.95  # of all others; below 32 kHz no higher rate exists

MARKS = (b"Info", b"Xing")  # constant and variable bit rate
LONGEST_FRAME = 1441  # bytes, at 320 kbit/s and 32 kHz
#: From the mark of the tag on, in bytes.
FRAMES, MAKER, DELAY_AND_PADDING, CHECKSUM = 8, 120, 141, 154
#: ffmpeg writes its own name there, but some readers (mutagen) believe the delays of LAME alone.
LAME = b"LAME3.100"
#: Bits 3 and 4 of the second byte of a frame: MPEG-1, whose frames hold 1152 samples, not 576.
MPEG_1 = 0x18


def lame_volume(bitrate: int, sample_rate: int) -> float:
    """Return the factor by which LAME turns down what it encodes at ``bitrate`` kbit/s."""
    if sample_rate < 32_000:
        return LAME_LOWEST_VOLUME
    return LAME_VOLUMES.get(bitrate, LAME_LOWEST_VOLUME)


def correct_padding(path: Path, frames: int) -> None:
    """Make the tag of the MP3 at ``path`` say that it holds exactly ``frames`` of audio, by LAME.

    ffmpeg cannot declare more than one frame of the format as padding. After 1 to 46 frames more
    than a multiple of 1152 two would be needed, and up to 46 frames of silence would remain.
    Raises ``StemsplitError`` where there is no tag or the file cannot hold so many frames.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(LONGEST_FRAME))
        mark = max(head.find(mark) for mark in MARKS)
        if mark < 0 or head[0] != 0xFF:
            raise StemsplitError("ffmpeg wrote no gapless tag", path=path)
        size = 1152 if head[1] & MPEG_1 == MPEG_1 else 576
        held = size * int.from_bytes(head[mark + FRAMES :][:4], "big")
        place = mark + DELAY_AND_PADDING
        delay = int.from_bytes(head[place : place + 3], "big") >> 12
        padding = held - delay - frames
        if not 0 <= padding < 1 << 12:
            raise StemsplitError(f"the mp3 holds {held - delay} frames, not {frames}", path=path)
        head[mark + MAKER : mark + MAKER + len(LAME)] = LAME
        head[place : place + 3] = (delay << 12 | padding).to_bytes(3, "big")
        place = mark + CHECKSUM
        head[place : place + 2] = checksum(head[:place]).to_bytes(2, "big")
        file.seek(0)
        file.write(head)


def checksum(data: bytes | bytearray) -> int:
    """Return the CRC-16 (polynomial 0x8005, bits reflected, start 0) of ``data``."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
