"""BSS Eval: ratios of a stem to its spatial distortion, to interference and to artifacts.

Estimates are split by least squares over filters of 512 taps between all references and channels
(E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio source
separation", IEEE TASLP 14, 2006; version 4: F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal
separation evaluation campaign", LVA/ICA 2018). All sums run in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.correlations import Correlations, correlate, correlate_across
from stemsplit.evaluation.distortion import Distortion, fit
from stemsplit.evaluation.frame_cutter import FrameCutter
from stemsplit.evaluation.shapes import Layout, Signals, arrange, blocks

TAPS = 512
METRICS = ("sdr", "isr", "sir", "sar")
#: dB. A score that moves by more when sums are rounded differently is unreproducible: `museval`,
#: which rounds in more places, moved up to a thousand times as far where both were measured.
REPRODUCIBLE = 1e-5
#: dB. Beyond it, up or down, differences between scores do not matter.
CLEAN = 100.0


@dataclass(frozen=True, slots=True)
class BssEvalScores:
    """Ratios in dB, each ``(S, N)`` for N frames, or ``(B, S, N)``; NaN means undefined.

    ``unreproducible`` names the metrics that rounding decides in some frame, by more than 0.01 dB,
    as far as one song shows it. The cause is references with empty bands, which lack even the
    noise of 16 bits, as decoding a lossy format to floats leaves them. Results of `museval` then
    vary by decibels with the number of threads, the order of the stems, or a little gain.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]
    unreproducible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _FrameSums:
    """The sums over a frame, or over the rest of a song, that its scores follow from."""

    correlations: Tensor  # (L, S·C, 2·S·C)
    energies: Tensor  # (3, S) of references, estimates, errors
    silent: bool  # one of its references or estimates

    @classmethod
    def of(cls, signals: Tensor) -> _FrameSums:
        """Return the sums of references and estimates, ``signals`` ``(2, S, C, T)``."""
        channels = signals.flatten(0, 2)
        correlations = correlate(channels, channels.shape[0] // 2, TAPS)
        silent = bool((signals.sum(2) == 0).all(-1).any())
        return cls(correlations, _energies(*signals), silent)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread.

    BSS Eval makes thousands of small steps, in which more threads mostly wait for each other: on a
    busy machine they take ten times as long as one.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class BssEval:
    """BSS Eval version 4 in bounded memory, over blocks of any length that are read twice.

    ``correlate`` takes the whole song, from which the filters follow; then ``score`` takes it
    again, frame by frame; ``result`` returns what ``bss_eval_v4`` does. ``whole`` needs the first
    pass only. References and estimates are tensors ``(S, C, T)`` of float64.
    """

    def __init__(
        self,
        sources: int,
        channels: int,
        sample_rate: int = 44_100,
        *,
        window: float = 1.0,
        hop: float = 1.0,
        room: float = 0,
    ) -> None:
        """``window`` and ``hop`` of the frames are in seconds.

        ``room`` is what the sums of frames may take in bytes (0.5 MB a frame of four stereo stems).
        Those that fit are kept from the first pass, and ``complete`` says whether they all did;
        where frames overlap, or have gaps between them, none is kept. Raises ``ValueError`` if
        window or hop is shorter than a sample.
        """
        self.sources, self.channels = sources, channels
        self.window, self.hop = round(window * sample_rate), round(hop * sample_rate)
        if min(self.window, self.hop) < 1:
            raise ValueError(f"window {window} s and hop {hop} s must be a sample or more")
        inputs = sources * channels
        # Only frames end to end, none shorter than the filters, add up to the song.
        self._by_frames = room > 0 and self.window == self.hop >= TAPS
        self._most = room / (TAPS * inputs * 2 * inputs * 8)  # frames to keep
        self._whole = Correlations(inputs, 2 * inputs, TAPS)  # otherwise
        self._total = torch.zeros(TAPS, inputs, 2 * inputs, dtype=torch.float64)  # by frames
        self._before = torch.zeros(inputs, TAPS - 1, dtype=torch.float64)
        self._energies = torch.zeros(3, sources, dtype=torch.float64)
        self._fits: tuple[Distortion, Distortion] | None = None
        self._cutters = [FrameCutter(self.window, self.hop) for _ in range(2)]  # of both passes
        self._samples = [0, 0]  # of both passes
        self._kept: list[_FrameSums] = []
        self._known = 0  # frames at the start that the second pass need not compute
        self.complete = self._by_frames
        self._frames: list[Tensor] = []
        # dB, the most that each metric moves when sums are rounded differently
        self._shift = torch.zeros(4, dtype=torch.float64)

    @_one_thread()
    def correlate(self, references: Tensor, estimates: Tensor) -> None:
        """Take the next block of the first pass."""
        self._samples[0] += references.shape[-1]
        if not self._by_frames:
            self._energies += _energies(references, estimates)
            self._whole.add(torch.cat([references, estimates]).flatten(0, 1))
            return
        for frame in self._cutters[0].cut(torch.stack([references, estimates])):
            sums = self._add(frame)
            self.complete = self.complete and len(self._kept) + 1 <= self._most
            if self.complete:
                self._kept.append(sums)

    @_one_thread()
    def score(self, references: Tensor, estimates: Tensor) -> None:
        """Take the next block of the second pass, of which nothing is needed if ``complete``."""
        self._samples[1] += references.shape[-1]
        if self.complete:
            return
        self._fit()
        for frame in self._cutters[1].cut(torch.stack([references, estimates])):
            if self._known:
                self._known -= 1
            else:
                self._score_frame(_FrameSums.of(frame))

    @_one_thread()
    def result(self) -> BssEvalScores:
        """Return the scores of all frames, each ``(S, N)``."""
        first, second = self._samples
        if not self.complete and first != second:
            raise ValueError(f"{first} samples in the first pass, {second} in the second")
        self._fit()
        if not self._frames:
            self._score_frame(_FrameSums.of(self._cutters[not self.complete].rest))
        sdr, isr, sir, sar = torch.stack(self._frames, -1).numpy()
        unreproducible = itertools.compress(METRICS, (self._shift > REPRODUCIBLE).tolist())
        return BssEvalScores(sdr, isr, sir, sar, tuple(unreproducible))

    @_one_thread()
    def whole(self, mode: Literal["images", "sources"]) -> BssEvalScores:
        """Return the scores of the whole song as one frame, each ``(S, 1)`` (``bss_eval_v3``)."""
        found, _ = self._fit()
        scores = found.measure(self._total, self._energies)
        sdr, isr, sir, sar, unfiltered = scores.where(self._energies[:2].prod(0) > 0, math.nan)
        if mode == "sources":
            sdr, isr = unfiltered, torch.full_like(isr, math.nan)
        # Rounding decides nothing here: it shows at the borders of frames, and there are none.
        sdr, isr, sir, sar = (score[:, None].numpy() for score in (sdr, isr, sir, sar))
        return BssEvalScores(sdr, isr, sir, sar)

    def _add(self, signals: Tensor) -> _FrameSums:
        """Add a piece ``(2, S, C, T)`` to the sums over the song, and return its own."""
        sums = _FrameSums.of(signals)
        channels = signals.flatten(0, 2)
        self._total += sums.correlations + correlate_across(self._before, channels)
        self._energies += sums.energies
        self._before = channels[: len(self._before), 1 - TAPS :]
        return sums

    def _score_frame(self, sums: _FrameSums) -> None:
        """Append the scores of a frame."""
        if sums.silent:
            self._frames.append(torch.full((4, self.sources), math.nan, dtype=torch.float64))
            return
        found, moved = (fit.measure(sums.correlations, sums.energies)[:4] for fit in self._fit())
        # Clamped first: the difference of two infinities is NaN.
        limited = (scores.clamp(-CLEAN, CLEAN) for scores in (found, moved))
        shift = torch.sub(*limited).abs().amax(-1)
        self._shift = torch.maximum(self._shift, shift)
        self._frames.append(found)

    def _fit(self) -> tuple[Distortion, Distortion]:
        """Return the fits of ``distortion.fit``; the first call ends the first pass."""
        if self._fits is None:
            if not self._by_frames:
                self._total = self._whole.result()
            elif self._cutters[0].rest.shape[-1]:
                self._add(self._cutters[0].rest)
            self._fits = fit(self._total, self.sources, self.channels)
            self._known = len(self._kept)
            for sums in self._kept:
                self._score_frame(sums)
            self._kept.clear()
        return self._fits


def bss_eval_v4(
    references: Signals,
    estimates: Signals,
    sample_rate: int = 44_100,
    *,
    window: float = 1.0,
    hop: float = 1.0,
    layout: Layout | None = None,
) -> BssEvalScores:
    """Return SDR, ISR, SIR and SAR of each source and frame, ``(S, N)`` or ``(B, S, N)``, dB.

    References and estimates are arrays or tensors ``(S, C, T)`` or ``(B, S, C, T)``; estimate j is
    compared with reference j. ``window`` and ``hop`` are in seconds. ``layout`` is deprecated:
    "STC" says that the last two axes are swapped.

    The definition is that of `museval` 0.4.1: filters are fitted to the whole song and applied to
    each frame as if silence came before it; a rest shorter than a window is left out, a song
    shorter than a window is one frame. Where any reference or estimate is silent in a frame (its
    channels add up to 0 at each sample, so a channel and its inverse are silent too) all sources of
    the frame are NaN. Ratios to nothing are ``inf``, or above 130 dB, where rounding decides them.
    It may decide others as well: see ``BssEvalScores``.

    Raises ``ValueError`` if the two differ in shape, have samples before channels, have no
    samples, or contain NaN.
    """
    truth, guess = arrange(references, estimates, layout)
    sources, channels, _ = truth.shape[-3:]
    scores = []
    for song in _songs(truth, guess):
        lengths = {"window": window, "hop": hop}
        evaluation = BssEval(sources, channels, sample_rate, **lengths, room=math.inf)
        for take in (evaluation.correlate, evaluation.score):
            for block in blocks(*song, size=evaluation.window):
                take(*block)
        scores.append(evaluation.result())
    return _stack(truth, scores)


def bss_eval_v3(
    references: Signals,
    estimates: Signals,
    *,
    mode: Literal["images", "sources"] = "images",
    layout: Layout | None = None,
) -> BssEvalScores:
    """Return SDR, ISR, SIR and SAR of each source over the whole song, ``(S, 1)``, dB.

    The arguments are those of ``bss_eval_v4``. ``"images"`` counts filtering as an error (and
    measures it as ISR), ``"sources"`` allows it (ISR is NaN): with one channel these are
    `mir_eval`'s ``bss_eval_images`` and ``bss_eval_sources`` without permutation; with more
    channels filters run between all of them. A source with a silent reference or estimate is NaN.
    Rounding decides ratios above 130 dB. Raises the same errors as ``bss_eval_v4``,
    and ``ValueError`` for an unknown ``mode``.
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
    """Yield the songs ``(S, C, T)`` of a batch, or the only one."""
    with torch.no_grad():
        yield from zip(
            truth.detach().cpu().reshape(-1, *truth.shape[-3:]),
            guess.detach().cpu().reshape(-1, *guess.shape[-3:]),
            strict=True,
        )


def _stack(truth: Tensor, scores: list[BssEvalScores]) -> BssEvalScores:
    """Return the scores of the songs of ``truth`` with the dimensions of the batch."""

    def gather(name: str) -> NDArray[np.float64]:
        values = np.stack([getattr(score, name) for score in scores])
        return values.reshape(*truth.shape[:-3], *values.shape[1:])

    unreproducible = {metric for score in scores for metric in score.unreproducible}
    return BssEvalScores(
        gather("sdr"),
        gather("isr"),
        gather("sir"),
        gather("sar"),
        tuple(metric for metric in METRICS if metric in unreproducible),
    )


def _energies(references: Tensor, estimates: Tensor) -> Tensor:
    """Return the energies ``(3, S)`` of references, estimates and errors, each ``(S, C, T)``."""
    signals = (references, estimates, estimates - references)
    return torch.stack([torch.linalg.vecdot(w.flatten(1), w.flatten(1)) for w in signals])
