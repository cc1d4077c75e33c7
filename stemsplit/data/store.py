"""Random access to the sound of the songs of a data set, at one sample rate and channel count.

WAV and FLAC files of that rate are read in place; all other files are decoded once, into a cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.sound_files import open_sound
from stemsplit.data.collections.song import TrainingSong
from stemsplit.data.decoded_cache import DecodedCache, frames_at
from stemsplit.data.file_names import MIXTURE
from stemsplit.data.fingerprint import Landmarks
from stemsplit.data.levels import FLOOR, add_levels
from stemsplit.data.sound_index import SoundFacts, SoundIndex
from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError, UsageError

#: What identifies an audio stream: its file, and its index there.
_Part: TypeAlias = tuple[Path, int]
#: Files to measure and decode at a time.
THREADS = 4
#: Sources whose levels stay in memory, 10 kB each: reading them takes as long as reading sound.
LEVELS_KEPT = 2000


class SongStore:
    """The sound of ``songs``, by source, at ``sample_rate`` Hz with 1 or 2 ``channels``.

    Songs with a problem, or with a file that cannot be read to its end, are left out; ``warnings``
    says which and why. The first time, every file is decoded to measure it; the folder ``cache``
    keeps the results, and up to ``limit`` bytes of decoded sound. A store can be pickled, and used
    by several processes and threads. ``progress`` is called with the number of files that are
    ready, and of all files.

    Raises ``InputError`` if no song is left, or only one of several sources, and ``ResourceError``
    if the cache cannot be written.
    """

    def __init__(
        self,
        songs: Sequence[TrainingSong],
        sources: Sequence[str],
        *,
        sample_rate: int,
        channels: int,
        cache: Path,
        limit: int,
        mixtures: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self.sample_rate = sample_rate
        self.channels = channels
        self.warnings: list[str] = []
        self._index = SoundIndex(cache)
        self._decoded = DecodedCache(cache, sample_rate, limit)
        self._mixtures = mixtures
        self._levels: dict[tuple[int, str], NDArray[np.float32]] = {}
        self._facts, errors = self._measure(songs, progress)
        self.songs = tuple(self._readable(songs, errors))
        self._refuse_useless(songs)
        self._warn_of_small_cache()
        self.digest = self._digest()

    def frames(self, song: int) -> int:
        """Return the length of the longest source of a song, in frames at the rate of the store."""
        parts = [part for files in self.songs[song].stems.values() for part in files.parts()]
        return max(frames_at(self._facts[part], self.sample_rate) for part in parts)

    def read(self, song: int, source: str, start: int, frames: int) -> NDArray[np.float32]:
        """Return ``(C, frames)`` of a source from frame ``start`` on.

        It is silent beyond the ends, and if the song lacks the source. ``mixture`` is the file with
        the mixture if the song has one and the store was made with ``mixtures``; otherwise the sum
        of all sources.

        Raises ``InputError`` for a file that has changed or cannot be read any longer, and
        ``UsageError`` for an unknown source.
        """
        total = np.zeros((self.channels, frames), np.float32)
        for part in self._parts(song, source):
            self._add(total, part, start)
        return total

    def levels(self, song: int, source: str) -> NDArray[np.float32]:
        """Return the level ``(N,)`` of a source for every 0.1 s, in dB; -120 dB is silence.

        The powers of several files are added, as if they were unrelated. The array is read-only.
        """
        levels = self._levels.get((song, source))
        if levels is None:
            levels = self._read_levels(song, source)
            levels.flags.writeable = False
            if len(self._levels) >= LEVELS_KEPT:
                self._levels.clear()
            self._levels[song, source] = levels
        return levels

    def _read_levels(self, song: int, source: str) -> NDArray[np.float32]:
        parts = self._parts(song, source)
        count = -(-10 * self.frames(song) // self.sample_rate)
        found = [self._index.levels(*part, self._facts[part]) for part in parts]
        levels = add_levels(found)[:count]
        return np.pad(levels, (0, count - len(levels)), constant_values=FLOOR)

    def landmarks(self, song: int) -> dict[str, list[Landmarks]]:
        """Return the fingerprints of the files of a song, by source."""
        return {
            source: [self._index.landmarks(*part, self._facts[part]) for part in files.parts()]
            for source, files in self.songs[song].stems.items()
        }

    def _parts(self, song: int, source: str) -> list[_Part]:
        stems = self.songs[song].stems
        if source == MIXTURE:
            mixture = self.songs[song].mixture if self._mixtures else None
            files = list(stems.values()) if mixture is None else [mixture]
            return [part for each in files for part in each.parts()]
        if source not in self.sources:
            raise UsageError(f"unknown source {source!r}; known: {', '.join(self.sources)}")
        return stems[source].parts() if source in stems else []

    def _add(self, total: NDArray[np.float32], part: _Part, start: int) -> None:
        """Add the sound of ``part`` from frame ``start`` on to ``total`` ``(C, n)``."""
        facts = self._facts[part]
        first = max(0, start)
        count = min(start + total.shape[1], frames_at(facts, self.sample_rate)) - first
        if count <= 0:
            return
        self._refuse_changed(part[0], facts)
        if facts.seekable and facts.sample_rate == self.sample_rate:
            sound = _read_in_place(part[0], first, count)
        else:
            sound = self._decoded.read(*part, facts, first, count)
        if len(sound) > self.channels:
            # Many times as fast as `mean` along the short axis.
            sound = (sound[:1] + sound[1:]) * np.float32(0.5)
        total[:, first - start : first - start + count] += sound

    def _refuse_changed(self, path: Path, facts: SoundFacts) -> None:
        try:
            if facts.is_of(path.stat()):
                return
        except OSError as exc:
            raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc
        raise InputError("has changed since the run started", path=path)

    def _measure(
        self, songs: Sequence[TrainingSong], progress: Callable[[int, int], None] | None
    ) -> tuple[dict[_Part, SoundFacts], dict[_Part, InputError]]:
        """Return the facts about each file that is needed, or the error."""
        parts = list(dict.fromkeys(part for song in songs for part in self._needed(song)))
        facts: dict[_Part, SoundFacts] = {}
        errors: dict[_Part, InputError] = {}
        with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
            for done, (part, found) in enumerate(
                zip(parts, pool.map(self._try, parts), strict=True)
            ):
                if isinstance(found, InputError):
                    errors[part] = found
                else:
                    facts[part] = found
                if progress is not None:
                    progress(done + 1, len(parts))
        return facts, errors

    def _try(self, part: _Part) -> SoundFacts | InputError:
        try:
            facts = self._index.facts(*part)
            if not (facts.seekable and facts.sample_rate == self.sample_rate):
                self._decoded.add(*part, facts)
        except InputError as exc:
            return exc
        return facts

    def _needed(self, song: TrainingSong) -> Iterator[_Part]:
        if song.problem is None:
            for files in self._files(song).values():
                yield from files.parts()

    def _files(self, song: TrainingSong) -> Mapping[str, StemFiles]:
        if self._mixtures and song.mixture is not None:
            return {**song.stems, MIXTURE: song.mixture}
        return song.stems

    def _readable(
        self, songs: Sequence[TrainingSong], errors: Mapping[_Part, InputError]
    ) -> Iterator[TrainingSong]:
        for song in songs:
            failed = (str(errors[part]) for part in self._needed(song) if part in errors)
            reason = song.problem or next(failed, None)
            if reason is not None:
                self.warnings.append(f"{song.name} is left out: {reason}")
            elif song.stems:
                yield song

    def _refuse_useless(self, songs: Sequence[TrainingSong]) -> None:
        if not self.songs:
            hint = "stemsplit data check FOLDER shows what is wrong with a data set"
            reason = f"none of the {len(songs)} songs can be used"
            first = f"; {self.warnings[0]}" if self.warnings else ""
            raise InputError(f"{reason}{first}", hint=hint)
        present = {source for song in self.songs for source in song.stems}
        if len(self.sources) > 1 and len(present) == 1:
            [only] = present
            lacking = [source for source in self.sources if source != only]
            hint = f"map files to the others, as with --map {lacking[0]}=PATTERN"
            raise InputError(f"the songs have only one stem, {only}", hint=hint)

    def _warn_of_small_cache(self) -> None:
        needed = sum(
            self._decoded.size(facts)
            for facts in self._facts.values()
            if not (facts.seekable and facts.sample_rate == self.sample_rate)
        )
        if needed > self._decoded.limit:
            self.warnings.append(
                f"the decoded sound takes {needed / 1e9:.1f} GB, but the cache is limited to "
                f"{self._decoded.limit / 1e9:.1f} GB: songs are decoded again and again"
            )

    def _digest(self) -> str:
        """Return the SHA-256 of the names, sources and contents of all songs, in hex."""
        total = hashlib.sha256()
        for song in self.songs:
            total.update(f"{song.name!r} {song.split}\n".encode())
            for source, files in sorted(self._files(song).items()):
                for part in files.parts():
                    total.update(f"{source!r} {self._facts[part].digest} {part[1]}\n".encode())
        return total.hexdigest()


def _read_in_place(path: Path, start: int, frames: int) -> NDArray[np.float32]:
    """Return ``(C, frames)`` of a file that is read without decoding what precedes."""
    import soundfile

    try:
        with open_sound(path) as sound:
            sound.seek(start)
            block = sound.read(frames, "float32", always_2d=True)
    except soundfile.LibsndfileError as exc:
        raise InputError(f"cannot be read: {exc.error_string}", path=path) from exc
    if len(block) < frames:
        raise InputError(f"ends at frame {start + len(block)}, too early", path=path)
    return np.ascontiguousarray(block.T)
