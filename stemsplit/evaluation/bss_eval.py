"""BSS Eval: how much of an error is filtering, other sources, and neither.

Estimates are split by least squares over filters of 512 taps between all references and channels
(E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio source
separation", IEEE TASLP 14, 2006; version 4: F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal
separation evaluation campaign", LVA/ICA 2018). All sums run in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.correlations import Correlations, correlate, correlate_across
from stemsplit.evaluation.distortion import Distortion, fit
from stemsplit.evaluation.progress import drain
from stemsplit.evaluation.rounding import Replica, Size, can_hold, count_work, lacks_memory
from stemsplit.evaluation.rounding import fit as fit_replica
from stemsplit.evaluation.shapes import Layout, Waves, arrange, blocks

TAPS = 512
METRICS = ("sdr", "isr", "sir", "sar")
#: Scores that move further, in dB, when sums are rounded otherwise are not reproducible: with all
#: that `museval` rounds besides, it moved up to a thousand times as far where this was measured.
REPRODUCIBLE = 1e-5
#: From here on, in dB, there is no interference and so on, whatever the number; and below its
#: negative nothing else.
CLEAN = 100.0


@dataclass(frozen=True, slots=True)
class BssEvalScores:
    """Ratios in dB, each ``(S, N)`` for N frames, or ``(B, S, N)``; NaN is "no answer".

    ``unreproducible`` names those that depend on rounding in some frame, as far as can be told, by
    more than 0.01 dB: references with bands that hold nothing, not even the noise of 16 bits, as
    decoding a lossy format to floats leaves them. There `museval` differs from itself, by decibels,
    between numbers of threads, orders of the stems, or when the song is a little louder. With
    ``replicated`` they are what its own steps give: the same numbers with the same NumPy, threads
    and order of stems.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]
    unreproducible: tuple[str, ...] = ()
    replicated: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a piece of a song counts for."""

    correlations: Tensor  # (L, S·C, 2·S·C)
    energies: Tensor  # (3, S) of references, estimates, errors
    silent: bool  # one of its references or estimates

    @classmethod
    def of(cls, waves: Tensor) -> _Piece:
        """Return the sums of references and estimates, ``waves`` ``(2, S, C, T)``."""
        channels = waves.flatten(0, 2)
        correlations = correlate(channels, channels.shape[0] // 2, TAPS)
        silent = bool((waves.sum(2) == 0).all(-1).any())
        return cls(correlations, _energies(*waves), silent)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have torch use one thread.

    BSS Eval makes thousands of small steps: more threads wait for each other more than they work,
    and take ten times as long as one where other programs run as well.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class BssEval:
    """BSS Eval version 4 in bounded memory, over blocks of any length that are read twice.

    First ``correlate`` takes the whole song, from which the filters follow; then ``score`` takes it
    once more, frame by frame; ``result`` returns what ``bss_eval_v4`` does. With ``keep`` the sums
    of each frame stay in memory (0.5 MB a frame of four stereo stems) and one pass is enough.
    ``whole`` needs the first pass only, and ``replicate`` the song in memory. References and
    estimates are tensors ``(S, C, T)`` of float64.
    """

    def __init__(
        self,
        sources: int,
        channels: int,
        sample_rate: int = 44_100,
        *,
        window: float = 1.0,
        hop: float = 1.0,
        keep: bool = False,
    ) -> None:
        """``window`` and ``hop`` of the frames in seconds.

        Raises ``ValueError`` where one is below a sample, and for ``keep`` where they are not the
        same or below 512 samples (see ``can_keep``).
        """
        self.sources, self.channels = sources, channels
        self.window, self.hop = round(window * sample_rate), round(hop * sample_rate)
        if min(self.window, self.hop) < 1:
            raise ValueError(f"window {window} s and hop {hop} s must be a sample or more")
        if keep and not can_keep(self.window, self.hop):
            raise ValueError(f"frames of {window} s each {hop} s cannot be kept from one pass")
        self.keep = keep
        inputs = sources * channels
        self._whole = Correlations(inputs, 2 * inputs, TAPS)  # without ``keep``
        self._total = torch.zeros(TAPS, inputs, 2 * inputs, dtype=torch.float64)  # with ``keep``
        self._before = torch.zeros(inputs, TAPS - 1, dtype=torch.float64)
        self._energies = torch.zeros(3, sources, dtype=torch.float64)
        self._fits: tuple[Distortion, Distortion] | None = None
        self._cutter = Cutter(self.window, self.hop)
        self._samples = [0, 0]  # of the first pass and the second
        self._kept: list[_Piece] = []
        self._frames: list[Tensor] = []
        # dB, the largest of each metric when sums are rounded otherwise
        self._shift = torch.zeros(4, dtype=torch.float64)

    @_one_thread()
    def correlate(self, references: Tensor, estimates: Tensor) -> None:
        """Take the next block of the first pass."""
        self._samples[0] += references.shape[-1]
        if not self.keep:
            self._energies += _energies(references, estimates)
            self._whole.add(torch.cat([references, estimates]).flatten(0, 1))
            return
        for frame in self._cutter.cut(torch.stack([references, estimates])):
            self._kept.append(self._add(frame))

    @_one_thread()
    def score(self, references: Tensor, estimates: Tensor) -> None:
        """Take the next block of the second pass, which ``keep`` spares."""
        if self.keep:
            raise ValueError("there is one pass only where frames are kept")
        self._samples[1] += references.shape[-1]
        for frame in self._cutter.cut(torch.stack([references, estimates])):
            self._judge(_Piece.of(frame))

    @_one_thread()
    def result(self) -> BssEvalScores:
        """Return the scores of all frames, each ``(S, N)``."""
        first, second = self._samples
        if not self.keep and first != second:
            raise ValueError(f"{first} samples in the first pass, {second} in the second")
        _ = self._solved  # takes the rest of the first pass
        for piece in self._kept:
            self._judge(piece)
        self._kept = []
        if not self._frames:
            self._judge(_Piece.of(self._cutter.rest))
        sdr, isr, sir, sar = torch.stack(self._frames, -1).numpy()
        return BssEvalScores(sdr, isr, sir, sar, self.unreproducible)

    @property
    def unreproducible(self) -> tuple[str, ...]:
        """The metrics that depend on rounding in a frame that has been scored so far."""
        return tuple(itertools.compress(METRICS, (self._shift > REPRODUCIBLE).tolist()))

    @_one_thread()
    def whole(self, mode: Literal["images", "sources"]) -> BssEvalScores:
        """Return the scores of the whole song as one frame, each ``(S, 1)`` (``bss_eval_v3``)."""
        found, _ = self._solved  # takes the rest of the song
        scores = found.measure(self._total, self._energies)
        sdr, isr, sir, sar, unfiltered = scores.where(self._energies[:2].prod(0) > 0, math.nan)
        if mode == "sources":
            sdr, isr = unfiltered, torch.full_like(isr, math.nan)
        # Sums over a whole song have no borders, which is where filters for nothing show.
        sdr, isr, sir, sar = (score[:, None].numpy() for score in (sdr, isr, sir, sar))
        return BssEvalScores(sdr, isr, sir, sar)

    def _add(self, waves: Tensor) -> _Piece:
        """Add a piece ``(2, S, C, T)`` to the sums over the song, and return its own."""
        piece = _Piece.of(waves)
        channels = waves.flatten(0, 2)
        self._total += piece.correlations + correlate_across(self._before, channels)
        self._energies += piece.energies
        self._before = channels[: len(self._before), 1 - TAPS :]
        return piece

    def _judge(self, piece: _Piece) -> None:
        """Append the scores of a frame."""
        if piece.silent:
            self._frames.append(torch.full((4, self.sources), math.nan, dtype=torch.float64))
            return
        found, moved = (fit.measure(piece.correlations, piece.energies)[:4] for fit in self._solved)
        # Both ends, as the difference of two infinities is no number.
        pair = (scores.clamp(-CLEAN, CLEAN) for scores in (found, moved))
        shift = torch.sub(*pair).abs().amax(-1)
        self._shift = torch.maximum(self._shift, shift)
        self._frames.append(found)

    @property
    def _solved(self) -> tuple[Distortion, Distortion]:
        if self._fits is None:
            if not self.keep:
                self._total = self._whole.result()
            elif self._cutter.rest.shape[-1]:
                self._add(self._cutter.rest)
            self._fits = fit(self._total, self.sources, self.channels)
        return self._fits


class Cutter:
    """Frames of ``length`` samples, ``hop`` apart, of waves that come in blocks."""

    def __init__(self, length: int, hop: int) -> None:
        self.length, self.hop = length, hop
        self._pending: Tensor | None = None
        self._skip = 0  # samples from what is pending to the next frame

    @property
    def rest(self) -> Tensor:
        """What has come and is in no frame yet, ``(…, T)``."""
        assert self._pending is not None, "nothing has come"
        return self._pending[..., self._skip :]

    def cut(self, waves: Tensor) -> Iterator[Tensor]:
        """Yield the frames ``(…, length)`` that a block ``(…, T)`` completes."""
        if self._pending is not None and self._pending.shape[-1]:
            waves = torch.cat([self._pending, waves], -1)
        pending = waves
        while pending.shape[-1] >= self.length + self._skip:
            yield pending[..., self._skip : self._skip + self.length]
            self._skip += self.hop
        passed = min(self._skip, pending.shape[-1])
        self._pending, self._skip = pending[..., passed:].clone(), self._skip - passed


def can_keep(window: int, hop: int) -> bool:
    """Tell whether frames are pieces that a song is the sum of: end to end, and none too short."""
    return window == hop >= TAPS


def bss_eval_v4(
    references: Waves,
    estimates: Waves,
    sample_rate: int = 44_100,
    *,
    window: float = 1.0,
    hop: float = 1.0,
    layout: Layout = "STC",
) -> BssEvalScores:
    """Return SDR, ISR, SIR and SAR of each source and frame, ``(S, N)`` or ``(B, S, N)``, dB.

    References and estimates are arrays or tensors ``(S, T, C)``, or ``(S, C, T)`` with the layout
    ``"SCT"``, or either with a batch before; estimate j is held against reference j. ``window`` and
    ``hop`` are in seconds. The definition is that of `museval` 0.4.1: filters are fitted to the
    whole song and applied to each frame as if silence came before it; a rest shorter than a window
    is left out, a song shorter than a window is one frame. Where any reference or estimate is
    silent in a frame (its channels add up to 0 at each sample, so a channel and its inverse are
    silent too) all sources of the frame are NaN. Ratios to nothing are ``inf``, or above 130 dB,
    which rounding decides. Where it decides others as well (see ``BssEvalScores``) songs of up to
    six minutes of four stereo stems are computed in `museval`'s own steps, in half its time.

    Raises ``ValueError`` where the two are not of one shape, have no samples, or NaN among them.
    """
    truth, guess = arrange(references, estimates, layout)
    sources, channels, _ = truth.shape[-3:]
    scores = []
    for song in _songs(truth, guess):
        keep = can_keep(round(window * sample_rate), round(hop * sample_rate))
        evaluation = BssEval(sources, channels, sample_rate, window=window, hop=hop, keep=keep)
        for take in (evaluation.correlate,) if keep else (evaluation.correlate, evaluation.score):
            for block in blocks(*song, size=evaluation.window):
                take(*block)
        found = evaluation.result()
        lengths = evaluation.window, evaluation.hop
        if found.unreproducible and can_replicate(song[0].shape, *lengths):
            found = drain(replicate(found, *song, *lengths))
        scores.append(found)
    return _stack(truth, scores)


def can_replicate(size: Size, window: int, hop: int) -> bool:
    """Tell whether memory and time are enough to ``replicate`` a song of ``size`` ``(S, C, T)``."""
    return can_hold(size, window, hop, TAPS)


def replication(size: Size, window: int, hop: int) -> int:
    """Return the sum of what ``replicate`` yields for a song of ``size`` ``(S, C, T)``."""
    return count_work(size, window, hop, TAPS)


def replicate(
    scores: BssEvalScores, references: Tensor, estimates: Tensor, window: int, hop: int
) -> Generator[int, None, BssEvalScores]:
    """Return ``scores`` of a song as `museval`'s own steps round them: the same numbers.

    References and estimates are the whole song, ``(S, C, T)``; ``window`` and ``hop`` are in
    samples. Yields how much each step was, in samples. Where `museval` fails for want of a
    solution, or memory is not enough, ``scores`` stay as they are.
    """
    cutter = Cutter(window, hop)
    pairs = map(torch.stack, blocks(references, estimates, size=window))
    frames = itertools.chain.from_iterable(cutter.cut(pair.double()) for pair in pairs)
    length = min(window, references.shape[-1])
    found = []
    try:
        replica = yield from fit_replica(references, estimates, TAPS, length)
        for frame in frames:
            found.append(_measure(replica, frame))
            yield length
        if not found:
            found.append(_measure(replica, cutter.rest))
            yield length
    except np.linalg.LinAlgError:
        return scores
    except (MemoryError, RuntimeError) as exc:
        if not lacks_memory(exc):
            raise
        return scores
    silent = np.isnan(scores.sdr)
    sdr, isr, sir, sar = np.where(silent, math.nan, torch.stack(found, -1).numpy())
    return BssEvalScores(sdr, isr, sir, sar, scores.unreproducible, replicated=True)


@_one_thread()
def _measure(replica: Replica, frame: Tensor) -> Tensor:
    return replica.measure(frame)


def bss_eval_v3(
    references: Waves,
    estimates: Waves,
    *,
    mode: Literal["images", "sources"] = "images",
    layout: Layout = "STC",
) -> BssEvalScores:
    """Return SDR, ISR, SIR and SAR of each source over the whole song, ``(S, 1)``, dB.

    Takes what ``bss_eval_v4`` takes. ``"images"`` counts filtering as an error (and tells it apart
    as ISR), ``"sources"`` forgives it (ISR is NaN): with one channel these are `mir_eval`'s
    ``bss_eval_images`` and ``bss_eval_sources`` without permutation, with more channels filters run
    between all of them. A source with a silent reference or estimate is NaN. Ratios above 130 dB
    are decided by rounding. Raises as ``bss_eval_v4`` does, and for another ``mode``.
    """
    if mode not in ("images", "sources"):
        raise ValueError(f"mode {mode!r} is neither 'images' nor 'sources'")
    truth, guess = arrange(references, estimates, layout)
    scores = []
    for song in _songs(truth, guess):
        evaluation = BssEval(*truth.shape[-3:-1])
        for block in blocks(*song):
            evaluation.correlate(*block)
        scores.append(evaluation.whole(mode))
    return _stack(truth, scores)


def _songs(truth: Tensor, guess: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the songs ``(S, C, T)`` of a batch, or the one."""
    with torch.no_grad():
        yield from zip(
            truth.detach().cpu().reshape(-1, *truth.shape[-3:]),
            guess.detach().cpu().reshape(-1, *guess.shape[-3:]),
            strict=True,
        )


def _stack(truth: Tensor, scores: list[BssEvalScores]) -> BssEvalScores:
    """Return the scores of the songs of ``truth`` with the batch's dimensions."""

    def gather(name: str) -> NDArray[np.float64]:
        values = np.stack([getattr(score, name) for score in scores])
        return values.reshape(*truth.shape[:-3], *values.shape[1:])

    moved = {metric for score in scores for metric in score.unreproducible}
    return BssEvalScores(
        gather("sdr"),
        gather("isr"),
        gather("sir"),
        gather("sar"),
        tuple(metric for metric in METRICS if metric in moved),
        replicated=bool(moved) and all(s.replicated for s in scores if s.unreproducible),
    )


def _energies(references: Tensor, estimates: Tensor) -> Tensor:
    """Return the energies ``(3, S)`` of references, estimates and errors, each ``(S, C, T)``."""
    waves = (references, estimates, estimates - references)
    return torch.stack([torch.linalg.vecdot(w.flatten(1), w.flatten(1)) for w in waves])
