"""The separators without weights against librosa and scikit-learn, which have the same methods.

They are run by neither, because what they need weighs more than all else here together; so they are
installed into a folder of the test's own.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from oracles import signal_to_difference
from torch import Tensor

from stemsplit.models.hpss import HPSS, HPSSConfig
from stemsplit.models.ica import separate
from stemsplit.models.nmf import factorise
from stemsplit.models.spectrograms import stft

pytestmark = pytest.mark.network

#: Without numpy and scipy, which are here.
PACKAGES = (
    "librosa scikit-learn lazy_loader audioread joblib threadpoolctl decorator msgpack pooch numba "
    "llvmlite soxr packaging platformdirs requests cloudpickle loky narwhals"
)


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = str(tmp_path_factory.mktemp("packages"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*pip, *PACKAGES.split()], check=True, capture_output=True)
    sys.path.append(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others' packages are warned of
        yield
    sys.path.remove(folder)


@pytest.fixture
def mix(mixture: np.ndarray) -> Tensor:
    """A short song ``(C, T)``."""
    return torch.from_numpy(mixture).float()


def test_hpss_has_the_masks_of_librosa(mix: Tensor) -> None:
    from librosa.decompose import hpss

    model = HPSS(HPSSConfig())
    window = model.analysis_window(mix.device)
    magnitudes = stft(mix[None], model.n_fft, model.hop, window=window).abs()
    expected = hpss(magnitudes[0].numpy(), kernel_size=17, power=2.0, mask=True)
    for mask, own in zip(expected, model.masks(magnitudes)[0], strict=True):
        assert signal_to_difference(torch.from_numpy(mask), own) > 140


@pytest.mark.parametrize("iterations", [1, 10, 100])
def test_nmf_has_the_updates_of_scikit_learn(mix: Tensor, iterations: int) -> None:
    from sklearn.decomposition import non_negative_factorization

    magnitudes = stft(mix[0], 2048, 512)[:300].abs()
    spectra, courses = factorise(magnitudes, 8, iterations=iterations, seed=3)
    start = torch.Generator().manual_seed(3)
    bins, frames = magnitudes.shape
    first_spectra = torch.rand(bins, 8, generator=start).double()
    first_courses = torch.rand(8, frames, generator=start).double()
    loudness = float(magnitudes.mean())
    # There the left matrix comes first, here the courses: both matrices change places.
    left, right, _ = non_negative_factorization(
        (magnitudes.double().numpy().T / loudness).copy(),
        W=first_courses.numpy().T.copy(),
        H=first_spectra.numpy().T.copy(),
        n_components=8,
        init="custom",
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=iterations,
        tol=0,
    )
    assert signal_to_difference(torch.from_numpy(right.T), spectra) > 110
    assert signal_to_difference(torch.from_numpy(left.T * loudness), courses) > 110


def test_ica_finds_the_sources_of_scikit_learn(mix: Tensor) -> None:
    from sklearn.decomposition import FastICA

    ica = FastICA(2, whiten="unit-variance", fun="logcosh", random_state=0, tol=1e-9, max_iter=999)
    components = ica.fit_transform(mix.double().numpy().T)
    images = separate(mix)
    images -= images.mean(-1, keepdim=True)
    for column, component in zip(ica.mixing_.T, components.T, strict=True):
        expected = torch.from_numpy(np.outer(column, component))
        assert max(signal_to_difference(expected, image) for image in images) > 100
