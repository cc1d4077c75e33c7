"""Prepare a song before the network runs: decide what to do, and check that it can be done.

All of this may run in threads, while another song is being separated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from typing import TypeAlias

from stemsplit.audio.detect import has_audio_name, has_media_name
from stemsplit.audio.excerpt import cut
from stemsplit.audio.readable import refuse_unreadable
from stemsplit.batch.decide import Decision, Examined, decide
from stemsplit.batch.discover import Song
from stemsplit.batch.locks import SongLocks
from stemsplit.batch.plan import RunPlan, SongPlan, provenances_of
from stemsplit.batch.results import InTheWay
from stemsplit.errors import InputError, NoAudioError
from stemsplit.outputs import manifest
from stemsplit.outputs.existing import Examination, without_manifest
from stemsplit.outputs.job import Job
from stemsplit.outputs.manifest import InputFile, Manifest
from stemsplit.outputs.manifest_writer import ManifestWriter, finish_interrupted
from stemsplit.outputs.provenance import Provenance
from stemsplit.types import NotAudio, Reason, ScanResult, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A song to split, locked by this process with a ``token``."""

    job: Job
    token: str
    reason: Reason
    warnings: Sequence[str]
    scanned: ScanResult | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A song that is not split, and why: usually because its stems are up to date."""

    reason: Reason = "up_to_date"
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Locked:
    """A song that another process is splitting."""


@dataclass(frozen=True, slots=True)
class WouldSplit:
    """A song that would be split, into these ``outputs``, and why."""

    outputs: Mapping[str, Path]
    reason: Reason
    warnings: Sequence[str]
    info: StreamInfo


@dataclass(frozen=True, slots=True)
class NeedsWeights:
    """A probed song that cannot be decided without the digest of the model's weights."""

    info: StreamInfo | None


Prepared: TypeAlias = Ready | Skipped | NotAudio | Locked | NeedsWeights


@dataclass(frozen=True, slots=True)
class _Pending:
    """The decision about a song, based on the ``known`` manifest, if that is for this song.

    ``expected`` is the status of the outputs when they were examined; None if all may be replaced.
    """

    decision: Decision
    known: Manifest | None = None
    expected: Mapping[Path, tuple[int, int, int] | None] | None = None

    @property
    def interrupted(self) -> Manifest | None:
        """The manifest of a run that was stopped while moving the stems to their places."""
        return None if self.known is None or self.known.complete else self.known

    @property
    def skipped(self) -> Skipped:
        """The result if nothing is due."""
        return Skipped(self.decision.reason, self.decision.warnings)


