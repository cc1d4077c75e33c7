"""Measure stems without references: level, bandwidth, bleed, joins, and the null residual.

Blocks may have any length, and memory use does not depend on the length of the song (except for one
value every 0.1 s). Sums are computed in float64. See ``StemMeasures`` for the units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stemsplit.evaluation.framing import FrameMeter, Framer, Piece, Samples
from stemsplit.evaluation.joins import JoinMeter
from stemsplit.evaluation.loudness import LoudnessMeter, TruePeakMeter
from stemsplit.evaluation.magnitudes import magnitudes
from stemsplit.evaluation.scores import StemMeasures

#: The highest sample of 16 bits: full scale of files that store integers.
FULL_SCALE = 32_767 / 32_768
#: Fewer consecutive samples at full scale may be an unclipped peak.
CLIPPED_RUN = 3
#: Hz. Models at sample rates of 22 and 32 kHz, and old codecs, lose everything above these.
BANDS = (11_000, 16_000)
#: Window length of the spectra in seconds, about that of Open-Unmix (4096 samples at 44.1 kHz).
WINDOW = 0.093
PIECE = 65_536  # samples to measure at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class SongMeasures:
    """The measures of each stem, and the null residual."""

    stems: tuple[StemMeasures, ...]
    null_residual: float | None  # mix − sum of stems relative to the mix, dB; None without a mix


class Measurer:
    """Measures stems, and optionally the mix, block by block."""

    def __init__(self, names: Sequence[str], sample_rate: int) -> None:
        self._names = tuple(names)
        self._loudness = LoudnessMeter(sample_rate)
        self._true_peak = TruePeakMeter(sample_rate)
        self._joins = JoinMeter()
        self._samples = _SampleMeter(len(names))
        self._spectrum = _SpectrumMeter(len(names), sample_rate)
        self._residual: _ResidualMeter | None = None

    def add(self, stems: Samples, mix: Samples | None = None) -> None:
        """Measure a block of the stems ``(S, C, n)`` and of the mix ``(C, n)``, if given."""
        for meter in (self._loudness, self._true_peak, self._joins, self._samples, self._spectrum):
            meter.add(stems)
        if mix is not None:
            if self._residual is None:
                self._residual = _ResidualMeter()
            self._residual.add(np.concatenate([stems, mix[None]]))

    def result(self) -> SongMeasures:
        """Return the measures of all blocks; nothing can be added afterwards."""
        loudness, true_peak = self._loudness.result(), self._true_peak.result()
        joins = self._joins.result()
        self._samples.end()
        self._spectrum.end()
        shares, overlap = self._spectrum.shares(), self._spectrum.overlap()
        correlation = self._samples.correlation()
        count = len(self._names)
        stems = tuple(
            StemMeasures(
                name=name,
                loudness=float(np.broadcast_to(loudness, count)[k]),
                peak=_decibel(float(self._samples.peak[k]) ** 2),
                true_peak=_decibel(float(np.broadcast_to(true_peak, count)[k]) ** 2),
                clipped=int(self._samples.clipped[k]),
                above_11_khz=_decibel(float(shares[0, k])),
                above_16_khz=_decibel(float(shares[1, k])),
                joins=float(np.broadcast_to(joins, count)[k]),
                correlation=self._others(k, correlation),
                overlap=self._others(k, overlap),
            )
            for k, name in enumerate(self._names)
        )
        residual = None if self._residual is None else self._residual.result()
        return SongMeasures(stems=stems, null_residual=residual)

    def _others(self, stem: int, table: NDArray[np.float64]) -> dict[str, float]:
        row = zip(self._names, table[stem], strict=True)
        return {name: float(value) for k, (name, value) in enumerate(row) if k != stem}


class _SampleMeter(FrameMeter):
    """Peaks, clipped samples, and the correlation of stems at lag 0."""

    def __init__(self, count: int) -> None:
        self.peak = np.zeros(count)
        self.clipped = np.zeros(count, np.int64)
        self._products = np.zeros((count, count))
        super().__init__(Framer(PIECE, before=CLIPPED_RUN - 1, after=CLIPPED_RUN - 1))

    def correlation(self) -> NDArray[np.float64]:
        """Return ``(S, S)``: the sum of products over all channels and samples, normalised."""
        energy = np.diag(self._products)
        norm = np.sqrt(np.outer(energy, energy))
        found: NDArray[np.float64] = np.full_like(norm, math.nan)
        np.divide(self._products, norm, out=found, where=norm > 0)
        np.clip(found, -1, 1, out=found)
        return found

    def _measure(self, piece: Piece) -> None:
        margin = CLIPPED_RUN - 1
        own = piece.samples[..., margin : margin + piece.valid]
        peak = np.maximum(own.max(axis=(1, 2)), -own.min(axis=(1, 2)))
        self.peak = np.maximum(self.peak, peak)
        if peak.max() >= FULL_SCALE:
            self._count_clipped(piece)
        flat = own.reshape(len(own), -1).astype(np.float64)
        self._products += flat @ flat.T

    def _count_clipped(self, piece: Piece) -> None:
        """Count the valid samples of ``piece`` in runs, including runs that cross its ends."""
        over = np.abs(piece.samples) >= FULL_SCALE
        # The starts of runs of the minimum length, then all samples in these runs.
        runs = np.lib.stride_tricks.sliding_window_view(over, CLIPPED_RUN, axis=-1).all(axis=-1)
        covered = np.zeros_like(over)
        for k in range(CLIPPED_RUN):
            covered[..., k : k + runs.shape[-1]] |= runs
        margin = CLIPPED_RUN - 1
        self.clipped += covered[..., margin : margin + piece.valid].sum(axis=(1, 2))


class _SpectrumMeter(FrameMeter):
    """Energy above each band limit, and energy that two stems share in time and frequency."""

    def __init__(self, count: int, sample_rate: int) -> None:
        size = 1 << max(6, round(math.log2(WINDOW * sample_rate)))
        hop = size // 4  # squared Hann windows at this hop sum to a constant
        self._size, self._hop = size, hop
        self._window = torch.hann_window(size)
        frequencies = np.arange(size // 2 + 1) * (sample_rate / size)
        self._bands = [int(np.searchsorted(frequencies, band, side="right")) for band in BANDS]
        self._energy = np.zeros((count, size // 2 + 1))
        self._common = np.zeros((count, count))
        piece = max(1, PIECE // 2 // hop) * hop
        super().__init__(Framer(piece, before=size - hop))

    def shares(self) -> NDArray[np.float64]:
        """Return ``(2, S)``: the energy above each of ``BANDS`` relative to all energy."""
        total = self._energy.sum(axis=-1)
        above = np.stack([self._energy[:, band:].sum(axis=-1) for band in self._bands])
        np.divide(above, total, out=above, where=total > 0)
        return above

    def overlap(self) -> NDArray[np.float64]:
        """Return ``(S, S)``: Σ min(|A|², |B|²) / Σ |A|² over time, frequency and channels.

        This is an upper bound on how much of a stem (row) can be bleed from another (column).
        """
        total = self._energy.sum(axis=-1, keepdims=True)
        share: NDArray[np.float64] = np.full_like(self._common, math.nan)
        np.divide(self._common, total, out=share, where=total > 0)
        return share

    def _measure(self, piece: Piece) -> None:
        samples = torch.from_numpy(np.ascontiguousarray(piece.samples, np.float32))
        frames = samples.unfold(-1, self._size, self._hop)
        power = magnitudes(frames * self._window).square_()  # (S, C, N, F)
        # Negative frequencies have the same power; 0 and the Nyquist frequency occur once.
        power[..., 1:-1] *= 2
        self._energy += power.sum((1, 2), dtype=torch.float64).numpy()
        for a in range(len(power)):
            for b in range(a):
                common = float(torch.minimum(power[a], power[b]).sum(dtype=torch.float64))
                self._common[a, b] += common
                self._common[b, a] += common


class _ResidualMeter(FrameMeter):
    """The mix, which is last in each block, minus the sum of the stems."""

    def __init__(self) -> None:
        self._mix = self._difference = 0.0
        super().__init__(Framer(PIECE))

    def result(self) -> float:
        """Return the energy of the difference relative to that of the mix, in dB."""
        self.end()
        if self._mix == 0:
            return -math.inf if self._difference == 0 else math.inf
        return _decibel(self._difference / self._mix)

    def _measure(self, piece: Piece) -> None:
        samples = piece.samples.astype(np.float64)
        self._mix += float(np.sum(samples[-1] ** 2))
        self._difference += float(np.sum((samples[-1] - samples[:-1].sum(axis=0)) ** 2))


def _decibel(energy: float) -> float:
    return 10 * math.log10(energy) if energy > 0 else -math.inf
