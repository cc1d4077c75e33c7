"""What is known about each audio file of a data set, measured once and kept in a cache.

A file is recognised by its size and time of change, else by the SHA-256 of its content: only new
content is decoded, so a data set may be moved, copied or touched. Entries appear whole or not at
all, and any number of processes may share a cache.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from stemsplit.audio.atomic import write_bytes
from stemsplit.audio.blocks import FrameCounter
from stemsplit.audio.decode import decode
from stemsplit.audio.probe import probe
from stemsplit.audio.sound_files import open_sound
from stemsplit.audio.writable import output_error
from stemsplit.data.fingerprint import LandmarkMeter, Landmarks
from stemsplit.data.levels import LevelMeter
from stemsplit.errors import InputError
from stemsplit.small_files import open_regular, parse_json, read_small
from stemsplit.types import StreamInfo

#: The version of the entries; those of another one are made anew.
FORM = 1
ROOM = "free some space, or use a cache on another disk"
#: Samples that libsndfile reads exactly as ffmpeg does.
_EXACT = ("PCM_16", "PCM_24", "PCM_32", "FLOAT")
_CODECS = ("pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "flac")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundFacts:
    """The facts about an audio stream of a file."""

    digest: str  # SHA-256 of the file
    sample_rate: int  # Hz
    channels: int  # 1 or 2, after decoding
    frames: int
    seekable: bool  # whether any part can be read without decoding what precedes it
    size: int  # of the file, in bytes
    changed: int  # when the file was changed, in ns

    def is_of(self, status: os.stat_result) -> bool:
        """Return whether a file with this ``status`` is unchanged."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.changed)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What an entry stores about some content, besides arrays."""

    sample_rate: int
    channels: int
    frames: int
    seekable: bool


@dataclass(frozen=True, slots=True)
class SoundIndex:
    """The index in the folder ``cache``."""

    cache: Path

    def facts(self, path: Path, stream: int) -> SoundFacts:
        """Return the facts about an audio stream; measure them if they are not known.

        Raises ``InputError`` for a file that is damaged, truncated, empty, or contains values that
        are not sound, and ``ResourceError`` for a full disk.
        """
        status = _status(path)
        digest = self._known_digest(path, status) or self._digest(path, status)
        with locked(self.cache, digest):
            measured = self._read(digest, stream)
            if measured is None:
                measured = self._measure(path, stream, digest)
        return SoundFacts(
            digest=digest,
            sample_rate=measured.sample_rate,
            channels=measured.channels,
            frames=measured.frames,
            seekable=measured.seekable,
            size=status.st_size,
            changed=status.st_mtime_ns,
        )

    def levels(self, path: Path, stream: int, facts: SoundFacts) -> NDArray[np.float32]:
        """Return the levels ``(N,)`` of a stream with these ``facts``, in dB for every 0.1 s."""
        return self._arrays(path, stream, facts)["levels"]

    def landmarks(self, path: Path, stream: int, facts: SoundFacts) -> Landmarks:
        """Return the fingerprint of a stream with these ``facts``."""
        arrays = self._arrays(path, stream, facts)
        return Landmarks(arrays["values"], arrays["places"])

    def _arrays(self, path: Path, stream: int, facts: SoundFacts) -> dict[str, NDArray[Any]]:
        """Return the entry of known content; measure it again if the entry was removed."""
        arrays = self._load(facts.digest, stream)
        if arrays is None:
            self.facts(path, stream)
            arrays = self._load(facts.digest, stream)
        if arrays is None:
            raise InputError("has changed since the run started", path=path)
        return arrays

    def _load(self, digest: str, stream: int) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of an entry; None if it is missing, damaged or of another version."""
        try:
            with self._entry(digest, stream).open("rb") as file, np.load(file) as entry:
                arrays = {name: entry[name] for name in ("facts", "levels", "values", "places")}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
        return arrays if arrays["facts"][0] == FORM else None

    def _entry(self, digest: str, stream: int) -> Path:
        return self.cache / "contents" / f"{digest}-{stream}.npz"

    def _place(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        return self.cache / "places" / f"{name}.json"

    def _known_digest(self, path: Path, status: os.stat_result) -> str | None:
        try:
            place = parse_json(read_small(self._place(path)))
            known = (place["size"], place["changed"]) == (status.st_size, status.st_mtime_ns)
            return str(place["digest"]) if known else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _digest(self, path: Path, status: os.stat_result) -> str:
        try:
            with open_regular(path) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc
        text = (
            f'{{"size": {status.st_size}, "changed": {status.st_mtime_ns}, "digest": "{digest}"}}'
        )
        write_bytes(self._place(path), [text.encode()], room=ROOM)
        return digest

    def _read(self, digest: str, stream: int) -> _Measured | None:
        arrays = self._load(digest, stream)
        if arrays is None:
            return None
        _form, rate, channels, frames, seekable = map(int, arrays["facts"])
        return _Measured(rate, channels, frames, bool(seekable))

    def _measure(self, path: Path, stream: int, digest: str) -> _Measured:
        info = probe(path, stream)
        counter, levels, marks = FrameCounter(info), *_meters(info)
        with decode(info) as decoder:
            for block in counter.count(decoder):
                levels.add(block)
                marks.add(block)
        if counter.frames == 0:
            raise InputError("has no audio: 0 frames", path=path)
        measured = _Measured(
            info.sample_rate, info.channels, counter.frames, _is_seekable(info, counter.frames)
        )
        landmarks = marks.result()
        facts = (FORM, *_numbers(measured))
        buffer = io.BytesIO()
        np.savez(
            buffer,
            facts=np.array(facts, np.int64),
            levels=levels.result(),
            values=landmarks.values,
            places=landmarks.places,
        )
        write_bytes(self._entry(digest, stream), [buffer.getvalue()], room=ROOM)
        return measured


def _meters(info: StreamInfo) -> tuple[LevelMeter, LandmarkMeter]:
    return LevelMeter(info.sample_rate), LandmarkMeter(info.sample_rate)


def _numbers(measured: _Measured) -> tuple[int, ...]:
    return (measured.sample_rate, measured.channels, measured.frames, int(measured.seekable))


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as exc:
        raise InputError(f"cannot be read: {exc.strerror}", path=path) from exc


def _is_seekable(info: StreamInfo, frames: int) -> bool:
    """Return whether libsndfile reads any part of the file, and reads what ffmpeg decodes."""
    import soundfile

    if info.codec not in _CODECS or info.stream or info.silent_frames or info.decoder:
        return False
    if info.stored_channels > 2:
        return False
    try:
        with open_sound(info.path) as sound:
            form = (sound.samplerate, sound.channels, sound.frames)
            return sound.subtype in _EXACT and form == (info.sample_rate, info.channels, frames)
    except soundfile.LibsndfileError:
        return False


@contextmanager
def locked(cache: Path, digest: str) -> Iterator[None]:
    """Exclude other processes and threads that work on the same content."""
    from filelock import FileLock

    folder = cache / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{digest[:2]}.lock", thread_local=False)  # 256 files at most
        lock.acquire()
    except OSError as exc:
        raise output_error(exc, folder, room=ROOM) from exc
    try:
        yield
    finally:
        lock.release()
