"""Standard MIDI files: written, read, damaged, and made by others."""

import pytest

from stemsplit.data.midi import Control, MidiFile, MidiNote, MidiTrack, parse, serialise
from stemsplit.errors import InputError

SONG = MidiFile(
    division=960,
    tracks=[
        MidiTrack(
            name="Bass",
            notes=[
                MidiNote(start=0, length=480, pitch=40, velocity=100, channel=0),
                MidiNote(start=480, length=200_000, pitch=40, velocity=1, channel=0),
            ],
            programs=[(0, 0, 33)],
            controls=[Control(0, 0, 10, 64)],
        ),
        MidiTrack(
            name="Drum", notes=[MidiNote(start=5, length=1, pitch=36, velocity=127, channel=9)]
        ),
    ],
    tempos=[(0, 0.5), (960, 1.0)],
    metres=[(0, 3, 4)],
    keys=[(0, -3, True)],
    markers=[(0, "C:min"), (960, "Ab:maj")],
)


def track(events: bytes) -> bytes:
    return b"MTrk" + len(events).to_bytes(4, "big") + events


def file(*tracks: bytes, format: int = 1, division: int = 480) -> bytes:
    header = b"".join(n.to_bytes(2, "big") for n in (format, len(tracks), division))
    return b"MThd" + (6).to_bytes(4, "big") + header + b"".join(map(track, tracks))


def test_what_is_written_is_read() -> None:
    found = parse(serialise(SONG))
    assert (found.tempos, found.metres, found.keys) == (SONG.tempos, SONG.metres, SONG.keys)
    assert found.markers == SONG.markers
    conductor, bass, drum = found.tracks
    assert conductor.notes == []
    assert (bass.name, bass.notes, bass.programs) == ("Bass", SONG.tracks[0].notes, [(0, 0, 33)])
    assert bass.controls[0] == Control(0, 0, 10, 64)
    assert drum.notes == SONG.tracks[1].notes


def test_times_follow_the_tempo() -> None:
    assert [SONG.seconds(tick) for tick in (0, 480, 960, 1920)] == [0, 0.25, 0.5, 1.5]
    assert MidiFile(division=480).seconds(480) == 0.5


def test_notes_that_hang_last_until_the_end_of_their_track() -> None:
    hanging = b"\x00\x90\x3c\x40\x60\x90\x3e\x40\x60\xff\x2f\x00"
    [found] = parse(file(hanging)).tracks
    assert [(n.pitch, n.start, n.length) for n in found.notes] == [(60, 0, 192), (62, 96, 96)]
    midi = parse(serialise(MidiFile(tracks=[found])))
    assert [(n.pitch, n.start, n.length) for n in midi.tracks[1].notes] == [
        (60, 0, 192),
        (62, 96, 96),
    ]


def test_running_status_and_note_on_without_velocity() -> None:
    events = b"\x00\x90\x3c\x40\x30\x3c\x00\x00\x40\x50\x30\x40\x00\x00\xff\x2f\x00"
    [found] = parse(file(events)).tracks
    assert [(n.pitch, n.start, n.length) for n in found.notes] == [(60, 0, 48), (64, 48, 48)]


def test_a_note_that_starts_again_where_it_ends_is_not_cut() -> None:
    notes = [MidiNote(start=s, length=96, pitch=60, velocity=80, channel=0) for s in (0, 96)]
    midi = parse(serialise(MidiFile(tracks=[MidiTrack(notes=notes)])))
    assert midi.tracks[1].notes == notes


def test_tracks_last_until_the_end_of_the_song() -> None:
    short = MidiFile(tracks=[MidiTrack(notes=[SONG.tracks[1].notes[0]])], end=100_000)
    [*_, last] = parse(serialise(short)).tracks[1].controls
    assert (last.tick, last.number) == (100_000, 120)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a MIDI file"),
        (b"RIFF" + bytes(40), "not a MIDI file"),
        (file(b"\x00\x90\x3c"), "truncated"),
        (file(b"\x00\xff\x03\x50ab"), "truncated"),
        (file(b"\x00\x3c\x40"), "damaged"),
        (file(b"\xff\xff\xff\xff\xff\x00"), "too long"),
        (file(b"", division=0xE728), "frames"),
        (file(b"", format=2), "independent"),
        (serialise(SONG)[:-5], "truncated"),
    ],
)
def test_damaged_files_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse(data)


def test_no_bytes_make_it_crash() -> None:
    data = serialise(SONG)
    for place in range(len(data)):
        for value in (0, 0x7F, 0x80, 0xFF):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                parse(changed)
            except InputError:
                continue
