"""Plans a run: which outputs each song has, and where, based on names only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stemsplit.audio.excerpt import describe_excerpt
from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import check_encoding, depth_of
from stemsplit.batch.discover import Song
from stemsplit.checkpoints import loading
from stemsplit.handoff.programs import PROGRAMS, check_daws, check_names
from stemsplit.options import SplitOptions
from stemsplit.outputs.job import Job, closing_stem
from stemsplit.outputs.manifest_writer import ManifestWriter
from stemsplit.outputs.naming import (
    OutputNames,
    Places,
    check_collisions,
    check_extension,
    check_template,
    clashes,
    safe_folder,
    safe_name,
    template_for,
)
from stemsplit.outputs.provenance import UNKNOWN_DIGEST, Provenance
from stemsplit.outputs.selection import Selection, as_stem_file, select_stems
from stemsplit.types import Daw, StreamInfo

#: Options that affect the bytes of a stem, besides the model and the selection.
_OF_BYTES = ("encoding", "engine", "excerpt")
#: Engine options that affect at most the last bits of a sample, so that a folder need not be split
#: again on another machine, with another batch size or number of threads.
_NOT_OF_BYTES = ("device", "batch", "threads")
#: Digits of the digest that distinguishes two songs if nothing else does.
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class SongPlan:
    """The output paths of a song: stems and projects by name, and the manifest."""

    stems: dict[str, Path]
    projects: dict[Daw, Path]
    manifest: Path

    @property
    def outputs(self) -> dict[str, Path]:
        """Stems and projects, by name."""
        return self.stems | dict[str, Path](self.projects.items())

    def only(self, names: Container[str]) -> SongPlan:
        """Return the plan with only the outputs ``names``."""
        stems = {name: path for name, path in self.stems.items() if name in names}
        projects = {name: path for name, path in self.projects.items() if name in names}
        return SongPlan(stems, projects, self.manifest)

    @property
    def files(self) -> list[Path]:
        """All files that may be written."""
        return [*self.outputs.values(), self.manifest]

    @property
    def folders(self) -> list[Path]:
        """The folders of these files."""
        return list(dict.fromkeys(path.parent for path in self.files))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The plan for all songs of a run; ``songs`` are by path.

    The files of ``temporary`` songs will no longer exist when a project is opened.
    """

    options: SplitOptions
    selection: Selection
    songs: Mapping[Path, SongPlan]
    temporary: frozenset[Path] = frozenset()

    def lasts(self, song: Path) -> bool:
        """Return whether the file of ``song`` will still exist after this process has exited."""
        return song not in self.temporary

    def job(
        self,
        info: StreamInfo,
        outputs: Container[str],
        *,
        force: bool = False,
        manifest: ManifestWriter | None = None,
    ) -> Job:
        """Return the job that writes ``outputs``, by name, of the planned song ``info``."""
        song = self.songs[info.path]
        wanted = song.only(outputs)
        return Job(
            info=info,
            selection=self.selection,
            outputs=wanted.stems,
            encoding=self.options.encoding,
            projects=wanted.projects,
            stems=song.stems,
            lasting=self.lasts(info.path),
            force=force,
            accept_truncated=self.options.accept_truncated,
            manifest=manifest,
        )


def select(options: SplitOptions) -> Selection:
    """Return the outputs that ``options`` select.

    Raises ``UsageError`` for options that contradict each other, the model or the format, and, with
    ``commercial``, for weights that must not be used commercially.
    """
    selection = select_stems(
        loading.stems_of(options.model),
        options.stems,
        options.two_stems,
        mixes=options.mixes,
        sum_to_mix=options.sum_to_mix,
    )
    if options.commercial:
        from stemsplit.checkpoints.commercial import require_commercial

        require_commercial(options.model, selection.needed)
    loading.require_one_rate(options.model, selection.needed)
    check_encoding(options.encoding)
    check_daws(options.daw, options.encoding.format)
    if FORMATS[options.encoding.format].holds_all_stems:
        selection = as_stem_file(selection)
    check_names(options.daw, selection.wanted)
    check_template(_template(options), selection.wanted)
    check_extension(_template(options), options.encoding.format)
    return selection


