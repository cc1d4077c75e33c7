"""Tags of all other containers (Matroska, ASF, APE, CAF, AVI …), as ffmpeg reads them.

ffmpeg supports them all, but loses some tags: it keeps one of several values, and ignores some
fields.
"""

from __future__ import annotations

import re

from stemsplit.audio.ffmpeg import file_stream, process_of
from stemsplit.audio.tags import vorbis
from stemsplit.audio.tags.model import LARGEST_PICTURE, Collector
from stemsplit.types import StreamInfo

LARGEST_TEXTS = 2**24  # bytes
#: ffmpeg's own format: sections, and names and values in which a backslash escapes =;#\ and
#: line ends (https://ffmpeg.org/ffmpeg-formats.html#Metadata-2).
LINE = re.compile(
    r"\[(?P<section>STREAM|CHAPTER)\]\n"
    r"|(?P<name>(?:[^\\=\n]|\\.)*)=(?P<value>(?:[^\\\n]|\\.)*)\n"
    r"|[^\n]*\n",
    re.DOTALL,
)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
PICTURE = re.compile(
    r"^\[info\]   Stream #0:(\d+)\S*: Video: .*\(attached pic\)$", re.MULTILINE | re.IGNORECASE
)
#: Names in Microsoft's formats, Matroska and RIFF, with their names in Vorbis comments.
NAMES = {
    "wm/beatsperminute": "bpm",
    "wm/initialkey": "initialkey",
    "initial_key": "initialkey",
    "wm/isrc": "isrc",
    "wm/lyrics": "lyrics",
    "wm/contentgroupdescription": "grouping",
    "wm/year": "date",
    "date_released": "date",
    "part_number": "track",
    "product": "album",
}
LYRICS = "lyrics-"  # followed by a language, as ffmpeg reads them from ID3


def read(info: StreamInfo, found: Collector) -> None:
    """Add the tags that ffmpeg finds in the file of ``info`` to ``found``; none if it fails."""
    source = file_stream(f"a:{info.stream}")
    graph = source.output("pipe:1", format="ffmetadata", c="copy", t=0, map_chapters=-1)
    with process_of(graph, file=info.path, level="info") as process:
        text = process.read(LARGEST_TEXTS).decode("utf-8", "replace")
        if process.read(1) or process.finish() != 0:
            return
        report = process.report
    whole, stream = _sections(text)
    vorbis.keep(whole, found)
    # In Ogg the tags belong to the stream. Elsewhere a stream may just have a title like "Stereo".
    if not found.texts and {"artist", "album"} & stream.keys():
        vorbis.keep(stream, found)
    if match := PICTURE.search(report):
        _read_picture(info, int(match[1]), found)


def _sections(text: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the tags of the file and those of the stream, by their names in Vorbis comments."""
    found: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
    current = found[0]
    for match in LINE.finditer(text):
        if match["section"]:
            current = found[1]
        elif match["name"] is not None:
            name = ESCAPED.sub(r"\1", match["name"]).lower()
            name = "lyrics" if name.startswith(LYRICS) else NAMES.get(name, name)
            if name != "encoder":  # added by ffmpeg
                current.setdefault(name, []).append(ESCAPED.sub(r"\1", match["value"]))
    return found


def _read_picture(info: StreamInfo, stream: int, found: Collector) -> None:
    form = {"format": "image2pipe", "c": "copy", "frames:v": 1}
    graph = file_stream(str(stream)).output("pipe:1", **form)
    with process_of(graph, file=info.path) as process:
        picture = process.read(LARGEST_PICTURE + 1)
        # A larger picture is refused for its size, with a warning; ffmpeg need not finish.
        if len(picture) > LARGEST_PICTURE or process.finish() == 0:
            found.add_picture(0, picture)
        else:
            found.warnings.append("its cover art could not be read; the stems get none")
