"""The labels of a rendered song: what is played in it, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stemsplit.data.render.score import Part, Score

SCHEMA = 1


def make_labels(
    score: Score, seconds: float, excerpts: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the labels of the first ``seconds`` of ``score``, ready for JSON.

    Times are in seconds, the tempo in beats per minute, keys and chords as C. Harte writes them.
    ``excerpts`` are those of recordings, which are not part of the score.
    """
    beats = [float(beat) for beat in score.beats if beat < seconds]
    return {
        "style": score.style,
        "tempo": round(score.tempo, 3),
        "metre": score.metre,
        "key": str(score.key),
        "beats": _rounded(beats),
        "downbeats": _rounded(beats[:: score.metre]),
        "chords": list(_chords(score, seconds)),
        "instruments": [_instrument(part) for part in score.parts],
        "notes": {
            stem: _notes(score, [p for p in score.parts if p.stem == stem], seconds)
            for stem in dict.fromkeys(part.stem for part in score.parts)
        },
        "excerpts": list(excerpts),
    }


def _chords(score: Score, seconds: float) -> Iterator[dict[str, Any]]:
    for chord in score.chords:
        start = score.seconds(chord.start)
        end = min(score.seconds(chord.start + chord.length), seconds)
        if start < end:
            yield {"start": _time(start), "end": _time(end), "chord": str(chord)}


def _instrument(part: Part) -> dict[str, Any]:
    return {"part": part.name, "stem": part.stem, "program": part.program, "drums": part.drums}


def _notes(score: Score, parts: Sequence[Part], seconds: float) -> list[dict[str, Any]]:
    found = []
    for part in parts:
        for note in part.notes:
            start, end = score.seconds(note.start), score.seconds(note.start + note.length)
            if start < seconds:
                found.append(
                    {
                        "start": _time(start),
                        "end": _time(min(end, seconds)),
                        "pitch": note.pitch,
                        "velocity": note.velocity,
                        "part": part.name,
                    }
                )
    return sorted(found, key=lambda note: (note["start"], note["pitch"]))


def _time(seconds: float) -> float:
    return round(seconds, 4)


def _rounded(times: Sequence[float]) -> list[float]:
    return [_time(each) for each in times]
