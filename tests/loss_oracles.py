"""Losses of other packages, installed into a folder of their own, without their dependencies."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

PACKAGES = ("auraloss==0.4.0", "torch-l1-snr==0.2.1", "asteroid==0.7.0", "nussl==1.1.9")

_folder = Path()


@contextmanager
def install(folder: Path) -> Iterator[None]:
    """Install the packages into ``folder`` and use them from there."""
    global _folder
    _folder = folder
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*pip, *PACKAGES], check=True, timeout=600)
    # torch_l1_snr imports a transform that its loss of waves does not use.
    torchaudio, transforms = types.ModuleType("torchaudio"), types.ModuleType("transforms")
    transforms.Spectrogram = None  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setitem(sys.modules, "torchaudio", torchaudio)
        patch.setitem(sys.modules, "torchaudio.transforms", transforms)
        yield


def from_file(path: str) -> Any:
    """Return the module in the file ``path``: its package wants all of its dependencies."""
    spec = importlib.util.spec_from_file_location(f"oracle_{Path(path).stem}", _folder / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _auraloss(kind: str, estimates: Tensor, sources: Tensor, **settings: Any) -> Tensor:
    """Return the mean over sources of a loss of ``(B, C, T)``."""
    import auraloss

    loss = getattr(auraloss.freq if "STFT" in kind else auraloss.time, kind)(**settings)
    pairs = zip(estimates.unbind(1), sources.unbind(1), strict=True)
    return torch.stack([loss(guess, true) for guess, true in pairs]).mean()


def _l1_snr(estimates: Tensor, sources: Tensor, *_: Tensor) -> Tensor:
    from torch_l1_snr import L1SNRLoss

    rows: Tensor = L1SNRLoss("oracle")(estimates.flatten(0, 1), sources.flatten(0, 1))
    return rows


def _nussl(kind: str) -> Any:
    return getattr(from_file("nussl/ml/train/loss.py"), kind)


def _nussl_si_sdr(estimates: Tensor, sources: Tensor, *_: Tensor) -> Tensor:
    found: Tensor = _nussl("SISDRLoss")()(estimates[:, :, 0].mT, sources[:, :, 0].mT)
    return found


def _nussl_clustering(kind: str, embeddings: Tensor, owners: Tensor, weights: Tensor) -> Tensor:
    """Their weights are factors of embeddings: roots of ours."""
    found: Tensor = _nussl(kind)()(embeddings, owners, weights.sqrt())
    return found


def _nussl_whitened(_e: Tensor, _s: Tensor, *points: Tensor) -> Tensor:
    """Theirs is a constant minus twice the trace that ours is D minus."""
    dimensions, count = points[0].shape[-1], points[1].shape[-1]
    trace = (dimensions + count - _nussl_clustering("WhitenedKMeansLoss", *points)) / 2
    return dimensions - trace


def _asteroid_clustering(
    _e: Tensor, _s: Tensor, embeddings: Tensor, owners: Tensor, _w: Tensor
) -> Tensor:
    """Theirs is relative to the number of bins, ours to that of pairs."""
    loss = from_file("asteroid/losses/cluster.py").deep_clustering_loss
    index = owners.argmax(-1)[:, None]
    found: Tensor = loss(embeddings, index).mean() / embeddings.shape[1]
    return found


def _asteroid_permuted(estimates: Tensor, sources: Tensor, *_: Tensor) -> Tensor:
    pairwise = from_file("asteroid/losses/sdr.py").PairwiseNegSDR("sisdr", zero_mean=True)
    wrapper = from_file("asteroid/losses/pit_wrapper.py").PITLossWrapper(pairwise, "pw_mtx")
    found: Tensor = wrapper(estimates[:, :, 0].flip(1), sources[:, :, 0])
    return found


#: Losses of ``example()`` and ``points()`` by name.
ORACLES: dict[str, Callable[..., Tensor]] = {
    "auraloss SISDRLoss": lambda e, s, *_: _auraloss("SISDRLoss", e, s),
    "auraloss SNRLoss": lambda e, s, *_: _auraloss("SNRLoss", e, s),
    "auraloss MultiResolutionSTFTLoss": lambda e, s, *_: _auraloss("MultiResolutionSTFTLoss", e, s),
    "auraloss linear": lambda e, s, *_: _auraloss(
        "MultiResolutionSTFTLoss", e, s, w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0
    ),
    "torch_l1_snr L1SNRLoss": _l1_snr,
    "nussl SISDRLoss": _nussl_si_sdr,
    "nussl DeepClusteringLoss": lambda e, s, *points: _nussl_clustering(
        "DeepClusteringLoss", *points
    ),
    "nussl WhitenedKMeansLoss": _nussl_whitened,
    "asteroid deep_clustering_loss": _asteroid_clustering,
    "asteroid PITLossWrapper": _asteroid_permuted,
}
