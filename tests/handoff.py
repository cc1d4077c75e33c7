"""Sessions to write, and an independent package to read them with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from audio_files import noise, store_wav

from stemsplit.audio.tags.model import Tags
from stemsplit.handoff.session import Session, Track
from stemsplit.types import Format, StreamInfo

STEMS = ("drums", "bass", "other", "vocals")


def session_in(
    folder: Path,
    *,
    stems: tuple[str, ...] = STEMS,
    format: Format = "wav",
    frames: int = 4410,
    sample_rate: int = 44100,
    texts: dict[str, tuple[str, ...]] | None = None,
    song: Path | None = None,
    codec: str = "mp3",
    first_frame: int = 0,
) -> Session:
    """Return a session of WAVs in ``folder``, whatever their format is said to be."""
    folder.mkdir(parents=True, exist_ok=True)
    tracks = []
    for number, stem in enumerate(stems):
        path = folder / f"{stem.replace('/', '_')}.{format}"
        store_wav(path, noise(frames, seed=number), sample_rate)
        tracks.append(Track(stem=stem, path=path, content=path))
    info = StreamInfo(
        path=song or folder.parent / "music" / "song.mp3",
        sample_rate=sample_rate,
        channels=2,
        stored_channels=2,
        duration=frames / sample_rate,
        codec=codec,
        first_frame=first_frame,
    )
    return Session(
        name="song",
        tracks=tuple(tracks),
        format=format,
        sample_rate=sample_rate,
        channels=2,
        frames=frames,
        tags=Tags(texts=texts or {}),
        song=info,
    )


def install(folder: Path, *packages: str, deep: bool = True) -> None:
    """Put ``packages`` of the registry, and, if ``deep``, what they need, into ``folder``."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    packages = packages if deep else ("--no-deps", *packages)
    subprocess.run([*pip, *packages], check=True, capture_output=True)
