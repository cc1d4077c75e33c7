"""Built-in accompaniments, for when ``mma`` is missing, or has no drums or no bass in a style."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from stemsplit.data.render.score import Chord, Note, Part

#: Drums of General MIDI.
KICK, STICK, SNARE, HAT, OPEN_HAT, CRASH, RIDE, TAMBOURINE = 36, 37, 38, 42, 46, 49, 51, 54
#: Lowest notes of the bass, and of chords.
BASS_LOW, CHORD_LOW = 28, 52


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One bar of a style: a character is a sixteenth, ``-`` is silence.

    Of ``drums``, by note, ``x`` is a stroke and ``X`` an accent. Of the ``bass``, a digit is a note
    of the chord (0 is the root), ``8`` the root an octave up; of the ``comping``, ``x`` is the
    whole chord and a digit one of its notes. A note lasts until the next one, or until a ``.``.
    """

    metre: int
    tempos: tuple[int, int]  # beats per minute, lowest and highest
    drums: Mapping[int, str]
    bass: str
    comping: Sequence[str]
    swing: bool = False


PATTERNS = {
    "plain-rock": Pattern(
        metre=4,
        tempos=(96, 140),
        drums={KICK: "X-----x-x-x-----", SNARE: "----X-------X---", HAT: "x-x-x-x-x-x-x-x-"},
        bass="0-0-0-0-0-0-0-8-",
        comping=("x-----x-x---x-x-", "0-2-1-2-0-2-1-2-"),
    ),
    "plain-ballad": Pattern(
        metre=4,
        tempos=(60, 84),
        drums={KICK: "X-------x-x-----", STICK: "----X-------X---", HAT: "x-x-x-x-x-x-x-x-"},
        bass="0-----0-2-------",
        comping=("x---------------", "0-1-2-1-2-1-2-1-"),
    ),
    "plain-disco": Pattern(
        metre=4,
        tempos=(110, 128),
        drums={
            KICK: "X---X---X---X---",
            SNARE: "----X-------X---",
            OPEN_HAT: "--x---x---x---x-",
        },
        bass="0-8-0-8-0-8-0-8-",
        comping=("--x.--x.--x.--x.", "x---------------"),
    ),
    "plain-funk": Pattern(
        metre=4,
        tempos=(90, 112),
        drums={KICK: "X--x--x---x--x--", SNARE: "----X--x-x--X---", HAT: "xxxxxxxxxxxxxxxx"},
        bass="0--0--2.--8--02.",
        comping=("--x.-x.---x.-x.-", "x-------x-------"),
    ),
    "plain-swing": Pattern(
        metre=4,
        tempos=(110, 180),
        drums={RIDE: "X---x-x-X---x-x-", HAT: "----x-------x---", KICK: "x-------x-------"},
        bass="0---1---2---1---",
        comping=("--x.----x-----x.",),
        swing=True,
    ),
    "plain-reggae": Pattern(
        metre=4,
        tempos=(66, 88),
        drums={KICK: "--------X-------", STICK: "--------X-------", HAT: "x-x-x-x-x-x-x-x-"},
        bass="0--.0-1-2--.--0.",
        comping=("----x.------x.--", "--x.--x.--x.--x."),
    ),
    "plain-house": Pattern(
        metre=4,
        tempos=(118, 130),
        drums={
            KICK: "X---X---X---X---",
            SNARE: "----x-------x---",
            HAT: "--X---X---X---X-",
            TAMBOURINE: "x-xxx-xxx-xxx-xx",
        },
        bass="--0---0---0---8-",
        comping=("x--x--x--x--x---", "x---------------"),
    ),
    "plain-waltz": Pattern(
        metre=3,
        tempos=(84, 160),
        drums={KICK: "X-----------", STICK: "----x---x---", HAT: "x---x---x---"},
        bass="0-------2---",
        comping=("----x.--x.--", "0-1-2-1-2-1-"),
    ),
}  # fmt: skip
#: Programs for the comping instruments, which the orchestration may change: guitar, piano.
COMPING = (25, 0)


