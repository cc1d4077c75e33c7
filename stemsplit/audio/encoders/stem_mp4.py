"""Native Instruments' stem file: an MP4 with the song, four stems, and a box that describes them.

Players without support for stems play the first stream; Traktor and Mixxx read the box
``moov/udta/stem`` and mix the others. Everything else follows NI's own files: only the first track
is enabled; no track is an alternative to another; ``moov`` comes before the sound.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from stemsplit.audio.encoders.mp4 import Mp4
from stemsplit.audio.encoders.through_ffmpeg import PLAIN
from stemsplit.audio.ffmpeg import FILE
from stemsplit.audio.mp4 import box, boxes, find, find_movie, tracks
from stemsplit.audio.splice import splice
from stemsplit.audio.tags import mp4 as atoms
from stemsplit.errors import StemsplitError
from stemsplit.stem_names import colours_of, shown_name

#: The effects by which a player makes the sum of the stems sound mastered. Off, because stems of a
#: mastered song do not need them; the numbers are those of NI's own tool.
MASTERING: dict[str, dict[str, Any]] = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}
#: Offset of the alternate group in version 0 of tkhd.
ALTERNATE_GROUP = 34
LARGEST_OFFSET = 2**32 - 1  # in the table stco


class StemMp4(Mp4):
    """Several stereo streams of AAC or ALAC: the song, then its stems."""

    def _graph(self, audio: Any) -> Any:
        streams = self.stem.streams
        copies = audio.filter_multi_output("asplit", len(streams))
        pairs = (
            copies[place].filter(
                "channelmap", map=f"{2 * place}|{2 * place + 1}", channel_layout="stereo"
            )
            for place in range(len(streams))
        )
        words = self._output_options() | describing(streams) | PLAIN
        return ffmpeg.output(*map(self._fitted, pairs), FILE, **words)

    def _complete(self) -> None:
        # NI's own files have this tag.
        meta = atoms.written(self.stem.tags, atoms.text_item(b"TAUT", "STEM"))
        self._complete_movie(meta + box(b"stem", description(self.stem.streams[1:])))
        move_to_front(self.stem.temporary)


def describing(streams: Sequence[str]) -> dict[str, Any]:
    """Return options of ffmpeg's output that name ``streams`` and enable only the first."""
    words: dict[str, Any] = {}
    for place, stream in enumerate(streams):
        words[f"metadata:s:a:{place}"] = f"handler_name={shown_name(stream)}"
        words[f"disposition:a:{place}"] = "0" if place else "default"
    return words


def description(stems: Sequence[str]) -> bytes:
    """Return the content of the box ``stem`` for ``stems``: names and colours."""
    colours = colours_of(tuple(stems))
    listed = [{"name": shown_name(stem), "color": colours[stem]} for stem in stems]
    content = {"mastering_dsp": MASTERING, "stems": listed, "version": 1}
    return json.dumps(content, separators=(",", ":")).encode()


def move_to_front(path: Path) -> None:
    """Move ``moov`` before the sound in the MP4 at ``path``.

    It stays last if the new offsets would not fit into its tables; all readers that were tested
    find it there too. Raises ``StemsplitError`` if there is no ``moov``.
    """
    with path.open("r+b") as file:
        place = find_movie(file)
        if place is None:
            raise StemsplitError("ffmpeg wrote no movie box", path=path)
        start, size = place
        file.seek(start)
        movie = bytearray(file.read(size))
        for inside, end in tracks(movie):
            header = find(movie, b"tkhd", start=inside, end=end)
            if header is not None:
                at = header[0] + ALTERNATE_GROUP
                movie[at : at + 2] = bytes(2)
        fits = _shift(movie, size)
        splice(file, start, size, bytes(movie) if not fits else b"")
        if fits:
            file.seek(0)
            splice(file, int.from_bytes(file.read(4), "big"), 0, bytes(movie))


def _shift(movie: bytearray, distance: int) -> bool:
    """Add ``distance`` to all file offsets in ``movie``; return whether they fit.

    The sound comes after the first box of the file, so all of it moves.
    """
    found: list[tuple[int, np.ndarray]] = []
    for start, end in tracks(movie):
        table = find(movie, b"mdia", b"minf", b"stbl", start=start, end=end)
        for name, first, _ in boxes(movie, *table) if table else ():
            if name not in (b"stco", b"co64"):
                continue
            count = int.from_bytes(movie[first + 4 : first + 8], "big")
            kind = ">u4" if name == b"stco" else ">u8"
            offsets = np.frombuffer(movie, kind, count, first + 8).astype(np.int64) + distance
            if name == b"stco" and offsets.max(initial=0) > LARGEST_OFFSET:
                return False
            found.append((first + 8, offsets.astype(kind)))
    for at, stored in found:
        data = stored.tobytes()
        movie[at : at + len(data)] = data
    return True
