"""Scoring the stems of songs that were just split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stemsplit.audio.encode import refuse_existing
from stemsplit.audio.excerpt import WHOLE, Excerpt, cut
from stemsplit.audio.probe import probe
from stemsplit.cli.console import Console
from stemsplit.cli.scoreboard import show_song
from stemsplit.cli.scoring import follow
from stemsplit.data.file_names import title_of
from stemsplit.data.layouts import SongStems, find_songs, pair_songs
from stemsplit.data.stems import StemFiles, find_stems
from stemsplit.evaluation.options import BssEvalOptions
from stemsplit.evaluation.report.html import write_report
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds
from stemsplit.outputs.selection import Selection


@dataclass(slots=True)
class ReferenceScorer:
    """Compares stems with those at ``reference``, if that is given, and keeps all scores.

    ``reference`` is the folder of the song, a file of several streams, or a folder of songs, by
    name. ``settings`` are what a ``report`` says of the run. Where only an ``excerpt`` of the songs
    is split, it is held against the same part of the references; where what is left of a truncated
    song is accepted, it is here as well.
    """

    console: Console
    reference: Path | None
    report: Path | None
    settings: Mapping[str, Any]
    excerpt: Excerpt = WHOLE
    accept_truncated: bool = False
    _selection: Selection = field(init=False)
    _truths: dict[Path, SongStems] = field(default_factory=dict, init=False)
    _scores: list[SongScores] = field(default_factory=list, init=False)

    def prepare(self, songs: Sequence[Path], selection: Selection, *, force: bool) -> None:
        """Find the references of ``songs`` before any is split, for that may take hours.

        Raises ``InputError`` where no song has any, or one has none of the stems of the
        ``selection``, and ``OutputError`` where a file is in the way of the report.
        """
        self._selection = selection
        if self.report is not None:
            refuse_existing(self.report, force=force, hint="give --report another name")
        if self.reference is None or not songs:
            return
        named = [SongStems(title_of(song), song) for song in songs]
        for split, truth in pair_songs(named, find_songs(self.reference)):
            find_stems(truth.path, selection.stems)
            self._truths[split.path] = truth
        for song in songs:
            if song not in self._truths:
                self.console.warn(f"{song}: not among the references, not compared")

    def score(self, song: Path, files: Mapping[str, Path], label: str) -> SongScores:
        """Return what is found about the stems of ``song`` in ``files``; show ``label`` meanwhile.

        Raises ``InputError`` where one cannot be read.
        """
        stems = self._find_stems(files)
        truth = self._truths.get(song)
        found = None if truth is None else find_stems(truth.path, list(stems))
        part = self._part(song)
        true = {} if found is None else found.stems
        sounds = Sounds(
            song=title_of(song),
            estimates=stems,
            references={stem: replace(audio, excerpt=part) for stem, audio in true.items()},
            mixture=StemFiles(paths=(song,), excerpt=part),
            remarks=() if found is None else found.remarks,
            accept_truncated=self.accept_truncated,
        )
        scoring = score_sounds(sounds, BssEvalOptions(), self.settings)
        scores = follow(self.console, scoring, label)
        self._scores.append(scores)
        return scores

    def _find_stems(self, files: Mapping[str, Path]) -> dict[str, StemFiles]:
        """Return where each stem is: they have a file each, or are the streams of one."""
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
        """Return the part of ``song`` that is split, by its borders."""
        if self.excerpt == WHOLE:
            return WHOLE
        info = cut(probe(song), self.excerpt)
        first, last, rate = info.first_frame, info.end_frame, info.sample_rate
        return Excerpt(start=first / rate, end=None if last is None else last / rate)

    def tell(self, scores: SongScores) -> None:
        """Show ``scores`` as a table."""
        for line in show_song(scores).splitlines():
            self.console.note(line)

    def finish(self) -> None:
        """Write the report, if one is wanted and there is something to tell."""
        if self.report is not None and self._scores:
            write_report(self.report, self._scores)
