"""The STFT and its inverse, always in fp32.

Axes: ``B`` batch, ``C`` channels, ``T`` samples, ``F`` frequency bins, ``N`` frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models.pieces import cuts

#: Replaces a sum of squared windows of 0, where only the end of a window is.
LEAST_WEIGHT = 1e-11


def stft(
    wave: Tensor,
    n_fft: int,
    hop_length: int,
    *,
    window: Tensor | None = None,
    normalized: bool = False,
    centred: bool = True,
) -> Tensor:
    """Return the complex spectrogram ``(..., F, N)`` of ``wave`` ``(..., T)``; F = n_fft / 2 + 1.

    ``window`` is ``(n_fft,)``, by default a periodic Hann window; frames are centred on multiples
    of ``hop_length``, with reflected edges, or start there if not ``centred``; ``normalized``
    divides by sqrt(n_fft). Always computed in fp32, regardless of autocast: half precision has no
    FFT on a CPU and is too coarse anywhere.
    """
    if window is None:
        window = torch.hann_window(n_fft, device=wave.device)
    with torch.autocast(wave.device.type, enabled=False):
        spectrum = torch.stft(
            wave.float().reshape(-1, wave.shape[-1]),
            n_fft,
            hop_length,
            window=window,
            normalized=normalized,
            center=centred,
            pad_mode="reflect",
            return_complex=True,
        )
    return spectrum.view(*wave.shape[:-1], *spectrum.shape[-2:])


def magnitudes(spectrum: Tensor) -> Tensor:
    """Return those of ``spectrum``, of any shape, in an eighth of the time of `torch.abs`.

    That guards against squares beyond the range of fp32, which no spectrum of audio has.
    """
    return spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).sqrt()


def stft_in_parts(
    wave: Tensor, n_fft: int, hop_length: int, frames: int | None
) -> Iterator[Tensor]:
    """Yield :func:`stft` of ``wave`` ``(B, C, T)`` in parts ``(B, C, F, n)``, one after the other.

    Each has n = ``frames`` but the last, which has the rest; None yields all at once.
    """
    padded = functional.pad(wave, (n_fft // 2, n_fft // 2), mode="reflect")
    count = 1 + wave.shape[-1] // hop_length
    for start in range(0, count, frames or count):
        end = min(start + (frames or count), count)
        part = padded[..., start * hop_length : (end - 1) * hop_length + n_fft]
        yield stft(part, n_fft, hop_length, centred=False)


def istft(
    spectrum: Tensor | Iterable[Tensor],
    n_fft: int,
    hop_length: int,
    frames: int,
    *,
    window: Tensor | None = None,
    normalized: bool = False,
) -> Tensor:
    """Return the wave ``(..., T)`` fp32 of ``spectrum`` ``(..., F, N)``; T = ``frames``.

    The inverse of :func:`stft` with the same settings, in half the time of `torch.istft`. The
    spectrum may come in parts ``(..., F, n)``, of which only one at a time needs to be in memory.
    """
    total: _OverlapAdd | None = None
    for part in [spectrum] if isinstance(spectrum, Tensor) else spectrum:
        with torch.autocast(part.device.type, enabled=False):
            pieces = torch.fft.irfft(part.mT, n_fft, norm="ortho" if normalized else "backward")
        if total is None:
            shape = torch.hann_window(n_fft, device=part.device) if window is None else window
            total = _OverlapAdd(shape, hop_length, pieces.shape[:-2], n_fft // 2 + frames)
        total.add(pieces)
    assert total is not None
    return total.mean()[..., n_fft // 2 :]


class _OverlapAdd:
    """A wave from pieces of it, one every hop: their mean, weighed by the square of the window."""

    def __init__(self, window: Tensor, hop: int, shape: Sequence[int], samples: int) -> None:
        rows = -(-samples // hop)
        self._samples = samples
        self._shapes = functional.pad(window, (0, -len(window) % hop)).view(-1, hop)
        self._sum = window.new_zeros(*shape, rows, hop)
        self._weight = window.new_zeros(rows, hop)
        self._start = 0  # row of the next piece

    def add(self, pieces: Tensor) -> None:
        """Add ``pieces`` ``(..., N, n)``, as long as the window, which they are multiplied by."""
        count, hop = self._shapes.shape
        frames, size = pieces.shape[-2:]
        if size < count * hop:
            pieces = functional.pad(pieces, (0, count * hop - size))
        parts = pieces.reshape(*pieces.shape[:-1], count, hop)
        for shift, shape in enumerate(self._shapes):
            start = self._start + shift
            fitting = max(0, min(frames, len(self._weight) - start))
            rows = slice(start, start + fitting)
            self._sum[..., rows, :].addcmul_(parts[..., :fitting, shift, :], shape)
            self._weight[rows] += shape.square()
        self._start += frames

    def mean(self) -> Tensor:
        """Return the wave ``(..., samples)``, 0 where no piece is. Nothing can be added after."""
        weight = self._weight.flatten()[: self._samples].clamp(min=LEAST_WEIGHT)
        return self._sum.flatten(-2)[..., : self._samples].div_(weight)


def reflect_pad(wave: Tensor, left: int, right: int) -> Tensor:
    """Return ``wave`` ``(B, C, T)`` with ``left`` and ``right`` samples reflected at its ends.

    A wave that is too short to be reflected that far is padded with zeros first, at the end before
    the start; the result always has T + left + right samples.
    """
    missing = max(0, max(left, right) - wave.shape[-1] + 1)
    zeros_right = min(right, missing)
    zeros_left = missing - zeros_right
    if missing:
        wave = functional.pad(wave, (zeros_left, zeros_right))
    return functional.pad(wave, (left - zeros_left, right - zeros_right), mode="reflect")


class ComplexAsChannels(nn.Module):
    """The spectrogram of the hybrid Demucs family, real and imaginary part as channels ("CaC").

    A hop is a quarter of a window. The wave is padded so that T samples have ceil(T / hop) frames,
    aligned with the strided convolutions of a time branch; the Nyquist bin is dropped, so that the
    number of bins is a power of two. Source: Défossez 2021, "Hybrid Spectrogram and Waveform Source
    Separation".
    """

    def __init__(self, n_fft: int, *, zeros_outside: bool = False) -> None:
        """``zeros_outside`` reproduces a mistake in the training of some networks (`hybrid_old`).

        The wave is padded with zeros instead of its reflection, and the output is 3/8 of a window
        late.
        """
        super().__init__()
        self.n_fft = n_fft
        self.zeros_outside = zeros_outside
        self.hop_length = n_fft // 4
        self.edge = 3 * self.hop_length // 2

    def forward(self, wave: Tensor) -> Tensor:
        """Return ``(B, 2 C, F, N)`` fp32 for ``wave`` ``(B, C, T)``; F = n_fft / 2.

        N = ceil(T / hop). Real and imaginary part of the first channel, then of the second, and so
        on.
        """
        parts = torch.view_as_real(self.transform(wave))
        return parts.permute(0, 1, 4, 2, 3).flatten(1, 2).to(wave.device)

    def transform(self, wave: Tensor) -> Tensor:
        """Return the complex spectrogram ``(B, C, F, N)`` of ``wave`` ``(B, C, T)``.

        It is on the CPU if the device of ``wave`` does not support complex numbers.
        """
        samples = wave.shape[-1]
        frames = math.ceil(samples / self.hop_length)
        wave = _where_complex_works(wave.float())
        right = self.edge + frames * self.hop_length - samples
        if self.zeros_outside:
            padded = functional.pad(wave, (self.edge, right))
        else:
            padded = reflect_pad(wave, self.edge, right)
        spectrum = stft(padded, self.n_fft, self.hop_length, normalized=True)
        # The two frames at each end are centred on padding.
        return spectrum[..., :-1, 2 : 2 + frames]

    def inverse(self, parts: Tensor, samples: int) -> Tensor:
        """Return the wave ``(B, C, T)`` fp32 of ``parts`` ``(B, 2 C, F, N)``; T = ``samples``.

        The bin and the frames that :meth:`forward` left out are zero.
        """
        pairs = _where_complex_works(parts.float())
        pairs = pairs.reshape(len(pairs), -1, 2, *pairs.shape[2:])
        # One channel at a time, if that saves memory.
        count = 1 if cuts(parts) else pairs.shape[1]
        waves = [
            self.restore(torch.complex(some[:, :, 0], some[:, :, 1]), samples)
            for some in torch.split(pairs, count, dim=1)
        ]
        return torch.cat(waves, dim=1).to(parts.device)

    def restore(self, spectrum: Tensor, samples: int) -> Tensor:
        """Return the wave ``(..., T)`` of ``spectrum`` ``(..., F, N)``, like :meth:`inverse`."""
        padded = spectrum.shape[-1] * self.hop_length + 2 * self.edge
        spectrum = functional.pad(spectrum, (2, 2, 0, 1))
        wave = istft(spectrum, self.n_fft, self.hop_length, padded, normalized=True)
        start = 0 if self.zeros_outside else self.edge
        return wave[..., start : start + samples]


def _where_complex_works(x: Tensor) -> Tensor:
    """Move ``x`` to a device with full support of complex numbers: not Apple's (demucs#435)."""
    return x.cpu() if x.device.type == "mps" else x
