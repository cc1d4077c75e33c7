"""The scorer for a run over a data set: finds songs and their stems, scores, and cleans up."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.audio.writable import output_error
from stemsplit.batch.discover import Song
from stemsplit.batch.kept_scores import KeptScores
from stemsplit.batch.mixtures import as_song, mixture_of, remove_made
from stemsplit.batch.results import NotTried, Result, Scored, ends_all
from stemsplit.batch.scorer import as_scoring
from stemsplit.data.layouts import SongStems
from stemsplit.data.stems import FoundStems, StemFiles, find_stems
from stemsplit.errors import ResourceError, StemsplitError, describe
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds
from stemsplit.outputs.selection import Selection
from stemsplit.types import Event, Scoring

if TYPE_CHECKING:
    from stemsplit.batch.dataset import DataSet


@dataclass(frozen=True, slots=True)
class _Entry:
    """A song of the data set: its true stems, its mixture, and the file to split."""

    song: SongStems
    true: FoundStems
    mixture: StemFiles
    file: Song


class DataSetScorer:
    """The scorer for a run over ``songs`` of a data set.

    ``known`` are the results, by name, of songs that need not be split: they have been scored
    before, or their stems cannot be found.
    """

    def __init__(self, dataset: DataSet, songs: Sequence[SongStems], selection: Selection) -> None:
        self._dataset = dataset
        self._songs = songs
        self._entries: dict[str, _Entry] = {}
        self._by_file: dict[Path, _Entry] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._end: Result | None = None  # the failure after which all songs were skipped
        self.known: dict[str, Scored] = {}
        for song in songs:
            try:
                entry = self._entries[song.name] = self._look_at(song, selection)
                self._by_file[entry.file.path] = entry
            except StemsplitError as error:
                self.known[song.name] = Scored(name=song.name, error=error)

    def _look_at(self, song: SongStems, selection: Selection) -> _Entry:
        mapping = self._dataset.mapping
        found = find_stems(song.path, selection.wanted, sources=selection.sources, mapping=mapping)
        mixture = mixture_of(song, found, mapping)
        below = _folder_of(song.name)
        return _Entry(song, found, mixture, as_song(mixture, self._dataset.work / below, below))

    def recall(self) -> list[Song]:
        """Find the saved scores that are valid; return the files to split.

        The weights must be on this machine.
        """
        dataset = self._dataset
        self._kept = kept = KeptScores(
            folder=dataset.folder,
            circumstances=dataset.circumstances(),
            with_stems=dataset.keep_stems,
        )
        for song in self._songs:
            settings = self._settings[song.name] = kept.settings(song)
            if (scores := kept.find(song.name, settings)) is not None:
                self.known[song.name] = Scored(name=song.name, scores=scores)
        return [
            replace(entry.file, is_done=partial(kept.holds, name, self._settings[name]))
            for name, entry in self._entries.items()
            if name not in self.known
        ]

    def file_of(self, song: SongStems) -> Path:
        """Return the file that identifies ``song`` in events."""
        entry = self._entries.get(song.name)
        return song.path if entry is None else entry.file.path

    def song_of(self, result: Result) -> SongStems:
        """Return the song that ``result`` is for."""
        return self._by_file[result.input].song

    def known_before(
        self, song: SongStems | None, waiting: Iterator[SongStems]
    ) -> Iterator[Scored]:
        """Yield the known results of the ``waiting`` songs before ``song``, or of all of them."""
        for each in waiting:
            if each == song:
                return
            if each.name in self.known:
                yield self.known[each.name]

    def prepare(
        self, songs: Sequence[Path], selection: Selection, *, force: bool
    ) -> Iterator[Event]:
        """Do nothing: the songs have already been examined."""
        return iter(())

    def score(
        self, result: Result, stems: Mapping[str, Path]
    ) -> Generator[Scoring, None, SongScores]:
        """Return the scores of a song, and save them; yield progress.

        If another process that evaluates the data set is scoring the same stems, its scores are
        used.
        """
        entry = self._by_file[result.input]
        name = entry.song.name
        try:
            with self._kept.lock(name):
                scores = self._kept.find(name, self._settings[name])
                if scores is None:
                    scores = yield from self._score(entry, stems)
                    self._kept.keep(name, scores)
                self._remove_work(name)
        except Exception as exc:
            raise describe(exc, Path(name)) from exc
        return scores

    def _score(
        self, entry: _Entry, stems: Mapping[str, Path]
    ) -> Generator[Scoring, None, SongScores]:
        dataset, name = self._dataset, entry.song.name
        remarks = entry.true.remarks
        if entry.true.mixture is None:
            remarks += (f"no mixture found: separated the sum of {entry.mixture}",)
        sounds = Sounds(
            song=name,
            estimates={stem: StemFiles(paths=(path,)) for stem, path in stems.items()},
            references=entry.true.stems,
            mixture=entry.mixture,
            remarks=remarks,
        )
        scoring = score_sounds(sounds, dataset.bss_eval, self._settings[name])
        scores = yield from as_scoring(entry.file.path, scoring)
        kept = _move(stems, dataset.folder / name) if dataset.keep_stems else {}
        return replace(scores, estimates=kept)

    def scored(self, result: Result) -> Scored:
        """Return the scores of a song, or its error; remove the files of one that failed."""
        entry = self._by_file[result.input]
        name, error = entry.song.name, result.error
        if error is None:
            return Scored(name=name, scores=result.scores)
        if (scores := self._kept.find(name, self._settings[name])) is not None:
            return Scored(name=name, scores=scores)  # by another process, which removed its stems
        if isinstance(error, NotTried) and self._end is not None:
            return Scored(name=name, error=NotTried.because_of(self._end, Path(name)))
        if self._end is None and ends_all(result):
            self._end = Result.failed(Path(name), error)
        remove_made(entry.file)
        if result.status == "done" and not isinstance(error, ResourceError):
            with contextlib.suppress(StemsplitError), self._kept.lock(name):
                self._remove_work(name)  # its stems cannot be scored later either
        if entry.file.make is not None and error.path == str(entry.file.path):
            error = copy.copy(error)
            error.path = name  # the file only existed during the run
        return Scored(name=name, error=error)

    def finish(self) -> None:
        """Remove the folder for stems to score, if it is empty."""
        for parent, _, _ in sorted(os.walk(self._dataset.work.parent), reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(parent)

    def _remove_work(self, name: str) -> None:
        shutil.rmtree(self._dataset.work / _folder_of(name), ignore_errors=True)


def _folder_of(name: str) -> Path:
    """Return the folder of the song ``name`` below the work folder; no two songs share one."""
    return Path(sha256(os.fsencode(name)).hexdigest()[:16])


def _move(stems: Mapping[str, Path], folder: Path) -> dict[str, StemFiles]:
    """Move the files ``stems`` to ``folder``, and return where they are."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return {
            name: StemFiles(paths=(path.replace(folder / path.name),))
            for name, path in stems.items()
        }
    except OSError as exc:
        raise output_error(exc, folder) from exc
