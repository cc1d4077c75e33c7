"""The shared layers against closed forms and against the reference's own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import randomise, signal_to_difference
from torch import nn
from torch.nn import functional

from stemsplit.models import pieces
from stemsplit.models.layers import (
    DConv,
    DecoderLayer,
    LayerScale,
    rescale_convolutions,
)
from stemsplit.models.pieces import map_rows
from stemsplit.models.spectrograms import (
    ComplexAsChannels,
    istft,
    magnitudes,
    reflect_pad,
    stft,
    stft_in_parts,
)


def test_stft_of_a_sine_has_its_power_in_its_bin() -> None:
    n_fft, hop, bin_of_sine = 1024, 256, 37
    wave = torch.sin(2 * math.pi * bin_of_sine / n_fft * torch.arange(16_384.0))
    frame = stft(wave, n_fft, hop)[:, 20].abs()
    assert frame.shape == (n_fft // 2 + 1,)
    # A periodic Hann window sums to n / 2; half of it is in the positive bin of a real sine.
    assert frame[bin_of_sine].item() == pytest.approx(n_fft / 4, rel=1e-4)
    assert frame[bin_of_sine + 1].item() == pytest.approx(n_fft / 8, rel=1e-4)
    assert frame[bin_of_sine + 3 :].max() < 1e-2


@pytest.mark.parametrize("frames", [8_192, 9_001])
def test_a_window_of_ones_own(frames: int) -> None:
    n_fft, hop = 512, 128
    wave = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(n_fft).sqrt()
    spectrum = stft(wave, n_fft, hop, window=window)
    by_hand = torch.fft.rfft(wave[1, 2, 3 * hop : 3 * hop + n_fft] * window)
    torch.testing.assert_close(spectrum[1, 2, :, 5], by_hand, atol=1e-4, rtol=1e-4)
    back = istft(spectrum, n_fft, hop, frames, window=window)
    assert signal_to_difference(wave, back) > 120


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("frames", [8_192, 9_001])
def test_istft_undoes_stft(normalized: bool, frames: int) -> None:
    wave = torch.randn(2, 3, frames, generator=torch.Generator().manual_seed(0))
    spectrum = stft(wave, 512, 128, normalized=normalized)
    back = istft(spectrum, 512, 128, frames, normalized=normalized)
    assert back.shape == wave.shape
    assert signal_to_difference(wave, back) > 120


@pytest.mark.parametrize(("n_fft", "hop"), [(512, 128), (512, 100), (256, 128), (4, 1)])
@pytest.mark.parametrize("normalized", [False, True])
def test_istft_is_that_of_torch(n_fft: int, hop: int, normalized: bool) -> None:
    """Of a spectrum that is no longer that of any wave; the gradient, too."""
    wave = torch.randn(2, 3_000, generator=torch.Generator().manual_seed(0))
    spectrum = stft(wave, n_fft, hop, normalized=normalized)
    spectrum = spectrum * torch.rand(spectrum.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (spectrum.clone().requires_grad_() for _ in range(2))
    window = torch.hann_window(n_fft)
    back = istft(ours, n_fft, hop, 2_900, normalized=normalized)
    expected = torch.istft(theirs, n_fft, hop, window=window, length=2_900, normalized=normalized)
    assert signal_to_difference(expected, back) > 120
    back.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(("frames", "lengths"), [(10, [10, 10, 4]), (24, [24]), (None, [24])])
def test_stft_in_parts_is_that_of_the_whole(frames: int | None, lengths: list[int]) -> None:
    wave = torch.randn(2, 2, 3_000, generator=torch.Generator().manual_seed(0))
    parts = list(stft_in_parts(wave, 512, 128, frames))
    assert [part.shape[-1] for part in parts] == lengths
    torch.testing.assert_close(torch.cat(parts, dim=-1), stft(wave, 512, 128))


def test_magnitudes_are_absolute_values() -> None:
    spectrum = torch.randn(3, 5, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    spectrum[0, 0] = 0
    torch.testing.assert_close(magnitudes(spectrum), spectrum.abs())
    assert magnitudes(spectrum)[0, 0] == 0


@pytest.mark.parametrize("hop", [128, 100])
def test_istft_of_parts_is_that_of_the_whole(hop: int) -> None:
    wave = torch.randn(2, 9_001, generator=torch.Generator().manual_seed(0))
    spectrum = stft(wave, 512, hop)
    for length in (1, 7, 50):
        back = istft(spectrum.split(length, dim=-1), 512, hop, 9_001)
        torch.testing.assert_close(back, istft(spectrum, 512, hop, 9_001))


def test_stft_stays_fp32_under_autocast() -> None:
    wave = torch.randn(1, 4_096, generator=torch.Generator().manual_seed(0))
    exact = stft(wave, 512, 128)
    with torch.autocast("cpu", torch.bfloat16):
        spectrum = stft(wave, 512, 128)
        assert torch.equal(istft(spectrum, 512, 128, 4_096), istft(exact, 512, 128, 4_096))
    assert torch.equal(exact, spectrum)


@given(
    frames=st.integers(1, 40), left=st.integers(0, 30), right=st.integers(0, 30), seed=st.integers()
)
@settings(max_examples=100, deadline=None)
def test_reflect_pad_equals_the_reference(frames: int, left: int, right: int, seed: int) -> None:
    from demucs.hdemucs import pad1d

    wave = torch.randn(1, 2, frames, generator=torch.Generator().manual_seed(seed % 2**32))
    assert torch.equal(reflect_pad(wave, left, right), pad1d(wave, (left, right), mode="reflect"))


@given(samples=st.integers(1, 6_000))
@settings(max_examples=30, deadline=None)
def test_complex_as_channels_gives_one_frame_per_hop(samples: int) -> None:
    spectrogram = ComplexAsChannels(512)
    wave = torch.randn(1, 2, samples, generator=torch.Generator().manual_seed(samples))
    parts = spectrogram(wave)
    assert parts.shape == (1, 4, 256, math.ceil(samples / 128))
    assert spectrogram.inverse(parts, samples).shape == wave.shape


def test_complex_as_channels_comes_back_but_for_the_nyquist_bin() -> None:
    spectrogram = ComplexAsChannels(512)
    time = torch.arange(10_007.0)
    wave = torch.stack([torch.sin(0.3 * time), torch.cos(0.11 * time)])[None]
    back = spectrogram.inverse(spectrogram(wave), wave.shape[-1])
    # The ends miss the frames that were dropped, and their part of the windows' sum.
    inside = slice(512, -512)
    assert signal_to_difference(wave[..., inside], back[..., inside]) > 100


def test_dconv_equals_the_reference() -> None:
    from demucs.demucs import DConv as ReferenceDConv

    ours = DConv(24, depth=2, compression=8, init=1e-3)
    reference = ReferenceDConv(24, compress=8, depth=2, init=1e-3)
    randomise(ours)
    reference.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(2, 24, 301, generator=torch.Generator().manual_seed(0))
    assert signal_to_difference(reference(x), ours(x)) > 110


@pytest.mark.parametrize("frequency", [False, True])
def test_a_decoder_layer_of_one_row_equals_that_row_between_zeros(frequency: bool) -> None:
    layer = DecoderLayer(
        *(4, 2), kernel_size=8, stride=4, frequency=frequency, last=True, dconv=nn.Identity()
    )
    randomise(layer)
    shape = (1, 4, 1, 9) if frequency else (1, 4, 1)
    x, skip = (torch.randn(shape, generator=torch.Generator().manual_seed(n)) for n in range(2))
    zeros = (0, 0, 1, 1) if frequency else (1, 1)
    rewritten = layer.rewrite(functional.pad(x + skip, zeros))
    expected = functional.glu(rewritten, dim=1)
    assert signal_to_difference(expected, layer.combine(x, skip)) > 120


def test_layer_scale_weighs_the_branch_by_channel() -> None:
    scale = LayerScale(2, 0.5)
    with torch.no_grad():
        scale.scale[1] = 2.0
    result = scale(torch.ones(1, 2, 3), torch.full((1, 2, 3), 10.0))
    assert result.tolist() == [[[6.0] * 3, [21.0] * 3]]
    last = LayerScale(2, 0.5, channels_last=True)
    assert last(torch.ones(1, 3, 2), torch.full((1, 3, 2), 10.0)).tolist() == [[[6.0, 6.0]] * 3]


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_blocks_of_rows_give_what_all_rows_at_once_give(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    norm = nn.GroupNorm(1, 6)
    widen = nn.Conv1d(6, 10, 3, padding=1)
    x = torch.randn(2, 6, rows, 20, generator=torch.Generator().manual_seed(0))
    seen: list[int] = []

    def function(y: torch.Tensor) -> torch.Tensor:
        seen.append(len(y))
        return widen(norm(y))

    at_once = map_rows(function, x)
    assert seen == [2 * rows]
    monkeypatch.setattr(pieces, "SMALL_PIECE", 3 * 6 * 20)
    with torch.no_grad():
        in_blocks = map_rows(function, x)
    assert max(seen[1:]) == min(3, rows) and sum(seen[1:]) == 2 * rows
    assert in_blocks.shape == (2, 10, rows, 20)
    assert signal_to_difference(at_once, in_blocks) > 120


def test_rescaling_takes_deviations_halfway_to_the_reference() -> None:
    network = nn.Sequential(nn.Conv1d(64, 64, 8), nn.Linear(64, 64))
    convolution, linear = network[0], network[1]
    weight, bias = convolution.weight.detach().clone(), convolution.bias.detach().clone()
    untouched = linear.weight.detach().clone()
    rescale_convolutions(network, 0.1)
    factor = (0.1 / weight.std()).sqrt()
    assert convolution.weight.std().item() == pytest.approx(float((0.1 * weight.std()).sqrt()))
    torch.testing.assert_close(convolution.bias, bias * factor)
    assert torch.equal(linear.weight, untouched)
    assert set(network.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_with_the_outputs_scaled_back_a_rescaled_convolution_is_what_it_was() -> None:
    network = nn.Sequential(nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(6, 2, 8, 4, bias=False))
    x = torch.randn(2, 4, 30)
    before, weight = network(x), network[0].weight.detach().clone()
    rescale_convolutions(network, 0.1, outputs=True)
    alpha = weight.std() / 0.1
    torch.testing.assert_close(network[0].weight, weight / alpha.sqrt())
    torch.testing.assert_close(network.state_dict()["0.output_scale"], alpha.sqrt())
    torch.testing.assert_close(network(x), before)
