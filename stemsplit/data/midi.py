"""Standard MIDI files: notes, programs, tempo, metre, keys and markers (The MIDI Manufacturers
Association, "Standard MIDI Files 1.0", RP-001).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from stemsplit.errors import InputError

DRUM_CHANNEL = 9
DEFAULT_TEMPO = 0.5  # seconds per quarter note
#: Meta events.
NAME, MARKER, END, TEMPO, METRE, KEY = 0x03, 0x06, 0x2F, 0x51, 0x58, 0x59
ALL_SOUND_OFF = 120  # a controller


@dataclass(frozen=True, slots=True, kw_only=True)
class MidiNote:
    """A note; times in ticks, pitch and velocity from 0 to 127."""

    start: int
    length: int
    pitch: int
    velocity: int
    channel: int


@dataclass(frozen=True, slots=True)
class Control:
    """A controller of a channel that is set at a tick, such as 7 (volume) or 10 (pan)."""

    tick: int
    channel: int
    number: int
    value: int


@dataclass(slots=True)
class MidiTrack:
    """The notes of a track, by start; ``programs`` are (tick, channel, program)."""

    name: str = ""
    notes: list[MidiNote] = field(default_factory=list)
    programs: list[tuple[int, int, int]] = field(default_factory=list)
    controls: list[Control] = field(default_factory=list)


@dataclass(slots=True)
class MidiFile:
    """Tracks, and what concerns all of them, by tick.

    ``division`` is ticks per quarter note, ``tempos`` are in seconds per quarter note, ``metres``
    numerator and denominator, ``keys`` sharps (negative: flats) and whether minor. When written,
    the tracks last until tick ``end`` or longer.
    """

    division: int = 480
    tracks: list[MidiTrack] = field(default_factory=list)
    tempos: list[tuple[int, float]] = field(default_factory=list)
    metres: list[tuple[int, int, int]] = field(default_factory=list)
    keys: list[tuple[int, int, bool]] = field(default_factory=list)
    markers: list[tuple[int, str]] = field(default_factory=list)
    end: int = 0

    def seconds(self, tick: float) -> float:
        """Return the time of ``tick``."""
        time, last, tempo = 0.0, 0, DEFAULT_TEMPO
        for start, each in self.tempos:
            if start > tick:
                break
            time += (start - last) * tempo / self.division
            last, tempo = start, each
        return time + (tick - last) * tempo / self.division


# --- Reading -------------------------------------------------------------------------------------


def parse(data: bytes) -> MidiFile:
    """Return the content of a file of format 0 or 1. Notes without an end last until their track's.

    Raises ``InputError`` for data that is damaged, truncated, or of another kind.
    """
    chunks = _chunks(data)
    kind, header = next(chunks, (b"", b""))
    if kind != b"MThd" or len(header) < 6:
        raise InputError("not a MIDI file")
    division = int.from_bytes(header[4:6], "big")
    if int.from_bytes(header[:2], "big") > 1 or division & 0x8000 or not division:
        raise InputError("unsupported MIDI file: independent tracks, or times in frames")
    midi = MidiFile(division=division)
    for kind, body in chunks:
        if kind == b"MTrk":
            try:
                midi.tracks.append(_TrackReader(body, midi).read())
            except IndexError as exc:
                raise InputError("a track of the MIDI file is truncated") from exc
    for events in (midi.tempos, midi.metres, midi.keys, midi.markers):
        events.sort(key=lambda event: event[0])
    return midi


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "big")
        body = data[place + 8 : place + 8 + size]
        if len(body) < size:
            raise InputError("the MIDI file is truncated")
        yield data[place : place + 4], body
        place += 8 + size


class _TrackReader:
    """Reads the events of a track; what concerns all tracks is added to ``midi``."""

    def __init__(self, body: bytes, midi: MidiFile) -> None:
        self._body, self._midi, self._place, self._tick = body, midi, 0, 0
        self._track = MidiTrack()
        self._open: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def read(self) -> MidiTrack:
        status = 0
        while self._place < len(self._body):
            self._tick += self._number()
            if self._body[self._place] & 0x80:
                status = self._byte()
            if status == 0xFF:
                if not self._meta(self._byte(), self._bytes(self._number())):
                    break
            elif status in (0xF0, 0xF7):
                self._bytes(self._number())
            elif 0x80 <= status < 0xF0:
                self._voice(status)
            else:
                raise InputError(f"the MIDI file is damaged: unexpected byte {status:#04x}")
        for channel, pitch in list(self._open):
            while self._open[channel, pitch]:
                self._end(channel, pitch)
        self._track.notes.sort(key=lambda note: (note.start, note.channel, note.pitch))
        return self._track

    def _byte(self) -> int:
        self._place += 1
        return self._body[self._place - 1]

    def _bytes(self, count: int) -> bytes:
        self._place += count
        if self._place > len(self._body):
            raise InputError("a track of the MIDI file is truncated")
        return self._body[self._place - count : self._place]

    def _number(self) -> int:
        """Return a number of variable length."""
        value = 0
        for _ in range(4):
            byte = self._byte()
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                return value
        raise InputError("the MIDI file is damaged: a number is too long")

    def _meta(self, kind: int, data: bytes) -> bool:
        """Note a meta event; return False at the end of the track."""
        if kind == NAME:
            self._track.name = data.decode("utf-8", "replace").strip()
        elif kind == MARKER:
            self._midi.markers.append((self._tick, data.decode("utf-8", "replace")))
        elif kind == TEMPO and len(data) == 3:
            self._midi.tempos.append((self._tick, int.from_bytes(data, "big") / 1e6))
        elif kind == METRE and len(data) >= 2:
            self._midi.metres.append((self._tick, data[0], 1 << min(data[1], 7)))
        elif kind == KEY and len(data) == 2:
            sharps = int.from_bytes(data[:1], "big", signed=True)
            self._midi.keys.append((self._tick, sharps, data[1] == 1))
        return kind != END

    def _voice(self, status: int) -> None:
        kind, channel, first = status >> 4, status & 15, self._byte()
        second = 0 if kind in (0xC, 0xD) else self._byte()
        if kind == 9 and second:
            self._open.setdefault((channel, first), []).append((self._tick, second))
        elif kind in (8, 9):
            self._end(channel, first)
        elif kind == 0xB:
            self._track.controls.append(Control(self._tick, channel, first, second))
        elif kind == 0xC:
            self._track.programs.append((self._tick, channel, first))

    def _end(self, channel: int, pitch: int) -> None:
        if pending := self._open.get((channel, pitch)):
            start, velocity = pending.pop(0)
            length = self._tick - start
            note = MidiNote(
                start=start, length=length, pitch=pitch, velocity=velocity, channel=channel
            )
            self._track.notes.append(note)


# --- Writing -------------------------------------------------------------------------------------


def serialise(midi: MidiFile) -> bytes:
    """Return ``midi`` as a file of format 1.

    Every note is ended, and all sound is switched off at the end: a note that hangs would keep a
    synthesiser from finishing.
    """
    tracks = [_conductor(midi), *(_track_events(track, midi.end) for track in midi.tracks)]
    header = b"".join(each.to_bytes(2, "big") for each in (1, len(tracks), midi.division))
    return _chunk(b"MThd", header) + b"".join(_chunk(b"MTrk", _encode(each)) for each in tracks)


#: Tick, rank among the events of a tick (ends of notes are first), and bytes.
_Event = tuple[int, int, bytes]


def _conductor(midi: MidiFile) -> list[_Event]:
    events = [
        (tick, 0, _meta(TEMPO, round(tempo * 1e6).to_bytes(3, "big")))
        for tick, tempo in midi.tempos
    ]
    for tick, numerator, denominator in midi.metres:
        data = bytes([numerator, denominator.bit_length() - 1, 24, 8])
        events.append((tick, 0, _meta(METRE, data)))
    for tick, sharps, minor in midi.keys:
        events.append((tick, 0, _meta(KEY, bytes([sharps & 0xFF, minor]))))
    return events + [(tick, 0, _meta(MARKER, text.encode())) for tick, text in midi.markers]


def _track_events(track: MidiTrack, end: int) -> list[_Event]:
    events = [(0, 0, _meta(NAME, track.name.encode()))]
    channels = sorted({note.channel for note in track.notes})
    events += [(tick, 1, bytes([0xC0 | channel, n])) for tick, channel, n in track.programs]
    for each in track.controls:
        events.append((each.tick, 2, bytes([0xB0 | each.channel, each.number, each.value])))
    for note in track.notes:
        stop = note.start + max(note.length, 1)
        events.append((note.start, 4, bytes([0x90 | note.channel, note.pitch, note.velocity])))
        events.append((stop, 3, bytes([0x80 | note.channel, note.pitch, 64])))
        end = max(end, stop)
    return events + [(end, 5, bytes([0xB0 | channel, ALL_SOUND_OFF, 0])) for channel in channels]


def _encode(events: Sequence[_Event]) -> bytes:
    body, last = bytearray(), 0
    for tick, _rank, data in sorted(events, key=itemgetter(0, 1)):
        body += _variable(tick - last) + data
        last = tick
    return bytes(body + b"\0" + _meta(END, b""))


def _meta(kind: int, data: bytes) -> bytes:
    return bytes([0xFF, kind]) + _variable(len(data)) + data


def _variable(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "big") + body
