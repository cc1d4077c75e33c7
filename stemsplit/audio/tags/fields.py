"""A table of the names of each field in each container.

Other fields are dropped on purpose: loudness and peaks (ReplayGain, R128, iTunNORM), delays and
lengths of the old encoding (iTunSMPB, TLEN), fingerprints and database identifiers of the recording
(AcoustID, MusicBrainz), cue sheets, and private data of programs describe the original song, and
would be wrong for a stem.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The names of one field; if there are several, the first is written."""

    id3: tuple[str, ...]  # version 2.4, then older versions
    vorbis: tuple[str, ...]
    mp4: tuple[str, ...] = ()  # atoms; ---- is a free-form atom
    info: str = ""  # of RIFF
    aiff: str = ""


FIELDS = {
    "title": FieldNames(("TIT2", "TT2"), ("title",), ("©nam",), "INAM", "NAME"),
    "artist": FieldNames(("TPE1", "TP1"), ("artist",), ("©ART",), "IART", "AUTH"),
    "album": FieldNames(("TALB", "TAL"), ("album",), ("©alb",), "IPRD"),
    "albumartist": FieldNames(
        ("TPE2", "TP2"), ("albumartist", "album artist", "album_artist"), ("aART",)
    ),
    "composer": FieldNames(("TCOM", "TCM"), ("composer",), ("©wrt",), "IMUS"),
    "genre": FieldNames(("TCON", "TCO"), ("genre",), ("©gen",), "IGNR"),
    "date": FieldNames(("TDRC",), ("date", "year"), ("©day",), "ICRD"),
    "track": FieldNames(("TRCK", "TRK"), ("tracknumber", "track"), ("trkn",), "IPRT"),
    "disc": FieldNames(("TPOS", "TPA"), ("discnumber", "disc"), ("disk",)),
    "bpm": FieldNames(("TBPM", "TBP"), ("bpm", "tbpm"), ("tmpo", "----"), "IBPM"),
    "key": FieldNames(("TKEY", "TKE"), ("initialkey", "key", "tkey"), ("----",)),
    "isrc": FieldNames(("TSRC", "TRC"), ("isrc", "tsrc"), ("----",)),
    "comment": FieldNames(("COMM", "COM"), ("comment", "description"), ("©cmt",), "ICMT", "ANNO"),
    "lyrics": FieldNames(("USLT", "ULT"), ("lyrics", "unsyncedlyrics"), ("©lyr",)),
    "copyright": FieldNames(("TCOP", "TCR"), ("copyright",), ("cprt",), "ICOP", "(c) "),
    "label": FieldNames(("TPUB", "TPB"), ("label", "organization", "publisher"), ("----",)),
    "grouping": FieldNames(("TIT1", "TT1"), ("grouping",), ("©grp",)),
}
#: Fields for which Vorbis comments and MP4 store the total separately from the number.
TOTALS = {"track": ("tracktotal", "totaltracks"), "disc": ("disctotal", "totaldiscs")}

BY_ID3 = {name: field for field, names in FIELDS.items() for name in names.id3}
BY_VORBIS = {name: field for field, names in FIELDS.items() for name in names.vorbis}
BY_MP4 = {atom: field for field, names in FIELDS.items() for atom in names.mp4 if atom != "----"}
BY_INFO = {names.info: field for field, names in FIELDS.items() if names.info}
BY_INFO["ITRK"] = "track"  # used by Winamp, foobar2000 and Mp3tag; IPRT is ffmpeg's
BY_AIFF = {names.aiff: field for field, names in FIELDS.items() if names.aiff}

_GENRES = """
Blues|Classic Rock|Country|Dance|Disco|Funk|Grunge|Hip-Hop|Jazz|Metal|New Age|Oldies|
Other|Pop|R&B|Rap|Reggae|Rock|Techno|Industrial|Alternative|Ska|Death Metal|Pranks|
Soundtrack|Euro-Techno|Ambient|Trip-Hop|Vocal|Jazz+Funk|Fusion|Trance|Classical|
Instrumental|Acid|House|Game|Sound Clip|Gospel|Noise|Alt. Rock|Bass|Soul|Punk|Space|
Meditative|Instrumental Pop|Instrumental Rock|Ethnic|Gothic|Darkwave|Techno-Industrial|
Electronic|Pop-Folk|Eurodance|Dream|Southern Rock|Comedy|Cult|Gangsta Rap|Top 40|
Christian Rap|Pop/Funk|Jungle|Native American|Cabaret|New Wave|Psychedelic|Rave|
Showtunes|Trailer|Lo-Fi|Tribal|Acid Punk|Acid Jazz|Polka|Retro|Musical|Rock & Roll|
Hard Rock|Folk|Folk-Rock|National Folk|Swing|Fast-Fusion|Bebop|Latin|Revival|Celtic|
Bluegrass|Avantgarde|Gothic Rock|Progressive Rock|Psychedelic Rock|Symphonic Rock|
Slow Rock|Big Band|Chorus|Easy Listening|Acoustic|Humour|Speech|Chanson|Opera|
Chamber Music|Sonata|Symphony|Booty Bass|Primus|Porn Groove|Satire|Slow Jam|Club|Tango|
Samba|Folklore|Ballad|Power Ballad|Rhythmic Soul|Freestyle|Duet|Punk Rock|Drum Solo|
A Cappella|Euro-House|Dance Hall
"""
#: Genres by number, as in ID3v1, in the atom gnre, and as ``(17)`` in older frames: ID3 version 1,
#: then Winamp's extensions.
GENRES = tuple(_GENRES.strip().replace("\n", "").split("|"))
