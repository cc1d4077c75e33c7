"""Convert scores to JSON: our own records, which can be read back, and those of museval.

JSON has neither NaN nor infinity. In our records NaN (undefined) is ``null``, and ±∞ are the
strings ``"inf"`` and ``"-inf"``; all other figures are numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stemsplit.data.stems import StemFiles
from stemsplit.evaluation.report.stem_sets import ComparedSong, compare_sets
from stemsplit.evaluation.scores import (
    BSS_EVAL,
    LEADERBOARD,
    WHOLE_STEM,
    Frames,
    SongScores,
    StemMeasures,
    StemScores,
    median,
)
from stemsplit.options import WHOLE, Excerpt

SCHEMA = 2  # of the records; increases when a field changes its meaning or is removed
#: The version of museval whose format and definitions ``to_museval`` follows.
MUSEVAL_VERSION = "0.4.1"
#: Decimals of museval.
MUSEVAL_DECIMALS = 5
MEASURED = ("loudness", "peak", "true_peak", "above_11_khz", "above_16_khz", "joins")


def to_json(song: SongScores) -> dict[str, Any]:
    """Return ``song`` as one object of strictly valid JSON; ``from_json`` is its inverse.

    ``schema`` is ``SCHEMA``. ``frames`` of a stem has lists of BSS Eval, ``median`` their medians
    (which are not read back).
    """
    return {
        "schema": SCHEMA,
        "song": song.song,
        "sample_rate": song.sample_rate,
        "frames": song.frames,
        "seconds": song.frames / song.sample_rate,
        "window": song.window,
        "hop": song.hop,
        "scores": [_scores_record(scores) for scores in song.scores],
        "measures": [_measures_record(measures) for measures in song.measures],
        "null_residual": None if song.null_residual is None else _figure(song.null_residual),
        "unreproducible": list(song.unreproducible),
        # Earlier versions could repeat the rounding of museval; this was true then.
        "replicated": False,
        "bss_eval": song.bss_eval,
        "remarks": list(song.remarks),
        "estimates": {name: _audio_record(audio) for name, audio in song.estimates.items()},
        "references": {name: _audio_record(audio) for name, audio in song.references.items()},
        "mixture": None if song.mixture is None else _audio_record(song.mixture),
        "settings": _plain(song.settings),
    }


def from_json(record: Mapping[str, Any]) -> SongScores:
    """Return the scores in ``record``, which ``to_json`` has made.

    Raises ``ValueError`` for a record of another schema, or an invalid one.
    """
    try:
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']} is not {SCHEMA}")
        residual = record["null_residual"]
        mixture = record["mixture"]
        return SongScores(
            song=record["song"],
            sample_rate=record["sample_rate"],
            frames=record["frames"],
            window=record["window"],
            hop=record["hop"],
            scores=tuple(_read_scores(stem) for stem in record["scores"]),
            measures=tuple(_read_measures(stem) for stem in record["measures"]),
            null_residual=None if residual is None else float(residual),
            unreproducible=tuple(record["unreproducible"]),
            bss_eval=record.get("bss_eval", "own"),  # earlier versions knew no other
            remarks=tuple(record["remarks"]),
            estimates={name: _read_audio(audio) for name, audio in record["estimates"].items()},
            references={name: _read_audio(audio) for name, audio in record["references"].items()},
            mixture=None if mixture is None else _read_audio(mixture),
            settings=dict(record["settings"]),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"invalid record of scores: {exc!r}") from exc


def to_comparison(songs: Sequence[ComparedSong], metrics: Sequence[str]) -> dict[str, Any]:
    """Return the rows of ``compare_sets`` for each of ``metrics``; the caller adds ``schema``."""
    first, *_ = names = list(songs[0].sets)
    return {
        "sets": names,
        "songs": [song.name for song in songs],
        "comparison": [
            {
                "stem": row.stem,
                "metric": metric,
                "values": {name: _figure(value) for name, value in row.values.items()},
                "best": list(row.best),
                "differences": [
                    {
                        "set": name,
                        "minus": first,
                        "median": _figure(difference.median),
                        "wins": difference.wins,
                        "losses": difference.losses,
                    }
                    for name, difference in row.differences.items()
                ],
            }
            for metric in metrics
            for row in compare_sets(songs, metric)
        ],
    }


def to_museval(song: SongScores) -> dict[str, Any]:
    """Return ``song`` as museval's ``TrackStore`` writes it, ready for ``json.dumps``.

    Values have five decimals. NaN and ±∞ are both written ``NaN``, which Python's JSON allows and
    the standard does not. museval looks for ``FOLDER/test/SONG.json``, and takes the name of the
    song from that of the file.
    """
    return {
        "targets": [
            {
                "name": stem.name,
                "frames": [
                    {
                        "time": index * song.hop,
                        "duration": song.window,
                        "metrics": {
                            metric: _museval_figure(value)
                            for metric, value in zip(("SDR", "SIR", "SAR", "ISR"), row, strict=True)
                        },
                    }
                    for index, row in enumerate(
                        zip(stem.sdr, stem.sir, stem.sar, stem.isr, strict=True)
                    )
                ],
            }
            for stem in song.scores
        ],
        "museval_version": MUSEVAL_VERSION,
    }


def _scores_record(stem: StemScores) -> dict[str, Any]:
    return {
        "name": stem.name,
        "median": {metric: _figure(median(getattr(stem, metric))) for metric in BSS_EVAL},
        **{metric: _figure(getattr(stem, metric)) for metric in WHOLE_STEM},
        "delay": stem.delay,
        "inverted": stem.inverted,
        "frames": {metric: [_figure(v) for v in getattr(stem, metric)] for metric in BSS_EVAL},
    }


def _read_scores(record: Mapping[str, Any]) -> StemScores:
    # Earlier versions did not have the scores of leaderboards.
    known = [metric for metric in WHOLE_STEM if metric not in LEADERBOARD or metric in record]
    figures: dict[str, Any] = {metric: _read_figure(record[metric]) for metric in known}
    figures |= {metric: _read_frames(record["frames"][metric]) for metric in BSS_EVAL}
    return StemScores(
        name=record["name"], delay=record["delay"], inverted=record["inverted"], **figures
    )


def _measures_record(stem: StemMeasures) -> dict[str, Any]:
    return {
        "name": stem.name,
        **{measure: _figure(getattr(stem, measure)) for measure in MEASURED},
        "clipped": stem.clipped,
        "correlation": {name: _figure(value) for name, value in stem.correlation.items()},
        "overlap": {name: _figure(value) for name, value in stem.overlap.items()},
    }


def _read_measures(record: Mapping[str, Any]) -> StemMeasures:
    return StemMeasures(
        name=record["name"],
        clipped=record["clipped"],
        correlation={name: _read_figure(value) for name, value in record["correlation"].items()},
        overlap={name: _read_figure(value) for name, value in record["overlap"].items()},
        **{measure: _read_figure(record[measure]) for measure in MEASURED},
    )


def _audio_record(audio: StemFiles) -> dict[str, Any]:
    record = {
        "paths": [str(path) for path in audio.paths],
        "streams": list(audio.streams),
        "missing": list(audio.missing),
    }
    if audio.excerpt == WHOLE:
        return record
    return {**record, "start": audio.excerpt.start, "end": audio.excerpt.end}


def _read_audio(record: Mapping[str, Any]) -> StemFiles:
    paths = tuple(Path(path) for path in record["paths"])
    return StemFiles(
        paths=paths,
        streams=tuple(record["streams"]),
        missing=tuple(record["missing"]),
        excerpt=Excerpt(start=record.get("start"), end=record.get("end")),
    )


def _figure(value: float) -> float | str | None:
    value = float(value)
    if math.isnan(value):
        return None
    return str(value) if math.isinf(value) else value


def _read_figure(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def _read_frames(values: list[float | str | None]) -> Frames:
    return np.array([_read_figure(value) for value in values], np.float64)


def _museval_figure(value: float) -> float:
    return round(float(value), MUSEVAL_DECIMALS) if math.isfinite(value) else math.nan


def _plain(value: Any) -> Any:
    """Return ``value`` with types that JSON has; others become text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _figure(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
