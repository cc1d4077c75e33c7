"""Distances between magnitude spectra at several resolutions, for blocks of any length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stemsplit.evaluation.a_weighting import AWeighting
from stemsplit.evaluation.magnitudes import compare, magnitudes
from stemsplit.evaluation.mel import MelFilters
from stemsplit.evaluation.metrics import Number
from stemsplit.evaluation.shapes import Signals, blocks, check_pair, match_type
from stemsplit.evaluation.stft_frames import CentredFrames

FLOOR = 1e-4  # the least magnitude of a bin
CACHED = 1 << 19  # samples of frames to transform at a time


class Resolution(NamedTuple):
    """The length of a transform, its hop, and the length of its Hann window, in samples."""

    transform: int
    hop: int
    window: int


#: R. Yamamoto, E. Song and J.-M. Kim, "Parallel WaveGAN", ICASSP 2020, table 1, in the order of its
#: reference program.
YAMAMOTO = (Resolution(1_024, 120, 600), Resolution(2_048, 240, 1_200), Resolution(512, 50, 240))
#: Resolutions of the community's trainer: one, and three with ``MEL_BANDS``.
TRAINER = (Resolution(1_024, 256, 1_024),)
TRAINER_MEL = tuple(Resolution(size, size // 4, size) for size in (1_024, 2_048, 4_096))
MEL_BANDS = 128


def mrstft(reference: Signals, estimate: Signals) -> Number:
    """Return the multi-resolution STFT distance ``(…)`` of signals ``(…, C, T)``; lower is better.

    At each of three resolutions ``‖|S| − |Ŝ|‖ / ‖|S|‖`` plus the mean of ``|log|S| − log|Ŝ||``,
    norms over all channels, bins and frames; then their mean (Yamamoto et al., "Parallel WaveGAN",
    ICASSP 2020; the same as `auraloss` of each item by itself). 0 for a perfect copy. Power below
    1e-8 counts as 1e-8, so that distances to silence are finite. Raises ``ValueError`` as
    ``global_sdr`` does.
    """
    return _measure(StftDistance(), reference, estimate)


def aura_stft(reference: Signals, estimate: Signals) -> Number:
    """Return the aura STFT score ``(…)`` of signals ``(…, C, T)``: 0 to 100, higher is better.

    ``100 / (1 + 10 d)``, where ``d`` is the distance of ``mrstft`` at one resolution (1024 samples,
    every 256), but relative to ``‖|Ŝ|‖``: the trainer and the leaderboard that print this score
    (R. Solovyev, Music-Source-Separation-Training, ``utils/metrics.py``; the quality checker of
    MVSep) pass the estimate as the target of `auraloss`. Raises ``ValueError`` as ``global_sdr``.
    """
    return _measure(AuraStft(), reference, estimate)


def aura_mrstft(reference: Signals, estimate: Signals, sample_rate: int = 44_100) -> Number:
    """Return the aura MR-STFT score ``(…)`` of ``(…, C, T)``: 0 to 100, higher is better.

    As ``aura_stft``, for A-weighted signals in 128 mel bands; ``d`` is the mean over three
    resolutions (1024, 2048 and 4096 samples, with a hop of a quarter). Raises ``ValueError`` as
    ``global_sdr`` does.
    """
    return _measure(AuraMrStft(sample_rate), reference, estimate)


class StftDistance:
    """``mrstft`` of blocks ``(…, C, T)``, in their precision, in bounded memory.

    Blocks of float32 take a quarter of the time of float64; the results differ by less than 1e-5.
    """

    def __init__(
        self, resolutions: Sequence[Resolution] = YAMAMOTO, mel_rate: int | None = None
    ) -> None:
        """With ``mel_rate``, the sample rate, compare magnitudes in ``MEL_BANDS`` bands."""
        self._resolutions = [_Spectra(resolution, mel_rate) for resolution in resolutions]

    def add(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block."""
        signals = torch.stack([reference, estimate])
        for resolution in self._resolutions:
            resolution.add(signals)

    def result(self) -> Tensor:
        """Return the distance ``(…)`` of all blocks; nothing can be added later."""
        return self.relative_to(0)

    def relative_to(self, signal: int) -> Tensor:
        """Return ``result``, but relative to the norm of the reference (0) or the estimate (1)."""
        return torch.stack([each.distance(signal) for each in self._resolutions]).mean(0)


