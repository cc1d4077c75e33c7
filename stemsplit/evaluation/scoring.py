"""Compute all scores and measures of a song's stems, from files or arrays."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from stemsplit.audio.blocks import Block
from stemsplit.data.alignment import align
from stemsplit.data.file_names import excluded_stem, normalise
from stemsplit.data.layouts import SongStems, song_name
from stemsplit.errors import UsageError
from stemsplit.evaluation.bss_eval_options import BssEvalOptions, Implementation
from stemsplit.evaluation.comparison import Comparison, Tracks
from stemsplit.evaluation.in_memory import NamedSong, TracksInMemory, as_array, name_stems
from stemsplit.evaluation.measures import Measurer
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.shapes import Layout
from stemsplit.evaluation.sounds import Sounds, find_sounds
from stemsplit.evaluation.steps import ScoringProgress, drain

BLOCK = 16_384  # samples to process at a time: intermediate results take a few megabytes


def score_sounds(
    sounds: Sounds,
    options: BssEvalOptions = BssEvalOptions(),
    settings: Mapping[str, Any] | None = None,
) -> Generator[ScoringProgress, None, SongScores]:
    """Score ``sounds``: yield the progress, and return the scores.

    All files are read twice, in step, in memory that does not depend on their length, unless
    `museval` computes BSS Eval (``MusevalScores``). ``settings`` are copied to the result. Raises
    ``InputError`` for files that cannot be read.
    """
    scored = [name for name in sounds.estimates if name in sounds.references]
    true = [sounds.references[name] for name in scored]
    mixtures = [] if sounds.mixture is None else [sounds.mixture]
    tracks = [*true, *sounds.estimates.values(), *mixtures]
    aligned = align(tracks, accept_truncated=sounds.accept_truncated)
    scores = yield from _score_tracks(aligned, list(sounds.estimates), scored, options)
    return replace(
        scores,
        song=sounds.song,
        remarks=(*sounds.remarks, *aligned.remarks, *scores.remarks),
        estimates=dict(sounds.estimates),
        references=dict(sounds.references),
        mixture=sounds.mixture,
        settings=dict(settings or {}),
    )


def score(
    estimates: Any,
    *,
    references: Any = None,
    mixture: Any = None,
    sample_rate: int = 44_100,
    window: float = 1.0,
    hop: float = 1.0,
    layout: Layout | None = None,
    names: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None,
    bss_eval: Implementation = "own",
) -> SongScores:
    """Return all measures of the stems of one song, and with ``references`` all scores.

    ``estimates`` and ``references`` are both

    - folders or files, as in ``stemsplit evaluate``: with ``mapping`` from stems to names of
      reference files, and ``mixture`` a file; memory is bounded; or
    - arrays or tensors ``(S, C, T)`` of the stems ``names``, with a ``mixture`` ``(C, T)``; or
    - mappings from stems to arrays or tensors ``(C, T)``, with a ``mixture`` ``(C, T)``.

    Arrays have ``sample_rate`` Hz, full scale ±1.0. ``window`` and ``hop`` of BSS Eval are in
    seconds; with ``bss_eval="museval"`` that package computes it, with the whole song in memory.
    ``layout`` is deprecated: "STC" means that arrays are ``(S, T, C)`` and ``(T, C)``. Raises
    ``UsageError`` for arrays that do not fit together or have samples before channels,
    ``InputError`` for files that cannot be read or do not match, and ``ResourceError`` where
    `museval` is not installed.
    """
    options = BssEvalOptions(window=window, hop=hop, implementation=bss_eval)
    kinds = {_kind(given) for given in (estimates, references) if given is not None}
    if len(kinds) > 1:
        raise UsageError("estimates and references must both be files, or both be arrays")
    if kinds == {"files"}:
        true = None if references is None else _song_at(references)
        file = None if mixture is None else Path(mixture)
        sounds = find_sounds(_song_at(estimates), true, mixture=file, mapping=mapping)
        return drain(score_sounds(sounds, options))
    if kinds == {"stems"}:
        song = NamedSong(estimates, references, mixture)
    else:
        guess, truth, mix = (
            None if each is None else as_array(each)[None]
            for each in (estimates, references, mixture)
        )
        [song] = name_stems(guess, truth, mix, layout, names)
    return _score_song(song, sample_rate, options)


def score_batch(
    estimates: Any,
    *,
    references: Any = None,
    mixture: Any = None,
    sample_rate: int = 44_100,
    window: float = 1.0,
    hop: float = 1.0,
    layout: Layout | None = None,
    names: Sequence[str] | None = None,
    bss_eval: Implementation = "own",
) -> list[SongScores]:
    """Return the result of ``score`` for each song of arrays or tensors ``(B, S, C, T)``.

    ``mixture`` is ``(B, C, T)``; ``layout`` is deprecated, as there. Raises ``UsageError`` for
    arrays that do not fit together, and ``ResourceError`` where `museval` is not installed.
    """
    options = BssEvalOptions(window=window, hop=hop, implementation=bss_eval)
    songs = name_stems(estimates, references, mixture, layout, names)
    return [_score_song(song, sample_rate, options) for song in songs]


def _kind(given: Any) -> str:
    if isinstance(given, str | os.PathLike):
        return "files"
    return "stems" if isinstance(given, Mapping) else "arrays"


def _song_at(place: str | os.PathLike[str]) -> SongStems:
    return SongStems(song_name(Path(place)), Path(place))


def _score_song(song: NamedSong, sample_rate: int, options: BssEvalOptions) -> SongScores:
    tracks = TracksInMemory.stack(song.estimates, song.references or {}, song.mixture, sample_rate)
    return drain(_score_tracks(tracks, list(song.estimates), tracks.scored, options))


def _score_tracks(
    tracks: Tracks, names: Sequence[str], scored: Sequence[str], options: BssEvalOptions
) -> Generator[ScoringProgress, None, SongScores]:
    """Yield the progress, and return the scores and measures of ``tracks``.

    ``tracks`` are the references of the stems ``scored``, the stems ``names`` and perhaps the
    mixture. The first pass measures everything except the frames of BSS Eval, which need a second
    one; the work of `museval` at the end counts as a third one.
    """
    compared = [len(scored) + names.index(name) for name in scored]
    stems = slice(len(scored), len(scored) + len(names))
    measurer = Measurer(names, tracks.sample_rate)
    comparison = Comparison(scored, tracks, options) if scored else None
    passes = 1 if comparison is None else 2 if options.implementation == "own" else 3
    done, total = 0, tracks.frames * passes
    complete = _are_whole_song(names)
    for block in _blocks(tracks):
        mixture = block[-1] if len(block) > stems.stop else None
        measurer.add(block[stems], mixture if complete else None)
        if comparison is not None:
            comparison.add(block[: len(scored)], block[compared], mixture)
        done += block.shape[-1]
        yield ScoringProgress(done, total)
    if comparison is not None:
        for block in _blocks(tracks):
            comparison.add_frames(block[: len(scored)], block[compared])
            done += block.shape[-1]
            yield ScoringProgress(done, total)
    measures = measurer.result()
    scores, unreproducible = ((), ()) if comparison is None else comparison.result()
    if done < total:
        yield ScoringProgress(total, total)
    return SongScores(
        song="",
        sample_rate=tracks.sample_rate,
        frames=tracks.frames,
        window=options.window,
        hop=options.hop,
        scores=scores,
        measures=measures.stems,
        null_residual=measures.null_residual,
        unreproducible=unreproducible,
        bss_eval="own" if comparison is None else options.computed_by,
    )


def _blocks(tracks: Tracks) -> Generator[Block]:
    """Yield the blocks of ``tracks``, and close their readers."""
    with closing(tracks.blocks(BLOCK)) as blocks:
        yield from blocks


def _are_whole_song(names: Sequence[str]) -> bool:
    """Return whether stems with these ``names`` sum to the song: none contains another."""
    plain = {normalise(name) for name in names}
    excluded = {stem for name in plain if (stem := excluded_stem(name)) is not None}
    return not excluded or (len(plain) == 2 and excluded < plain)
