"""How far the networks look: what they say of it, against what noise far away changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stemsplit.checkpoints.registry import list_models
from stemsplit.models import build
from stemsplit.models.base import SeparationModel

TINY = {m.name: m for m in list_models() if m.name.startswith("tiny.") and m.architecture}
#: Networks that look less far than a segment, small enough to run: frames fit in a few seconds.
BOUNDED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "spleeter": ("spleeter:Spleeter", dict(TINY["tiny.spleeter"].config)),
    "wave_unet": ("wave_unet:WaveUNet", dict(TINY["tiny.wave_unet"].config)),
    "wave_unet, padded": (
        "wave_unet:WaveUNet",
        {**TINY["tiny.wave_unet"].config, "context": False, "upsampling": "linear"},
    ),
    "hpss": ("hpss:HPSS", {"channels": 1, "segment": 88_200}),
    "tasnet": ("tasnet:TasNet", {**TINY["tiny.tasnet"].config, "bidirectional": False}),
    "conv_tasnet": (
        "conv_tasnet:SpeechConvTasNet",
        {**TINY["tiny.conv_tasnet_speech"].config, "causal": True},
    ),
}


def make(architecture: str, config: Mapping[str, Any]) -> SeparationModel:
    """Return a network of random weights whose LSTMs remember a whole segment."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        network = build(architecture, config)
    for module in network.modules():
        if isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if name.startswith("bias"):
                    nn.init.constant_(parameter[module.hidden_size : 2 * module.hidden_size], 4.0)
    return network.eval().requires_grad_(False)


def noise(network: SeparationModel, seed: int) -> Tensor:
    """Return noise ``(1, C, T)``, a segment long."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(1, network.channels, network.segment, generator=generator)


def changed(network: SeparationModel, place: slice, at: slice) -> float:
    """Return how much the sources ``at`` a place change when the mix at another ``place`` does."""
    mix = noise(network, 1)
    other = mix.clone()
    other[..., place] = noise(network, 2)[..., place]
    before, after = network(mix), network(other)
    return float((before - after)[..., at].abs().max())


@pytest.mark.parametrize("name", BOUNDED)
def test_nothing_beyond_the_reach_changes_a_sample(name: str) -> None:
    network = make(*BOUNDED[name])
    back, ahead = network.reach
    assert min(back, ahead) < network.segment // 2
    for sample in range(network.segment // 2, network.segment // 2 + 300, 97):
        at = slice(sample, sample + 1)
        assert changed(network, slice(sample + ahead + 1, None), at) < 1e-7
        assert changed(network, slice(max(0, sample - back)), at) < 1e-7


@pytest.mark.parametrize("name", BOUNDED)
def test_the_reach_is_not_overstated(name: str) -> None:
    """Some sample depends on what lies in the last fifth of the reach, on either side."""
    network = make(*BOUNDED[name])
    back, ahead = network.reach
    middle = network.segment // 2
    # Whether the farthest sample counts depends on where the frames of a network begin.
    starts = range(middle, middle + 1000, 97) if ahead > 100 else range(middle, middle + 40)

    def seen(start: int) -> float:
        return changed(network, slice(start, None), slice(start - ahead, start - int(0.8 * ahead)))

    assert any(seen(start) > 0 for start in starts)
    if back < network.segment:
        at = slice(middle + int(0.8 * back), middle + back)
        assert changed(network, slice(middle), at) > 0


@pytest.mark.parametrize(
    "name", [n for n in TINY if n.removeprefix("tiny.") not in ("spleeter", "wave_unet")]
)
def test_all_others_look_at_their_whole_segment(name: str) -> None:
    network = make(TINY[name].architecture, TINY[name].config)
    assert network.reach == (network.segment, network.segment)
    tenth = network.segment // 10
    assert changed(network, slice(-tenth, None), slice(tenth)) > 0
    assert changed(network, slice(tenth), slice(-tenth, None)) > 0
