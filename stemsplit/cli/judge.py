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
from stemsplit.evaluation.references import find_stems
from stemsplit.evaluation.report.html import write_report
from stemsplit.evaluation.scores import Audio, SongScores
from stemsplit.evaluation.scoring import Framing, Sounds, score_sounds
from stemsplit.evaluation.songs import SongStems, find_songs, pair_songs


@dataclass(slots=True)
class Judge:
    """Compares stems with those at ``reference``, if that is given, and keeps all scores.

    ``reference`` is the folder of the song, a file of several streams, or a folder of songs, by
    name. ``settings`` are what a ``report`` says of the run. Where only an ``excerpt`` of the songs
    is split, it is held against the same part of the references.
    """

    console: Console
    reference: Path | None
    report: Path | None
    settings: Mapping[str, Any]
    excerpt: Excerpt = WHOLE
    _truths: dict[Path, SongStems] = field(default_factory=dict, init=False)
    _scores: list[SongScores] = field(default_factory=list, init=False)

    def prepare(self, songs: Sequence[Path], stems: Sequence[str], *, force: bool) -> None:
        """Find the references of ``songs`` before any is split, for that may take hours.

        Raises ``InputError`` where no song has any, or one has none of ``stems``, and
        ``OutputError`` where a file is in the way of the report.
        """
        if self.report is not None:
            refuse_existing(self.report, force=force)
        if self.reference is None or not songs:
            return
        named = [SongStems(song.stem, song) for song in songs]
        for split, truth in pair_songs(named, find_songs(self.reference)):
            find_stems(truth.path, stems)
            self._truths[split.path] = truth
        for song in songs:
            if song not in self._truths:
                self.console.warn(f"{song}: not among the references, not compared")

    def score(self, song: Path, stems: Mapping[str, Path], label: str) -> SongScores:
        """Return what is found about the files ``stems`` of ``song``.

        Raises ``InputError`` where one cannot be read.
        """
        truth = self._truths.get(song)
        found = None if truth is None else find_stems(truth.path, list(stems))
        part = self._part(song)
        true = {} if found is None else found.stems
        sounds = Sounds(
            song=song.stem,
            estimates={stem: Audio(paths=(path,)) for stem, path in stems.items()},
            references={stem: replace(audio, excerpt=part) for stem, audio in true.items()},
            mixture=Audio(paths=(song,), excerpt=part),
            remarks=() if found is None else found.remarks,
        )
        scoring = score_sounds(sounds, Framing(), self.settings)
        scores = follow(self.console, scoring, f"{label}{song.name}")
        self._scores.append(scores)
        return scores

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
