"""DAWproject files: the rules of the published schemas, and the content."""

import io
import re
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree import ElementTree
from zipfile import ZIP_STORED, ZipFile

import pytest
import soundfile
from handoff import STEMS, session_in

from stemsplit.handoff import dawproject
from stemsplit.handoff.session import Track
from stemsplit.version import __version__

NUMBER = r"-?\d+(\.\d+)?([eE][+-]?\d+)?"
ID = r"[A-Za-z_][\w.-]*"
NAMEABLE = {"name": ".*", "color": "#[0-9a-f]{6}", "comment": ".*"}
REFERENCEABLE = NAMEABLE | {"id": ID}
TIMELINE = REFERENCEABLE | {"timeUnit": "beats|seconds", "track": ID}
UNIT = "linear|normalized|percent|decibel|hertz|semitones|seconds|beats|bpm"
REAL = (
    (),
    REFERENCEABLE | {"unit!": UNIT, "value": f"{NUMBER}|-?inf", "min": NUMBER, "max": NUMBER},
)
TIMES = dict.fromkeys(("duration", "playStart", "playStop", "loopStart", "loopEnd"), NUMBER)
#: What the schemas say of the elements that are written: what may be inside, in this order (a star:
#: any number), and the attributes with their patterns (an exclamation mark: must be there).
RULES = {
    "Project": (
        ("Application", "Transport", "Structure", "Arrangement", "Scenes"),
        {"version!": r"1\.0"},
    ),
    "Application": ((), {"name!": ".+", "version!": ".+"}),
    "Transport": (("Tempo", "TimeSignature"), {}),
    "Tempo": REAL,
    "TimeSignature": ((), REFERENCEABLE | {"numerator!": r"\d+", "denominator!": r"\d+"}),
    "Structure": (("Track*",), {}),
    "Track": (
        ("Channel", "Track*"),
        REFERENCEABLE
        | {
            "contentType": r"(audio|automation|notes|video|markers|tracks)( (audio|notes))*",
            "loaded": "true|false",
        },
    ),
    "Channel": (
        ("Devices", "Mute", "Pan", "Sends", "Volume"),
        REFERENCEABLE
        | {
            "audioChannels": r"\d+",
            "destination": ID,
            "role": "regular|master|effect|submix|vca",
            "solo": "true|false",
        },
    ),
    "Mute": ((), REFERENCEABLE | {"value": "true|false"}),
    "Pan": REAL,
    "Volume": REAL,
    "Arrangement": (("Lanes", "Markers", "TempoAutomation"), REFERENCEABLE),
    "Lanes": (("Lanes*", "Clips*"), TIMELINE),
    "Clips": (("Clip*",), TIMELINE),
    "Clip": (
        ("Audio",),
        NAMEABLE | TIMES | {"time!": NUMBER, "contentTimeUnit": "beats|seconds"},
    ),
    "Audio": (
        ("File",),
        TIMELINE
        | {"duration!": NUMBER, "channels!": r"\d+", "sampleRate!": r"\d+", "algorithm": ".*"},
    ),
    "File": ((), {"path!": ".+", "external": "true|false"}),
    "MetaData": (
        (
            *("Title", "Artist", "Album", "OriginalArtist", "Composer", "Songwriter", "Producer"),
            *("Arranger", "Year", "Genre", "Copyright", "Website", "Comment"),
        ),
        {},
    ),
}
REFERENCES = ("track", "destination")


def faults(root):
    """Return what the schemas would have against ``root``."""
    found = []
    for element in root.iter():
        known, attributes = RULES.get(element.tag, ((), {}))
        patterns = {name.rstrip("!"): pattern for name, pattern in attributes.items()}
        found += [
            f"{element.tag} lacks {name[:-1]}"
            for name in attributes
            if name.endswith("!") and name[:-1] not in element.attrib
        ]
        for name, value in element.attrib.items():
            if name not in patterns or not re.fullmatch(patterns[name], value, re.DOTALL):
                found.append(f"{element.tag} has {name}={value!r}")
        order = "".join(f"(<{n.rstrip('*')}>){'*' if n.endswith('*') else '?'}" for n in known)
        inside = "".join(f"<{child.tag}>" for child in element)
        if not re.fullmatch(order, inside):
            found.append(f"{element.tag} holds {inside}")
    identifiers = [element.get("id") for element in root.iter() if element.get("id")]
    if len(set(identifiers)) != len(identifiers):
        found.append("an id stands twice")
    for element in root.iter():
        for name in REFERENCES:
            if name in element.attrib and element.get(name) not in identifiers:
                found.append(f"{element.tag} refers to no {element.get(name)}")
    return found


def written(session, tmp_path):
    file = io.BytesIO()
    dawproject.write(session, tmp_path / "x.dawproject", file)
    return file.getvalue()


def read(session, tmp_path):
    """Return the archive, the project and the metadata, of which the rules hold."""
    archive = ZipFile(io.BytesIO(written(session, tmp_path)))
    assert archive.testzip() is None
    roots = []
    for name in ("project.xml", "metadata.xml"):
        text = archive.read(name)
        assert text.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
        root = ElementTree.fromstring(text)
        assert faults(root) == []
        roots.append(root)
    return archive, *roots


