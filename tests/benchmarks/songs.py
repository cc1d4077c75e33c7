"""Songs to measure with, and how far apart two sets of stems are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE = 44_100
STEMS = ("vocals", "drums", "bass", "other")
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a"}


@dataclass(frozen=True)
class Difference:
    """How far two sets of stems are apart: the worst stem in dB, the worst sample of full scale."""

    decibels: float
    largest: float

    def __str__(self) -> str:
        if not self.largest:
            return "equal"
        return f"{-self.decibels:.0f} dB, {self.largest:.0e}"


def find_mixtures(folder: Path) -> list[Path]:
    """Return the files named ``mixture`` below ``folder``, or all songs if none has that name."""
    songs = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [song for song in songs if song.stem == "mixture"] or songs


def write_excerpts(folder: Path, seconds: float, count: int = 1, songs: Path | None = None) -> None:
    """Write ``count`` songs of ``seconds``, different parts of the same music, into ``folder``.

    The music is that of the ``songs``, one after the other, or a rendered song, and repeated as
    often as it takes.
    """
    import numpy as np
    import soundfile

    frames = round(seconds * SAMPLE_RATE)
    music = _read_music(songs, frames * count)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        excerpt = np.take(music, range(number * frames, (number + 1) * frames), 1, mode="wrap")
        path = folder / f"song{number}.wav"
        soundfile.write(path, excerpt.T, SAMPLE_RATE, subtype="PCM_16")


def _read_music(songs: Path | None, frames: int) -> np.ndarray:
    """Return music ``(2, T)`` of ``frames``, or less if there is no more."""
    import numpy as np

    if songs is None:
        return np.sum(list(_render(30.0).values()), axis=0)
    parts: list[np.ndarray] = []
    for song in find_mixtures(songs):
        if sum(part.shape[1] for part in parts) < frames:
            parts.append(_read_stereo(song))
    if not parts:
        raise FileNotFoundError(f"no songs in {songs}")
    return np.concatenate(parts, axis=1)


def _read_stereo(song: Path) -> np.ndarray:
    """Return ``song`` as ``(2, T)`` at 44.1 kHz."""
    import numpy as np
    from scipy.signal import resample_poly

    from stemsplit.audio.decode import read
    from stemsplit.audio.probe import probe

    audio = read(song)[:2]
    rate = probe(song).sample_rate
    if rate != SAMPLE_RATE:
        audio = resample_poly(audio, SAMPLE_RATE, rate, axis=1).astype(np.float32)
    return np.broadcast_to(audio, (2, audio.shape[1]))


def _render(seconds: float) -> dict[str, np.ndarray]:
    from stemsplit.data.synthetic import render

    return dict(render(0, seconds=seconds))


def write_stem_sets(folder: Path, seconds: float, songs: Path | None = None) -> None:
    """Write true stems of ``seconds`` below ``folder/true``, and estimates below ``estimates``.

    The stems are the first that lie together in a folder below ``songs``, or those of a rendered
    song. The estimates have leakage, loss and noise, as those of separators.
    """
    import sys

    import numpy as np
    import soundfile

    sys.path.insert(0, str(Path(__file__).parent.parent))
    from museval_package import perturb

    frames = round(seconds * SAMPLE_RATE)
    sources = _read_stems(songs) if songs else _render(30.0)
    middle = range(start := sources["vocals"].shape[1] // 2, start + frames)
    stems = [np.take(sources[name], middle, axis=1, mode="wrap") for name in STEMS]
    references = np.stack(stems).swapaxes(1, 2)
    for kind, signals in (("true", references), ("estimates", perturb(references))):
        (folder / kind).mkdir(parents=True)
        for name, signal in zip(STEMS, signals, strict=True):
            soundfile.write(folder / kind / f"{name}.wav", signal, SAMPLE_RATE, subtype="FLOAT")


def _read_stems(songs: Path) -> dict[str, np.ndarray]:
    for vocals in sorted(songs.rglob("vocals.*")):
        paths = {name: vocals.with_stem(name) for name in STEMS}
        if all(path.is_file() for path in paths.values()):
            return {name: _read_stereo(path) for name, path in paths.items()}
    raise FileNotFoundError(f"no {', '.join(STEMS)} in one folder below {songs}")


def write_song_and_stems(path: Path, seconds: float) -> dict[str, np.ndarray]:
    """Write a rendered song of ``seconds``, repeated as often as it takes; return its stems."""
    import numpy as np
    import soundfile

    frames = range(round(SAMPLE_RATE * seconds))
    stems = {n: np.take(s, frames, axis=1, mode="wrap") for n, s in _render(30.0).items()}
    soundfile.write(path, np.sum(list(stems.values()), axis=0).T, SAMPLE_RATE, subtype="FLOAT")
    return stems


def compare_stems(ours: Path, theirs: Path) -> Difference:
    """Return how far the stems below ``ours`` are from those below ``theirs``.

    Stems belong together if they have the same name in folders of the same name. Raises
    ``ValueError`` if there are none, or if one has no counterpart.
    """
    found, expected = dict(_stems_below(ours)), dict(_stems_below(theirs))
    if not found or found.keys() != expected.keys():
        raise ValueError(f"stems differ: {sorted(found)}; {sorted(expected)}")
    each = [_difference(found[key], expected[key]) for key in found]
    return Difference(min(d.decibels for d in each), max(d.largest for d in each))


def _stems_below(folder: Path) -> Iterator[tuple[tuple[str, str], Path]]:
    for path in folder.rglob("*.wav"):
        yield (path.parent.name, path.stem), path


def _difference(ours: Path, theirs: Path) -> Difference:
    import numpy as np
    import soundfile

    estimate, signal = (soundfile.read(path, dtype="float32")[0] for path in (ours, theirs))
    error = np.subtract(signal, estimate, dtype=np.float64)
    power, distance = float(np.square(signal, dtype=np.float64).sum()), float(np.sum(error**2))
    with np.errstate(divide="ignore"):
        decibels = 10 * np.log10(np.divide(power, distance)) if power or distance else np.inf
    return Difference(float(decibels), float(np.abs(error).max(initial=0.0)))
