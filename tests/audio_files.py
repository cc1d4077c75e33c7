"""Makers of audio files for the tests: whole, odd and damaged ones."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stemsplit.audio.ffmpeg import find_ffmpeg

Samples = npt.NDArray[np.float32]

#: How each kind of file is encoded: arguments of ffmpeg, by the ending of the name.
ENCODERS = {
    "wav": ("-c:a", "pcm_s16le"),
    "aiff": ("-c:a", "pcm_s24be"),
    "flac": ("-c:a", "flac"),
    "mp3": ("-c:a", "libmp3lame", "-b:a", "192k"),
    "m4a": ("-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart"),
    "ogg": ("-c:a", "libvorbis", "-q:a", "6"),
    "opus": ("-c:a", "libopus", "-b:a", "160k"),
    "mka": ("-c:a", "libvorbis"),
    "wv": ("-c:a", "wavpack"),
    "wma": ("-c:a", "wmav2", "-b:a", "192k"),
    "aac": ("-c:a", "aac"),
}


def noise(frames: int, channels: int = 2, *, level: float = 0.1, seed: int = 1) -> Samples:
    """Return band-limited noise (C, n) of the effective value ``level``; lossy codecs keep it."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal((channels, max(frames, 1))))
    spectrum[:, max(1, spectrum.shape[1] // 3) :] = 0  # below a sixth of the rate
    samples = np.fft.irfft(spectrum, max(frames, 1))[:, :frames]
    effective = np.sqrt(np.mean(samples**2)) if frames else 1.0
    return (samples * level / effective).astype(np.float32)


def tones(frames: int, sample_rate: int, frequencies: tuple[float, ...]) -> Samples:
    """Return one sine of amplitude 0.5 for each of ``frequencies`` (Hz), (C, n)."""
    phases = 2 * np.pi * np.outer(frequencies, np.arange(frames) / sample_rate)
    return (0.5 * np.sin(phases + 0.3)).astype(np.float32)


def run_ffmpeg(*words: str | bytes, data: bytes = b"") -> bytes:
    """Return what ffmpeg writes to stdout."""
    program = [find_ffmpeg(), "-hide_banner", "-loglevel", "error", "-y"]
    return subprocess.run([*program, *words], input=data, stdout=-1, check=True).stdout


def store(path: Path, samples: Samples, sample_rate: int, *words: str) -> Path:
    """Encode ``samples`` (C, n) into ``path`` as its ending says, or as ``words`` say."""
    form = ("-f", "f32le", "-ar", str(sample_rate), "-ac", str(len(samples)))
    encoder = words or ENCODERS[path.suffix[1:]]
    run_ffmpeg(*form, "-i", "pipe:0", *encoder, f"file:{path}", data=samples.T.tobytes())
    return path


def store_film(path: Path, samples: Samples, sample_rate: int, seconds: float) -> Path:
    """Write a video whose picture lasts ``seconds``, with ``samples`` (C, n) as its sound."""
    picture = ("-f", "lavfi", "-i", f"color=size=64x64:rate=10:duration={seconds}")
    sound = ("-f", "f32le", "-ar", str(sample_rate), "-ac", str(len(samples)), "-i", "pipe:0")
    coders = ("-c:v", "mpeg4", "-c:a", "aac", "-movflags", "+faststart")
    run_ffmpeg(*picture, *sound, *coders, f"file:{path}", data=samples.T.tobytes())
    return path


def store_wav(
    path: Path,
    samples: Samples,
    sample_rate: int = 44100,
    *,
    promised: int | None = None,
    speakers: int | None = None,
) -> Path:
    """Write a 16-bit WAV whose header promises ``promised`` bytes, for the given speaker mask."""
    data = np.rint(samples.T * 32767).astype("<i2").tobytes()
    channels = len(samples)
    tag = 1 if speakers is None else 0xFFFE
    form = struct.pack(
        "<HHIIHH", tag, channels, sample_rate, sample_rate * channels * 2, channels * 2, 16
    )
    if speakers is not None:
        pcm = bytes.fromhex("0100000000001000800000aa00389b71")
        form += struct.pack("<HHI", 22, 16, speakers) + pcm
    size = len(data) if promised is None else promised
    whole = min(size + 20 + len(form), 0xFFFFFFFF)
    path.write_bytes(
        struct.pack("<4sI4s4sI", b"RIFF", whole, b"WAVE", b"fmt ", len(form))
        + form
        + struct.pack("<4sI", b"data", size)
        + data
    )
    return path


def store_stem_file(path: Path, stems: Sequence[Samples], *encoder: str) -> Path:
    """Write ``stems``, samples (C, n) each, as the streams of one file: AAC, or ``encoder``."""
    inputs: list[str] = []
    maps: list[str] = []
    for number, samples in enumerate(stems):
        wav = store_wav(path.with_name(f"{number}.wav"), samples)
        inputs += ["-i", f"file:{wav}"]
        maps += ["-map", str(number)]
    run_ffmpeg(*inputs, *maps, *(encoder or ("-c:a", "aac", "-b:a", "256k")), f"file:{path}")
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Return a copy of ``path`` that ends after ``share`` of its bytes."""
    data = path.read_bytes()
    short = path.with_name(f"cut-{path.name}")
    short.write_bytes(data[: int(len(data) * share)])
    return short


def lag(reference: Samples, found: Samples) -> int:
    """Return by how many frames ``found`` (C, n) is late: the peak of the cross-correlation."""
    size = 2 * max(reference.shape[1], found.shape[1])
    spectrum = np.fft.rfft(found[0], size) * np.conj(np.fft.rfft(reference[0], size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size


def decibel(reference: Samples, found: Samples) -> float:
    """Return the ratio of ``reference`` to the difference of both, in dB."""
    difference = np.sum((reference - found).astype(np.float64) ** 2)
    return float(10 * np.log10(np.sum(reference.astype(np.float64) ** 2) / (difference + 1e-20)))
