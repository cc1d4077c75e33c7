"""What ffmpeg complains of while it decodes, as warnings about the song."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

#: Different complaints that are passed on; a hundred more would not help.
PASSED_ON = 5
#: About time stamps of the output, which is samples alone; and what ffmpeg 8.0 says of
#: every Opus in Matroska.
NEVER_MEANT = re.compile(r"non[- ]monoton|Error parsing Opus packet header", re.IGNORECASE)
#: What ends the reading of a chain, from ffmpeg 8 on.
CHANNEL_CHANGE = "Channel change is not supported"
#: What follows on another complaint.
CONSEQUENCES = re.compile(
    r"Error submitting packet to decoder|Error while decoding stream|Decoding error: "
    r"|decode_frame\(\) failed|Error during demuxing: "
    r"|Packet processing failed: |^Invalid data found when processing input$"
)
#: About bytes that are not sound: tags behind it, or the start of another file that was joined.
JUNK = re.compile(
    r"Header missing|invalid sync code|invalid frame header|Invalid block header"
    r"|Error parsing the packet header"
)
#: In ticks of the stream: of a sample, but in Matroska of 1 ms. Some versions do not know it.
PLACE = re.compile(r" at PTS (-?\d+)")
MATROSKA = b"\x1a\x45\xdf\xa3"


def warnings_of(
    complaints: Iterable[str], path: Path, sample_rate: int, *, whole: bool
) -> list[str]:
    """Return what is to be said of ``complaints`` about the file at ``path``.

    Of a ``whole`` one, which lacks nothing that it declares, bytes between and behind the sound are
    no damage. Of what follows on another complaint only that other one is passed on.
    """
    texts = [text for text in complaints if not NEVER_MEANT.search(text)]
    texts = [text for text in texts if text != CHANNEL_CHANGE]  # which is refused
    causes = [text for text in texts if not CONSEQUENCES.search(text)]
    if whole:
        causes = [text for text in causes if not JUNK.search(text)]
        texts = causes if texts and not causes else texts
    per_second = 1000 if _is_matroska(path) else sample_rate
    said = list(dict.fromkeys(_in_seconds(text, per_second) for text in causes or texts))
    found = [f"damaged: {text}" for text in said[:PASSED_ON]]
    if len(said) > PASSED_ON:
        found.append(f"damaged: … and in {len(said) - PASSED_ON} more places")
    return found


def _in_seconds(text: str, per_second: int) -> str:
    """Return ``text`` with a time that people can read, if it has one."""
    if (match := PLACE.search(text)) is None:
        return text
    ticks = int(match[1])
    place = f" at {ticks / per_second:.2f} s" if ticks >= 0 else ""
    return text[: match.start()] + place + text[match.end() :]


def _is_matroska(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MATROSKA)) == MATROSKA
