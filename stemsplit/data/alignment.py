"""Several stems of a song side by side: one rate, one number of channels, one length."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.blocks import Block, BlockReader, FrameCounter
from stemsplit.audio.decode import decode
from stemsplit.audio.excerpt import cut
from stemsplit.audio.probe import probe
from stemsplit.audio.resample import resample
from stemsplit.errors import InputError
from stemsplit.evaluation.scores import Audio
from stemsplit.options import WHOLE, Excerpt
from stemsplit.types import StreamInfo

_File: TypeAlias = tuple[Path, int, Excerpt]

#: Bytes of decoded files that are kept: short songs, nine stereo files of 40 s, are decoded once.
KEPT = 1 << 27


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a sum: what it is, its length at the common rate, and what was kept of it."""

    info: StreamInfo
    frames: int
    kept: tuple[Block, ...] | None  # all its blocks, or none


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Stems that can be read side by side, as often as one likes, in bounded memory.

    ``remarks`` tell what was done to make them alike: each was resampled to ``sample_rate``, mono
    was put on both channels, more than two channels were mixed down, and the longer stems are cut.
    """

    sample_rate: int  # Hz
    channels: int
    frames: int
    remarks: tuple[str, ...]
    _tracks: tuple[tuple[_Part, ...], ...]

    def blocks(self, block_frames: int | None = None) -> Generator[NDArray[np.float32]]:
        """Yield blocks ``(S, C, n)``, stems in the order given; ``n`` is ``block_frames`` (None:
        one second) but in the last block. Closing the generator ends what reads the files.
        """
        size = block_frames or self.sample_rate
        with ExitStack() as stack:
            tracks = [[self._read(part, stack) for part in parts] for parts in self._tracks]
            for start in range(0, self.frames, size):
                count = min(size, self.frames - start)
                block = np.zeros((len(tracks), self.channels, count), np.float32)
                for stem, readers in zip(block, tracks, strict=True):
                    for reader in readers:
                        stem += reader.take(count)  # one channel is added to both
                yield block

    def _read(self, part: _Part, stack: ExitStack) -> BlockReader:
        decoded: Iterator[Block]
        if part.kept is not None:
            decoded = iter(part.kept)
        else:  # what is wrong with the file has been told when it was counted
            decoded = stack.enter_context(decode(part.info, accept_truncated=True))
        channels = part.info.channels
        blocks = resample(
            decoded,
            channels=channels,
            from_rate=part.info.sample_rate,
            to_rate=self.sample_rate,
            frames=part.frames,
        )
        # A file may be shorter than the others of its sum.
        silence = repeat(np.zeros((channels, self.sample_rate), np.float32))
        return BlockReader(chain(stack.enter_context(closing(blocks)), silence))


def align(
    tracks: Sequence[Audio], *, sample_rate: int | None = None, accept_truncated: bool = False
) -> Alignment:
    """Return ``tracks`` side by side, at ``sample_rate`` Hz (None: that of the first file).

    Every file is decoded once to count its frames; short ones are kept. Stems are cut to the
    shortest; of the files of a sum, the shorter ones end in silence. Delays and polarity are left
    as they are: see ``stemsplit.evaluation.delay``. Raises ``InputError`` for files that cannot be
    read to their end (unless ``accept_truncated``), that hold no frame, or values that are no
    numbers.
    """
    remarks: list[str] = []
    counted: dict[_File, _Part] = {}
    room = KEPT
    for file in dict.fromkeys(file for track in tracks for file in _files(track)):
        counted[file] = _count(file, remarks, room, accept_truncated=accept_truncated)
        room -= sum(block.nbytes for block in counted[file].kept or ())
    rate = sample_rate or counted[_files(tracks[0])[0]].info.sample_rate
    files = {key: _at_rate(part, rate) for key, part in counted.items()}
    stored = {part.info.sample_rate for part in files.values()} - {rate}
    for other in sorted(stored):
        names = [_label(p) for p in files.values() if p.info.sample_rate == other]
        remarks.append(f"resampled from {other} to {rate} Hz: {', '.join(names)}")
    channels = max(part.info.channels for part in files.values())
    narrow = [_label(part) for part in files.values() if part.info.channels < channels]
    if narrow:
        remarks.append(f"mono, put on both channels: {', '.join(narrow)}")
    parts = tuple(tuple(files[key] for key in _files(track)) for track in tracks)
    lengths = [max(part.frames for part in each) for each in parts]
    frames = min(lengths)
    remarks += _remarks_on_lengths(parts, lengths, rate)
    if frames == 0:
        shortest = tracks[lengths.index(0)]
        raise InputError(f"holds no audio at {rate} Hz: 0 frames", path=shortest.paths[0])
    return Alignment(
        sample_rate=rate,
        channels=channels,
        frames=frames,
        remarks=tuple(dict.fromkeys(remarks)),
        _tracks=parts,
    )


def _files(track: Audio) -> list[_File]:
    return [(path, stream, track.excerpt) for path, stream in track.parts()]


def _count(file: _File, remarks: list[str], room: int, *, accept_truncated: bool) -> _Part:
    """Return how long ``file`` is, and its blocks where they are not more than ``room`` bytes."""
    path, stream, excerpt = file
    info = cut(probe(path, stream), excerpt)
    counter = FrameCounter(info)
    kept: list[Block] = []
    with decode(info, accept_truncated=accept_truncated) as decoder:
        for block in counter.count(decoder):
            room -= block.nbytes
            if room >= 0:
                kept.append(block)
            else:
                kept.clear()
    if counter.frames == 0:
        where = "" if excerpt == WHOLE else " in the part that is asked for"
        raise InputError(f"holds no audio{where}: 0 frames", path=path)
    part = _Part(info, counter.frames, tuple(kept) if room >= 0 else None)
    remarks += (f"{_label(part)}: {complaint}" for complaint in decoder.warnings)
    if info.stored_channels > info.channels:
        mixed = f"{info.stored_channels} channels are mixed down to {info.channels}"
        remarks.append(f"{_label(part)}: {mixed}")
    return part


def _at_rate(part: _Part, rate: int) -> _Part:
    return replace(part, frames=round(part.frames * rate / part.info.sample_rate))


def _remarks_on_lengths(
    tracks: Sequence[Sequence[_Part]], lengths: Sequence[int], rate: int
) -> Iterator[str]:
    frames = min(lengths)
    shortest = " + ".join(map(_label, tracks[lengths.index(frames)]))
    for parts, length in zip(tracks, lengths, strict=True):
        if length > frames:
            yield (
                f"{' + '.join(map(_label, parts))}: the last {length - frames} of {length} frames "
                f"left out, {shortest} has {frames} ({frames / rate:.3f} s)"
            )
        for part in parts:
            if part.frames < length:
                before = (length - part.frames) / rate
                yield f"{_label(part)}: ends {before:.3f} s before the other files of its sum"


def _label(part: _Part) -> str:
    """Return the name of the file with its folder: estimates and references are named alike."""
    path = part.info.path.absolute()
    stream = f" (stream {part.info.stream + 1})" if part.info.stream else ""
    return f"{path.parent.name}/{path.name}{stream}"
