"""Everything that is found about the stems of one song, at once."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from stemsplit.audio.ffmpeg import Block
from stemsplit.data.alignment import align
from stemsplit.data.file_names import excluded_stem, normalise, stem_of
from stemsplit.data.layouts import STEM_FILE, SongStems, song_name
from stemsplit.data.stems import StemFiles, find_stems
from stemsplit.errors import UsageError
from stemsplit.evaluation.bss_eval import (
    BssEval,
    BssEvalScores,
    can_replicate,
    replicate,
    replication,
)
from stemsplit.evaluation.delay import DelayMeter
from stemsplit.evaluation.in_memory import Arrays, NamedSong, as_array, by_name
from stemsplit.evaluation.measures import Measurer
from stemsplit.evaluation.progress import Progress, drain
from stemsplit.evaluation.report.records import BSS_EVAL, WHOLE_STEM
from stemsplit.evaluation.rounding import lacks_memory
from stemsplit.evaluation.scores import SongScores, StemScores
from stemsplit.evaluation.shapes import Layout
from stemsplit.evaluation.streaming import ScalarScores
from stemsplit.types import Progressed

BLOCK = 16_384  # samples that are measured at a time: what they become fits into few megabytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """The frames of BSS Eval, in seconds. Raises ``UsageError`` for what is no length of time."""

    window: float = 1.0
    hop: float = 1.0

    def __post_init__(self) -> None:
        for name, seconds in (("window", self.window), ("hop", self.hop)):
            if not (math.isfinite(seconds) and seconds > 0):
                raise UsageError(f"a {name} of {seconds:g} s is no length of time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounds:
    """What is compared with what, by stem. Without ``references`` there are only measures.

    What is left of truncated files counts only where that is ``accept_truncated``.
    """

    song: str
    estimates: Mapping[str, StemFiles]
    references: Mapping[str, StemFiles] = field(default_factory=dict)
    mixture: StemFiles | None = None
    remarks: tuple[str, ...] = ()
    accept_truncated: bool = False


def find_sounds(
    estimates: SongStems,
    references: SongStems | None,
    *,
    mixture: Path | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Sounds:
    """Return the stems of ``estimates`` and the ``references`` of the same names.

    ``mapping`` is that of `find_stems`, for the references. The mixture is the file ``mixture``,
    or else one among the references or the estimates. Raises as `find_stems` does.
    """
    if _is_one_stem(estimates.path):
        return _one_stem(estimates, references, mixture, mapping or {})
    found = find_stems(estimates.path)
    remarks, mixtures = found.remarks, [found.mixture]
    true: dict[str, StemFiles] = {}
    if references is not None:
        truth = find_stems(references.path, list(found.stems), mapping=mapping)
        true, remarks = truth.stems, (*remarks, *truth.remarks)
        mixtures.insert(0, truth.mixture)
    if mixture is not None:
        mixtures.insert(0, StemFiles(paths=(mixture,)))
    return Sounds(
        song=estimates.name,
        estimates=found.stems,
        references=true,
        mixture=next((each for each in mixtures if each is not None), None),
        remarks=remarks,
    )


def _is_one_stem(path: Path) -> bool:
    return not path.is_dir() and not path.name.lower().endswith(STEM_FILE)


def _one_stem(
    estimate: SongStems,
    reference: SongStems | None,
    mixture: Path | None,
    mapping: Mapping[str, str],
) -> Sounds:
    """Return one file as the stem that it is named for, and what it is compared with."""
    name = stem_of(estimate.name)
    true: Mapping[str, StemFiles] = {}
    remarks: tuple[str, ...] = ()
    if reference is not None and _is_one_stem(reference.path):
        true = {name: StemFiles(paths=(reference.path,))}
    elif reference is not None:
        found = find_stems(reference.path, [name], mapping=mapping)
        true, remarks = found.stems, found.remarks
    return Sounds(
        song=estimate.name,
        estimates={name: StemFiles(paths=(estimate.path,))},
        references=true,
        mixture=None if mixture is None else StemFiles(paths=(mixture,)),
        remarks=remarks,
    )


def score_sounds(
    sounds: Sounds, framing: Framing = Framing(), settings: Mapping[str, Any] | None = None
) -> Generator[Progressed, None, SongScores]:
    """Yield how far it is with ``sounds``, and return what is found about them.

    Memory does not depend on their length: all files are read twice, side by side. Only a song with
    scores that rounding decides is held, if it is not too long (``rounding.LIMIT``). ``settings``
    go into the result as they are. Raises ``InputError`` for files that cannot be read.
    """
    scored = [name for name in sounds.estimates if name in sounds.references]
    true = [sounds.references[name] for name in scored]
    mixtures = [] if sounds.mixture is None else [sounds.mixture]
    tracks = [*true, *sounds.estimates.values(), *mixtures]
    aligned = align(tracks, accept_truncated=sounds.accept_truncated)
    scores = yield from _measure(aligned, list(sounds.estimates), scored, framing)
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
    layout: Layout = "STC",
    names: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> SongScores:
    """Return everything that is found about the stems of one song, with its ``references`` or not.

    ``estimates`` and ``references`` are both

    - folders or files, as in ``stemsplit evaluate``: with ``mapping`` from stems to names of
      reference files, and ``mixture`` a file; memory is bounded; or
    - arrays or tensors ``(S, T, C)`` (or ``(S, C, T)`` with the layout ``"SCT"``) of stems that
      ``names`` names, with a ``mixture`` ``(T, C)`` (``(C, T)``); or
    - mappings from stems to arrays or tensors ``(C, T)``, with a ``mixture`` ``(C, T)``.

    Arrays have ``sample_rate`` Hz, full scale ±1.0. ``window`` and ``hop`` of BSS Eval are in
    seconds. Raises ``UsageError`` for arrays that do not go together, and ``InputError`` for files
    that cannot be read or do not match.
    """
    framing = Framing(window=window, hop=hop)
    kinds = {_kind(given) for given in (estimates, references) if given is not None}
    if len(kinds) > 1:
        raise UsageError("estimates and references are both files, or both arrays")
    if kinds == {"files"}:
        pair = [
            None if place is None else SongStems(song_name(Path(place)), Path(place))
            for place in (estimates, references)
        ]
        assert pair[0] is not None
        file = None if mixture is None else Path(mixture)
        sounds = find_sounds(pair[0], pair[1], mixture=file, mapping=mapping)
        return drain(score_sounds(sounds, framing))
    if kinds == {"stems"}:
        song = NamedSong(estimates, references, mixture)
    else:
        guess, truth, mix = (
            None if each is None else as_array(each)[None]
            for each in (estimates, references, mixture)
        )
        [song] = by_name(guess, truth, mix, layout, names)
    return _score_song(song, sample_rate, framing)


def score_batch(
    estimates: Any,
    *,
    references: Any = None,
    mixture: Any = None,
    sample_rate: int = 44_100,
    window: float = 1.0,
    hop: float = 1.0,
    layout: Layout = "STC",
    names: Sequence[str] | None = None,
) -> list[SongScores]:
    """Return what ``score`` does of each song of arrays or tensors ``(B, S, T, C)``.

    With the layout ``"SCT"`` they are ``(B, S, C, T)``; ``mixture`` is ``(B, T, C)`` or ``(B, C,
    T)``. Raises ``UsageError`` for arrays that do not go together.
    """
    framing = Framing(window=window, hop=hop)
    songs = by_name(estimates, references, mixture, layout, names)
    return [_score_song(song, sample_rate, framing) for song in songs]


def _kind(given: Any) -> str:
    if isinstance(given, str | os.PathLike):
        return "files"
    return "stems" if isinstance(given, Mapping) else "arrays"


def _score_song(song: NamedSong, sample_rate: int, framing: Framing) -> SongScores:
    arrays = Arrays.of(song.estimates, song.references or {}, song.mixture, sample_rate)
    return drain(_measure(arrays, list(song.estimates), arrays.scored, framing))


def _measure(
    tracks: _Tracks, names: Sequence[str], scored: Sequence[str], framing: Framing
) -> Generator[Progressed, None, SongScores]:
    """Yield how far it is, and return what is found about ``tracks``.

    These are the references of the ``scored`` stems, the stems ``names`` and, perhaps, the mixture.
    The first pass hears everything, the second is for the frames of BSS Eval alone. A third holds
    the song, where its scores depend on rounding and it is not too long for that.
    """
    held = [len(scored) + names.index(name) for name in scored]  # the estimates that are compared
    all_ = slice(len(scored), len(scored) + len(names))
    measurer = Measurer(names, tracks.sample_rate)
    comparison = _Comparison(scored, tracks, framing) if scored else None
    progress = Progress(tracks.frames * (2 if scored else 1))
    add_up = _add_up(names)
    for block in _blocks(tracks):
        mixture = block[-1] if len(block) > all_.stop else None
        measurer.add(block[all_], mixture if add_up else None)
        if comparison is not None:
            comparison.hear(block[: len(scored)], block[held], mixture)
        yield progress.advance(block.shape[-1])
    if comparison is not None:
        yield from comparison.go_on(tracks, held, progress)
    measures = measurer.result()
    scores, frames = ((), None) if comparison is None else comparison.result()
    return SongScores(
        song="",
        sample_rate=tracks.sample_rate,
        frames=tracks.frames,
        window=framing.window,
        hop=framing.hop,
        scores=scores,
        measures=measures.stems,
        null_residual=measures.null_residual,
        unreproducible=() if frames is None else frames.unreproducible,
        replicated=frames is not None and frames.replicated,
    )


def _blocks(tracks: _Tracks) -> Generator[Block]:
    """Yield the blocks of ``tracks``, and end what reads them."""
    with closing(tracks.blocks(BLOCK)) as blocks:
        yield from blocks


class _Comparison:
    """Everything that needs references, over blocks ``(S, C, n)`` that are heard twice.

    A third time they are heard to be held, where scores depend on rounding.
    """

    def __init__(self, names: Sequence[str], tracks: _Tracks, framing: Framing) -> None:
        self._names = names
        self._shape = (len(names), tracks.channels, tracks.frames)
        self._bss_eval = BssEval(
            len(names),
            tracks.channels,
            tracks.sample_rate,
            window=framing.window,
            hop=framing.hop,
        )
        self._scalars = ScalarScores(tracks.sample_rate)
        self._delays = DelayMeter(tracks.sample_rate)
        self._replicated: BssEvalScores | None = None

    def hear(self, references: Block, estimates: Block, mixture: Block | None) -> None:
        """Take the next block of the first pass, with that of the mixture if there is one."""
        self._delays.add(references, estimates)
        truth, guess = _double(references), _double(estimates)
        self._scalars.add(truth, guess, mixture)
        self._bss_eval.correlate(truth, guess)

    def go_on(
        self, tracks: _Tracks, held: Sequence[int], progress: Progress
    ) -> Generator[Progressed]:
        """Hear ``tracks`` the second time, and the third if need be; yield how far it is.

        The references are the first of them, the estimates those of the numbers ``held``.
        """
        must_hold, left = False, tracks.frames
        for block in _blocks(tracks):
            self._bss_eval.score(_double(block[: len(held)]), _double(block[held]))
            left -= block.shape[-1]
            if not must_hold and self._must_hold(ended=not left):
                # As early as it is known, so that much of the way is left for it.
                must_hold = True
                progress.expect(tracks.frames + replication(self._shape, *self._lengths))
            yield progress.advance(block.shape[-1])
        if must_hold:
            try:
                yield from self._replicate(tracks, held, progress)
            except (MemoryError, RuntimeError) as exc:
                if not lacks_memory(exc):
                    raise
        if progress.remaining:  # memory was not enough, or there is no solution
            yield progress.advance(progress.remaining)

    @cached_property
    def _frames(self) -> BssEvalScores:
        return self._bss_eval.result()

    @property
    def _lengths(self) -> tuple[int, int]:
        return self._bss_eval.window, self._bss_eval.hop

    def _must_hold(self, *, ended: bool) -> bool:
        """Tell whether scores depend on rounding, as far as is known, and the song can be held."""
        known = self._frames if ended else self._bss_eval
        return bool(known.unreproducible) and can_replicate(self._shape, *self._lengths)

    def _replicate(
        self, tracks: _Tracks, held: Sequence[int], progress: Progress
    ) -> Generator[Progressed]:
        """Hold the whole of ``tracks``, and compute their scores in `museval`'s own steps."""
        song, start = torch.empty(2, *self._shape), 0
        for block in _blocks(tracks):
            end = start + block.shape[-1]
            for waves, part in zip(song, (block[: len(held)], block[held]), strict=True):
                waves[..., start:end] = torch.from_numpy(part)
            start = end
            yield progress.advance(block.shape[-1])
        steps = replicate(self._frames, song[0], song[1], *self._lengths)
        self._replicated = yield from progress.follow(steps)

    def result(self) -> tuple[tuple[StemScores, ...], BssEvalScores]:
        """Return the scores of each stem, and those of BSS Eval with what they depend on."""
        frames = self._replicated or self._frames
        scalars = self._scalars.result()
        scores = []
        for k, (delay, inverted) in enumerate(self._delays.result()):
            figures: dict[str, Any] = {key: getattr(frames, key)[k] for key in BSS_EVAL}
            figures |= {key: float(getattr(scalars, key)[k]) for key in WHOLE_STEM}
            name = self._names[k]
            scores.append(StemScores(name=name, delay=delay, inverted=inverted, **figures))
        return tuple(scores), frames


def _double(block: Block) -> Tensor:
    return torch.from_numpy(block.astype(np.float64))


def _add_up(names: Sequence[str]) -> bool:
    """Return whether stems of these ``names`` are together the song: none is part of another."""
    plain = {normalise(name) for name in names}
    rests = {name: excluded_stem(name) for name in plain if excluded_stem(name) is not None}
    return not rests or (len(plain) == 2 and set(rests.values()) < plain)


class _Tracks(Protocol):
    """Stems side by side, ``(S, C, n)`` a block, as often as one likes."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def frames(self) -> int: ...
    def blocks(self, block_frames: int | None = None) -> Generator[Block]: ...
