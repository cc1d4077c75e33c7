"""AAC and ALAC in MP4, corrected so that a stem is as long as the song.

ffmpeg puts the box ``moov`` last, so that it can grow. All tracks are of one length.
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
#: What ffmpeg's ALAC calls the depths.
SAMPLE_FORMATS = {"16": "s16p", "24": "s32p"}


class Mp4(ThroughFfmpeg):
    """AAC or, with a depth, ALAC; the edit list says which frames are the song's."""

    container = "ipod"

    def _refuse_short(self) -> None:
        # Where less than half of its only packet is sound, ffmpeg decodes nothing.
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
    """Return how many frames of silence before ``frames`` of AAC make these end with a packet.

    An edit list may leave out frames at both ends. Many readers (ffmpeg 5, PyAV 18) obey it at the
    start, but drop only whole packets at the end, so nothing may be left out there.
    """
    return -frames % AAC_PACKET


def complete(path: Path, *, frames: int, silence: int, sample_rate: int, tags: bytes) -> None:
    """Make the MP4 at ``path`` say that it holds exactly ``frames`` of audio, and give it ``tags``.

    They come after what the encoder added and after ``silence``, frames that ffmpeg was given
    before them: the edit list cuts off both. Older ffmpegs count its length in milliseconds: the
    stem would be up to 47 frames too short. Here it is counted in frames. ``tags`` are the content
    of ``udta``. Raises ``StemsplitError`` where ffmpeg wrote another file.
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
    """Yield where in ``movie`` lengths, their unit and starts are, and the value for each."""
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
    if found is None or movie[found[0]] != 0:  # version 1 is for times beyond 2040
        raise StemsplitError(f"ffmpeg wrote no {names[-1].decode()} box", path=path)
    return found[0]


def _without_user_data(movie: bytearray) -> bytearray:
    inside = find(movie, b"moov", b"udta")
    return movie if inside is None else movie[: inside[0] - 8] + movie[inside[1] :]
