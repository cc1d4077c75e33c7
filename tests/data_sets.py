"""Makers of tiny data sets in the layouts in which they are published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from audio_files import noise

RATE = 8000
FOUR = ("vocals", "drums", "bass", "other")


def write_sound(path: Path, seed: int = 1, *, frames: int = 4000, channels: int = 1) -> Path:
    """Write noise as a file, whose format its name gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(frames, channels, seed=seed).T, RATE, subtype="PCM_16")
    return path


def write_song(folder: Path, names: tuple[str, ...] = (*FOUR, "mixture"), **sound: int) -> Path:
    """Write a folder with a WAV for each of ``names``."""
    for number, name in enumerate(names):
        write_sound(folder / f"{name}.wav", seed=number + 1, **sound)
    return folder


def write_dsd100(root: Path) -> None:
    for split, song in (("Dev", "051 - A - One"), ("Test", "001 - B - Two")):
        write_song(root / "Sources" / split / song, FOUR)
        write_sound(root / "Mixtures" / split / song / "mixture.wav")


def write_moises(root: Path) -> None:
    """Write a song in two vocal tracks, a kick, a piano, and bass with bleed."""
    song = root / "moisesdb_v0.1" / "uuid-0"
    stems = {
        "vocals": [("a", "lead female singer"), ("b", "background vocals")],
        "drums": [("c", "kick drum")],
        "bass": [("d", "bass guitar")],
        "piano": [("e", "grand piano")],
        "other_keys": [("f", "organ, electric organ")],
    }
    listed = [
        {
            "stemName": stem,
            "tracks": [
                {"id": name, "trackType": kind, "extension": "wav", "has_bleed": name == "d"}
                for name, kind in tracks
            ],
        }
        for stem, tracks in stems.items()
    ]
    for stem, tracks in stems.items():
        for name, _ in tracks:
            write_sound(song / stem / f"{name}.wav", seed=ord(name))
    (song / "data.json").write_text(json.dumps({"song": "Song", "stems": listed}))


def write_medley(root: Path, metadata: Path | None = None) -> Path:
    """Write a song of a singer, drums, tambourine, bass and guitar; return its folder."""
    song = root / "Audio" / "Band_Song"
    instruments = {
        "S01": "female singer",
        "S02": "drum set",
        "S03": "tambourine",
        "S04": "electric bass",
        "S05": "acoustic guitar",
    }
    lines = ["has_bleed: 'yes'", "mix_filename: Band_Song_MIX.wav", "stems:"]
    for key, instrument in instruments.items():
        name = f"Band_Song_STEM_{key[1:]}.wav"
        write_sound(song / "Band_Song_STEMS" / name, seed=int(key[1:]))
        lines += [f"  {key}:", f"    filename: {name}", f"    instrument: {instrument}"]
    write_sound(song / "Band_Song_RAW" / "Band_Song_RAW_01_01.wav")
    write_sound(song / "Band_Song_MIX.wav")
    place = (metadata or song) / "Band_Song_METADATA.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(lines) + "\n")
    return song


def write_slakh(root: Path, splits: Mapping[str, str]) -> None:
    """Write a song for each split, by folder and name."""
    for split, name in splits.items():
        song = root / split / name
        stems = {
            "S00": ("Bass", "Fretless Bass", False),
            "S01": ("Drums", "Drums", True),
            "S02": ("Piano", "Electric Piano 1", False),
            "S03": ("Strings (continued)", "Synth Strings 1", False),
            "S04": ("Guitar", "Not Rendered", False),
        }
        lines = ["UUID: 1a", "stems:"]
        for key, (kind, program, drums) in stems.items():
            lines += [f"  {key}:", f"    inst_class: {kind}", f"    is_drum: {str(drums).lower()}"]
            lines += [f"    midi_program_name: {program}", "    program_num: 1"]
            if key != "S04":
                write_sound(song / "stems" / f"{key}.flac", seed=int(key[1:]) + 1)
        write_sound(song / "mix.flac")
        (song / "metadata.yaml").write_text("\n".join(lines) + "\n")


def write_sines(path: Path, frequencies: tuple[float, ...], *, seconds: float = 2.0) -> Path:
    """Write a stereo sum of sines."""
    times = np.arange(round(seconds * RATE)) / RATE
    sound = sum(0.1 * np.sin(2 * np.pi * each * times) for each in frequencies)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.stack([sound, sound], axis=1), RATE, subtype="FLOAT")
    return path
