"""Short, distinct names for several sets of stems, from their models or folders."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stemsplit.data.layouts import SongStems, song_name
from stemsplit.errors import InputError, UsageError
from stemsplit.outputs import manifest


def name_sets(places: Sequence[Path], songs: Sequence[Sequence[SongStems]]) -> list[str]:
    """Return a name for each set of stems at ``places``; ``songs`` are those of each set.

    The name is that of the model that made all stems of the set, according to their manifests, or
    else that of the folder. If two sets would have the same name, all are named after their
    folders; if these are equal too, after the parts of their paths that differ. Raises
    ``UsageError`` for a place that is given twice.
    """
    _refuse_repeated(places)
    folders = [song_name(place) for place in places]
    names = [_model_of(of) or folder for of, folder in zip(songs, folders, strict=True)]
    for found in (names, folders):
        if len(set(found)) == len(found):
            return found
    return _differing_parts(places)


def _refuse_repeated(places: Sequence[Path]) -> None:
    for place, count in Counter(place.resolve() for place in places).items():
        if count > 1:
            raise UsageError(f"{place} is given {count} times", hint="give each set of stems once")


def _model_of(songs: Sequence[SongStems]) -> str | None:
    """Return the model that made all stems of ``songs``; None if unknown, or if several did."""
    models = {model for song in songs for model in _models_of(song)}
    return models.pop() if len(models) == 1 else None


def _models_of(song: SongStems) -> set[str]:
    """Return the models in the manifests in the folder of ``song``."""
    if not song.path.is_dir():
        return set()
    models = set()
    for name in os.listdir(song.path):
        if name.endswith(manifest.NAME):
            with contextlib.suppress(InputError):
                if known := manifest.read(song.path / name):
                    models |= {file.provenance.model for file in known.outputs.values()}
    # Models outside the registry are recorded by the path of their checkpoint.
    return {Path(model).stem if Path(model).name != model else model for model in models}


def _differing_parts(places: Sequence[Path]) -> list[str]:
    """Return the paths of ``places`` without the parts that all have in common at both ends."""
    paths = [place.resolve().parts[1:] for place in places]
    first = _shared(paths)
    last = _shared([path[first:][::-1] for path in paths])
    names = ["/".join(path[first : len(path) - last]) for path in paths]
    # One place may be inside another.
    return names if all(names) else ["/".join(path) for path in paths]


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """Return the number of leading parts that all ``paths`` share."""
    places = enumerate(zip(*paths, strict=False))
    shortest = min(map(len, paths))
    return next((number for number, parts in places if len(set(parts)) > 1), shortest)
