"""The mixtures of a data set as files to split."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from stemsplit.audio.encode import StemWriter
from stemsplit.batch.discover import Song
from stemsplit.data.alignment import align
from stemsplit.data.layouts import SongStems
from stemsplit.data.stems import FoundStems, StemFiles, find_stems
from stemsplit.options import EncodingOptions

#: These two sum to the mixture, whatever the stems of the song are.
VOCALS_AND_REST = ("vocals", "no_vocals")


def mixture_of(song: SongStems, found: FoundStems, mapping: Mapping[str, str]) -> StemFiles:
    """Return the mixture of ``song``, or the stems that sum to it. Raises ``InputError``."""
    if found.mixture is not None:
        return found.mixture
    parts = find_stems(song.path, VOCALS_AND_REST, mapping=mapping).stems.values()
    return StemFiles(
        paths=tuple(path for audio in parts for path, _ in audio.parts()),
        streams=tuple(stream for audio in parts for _, stream in audio.parts()),
    )


def as_song(mixture: StemFiles, folder: Path, below: Path) -> Song:
    """Return the song to split, ``below``: a file whose first audio stream is the ``mixture``.

    If there is no such file, it is written to ``folder`` just before it is split.
    """
    (path, stream), *others = mixture.parts()
    if stream == 0 and not others:
        return Song(path, below)
    return Song(folder / "mixture.wav", below, make=partial(_write_sum, mixture))


def remove_made(song: Song) -> None:
    """Remove the file of ``song`` if this run wrote it; never raises."""
    if song.make is not None:
        with contextlib.suppress(OSError):
            song.path.unlink()


def _write_sum(mixture: StemFiles, path: Path) -> None:
    """Write ``mixture`` to ``path``."""
    aligned = align([mixture])
    with StemWriter(
        {"mixture": path},
        options=EncodingOptions(),
        sample_rate=aligned.sample_rate,
        channels=aligned.channels,
        frames=aligned.frames,
        force=True,
    ) as writer:
        for block in aligned.blocks():
            writer.write({"mixture": block[0]})
        writer.commit()
