"""Scores several sets of stems of the same songs against the same true stems."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stemsplit.batch.results import Scored
from stemsplit.batch.scorer import as_scoring
from stemsplit.batch.set_names import name_sets
from stemsplit.batch.stem_folders import score_in_turn, warn_left_out
from stemsplit.data.file_names import REST_OF_VOCALS
from stemsplit.data.layouts import SongStems, find_songs, pair_songs
from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError, UsageError, describe
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.report.stem_sets import ComparedSong
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds, find_sounds
from stemsplit.types import Event, Planned


@dataclass(frozen=True, slots=True)
class _Entry:
    """A song in all sets: its true stems, and its stems by set."""

    truth: SongStems
    sets: Mapping[str, SongStems]

    @property
    def name(self) -> str:
        """The name of the song among the references."""
        return self.truth.name


@dataclass(frozen=True, slots=True, kw_only=True)
class StemSets:
    """Sets of stems of the same songs at ``places``, and their true stems at ``references``.

    ``mixture`` is the mixture of a single song; ``mapping`` maps files to true stems.
    """

    places: Sequence[Path]
    references: Path
    mixture: Path | None
    mapping: Mapping[str, str]
    bss_eval: BssEvalOptions

    def evaluate(self) -> Generator[Event | Scored]:
        """Yield the scores of all sets for each song that is in all of them.

        Only the stems that are in all sets are scored, so that the scores can be compared. If disk
        or memory runs out, the rest is skipped. Raises ``InputError`` if nothing is found or
        nothing matches, and ``UsageError`` for one mixture and several songs.
        """
        found = [find_songs(place) for place in self.places]
        names = name_sets(self.places, found)
        entries = yield from self._match(dict(zip(names, found, strict=True)))
        if self.mixture is not None and len(entries) > 1:
            raise UsageError(f"--mixture is for a single song, but there are {len(entries)}")
        songs = {
            song.path: f"{name}/{entry.name}"
            for entry in entries
            for name, song in entry.sets.items()
        }
        yield Planned(songs, len(songs))
        yield from score_in_turn((entry.name, self._score(entry)) for entry in entries)

    def _match(
        self, sets: Mapping[str, Sequence[SongStems]]
    ) -> Generator[Event, None, list[_Entry]]:
        """Return the songs in all ``sets`` and the references; warn about the others."""
        true = find_songs(self.references)
        matched: dict[str, dict[SongStems, SongStems]] = {}
        for name, songs in sets.items():
            pairs = pair_songs(songs, true)
            matched[name] = {truth: song for song, truth in pairs}
            used = [song for song, _ in pairs]
            yield from warn_left_out(
                f"{name}: no references", [song for song in songs if song not in used]
            )
        first, *others = matched.values()
        common = [truth for truth in first if all(truth in other for other in others)]
        for name, songs_of in matched.items():
            lacking = {truth for other in matched.values() for truth in other} - songs_of.keys()
            yield from warn_left_out(
                f"{name}: no stems", sorted(lacking, key=lambda song: song.name)
            )
        if not common:
            raise InputError(
                "no song is in all sets of stems",
                path=self.references,
                hint="songs are matched by the names of their folders",
            )
        known = {truth for songs_of in matched.values() for truth in songs_of}
        yield from warn_left_out("no estimates", [truth for truth in true if truth not in known])
        return [
            _Entry(truth, {name: songs_of[truth] for name, songs_of in matched.items()})
            for truth in common
        ]

    def _score(self, entry: _Entry) -> Generator[Event, None, Scored]:
        try:
            sets: dict[str, SongScores] = {}
            for name, sounds in self._find_sounds(entry).items():
                scoring = score_sounds(sounds, self.bss_eval)
                scores = yield from as_scoring(entry.sets[name].path, scoring)
                # The null residual would include the stems that were left out.
                sets[name] = replace(scores, null_residual=None)
        except Exception as exc:
            return Scored(name=entry.name, error=describe(exc, Path(entry.name)))
        return Scored(name=entry.name, sets=ComparedSong(name=entry.name, sets=sets))

    def _find_sounds(self, entry: _Entry) -> dict[str, Sounds]:
        """Return the files of each set, only for stems in all sets and the references."""
        found = {
            name: find_sounds(song, entry.truth, mixture=self.mixture, mapping=self.mapping)
            for name, song in entry.sets.items()
        }
        stems = _common_stems(list(found.values()))
        if not stems:
            has = "; ".join(f"{name}: {', '.join(of.references)}" for name, of in found.items())
            raise InputError(
                "no stem is in all sets", path=entry.name, hint=f"stems with a reference: {has}"
            )
        mixture = next((of.mixture for of in found.values() if of.mixture is not None), None)
        return {name: _select(of, stems, found, mixture) for name, of in found.items()}


def _key(stem: str) -> str:
    """Return a key for ``stem``, since programs name the mix without vocals differently."""
    return REST_OF_VOCALS[0] if stem in REST_OF_VOCALS else stem


def _common_stems(sets: Sequence[Sounds]) -> dict[str, str]:
    """Return the stems in all ``sets``, by key, as they are named in the first set.

    Their references must be the same: in a set with only ``vocals``, ``other`` is a different sum
    of true stems than in a set with ``drums`` and ``bass``.
    """
    references = [_by_key(sounds) for sounds in sets]
    return {
        _key(stem): stem
        for stem, files in sets[0].references.items()
        if all(of.get(_key(stem)) == files for of in references)
    }


def _by_key(sounds: Sounds) -> dict[str, StemFiles]:
    return {_key(stem): files for stem, files in sounds.references.items()}


def _select(
    sounds: Sounds, stems: Mapping[str, str], sets: Mapping[str, Sounds], mixture: StemFiles | None
) -> Sounds:
    """Return ``sounds`` with only ``stems``, which maps keys to new names."""
    own = {_key(stem): stem for stem in sounds.references}
    left_out = [stem for stem in sounds.references if _key(stem) not in stems]
    return replace(
        sounds,
        estimates={name: sounds.estimates[own[key]] for key, name in stems.items()},
        references={name: sounds.references[own[key]] for key, name in stems.items()},
        mixture=mixture,
        remarks=(*sounds.remarks, *(_why_left_out(stem, sets) for stem in left_out)),
    )


def _why_left_out(stem: str, sets: Mapping[str, Sounds]) -> str:
    lacking = [name for name, of in sets.items() if _key(stem) not in _by_key(of)]
    if lacking:
        return f"{stem}: left out, not in {', '.join(lacking)}"
    return f"{stem}: left out, its true stems differ between the sets"
