"""Every network learns: two hundred steps on a toy task, and it separates unseen songs.

A toy song has a source per band of frequencies, each a few tones that come and go. The figures are
shown with ``pytest -m slow -rP`` (or ``-s``).
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.models import build
from stemsplit.models.base import SeparationModel


def small_networks() -> dict[str, Model]:
    """Return a small network of every architecture and configuration, by name."""
    found: dict[str, Model] = {}
    for model in list_models():
        known = [(each.architecture, each.config) for each in found.values()]
        if model.seed is not None and (model.architecture, model.config) not in known:
            found[model.name] = model
    return found


TINY = small_networks()
STEPS = 200
LEARNING_RATE = 5e-3
#: What the mean SI-SDR has to gain over that of the unprocessed mixture, in dB.
GAIN = 6.0
#: Frequencies of the tones in Hz, below half the lowest rate of any network here.
LOWEST, HIGHEST = 100.0, 3_200.0
TONES = 3  # that a source has at a time


def draw_song(model: SeparationModel, generator: torch.Generator) -> Tensor:
    """Return the sources ``(1, S, C, T)`` of a new song, at least two; their sum is its mixture.

    Each tone has a frequency, a phase, a place between the channels, and a loudness that swings
    with a beat, all drawn.
    """
    count = max(2, len(model.sources))
    edges = torch.logspace(*torch.tensor([LOWEST, HIGHEST]).log10().tolist(), count + 1)

    def draw(low: Tensor | float, high: Tensor | float) -> Tensor:
        share = torch.rand(count, TONES, 1, 1, generator=generator)
        return low + (high - low) * share

    # Bands do not touch: a quarter of an octave lies between them.
    low, high = (edge.view(-1, 1, 1, 1) for edge in (edges[:-1], edges[1:] * 2**-0.25))
    seconds = torch.arange(model.segment) / model.sample_rate
    tones = torch.sin(2 * torch.pi * (draw(low, high) * seconds + draw(0, 1)))
    beats = 0.5 + 0.5 * torch.sin(2 * torch.pi * (draw(1, 4) * seconds + draw(0, 1)))
    place = draw(0.3, 0.7)
    gains = torch.cat([place, 1 - place], dim=2) if model.channels == 2 else torch.ones(1, 1, 1, 1)
    sources = (tones * beats * gains).sum(1)[None]
    loudness = 1.0 if model.standardised else 0.1
    return sources * loudness / sources.sum(1).std()


def si_sdr(truth: Tensor, estimate: Tensor) -> Tensor:
    """Return the scale-invariant SDR in dB ``(B, S)`` of ``(B, S, C, T)``.

    J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019, over all channels at once.
    """
    truth, estimate = truth.flatten(2), estimate.flatten(2)
    scale = (truth * estimate).sum(-1, keepdim=True) / truth.square().sum(-1, keepdim=True)
    target = scale * truth
    error = (estimate - target).square().sum(-1)
    return 10 * torch.log10((target.square().sum(-1) + 1e-8) / (error + 1e-8))


def affinity_loss(embeddings: Tensor, owners: Tensor) -> Tensor:
    """Return the loss of deep clustering for ``embeddings`` ``(M, D)`` and ``owners`` ``(M, S)``.

    The squared difference of who belongs together, Hershey 2016, equation 1, in its fast form.
    """
    own, cross, true = embeddings.T @ embeddings, embeddings.T @ owners, owners.T @ owners
    return (own.square().sum() - 2 * cross.square().sum() + true.square().sum()) / len(owners) ** 2


def loss_of(model: SeparationModel, mix: Tensor, truth: Tensor) -> Tensor:
    """Return what training makes smaller: the SI-SDR upside down, and the affinity of embeddings.

    The stems of a network that has nothing but embeddings are in no order until it has prototypes,
    so that their SI-SDR teaches it nothing.
    """
    outputs = model.training_outputs(mix)
    loss = -si_sdr(truth, outputs["sources"]).mean()
    if "embeddings" not in outputs:
        return loss
    spectra = model.to_bands(model.transform(truth).abs())  # type: ignore[operator]
    loud = spectra.sum(1, keepdim=True) > 0.01 * spectra.amax()
    owners = (spectra == spectra.amax(1, keepdim=True)) & loud
    points = outputs["embeddings"][loud[:, 0]]
    affinity = affinity_loss(points, owners.movedim(1, -1)[loud[:, 0]].float())
    if not hasattr(model, "learn_prototypes"):
        return loss + affinity
    model.learn_prototypes(mix, truth)
    return affinity


@pytest.mark.slow
@pytest.mark.parametrize("entry", TINY.values(), ids=TINY)
def test_two_hundred_steps_teach_it_to_separate(entry: Model) -> None:
    torch.manual_seed(0)
    model = build(entry.architecture, entry.config)
    if not list(model.parameters()):
        pytest.skip("has nothing to learn")
    generator = torch.Generator().manual_seed(1)
    unseen = draw_song(model, torch.Generator().manual_seed(2))
    before = score(model, unseen)
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    model.train()
    for _ in range(STEPS):
        sources = draw_song(model, generator)
        optimiser.zero_grad()
        loss_of(model, sources.sum(1), sources[:, : len(model.sources)]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    after = score(model, unseen)
    truth = unseen[:, : len(model.sources)]
    mixture = float(si_sdr(truth, unseen.sum(1, keepdim=True).expand_as(truth)).mean())
    print(f"{entry.name}: mixture {mixture:.1f} dB, untrained {before:.1f}, trained {after:.1f}")
    assert after - mixture >= GAIN
    assert after - before >= GAIN


def score(model: SeparationModel, song: Tensor) -> float:
    """Return the mean SI-SDR in dB of what ``model`` makes of ``song`` ``(1, S, C, T)``."""
    model.eval()
    with torch.no_grad():
        return float(si_sdr(song[:, : len(model.sources)], model(song.sum(1))).mean())


def test_the_measure_is_what_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(1, 2, 2, 100_000, generator=generator)
    noise = torch.randn(truth.shape, generator=generator)
    assert si_sdr(truth, 3 * (truth + 0.1 * noise)).tolist() == [
        pytest.approx([20.0, 20.0], abs=0.1)
    ]
