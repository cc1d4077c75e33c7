"""Scores the stems of newly split songs against references."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe
from stemsplit.audio.writable import refuse_existing
from stemsplit.batch.plan import sound_settings
from stemsplit.batch.results import Result
from stemsplit.data.file_names import title_of
from stemsplit.data.layouts import SongStems, find_songs, pair_songs
from stemsplit.data.stems import StemFiles, find_stems
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.report.html import write_report
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds
from stemsplit.evaluation.steps import ScoringProgress
from stemsplit.options import WHOLE, Excerpt, SplitOptions
from stemsplit.outputs.selection import Selection
from stemsplit.types import Event, Scoring, Warned

#: What to do about a report that already exists.
REPORT_EXISTS = (
    "choose another name for --report; for stems that are already split: "
    "stemsplit evaluate FOLDER --html FILE"
)


@dataclass(slots=True)
class ReferenceScorer:
    """Scores stems against those at ``reference``, if given, and collects all scores.

    ``reference`` is the folder of the song, a file with several streams, or a folder of songs,
    which are matched by name. The report on all songs is written to ``report``. ``options`` are
    those of the split: an excerpt is compared with the same part of the references.
    """

    options: SplitOptions
    reference: Path | None
    report: Path | None
    _selection: Selection = field(init=False)
    _truths: dict[Path, SongStems] = field(default_factory=dict, init=False)
    _scores: list[SongScores] = field(default_factory=list, init=False)

    def prepare(
        self, songs: Sequence[Path], selection: Selection, *, force: bool
    ) -> Iterator[Event]:
        """Find the references of ``songs`` before any is split, since that may take hours.

        Warns about songs without references. Raises ``InputError`` if no song has any, or if one
        has none of the selected stems, and ``OutputError`` if the report already exists.
        """
        self._selection = selection
        if self.report is not None:
            refuse_existing(self.report, force=force, hint=REPORT_EXISTS)
        if self.reference is None or not songs:
            return
        named = [SongStems(title_of(song), song) for song in songs]
        for split, truth in pair_songs(named, find_songs(self.reference)):
            find_stems(truth.path, selection.stems, sources=selection.sources)
            self._truths[split.path] = truth
        for song in songs:
            if song not in self._truths:
                yield Warned(f"{song}: no references found, not compared")

    def score(
        self, result: Result, stems: Mapping[str, Path]
    ) -> Generator[Scoring, None, SongScores]:
        """Return the scores of a song whose ``stems`` are written; yield progress.

        Raises ``InputError`` if a file cannot be read.
        """
        song = result.input
        estimates = self._find_stems(stems)
        truth = self._truths.get(song)
        part = self._part(song)
        true: Mapping[str, StemFiles] = {}
        remarks: tuple[str, ...] = ()
        if truth is not None:
            found = find_stems(truth.path, list(estimates), sources=self._selection.sources)
            true, remarks = found.stems, found.remarks
        sounds = Sounds(
            song=title_of(song),
            estimates=estimates,
            references={stem: replace(audio, excerpt=part) for stem, audio in true.items()},
            mixture=StemFiles(paths=(song,), excerpt=part),
            remarks=remarks,
            accept_truncated=self.options.accept_truncated,
        )
        settings: dict[str, Any] = sound_settings(self.options)
        scores = yield from as_scoring(song, score_sounds(sounds, BssEvalOptions(), settings))
        self._scores.append(scores)
        return scores

    def finish(self) -> None:
        """Write the report, if it was requested and a song was scored."""
        if self.report is not None and self._scores:
            write_report(self.report, self._scores)

    def _find_stems(self, files: Mapping[str, Path]) -> dict[str, StemFiles]:
        """Locate each stem: in a separate file, or as one stream of a file with all stems."""
        streams = self._selection.streams
        if not streams:
            return {name: StemFiles(paths=(path,)) for name, path in files.items()}
        paths = tuple(files.values())
        return {
            name: StemFiles(paths=paths, streams=(number,))
            for number, name in enumerate(streams)
            if name in self._selection.stems
        }

    def _part(self, song: Path) -> Excerpt:
        """Return the excerpt of ``song`` that is split, in seconds."""
        if self.options.excerpt == WHOLE:
            return WHOLE
        info = cut(probe(song), self.options.excerpt)
        first, last, rate = info.first_frame, info.end_frame, info.sample_rate
        return Excerpt(start=first / rate, end=None if last is None else last / rate)


def as_scoring(
    song: Path, scoring: Generator[ScoringProgress, None, SongScores]
) -> Generator[Scoring, None, SongScores]:
    """Return what ``scoring`` returns; yield its progress as `Scoring` events of ``song``."""
    yield Scoring(song, 0, 0)
    while True:
        try:
            step = next(scoring)
        except StopIteration as stop:
            scores: SongScores = stop.value
            return scores
        yield Scoring(song, step.done, step.total)
