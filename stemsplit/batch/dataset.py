"""Evaluates a whole data set: splits and scores each song, and saves its scores.

A later run reuses the saved scores of a song if the model, the options, the versions and the files
of the song are the same, so it resumes where an earlier run was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stemsplit.batch.dataset_scorer import DataSetScorer
from stemsplit.batch.discover import Song
from stemsplit.batch.plan import select, sound_settings
from stemsplit.batch.results import Result, Scored
from stemsplit.batch.run import Run
from stemsplit.checkpoints import loading
from stemsplit.data.layouts import SongStems, find_songs
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.options import SplitOptions
from stemsplit.types import Event, Noted, Planned
from stemsplit.version import __version__

#: The hidden folder inside the results folder that contains stems until they are scored.
WORK = ".stemsplit-work"
#: The subfolder for the stems of a song. Remarks include it, which distinguishes stems from
#: references of the same names.
ESTIMATES = "estimates"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Songs with their true stems below ``root``, and the ``folder`` for their scores.

    ``options`` are those of the split; its stems are kept below ``folder`` only if ``keep_stems``.
    ``mapping`` maps files to stems, and ``bss_eval`` defines how they are scored.
    """

    root: Path
    folder: Path
    options: SplitOptions
    mapping: Mapping[str, str]
    bss_eval: BssEvalOptions
    keep_stems: bool = False

    @property
    def work(self) -> Path:
        """The folder for stems made with these options, until they are scored."""
        settings = json.dumps(sound_settings(self.options))
        return self.folder / WORK / sha256(settings.encode()).hexdigest()[:8]

    def circumstances(self) -> dict[str, Any]:
        """Return everything that affects the scores besides the song, as JSON values.

        The weights must be on this machine.
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
        """Split and score the songs that have no valid scores; yield events, and all scores.

        Raises ``InputError`` if ``root`` contains no songs, and ``CheckpointError`` or
        ``ResourceError`` if no song can be split.
        """
        songs = find_songs(self.root)
        options = replace(
            self.options,
            out=self.work,
            filename=f"{ESTIMATES}/{{stem}}.{{ext}}",
            existing="update",
        )
        scorer = DataSetScorer(self, songs, select(options))
        yield Planned({scorer.file_of(song): song.name for song in songs}, len(songs))
        run = Run(options, scorer=scorer, tunes_process=True)
        yield from run.engines.fetch()  # the digest of the weights decides which scores are valid
        pending = scorer.recall()
        if kept := sum(scored.error is None for scored in scorer.known.values()):
            yield Noted(f"{kept} of {len(songs)} songs are already done ({self.folder})")
        waiting = iter(songs)
        if pending:
            yield from run.load()  # so that it fails before the first song
            yield from _split(run, pending, scorer, waiting)
        yield from scorer.known_before(None, waiting)


def _split(
    run: Run, pending: Sequence[Song], scorer: DataSetScorer, waiting: Iterator[SongStems]
) -> Generator[Event | Scored]:
    """Split and score the ``pending`` songs; yield all scores in the order of the data set."""
    with closing(run.split(pending)) as events:
        for event in events:
            if isinstance(event, Result):
                yield from scorer.known_before(scorer.song_of(event), waiting)
                yield scorer.scored(event)
            elif not isinstance(event, Planned):
                yield event
