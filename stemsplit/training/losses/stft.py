"""Losses of the short-time Fourier transforms of waves, at one or several resolutions.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``F`` bins, ``N`` frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.evaluation.stft_distance import FLOOR, YAMAMOTO
from stemsplit.models.base import SeparationModel
from stemsplit.models.config import Count, FFTLength
from stemsplit.training.losses.base import PairedConfig, PairedTerm, Term
from stemsplit.training.losses.settings import Counts, NotNegative, TermConfig

#: Added to a mean square, so that the gradient of its root at 0 is finite.
ROOT_FLOOR = 1e-12


def spectrum(
    wave: Tensor, n_fft: int, hop: int, window: int, *, normalized: bool = False
) -> Tensor:
    """Return the complex spectrum ``(..., F, N)`` of ``wave`` ``(..., T)``; F = n_fft / 2 + 1.

    Frames are centred on multiples of ``hop``, edges are reflected; waves that are too short for
    that are followed by zeros. ``window`` is the length of a Hann window in samples; 0: none, all
    samples of a frame count 1.
    """
    missing = max(0, n_fft // 2 + 1 - wave.shape[-1])
    rows = functional.pad(wave, (0, missing)).flatten(0, -2)
    found = torch.stft(
        rows,
        n_fft,
        hop,
        window or n_fft,
        torch.hann_window(window, dtype=rows.dtype, device=rows.device)
        if window
        else torch.ones(n_fft, dtype=rows.dtype, device=rows.device),
        normalized=normalized,
        return_complex=True,
    )
    return found.view(*wave.shape[:-1], *found.shape[-2:])


def magnitude(spectrum: Tensor) -> Tensor:
    """Return the absolute values of ``spectrum``, at least 1e-4, with finite gradients."""
    return (spectrum.real.square() + spectrum.imag.square()).clamp(min=FLOOR**2).sqrt()


@dataclass(frozen=True, slots=True, kw_only=True)
class StftL1Config(PairedConfig):
    """The resolutions of the RoFormers."""

    windows: Counts = (4096, 2048, 1024, 512, 256)  # samples of the Hann windows
    hop: Count = 147
    #: The least length of the transforms: shorter windows are padded with zeros.
    least_fft: FFTLength = 2048
    #: The absolute value of the complex difference, the sum of those of its real and imaginary
    #: part, or the difference of absolute values.
    compare: Literal["complex", "parts", "magnitudes"] = "complex"


class StftL1(PairedTerm):
    """The mean absolute difference of spectra, summed over the resolutions.

    With its defaults the second term of W.-T. Lu, J.-C. Wang, Q. Kong, Y.-N. Hung, "Music source
    separation with band-split RoPE transformer", ICASSP 2024, beside ``l1``. With one window and
    "parts" that of Y. Luo, J. Yu, "Music source separation with band-split RNN", TASLP 2023.
    """

    Config = StftL1Config

    def __init__(self, config: StftL1Config, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.windows = config.windows
        self.hop = config.hop
        self.least_fft = config.least_fft
        self.compare = config.compare

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss ``(B, S)`` of waves ``(B, S, C, T)``."""
        return torch.stack([self._distance(w, estimates, truth) for w in self.windows]).sum(0)

    def _distance(self, window: int, estimates: Tensor, truth: Tensor) -> Tensor:
        n_fft = max(window, self.least_fft)
        guess, true = (spectrum(wave, n_fft, self.hop, window) for wave in (estimates, truth))
        if self.compare == "magnitudes":
            difference = (magnitude(guess) - magnitude(true)).abs()
        elif self.compare == "parts":
            difference = torch.view_as_real(guess - true).abs().sum(-1)
        else:
            difference = (guess - true).abs()
        return difference.mean((-3, -2, -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class StftRMSEConfig(PairedConfig):
    """The transform of SCNet."""

    n_fft: FFTLength = 4096
    hop: Count = 1024
    window: Literal["none", "hann"] = "none"
    normalized: bool = True


class StftRMSE(PairedTerm):
    """The root of the mean squared difference of complex spectra, of each item and source.

    W. Tong et al., "SCNet: sparse compression network for music source separation", ICASSP 2024;
    as in its program, the mean is over real and imaginary parts.
    """

    Config = StftRMSEConfig

    def __init__(self, config: StftRMSEConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.settings = config
        self.window = config.n_fft if config.window == "hann" else 0

    def distance(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss ``(B, S)`` of waves ``(B, S, C, T)``."""
        # The transform is linear: one of the difference is that of both.
        settings = self.settings
        difference = spectrum(
            estimates - truth,
            settings.n_fft,
            settings.hop,
            self.window,
            normalized=settings.normalized,
        )
        squares = torch.view_as_real(difference).square().mean((-4, -3, -2, -1))
        return (squares + ROOT_FLOOR).sqrt()


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiResolutionConfig(TermConfig):
    """The three resolutions of Yamamoto, and the weights of four parts; 0: without it."""

    n_fft: Counts = tuple(resolution.transform for resolution in YAMAMOTO)
    hops: Counts = tuple(resolution.hop for resolution in YAMAMOTO)
    windows: Counts = tuple(resolution.window for resolution in YAMAMOTO)
    convergence: NotNegative = 1.0
    log: NotNegative = 1.0
    linear: NotNegative = 0.0
    phase: NotNegative = 0.0

    def validate(self) -> None:
        """Raise ``ValueError`` for values that are incompatible with each other."""
        TermConfig.validate(self)
        if not len(self.n_fft) == len(self.hops) == len(self.windows):
            raise ValueError("n_fft, hops and windows must have as many numbers")
        if any(window > n_fft for window, n_fft in zip(self.windows, self.n_fft, strict=True)):
            raise ValueError("windows must not be longer than their n_fft")


class MultiResolutionSTFT(Term):
    """Distances of magnitudes and phases, the mean over several resolutions.

    R. Yamamoto, E. Song, J.-M. Kim, "Parallel WaveGAN", ICASSP 2020. Spectral convergence is
    relative to the source in the whole batch, so that excerpts where it is silent do not outweigh
    all others. The phase part is 1 minus the cosine of the difference, weighted by the magnitude
    of the source, so that bins without sound do not count.
    """

    Config = MultiResolutionConfig

    def __init__(self, config: MultiResolutionConfig, model: SeparationModel) -> None:
        super().__init__(config, model)
        self.settings = config

    def losses(self, outputs: Mapping[str, Tensor], sources: Tensor, mix: Tensor) -> Tensor:
        """Return the loss ``(S,)`` of each source."""
        settings = self.settings
        resolutions = zip(settings.n_fft, settings.hops, settings.windows, strict=True)
        return torch.stack(
            [
                self._losses(*(spectrum(w, *resolution) for w in (outputs["sources"], sources)))
                for resolution in resolutions
            ]
        ).mean(0)

    def _losses(self, estimates: Tensor, truth: Tensor) -> Tensor:
        """Return the loss ``(S,)`` of spectra ``(B, S, C, F, N)``."""
        guess, true = magnitude(estimates), magnitude(truth)
        parts: dict[str, Callable[[], Tensor]] = {
            "convergence": lambda: _norm(guess - true) / _norm(true),
            "log": lambda: _mean((guess.log() - true.log()).abs()),
            "linear": lambda: _mean((guess - true).abs()),
            "phase": lambda: 1 - _mean((estimates * truth.conj()).real / guess) / _mean(true),
        }
        weights = {name: getattr(self.settings, name) for name in parts}
        found = [weights[name] * part() for name, part in parts.items() if weights[name]]
        return torch.stack(found).sum(0) if found else guess.new_zeros(guess.shape[1])


def _mean(values: Tensor) -> Tensor:
    """Return the mean ``(S,)`` of ``values`` ``(B, S, C, F, N)``."""
    return values.transpose(0, 1).flatten(1).mean(1)


def _norm(values: Tensor) -> Tensor:
    """Return the norm ``(S,)`` of ``values`` ``(B, S, C, F, N)``."""
    return (values.transpose(0, 1).flatten(1).square().sum(1) + ROOT_FLOOR).sqrt()
