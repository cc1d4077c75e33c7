"""museval's metrics as an oracle, installed into a separate folder."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile

PACKAGES = ("museval==0.4.1", "mir_eval==0.7", "six", "torch-log-wmse==1.1.0", "auraloss==0.4.0")
SONGS = Path(__file__).parent.parent.parent / "shared" / "stems" / "eval"
STEMS = ("vocals", "drums", "bass", "other")


def install(folder: Path) -> Path:
    """Install the packages with the metrics into ``folder``, without their dependencies."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", str(folder), *PACKAGES], check=True, timeout=600)
    return folder


def load_museval(folder: Path) -> ModuleType:
    """Return ``museval.metrics`` from its file: the package does not import without ffmpeg."""
    spec = importlib.util.spec_from_file_location("oracle", folder / "museval" / "metrics.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_song(name: str) -> np.ndarray:
    """Return the true stems ``(S, T, C)`` of a song, float64."""
    return np.stack([soundfile.read(SONGS / name / f"{stem}.flac")[0] for stem in STEMS])


def perturb(references: np.ndarray) -> np.ndarray:
    """Return estimates of stems ``(S, T, C)`` with leakage, loss and noise, as separators do."""
    level = np.sqrt(np.mean(references**2, axis=(1, 2), keepdims=True))
    noise = np.random.default_rng(0).standard_normal(references.shape)
    leakage = references.sum(0) - references
    return np.asarray(0.9 * references + 0.05 * leakage + 0.03 * level * noise)


def write_imitation(folder: Path) -> Path:
    """Write a package that passes for museval 9.8 into ``folder``; its SDR, ISR, … are 1, 2, ….

    Like the real one without ffmpeg on the PATH, it cannot be imported as a whole.
    """
    package = folder / "museval"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('ffmpeg could not be found')\n")
    (package / "metrics.py").write_text(IMITATION)
    described = folder / "museval-9.8.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: museval\nVersion: 9.8\n")
    return folder


IMITATION = """
import numpy as np

def bss_eval(references, estimates, window, hop, compute_permutation):
    frames = max(references.shape[1] - window, 0) // hop + 1
    values = [np.full((len(references), frames), float(k)) for k in (1, 2, 3, 4)]
    return (*values, None)
"""
