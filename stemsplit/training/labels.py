"""Labels that follow from the true sources: which of them sound, and at which pitch.

Axes: ``B`` batch, ``S`` sources, ``C`` channels, ``T`` samples, ``N`` frames, which divide T
evenly.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: A frame is voiced if its shape repeats this exactly: the normalised difference of YIN.
YIN_THRESHOLD = 0.15
#: Frames below this level (dB of full scale) have no pitch.
PITCH_FLOOR = -60.0
#: The least energy that a difference is divided by.
ENERGY_FLOOR = 1e-10


def frame_levels(waves: Tensor, frames: int) -> Tensor:
    """Return the level ``(..., N)`` of ``waves`` ``(..., C, T)`` in dB; N = ``frames``.

    Of the mean square over a frame and the channels: 0 dB is a square wave of full scale. At least
    -100 dB.
    """
    power = waves.square().mean(-2)
    means = functional.adaptive_avg_pool1d(power.flatten(0, -2)[:, None], frames)
    return 10 * means.clamp(min=1e-10).log10().view(*power.shape[:-1], frames)


def activity(waves: Tensor, frames: int, threshold: float) -> Tensor:
    """Return 1 where ``waves`` ``(..., C, T)`` are louder than ``threshold`` dB, 0 elsewhere.

    ``(..., N)``; N = ``frames``.
    """
    return (frame_levels(waves, frames) > threshold).to(waves)


@torch.no_grad()
def track_pitch(
    waves: Tensor, frames: int, sample_rate: int, *, lowest: float, highest: float
) -> Tensor:
    """Return the pitch ``(B, N)`` in Hz of monophonic ``waves`` ``(B, C, T)``, 0 without; N=frames.

    YIN: the first period from 1 / ``highest`` at which a frame differs little from itself, on the
    scale of its mean difference, refined by a parabola. A. de Cheveigné, H. Kawahara, "YIN, a
    fundamental frequency estimator for speech and music", JASA 2002. Between ``lowest`` and
    ``highest`` (Hz).
    """
    longest = int(sample_rate / lowest) + 2
    shortest = max(2, int(sample_rate / highest))
    mono = waves.mean(1).float()
    pieces = _pieces(mono, frames, 2 * longest)
    difference = _difference(pieces, longest)
    normalised = _normalise(difference)
    middle = normalised[..., 1:-1]
    dips = (middle <= normalised[..., :-2]) & (middle < normalised[..., 2:])
    dips &= middle < YIN_THRESHOLD
    dips[..., : shortest - 1] = False
    period = dips.int().argmax(-1) + 1
    exact = period + _parabola(difference, period)
    loud = frame_levels(pieces[..., None, :], 1)[..., 0] > PITCH_FLOOR
    return torch.where(dips.any(-1) & loud, sample_rate / exact, 0)


def _pieces(waves: Tensor, frames: int, size: int) -> Tensor:
    """Return ``size`` samples around the middle of each frame ``(B, N, size)``, zeros outside."""
    samples = waves.shape[-1]
    middles = (torch.arange(frames, device=waves.device) + 0.5) * samples / frames
    places = middles.long()[:, None] + torch.arange(size, device=waves.device)
    return functional.pad(waves, (size // 2, size))[:, places]


def _difference(pieces: Tensor, longest: int) -> Tensor:
    """Return the squared difference ``(B, N, longest)`` of pieces to themselves, at lags from 0.

    Over a window of as many samples as half of ``pieces`` ``(B, N, 2 longest)`` have.
    """
    head = pieces[..., :longest]
    spectrum = torch.fft.rfft(pieces, 4 * longest)
    products = spectrum * torch.fft.rfft(head, 4 * longest).conj()
    correlation = torch.fft.irfft(products, 4 * longest)[..., :longest]
    energy = functional.pad(pieces.square().cumsum(-1), (1, 0))
    later = energy[..., longest:-1] - energy[..., :longest]
    difference: Tensor = later[..., :1] + later - 2 * correlation
    return difference.clamp(min=0)


def _normalise(difference: Tensor) -> Tensor:
    """Return ``difference`` ``(B, N, n)`` relative to its mean over all lags up to each; 1 at 0."""
    lags = torch.arange(difference.shape[-1], device=difference.device)
    sums = difference.cumsum(-1).clamp(min=ENERGY_FLOOR)
    return torch.where(lags > 0, difference * lags / sums, 1.0)


def _parabola(values: Tensor, place: Tensor) -> Tensor:
    """Return where, relative to ``place`` ``(B, N)``, ``values`` ``(B, N, n)`` are smallest."""
    left, middle, right = (
        values.gather(-1, (place + step)[..., None])[..., 0] for step in (-1, 0, 1)
    )
    bend = left - 2 * middle + right
    return torch.where(bend > 0, 0.5 * (left - right) / bend, 0).clamp(-0.5, 0.5)


def pitch_salience(pitch: Tensor, lowest: float, bins: int, per_octave: int) -> Tensor:
    """Return how much of ``pitch`` ``(B, N)`` in Hz is in each bin: ``(B, bins, N)``, 0 to 1.

    A Gaussian of a standard deviation of 25 cents around the pitch (J. W. Kim et al., "CREPE",
    ICASSP 2018), bin 0 at ``lowest`` Hz, ``per_octave`` bins in an octave; 0 without a pitch.
    """
    centres = torch.arange(bins, device=pitch.device)[:, None] * (1200 / per_octave)
    cents = 1200 * (pitch.clamp(min=1.0) / lowest).log2()[:, None]
    bells = torch.exp(-0.5 * ((cents - centres) / 25).square())
    return torch.where(pitch[:, None] > 0, bells, 0)


def resample_labels(labels: Tensor, frames: int) -> Tensor:
    """Return ``labels`` ``(..., n)`` at ``frames`` frames ``(..., N)``: the nearest of them."""
    rows = labels.flatten(0, -2)[:, None].float()
    nearest = functional.interpolate(rows, size=frames, mode="nearest-exact")
    return nearest.view(*labels.shape[:-1], frames)
