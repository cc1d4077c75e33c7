"""FLAC, encoded by libsndfile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np
import soundfile

from stemsplit.audio.blocks import Block
from stemsplit.audio.encoders.base import Encoder, Stem
from stemsplit.audio.formats import encoded_frames, encoded_rate
from stemsplit.audio.resample import Converter, Length
from stemsplit.audio.sound_files import open_sound
from stemsplit.audio.tags import flac
from stemsplit.audio.writable import writing


class Flac(Encoder):
    """FLAC through libsndfile, whose tags are replaced afterwards."""

    def __init__(self, stem: Stem) -> None:
        super().__init__(stem)
        self._stored_frames = encoded_frames(stem.options, stem.frames, stem.sample_rate)
        rate = encoded_rate(stem.options, stem.sample_rate)
        self._converter: Converter | None = None
        self._length = Length(self._stored_frames, channels=stem.channels, sample_rate=rate)
        self._path = stem.temporary
        form = (rate, stem.channels, f"PCM_{self._depth}", None, "FLAC")
        with contextlib.ExitStack() as stack:
            if rate != stem.sample_rate:
                converter = Converter(stem.channels, stem.sample_rate, rate)
                self._converter = stack.enter_context(converter)
            with self._reported():
                self._file = open_sound(self._path, "w", *form)
            self._stack = stack.pop_all()

    def write(self, block: Block) -> None:
        if self._converter is None:
            super().write(block)
        else:
            self._write_converted(self._converter.take(block), block.shape[1])

    def _write_converted(self, blocks: Iterable[Block], given: int) -> None:
        """Append ``blocks`` at the rate of the file, made from ``given`` frames at the song's."""
        frames = self.frames + given
        for block in blocks:
            super().write(self._length.take(block))
        self.frames = frames

    def _store(self, samples: np.ndarray) -> None:
        with self._reported():
            self._file.write(samples)

    def close(self) -> None:
        if self._converter is not None:
            self._write_converted(self._converter.rest(), 0)
            self._write_converted([self._length.rest()], 0)
            self._stack.close()
        with self._reported():
            self._file.close()
            with open_sound(self._path) as file:
                stored = file.frames
        if stored != self._stored_frames:
            raise self._failure(f"{stored} of {self._stored_frames} frames were written")
        with writing(self.stem.target):
            flac.write(self.stem.temporary, self.stem.tags)

    def abandon(self) -> None:
        self._stack.close()
        with contextlib.suppress(soundfile.SoundFileError):  # a full disk is already reported
            self._file.close()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn an error of libsndfile into one that explains why the file cannot be written."""
        try:
            yield
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc
