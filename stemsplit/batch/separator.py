"""The Python interface: songs as arrays, tensors and files."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from stemsplit.batch.discover import Song
from stemsplit.batch.engine_cache import EngineCache
from stemsplit.batch.plan import select
from stemsplit.batch.run import Run
from stemsplit.batch.signatures import FILE_OPTIONS, NETWORK_OPTIONS, takes
from stemsplit.batch.split_files import results_of
from stemsplit.errors import UsageError
from stemsplit.options import (
    DEFAULT_FOLDER,
    DEFAULT_MODEL,
    SplitOptions,
)
from stemsplit.separation.device import resolve_device
from stemsplit.separation.pipeline import narrow, widen
from stemsplit.separation.queue import SegmentQueue, StemIterator
from stemsplit.separation.tensor_resample import resample_tensor
from stemsplit.separation.threads import limited_threads

#: Below this rate hardly any music is left, and resampling is extremely slow.
LOWEST_SAMPLE_RATE = 1_000  # Hz


class Separator:
    """A model that is loaded once and splits any number of songs.

    ``model`` is a name in the registry, a checkpoint file, or several of them separated by commas,
    which are averaged. Weights that are not on this machine are downloaded, unless ``offline``;
    those without a published SHA-256 only if ``allow_unverified``. If ``commercial``, a model whose
    licence is not known to allow commercial use is refused. ``stems`` (by default all stems of the
    model) or ``two_stems`` (one stem and the rest of the mix) select the outputs, together with
    ``mixes`` and ``sum_to_mix``, as in `selection.select_stems`; the attribute ``stems`` is the
    tuple of their names. All others are options of `EngineOptions`.

    Raises ``UsageError`` (also a ``ValueError``) for unknown names and refused models,
    ``CheckpointError`` for weights that cannot be downloaded, ``ResourceError`` for a missing
    device or too little memory.
    """

    @takes(*NETWORK_OPTIONS)
    def __init__(self, model: str = DEFAULT_MODEL, **options: Any) -> None:
        self.model = model
        self._settings = {"model": model, **options}
        settings = SplitOptions.of(self._settings)
        resolve_device(settings.engine.device)  # before anything is downloaded
        self._selection = select(settings)
        self._engines = EngineCache(settings, self._selection)
        for _ in self._engines.load():
            pass

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of the stems that are returned, in order."""
        return self._selection.wanted

    @property
    def sample_rate(self) -> int:
        """The sample rate of the model in Hz; other rates are resampled to it and back."""
        return self._engines.engine.sample_rate

    @overload
    def separate(self, mix: Tensor, sample_rate: int | None = ...) -> dict[str, Tensor]: ...
    @overload
    def separate(
        self, mix: NDArray[np.floating], sample_rate: int | None = ...
    ) -> dict[str, NDArray[np.float32]]: ...
    def separate(self, mix: Any, sample_rate: int | None = None) -> Any:
        """Return the stems of ``mix`` ``(C, T)`` or ``(B, C, T)`` by name, each of its shape.

        ``mix`` is a tensor or a NumPy array, and so are the stems, as float32 (tensors on its
        device). ``C`` is 1 or 2, full scale ±1.0, ``sample_rate`` in Hz (the model's by default).
        Each item of a batch is a separate song. Raises ``UsageError`` for another shape, and for
        NaN or infinity.
        """
        if isinstance(mix, np.ndarray):
            stems = self.separate(_as_tensor(mix), sample_rate)
            return {name: stem.numpy() for name, stem in stems.items()}
        _check_mix(mix, sample_rate)
        mix = mix.detach().float()
        if not bool(torch.isfinite(mix).all()):
            raise UsageError("the mix contains NaN or infinity")
        songs = mix if mix.ndim == 3 else mix[None]
        rate = self.sample_rate if sample_rate is None else sample_rate
        with limited_threads(self._engines.engine.execution.threads):
            queue = SegmentQueue()  # short songs share batches
            waiting = [self._enqueue(song, rate, queue) for song in songs]
            separated = torch.stack(
                [self._finish(stems, own, rate) for stems, own in zip(waiting, songs, strict=True)]
            )
        sources = separated if mix.ndim == 3 else separated[0]
        named = dict(zip(self._selection.needed, sources.unbind(-3), strict=True))
        own = mix.clone() if self._selection.needs_mix(self.stems) else None
        return self._selection.combine(named, own, self.stems)

    def _enqueue(self, song: Tensor, sample_rate: int, queue: SegmentQueue) -> StemIterator:
        """Return blocks of the stems of ``song`` ``(C, T)`` at the rate of the model."""
        engine = self._engines.engine
        resampled = resample_tensor(song, sample_rate, engine.sample_rate)
        if resampled.shape[-1] == 0:
            raise UsageError(f"{song.shape[-1]} frames at {sample_rate} Hz are too short")
        mono = resampled.double().mean(dim=0)
        deviation = float(mono.std()) if len(mono) > 1 else 0.0
        return engine.separate(
            [widen(resampled, engine.channels)],
            mean=float(mono.mean()),
            deviation=deviation,
            queue=queue,
        )

    def _finish(self, blocks: StemIterator, song: Tensor, sample_rate: int) -> Tensor:
        """Return the required sources ``(S, C, T)`` of ``song`` ``(C, T)``."""
        engine = self._engines.engine
        picked = [engine.sources.index(name) for name in self._selection.needed]
        stems = narrow(torch.cat(list(blocks), -1)[picked], len(song))
        back = resample_tensor(stems.flatten(0, 1), engine.sample_rate, sample_rate)
        # Resampling there and back may lose or gain a frame or two at the end.
        missing = song.shape[-1] - back.shape[-1]
        return pad(back, (0, missing)).view(len(picked), *song.shape)

    @takes(*FILE_OPTIONS)
    def separate_file(
        self,
        song: str | os.PathLike[str],
        out: str | os.PathLike[str] = DEFAULT_FOLDER,
        *,
        force: bool = False,
        **options: Any,
    ) -> dict[str, Path]:
        """Split the file ``song``, from ``start`` to ``end`` (s), and return its stems by name.

        They are written below ``out`` according to the template ``filename``, and have the same
        length, sample rate and channels as the song. Existing stems are kept if they are up to
        date, and are an error otherwise (`types.Existing`); with ``force`` all are replaced. Memory
        use does not depend on the length of the song. The format ``stem.mp4`` writes one file,
        ``stems``, with the song and four stems. The projects for the programs ``daw`` ("reaper",
        "dawproject") are written to the same folder, and returned with the stems. All others are
        options of `EncodingOptions`. Raises ``InputError``, ``OutputError``, ``UsageError`` and
        ``ResourceError``, and leaves no file then.
        """
        existing = "force" if force else "resume"
        settings = SplitOptions.of(self._settings | options | {"out": out, "existing": existing})
        run = Run(settings, engines=self._engines)
        (result,) = results_of(run.split([Song(Path(song))]))
        if result.error is not None:
            raise result.error
        return result.stems | dict[str, Path](result.projects.items())


