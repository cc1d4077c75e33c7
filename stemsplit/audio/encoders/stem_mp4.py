"""Native Instruments' stem file: an MP4 of the song and four stems, with a box that describes them.

Players without support for stems play the first stream; Traktor and Mixxx read the box
``moov/udta/stem`` and mix the others. All other choices are those of NI's own files: the first
track enabled, the others not; no track an alternative to another; ``moov`` before the sound.
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

#: What a player would do to the sum of the stems, to make it sound mastered. Stems that were
#: split from a mastered song do already; the numbers are those of NI's own tool.
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
#: Where version 0 of tkhd has the group of alternatives.
ALTERNATE_GROUP = 34
LARGEST_OFFSET = 2**32 - 1  # of the table stco


class StemMp4(Mp4):
    """AAC or ALAC of several stereo streams: the song, then its stems."""

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
        # An item of the tags that NI's own files have.
        meta = atoms.written(self.stem.tags, atoms.text_item(b"TAUT", "STEM"))
        self._complete_movie(meta + box(b"stem", description(self.stem.streams[1:])))
        move_to_front(self.stem.temporary)


def describing(streams: Sequence[str]) -> dict[str, Any]:
    """Return options of ffmpeg's output that name ``streams`` and switch on the first alone."""
    words: dict[str, Any] = {}
    for place, stream in enumerate(streams):
        words[f"metadata:s:a:{place}"] = f"handler_name={shown_name(stream)}"
        words[f"disposition:a:{place}"] = "0" if place else "default"
    return words


def description(stems: Sequence[str]) -> bytes:
    """Return the content of the box ``stem`` of a file with ``stems``: names and colours."""
    colours = colours_of(tuple(stems))
    listed = [{"name": shown_name(stem), "color": colours[stem]} for stem in stems]
    content = {"mastering_dsp": MASTERING, "stems": listed, "version": 1}
    return json.dumps(content, separators=(",", ":")).encode()


def move_to_front(path: Path) -> None:
    """Put ``moov`` before the sound of the MP4 at ``path``.

    It stays last where its tables cannot count that far, and all readers that were tried find it
    there too. Raises ``StemsplitError`` where
    there is none.
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
    """Add ``distance`` to all places in the file that ``movie`` names; return whether it could.

    The sound follows on the first box of the file, so that all of it moves.
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
