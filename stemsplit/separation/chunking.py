"""Cuts a stream of audio into overlapping segments, and overlap-adds their stems.

Both directions are generators, so that memory depends on the segment and not on the song. There are
three ways to cut: that of Demucs (`segments`), that of Music-Source-Separation-Training, with which
the community trains its networks (`reflected_segments`), and one for networks that process any
length, whose last segment is not padded (`unpadded_segments`). The results are the same, frame
for frame, as with the whole song in memory.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat

import torch
from torch import Tensor
from torch.nn import functional

from stemsplit.types import Window

#: Each fade of a ``fade`` window is a segment's length divided by this.
FADES = 10
#: Frames of a block of finished stems: 6 s, of which several copies may be in memory at a time.
LONGEST_BLOCK = 2**18
#: Replaces the weight 0 at both ends of the trainer's fade, so that a frame that only one segment
#: covers does not become 0 / 0. Its effect on frames that others cover is at -180 dB.
LEAST_WEIGHT = 1e-9
#: How far the product of a size and an overlap like 1 - 1/3 may be from a whole number of frames.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames for the network; of its output, ``valid`` frames from ``start`` on are kept.

    The first ``lead`` of these precede the song.
    """

    audio: Tensor  # (C, T)
    start: int
    valid: int
    last: bool
    lead: int = 0


def hop_frames(size: int, overlap: float, window: Window = "triangle") -> int:
    """Return the hop in frames between segments of ``size``, for an ``overlap`` as a fraction.

    With the ``fade`` window, an overlap of 1 - 1/n results in ``size // n``; Demucs, which uses the
    triangle, loses a frame to rounding for some n. Raises ``ValueError`` unless
    0 <= ``overlap`` < 1.
    """
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap must be at least 0 and below 1, not {overlap}")
    return max(1, int((1 - overlap) * size + (ROUNDING if window == "fade" else 0)))