class Preparation:
    """Prepares the songs of a run.

    ``provenances`` has the provenance of each output by name, once it can be looked up; until then,
    songs that depend on it are returned as `NeedsWeights`.
    """

    def __init__(self, plan: RunPlan, locks: SongLocks) -> None:
        self._plan = plan
        self._options = plan.options
        self._locks = locks
        self.provenances: Mapping[str, Provenance] | None = None
        self._sources: dict[Path, InputFile] = {}

    def look_up_provenances(self, *, has_weights: bool = True) -> None:
        """Look up the provenance of each output. Raises ``CheckpointError`` for missing weights."""
        self.provenances = provenances_of(self._options, self._plan.selection, has_weights)

    def prepare(
        self,
        song: Song,
        sample_rate: int | None = None,
        stop: Flag | None = None,
        info: StreamInfo | None = None,
    ) -> Prepared:
        """Return what to do with ``song``; scan it if the ``sample_rate`` of the model is given.

        ``info`` describes its audio, if known. Raises ``InputError`` and ``OutputError``;
        ``CancelledError`` when ``stop`` is set.
        """
        plan = self._plan.songs[song.path]
        if song.is_done():
            return Skipped()
        if not self._make(song, plan):
            return Locked()
        try:
            pending = self._pending(song, plan)
            if not pending.decision.due and not pending.interrupted:
                self._locks.remove_stale(plan.manifest, plan.folders)
                return pending.skipped
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
            if isinstance(ready, Ready) and sample_rate is not None:
                return self._scanned(ready, sample_rate, stop)
        except BaseException:
            self._locks.release(token)
            raise
        return ready

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
        """Return what `prepare` would, without changing anything.

        Raises the same errors, except for those found only by reading the song to its end.
        """
        pending = self._pending(song, self._plan.songs[song.path])
        decision = pending.decision
        if not decision.due:
            return pending.skipped
        found = self._look_into(song)
        if isinstance(found, NotAudio):
            return found
        return WouldSplit(decision.due, decision.reason, decision.warnings, found)

    def _needed_provenances(self) -> Mapping[str, Provenance]:
        if self.provenances is None:
            raise _WeightsMissing
        return self.provenances

    def _look_into(self, song: Song) -> StreamInfo | NotAudio:
        """Return a description of the audio of ``song``. Raises ``InputError``."""
        try:
            refuse_unreadable(song.path)
            from stemsplit.audio.probe import probe  # late: a missing file does not need it

            return cut(probe(song.path), self._options.excerpt)
        except InputError as error:
            has_name = has_audio_name if isinstance(error, NoAudioError) else has_media_name
            if song.found and not has_name(song.path.name):
                return NotAudio(song.path, error.reason)
            raise

    def _prepare_locked(
        self,
        song: Song,
        plan: SongPlan,
        info: StreamInfo,
        token: str,
        provenances: Mapping[str, Provenance],
    ) -> Ready | Skipped:
        """Return ``song`` ready to split.

        If another process has finished it in the meantime, skip it and release the lock.
        """
        pending = None if song.is_done() else self._pending(song, plan)
        if pending is None or not pending.decision.due:
            if pending is not None and pending.interrupted:
                finish_interrupted(plan.manifest, pending.interrupted, token)
            self._locks.release(token)
            return Skipped() if pending is None else pending.skipped
        decision = pending.decision
        writer = ManifestWriter(
            plan.manifest,
            song=song.path,
            source=self._source(song.path),
            provenances=provenances,
            known=pending.known,
            token=token,
            lasting=self._plan.lasts(song.path),
            expected=pending.expected,
        )
        replaces = any(map(os.path.lexists, decision.due.values()))
        job = self._plan.job(info, decision.due, force=replaces, manifest=writer)
        warnings = decision.warnings
        return Ready(job=job, token=token, reason=decision.reason, warnings=warnings)

    def _scanned(self, ready: Ready, sample_rate: int, stop: Flag | None) -> Ready:
        # Imported here: a run with nothing to do needs no numpy.
        from stemsplit.separation.scan import scan

        truncated = self._options.accept_truncated
        found = scan(ready.job.info, sample_rate, accept_truncated=truncated, stop=stop)
        return replace(ready, scanned=found)

    def _pending(self, song: Song, plan: SongPlan) -> _Pending:
        """Return which outputs are due; raises ``OutputError`` for one in the way."""
        known, damage = None, ""
        try:
            known = manifest.read(plan.manifest)
        except InputError as error:
            damage = str(error)
        place = self._place(song, plan)
        policy = self._options.existing
        expected = None
        if policy in ("resume", "update"):
            expected = {path: manifest.status_of(path) for path in plan.outputs.values()}
        try:
            decision = decide(
                song.path,
                plan,
                policy,
                lambda: self._examine(song, plan, known, place),
                linked=self._options.encoding.clip == "linked",
            )
        except InTheWay as error:
            error.hint = f"{damage}; {error.hint}" if damage else error.hint
            raise
        if damage:
            decision = replace(decision, warnings=[damage, *decision.warnings])
        if known is not None and decision.due and not known.is_of(self._source(song.path), place):
            known = None
        return _Pending(decision, known, expected)

    def _examine(
        self, song: Song, plan: SongPlan, known: Manifest | None, place: str | None
    ) -> Examined:
        folder = plan.manifest.parent
        if known is None or not any(known.lists(path, folder) for path in plan.outputs.values()):
            return Examined(without_manifest(plan.outputs), {})
        wanted, source = self._needed_provenances(), self._source(song.path)
        compare = Examination(known=known, folder=folder, source=source, place=place)
        found = {name: compare.examine(path, wanted[name]) for name, path in plan.outputs.items()}
        return Examined(found, wanted)

    def _place(self, song: Song, plan: SongPlan) -> str | None:
        """Return the place of ``song`` as recorded in its manifest, unless it is temporary."""
        lasts = self._plan.lasts(song.path)
        return manifest.place_of(song.path, plan.manifest.parent) if lasts else None

    def _source(self, path: Path) -> InputFile:
        """Return the identity of the file at ``path``; an unchanged file is read only once."""
        refuse_unreadable(path)
        known = self._sources.get(path)
        if known is None or known.status != manifest.status_of(path):
            known = self._sources[path] = manifest.identify(path)
        return known


class _WeightsMissing(Exception):
    """The decision needs the digest of the weights, which are not on this machine yet."""
