"""Scores existing stems, song by song."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsplit.batch.results import NotTried, Scored, ends_all
from stemsplit.batch.scorer import as_scoring
from stemsplit.data.layouts import SongStems, find_songs, pair_songs
from stemsplit.errors import UsageError, describe
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import find_sounds
from stemsplit.types import Event, Planned, Warned


@dataclass(frozen=True, slots=True, kw_only=True)
class StemFolders:
    """The songs at ``estimates``, and their true stems at ``references``, if given.

    ``mixture`` is the mixture of a single song; ``mapping`` maps files to stems.
    """

    estimates: Path
    references: Path | None
    mixture: Path | None
    mapping: Mapping[str, str]
    bss_eval: BssEvalOptions

    def evaluate(self) -> Generator[Event | Scored]:
        """Yield the scores of each song; without references, only its measures.

        If disk or memory runs out, the rest is skipped. Raises ``InputError`` if nothing is found
        or nothing matches, and ``UsageError`` for one mixture and several songs.
        """
        songs = find_songs(self.estimates)
        pairs: list[tuple[SongStems, SongStems | None]] = [(song, None) for song in songs]
        if self.references is not None:
            true = find_songs(self.references)
            pairs = list(pair_songs(songs, true))
            yield from _warn_of_unmatched(songs, true, pairs)
        if self.mixture is not None and len(pairs) > 1:
            raise UsageError(f"--mixture is for a single song, but there are {len(pairs)}")
        yield Planned({song.path: song.name for song, _ in pairs}, len(pairs))
        yield from score_in_turn((song.name, self._score(song, truth)) for song, truth in pairs)

    def _score(self, song: SongStems, truth: SongStems | None) -> Generator[Event, None, Scored]:
        try:
            sounds = find_sounds(song, truth, mixture=self.mixture, mapping=self.mapping)
            scores = yield from as_scoring(song.path, score_sounds(sounds, self.bss_eval))
        except Exception as exc:
            return Scored(name=song.name, error=describe(exc, Path(song.name)))
        return Scored(name=song.name, scores=scores)


def score_in_turn(
    songs: Iterable[tuple[str, Generator[Event, None, Scored]]],
) -> Generator[Event | Scored]:
    """Yield the scores of ``songs``, each a name and what scores it.

    If disk or memory runs out, the rest is skipped.
    """
    ended = False
    for name, scoring in songs:
        if ended:
            error = NotTried("skipped after the failure above", path=name)
            yield Scored(name=name, error=error)
            continue
        scored = yield from scoring
        ended = ends_all(scored)
        yield scored


def warn_left_out(what: str, songs: Sequence[SongStems]) -> Iterator[Warned]:
    """Warn about ``songs`` that are left out, if any; ``what`` says what they lack."""
    if songs:
        names = ", ".join(song.name for song in songs)
        count = f"{len(songs)} song{'s' if len(songs) > 1 else ''}"
        yield Warned(f"{what} for {count}, left out: {names}")


def _warn_of_unmatched(
    estimates: Sequence[SongStems],
    references: Sequence[SongStems],
    pairs: Sequence[tuple[SongStems, SongStems | None]],
) -> Iterator[Warned]:
    """Warn about songs without estimates, or without references."""
    matched = {song for pair in pairs for song in pair}
    for what, songs in (("no references", estimates), ("no estimates", references)):
        yield from warn_left_out(what, [song for song in songs if song not in matched])