def weigh(size: int, window: Window = "triangle", *, first: bool = False) -> Tensor:
    """Return the weights ``(size,)`` of the frames of a segment, at most 1 and never 0.

    ``triangle`` rises to the middle; ``fade`` is flat except for a tenth at each end, and does not
    rise in the ``first`` segment. As no weight is 0, every frame of a song can be normalised.
    """
    if window == "triangle":
        rising = torch.arange(1, size // 2 + 1)
        falling = torch.arange(size - size // 2, 0, -1)
        weight = torch.cat([rising, falling]).float()
        return weight / weight.max()
    fade = size // FADES
    weight = torch.ones(size)
    if not first:
        weight[:fade] = torch.linspace(0, 1, fade)
    weight[size - fade :] = torch.linspace(1, 0, fade)
    return weight.clamp(min=LEAST_WEIGHT)


def segments(
    blocks: Iterable[Tensor],
    size: int,
    hop: int,
    *,
    context: int | None = None,
    quick_end: bool = False,
) -> Iterator[Segment]:
    """Yield segments of ``size`` frames, one every ``hop``, of ``blocks`` ``(C, n)`` of any ``n``.

    A segment at the end of the song with fewer than ``size`` frames is centred: it is preceded by
    the audio before it and followed by zeros. With ``context`` it is not padded; instead, every
    segment has that many frames of the song on either side (zeros outside the song), which the
    network does not include in its output. With ``quick_end`` there is no segment for an end of the
    song that the one before covers. ``0 < hop <= size``. Source: ``apply_model`` of demucs 4.1.0.
    """
    margin = context or 0
    # Yield a full segment only if more frames than this are left, so that another one follows.
    enough = size + margin if quick_end else max(size + margin - 1, hop)
    history = size // 2 if context is None else margin  # the most that a segment extends back
    kept = torch.empty(0)
    head = 0  # where the next segment starts in ``kept``
    for block in blocks:
        kept = torch.cat([kept, block], -1) if kept.numel() else block
        while kept.shape[-1] - head > enough:
            yield Segment(_cut(kept, head - margin, size + 2 * margin), 0, size, False)
            head += hop
            behind = max(0, head - history)
            kept, head = kept[..., behind:], head - behind
    while (rest := kept.shape[-1] - head) > 0:
        valid = min(size, rest)
        before = (size - valid) // 2 if context is None else margin
        length = size if context is None else valid + 2 * margin
        start = before if context is None else 0
        last = rest <= (size if quick_end else hop)
        yield Segment(_cut(kept, head - before, length), start, valid, last)
        head += size if last else hop


def _cut(audio: Tensor, begin: int, length: int) -> Tensor:
    """Return ``audio[..., begin : begin + length]`` with zeros outside ``audio``."""
    taken = audio[..., max(0, begin) : begin + length]
    left = max(0, -begin)
    right = length - left - taken.shape[-1]
    return functional.pad(taken, (left, right)) if left or right else taken


def unpadded_segments(
    blocks: Iterable[Tensor], size: int, hop: int, *, shortest: int = 1, alignment: int = 1
) -> Iterator[Segment]:
    """Yield segments of ``size`` frames, one every ``hop``, of ``blocks`` ``(C, n)`` of any ``n``.

    The last segment contains what is left, up to ``size`` frames. If that is less than ``shortest``
    frames, it extends backwards to a multiple of ``alignment``, but never beyond ``size`` frames.
    ``0 < hop <= size``.
    """
    kept = torch.empty(0)
    head = 0  # where the next segment starts in ``kept``
    gone = 0  # frames of the song before ``kept``
    for block in blocks:
        kept = torch.cat([kept, block], -1) if kept.numel() else block
        while kept.shape[-1] - head > size:
            yield Segment(kept[..., head : head + size], 0, size, False)
            head += hop
            behind = max(0, head - size)
            kept, head, gone = kept[..., behind:], head - behind, gone + behind
    if (valid := kept.shape[-1] - head) > 0:
        latest = max(0, head + valid - shortest)
        earliest = max(0, head + valid - size)
        begin = min(head, max(earliest, latest - (gone + latest) % alignment))
        yield Segment(kept[..., begin:], head - begin, valid, True)


def reflected_segments(blocks: Iterable[Tensor], size: int, hop: int) -> Iterator[Segment]:
    """Yield segments of ``size`` frames, one every ``hop``, of a song reflected at both ends.

    ``size - hop`` frames are reflected, so that as many segments cover the ends of the song as its
    middle; a song of up to twice that length is cut without reflection. A segment with fewer than
    ``size`` frames is padded with its own reflection, or with zeros if it is at most half full.
    Segments that would consist of reflection only are left out. ``0 < hop <= size``. Source:
    ``demix`` of Music-Source-Separation-Training (msst 0.1.0).
    """
    stream = iter(blocks)
    border = size - hop
    kept = _read_beyond(stream, 2 * border)
    if kept.shape[-1] <= 2 * border:
        border = 0
    kept = torch.cat([kept[..., 1 : border + 1].flip(-1), kept], -1)
    head, lead = 0, border
    for block in chain([kept[..., :0]], stream):
        kept = torch.cat([kept, block], -1)
        # Another segment follows: more than a hop is left.
        while kept.shape[-1] - head > max(size - 1, hop):
            yield Segment(kept[..., head : head + size], 0, size, False, lead)
            head, lead = head + hop, max(0, lead - hop)
        behind = max(0, head - border)  # keep what the end may reflect
        kept, head = kept[..., behind:], head - behind
    end = kept.shape[-1]
    kept = torch.cat([kept, kept[..., end - 1 - border : end - 1].flip(-1)], -1)
    while (rest := end - head) > 0:
        audio = _fill_up(kept[..., head : head + size], size)
        yield Segment(audio, 0, min(size, rest), rest <= hop, lead)
        head, lead = head + hop, max(0, lead - hop)


def _read_beyond(stream: Iterator[Tensor], frames: int) -> Tensor:
    """Read blocks of ``stream`` until there are more than ``frames``, or it ends; join them."""
    kept = torch.empty(0)
    while kept.shape[-1] <= frames and (block := next(stream, None)) is not None:
        kept = torch.cat([kept, block], -1) if kept.numel() else block
    return kept


def _fill_up(audio: Tensor, size: int) -> Tensor:
    """Return ``audio`` ``(C, T)`` with its reflection, or zeros, after it: ``(C, size)``."""
    mode = "reflect" if audio.shape[-1] > size // 2 else "constant"
    return functional.pad(audio, (0, size - audio.shape[-1]), mode=mode)


def overlap_add(
    outputs: Iterable[tuple[Segment, Tensor]],
    size: int,
    hop: int,
    window: Window = "triangle",
    *,
    scale: float = 1.0,
    offset: float = 0.0,
) -> Generator[Tensor]:
    """Yield finished blocks ``(S, C, n)`` of stems, from the stems ``(S, C, T)`` of each segment.

    A block is finished when no later segment overlaps it; the blocks together are as long as the
    song, and each has at most `LONGEST_BLOCK` frames. Each is multiplied by ``scale``, then
    ``offset`` is added.
    """
    windows = chain([weigh(size, window, first=True)], repeat(weigh(size, window)))
    total: Tensor | None = None
    norm = torch.zeros(size)
    for segment, stems in outputs:
        weight = next(windows).to(stems.device)
        if total is None:
            total = stems.new_zeros(*stems.shape[:-1], size)
            norm = norm.to(stems.device)
        valid = segment.valid
        # One by one, and forgotten before the next segment: the stems of a minute take 80 MB.
        for stem, added in zip(total, stems, strict=True):
            stem[..., :valid] += added[..., segment.start : segment.start + valid] * weight[:valid]
        norm[:valid] += weight[:valid]
        del stems, added
        finished = valid if segment.last else hop
        for start in range(segment.lead, finished, LONGEST_BLOCK):
            done = slice(start, min(start + LONGEST_BLOCK, finished))
            yield (total[..., done] / norm[done]).mul_(scale).add_(offset)
        if not segment.last:
            _shift(total, hop)
            _shift(norm, hop)


def _shift(values: Tensor, frames: int) -> None:
    """Move ``values`` ``(..., size)`` left by ``frames`` in place; zeros follow."""
    rest = values.shape[-1] - frames
    values[..., :rest] = values[..., frames:].clone()
    values[..., rest:] = 0
