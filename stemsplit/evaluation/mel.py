"""Mel filters, which sum the bins of a spectrum into bands."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stemsplit.evaluation.magnitudes import needs_torch

#: The scale of M. Slaney ("Auditory Toolbox", 1998): linear below 1 kHz, logarithmic above it.
HERTZ_PER_MEL = 200 / 3
BREAK = 1_000.0  # Hz
STEP = np.log(6.4) / 27  # of the natural logarithm per mel, above the break
#: Number of bands to compute together: they use only a small part of the spectrum.
GROUP = 16


class MelFilters:
    """Half-overlapping triangles from 0 Hz to half the sample rate, each with area 1.

    They are those of librosa's ``filters.mel``, except that bands without any bin, which occur with
    short transforms at high sample rates, are left out.
    """

    def __init__(self, sample_rate: int, transform: int, bands: int) -> None:
        weights = _triangles(sample_rate, transform, bands)
        weights = weights[weights.any(axis=1)]
        self.bands = len(weights)
        #: Of each group of bands: its bins, its bands, and their weights ``(F, M)``.
        self._groups: list[tuple[slice, slice, NDArray[np.float64]]] = []
        for start in range(0, self.bands, GROUP):
            group = weights[start : start + GROUP]
            used = np.flatnonzero(group.any(axis=0))
            bins = slice(int(used[0]), int(used[-1]) + 1)
            self._groups.append((bins, slice(start, start + len(group)), group[:, bins].T.copy()))
        self._cast: dict[torch.dtype, list[Tensor]] = {}

    def __call__(self, spectrum: Tensor) -> Tensor:
        """Return the bands ``(…, M)`` of magnitudes ``(…, F)``."""
        weights = self._weights(spectrum.dtype)
        if needs_torch(spectrum):
            parts = zip(self._groups, weights, strict=True)
            products = [spectrum[..., bins] @ w.to(spectrum.device) for (bins, *_), w in parts]
            return torch.cat(products, -1)
        flat = spectrum.flatten(0, -2).numpy()
        found = np.empty((len(flat), self.bands), flat.dtype)
        # numpy takes a third of torch's time for such small products.
        for (bins, bands, _), part in zip(self._groups, weights, strict=True):
            np.matmul(flat[:, bins], part.numpy(), out=found[:, bands])
        return torch.from_numpy(found).view(*spectrum.shape[:-1], self.bands)

    def _weights(self, dtype: torch.dtype) -> list[Tensor]:
        """Return the weights of each group in the precision ``dtype``."""
        if dtype not in self._cast:
            self._cast[dtype] = [torch.from_numpy(part).to(dtype) for *_, part in self._groups]
        return self._cast[dtype]


def _triangles(sample_rate: int, transform: int, bands: int) -> NDArray[np.float64]:
    """Return the weights ``(M, F)`` of the bins of a ``transform``."""
    bins = np.arange(transform // 2 + 1) * (sample_rate / transform)
    corners = _to_hertz(np.linspace(0, _to_mel(sample_rate / 2), bands + 2))
    low, centre, high = (corners[k : bands + k, None] for k in range(3))
    rise, fall = (bins - low) / (centre - low), (high - bins) / (high - centre)
    triangles: NDArray[np.float64] = np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)
    return triangles


def _to_mel(hertz: float) -> float:
    if hertz < BREAK:
        return hertz / HERTZ_PER_MEL
    return float(BREAK / HERTZ_PER_MEL + np.log(hertz / BREAK) / STEP)


def _to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = mel - BREAK / HERTZ_PER_MEL
    return np.where(above < 0, mel * HERTZ_PER_MEL, BREAK * np.exp(STEP * np.maximum(above, 0)))