def make_parts(
    pattern: Pattern, chords: Sequence[Chord], bars: int, rng: Generator
) -> tuple[Part, ...]:
    """Return drums, bass and comping instruments for ``bars`` bars over ``chords``."""
    parts = [make_drums(pattern, bars, rng), make_bass(pattern, chords, bars, rng)]
    for number, line in enumerate(pattern.comping):
        notes = _comp(pattern, line, chords, bars, rng)
        parts.append(
            Part(
                name=f"Chord-{number + 1}",
                stem="other",
                program=COMPING[number],
                notes=tuple(notes),
            )
        )
    return tuple(parts)


def make_drums(pattern: Pattern, bars: int, rng: Generator) -> Part:
    """Return a kit with a crash every eight bars and a fill before it."""
    notes = []
    for bar in range(bars):
        fill = bar % 8 == 7
        for pitch, line in pattern.drums.items():
            for start, char, length in _strokes(pattern, line, bar):
                if not (fill and pitch != KICK and start >= (bar + 1) * pattern.metre - 1):
                    velocity = int((112 if char == "X" else 84) + rng.integers(-8, 9))
                    notes.append(Note(start, min(length, 0.25), pitch, velocity))
        if fill:
            last = (bar + 1) * pattern.metre - 1
            notes += [
                Note(last + k / 4, 0.2, p, 90 + 5 * k) for k, p in enumerate((50, 50, 47, 43))
            ]
        if bar % 8 == 0:
            notes.append(Note(bar * pattern.metre, 1.0, CRASH, 96))
    return Part(name="Drum", stem="drums", program=0, notes=_in_order(notes), drums=True)


def make_bass(pattern: Pattern, chords: Sequence[Chord], bars: int, rng: Generator) -> Part:
    """Return a bass line."""
    notes = []
    for bar in range(bars):
        for start, char, length in _strokes(pattern, pattern.bass, bar):
            tones = _voicing(_chord_at(chords, start), BASS_LOW)
            pitch = tones[0] + 12 if char == "8" else tones[int(char) % len(tones)]
            notes.append(Note(start, 0.92 * length, pitch, int(96 + rng.integers(-8, 9))))
    return Part(name="Bass", stem="bass", program=33, notes=_in_order(notes))


def _comp(
    pattern: Pattern, line: str, chords: Sequence[Chord], bars: int, rng: Generator
) -> Iterator[Note]:
    for bar in range(bars):
        for start, char, length in _strokes(pattern, line, bar):
            tones = _voicing(_chord_at(chords, start), CHORD_LOW)
            played = tones if char == "x" else [tones[int(char) % len(tones)]]
            for pitch in played:
                yield Note(start, 0.95 * length, pitch, int(76 + rng.integers(-8, 9)))


def _strokes(pattern: Pattern, line: str, bar: int) -> Iterator[tuple[float, str, float]]:
    """Yield start and length in beats, and the character, of each note of ``line``."""
    places = [k for k, char in enumerate(line) if char != "-"]
    for place, stop in zip(places, [*places[1:], len(line)], strict=True):
        if line[place] != ".":
            start, end = (_swung(k / 4, pattern.swing) for k in (place, stop))
            yield bar * pattern.metre + start, line[place], end - start


def _swung(beat: float, swing: bool) -> float:
    """Return the place of ``beat``; with swing, an off-beat eighth is the last of three."""
    whole, part = divmod(beat, 1.0)
    return whole + (2 / 3 if swing and part == 0.5 else part)


def _chord_at(chords: Sequence[Chord], beat: float) -> Chord:
    return next(chord for chord in reversed(chords) if chord.start <= beat + 1e-9)


def _voicing(chord: Chord, low: int) -> list[int]:
    """Return the pitches of ``chord``, the root first, at ``low`` or up to an octave above."""
    root = low + (chord.root - low) % 12
    return [root + (pitch - chord.root) % 12 for pitch in chord.pitch_classes]


def _in_order(notes: Sequence[Note]) -> tuple[Note, ...]:
    return tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))
