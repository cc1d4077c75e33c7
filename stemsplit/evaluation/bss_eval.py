"""BSS Eval: how much of an error is filtering, other sources, and neither.

Estimates are split by least squares over filters of 512 taps between all references and channels
(E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio source
separation", IEEE TASLP 14, 2006; version 4: F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 signal
separation evaluation campaign", LVA/ICA 2018). All sums run in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation import toeplitz
from stemsplit.evaluation.correlations import Correlations
from stemsplit.evaluation.waves import Layout, Waves, arrange, blocks

TAPS = 512
#: Shares of its energy that are added to each channel, the first that leaves a solution, where
#: channels are copies of each other (a mono stem) or nothing is in some band. The first is the
#: rounding of the sums.
REGULARISATION = (1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-10, 1e-8)
#: What rounding does to sums of products, as a share of them; the results are tried with it.
ROUNDING = 1e-15
#: SIR that moves further, in dB, when sums move by ``ROUNDING`` is not reproducible.
REPRODUCIBLE = 0.01
#: One of so many frames is tried.
TRIED = 20


@dataclass(frozen=True, slots=True)
class BssEvalScores:
    """Ratios in dB, each ``(S, N)`` for N frames, or ``(B, S, N)``; NaN is "no answer".

    ``sir_reproducible`` is False where SIR, though given, depends on rounding, and ISR and SAR may:
    references with bands that hold nothing, not even the noise of 16 bits, as decoding a lossy
    format to floats leaves them. There `museval` differs from itself, by decibels, between numbers
    of threads or when the song is a little louder.
    """

    sdr: NDArray[np.float64]
    isr: NDArray[np.float64]
    sir: NDArray[np.float64]
    sar: NDArray[np.float64]
    sir_reproducible: bool


class BssEval:
    """BSS Eval version 4 in bounded memory, over blocks of any length that are read twice.

    First ``correlate`` takes the whole song, from which the filters follow; then ``score`` takes it
    once more, frame by frame; ``result`` returns what ``bss_eval_v4`` does. ``whole`` needs the
    first pass only. References and estimates are tensors ``(S, C, T)`` of float64.
    """

    def __init__(
        self,
        sources: int,
        channels: int,
        sample_rate: int = 44_100,
        *,
        window: float = 1.0,
        hop: float = 1.0,
    ) -> None:
        """``window`` and ``hop`` of the frames in seconds; ``ValueError`` below one sample."""
        self.sources, self.channels = sources, channels
        self.window, self.hop = round(window * sample_rate), round(hop * sample_rate)
        if min(self.window, self.hop) < 1:
            raise ValueError(f"window {window} s and hop {hop} s must be a sample or more")
        inputs = sources * channels
        self._correlations = Correlations(inputs, 2 * inputs, TAPS)
        self._filters: _Filters | None = None
        self._own_energies = torch.zeros(3, sources, dtype=torch.float64)
        self._pending = torch.zeros(2, sources, channels, 0, dtype=torch.float64)
        self._skip = 0  # samples from what is pending to the next frame
        self._scored = 0
        self._next_trial = 0  # frame
        self._shift = 0.0  # dB, the largest of SIR in a trial
        self._frames: list[Tensor] = []

    def correlate(self, references: Tensor, estimates: Tensor) -> None:
        """Take the next block of the first pass."""
        self._correlations.add(torch.cat([references, estimates]).flatten(0, 1))
        error = estimates - references
        self._own_energies += torch.stack([_energy(references), _energy(estimates), _energy(error)])

    def score(self, references: Tensor, estimates: Tensor) -> None:
        """Take the next block of the second pass."""
        self._scored += references.shape[-1]
        self._pending = torch.cat([self._pending, torch.stack([references, estimates])], -1)
        while self._pending.shape[-1] >= self.window + self._skip:
            frame = self._pending[..., self._skip : self._skip + self.window]
            self._take(frame)
            self._skip += self.hop
        passed = min(self._skip, self._pending.shape[-1])
        self._pending, self._skip = self._pending[..., passed:].clone(), self._skip - passed

    def result(self) -> BssEvalScores:
        """Return the scores of all frames, each ``(S, N)``."""
        if self._scored != self._correlations.frames:
            first, second = self._correlations.frames, self._scored
            raise ValueError(f"{first} samples in the first pass, {second} in the second")
        if not self._frames:
            self._take(self._pending)
        sdr, isr, sir, sar = torch.stack(self._frames, -1).numpy()
        return BssEvalScores(sdr, isr, sir, sar, self._shift <= REPRODUCIBLE)

    def whole(self, mode: Literal["images", "sources"]) -> BssEvalScores:
        """Return the scores of the whole song as one frame, each ``(S, 1)`` (``bss_eval_v3``)."""
        filters = self._solved
        truth, guess, error = self._own_energies
        allowed = filters.allowed_energy  # of the reference filtered as fits best
        explained = torch.maximum(filters.explained_energy, allowed)  # by all references
        interference = explained - allowed
        artifacts = (guess - explained).clamp(min=0)
        if mode == "images":
            spatial = (allowed - 2 * filters.overlap + truth).clamp(min=0)
            ratios = [(truth, error), (truth, spatial), (allowed, interference)]
        else:
            nothing = torch.full_like(truth, math.nan)
            ratios = [
                (allowed, interference + artifacts),
                (nothing, nothing),
                (allowed, interference),
            ]
        ratios.append((explained, artifacts))
        sdr, isr, sir, sar = (
            torch.where(truth * guess > 0, _decibels(*ratio), math.nan)[:, None].numpy()
            for ratio in ratios
        )
        # Sums over the whole song have no borders, which is where filters for nothing show.
        return BssEvalScores(sdr, isr, sir, sar, True)

    @property
    def _solved(self) -> _Filters:
        if self._filters is None:
            self._filters = _Filters(self._correlations.result(), self.sources, self.channels)
        return self._filters

    def _take(self, frame: Tensor) -> None:
        """Measure a ``frame`` ``(2, S, C, T)``, and now and then try what rounding does to it."""
        scores = self._measure(frame)
        self._frames.append(scores)
        if len(self._frames) > self._next_trial and not scores[0].isnan().any():
            self._next_trial = len(self._frames) + TRIED - 1
            trial = self._measure(frame, trial=True)
            # Above 100 dB there is no interference, whatever the number.
            shifts = trial[2].clamp(max=100) - scores[2].clamp(max=100)
            self._shift = max(self._shift, float(shifts.abs().max()))

    def _measure(self, frame: Tensor, trial: bool = False) -> Tensor:
        """Return SDR, ISR, SIR and SAR ``(4, S)`` of a ``frame`` ``(2, S, C, T)``."""
        references, estimates = frame
        size = _fast_length(frame.shape[-1] + TAPS - 1)
        # Energies of the filtered waves follow from their spectra: nothing is transformed back.
        bins = size // 2 + 1
        weight = torch.full((bins,), math.sqrt(2 / size), dtype=torch.float64)
        weight[0] = math.sqrt(1 / size)
        if size % 2 == 0:
            weight[-1] = weight[0]
        heard = torch.fft.rfft(references, size) * weight  # (S, C, F)
        found = torch.fft.rfft(estimates, size) * weight
        responses = self._solved.responses(size)
        joint, own = responses.trial if trial else responses.joint, responses.own
        scores = []
        for source in range(self.sources):
            explained = _apply(joint[source], heard.flatten(0, 1))
            allowed = _apply(own[source], heard[source])
            truth = references[source]
            ratios = (
                (_power(truth), _power(estimates[source] - truth)),
                (_power(truth), _power(allowed - heard[source])),
                (_power(allowed), _power(explained - allowed)),
                (_power(explained), _power(found[source] - explained)),
            )
            scores.append(torch.stack([_decibels(*ratio) for ratio in ratios]))
        silent = (frame.sum(2) == 0).all(-1).any()
        return torch.stack(scores, 1).where(~silent, math.nan)


@dataclass(frozen=True, slots=True)
class _Responses:
    """Transforms of filters, from references' channels (the first) to a source's (the second)."""

    size: int
    joint: Tensor  # (S, S·C, C, F): from all references
    trial: Tensor  # the same, had the sums been rounded otherwise
    own: Tensor  # (S, C, C, F): from its own reference


class _Filters:
    """The filters that fit references to estimates best, from the ``correlations``.

    ``correlations`` are ``(L, S·C, 2·S·C)``: of references with references and with estimates.
    """

    def __init__(self, correlations: Tensor, sources: int, channels: int) -> None:
        inputs = sources * channels
        energies = correlations[0, :, :inputs].diagonal()
        scale = torch.where(energies > 0, energies, 1.0).rsqrt()
        # Each channel at energy 1, or the least squares would not see the quiet ones.
        gram = correlations[..., :inputs] * scale[:, None] * scale
        gram[0] += torch.diag(torch.where(energies > 0, 0.0, 1.0))
        right = (correlations[..., inputs:] * scale[:, None]).view(TAPS, inputs, sources, channels)
        blocks, together = gram.mT, right.flatten(-2)
        rounding = torch.randn(together.shape, generator=_seeded(), dtype=torch.float64)
        solved = _solve(blocks[None], torch.cat([together, rounding], -1)[None])
        joint, moved = solved.squeeze(0).chunk(2, -1)
        moved = joint + ROUNDING * joint.square().sum((0, 1)).sqrt() * moved
        ranges = [slice(s * channels, (s + 1) * channels) for s in range(sources)]
        alone = torch.stack([right[:, part, s] for s, part in enumerate(ranges)])
        # For one source it is the same system: no interference, not even by rounding.
        own = joint[None]
        if sources > 1:
            own = _solve(torch.stack([blocks[:, p, p] for p in ranges]), alone)
        # A projection's energy is its product with what is projected.
        explained = (joint.reshape(right.shape) * right).sum((0, 1, 3))
        self.explained_energy = explained
        self.allowed_energy = (own * alone).sum((1, 2, 3))
        self_gram = torch.stack([gram[:, p, p] for p in ranges])
        self.overlap = (own * self_gram / scale.view(sources, 1, 1, channels)).sum((1, 2, 3))
        self.joint = joint.reshape(right.shape) * scale[:, None, None]
        self.trial = moved.reshape(right.shape) * scale[:, None, None]
        self.own = own * scale.view(sources, 1, channels, 1)
        self._responses: _Responses | None = None

    def responses(self, size: int) -> _Responses:
        """Return the transforms of ``size`` of all filters, made once."""
        if self._responses is None or size != self._responses.size:
            self._responses = _Responses(
                size,
                torch.fft.rfft(self.joint.permute(2, 1, 3, 0), size),
                torch.fft.rfft(self.trial.permute(2, 1, 3, 0), size),
                torch.fft.rfft(self.own.permute(0, 2, 3, 1), size),
            )
        return self._responses


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
    silent too) all sources of the frame are NaN. Ratios to nothing are ``inf``.

    Raises ``ValueError`` where the two are not of one shape, have no samples, or NaN among them.
    """
    truth, guess = arrange(references, estimates, layout)
    scores = []
    for song in _songs(truth, guess):
        evaluation = _correlated(*song, sample_rate, window, hop)
        for block in blocks(*song, size=evaluation.window):
            evaluation.score(*block)
        scores.append(evaluation.result())
    return _stack(truth, scores)


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
    return _stack(truth, [_correlated(*song).whole(mode) for song in _songs(truth, guess)])


