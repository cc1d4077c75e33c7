"""Choose, read and encode the part of a song that can be played in a page."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ffmpeg
import numpy as np

from stemsplit.audio.blocks import Block, as_bytes
from stemsplit.audio.ffmpeg import command
from stemsplit.audio.process import Process
from stemsplit.data.alignment import Alignment, align
from stemsplit.data.stems import StemFiles
from stemsplit.errors import ResourceError
from stemsplit.evaluation.report.stem_sets import ComparedSong
from stemsplit.evaluation.scores import SongScores

REFERENCE, ESTIMATE, ERROR, MIXTURE = "reference", "estimate", "error", "mixture"
#: kbit/s for stereo Opus, which listeners can hardly distinguish from the source.
BITRATE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioClip:
    """``signals`` by stem and version, stereo ``(2, T)``, from the frame ``start`` of the song.

    ``mixture`` ``(2, T)`` is the same part of the mixture; None if it is not played.
    """

    start: int
    frames: int
    signals: Mapping[str, Mapping[str, Block]]
    mixture: Block | None = None


def cut_clip(song: SongScores, seconds: float) -> AudioClip:
    """Return the ``seconds`` of ``song`` with the largest errors, or all of a shorter song.

    They start at a whole second, and maximise the energy of the errors of all stems together or,
    without references, of the stems. Each stem of ``song.estimates`` has an estimate; those with a
    reference also have that and the error, estimate − reference. Without references the mixture is
    included. Raises ``InputError`` for files that can no longer be read.
    """
    mixture = played_mixture(song)
    mixtures = [] if mixture is None else [mixture]
    tracks = align_again(
        [*song.estimates.values(), *_references(song), *mixtures], song.sample_rate
    )
    frames = min(tracks.frames, max(1, round(seconds * song.sample_rate)))
    start = loudest_part(tracks, frames, partial(_errors, song))
    found = read_part(tracks, start, frames)
    scored = _scored(song)
    references = dict(zip(scored, found[len(song.estimates) :], strict=False))
    signals = {}
    for name, estimate in zip(song.estimates, found, strict=False):
        signals[name] = {ESTIMATE: estimate}
        if name in references:
            truth = references[name]
            signals[name] = {REFERENCE: truth, ESTIMATE: estimate, ERROR: estimate - truth}
    return AudioClip(
        start=start,
        frames=frames,
        signals=signals,
        mixture=None if mixture is None else found[-1],
    )


def cut_sets(song: ComparedSong, seconds: float) -> AudioClip:
    """Return the ``seconds`` of ``song`` in which its sets of stems differ most.

    Each stem has a version for each set, ``set_version``, and its reference. The mixture is
    included if there is one. Raises ``InputError`` for files that can no longer be read.
    """
    sets = list(song.sets.values())
    first = song.first
    stems = list(first.estimates)
    mixtures = [] if first.mixture is None else [first.mixture]
    estimates = [each.estimates[stem] for each in sets for stem in stems]
    references = [first.references[stem] for stem in stems]
    tracks = align_again([*estimates, *references, *mixtures], first.sample_rate)
    frames = min(tracks.frames, max(1, round(seconds * first.sample_rate)))
    start = loudest_part(tracks, frames, partial(_deviations, len(sets), len(stems)))
    found = read_part(tracks, start, frames)
    versions = [*(set_version(number) for number in range(len(sets))), REFERENCE]
    return AudioClip(
        start=start,
        frames=frames,
        signals={
            stem: dict(zip(versions, found[place :: len(stems)], strict=False))
            for place, stem in enumerate(stems)
        },
        mixture=found[-1] if mixtures else None,
    )


def set_version(number: int) -> str:
    """Return the name of the version of a stem in the set ``number``, from 0."""
    return f"set-{number}"


def _deviations(sets: int, stems: int, block: Block) -> Block:
    """Return the difference of each stem of each set from the mean over sets."""
    estimates = block[: sets * stems].reshape(sets, stems, *block.shape[1:])
    return np.asarray(estimates - estimates.mean(axis=0))


def played_mixture(song: SongScores) -> StemFiles | None:
    """Return the mixture to play if ``song`` has no references; None otherwise."""
    return None if song.references else song.mixture


def align_again(stems: Sequence[StemFiles], sample_rate: int) -> Alignment:
    """Align ``stems`` as ``align`` does, with truncated ones accepted.

    They have been scored before, and truncated ones were accepted or refused then.
    """
    return align(stems, sample_rate=sample_rate, accept_truncated=True)


def read_part(tracks: Alignment, start: int, frames: int) -> Block:
    """Return ``frames`` of all ``tracks`` from ``start``, ``(S, 2, T)``."""
    found: Block | None = None
    position = -start
    with contextlib.closing(tracks.blocks()) as blocks:
        for block in blocks:
            if found is None:
                found = np.zeros((len(block), 2, frames), np.float32)
            if position >= frames:
                break
            wanted = block[..., max(0, -position) : max(0, frames - position)]
            begin = max(0, position)
            found[..., begin : begin + wanted.shape[-1]] = wanted  # copies one channel to both
            position += block.shape[-1]
    assert found is not None, "tracks have frames"
    return found


def loudest_part(tracks: Alignment, frames: int, signals: Callable[[Block], Block]) -> int:
    """Return the start, at a whole second, of the ``frames`` in which ``signals`` are loudest.

    ``signals`` computes the signals to measure from a block of the ``tracks``.
    """
    if frames >= tracks.frames:
        return 0
    rate = tracks.sample_rate
    energy = np.zeros(-(-tracks.frames // rate))
    for second, block in enumerate(tracks.blocks(rate)):
        energy[second] = np.sum(signals(block).astype(np.float64) ** 2)
    last = (tracks.frames - frames) // rate
    width = max(1, round(frames / rate))
    windows = np.convolve(energy, np.ones(width), "valid")[: last + 1]
    return int(np.argmax(windows)) * rate


def _errors(song: SongScores, block: Block) -> Block:
    """Return the errors of the stems that have references; if none has, the stems."""
    estimates = len(song.estimates)
    scored = _scored(song)
    if not scored:
        return block[:estimates]
    guesses = [block[number] for number, name in enumerate(song.estimates) if name in scored]
    return np.stack(guesses) - block[estimates : estimates + len(scored)]


def _scored(song: SongScores) -> list[str]:
    return [name for name in song.estimates if name in song.references]


def _references(song: SongScores) -> list[StemFiles]:
    return [song.references[name] for name in _scored(song)]


def encode_opus(signal: Block, sample_rate: int) -> bytes:
    """Return ``signal`` ``(2, T)`` as Opus in Ogg, at ``BITRATE`` kbit/s.

    Raises ``ResourceError`` if ffmpeg fails or has no libopus.
    """
    source = ffmpeg.input("pipe:0", format="f32le", ac=2, ar=sample_rate, protocol_whitelist="pipe")
    # Of the five sample rates of Opus, only 48 kHz covers all audible frequencies.
    form = {"format": "ogg", "acodec": "libopus", "ar": 48_000, "audio_bitrate": f"{BITRATE}k"}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "signal.ogg"
        # Bit-exact: otherwise a random serial number would make every page different.
        graph = source.output(
            f"file:{target}", **form, fflags="+bitexact", **{"flags:a": "bitexact"}
        )
        with Process(command(graph), feed=True) as process:
            with contextlib.suppress(BrokenPipeError):  # the exit status explains why it stopped
                process.stdin.write(as_bytes(signal))
            if process.finish() != 0:
                raise ResourceError(f"ffmpeg cannot encode Opus: {process.reason}")
        return target.read_bytes()
