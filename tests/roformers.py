"""What the tests of both RoFormers share: weights that hide nothing, masks by hand, the oracle."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stemsplit.models.roformer import Roformer

#: The package whose networks have the names of the published checkpoints, and what it imports.
REFERENCE = (
    "bs-roformer==0.3.10",
    "rotary-embedding-torch==0.6.5",
    "beartype==0.22.2",
    "einops==0.8.1",
    "packaging==25.0",
)
#: First and last bin of each band of the published networks: where librosa's mel filters (60 at
#: 44.1 kHz for windows of 2048 samples) are above 0, the lowest and the highest bin added.
BANDS = """
0-6 4-9 7-12 10-15 13-18 16-21 19-24 22-27 25-30 28-33 31-36 34-39 37-42 40-45 43-48 46-52 49-55
53-59 56-64 60-68 65-73 69-78 74-83 79-89 84-96 90-102 97-109 103-117 110-125 118-134 126-144
135-154 145-164 155-176 165-188 177-202 189-216 203-231 217-247 232-264 248-283 265-303 284-324
304-347 325-371 348-397 372-425 398-454 426-486 455-520 487-557 521-596 558-637 597-682 638-730
683-781 731-835 782-894 836-957 895-1024
"""
#: The reference keeps two vectors of 32 rotary frequencies as parameters, which we compute.
ROTARY = 64


def fill(model: nn.Module) -> None:
    """Give ``model`` weights that are the same everywhere and hide no norm, gate or bias."""
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            waves = torch.sin(1 + number + 1.7 * torch.arange(weight.numel()).double())
            if weight.dim() == 2:  # as loud out as in
                waves = waves * (2 / weight.shape[1]) ** 0.5
            elif number % 2:
                waves = 1 + 0.5 * waves
            weight.copy_(waves.view_as(weight))


def noise(samples: int, batch: int = 1) -> Tensor:
    return 0.1 * torch.randn(batch, 2, samples, generator=torch.Generator().manual_seed(1))


def set_masks(model: Roformer, mask_of: Callable[[int, int, int], complex]) -> None:
    """Make every mask of ``model`` a constant: ``mask_of(source, band, channel)``."""
    with torch.no_grad():
        for source, estimator in enumerate(model.mask_estimators):
            for band, network in enumerate(estimator.to_freqs):
                last = network[0][-1]
                last.weight.zero_()
                values, gates = last.bias.view(2, -1, model.channels, 2)
                gates.fill_(100.0)  # a sigmoid of exactly 1 in fp32
                for channel in range(model.channels):
                    mask = mask_of(source, band, channel)
                    values[:, channel] = torch.tensor([mask.real, mask.imag])


def tone(frequency: float, samples: int, sample_rate: int = 44_100, phase: float = 0.0) -> Tensor:
    """Return a tone ``(1, 2, samples)`` of ``frequency`` Hz, the same in both channels."""
    time = torch.arange(samples).double() / sample_rate
    return torch.cos(2 * torch.pi * frequency * time + phase).float().expand(1, 2, -1)


def published_bands() -> list[tuple[int, int]]:
    pairs = (band.split("-") for band in BANDS.split())
    return [(int(first), int(last)) for first, last in pairs]


def mel_filters(*, sr: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return an array ``(60, 1025)`` that is above 0 where librosa's filters are."""
    assert (sr, n_fft, n_mels) == (44_100, 2048, 60)
    filters = np.zeros((60, 1025), np.float32)
    for row, (first, last) in zip(filters, published_bands(), strict=True):
        row[first : last + 1] = 1
    return filters


@contextmanager
def reference_package(folder: Path) -> Iterator[Any]:
    """Give the package of :data:`REFERENCE`, installed into ``folder``.

    `mel_filters` stands in for the one function of librosa that it calls, since it only looks at
    where the result is 0.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, *REFERENCE], check=True, capture_output=True)
    librosa, filters = types.ModuleType("librosa"), types.ModuleType("librosa.filters")
    librosa.filters, filters.mel = filters, mel_filters  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.syspath_prepend(str(folder))
        patch.setitem(sys.modules, "librosa", librosa)
        patch.setitem(sys.modules, "librosa.filters", filters)
        yield importlib.import_module("bs_roformer")


def share_weights(reference: Any, model: Roformer) -> None:
    """Give both the same weights: those of `fill`."""
    fill(model)
    state = reference.state_dict()
    ours = model.state_dict()
    assert [name for name in state if "rotary_embed" not in name] == list(ours)
    reference.load_state_dict({name: ours.get(name, value) for name, value in state.items()})


def separate(reference: Any, mix: Tensor) -> Tensor:
    """Return the sources ``(B, S, C, T)`` of the reference, which drops an axis of length 1."""
    with torch.inference_mode():
        stems: Tensor = reference.eval()(mix)
    return stems if stems.dim() == 4 else stems[:, None]
