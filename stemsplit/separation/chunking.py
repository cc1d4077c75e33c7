"""Cutting a stream of audio into overlapping segments, and adding their stems up again.

Both directions are generators, so that memory depends on the segment and not on the song. The
geometry is that of the Demucs reference (segments every ``hop`` frames as long as audio is left, a
triangular weight): the sums are the same, frame for frame, as with the whole song in memory.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stemsplit.types import Window


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames for the network; those kept of its output are ``valid`` frames from ``start`` on."""

    audio: Tensor  # (C, T), T the size of a segment at most
    start: int
    valid: int
    last: bool


def hop_frames(size: int, overlap: float) -> int:
    """Return the distance in frames between segments of ``size`` that overlap by ``overlap`` of it.

    Raises ``ValueError`` unless 0 <= ``overlap`` < 1.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be at least 0 and below 1, not {overlap}")
    return max(1, int((1 - overlap) * size))


#: Share of a segment over which the window ``fade`` rises, and falls.
FADE = 0.1


def weigh(size: int, window: Window = "triangle") -> Tensor:
    """Return the weights ``(size,)`` of the frames of a segment, at most 1 and nowhere 0.

    ``triangle`` rises to the middle, ``fade`` is flat but for a tenth at each end. Since no weight
    is 0, the first and the last frame of a song come out right without padding.
    """
    rising = torch.arange(1, size // 2 + 1)
    falling = torch.arange(size - size // 2, 0, -1)
    weight = torch.cat([rising, falling]).float()
    highest = weight.max() if window == "triangle" else torch.tensor(max(1, int(FADE * size)))
    return weight.clamp(max=highest) / highest


def segments(
    blocks: Iterable[Tensor], size: int, hop: int, *, padded: bool = True, alignment: int = 1
) -> Iterator[Segment]:
    """Yield segments of ``size`` frames, one every ``hop``, of ``blocks`` ``(C, n)`` of any ``n``.

    A segment at the end of the song that has less than ``size`` frames is put into the middle,
    after the real audio before it (zeros where there is none) and before zeros. Unless ``padded``,
    it is what there is of real audio instead, up to ``size`` frames, from a multiple of
    ``alignment`` on. ``0 < hop <= size``.
    """
    # A full segment is handed on when more than this is left: then another one follows it.
    enough = max(size - 1, hop) if padded else size
    # Of the rest at the end, one segment gives this much. Without padding it gives all, since the
    # one after it would process the same frames.
    covered = hop if padded else size
    history = size // 2 if padded else size  # the most that a short segment looks back
    kept = torch.empty(0)
    head = 0  # where the next segment starts in ``kept``
    gone = 0  # frames of the song before ``kept``
    for block in blocks:
        kept = torch.cat([kept, block], -1) if kept.numel() else block
        while kept.shape[-1] - head > enough:
            yield Segment(kept[..., head : head + size], 0, size, False)
            head += hop
            behind = max(0, head - history)
            kept, head, gone = kept[..., behind:], head - behind, gone + behind
    while (valid := kept.shape[-1] - head) > 0:
        if padded:
            start = (size - valid) // 2
            audio = _centred(kept, head - start, size)
        else:
            earliest = max(0, head + valid - size)
            begin = min(head, earliest + -(gone + earliest) % alignment)
            start = head - begin
            audio = kept[..., begin : head + valid]
        yield Segment(audio, start, valid, valid <= covered)
        head += covered


def _centred(audio: Tensor, begin: int, size: int) -> Tensor:
    """Return ``audio[..., begin : begin + size]`` with zeros where there is no audio."""
    taken = audio[..., max(0, begin) : begin + size]
    left = max(0, -begin)
    return torch.nn.functional.pad(taken, (left, size - left - taken.shape[-1]))


def overlap_add(
    outputs: Iterable[tuple[Segment, Tensor]],
    size: int,
    hop: int,
    window: Window = "triangle",
    *,
    scale: float = 1.0,
    offset: float = 0.0,
) -> Generator[Tensor]:
    """Yield the finished blocks ``(S, C, n)`` of the stems ``(S, C, T)`` of each segment.

    A block is finished when no later segment can touch it; the blocks together are as long as the
    song. Each is multiplied by ``scale``, and ``offset`` is added.
    """
    weight = weigh(size, window)
    total: Tensor | None = None
    norm = torch.zeros(size)
    for segment, stems in outputs:
        if total is None:
            total = stems.new_zeros(*stems.shape[:-1], size)
            weight, norm = weight.to(stems.device), norm.to(stems.device)
        valid = segment.valid
        kept = stems[..., segment.start : segment.start + valid]
        total[..., :valid] += kept * weight[:valid]
        norm[:valid] += weight[:valid]
        finished = valid if segment.last else hop
        yield total[..., :finished] / norm[:finished] * scale + offset
        if not segment.last:
            _shift(total, hop)
            _shift(norm, hop)


def _shift(values: Tensor, frames: int) -> None:
    """Move ``values`` ``(..., size)`` left by ``frames`` in place; zeros follow."""
    rest = values.shape[-1] - frames
    values[..., :rest] = values[..., frames:].clone()
    values[..., rest:] = 0
