"""Checks the songs of a data set: what is missing, silent, clipped, misaligned or there twice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemsplit.data.alignment import Alignment, align
from stemsplit.data.collections import TrainingSong
from stemsplit.data.file_names import MIXTURE, excluded_stem, normalise
from stemsplit.data.fingerprint import LandmarkMeter, Landmarks
from stemsplit.data.leakage import find_same_songs
from stemsplit.errors import InputError, StemsplitError, describe
from stemsplit.evaluation.delay import DelayMeter
from stemsplit.evaluation.measures import CLIPPED_RUN, FULL_SCALE

#: A stem whose peak is below this level counts as silent, dBFS.
SILENT = -80.0
#: How far the mixture may differ from the sum of the stems, dB relative to the mixture. Rounding to
#: 16 bits is near -80 dB, AAC near -30 dB.
RESIDUAL = -25.0
#: How much the lengths of stems may differ, s: codecs pad.
LENGTHS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that may be wrong with a song: its ``kind``, in one word, and a ``message``."""

    kind: str
    message: str
    stems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSong:
    """What was found out about a song, or why it cannot be read."""

    name: str
    split: str | None
    stems: tuple[str, ...] = ()
    seconds: float | None = None
    findings: tuple[Finding, ...] = ()
    landmarks: dict[str, list[Landmarks]] = field(default_factory=dict)
    error: StemsplitError | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two songs that have the same sound, by their names."""

    first: str
    second: str


def check_songs(songs: Sequence[TrainingSong], sources: Sequence[str]) -> Iterator[CheckedSong]:
    """Yield the findings for each song. ``sources`` are the stems that it should have."""
    for song in songs:
        try:
            yield _check(song, sources)
        except Exception as exc:
            yield CheckedSong(
                name=song.name, split=song.split, error=describe(exc, Path(song.name))
            )


def find_duplicates(songs: Sequence[CheckedSong]) -> list[Duplicate]:
    """Return the pairs of checked ``songs`` that have the same sound."""
    pairs = find_same_songs([(song.name, song.landmarks) for song in songs])
    return [Duplicate(songs[each.first].name, songs[each.second].name) for each in pairs]


def _check(song: TrainingSong, sources: Sequence[str]) -> CheckedSong:
    if song.problem is not None:
        raise InputError(song.problem, path=song.name)
    names = list(song.stems)
    files = [*song.stems.values(), *([] if song.mixture is None else [song.mixture])]
    aligned = align(files)
    meter = _SongMeter(names, aligned, with_mixture=song.mixture is not None)
    for block in aligned.blocks():
        meter.add(block)
    findings = [
        *_missing(song, sources),
        *_differences(names if song.mixture is None else [*names, MIXTURE], aligned),
        *(Finding(kind="damaged", message=warning) for warning in aligned.warnings),
        *meter.findings(expects_sum=_covers_all(sources)),
        *(Finding(kind="remark", message=remark) for remark in song.remarks),
    ]
    return CheckedSong(
        name=song.name,
        split=song.split,
        stems=tuple(names),
        seconds=aligned.frames / aligned.sample_rate,
        findings=tuple(findings),
        landmarks=meter.landmarks(),
    )


def _missing(song: TrainingSong, sources: Sequence[str]) -> Iterator[Finding]:
    missing = tuple(source for source in sources if source not in song.stems)
    if missing:
        yield Finding(kind="missing", message=f"has no {', '.join(missing)}", stems=missing)


def _covers_all(sources: Sequence[str]) -> bool:
    """Return whether ``sources`` add up to the mixture."""
    names = [normalise(source) for source in sources]
    return "other" in names or any(excluded_stem(name) in names for name in names)


def _differences(names: Sequence[str], aligned: Alignment) -> Iterator[Finding]:
    """Yield findings on rates, channels and lengths that differ between the stems."""
    infos = aligned.infos()
    rates = [max(info.sample_rate for info in each) for each in infos]
    if len(set(rates)) > 1:
        yield _differing("rates", "sample rates", names, rates, "Hz")
    channels = [max(info.stored_channels for info in each) for each in infos]
    if len(set(channels)) > 1:
        yield _differing("channels", "channels", names, channels, "")
    seconds = [length / aligned.sample_rate for length in aligned.lengths()]
    if max(seconds) - min(seconds) > LENGTHS:
        yield _differing("lengths", "lengths", names, [round(each, 2) for each in seconds], "s")


def _differing(
    kind: str, what: str, names: Sequence[str], values: Sequence[float], unit: str
) -> Finding:
    by_value: dict[float, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        by_value.setdefault(value, []).append(name)
    fewest = min(by_value.values(), key=len)
    listed = "; ".join(
        f"{', '.join(each)} {f'{value:g} {unit}'.strip()}" for value, each in by_value.items()
    )
    return Finding(kind=kind, message=f"{what} differ: {listed}", stems=tuple(fewest))


class _SongMeter:
    """Measures the stems of a song, and its mixture if there is one, block by block."""

    def __init__(self, names: Sequence[str], aligned: Alignment, *, with_mixture: bool) -> None:
        self._names, self._rate = list(names), aligned.sample_rate
        self._shown = [*names, MIXTURE] if with_mixture else list(names)
        self._peak = np.zeros(len(self._shown))
        self._clipped = np.zeros(len(self._shown), np.int64)
        self._tail: NDArray[np.float32] | None = None
        self._marks = [LandmarkMeter(self._rate) for _ in names]
        self._delays = DelayMeter(self._rate) if with_mixture else None
        self._mixture = self._difference = 0.0

    def add(self, block: NDArray[np.float32]) -> None:
        """Add a block ``(S, C, n)``, with the mixture last if there is one."""
        self._peak = np.maximum(self._peak, np.abs(block).max(axis=(1, 2)))
        self._count_clipped(block)
        stems = block[: len(self._names)]
        for marks, stem in zip(self._marks, stems, strict=True):
            marks.add(stem)
        if self._delays is not None:
            total, mixture = stems.sum(axis=0, keepdims=True), block[-1:]
            references = np.concatenate([total, stems])
            self._delays.add(references, np.repeat(mixture, len(references), axis=0))
            self._mixture += float(np.sum(mixture.astype(np.float64) ** 2))
            self._difference += float(np.sum((mixture - total).astype(np.float64) ** 2))

    def _count_clipped(self, block: NDArray[np.float32]) -> None:
        """Count the places where several samples in a row are the same, at full scale."""
        if self._tail is None:
            self._tail = np.zeros((*block.shape[:2], CLIPPED_RUN), np.float32)
        samples = np.concatenate([self._tail, block], axis=-1)
        self._tail = samples[..., -CLIPPED_RUN:]
        flat = (np.abs(samples[..., 1:]) >= FULL_SCALE) & (samples[..., 1:] == samples[..., :-1])
        run = flat[..., 1:].copy()  # two equal pairs are three samples
        run &= flat[..., :-1]
        self._clipped += (run[..., 1:] & ~run[..., :-1]).sum(axis=(1, 2))

    def landmarks(self) -> dict[str, list[Landmarks]]:
        """Return the fingerprints of the stems."""
        return {name: [each.result()] for name, each in zip(self._names, self._marks, strict=True)}

    def findings(self, *, expects_sum: bool) -> Iterator[Finding]:
        """Yield what was found; nothing can be added afterwards."""
        for name, peak, clipped in zip(self._shown, self._peak, self._clipped, strict=True):
            if peak < 10 ** (SILENT / 20):
                yield Finding(kind="silent", message=f"{name} is silent", stems=(name,))
            if clipped:
                times = f"{clipped} time{'s' if clipped > 1 else ''}"
                yield Finding(kind="clipped", message=f"{name} clips {times}", stems=(name,))
        if self._delays is None:
            return
        (delay, inverted), *others = self._delays.result()
        if delay or inverted:
            yield from self._shifts("the sum of the stems", (), delay, inverted)
        for name, (own, flipped) in zip(self._names, others, strict=True):
            if (own, flipped) != (delay, inverted):
                yield from self._shifts(name, (name,), own, flipped)
        if expects_sum and self._mixture:
            level = 10 * math.log10(max(self._difference / self._mixture, 1e-30))
            if level > RESIDUAL:
                message = f"the mixture differs from the sum of the stems by {level:.1f} dB"
                yield Finding(kind="sum", message=message)

    def _shifts(
        self, what: str, stems: tuple[str, ...], delay: int | None, inverted: bool
    ) -> Iterator[Finding]:
        if delay:
            milliseconds = 1000 * abs(delay) / self._rate
            side = "early" if delay > 0 else "late"
            message = f"{what} is {abs(delay)} samples ({milliseconds:.1f} ms) too {side}"
            yield Finding(
                kind="misaligned", message=f"{message}, compared with the mixture", stems=stems
            )
        if inverted:
            message = f"{what} has inverted polarity, compared with the mixture"
            yield Finding(kind="inverted", message=message, stems=stems)
