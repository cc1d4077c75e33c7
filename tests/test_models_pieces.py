"""Convolutions in pieces against the same at once, and LSTM layers against torch's own."""

from __future__ import annotations

import pytest
import torch
from oracles import signal_to_difference
from torch import Tensor, nn
from torch.nn import functional

from stemsplit.models import lstm, pieces
from stemsplit.models.demucs import Demucs, DemucsConfig
from stemsplit.models.layers import (
    DConv,
    DecoderLayer,
    EncoderLayer,
)
from stemsplit.models.lstm import run_lstm
from stemsplit.models.pieces import LONG, convolve, cut, join, spans, upsample, upsamples


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SMALL_PIECE", 60)
    for module in ("layers", "demucs"):
        monkeypatch.setattr(f"stemsplit.models.{module}.LARGE_PIECE", 150)


def test_pieces_cover_the_input_only_without_gradients() -> None:
    x = noise(2, 3, 10, 4)
    assert list(spans(x, 100)) == [(0, 10)]
    with torch.no_grad():
        assert list(spans(x, 100)) == [(0, 4), (4, 8), (8, 10)]
        assert list(spans(x, 1, length=2, channels=1)) == [(0, 1), (1, 2)]


def test_outside_of_the_input_are_zeros() -> None:
    x = noise(1, 2, 5, 3)
    padded = functional.pad(x, (0, 0, 2, 4))
    for start, end in ((-2, 3), (1, 4), (3, 9), (-1, 6)):
        assert torch.equal(cut(x, start, end), padded[:, :, start + 2 : end + 2])


def test_joined_pieces_are_cut_off_at_the_length() -> None:
    x = noise(1, 2, 9)
    assert torch.equal(join(x.split(4, dim=2), 7), x[..., :7])
    assert torch.equal(join([x], 7), x[..., :7])


@pytest.mark.parametrize("width", [1, 2])
def test_convolutions_of_long_inputs_equal_those_of_torch(width: int) -> None:
    x, weight, bias = noise(1, 3, LONG + 5), noise(4, 3, width), noise(4)
    with torch.no_grad():
        found = convolve(x, weight, bias)
    assert signal_to_difference(functional.conv1d(x, weight, bias), found) > 120


@pytest.mark.usefixtures("tiny_pieces")
@pytest.mark.parametrize("rest", [(), (7,)])
@pytest.mark.parametrize("stride", [2, 4])
def test_upsampling_equals_a_transposed_convolution(rest: tuple[int, ...], stride: int) -> None:
    x, weight, bias = noise(2, 3, 20, *rest), noise(3, 5, 2 * stride, *(1 for _ in rest)), noise(5)
    assert not upsamples(x, weight, stride)
    if rest:
        whole = functional.conv_transpose2d(x, weight, bias, (stride, 1))
    else:
        whole = functional.conv_transpose1d(x, weight, bias, stride)
    with torch.no_grad():
        assert upsamples(x, weight, stride)
        found = list(upsample(x.split(9, dim=2), weight, bias, stride))
    assert len(found) >= 4
    assert signal_to_difference(whole, torch.cat(found, dim=2)) > 120


@pytest.mark.usefixtures("tiny_pieces")
@pytest.mark.parametrize("frequency", [False, True])
@pytest.mark.parametrize("branches", [False, True])
@pytest.mark.parametrize("groups", [0, 2])
def test_layers_in_pieces_equal_those_that_learn(
    frequency: bool, branches: bool, groups: int
) -> None:
    """Frequency layers have norms only if one row is left."""
    torch.manual_seed(0)
    rows = 1 if groups else 12
    shape = (rows, 9) if frequency else (60,)

    def dconv() -> nn.Module:
        return DConv(8, depth=1, compression=2, init=0.5) if branches else nn.Identity()

    kernel = {"kernel_size": 8, "stride": 4, "frequency": frequency, "norm_groups": groups}
    if frequency and groups:
        kernel |= {"padding": 0}
    down = EncoderLayer(4, 8, dconv=dconv(), **kernel)
    up = DecoderLayer(8, 4, dconv=dconv(), last=False, **kernel)
    x = noise(2, 4, 8, 9) if frequency and groups else noise(2, 4, *(4 * shape[0], *shape[1:]))
    at_once = down(x)
    skip = noise(*at_once.shape)
    back = up(at_once, skip, x.shape[-1])
    with torch.no_grad():
        assert signal_to_difference(at_once, down(x)) > 120
        assert signal_to_difference(back, up(at_once, skip, x.shape[-1])) > 120
    assert back.shape == x.shape
    back.square().mean().backward()
    assert all(weight.grad is not None for weight in (*down.parameters(), *up.parameters()))


@pytest.mark.usefixtures("tiny_pieces")
@pytest.mark.parametrize("fields", [{"skip": "add"}, {"skip": "add", "rescale_outputs": True}])
def test_demucs_in_pieces_equals_the_network_that_learns(fields: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = Demucs(DemucsConfig(channels=4, depth=3, **fields))  # type: ignore[arg-type]
    mix = noise(2, 2, 3_000)
    at_once = network(mix)
    with torch.inference_mode():
        assert signal_to_difference(at_once, network(mix)) > 120
    at_once.square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize("bidirectional", [False, True])
def test_large_lstm_layers_equal_those_of_torch(
    bidirectional: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layers, x = nn.LSTM(6, 5, 2, bidirectional=bidirectional), noise(30, 3, 6)
    monkeypatch.setattr(lstm, "LARGE", 0)
    expected = run_lstm(layers, x)
    assert expected.requires_grad
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(run_lstm(layers, x), layers(x)[0])
    monkeypatch.setattr(layers, "forward", None)
    with torch.no_grad():
        assert signal_to_difference(expected, run_lstm(layers, x)) > 120