def test_a_clip_of_each_stem_as_long_as_it(tmp_path):
    session = session_in(tmp_path / "s", frames=100_003, texts={"bpm": ("127.5",)})
    archive, project, _ = read(session, tmp_path)
    assert project.find("Application").attrib == {"name": "stemsplit", "version": __version__}
    assert float(project.find("Transport/Tempo").get("value")) == 127.5
    assert project.find("Transport/Tempo").get("unit") == "bpm"
    *tracks, master = project.findall("Structure/Track")
    assert [track.get("name") for track in tracks] == ["Drums", "Bass", "Other", "Vocals"]
    colours = ["#009e73", "#d55e00", "#cc79a7", "#56b4e9"]
    assert [track.get("color") for track in tracks] == colours
    assert master.find("Channel").get("role") == "master"
    for track in tracks:
        assert track.find("Channel").get("destination") == master.find("Channel").get("id")
        assert track.find("Channel/Volume").get("value") == "1"
    outer = project.find("Arrangement/Lanes")
    assert outer.get("timeUnit") == "beats"
    lanes = outer.findall("Lanes")
    assert [lane.get("track") for lane in lanes] == [track.get("id") for track in tracks]
    for stem, lane in zip(STEMS, lanes, strict=True):
        (clip,) = lane.findall("Clips/Clip")
        assert clip.get("time") == "0"
        assert clip.get("contentTimeUnit") == "seconds"  # nothing is stretched
        seconds = 100_003 / 44100
        assert float(clip.get("duration")) == pytest.approx(seconds * 127.5 / 60, abs=1e-12)
        assert round(float(clip.get("playStop")) * 44100, 6) == 100_003
        (audio,) = clip.findall("Audio")
        content = archive.read(audio.find("File").get("path"))
        assert content == (tmp_path / "s" / f"{stem}.wav").read_bytes()
        info = soundfile.info(io.BytesIO(content))
        assert audio.get("sampleRate") == str(info.samplerate)
        assert audio.get("channels") == str(info.channels)
        assert round(float(audio.get("duration")) * info.samplerate, 6) == info.frames


def test_the_archive_holds_what_is_referred_to_and_no_more(tmp_path):
    session = session_in(tmp_path / "s", stems=("drums", "Ä/..\\x", "Ö x"))
    archive, project, _ = read(session, tmp_path)
    paths = [file.get("path") for file in project.iter("File")]
    assert [info.filename for info in archive.infolist()] == [
        "metadata.xml",
        "project.xml",
        *paths,
    ]
    assert paths == ["audio/01_drums.wav", "audio/02__x.wav", "audio/03__x.wav"]
    for info in archive.infolist():
        assert info.filename.isascii()
        assert ".." not in PurePosixPath(info.filename).parts
        assert info.compress_type == ZIP_STORED
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert info.flag_bits == 0  # sizes precede the data, and names are ASCII


def test_the_same_session_gives_the_same_bytes(tmp_path):
    session = session_in(tmp_path / "s", texts={"title": ("A",)})
    assert written(session, tmp_path) == written(session, tmp_path)


def test_without_a_tempo_it_is_120(tmp_path):
    _, project, metadata = read(session_in(tmp_path / "s"), tmp_path)
    assert project.find("Transport/Tempo").get("value") == "120"
    assert [(child.tag, child.text) for child in metadata] == [("Title", "song")]


def test_metadata_in_the_order_of_the_schema(tmp_path):
    texts = {
        "comment": ("one\ntwo",),
        "title": ("A & B <c>",),
        "artist": ("X", "Y"),
        "genre": ("House",),
        "date": ("2021-03-04",),
        "copyright": ("me",),
        "album": ("L",),
        "composer": ("Z",),
    }
    _, _, metadata = read(session_in(tmp_path / "s", texts=texts), tmp_path)
    assert {child.tag: child.text for child in metadata} == {
        "Title": "A & B <c>",
        "Artist": "X; Y",
        "Album": "L",
        "Composer": "Z",
        "Year": "2021",
        "Genre": "House",
        "Copyright": "me",
        "Comment": "one\ntwo",
    }


def test_what_xml_cannot_hold_is_left_out(tmp_path):
    session = replace(session_in(tmp_path / "s"), name="a\x0bb\ufffec\ud800d🎸")
    path = session.tracks[0].path
    session = replace(session, tracks=(Track(stem='x\x00<"&\n', path=path, content=path),))
    _, project, metadata = read(session, tmp_path)
    assert metadata.find("Title").text == "abcd🎸"
    assert project.find("Structure/Track").get("name") == 'X<"&'


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('contentType="audio"', 'contentType="audio,notes"', "Track has contentType"),
        ('id="track1"', 'id="1"', "Track has id"),
        ('id="track1"', 'id="track2"', "an id stands twice"),
        ('track="track1"', 'track="track9"', "Lanes refers to no track9"),
        ('destination="master"', 'destination="nowhere"', "Channel refers to no nowhere"),
        ('unit="bpm" ', "", "Tempo lacks unit"),
        ('sampleRate="44100"', 'sampleRate="44100.0"', "Audio has sampleRate"),
        ("<Mute", "<Volume", "Channel holds <Volume><Pan><Volume>"),
        ('external="', "", ""),
    ],
)
def test_the_rules_find_what_validators_reject(tmp_path, old, new, fault):
    """The traps that the schemas were tried with; the last is none."""
    text = ZipFile(io.BytesIO(written(session_in(tmp_path / "s"), tmp_path))).read("project.xml")
    broken = text.decode().replace(old, new, 1)
    found = faults(ElementTree.fromstring(broken))
    assert any(fault in one for one in found) if fault else found == []
