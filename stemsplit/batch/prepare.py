"""Preparing a song: what there is to do, and whether it can be done, before the network runs.

All of it may run in threads, ahead of the song that is being separated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event as Flag
from typing import TypeAlias

from stemsplit.audio.detect import promises_sound, sounds_by_name
from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe, refuse_unreadable
from stemsplit.audio.writable import refuse_existing
from stemsplit.batch.discover import Song
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import RunPlan, SongPlan, provenances_of
from stemsplit.errors import InputError, NoAudioError
from stemsplit.outputs import manifest
from stemsplit.outputs.job import Job
from stemsplit.outputs.manifest import InputFile, Manifest, ManifestWriter, Provenance
from stemsplit.types import NotAudio, ScanResult, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A song to split, locked by this process with a ``token``."""

    job: Job
    token: str
    warnings: list[str]
    scanned: ScanResult | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A song whose stems are up to date."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A song that another process is splitting."""


@dataclass(frozen=True, slots=True)
class WouldSplit:
    """A song that would be split, into these ``outputs``."""

    outputs: dict[str, Path]


@dataclass(frozen=True, slots=True)
class NeedsWeights:
    """A song about which only the digest of the model's weights decides; its file was probed."""

    info: StreamInfo | None


Prepared: TypeAlias = Ready | Skipped | NotAudio | Locked | NeedsWeights


@dataclass(slots=True)
class _Pending:
    """The outputs of a song that are still to be written."""

    outputs: dict[str, Path]
    known: Manifest | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def interrupted(self) -> Manifest | None:
        """The manifest of a run that was stopped while it moved the stems to their places."""
        return None if self.known is None or self.known.complete else self.known