def _correlated(
    truth: Tensor, guess: Tensor, sample_rate: int = 44_100, window: float = 1.0, hop: float = 1.0
) -> BssEval:
    """Return an evaluation that has seen ``truth`` and ``guess``, ``(S, C, T)``, once."""
    sources, channels, _ = truth.shape
    evaluation = BssEval(sources, channels, sample_rate, window=window, hop=hop)
    for block in blocks(truth, guess):
        evaluation.correlate(*block)
    return evaluation


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

    reproducible = all(score.sir_reproducible for score in scores)
    return BssEvalScores(gather("sdr"), gather("isr"), gather("sir"), gather("sar"), reproducible)


def _apply(responses: Tensor, spectra: Tensor) -> Tensor:
    """Return ``(C, F)``: ``spectra`` ``(A, F)`` through ``responses`` ``(A, C, F)``."""
    filtered = torch.zeros_like(responses[0])
    for response, spectrum in zip(responses, spectra, strict=True):
        filtered.addcmul_(response, spectrum)
    return filtered


def _solve(blocks: Tensor, right: Tensor) -> Tensor:
    """Return what ``toeplitz.solve`` does for the least regularisation that has a solution."""
    for share in REGULARISATION:
        regular = blocks.clone()
        regular[:, 0].diagonal(dim1=1, dim2=2).add_(share)
        try:
            return toeplitz.solve(regular, right)
        except RuntimeError as error:  # LinAlgError: not positive definite
            failure = error
    raise failure


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _energy(waves: Tensor) -> Tensor:
    """Return the energy ``(S,)`` of each source of ``(S, C, T)``."""
    return waves.square().sum((1, 2))


def _power(waves: Tensor) -> Tensor:
    """Return the energy of all of ``waves``, complex or not."""
    flat = waves.flatten()
    return torch.vdot(flat, flat).real


def _decibels(signal: Tensor, noise: Tensor) -> Tensor:
    return torch.where(noise == 0, math.inf, 10 * torch.log10(signal / noise))


def _fast_length(least: int) -> int:
    """Return a length of at least ``least`` that transforms fast: few factors, none above 5."""
    return min(odd << ((least - 1) // odd).bit_length() for odd in (1, 3, 5, 9, 15, 27, 45))
