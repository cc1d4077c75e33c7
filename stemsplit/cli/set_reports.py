"""Report the scores of several sets of stems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stemsplit.audio.atomic import write_text
from stemsplit.batch.results import Scored
from stemsplit.cli.score_reports import SCHEMA, Reports
from stemsplit.cli.set_scoreboard import show_sets
from stemsplit.evaluation.report.explanations import METRICS
from stemsplit.evaluation.report.findings import describe_sets
from stemsplit.evaluation.report.records import to_comparison, to_json
from stemsplit.evaluation.report.set_page import write_set_report
from stemsplit.evaluation.report.stem_sets import ComparedSong, to_set_csv
from stemsplit.evaluation.report.tables import to_markdown


@dataclass(slots=True, kw_only=True)
class SetReports(Reports):
    """The reports to write for several sets of stems."""

    _songs: list[ComparedSong] = field(default_factory=list, init=False)

    def show(self, scored: Scored) -> None:
        """Show the scores of a song in all sets, or its error, at once."""
        self.show_error(scored)
        console, song = self.console, scored.sets
        if song is None:
            return
        self._songs.append(song)
        if console.json:
            for name, scores in song.sets.items():
                console.record({**to_json(scores), "song": song.name, "set": name})
        for remark in describe_sets(song):
            console.note(f"{song.name}: {remark}")

    def finish(self, label: str) -> None:
        """Write the reports of all songs; sets have names, so ``label`` is not used."""
        songs = self._songs
        if not songs:
            return
        if self.csv is not None:
            write_text(self.csv, to_set_csv(songs))
        for song in songs:
            for name, scores in song.sets.items():
                self.write_museval(f"{name}/{song.name}", scores)
        if self.html is not None:
            write_set_report(self.html, songs)
        if self.console.json:
            metrics = [metric.key for metric in METRICS]
            self.console.record({"schema": SCHEMA, **to_comparison(songs, metrics)})
        elif self.markdown:
            self.console.data("\n".join(_to_markdown(songs)))
        else:
            self.console.data(show_sets(songs, colour=self.console.coloured))


def _to_markdown(songs: Sequence[ComparedSong]) -> Iterator[str]:
    """Yield the lines of a Markdown table with a row for each set."""
    for number, name in enumerate(songs[0].sets):
        lines = to_markdown([song.sets[name] for song in songs], name).splitlines()
        yield from lines if number == 0 else lines[-1:]
