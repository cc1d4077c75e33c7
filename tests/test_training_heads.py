"""Heads that learn activity and pitch beside the masks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from losses import chimera, draw, shares
from torch import Tensor

from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.training.heads import separated_frames
from stemsplit.training.losses import Loss, make_loss

JOINT: dict[str, Any] = {
    "sources": ["vocals", "drums"],
    "sample_rate": 8192,
    "n_fft": 64,
    "hop": 48,
    "bins": 32,
    "block": 16,
    "widths": [4, 8],
    "arrangement": "joint",
}


def unet() -> SeparationModel:
    torch.manual_seed(0)
    return build("unet:UNet", JOINT)


def song(model: SeparationModel) -> Tensor:
    """Return a tone and noise ``(B, S, C, T)``, of which one sounds at a time."""
    sources = draw(2, 2, 1, model.segment)
    sources[:, 0] = (0.3 * torch.arange(model.segment)).sin()
    sources[0, 0, :, : model.segment // 2] = 0
    sources[0, 1, :, model.segment // 2 :] = 0
    sources[1, 0, :, model.segment // 2 :] = 0
    sources[1, 1, :, : model.segment // 2] = 0
    return sources


def entropy(logits: Tensor, labels: Tensor) -> Tensor:
    shares = logits.sigmoid()
    return -(labels * shares.log() + (1 - labels) * (1 - shares).log())


def loss_of(model: SeparationModel, **table: Any) -> Loss:
    torch.manual_seed(0)
    return make_loss([table], model)


@pytest.mark.parametrize("network", ["unet", "chimera"])
def test_activity_is_the_cross_entropy_of_each_frame(network: str) -> None:
    model = unet() if network == "unet" else chimera()
    sources = song(model)
    mix = sources.sum(1)
    outputs = model.eval().training_outputs(mix)
    loss = loss_of(model, name="activity")
    total, _ = loss(outputs, sources, mix)
    logits = loss.terms["activity"].head(outputs["features"])  # type: ignore[union-attr, operator]
    frames = logits.shape[-1]
    labels = (torch.arange(frames) >= frames / 2).float().expand(2, frames).clone()
    labels = torch.stack([labels, 1 - labels], dim=1)
    labels[1] = labels[1].flip(0)
    errors = entropy(logits, labels)
    assert total.detach() == pytest.approx(float(errors.mean().detach()), rel=0.02)


def test_given_activity_replaces_the_level() -> None:
    model = chimera().eval()
    sources = song(model)
    mix = sources.sum(1)
    outputs = model.training_outputs(mix)
    loss = loss_of(model, name="activity")
    logits = loss.terms["activity"].head(outputs["features"])  # type: ignore[union-attr, operator]
    always = torch.ones(2, 2, 3)
    total, _ = loss({**outputs, "true_activity": always}, sources, mix)
    expected = entropy(logits, torch.ones_like(logits)).mean().detach()
    assert total.detach() == pytest.approx(float(expected), rel=1e-5)


def test_one_stem_makes_it_a_detector_of_the_voice() -> None:
    model = chimera().eval()
    sources = song(model)
    mix = sources.sum(1)
    outputs = model.training_outputs(mix)
    loss = loss_of(model, name="activity", stems={"drums": 1})
    assert loss.terms["activity"].head.layers[-1].out_channels == 1  # type: ignore[union-attr, index]
    drums, _ = loss(outputs, sources, mix)
    changed = sources.clone()
    changed[:, 0] = 0
    assert loss(outputs, changed, mix)[0] == drums
    changed[:, 1] = 0
    assert loss(outputs, changed, mix)[0] != drums


@pytest.mark.parametrize("basis", ["features", "spectra"])
@pytest.mark.parametrize("name", ["activity", "pitch"])
def test_a_head_teaches_the_network(name: str, basis: str) -> None:
    """The gradient of its loss reaches the layers that the masks share."""
    model = unet()
    sources = song(model)
    mix = sources.sum(1)
    table: dict[str, Any] = {"name": name, "basis": basis, "width": 4}
    loss = loss_of(model, **table, **({"stem": "vocals"} if name == "pitch" else {}))
    loss(model.training_outputs(mix), sources, mix)[0].backward()
    last = [key for key, _ in model.named_parameters() if key.startswith("networks.0.up.1")]
    for key, weight in [*model.named_parameters(), *loss.named_parameters()]:
        reached = weight.grad is not None and bool(weight.grad.any())
        assert reached != (basis == "features" and key in last), key


def test_steps_teach_a_head_when_a_source_sounds() -> None:
    model = unet().eval()
    sources = song(model)
    mix = sources.sum(1)
    loss = loss_of(model, name="activity", width=16)
    weights = [*model.parameters(), *loss.parameters()]
    optimizer = torch.optim.Adam(weights, lr=0.01)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        total, _ = loss(model.training_outputs(mix), sources, mix)
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[0] == pytest.approx(math.log(2), abs=0.1)
    assert losses[-1] < 0.3


def test_pitch_is_the_cross_entropy_of_the_salience() -> None:
    model = shares("vocals", "drums")
    steps = 2 * math.pi * torch.arange(8_000) / 8_000
    sources = torch.stack([(220 * steps).sin(), 0 * steps]).expand(2, 1, 2, -1).transpose(1, 2)
    estimates = draw(2, 2, 1, 8_000)
    table = {"name": "pitch", "stem": "vocals", "lowest": 110.0, "octaves": 2, "per_octave": 12}
    loss = loss_of(model, **table)
    frames = separated_frames(estimates[:, :1])
    logits = loss.terms["pitch"].head(frames)  # type: ignore[union-attr, operator]
    assert logits.shape == (2, 24, 16)
    labels = torch.zeros_like(logits)
    labels[:, 12] = 1.0
    total, _ = loss({"sources": estimates}, sources, sources.sum(1))
    assert total.detach() == pytest.approx(float(entropy(logits, labels).mean().detach()), abs=2e-3)
    given = {"sources": estimates, "true_pitch": torch.full((2, 4), 220.0)}
    silent = 0 * sources
    assert loss(given, silent, silent.sum(1))[0].detach() == pytest.approx(
        float(entropy(logits, labels).mean().detach()), rel=1e-3
    )
    without = loss({"sources": estimates}, silent, silent.sum(1))[0].detach()
    assert without == pytest.approx(float(entropy(logits, 0 * labels).mean().detach()), rel=1e-4)


def test_spectra_of_silence_are_0_and_grow_with_the_level() -> None:
    frames = separated_frames(torch.zeros(1, 3, 2, 4_000))
    assert frames.shape == (1, 3 * 1025, 8)
    assert frames.abs().max() < 1e-3
    tone = (2 * math.pi * 0.1 * torch.arange(4_000)).sin().expand(1, 1, 2, -1)
    assert 6 < separated_frames(tone).amax() < 6.5