def _template(options: SplitOptions) -> str:
    return template_for(options.filename, options.encoding.format)


def plan_songs(
    songs: Sequence[Song], stems: Sequence[str], options: SplitOptions
) -> dict[Path, SongPlan]:
    """Return the plan of each of ``songs`` by its path; names that collide are extended.

    Raises ``UsageError`` for collisions that remain.
    """
    places = Places()
    by_path = {song.path: song for song in songs}
    names = {path: _names(song) for path, song in by_path.items()}
    plans: dict[Path, SongPlan] = {}
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
    """Yield candidate folders below the output folder, and names, for the stems of ``song``.

    Each is less likely to collide with another song than the previous one. The last ones are for
    names whose only differences are lost on some file systems, or beyond the maximum length.
    """
    path, below = song.path, song.below
    mirrored = below if below.parts else Path(path.absolute().parent.name)
    for folder in (below, mirrored):
        yield folder, safe_name(path.stem)
        yield folder, safe_name(path.name)
    for whole in (below / path.name, path.absolute()):
        digest = hashlib.sha256(os.fsencode(whole)).hexdigest()[:_DIGITS]
        yield below, f"{safe_name(path.name)} {digest}"


def _plan(
    song: Song, below: Path, name: str, stems: Sequence[str], options: SplitOptions
) -> SongPlan:
    excerpt = describe_excerpt(options.excerpt)
    if excerpt and options.filename is None:
        name = f"{name} [{excerpt}]"  # in addition to the stems of the whole song
    names = OutputNames(
        track=song.path,
        folder=options.out / safe_folder(below),
        template=_template(options),
        extension=FORMATS[options.encoding.format].extension,
        model=loading.label(options.model),
        name=name,
    )
    projects = {daw: names.of_project(PROGRAMS[daw].extension) for daw in options.daw}
    return SongPlan(names.of_stems(stems), projects, names.of_manifest())


def sound_settings(options: SplitOptions) -> dict[str, Any]:
    """Return the options that affect the sound of stems, as plain values, for reports."""
    settings = asdict(options.engine)
    for name in ("batch", "threads"):  # without audible effect
        del settings[name]
    return {"model": options.model, **settings}


def manifest_settings(options: SplitOptions) -> dict[str, Any]:
    """Return the options that affect the bytes of a stem, as JSON values."""
    settings = {name: asdict(getattr(options, name)) for name in _OF_BYTES}
    settings["encoding"]["depth"] = depth_of(options.encoding)
    for name in _NOT_OF_BYTES:
        del settings["engine"][name]
    return settings


def provenances_of(
    options: SplitOptions, selection: Selection, has_weights: bool = True
) -> dict[str, Provenance]:
    """Return the provenance of each output, by name.

    If this machine does not have the weights (``has_weights``), their digests are unknown.
    """
    settings, defaults = manifest_settings(options), manifest_settings(SplitOptions())
    if options.encoding.clip == "linked":
        # All stems that are written share one gain, which depends on each of them.
        settings["linked"] = list(selection.wanted)
    closing = closing_stem(selection, options.encoding)
    model = loading.label(options.model)

    def provenance(digest: str, parts: dict[str, float], **further: Any) -> Provenance:
        return Provenance(
            model=model,
            digest=digest,
            parts=parts,
            settings=settings | further,
            defaults=defaults,
        )

    made = {
        name: provenance(
            loading.fingerprint(options.model, stems=selection.sources_in(name))
            if has_weights
            else UNKNOWN_DIGEST,
            selection.parts(name),
            **({"sums": list(selection.sums)} if name == closing else {}),
        )
        for name in selection.wanted
    }
    digests = " ".join(stem.digest for stem in made.values())
    digest = hashlib.sha256(digests.encode()).hexdigest() if has_weights else UNKNOWN_DIGEST
    stems = dict.fromkeys(made, 1.0)
    # A project refers to the stems; a DAWproject contains them.
    return made | {
        daw: provenance(digest, stems, template=_template(options)) for daw in options.daw
    }
