"""What the tests of both RoFormers share: a small network, checks of both, the oracle."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import noise, on_meta, run, waves
from torch import Tensor, nn

from stemsplit.checkpoints import registry
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
#: A small network of either kind, but for its bands.
SMALL: dict[str, Any] = {
    "sources": ["vocals", "rest"],
    "segment": 8192,
    "dim": 16,
    "depth": 2,
    "heads": 2,
    "dim_head": 8,
    "n_fft": 512,
    "hop_length": 128,
    "mask_expansion": 2,
}
#: The reference keeps two vectors of 32 rotary frequencies as parameters, which we compute.
ROTARY = 64


def fill(model: nn.Module) -> None:
    """Give ``model`` weights that are the same everywhere and hide no norm, gate or bias."""
    with torch.no_grad():
        for number, weight in enumerate(model.parameters()):
            values = waves(number, weight)
            if weight.dim() == 2:  # as loud out as in
                values = values * (2 / weight.shape[1]) ** 0.5
            elif number % 2:
                values = 1 + 0.5 * values
            weight.copy_(values.view_as(weight))


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


def check_settings(name: str, segment: int, hop_length: int) -> None:
    """Assert what a published network of the registry shares with the others of its kind, and not.

    ``segment`` and ``hop_length`` are its own.
    """
    entry = registry.resolve(name)
    model = on_meta(entry.architecture, **entry.config)
    assert isinstance(model, Roformer)
    config = model.settings
    assert (config.segment, config.n_fft, config.hop_length) == (segment, 2048, hop_length)
    assert (config.heads, config.dim_head, config.zero_dc) == (8, 64, True)
    assert (config.time_transformer_depth, config.freq_transformer_depth) == (1, 1)
    assert not model.standardised


def check_stored_values(model: Roformer, stored: Sequence[Sequence[float]]) -> None:
    """Assert that two tones give five samples of the left channel of each source."""
    stems = run(model, tone(1000, 4096) + 0.5 * tone(3000, 4096, phase=1))
    found = stems[0, :, 0, 1000:3001:500]
    torch.testing.assert_close(found, torch.tensor(stored), rtol=1e-4, atol=1e-4)


def check_mask_of_one(model: Roformer, samples: int) -> None:
    """Assert that the first of two sources is the mixture where its masks are 1, others 0."""
    set_masks(model, lambda source, band, channel: 1 if source == 0 else 0)
    mix = noise(samples)
    vocals, rest = run(model, mix)[0]
    torch.testing.assert_close(vocals, mix[0], atol=2e-6, rtol=0)
    assert not rest.any()


def reference_arguments(config: Any) -> dict[str, Any]:
    """Return what the networks of the reference are built with, for one of ``config``."""
    return {
        "dim": config.dim,
        "depth": config.depth,
        "stereo": config.audio_channels == 2,
        "num_stems": len(config.sources),
        "time_transformer_depth": config.time_transformer_depth,
        "freq_transformer_depth": config.freq_transformer_depth,
        "heads": config.heads,
        "dim_head": config.dim_head,
        "stft_hop_length": config.hop_length,
        "flash_attn": False,
    }


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
