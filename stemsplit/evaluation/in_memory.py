"""Stems of a song in memory, stacked so that they are scored like files."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stemsplit.audio.blocks import Block
from stemsplit.errors import UsageError
from stemsplit.evaluation.shapes import Layout, check_order, swaps_axes


@dataclass(frozen=True, slots=True)
class TracksInMemory:
    """References of the ``scored`` stems, all estimates, and the mixture if there is one."""

    tracks: Block  # (S, C, T)
    scored: list[str]
    sample_rate: int

    @classmethod
    def stack(
        cls, estimates: Mapping[str, Any], references: Mapping[str, Any], mixture: Any, rate: int
    ) -> TracksInMemory:
        """Return arrays or tensors ``(C, T)``; raise ``UsageError`` where they differ in shape."""
        scored = [name for name in estimates if name in references]
        if references and not scored:
            raise UsageError("no estimate has the name of a reference")
        tracks = {f"reference {name}": references[name] for name in scored}
        tracks |= {f"estimate {name}": estimates[name] for name in estimates}
        if mixture is not None:
            tracks["mixture"] = mixture
        arrays = {name: as_array(track) for name, track in tracks.items()}
        if not arrays:
            raise UsageError("no estimates were given")
        first_name, first = next(iter(arrays.items()))
        for name, array in arrays.items():
            if array.ndim != 2 or array.shape != first.shape or not array.size:
                raise UsageError(
                    f"arrays must have one shape (C, T): {name} is {array.shape}, "
                    f"{first_name} is {first.shape}"
                )
            try:
                check_order(name, array.shape)
            except ValueError as exc:
                raise UsageError(str(exc)) from exc
            if not np.isfinite(array).all():
                raise UsageError(f"{name} contains NaN or infinity")
        return cls(np.stack(list(arrays.values())), scored, rate)

    @property
    def channels(self) -> int:
        return int(self.tracks.shape[1])

    @property
    def frames(self) -> int:
        return int(self.tracks.shape[2])

    def blocks(self, block_frames: int) -> Generator[Block]:
        """Yield blocks ``(S, C, n)``; ``n`` is ``block_frames`` except in the last block."""
        for start in range(0, self.frames, block_frames):
            yield self.tracks[..., start : start + block_frames]


@dataclass(frozen=True, slots=True)
class NamedSong:
    """One song of a batch: stems ``(C, T)`` by name, and the mixture if there is one."""

    estimates: dict[str, Block]
    references: dict[str, Block] | None
    mixture: Block | None


def name_stems(
    estimates: Any,
    references: Any,
    mixture: Any,
    layout: Layout | None,
    names: Sequence[str] | None,
) -> list[NamedSong]:
    """Return the songs of ``(B, S, C, T)``, with their stems by name; mixtures are ``(B, C, T)``.

    Without ``names`` the stems are numbered, from ``source 1`` on. Raises ``UsageError`` for shapes
    that do not fit together.
    """
    try:
        swapped = swaps_axes(layout)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    guess = _songs("estimates", estimates, 4, swapped)
    truth = None if references is None else _songs("references", references, 4, swapped)
    mixes = None if mixture is None else _songs("mixture", mixture, 3, swapped)
    if truth is not None and truth.shape != guess.shape:
        raise UsageError(
            f"references {np.shape(references)} and estimates {np.shape(estimates)} differ in shape"
        )
    if mixes is not None and len(mixes) != len(guess):
        raise UsageError(f"{len(mixes)} mixtures do not match {len(guess)} songs")
    stems = list(names or (f"source {k}" for k in range(1, guess.shape[1] + 1)))
    if len(set(stems)) != guess.shape[1]:
        raise UsageError(f"{len(set(stems))} names do not match {guess.shape[1]} sources")
    return [
        NamedSong(
            dict(zip(stems, song, strict=True)),
            None if truth is None else dict(zip(stems, truth[k], strict=True)),
            None if mixes is None else mixes[k],
        )
        for k, song in enumerate(guess)
    ]


def _songs(what: str, signals: Any, dimensions: int, swapped: bool) -> Block:
    """Return ``signals`` ``(…, C, T)``; they are ``(…, T, C)`` where their axes are ``swapped``."""
    songs = as_array(signals)
    if songs.ndim != dimensions:
        axes = "(S, C, T)" if dimensions == 4 else "(C, T)"
        raise UsageError(f"{what} of a song must be {axes}, not {songs.shape[1:]}")
    return songs.swapaxes(-1, -2) if swapped else songs


def as_array(track: Any) -> Block:
    """Return an array or a tensor, from any device and with or without a gradient, as float32."""
    if hasattr(track, "detach"):
        track = track.detach().cpu()
    return np.asarray(track, np.float32)
