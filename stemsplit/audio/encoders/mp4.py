"""AAC and ALAC in MP4, corrected so that a stem is as long as the song.

ffmpeg writes the box ``moov`` last, so that it can grow. All tracks have the same length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemsplit.audio.encoders.through_ffmpeg import ThroughFfmpeg
from stemsplit.audio.formats import bitrate_of
from stemsplit.audio.mp4 import box, find, find_movie, tracks
from stemsplit.audio.splice import splice
from stemsplit.audio.tags import mp4 as atoms
from stemsplit.errors import StemsplitError

AAC_PACKET = 1024  # frames
#: The names of the depths in ffmpeg's ALAC encoder.
SAMPLE_FORMATS = {"16": "s16p", "24": "s32p"}


class Mp4(ThroughFfmpeg):
    """AAC or, with a depth, ALAC; the edit list declares which frames are the song's."""

    container = "ipod"

    def _refuse_short(self) -> None:
        # If less than half of the only packet is sound, ffmpeg decodes nothing.
        self.fewest = AAC_PACKET // 2 + 1 if self._depth is None else 1
        super()._refuse_short()

    @property
    def _silence(self) -> int:
        return silence_before(self._stored_frames) if self._depth is None else 0

    def _fitted(self, audio: Any) -> Any:
        fitted = super()._fitted(audio)
        delay = self._silence
        return fitted.filter("adelay", delays=f"{delay}S", all=1) if delay else fitted

    def _output_options(self) -> dict[str, Any]:
        words = super()._output_options()
        if self._depth is None:
            return words | {"audio_bitrate": f"{bitrate_of(self.stem.options)}k"}
        return words | {"sample_fmt": SAMPLE_FORMATS[self._depth]}

    def _complete(self) -> None:
        self._complete_movie(atoms.written(self.stem.tags))

    def _complete_movie(self, tags: bytes) -> None:
        complete(
            self.stem.temporary,
            frames=self._stored_frames,
            silence=self._silence,
            sample_rate=self._stored_rate,
            tags=tags,
        )


def silence_before(frames: int) -> int:
    """Return how many frames of silence before ``frames`` of AAC make the end a packet boundary.

    An edit list may cut frames at both ends. Many readers (ffmpeg 5, PyAV 18) follow it at the
    start, but drop only whole packets at the end, so nothing may be cut there.
    """
    return -frames % AAC_PACKET


def complete(path: Path, *, frames: int, silence: int, sample_rate: int, tags: bytes) -> None:
    """Make the MP4 at ``path`` declare exactly ``frames`` frames of audio, and add ``tags``.

    Before the audio come what the encoder added and ``silence`` frames that were passed to ffmpeg;
    the edit list cuts both. Older ffmpegs count its length in milliseconds, so that the stem would
    be up to 47 frames too short; here it is counted in frames. ``tags`` are the content of
    ``udta``. Raises ``StemsplitError`` if ffmpeg wrote an unexpected file.
    """
    with path.open("r+b") as file:
        movie = find_movie(file)
        if movie is None or sum(movie) != file.seek(0, 2):
            raise StemsplitError("ffmpeg wrote no movie box at the end", path=path)
        start, size = movie
        file.seek(start)
        data = bytearray(file.read(size))
        for at, value in _numbers(data, frames, silence, sample_rate, path):
            data[at : at + 4] = value.to_bytes(4, "big")
        data = _without_user_data(data) + box(b"udta", tags) if tags else _without_user_data(data)
        data[:4] = len(data).to_bytes(4, "big")
        splice(file, start, size, bytes(data))


def _numbers(
    movie: bytearray, frames: int, silence: int, sample_rate: int, path: Path
) -> Iterator[tuple[int, int]]:
    """Yield the offsets in ``movie`` of lengths, time scale and starts, and a value for each."""
    whole = (8, len(movie))
    header = _content(movie, whole, (b"mvhd",), path)
    yield header + 12, sample_rate
    yield header + 16, frames
    for track in tracks(movie):
        yield _content(movie, track, (b"tkhd",), path) + 20, frames
        edit = _content(movie, track, (b"edts", b"elst"), path)
        yield edit + 8, frames
        added = int.from_bytes(movie[edit + 12 : edit + 16], "big")
        yield edit + 12, added + silence


def _content(
    movie: bytearray, inside: tuple[int, int], names: tuple[bytes, ...], path: Path
) -> int:
    start, end = inside
    found = find(movie, *names, start=start, end=end)
    if found is None or movie[found[0]] != 0:  # version 1 is for dates after 2040
        raise StemsplitError(f"ffmpeg wrote no {names[-1].decode()} box", path=path)
    return found[0]


def _without_user_data(movie: bytearray) -> bytearray:
    inside = find(movie, b"moov", b"udta")
    return movie if inside is None else movie[: inside[0] - 8] + movie[inside[1] :]
