"""Accompaniments by ``mma`` (Musical MIDI Accompaniment)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from numpy.random import Generator

from stemsplit.data.midi import DRUM_CHANNEL, MidiTrack, parse
from stemsplit.data.render.programs import MMA, find_program, run
from stemsplit.data.render.score import PITCHES, Chord, Key, Note, Part
from stemsplit.data.render.styles import Style
from stemsplit.errors import InputError

SECONDS = 60.0  # it takes a fraction of a second
SUFFIXES = {
    **{"maj": "", "min": "m", "7": "7", "maj7": "M7", "min7": "m7", "hdim7": "m7b5"},
    "sus4": "sus4",
}
BASSES = range(32, 40)  # programs


def accompany(
    style: Style, key: Key, chords: Sequence[Chord], bars: int, rng: Generator
) -> tuple[Part, ...]:
    """Return the parts that ``mma`` plays in ``style``, with a groove that ``rng`` picks.

    Raises ``ResourceError`` if mma is missing, and ``InputError`` if it fails with this style.
    """
    program = find_program(MMA)
    script = _script(style, key, chords, bars, rng)
    with tempfile.TemporaryDirectory(prefix="stemsplit-") as name:
        folder = Path(name)
        (folder / "song.mma").write_text(script, encoding="ascii")
        done = run([program, "-w", "-f", "song.mid", "song.mma"], seconds=SECONDS, folder=folder)
        output = folder / "song.mid"
        if done.returncode or not output.exists():
            said = (done.stdout + done.stderr).decode("utf-8", "replace")
            reason = " ".join(said.partition("Error: ")[2].split()) or f"status {done.returncode}"
            raise InputError(f"mma failed with the style {style.name}: {reason}")
        data = output.read_bytes()
    try:
        midi = parse(data)
    except InputError as exc:
        raise InputError(f"mma failed with the style {style.name}: {exc}") from exc
    tracks = (track for track in midi.tracks if track.notes)
    return tuple(_part(track, midi.division) for track in tracks)


def _script(style: Style, key: Key, chords: Sequence[Chord], bars: int, rng: Generator) -> str:
    sign = f"{abs(key.sharps)}{'#' if key.sharps >= 0 else 'b'}"
    lines = [
        f"RndSeed {rng.integers(1, 2**31)}",
        f"KeySig {sign} {'Minor' if key.minor else 'Major'}",
        f"Use {style.library}",
    ]
    groove = str(rng.choice(style.grooves))
    fill = str(rng.choice(style.fills)) if style.fills else groove
    for bar in range(bars):
        if bar % 8 == 0:
            lines.append(f"Groove {groove}")
        elif bar % 8 == 7:
            lines.append(f"Groove {fill}")
        lines.append(f"{bar + 1} {' '.join(_symbols(chords, bar, style.metre))}")
    return "\n".join(lines) + "\n"


def _symbols(chords: Sequence[Chord], bar: int, metre: int) -> Iterator[str]:
    """Yield a chord for each beat of a bar, ``/`` if it is still the same."""
    starts = {round(chord.start): chord for chord in chords}
    for beat in range(bar * metre, (bar + 1) * metre):
        chord = starts.get(beat)
        yield "/" if chord is None else f"{PITCHES[chord.root]}{SUFFIXES[chord.quality]}"


def _part(track: MidiTrack, division: int) -> Part:
    drums = track.notes[0].channel == DRUM_CHANNEL
    program = track.programs[0][2] if track.programs else 0
    bass = not drums and (program in BASSES or track.name.lower().startswith(("bass", "walk")))
    notes = tuple(
        Note(
            each.start / division,
            max(each.length, 1) / division,
            each.pitch,
            max(each.velocity, 1),
        )
        for each in track.notes
    )
    return Part(
        name=track.name,
        stem="drums" if drums else "bass" if bass else "other",
        program=program,
        notes=notes,
        drums=drums,
    )
