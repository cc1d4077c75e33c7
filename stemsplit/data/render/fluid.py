"""Plays MIDI with a sound font, by ``fluidsynth``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemsplit.data.midi import MidiFile, serialise
from stemsplit.data.render.programs import FLUIDSYNTH, find_program, run
from stemsplit.errors import InputError, ResourceError

#: Where Debian, Fedora, Arch and Homebrew install sound fonts.
FOLDERS = tuple(
    Path(each)
    for each in (
        "/usr/share/sounds/sf2",
        "/usr/share/sounds/sf3",
        "/usr/share/soundfonts",
        "/usr/local/share/soundfonts",
        "/opt/homebrew/share/soundfonts",
    )
)
ENDINGS = (".sf2", ".sf3")
#: fluidsynth renders a song of a minute in less than a second.
SECONDS_AT_LEAST = 60.0


def find_sound_fonts(path: Path | None = None) -> tuple[Path, ...]:
    """Return ``path``, if it is a sound font, or those in that folder; by default the system's.

    Raises ``InputError`` if ``path`` does not exist or contains none, and ``ResourceError`` if none
    is installed.
    """
    if path is not None and path.is_file():
        return (path,)
    if path is not None and not path.is_dir():
        raise InputError("no such file or folder", path=path)
    folders = FOLDERS if path is None else (path,)
    files = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    # Debian links default-GM.sf2 to one of the others.
    found = sorted({file.resolve() for file in files if file.suffix.lower() in ENDINGS})
    if not found and path is not None:
        raise InputError("contains no sound font (.sf2, .sf3)", path=path)
    if not found:
        hint = "install one: sudo apt install fluid-soundfont-gm; or name it with --soundfont"
        raise ResourceError("no sound font was found", hint=hint)
    return tuple(found)


def play(midi: MidiFile, sound_font: Path, *, frames: int, sample_rate: int) -> NDArray[np.float32]:
    """Return ``(2, frames)``: ``midi``, without the reverberation and chorus of the synthesiser.

    Raises ``InputError`` if ``sound_font`` cannot be read, and ``ResourceError`` if fluidsynth is
    missing or fails.
    """
    with tempfile.TemporaryDirectory(prefix="stemsplit-") as folder:
        file = Path(folder, "part.mid")
        file.write_bytes(serialise(midi))
        data = _run(_words(sound_font, file, sample_rate), sound_font, frames / sample_rate)
    sound = np.frombuffer(data, "<f4")[: 2 * frames]
    stem = np.zeros((2, frames), np.float32)
    stem[:, : sound.size // 2] = sound[: sound.size // 2 * 2].reshape(-1, 2).T
    return stem


def _words(sound_font: Path, midi: Path, sample_rate: int) -> Sequence[str]:
    words = [find_program(FLUIDSYNTH), "-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.5"]
    words += ["-r", str(sample_rate), "-o", "synth.cpu-cores=1", "-T", "raw", "-O", "float"]
    return [*words, "-E", "little", "-F", "-", str(sound_font.absolute()), str(midi)]


def _run(words: Sequence[str], sound_font: Path, seconds: float) -> bytes:
    done = run(words, seconds=SECONDS_AT_LEAST + seconds)
    # It exits with 0 even if it could not read the sound font.
    printed = done.stderr.decode("utf-8", "replace")
    lines = printed.splitlines()
    errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
    if "not a SoundFont" in printed or "Failed to load the SoundFont" in printed:
        reason = errors[0] if errors else "unknown format"
        raise InputError(f"cannot be used as a sound font: {reason}", path=sound_font)
    if done.returncode or not done.stdout:
        reason = errors[0] if errors else f"exited with status {done.returncode}"
        raise ResourceError(f"fluidsynth failed: {reason}", path=words[0])
    return done.stdout
