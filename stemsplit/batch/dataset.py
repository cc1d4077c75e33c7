"""A whole data set: a run splits each song, a scorer scores it, and its scores are kept.

A later run takes the kept scores of songs that were scored under the same circumstances: the same
model, options, versions and files of the song. So it resumes where an earlier one was interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stemsplit.audio.writable import output_error
from stemsplit.batch.discover import Song
from stemsplit.batch.kept_scores import KeptScores
from stemsplit.batch.mixtures import as_song, mixture_of
from stemsplit.batch.plan import sound_settings
from stemsplit.batch.results import Result, Scored
from stemsplit.batch.run import Run
from stemsplit.batch.scorer import as_scoring
from stemsplit.batch.temporary import private_folder
from stemsplit.checkpoints import loading
from stemsplit.data.layouts import SongStems, find_songs
from stemsplit.data.stems import FoundStems, StemFiles, find_stems
from stemsplit.errors import StemsplitError
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds
from stemsplit.options import SplitOptions
from stemsplit.outputs.naming import safe_folder
from stemsplit.outputs.selection import Selection
from stemsplit.types import Event, Noted, Planned, Scoring
from stemsplit.version import __version__

#: Where stems are until they are scored, below the folder of the results; hidden.
WORK = ".stemsplit-work"
#: The folder of the stems of a song in there. Remarks name it: so stems and references, which have
#: the same names, can be told apart.
ESTIMATES = "estimates"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Songs with their true stems below ``root``, and the ``folder`` of their scores.

    ``options`` are those of the split; its stems are kept below ``folder`` only if ``keep_stems``.
    ``mapping`` says which files are which stems, ``bss_eval`` how they are scored.
    """

    root: Path
    folder: Path
    options: SplitOptions
    mapping: Mapping[str, str]
    bss_eval: BssEvalOptions
    keep_stems: bool = False

    @property
    def work(self) -> Path:
        """Where the stems of these options are until they are scored."""
        settings = json.dumps(sound_settings(self.options))
        return self.folder / WORK / sha256(settings.encode()).hexdigest()[:8]

    def circumstances(self) -> dict[str, Any]:
        """Return all that decides about scores besides the song, as JSON has it.

        The weights are on this machine.
        """
        return {
            **sound_settings(self.options),
            "weights": loading.fingerprint(self.options.model),
            "window": self.bss_eval.window,
            "hop": self.bss_eval.hop,
            "bss_eval": self.bss_eval.computed_by,
            "map": dict(self.mapping),
            "versions": {
                "stemsplit": __version__,
                "torch": version("torch"),
                "numpy": version("numpy"),
            },
        }

    def evaluate(self) -> Generator[Event | Scored]:
        """Split and score what is not done yet; yield what happens, and the scores of each song.

        Raises ``InputError`` where ``root`` holds no songs, and ``CheckpointError`` or
        ``ResourceError`` where no song can be split at all.
        """
        songs = find_songs(self.root)
        with private_folder() as scratch:
            yield from self._evaluate(songs, scratch)

    def _evaluate(self, songs: Sequence[SongStems], scratch: Path) -> Generator[Event | Scored]:
        work = replace(
            self.options,
            out=self.work,
            filename=f"{ESTIMATES}/{{stem}}.{{ext}}",
            existing="resume",
        )
        scorer = _DataSetScorer(self, scratch)
        run = Run(work, scorer=scorer, tunes_process=True)
        yield from run.engines.fetch()  # the digest of the weights decides which scores still count
        scorer.look_at(songs, run.selection)
        # By the files that are split, where they are: events name them.
        files = {song.name: path for path, song in scorer.songs.items()}
        yield Planned({files.get(song.name, song.path): song.name for song in songs}, len(songs))
        if kept := sum(scored.error is None for scored in scorer.known.values()):
            yield Noted(f"{kept} of {len(songs)} songs are done already ({self.folder})")
        if kept < len(songs):
            yield from run.load()  # fails before the first song, if at all
        waiting = iter(songs)
        if scorer.pending:
            yield from _split(run, scorer, waiting)
        yield from scorer.known_before(None, waiting)


