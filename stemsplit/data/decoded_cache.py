"""Decoded sound on disk, for files in which nothing can be found without decoding all before it.

An entry is float32 samples, interleaved, at the rate of the data set: resampled as a whole, so that
any part of it is exact. The least recently used entries are removed when all of them exceed a
limit; they are decoded again when they are needed.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.atomic import write_bytes
from stemsplit.audio.blocks import as_bytes
from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe
from stemsplit.audio.resample import resample
from stemsplit.data.sound_index import ROOM, SoundFacts, locked
from stemsplit.errors import InputError

SUFFIX = ".f32"
_BYTES = 4  # of a sample
#: Other processes may remove an entry before it is read, if the limit is small.
ATTEMPTS = 10


def frames_at(facts: SoundFacts, sample_rate: int) -> int:
    """Return the length of a sound in frames at ``sample_rate`` Hz."""
    return round(facts.frames * sample_rate / facts.sample_rate)


@dataclass(frozen=True, slots=True)
class DecodedCache:
    """Decoded sounds at ``sample_rate`` Hz in a folder of ``cache``, ``limit`` bytes in all.

    One entry is always kept, however large: the one that was used last.
    """

    cache: Path
    sample_rate: int
    limit: int

    def read(
        self, path: Path, stream: int, facts: SoundFacts, start: int, frames: int
    ) -> NDArray[np.float32]:
        """Return frames ``(C, frames)`` from within the sound; decode it if it is not there.

        Raises ``InputError`` if the file can no longer be read, ``ResourceError`` if the disk is
        full.
        """
        width = _BYTES * facts.channels
        entry = self._entry(facts, stream)
        for _ in range(ATTEMPTS):
            try:
                with entry.open("rb") as file:
                    file.seek(start * width)
                    data = file.read(frames * width)
            except FileNotFoundError:
                data = b""
            if len(data) == frames * width:
                with suppress(OSError):
                    os.utime(entry)
                return np.frombuffer(data, "<f4").reshape(-1, facts.channels).T.astype(np.float32)
            self.add(path, stream, facts)
        raise InputError(
            "the decoded sound was removed from the cache while it was read", path=path
        )

    def add(self, path: Path, stream: int, facts: SoundFacts) -> None:
        """Decode a sound, unless it is there, and make room for it."""
        entry = self._entry(facts, stream)
        with locked(self.cache, facts.digest):
            if not _is_whole(entry, self.size(facts)):
                self._decode(path, stream, facts, entry)
        self._remove_oldest(entry)

    def size(self, facts: SoundFacts) -> int:
        """Return the bytes that an entry takes."""
        return frames_at(facts, self.sample_rate) * facts.channels * _BYTES

    def _entry(self, facts: SoundFacts, stream: int) -> Path:
        name = f"{facts.digest}-{stream}-{self.sample_rate}{SUFFIX}"
        return self.cache / "decoded" / name

    def _decode(self, path: Path, stream: int, facts: SoundFacts, entry: Path) -> None:
        with decode(probe(path, stream)) as decoder:
            blocks = resample(
                decoder,
                channels=facts.channels,
                from_rate=facts.sample_rate,
                to_rate=self.sample_rate,
                frames=frames_at(facts, self.sample_rate),
            )
            with closing(blocks):
                write_bytes(entry, map(as_bytes, blocks), room=ROOM)

    def _remove_oldest(self, kept: Path) -> None:
        """Remove the least recently used entries until all fit into the limit, except ``kept``."""
        entries = []
        for path in kept.parent.glob(f"*{SUFFIX}"):
            with suppress(OSError):  # another process has removed it
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit:
                return
            if path != kept:
                with suppress(OSError):  # on Windows, while another process reads it
                    path.unlink()
                    total -= size


def _is_whole(entry: Path, size: int) -> bool:
    try:
        return entry.stat().st_size == size
    except OSError:
        return False
