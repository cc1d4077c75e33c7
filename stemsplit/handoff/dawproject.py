"""DAWproject: the open exchange format that Bitwig, Studio One, Cubase and others read.

A ZIP with ``metadata.xml``, ``project.xml`` and the audio; see Bitwig's schemas Project.xsd and
MetaData.xsd, version 1.0, which prescribe the order of the elements.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from stemsplit.audio.format_table import FORMATS
from stemsplit.handoff.session import Session, Track, decimal
from stemsplit.stem_names import shown_name
from stemsplit.types import Format
from stemsplit.version import __version__

#: The tempo of a project if the song's is unknown; a project must have one.
TEMPO = 120.0
#: The time of writing: constant, so that the same session results in the same bytes, and the
#: earliest that ZIP supports.
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX, READABLE = 3, 0o644 << 16
#: Characters that XML 1.0 cannot represent, not even escaped.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Elements of the metadata in order, with the tags that they are filled from.
METADATA = {
    "Title": "title",
    "Artist": "artist",
    "Album": "album",
    "Composer": "composer",
    "Year": "date",
    "Genre": "genre",
    "Copyright": "copyright",
    "Comment": "comment",
}


def write(session: Session, target: Path, file: BinaryIO) -> list[str]:
    """Write the project of ``session``, with unchanged copies of the stems, to ``file``.

    ``target`` is unused, because the project does not refer to other files. Returns a warning for a
    song of unknown tempo. Raises ``OSError``.
    """
    with ZipFile(file, "w", ZIP_STORED) as archive:
        archive.writestr(_entry("metadata.xml"), _as_bytes(_metadata(session)))
        archive.writestr(_entry("project.xml"), _as_bytes(_project(session)))
        for number, track in enumerate(session.tracks, 1):
            entry = _entry(_audio_name(number, track, session.format))
            entry.file_size = track.content.stat().st_size  # whether it needs 64 bits
            with archive.open(entry, "w") as inside, track.content.open("rb") as content:
                shutil.copyfileobj(content, inside, 2**20)
    if session.tempo is None:
        return [f"its tags contain no tempo; the project uses {TEMPO:.0f} BPM"]
    return []


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, EPOCH)
    entry.create_system, entry.external_attr = UNIX, READABLE
    return entry


def _audio_name(number: int, track: Track, format: Format) -> str:
    """Return an ASCII file name, because not every reader of ZIPs supports UTF-8."""
    plain = re.sub("[^A-Za-z0-9-]+", "_", track.stem)
    return f"audio/{number:02}_{plain}.{FORMATS[format].projects['dawproject']}"


def _as_bytes(root: Element) -> bytes:
    for element in root.iter():
        for name, value in element.attrib.items():
            element.set(name, NOT_XML.sub("", value))
        if element.text:
            element.text = NOT_XML.sub("", element.text)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written + b"\n"


def _metadata(session: Session) -> Element:
    root = Element("MetaData")
    texts = {name: "; ".join(values) for name, values in session.tags.texts.items()}
    texts.setdefault("title", session.name)
    if date := texts.get("date"):
        texts["date"] = date[:4]
    for element, field in METADATA.items():
        if field in texts:
            SubElement(root, element).text = texts[field]
    return root


def _project(session: Session) -> Element:
    root = Element("Project", version="1.0")
    SubElement(root, "Application", name="stemsplit", version=__version__)
    transport = SubElement(root, "Transport")
    tempo = session.tempo or TEMPO
    SubElement(
        transport,
        "Tempo",
        id="tempo",
        name="Tempo",
        unit="bpm",
        value=decimal(tempo),
        min="20",
        max="666",
    )
    SubElement(transport, "TimeSignature", id="signature", numerator="4", denominator="4")
    structure = SubElement(root, "Structure")
    for number, track in enumerate(session.tracks, 1):
        _track(structure, number, shown_name(track.stem), session.colours[track.stem])
    _master(structure)
    arrangement = SubElement(root, "Arrangement", id="arrangement")
    lanes = SubElement(arrangement, "Lanes", id="lanes", timeUnit="beats")
    for number, track in enumerate(session.tracks, 1):
        _lane(lanes, number, track, session, tempo)
    return root


def _track(structure: Element, number: int, name: str, colour: str) -> None:
    track = SubElement(
        structure,
        "Track",
        id=f"track{number}",
        name=name,
        color=colour.lower(),
        contentType="audio",
        loaded="true",
    )
    # Without a destination some readers leave the track unconnected.
    channel = SubElement(
        track,
        "Channel",
        id=f"channel{number}",
        role="regular",
        audioChannels="2",
        destination="master",
        solo="false",
    )
    SubElement(channel, "Mute", id=f"mute{number}", name="Mute", value="false")
    SubElement(channel, "Pan", id=f"pan{number}", name="Pan", unit="normalized", value="0.5")
    SubElement(channel, "Volume", id=f"volume{number}", name="Volume", unit="linear", value="1")


def _master(structure: Element) -> None:
    track = SubElement(
        structure,
        "Track",
        id="masterTrack",
        name="Master",
        contentType="audio notes",
        loaded="true",
    )
    channel = SubElement(
        track, "Channel", id="master", role="master", audioChannels="2", solo="false"
    )
    SubElement(channel, "Volume", id="masterVolume", name="Volume", unit="linear", value="1")


def _lane(lanes: Element, number: int, track: Track, session: Session, tempo: float) -> None:
    """Add one clip, placed in beats, which all readers support, but played in seconds.

    So a wrong tempo does not stretch it.
    """
    lane = SubElement(lanes, "Lanes", id=f"lane{number}", track=f"track{number}")
    clips = SubElement(lane, "Clips", id=f"clips{number}")
    clip = SubElement(
        clips,
        "Clip",
        time="0",
        duration=decimal(session.frames * tempo / 60 / session.sample_rate),
        contentTimeUnit="seconds",
        playStart="0",
        playStop=decimal(session.seconds),
        name=shown_name(track.stem),
    )
    audio = SubElement(
        clip,
        "Audio",
        id=f"audio{number}",
        algorithm="raw",
        channels=str(session.channels),
        duration=decimal(session.seconds),
        sampleRate=str(session.sample_rate),
        timeUnit="seconds",
    )
    SubElement(audio, "File", path=_audio_name(number, track, session.format))
