"""MP3, encoded by LAME, corrected so that a stem is as long and as loud as the song.

For the layout of the gapless tag in the first frame see
http://gabriel.mp3-tech.org/mp3infotag.html.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.audio.encoders.through_ffmpeg import ThroughFfmpeg
from stemsplit.audio.formats import bitrate_of
from stemsplit.audio.probe import probe
from stemsplit.audio.splice import splice
from stemsplit.audio.tags import id3
from stemsplit.errors import InputError, StemsplitError

#: LAME 3.100 reduces the volume at low bit rates (kbit/s); measured, as this is undocumented.
LAME_VOLUMES = {192: 0.97, 224: 0.98, 256: 1.0, 320: 1.0}
LAME_LOWEST_VOLUME = 0.95  # at all other bit rates, and below 32 kHz

MARKS = (b"Info", b"Xing")  # constant and variable bit rate
LONGEST_FRAME = 1441  # bytes, at 320 kbit/s and 32 kHz
#: Offsets from the mark of the tag, in bytes.
FRAMES, MAKER, DELAY_AND_PADDING, CHECKSUM = 8, 120, 141, 154
#: ffmpeg writes its own name there, but some readers (mutagen) trust only delays written by LAME.
LAME = b"LAME3.100"
MOST_PADDING = (1 << 12) - 1  # samples that the tag can declare
LOWEST_MPEG_1 = 32_000  # Hz; at lower rates a frame has 576 samples, not 1152
FEWEST_MPEG_2 = 47  # samples
#: ffmpeg reliably detects MP3 from seven frames on, including that of the tag. For each version of
#: MPEG: the samples LAME needs to write seven frames, and the fewest of them that are the stem's.
SEVEN_FRAMES = {True: (5000, 2241), False: (2000, 1)}  # by whether it is MPEG-1
#: Bits 3 and 4 of the second byte of a frame: MPEG-1, whose frames have 1152 samples, not 576.
MPEG_1 = 0x18


class Mp3(ThroughFfmpeg):
    """libmp3lame; the tag in the first frame declares how much of the end is padding."""

    container = "mp3"

    def _refuse_short(self) -> None:
        # The decoder delay extends into the second frame of MPEG-2. If the sound ends there too,
        # ffmpeg before version 8 removes nothing.
        self.fewest = 1 if self._stored_rate >= LOWEST_MPEG_1 else FEWEST_MPEG_2
        super()._refuse_short()

    def _fitted(self, audio: Any) -> Any:
        needed, fewest = SEVEN_FRAMES[self._stored_rate >= LOWEST_MPEG_1]
        fitted = super()._fitted(audio)
        if not fewest <= self._stored_frames < needed:
            return fitted
        return fitted.filter("apad", whole_len=needed)

    def _output_options(self) -> dict[str, Any]:
        options = self.stem.options
        # ID3 is inserted at the start later, when the first frame with its tag is complete.
        words = super()._output_options() | {"id3v2_version": 0}
        if options.quality is not None:
            return words | {"q:a": options.quality}
        bitrate = bitrate_of(options)
        self.gain = np.float32(1 / lame_volume(bitrate, self._stored_rate))
        return words | {"audio_bitrate": f"{bitrate}k"}

    def _complete(self) -> None:
        path = self.stem.temporary
        correct_padding(path, self._stored_frames)
        if self._stored_frames < SEVEN_FRAMES[True][1]:
            self._refuse_unrecognised(path)
        if data := id3.written(self.stem.tags):
            with path.open("r+b") as file:
                splice(file, 0, 0, data)

    def _refuse_unrecognised(self, path: Path) -> None:
        """Raise ``OutputError`` if the few frames of the stem look like another format."""
        try:
            probe(path)
        except InputError as exc:
            raise self._too_short() from exc


def lame_volume(bitrate: int, sample_rate: int) -> float:
    """Return the factor by which LAME reduces the volume at ``bitrate`` kbit/s."""
    if sample_rate < 32_000:
        return LAME_LOWEST_VOLUME
    return LAME_VOLUMES.get(bitrate, LAME_LOWEST_VOLUME)


def correct_padding(path: Path, frames: int) -> None:
    """Make the tag of the MP3 at ``path`` declare exactly ``frames`` samples, written by LAME.

    ffmpeg cannot declare more than one MPEG frame as padding. With 1 to 46 samples more than a
    multiple of 1152, two would be needed, and up to 46 samples of silence would remain.
    Raises ``StemsplitError`` if there is no tag, or the file cannot have that many samples.
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
        if not 0 <= padding <= MOST_PADDING:
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