class _DataSetScorer:
    """The scorer of a run over the songs of a data set.

    ``known`` are the songs by name that need no run: they were scored before, or their stems cannot
    be found. The others are ``pending``; ``songs`` are these by the files that are split.
    """

    def __init__(self, dataset: DataSet, scratch: Path) -> None:
        self._dataset = dataset
        self._scratch = scratch  # for mixtures that are no file of the data set
        self._settings: dict[str, dict[str, Any]] = {}  # by the name of a song
        self._mixtures: dict[str, StemFiles] = {}
        self._found: dict[str, FoundStems] = {}
        self.known: dict[str, Scored] = {}
        self.pending: list[Song] = []
        self.songs: dict[Path, SongStems] = {}

    def look_at(self, songs: Sequence[SongStems], selection: Selection) -> None:
        """Sort ``songs`` into known and pending ones; the weights are on this machine."""
        dataset = self._dataset
        self._kept = KeptScores(
            folder=dataset.folder,
            circumstances=dataset.circumstances(),
            with_stems=dataset.keep_stems,
        )
        for song in songs:
            settings = self._settings[song.name] = self._kept.settings(song)
            if (scores := self._kept.find(song.name, settings)) is not None:
                self.known[song.name] = Scored(name=song.name, scores=scores)
                continue
            try:
                self._found[song.name] = found = find_stems(
                    song.path,
                    selection.wanted,
                    sources=selection.sources,
                    mapping=dataset.mapping,
                )
                mixture = mixture_of(song, found, dataset.mapping)
                self._mixtures[song.name] = mixture
            except StemsplitError as error:
                self.known[song.name] = Scored(name=song.name, error=error)
                continue
            entry = as_song(song.name, mixture, self._scratch)
            self.pending.append(entry)
            self.songs[entry.path] = song

    def known_before(
        self, song: SongStems | None, waiting: Iterator[SongStems]
    ) -> Iterator[Scored]:
        """Yield the known ones of the songs ``waiting`` before ``song``, or of all."""
        for each in waiting:
            if each == song:
                return
            if each.name in self.known:
                yield self.known[each.name]

    def prepare(
        self, songs: Sequence[Path], selection: Selection, *, force: bool
    ) -> Iterator[Event]:
        """Do nothing: the songs have been looked at."""
        return iter(())

    def score(
        self, result: Result, stems: Mapping[str, Path]
    ) -> Generator[Scoring, None, SongScores]:
        """Return the scores of a song, and keep them; yield progress.

        Another process that evaluates the data set may be scoring the same stems: then its scores
        are taken.
        """
        name = self.songs[result.input].name
        with self._kept.lock(name):
            scores = self._kept.find(name, self._settings[name])
            if scores is None:
                scores = yield from self._score(result.input, name, stems)
                self._kept.keep(name, scores)
            shutil.rmtree(self._work(name), ignore_errors=True)
        return scores

    def _score(
        self, song: Path, name: str, stems: Mapping[str, Path]
    ) -> Generator[Scoring, None, SongScores]:
        dataset = self._dataset
        found, mixture = self._found[name], self._mixtures[name]
        remarks = found.remarks
        if found.mixture is None:
            remarks += (f"there is no mixture: the sum of {mixture} is separated",)
        sounds = Sounds(
            song=name,
            estimates={stem: StemFiles(paths=(path,)) for stem, path in stems.items()},
            references=found.stems,
            mixture=mixture,
            remarks=remarks,
        )
        scoring = score_sounds(sounds, dataset.bss_eval, self._settings[name])
        scores = yield from as_scoring(song, scoring)
        kept = _move(stems, dataset.folder / name) if dataset.keep_stems else {}
        return replace(scores, estimates=kept)

    def remove_work(self, name: str) -> None:
        """Remove what is left of a song that failed."""
        with self._kept.lock(name):
            shutil.rmtree(self._work(name), ignore_errors=True)

    def finish(self) -> None:
        """Remove the folder of stems that wait to be scored, if none are left in it."""
        for parent, _, _ in sorted(os.walk(self._dataset.folder / WORK), reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(parent)

    def _work(self, name: str) -> Path:
        return self._dataset.work / safe_folder(Path(name))


def _split(
    run: Run, scorer: _DataSetScorer, waiting: Iterator[SongStems]
) -> Generator[Event | Scored]:
    """Split and score the pending songs; known ones stand where they come in the data set."""
    with closing(run.split(scorer.pending)) as events:
        for event in events:
            if isinstance(event, Result):
                song = scorer.songs[event.input]
                yield from scorer.known_before(song, waiting)
                if event.error is not None:
                    scorer.remove_work(song.name)
                yield Scored(name=song.name, scores=event.scores, error=event.error)
            elif not isinstance(event, Planned):
                yield event


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
