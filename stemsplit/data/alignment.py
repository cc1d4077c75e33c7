"""Read several stems of a song in step: one sample rate, channel count and length."""

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
from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError
from stemsplit.options import WHOLE, Excerpt
from stemsplit.types import StreamInfo

#: What identifies a file that is read: its path, audio stream and excerpt.
_Key: TypeAlias = tuple[Path, int, Excerpt]

#: Bytes of decoded audio to keep: nine stereo files of 40 s are decoded only once.
CACHE_SIZE = 1 << 27


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a stem, its length at the common rate, and its audio if that is cached."""

    info: StreamInfo
    frames: int
    cached: tuple[Block, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Stems that can be read in step, any number of times, in bounded memory.

    ``remarks`` report what was changed to align them: files are resampled to ``sample_rate``, mono
    is copied to both channels, more than two channels are mixed down, and longer stems are cut.
    """

    sample_rate: int  # Hz
    channels: int
    frames: int
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]  # those of `remarks` that report damage
    _stems: tuple[tuple[_File, ...], ...]

    def infos(self) -> list[list[StreamInfo]]:
        """Return for each stem what is known about its files."""
        return [[file.info for file in files] for files in self._stems]

    def lengths(self) -> list[int]:
        """Return for each stem its length in frames before it was cut."""
        return [max(file.frames for file in files) for files in self._stems]

    def blocks(self, block_frames: int | None = None) -> Generator[NDArray[np.float32]]:
        """Yield blocks ``(S, C, n)``, stems in the order given; ``n`` is ``block_frames`` (None:
        one second) but in the last block. Closing the generator ends the decoders.
        """
        size = block_frames or self.sample_rate
        with ExitStack() as stack:
            stems = [[self._read(file, stack) for file in files] for files in self._stems]
            for start in range(0, self.frames, size):
                count = min(size, self.frames - start)
                block = np.zeros((len(stems), self.channels, count), np.float32)
                for total, readers in zip(block, stems, strict=True):
                    for reader in readers:
                        total += reader.take(count)  # adds a single channel to both
                yield block

    def _read(self, file: _File, stack: ExitStack) -> BlockReader:
        decoded: Iterator[Block]
        if file.cached is not None:
            decoded = iter(file.cached)
        else:  # its warnings were reported when its frames were counted
            decoded = stack.enter_context(decode(file.info, accept_truncated=True))
        channels = file.info.channels
        blocks = resample(
            decoded,
            channels=channels,
            from_rate=file.info.sample_rate,
            to_rate=self.sample_rate,
            frames=file.frames,
        )
        # A file may be shorter than the others of its stem.
        silence = repeat(np.zeros((channels, self.sample_rate), np.float32))
        return BlockReader(chain(stack.enter_context(closing(blocks)), silence))


def align(
    stems: Sequence[StemFiles], *, sample_rate: int | None = None, accept_truncated: bool = False
) -> Alignment:
    """Align ``stems`` at ``sample_rate`` Hz (None: that of the first file).

    Every file is decoded once to count its frames, and short ones are cached. Stems are cut to the
    shortest; where a stem is a sum of files, silence follows the shorter ones. Delay and polarity
    stay as they are. Raises ``InputError`` for files that cannot be read to their end (unless
    ``accept_truncated``), that have no frames, or that contain NaN or infinity.
    """
    remarks: list[str] = []
    counted: dict[_Key, _File] = {}
    room = CACHE_SIZE
    for key in dict.fromkeys(key for stem in stems for key in _keys(stem)):
        counted[key] = _count(key, remarks, room, accept_truncated=accept_truncated)
        room -= sum(block.nbytes for block in counted[key].cached or ())
    warnings = tuple(remarks)
    rate = sample_rate or counted[_keys(stems[0])[0]].info.sample_rate
    files = {key: _at_rate(file, rate) for key, file in counted.items()}
    for other in sorted({file.info.sample_rate for file in files.values()} - {rate}):
        names = [_label(file) for file in files.values() if file.info.sample_rate == other]
        remarks.append(f"resampled from {other} to {rate} Hz: {', '.join(names)}")
    for file in files.values():
        if file.info.stored_channels > file.info.channels:
            mixed = f"{file.info.stored_channels} channels are mixed down to {file.info.channels}"
            remarks.append(f"{_label(file)}: {mixed}")
    channels = max(file.info.channels for file in files.values())
    narrow = [_label(file) for file in files.values() if file.info.channels < channels]
    if narrow:
        remarks.append(f"mono, copied to both channels: {', '.join(narrow)}")
    by_stem = tuple(tuple(files[key] for key in _keys(stem)) for stem in stems)
    lengths = [max(file.frames for file in each) for each in by_stem]
    frames = min(lengths)
    remarks += _remarks_on_lengths(by_stem, lengths, rate)
    if frames == 0:
        shortest = stems[lengths.index(0)]
        raise InputError(f"has no audio at {rate} Hz: 0 frames", path=shortest.paths[0])
    return Alignment(
        sample_rate=rate,
        channels=channels,
        frames=frames,
        remarks=tuple(dict.fromkeys(remarks)),
        warnings=warnings,
        _stems=by_stem,
    )


def _keys(stem: StemFiles) -> list[_Key]:
    return [(path, stream, stem.excerpt) for path, stream in stem.parts()]


def _count(key: _Key, remarks: list[str], room: int, *, accept_truncated: bool) -> _File:
    """Return the length of a file, and its audio if that is not more than ``room`` bytes."""
    path, stream, excerpt = key
    info = cut(probe(path, stream), excerpt)
    counter = FrameCounter(info)
    cached: list[Block] = []
    with decode(info, accept_truncated=accept_truncated) as decoder:
        for block in counter.count(decoder):
            room -= block.nbytes
            if room >= 0:
                cached.append(block)
            else:
                cached.clear()
    if counter.frames == 0:
        where = "" if excerpt == WHOLE else " in the requested part"
        raise InputError(f"has no audio{where}: 0 frames", path=path)
    file = _File(info, counter.frames, tuple(cached) if room >= 0 else None)
    remarks += (f"{_label(file)}: {warning}" for warning in decoder.warnings)
    return file


def _at_rate(file: _File, rate: int) -> _File:
    return replace(file, frames=round(file.frames * rate / file.info.sample_rate))


def _remarks_on_lengths(
    stems: Sequence[Sequence[_File]], lengths: Sequence[int], rate: int
) -> Iterator[str]:
    frames = min(lengths)
    shortest = " + ".join(map(_label, stems[lengths.index(frames)]))
    for files, length in zip(stems, lengths, strict=True):
        if length > frames:
            yield (
                f"{' + '.join(map(_label, files))}: last {length - frames} of {length} frames "
                f"cut off, {shortest} has {frames} ({frames / rate:.3f} s)"
            )
        for file in files:
            if file.frames < length:
                before = (length - file.frames) / rate
                yield f"{_label(file)}: ends {before:.3f} s before the other files of its sum"


def _label(file: _File) -> str:
    """Return the name of the file with its folder: estimates and references share names."""
    path = file.info.path.absolute()
    stream = f" (stream {file.info.stream + 1})" if file.info.stream else ""
    return f"{path.parent.name}/{path.name}{stream}"