class Preparation:
    """Prepares the songs of a run.

    ``provenances`` is how each output is made, by name, as soon as it can be looked up; before
    that, songs that depend on it come back as `NeedsWeights`.
    """

    def __init__(self, plan: RunPlan, locks: SongLocks) -> None:
        self._plan = plan
        self._options = plan.options
        self._existing = plan.existing
        self._locks = locks
        self.provenances: Mapping[str, Provenance] | None = None
        self._sources: dict[Path, InputFile] = {}

    def look_up_provenances(self) -> None:
        """Look up how each output is made. Raises ``CheckpointError`` where weights are missing."""
        self.provenances = provenances_of(self._options, self._plan.selection)

    def prepare(
        self,
        song: Song,
        sample_rate: int | None = None,
        stop: Flag | None = None,
        info: StreamInfo | None = None,
    ) -> Prepared:
        """Return what is to be done with ``song``; for a model at ``sample_rate`` it is scanned.

        ``info`` is what its file holds, if known. Raises ``InputError`` and ``OutputError``;
        ``CancelledError`` when ``stop`` is set.
        """
        plan = self._plan.songs[song.path]
        if song.is_done():
            return Skipped()
        if not self._make(song, plan):
            return Locked()
        try:
            pending = self._pending(song, plan)
            if not pending.outputs and not pending.interrupted:
                self._locks.remove_stale(plan.manifest, plan.folders)
                return Skipped()
            found = info or self._look_into(song)
            if isinstance(found, NotAudio):
                return found
            info = found
            provenances = self._needed_provenances()
        except _WeightsMissing:
            return NeedsWeights(info)
        token = self._locks.acquire(plan.manifest, plan.folders)
        if token is None:
            return Locked()
        try:
            ready = self._prepare_locked(song, plan, info, token, provenances)
            if ready is not None and sample_rate is not None:
                return self._scanned(ready, sample_rate, stop)
        except BaseException:
            self._locks.release(token)
            raise
        return ready or Skipped()

    def _make(self, song: Song, plan: SongPlan) -> bool:
        """Create the file of ``song``, if it is missing; False if another process has locked it."""
        if song.make is None or song.path.exists():
            return True
        token = self._locks.acquire(plan.manifest, plan.folders)
        if token is None:
            return False
        try:
            song.make(song.path)
        finally:
            self._locks.release(token)
        return True

    def predict(self, song: Song) -> WouldSplit | Skipped | NotAudio:
        """Return what `prepare` would, and change nothing.

        Raises as that does, except for what only shows when the song is read to its end.
        """
        outputs = self._pending(song, self._plan.songs[song.path]).outputs
        if not outputs:
            return Skipped()
        found = self._look_into(song)
        return found if isinstance(found, NotAudio) else WouldSplit(outputs)

    def _needed_provenances(self) -> Mapping[str, Provenance]:
        if self.provenances is None:
            raise _WeightsMissing
        return self.provenances

    def _look_into(self, song: Song) -> StreamInfo | NotAudio:
        """Return what the file of ``song`` holds. Raises ``InputError``."""
        try:
            return cut(probe(song.path), self._options.excerpt)
        except NoAudioError as error:
            if song.found and not promises_sound(song.path.name):
                return NotAudio(song.path, error.reason)
            raise
        except InputError as error:
            if song.found and not sounds_by_name(song.path.name):
                return NotAudio(song.path, error.reason)
            raise

    def _prepare_locked(
        self,
        song: Song,
        plan: SongPlan,
        info: StreamInfo,
        token: str,
        provenances: Mapping[str, Provenance],
    ) -> Ready | None:
        """Return ``song`` ready to split.

        None, and the lock is released, if another process has finished it meanwhile.
        """
        pending = _Pending({}) if song.is_done() else self._pending(song, plan)
        if not pending.outputs:
            if pending.interrupted:
                manifest.finish_interrupted(plan.manifest, pending.interrupted, token)
            self._locks.release(token)
            return None
        writer = ManifestWriter(
            plan.manifest,
            song=song.path,
            source=self._source(song.path),
            provenances=provenances,
            known=pending.known,
            token=token,
        )
        job = self._plan.job(
            info,
            pending.outputs,
            force=any(os.path.lexists(path) for path in pending.outputs.values()),
            manifest=writer,
        )
        return Ready(job=job, token=token, warnings=pending.warnings)

    def _scanned(self, ready: Ready, sample_rate: int, stop: Flag | None) -> Ready:
        # Imported here: a run with nothing to do needs no numpy.
        from stemsplit.separation.scan import scan

        truncated = self._options.accept_truncated
        found = scan(ready.job.info, sample_rate, accept_truncated=truncated, stop=stop)
        return replace(ready, scanned=found)

    def _pending(self, song: Song, plan: SongPlan) -> _Pending:
        """Return the outputs that are to be written; raises ``OutputError`` for one in the way."""
        warnings: list[str] = []
        known = None
        try:
            known = manifest.read(plan.manifest)
            ours = set() if known is None else self._ours(song, plan, known)
        except InputError as error:
            warnings.append(str(error))
            ours = set(plan.outputs.values())
        outputs = plan.outputs
        if self._existing == "skip":
            outputs = {stem: path for stem, path in outputs.items() if not os.path.lexists(path)}
        elif self._existing == "resume" and known is not None:
            outputs = self._outdated(song, plan, known)
        if self._options.encoding.clip == "linked" and outputs.keys() & plan.stems.keys():
            outputs = plan.stems | outputs  # one gain for all, so that they still sum
        for path in outputs.values():
            replaceable = self._existing in ("resume", "skip") and path in ours
            refuse_existing(path, force=self._existing == "force" or replaceable)
        return _Pending(outputs, known, warnings)

    def _ours(self, song: Song, plan: SongPlan, known: Manifest) -> set[Path]:
        """Return the outputs that an earlier run made of a song of this name, and may replace."""
        if known.input.name != song.path.name:
            return set()
        folder = plan.manifest.parent
        return {path for path in plan.outputs.values() if known.lists(path, folder)}

    def _outdated(self, song: Song, plan: SongPlan, known: Manifest) -> dict[str, Path]:
        """Return the outputs that are missing, or made of something else or in another way."""
        folder = plan.manifest.parent
        if not any(known.lists(path, folder) for path in plan.outputs.values()):
            return plan.outputs
        provenances, source = self._needed_provenances(), self._source(song.path)
        return {
            name: path
            for name, path in plan.outputs.items()
            if not manifest.is_up_to_date(known, folder, path, source, provenances[name])
        }

    def _source(self, path: Path) -> InputFile:
        """Return the identity of the file at ``path``; an unchanged file is read only once."""
        refuse_unreadable(path)
        known = self._sources.get(path)
        if known is None or known.status != manifest.status_of(path):
            known = self._sources[path] = manifest.identify(path)
        return known


class _WeightsMissing(Exception):
    """Only the digest of the weights decides, and they are not on this machine yet."""