@overload
def separate(song: Tensor, model: str = ..., **options: Any) -> dict[str, Tensor]: ...
@overload
def separate(
    song: NDArray[np.floating], model: str = ..., **options: Any
) -> dict[str, NDArray[np.float32]]: ...
@overload
def separate(song: str | os.PathLike[str], model: str = ..., **options: Any) -> dict[str, Path]: ...
def separate(
    song: Any,
    model: str = DEFAULT_MODEL,
    *,
    sample_rate: int | None = None,
    out: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Any:
    """Return the stems of ``song`` by name: like ``song``, arrays, tensors or files.

    An array or tensor is ``(C, T)`` or ``(B, C, T)`` at ``sample_rate`` Hz; the stems of a file are
    written below ``out``. ``options`` are those of ``Separator`` and, for a file, those of
    ``Separator.separate_file``. Use ``Separator`` for more than one song, or ``split_files`` for
    more than one file. Raises what these raise.
    """
    of_files = {name: options.pop(name) for name in ("force", *FILE_OPTIONS) if name in options}
    if isinstance(song, Tensor | np.ndarray):
        if of_files or out is not None:
            names = ", ".join(of_files) or "out"
            raise UsageError(f"{names} is for files, not for tensors and arrays")
        return Separator(model, **options).separate(song, sample_rate)
    if not isinstance(song, str | os.PathLike):
        kind = type(song).__name__
        raise UsageError(f"a song must be a tensor, an array or the path of a file, not {kind}")
    if sample_rate is not None:
        raise UsageError("sample_rate is for tensors and arrays: a file has its own")
    folder = DEFAULT_FOLDER if out is None else out
    return Separator(model, **options).separate_file(song, folder, **of_files)


def _as_tensor(mix: NDArray[Any]) -> Tensor:
    if not np.issubdtype(mix.dtype, np.floating):
        raise UsageError(
            f"a mix must be a floating-point array, not {mix.dtype}",
            hint="divide integers by their full scale: array / 32768 for 16 bits",
        )
    return torch.from_numpy(np.array(mix, np.float32))  # a copy: it may be read-only


def _check_mix(mix: object, sample_rate: int | None) -> None:
    """Raise ``UsageError`` unless ``mix`` is a song, or a batch of songs, at this rate."""
    if not isinstance(mix, Tensor) or not mix.is_floating_point():
        kind = mix.dtype if isinstance(mix, Tensor) else type(mix).__name__
        raise UsageError(
            f"a mix must be a floating-point tensor or array, not {kind}",
            hint="divide integers by their full scale: tensor / 32768 for 16 bits",
        )
    if mix.ndim not in (2, 3) or mix.shape[-2] not in (1, 2) or mix.numel() == 0:
        raise UsageError(
            f"a mix must be (C, T) or (B, C, T) with 1 or 2 channels and B, T > 0, not "
            f"{tuple(mix.shape)}"
        )
    if sample_rate is not None and not isinstance(sample_rate, Integral):
        raise UsageError(f"a sample rate must be a whole number of Hz, not {sample_rate!r}")
    if sample_rate is not None and sample_rate < LOWEST_SAMPLE_RATE:
        raise UsageError(
            f"a sample rate must be at least {LOWEST_SAMPLE_RATE} Hz, not {sample_rate}"
        )
