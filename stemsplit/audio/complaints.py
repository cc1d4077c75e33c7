"""Turns the errors that ffmpeg reports while decoding into warnings about the song."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

#: How many different complaints are passed on; a hundred more would not help.
PASSED_ON = 5
#: Irrelevant: time stamps of the output, which consists of samples only; and what ffmpeg 8.0
#: reports for every Opus stream in Matroska.
IRRELEVANT = re.compile(r"non[- ]monoton|Error parsing Opus packet header", re.IGNORECASE)
#: Reported by ffmpeg 8 and later when it stops reading a chained file.
CHANNEL_CHANGE = "Channel change is not supported"
#: Consequences of another complaint.
CONSEQUENCES = re.compile(
    r"Error submitting packet to decoder|Error while decoding stream|Decoding error: "
    r"|decode_frame\(\) failed|Error during demuxing: "
    r"|Packet processing failed: |^Invalid data found when processing input$"
)
#: Bytes that are not sound: tags after it, or the start of another file that was appended.
JUNK = re.compile(
    r"Header missing|invalid sync code|invalid frame header|Invalid block header"
    r"|Error parsing the packet header"
)
#: A position in ticks of the stream: one sample, but 1 ms in Matroska. Some versions omit it.
PLACE = re.compile(r" at PTS (-?\d+)")
MATROSKA = b"\x1a\x45\xdf\xa3"


def warnings_of(
    complaints: Iterable[str], path: Path, sample_rate: int, *, whole: bool
) -> list[str]:
    """Return the warnings to give for ``complaints`` about the file at ``path``.

    In a ``whole`` file, which has everything that it declares, stray bytes between or after the
    sound do not count as damage. If a complaint is the consequence of another, only the cause is
    passed on.
    """
    texts = [text for text in complaints if not IRRELEVANT.search(text)]
    texts = [text for text in texts if text != CHANNEL_CHANGE]  # handled by the decoder
    causes = [text for text in texts if not CONSEQUENCES.search(text)]
    if whole:
        causes = [text for text in causes if not JUNK.search(text)]
        texts = causes if texts and not causes else texts
    per_second = 1000 if _is_matroska(path) else sample_rate
    unique = list(dict.fromkeys(_in_seconds(text, per_second) for text in causes or texts))
    found = [f"damaged: {text}" for text in unique[:PASSED_ON]]
    if len(unique) > PASSED_ON:
        found.append(f"damaged: … and in {len(unique) - PASSED_ON} more places")
    return found


def _in_seconds(text: str, per_second: int) -> str:
    """Return ``text`` with its position, if any, in seconds."""
    if (match := PLACE.search(text)) is None:
        return text
    ticks = int(match[1])
    place = f" at {ticks / per_second:.2f} s" if ticks >= 0 else ""
    return text[: match.start()] + place + text[match.end() :]


def _is_matroska(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MATROSKA)) == MATROSKA
