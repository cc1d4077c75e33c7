"""Cut, read and encode the part of a song that can be played in a page."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np

from stemsplit.audio.blocks import Block, as_bytes
from stemsplit.audio.ffmpeg import command
from stemsplit.audio.process import Process
from stemsplit.data.alignment import Alignment, align
from stemsplit.data.stems import StemFiles
from stemsplit.errors import ResourceError
from stemsplit.evaluation.scores import SongScores

REFERENCE, ESTIMATE, ERROR = "reference", "estimate", "error"
#: kbit/s of stereo Opus, at which listeners can hardly distinguish it from its source.
BITRATE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioClip:
    """``signals`` by stem and version, stereo ``(2, T)``, from the frame ``start`` of the song."""

    start: int
    frames: int
    signals: Mapping[str, Mapping[str, Block]]


def cut_clip(song: SongScores, seconds: float) -> AudioClip:
    """Return the most telling ``seconds`` of ``song``, or all of it where it is shorter.

    They begin at the whole second from which on the errors of all stems together have the most
    energy; without references, where the stems have it. Each stem of ``song.estimates`` has an
    estimate; those with a reference also have that and the error, estimate − reference. Raises
    ``InputError`` for files that cannot be read again.
    """
    tracks = align([*song.estimates.values(), *_references(song)], sample_rate=song.sample_rate)
    frames = min(tracks.frames, max(1, round(seconds * song.sample_rate)))
    start = _choose_start(song, tracks, frames)
    found = np.zeros((len(song.estimates) + len(_references(song)), 2, frames), np.float32)
    position = -start
    with contextlib.closing(tracks.blocks()) as blocks:
        for block in blocks:
            if position >= frames:
                break
            wanted = block[..., max(0, -position) : max(0, frames - position)]
            begin = max(0, position)
            found[..., begin : begin + wanted.shape[-1]] = wanted  # copies one channel to both
            position += block.shape[-1]
    estimates = dict(zip(song.estimates, found, strict=False))
    references = dict(zip(_scored(song), found[len(estimates) :], strict=True))
    signals = {}
    for name, estimate in estimates.items():
        signals[name] = {ESTIMATE: estimate}
        if name in references:
            truth = references[name]
            signals[name] = {REFERENCE: truth, ESTIMATE: estimate, ERROR: estimate - truth}
    return AudioClip(start=start, frames=frames, signals=signals)


def _choose_start(song: SongScores, tracks: Alignment, frames: int) -> int:
    """Return the frame at which the most telling ``frames`` begin, as in ``cut_clip``."""
    if frames >= tracks.frames:
        return 0
    names, scored = list(song.estimates), _scored(song)
    energy = np.zeros(-(-tracks.frames // song.sample_rate))
    for second, block in enumerate(tracks.blocks(song.sample_rate)):
        truths = dict(zip(scored, block[len(names) :], strict=True))
        # Stems without a reference have no error; where all lack one, the stems themselves count.
        for name, guess in zip(names, block, strict=False):
            if not scored or name in truths:
                error = guess - truths[name] if scored else guess
                energy[second] += np.sum(error.astype(np.float64) ** 2)
    last = (tracks.frames - frames) // song.sample_rate
    width = max(1, round(frames / song.sample_rate))
    windows = np.convolve(energy, np.ones(width), "valid")[: last + 1]
    return int(np.argmax(windows)) * song.sample_rate


def _scored(song: SongScores) -> list[str]:
    return [name for name in song.estimates if name in song.references]


def _references(song: SongScores) -> list[StemFiles]:
    return [song.references[name] for name in _scored(song)]


def encode_opus(signal: Block, sample_rate: int) -> bytes:
    """Return ``signal`` ``(2, T)`` as Opus in Ogg, at ``BITRATE`` kbit/s.

    Raises ``ResourceError`` when ffmpeg fails or lacks libopus.
    """
    source = ffmpeg.input("pipe:0", format="f32le", ac=2, ar=sample_rate, protocol_whitelist="pipe")
    # Of the five sample rates of Opus only 48 kHz covers all audible frequencies.
    form = {"format": "ogg", "acodec": "libopus", "ar": 48_000, "audio_bitrate": f"{BITRATE}k"}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "signal.ogg"
        # Bit-exact: otherwise a random serial number makes every page a different file.
        graph = source.output(
            f"file:{target}", **form, fflags="+bitexact", **{"flags:a": "bitexact"}
        )
        with Process(command(graph), feed=True) as process:
            with contextlib.suppress(BrokenPipeError):  # the exit status says why it stopped
                process.stdin.write(as_bytes(signal))
            if process.finish() != 0:
                raise ResourceError(f"ffmpeg cannot encode Opus: {process.reason}")
        return target.read_bytes()
