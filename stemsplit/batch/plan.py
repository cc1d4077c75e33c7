"""What a run is asked for, and where the stems of each song will be: from names alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stemsplit.audio.excerpt import WHOLE, Excerpt
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import depth_of
from stemsplit.batch.discover import Song
from stemsplit.checkpoints import loading
from stemsplit.outputs.naming import (
    Names,
    Places,
    check_collisions,
    clashes,
    safe_folder,
    safe_name,
)
from stemsplit.outputs.selection import Selection, select_stems
from stemsplit.separation.delivery import as_files, project_paths
from stemsplit.types import Daw, EncodingOptions, EngineOptions, Existing


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Everything that ``stemsplit FILE…`` can be told, but the files."""

    model: str
    folder: Path
    template: str
    encoding: EncodingOptions
    existing: Existing | None  # None: resume with several songs, refuse with one
    offline: bool
    allow_unverified: bool
    engine: EngineOptions
    stems: tuple[str, ...] | None = None
    two_stems: str | None = None
    mixes: tuple[str, ...] = ()
    sum_to_mix: str | None = None
    accept_truncated: bool = False
    excerpt: Excerpt = WHOLE
    daws: tuple[Daw, ...] = ()
    fail_fast: bool = False
    jobs: int = 1

    def on(self, device: str) -> SplitOptions:
        """Return these options with another ``device``."""
        return replace(self, engine=replace(self.engine, device=device))

    def told(self) -> dict[str, Any]:
        """Return the choices that decide how the stems sound, in plain values."""
        choices = asdict(self.engine)
        del choices["batch"]  # how many segments run at a time is no choice of sound
        return {"model": self.model, **choices}


#: Options that leave the bytes of a stem as they are; all others are settings of its manifest.
_WITHOUT_EFFECT = frozenset(
    {
        *("model", "stems", "two_stems", "mixes", "sum_to_mix"),  # each stem has its own of these
        *("folder", "template", "daws", "existing", "fail_fast", "jobs"),
        *("offline", "allow_unverified", "accept_truncated"),
    }
)
#: So do these of the engine, on a CPU. On a GPU they move the last bits of a sample, which is no
#: reason to do a night again on another machine or with another batch.
_WITHOUT_SOUND = ("device", "batch")
#: Of a digest, where only that tells two songs apart.
_DIGITS = 8


def settings_of(options: SplitOptions) -> dict[str, Any]:
    """Return those of ``options`` that change the bytes of a stem, as JSON would read them back."""
    settings = {name: v for name, v in asdict(options).items() if name not in _WITHOUT_EFFECT}
    settings["encoding"]["depth"] = depth_of(options.encoding)
    for name in _WITHOUT_SOUND:
        del settings["engine"][name]
    return settings


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the stems of a song go, by name, its projects, and the manifest that tells of them."""

    stems: dict[str, Path]
    projects: dict[Daw, Path]
    manifest: Path

    @property
    def outputs(self) -> dict[str, Path]:
        """Stems and projects, by name."""
        return self.stems | dict[str, Path](self.projects.items())

    def only(self, names: Container[str]) -> Plan:
        """Return the plan with no other outputs than ``names``."""
        stems = {name: path for name, path in self.stems.items() if name in names}
        projects = {name: path for name, path in self.projects.items() if name in names}
        return Plan(stems, projects, self.manifest)

    @property
    def files(self) -> list[Path]:
        """All that may be written."""
        return [*self.outputs.values(), self.manifest]

    @property
    def folders(self) -> list[Path]:
        """Where these files are."""
        return list(dict.fromkeys(path.parent for path in self.files))


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """All that is settled about the songs of a run before the first is looked into.

    ``plans`` and ``labels``, which are shown beside the progress, are by the paths of songs.
    """

    options: SplitOptions
    existing: Existing
    plans: Mapping[Path, Plan]
    labels: Mapping[Path, str]


def select(options: SplitOptions) -> Selection:
    """Return what is to be written.

    Raises ``UsageError`` for options that contradict each other or the model.
    """
    selection = select_stems(
        loading.stems_of(options.model),
        options.stems,
        options.two_stems,
        mixes=options.mixes,
        sum_to_mix=options.sum_to_mix,
    )
    loading.require_one_rate(options.model, selection.needed)
    return as_files(selection, options.encoding, options.template, options.daws)


def plan_all(
    songs: Sequence[Song], stems: Sequence[str], options: SplitOptions
) -> dict[Path, Plan]:
    """Return the plan of each of ``songs`` by its path; where names clash they say more.

    Raises ``UsageError`` where that does not help.
    """
    places = Places()
    by_path = {song.path: song for song in songs}
    names = {path: _names(song) for path, song in by_path.items()}
    plans: dict[Path, Plan] = {}
    clashing = set(by_path)
    while clashing:
        again = {path: next(names[path], None) for path in by_path if path in clashing}
        changed = {
            path: _plan(by_path[path], *name, stems, options)
            for path, name in again.items()
            if name is not None
        }
        if not changed:
            break
        plans |= changed
        clashing = clashes({path: plan.files for path, plan in plans.items()}, places)
    check_collisions({path: plan.files for path, plan in plans.items()}, places)
    return plans


def _names(song: Song) -> Iterator[tuple[Path, str]]:
    """Yield where below the output folder, and by what name, the stems of ``song`` may be.

    Each is less likely than the one before to be that of another song too. The last ones are for
    names that differ in nothing that every file system takes, or in an end too long for it.
    """
    path, below = song.path, song.below
    mirrored = below if below.parts else Path(path.absolute().parent.name)
    for folder in (below, mirrored):
        yield folder, safe_name(path.stem)
        yield folder, safe_name(path.name)
    for whole in (below / path.name, path.absolute()):
        digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:_DIGITS]
        yield below, f"{safe_name(path.name)} {digest}"


def _plan(song: Song, below: Path, name: str, stems: Sequence[str], options: SplitOptions) -> Plan:
    names = Names(
        track=song.path,
        folder=options.folder / safe_folder(below),
        template=options.template,
        extension=FORMATS[options.encoding.format].extension,
        model=loading.label(options.model),
        name=name,
    )
    projects = project_paths(names, options.daws)
    return Plan(names.of_stems(stems), projects, names.of_manifest())