class AuraStft:
    """``aura_stft`` of blocks ``(…, C, T)`` in bounded memory."""

    def __init__(self) -> None:
        self._distance = StftDistance(TRAINER)

    def add(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block."""
        self._distance.add(reference, estimate)

    def result(self) -> Tensor:
        """Return the score ``(…)`` of all blocks; nothing can be added later."""
        return to_score(self._distance.relative_to(1))


class AuraMrStft:
    """``aura_mrstft`` of blocks ``(…, C, T)`` in bounded memory."""

    def __init__(self, sample_rate: int) -> None:
        self._weighting = AWeighting(sample_rate)
        self._distance = StftDistance(TRAINER_MEL, sample_rate)

    def add(self, reference: Tensor, estimate: Tensor) -> None:
        """Take the next block."""
        self._distance.add(*self._weighting.add(torch.stack([reference, estimate])))

    def result(self) -> Tensor:
        """Return the score ``(…)`` of all blocks; nothing can be added later."""
        self._distance.add(*self._weighting.end())
        return to_score(self._distance.relative_to(1))


def to_score(distance: Tensor) -> Tensor:
    """Return ``distance`` as the community's trainer scores it: 0 becomes 100, infinity 0."""
    return 100 / (1 + 10 * distance)


def _measure(
    distance: StftDistance | AuraStft | AuraMrStft, reference: Signals, estimate: Signals
) -> Number:
    truth, guess = check_pair(reference, estimate)
    for block in blocks(truth, guess):
        distance.add(*block)
    return match_type(distance.result(), reference, estimate)


class _Spectra:
    """Sums over the magnitudes of references and estimates at one resolution."""

    def __init__(self, resolution: Resolution, mel_rate: int | None) -> None:
        self._transform, hop, window = resolution
        self._frames = CentredFrames(self._transform, hop)
        # Silence around the window instead of around the samples inside it, which it would copy.
        margin = (self._transform - window) // 2
        self._window = torch.zeros(self._transform, dtype=torch.float64)
        self._window[margin : margin + window] = torch.hann_window(window, dtype=torch.float64)
        self._mel = None if mel_rate is None else MelFilters(mel_rate, self._transform, MEL_BANDS)
        self._bands = self._transform // 2 + 1 if self._mel is None else self._mel.bands
        # (4, …, C): of |S|², |Ŝ|², (|S| − |Ŝ|)², |log|S| − log|Ŝ||
        self._sums: Tensor | float = 0.0
        self._values = 0  # of a channel

    def add(self, signals: Tensor) -> None:
        """Take a block ``(2, …, C, T)``."""
        self._consume(self._frames.add(signals))

    def distance(self, signal: int) -> Tensor:
        """Return the distance ``(…)``, relative to the norm of ``signal``: 0 or 1."""
        self._consume(self._frames.end())
        sums = torch.as_tensor(self._sums)
        *energies, difference, logarithms = sums.sum(-1)
        distance: Tensor = (difference / energies[signal]).sqrt() + logarithms / (
            self._values * sums.shape[-1]
        )
        return distance

    def _consume(self, frames: Tensor) -> None:
        """Add ``frames`` ``(2, …, C, N, L)``."""
        if not frames.shape[-2]:
            return
        pairs = frames.flatten(1, -3)
        # As many channels at once as fit into the cache of the processor.
        together = max(1, CACHED // (2 * frames.shape[-2:].numel()))
        sums = torch.cat([self._compare(each) for each in torch.split(pairs, together, 1)], -1)
        self._sums = self._sums + sums.view(len(sums), *frames.shape[1:-2])
        self._values += frames.shape[-2] * self._bands

    def _compare(self, pairs: Tensor) -> Tensor:
        """Return the sums ``(4, C)`` of ``pairs`` of frames ``(2, C, N, L)``, float64."""
        levels = magnitudes(pairs * self._window.to(pairs), FLOOR)
        return compare(*(levels if self._mel is None else self._mel(levels)))
