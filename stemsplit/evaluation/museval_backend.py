"""BSS Eval v4 computed by the package `museval`, if it is installed.

It keeps the whole song in memory, about 6 GB for five minutes of four stereo stems, and takes
several times as long as ``bss_eval``, whose values only differ where they depend on rounding.
"""

from __future__ import annotations

import importlib.util
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import Block
from stemsplit.errors import InputError, ResourceError

#: What to do if museval does not work.
OWN = "use the built-in BSS Eval (--bss-eval own)"
HINT = f"install it (pip install museval), or {OWN}"


def load_metrics() -> ModuleType:
    """Return the module ``museval.metrics``.

    It is loaded from its file, because the package cannot be imported unless ffmpeg and ffprobe are
    on the PATH. Raises ``ResourceError`` if `museval`, or scipy, which it requires, is not
    installed.
    """
    found = importlib.util.find_spec("museval")
    if found is None or found.origin is None:  # no origin: a folder of that name
        raise ResourceError("museval is not installed", hint=HINT)
    file = Path(found.origin).with_name("metrics.py")
    spec = importlib.util.spec_from_file_location("museval.metrics", file)
    assert spec is not None and spec.loader is not None
    metrics = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(metrics)
    except (ImportError, OSError) as exc:
        raise ResourceError(f"museval cannot be imported: {exc}", hint=HINT) from exc
    return metrics


def name_and_version() -> str:
    """Return ``museval`` and the installed version."""
    try:
        return f"museval {version('museval')}"
    except PackageNotFoundError:  # importable, but not installed as a package
        return "museval"


class MusevalScores:
    """BSS Eval v4 by `museval` for a song of ``frames`` samples, added in blocks.

    ``window`` and ``hop`` are in samples. Raises ``ResourceError`` as ``load_metrics`` does.
    """

    def __init__(self, sources: int, channels: int, frames: int, *, window: int, hop: int) -> None:
        self._metrics = load_metrics()
        self._window, self._hop = window, hop
        self._song = np.empty((2, sources, frames, channels))
        self._position = 0

    def add(self, references: Block, estimates: Block) -> None:
        """Add the next block of both, ``(S, C, n)``."""
        end = self._position + references.shape[-1]
        for whole, block in zip(self._song, (references, estimates), strict=True):
            whole[:, self._position : end] = block.swapaxes(1, 2)
        self._position = end

    def result(self) -> NDArray[np.float64]:
        """Return SDR, ISR, SIR and SAR ``(4, S, N)`` in dB; NaN for frames with a silent source.

        Raises ``InputError`` if `museval` finds no filters, because the references are linearly
        dependent to working precision.
        """
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found = self._metrics.bss_eval(
                    *self._song, window=self._window, hop=self._hop, compute_permutation=False
                )
        # AttributeError: museval handles the former by a name that NumPy 2 has removed.
        except (np.linalg.LinAlgError, AttributeError) as exc:
            if np.linalg.LinAlgError not in (type(exc), type(exc.__context__)):
                raise
            raise InputError(
                "museval finds no filters for these references",
                hint=OWN,
            ) from exc
        return np.stack(found[:4])
