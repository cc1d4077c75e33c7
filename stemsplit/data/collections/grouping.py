"""Assign labelled recordings, such as those of single instruments, to sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from stemsplit.data.file_names import excluded_stem, normalise
from stemsplit.data.stems import StemFiles

REST = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """An audio stream of a file; ``labels``, in normal form, go from specific to general."""

    path: Path
    labels: tuple[str, ...]
    stream: int = 0


def group(
    recordings: Iterable[Recording],
    sources: Sequence[str],
    mapping: Mapping[str, Sequence[str]],
) -> dict[str, StemFiles]:
    """Return the files of each of ``sources`` that has any.

    A recording belongs to the source that ``mapping`` assigns it to, by patterns of labels or of
    file names; otherwise to the source that its most specific label names; otherwise to ``other``,
    if there are several sources. ``no_X``, and ``instrumental`` and its synonyms for the vocals,
    are all recordings except those of X.
    """
    rows = [(recording, _home(recording, sources, mapping)) for recording in recordings]
    found: dict[str, StemFiles] = {}
    for source in sources:
        excluded = excluded_stem(normalise(source))
        if excluded is None:
            chosen = [recording for recording, home in rows if home == normalise(source)]
        else:
            chosen = [row for row, home in rows if excluded not in (home, *row.labels)]
        if chosen:
            found[source] = _sum(chosen)
    return found


def _home(
    recording: Recording, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> str | None:
    """Return the source of ``recording`` in normal form, or None."""
    names = (*recording.labels, recording.path.name.lower())
    for stem, patterns in mapping.items():
        wanted = [pattern.lower() for pattern in patterns]
        wanted += [pattern.replace(" ", "_") for pattern in wanted]
        if any(fnmatchcase(name, pattern) for name in names for pattern in wanted):
            return normalise(stem)
    known = {normalise(source) for source in sources}
    labels = (label for label in recording.labels if label in known)
    rest = REST if REST in known and len(sources) > 1 else None
    return next(labels, rest)


def _sum(recordings: Sequence[Recording]) -> StemFiles:
    streams = tuple(recording.stream for recording in recordings)
    return StemFiles(
        paths=tuple(recording.path for recording in recordings),
        streams=streams if any(streams) else (),
    )
