"""FLAC, encoded by libsndfile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import soundfile

from stemsplit.audio.encoders.base import Encoder, Stem
from stemsplit.audio.tags import flac
from stemsplit.audio.writable import writing


class Flac(Encoder):
    """Samples through libsndfile, then the tags in place of its own."""

    def __init__(self, stem: Stem) -> None:
        super().__init__(stem)
        # Bytes, because soundfile refuses a str that holds no text.
        path = stem.temporary
        self._name = str(path) if os.name == "nt" else os.fsencode(path)
        form = (stem.sample_rate, stem.channels, f"PCM_{self._depth}", None, "FLAC")
        with self._reported():
            self._file = soundfile.SoundFile(self._name, "w", *form)

    def _store(self, samples: np.ndarray) -> None:
        with self._reported():
            self._file.write(samples)

    def close(self) -> None:
        with self._reported():
            self._file.close()
            stored = soundfile.info(self._name).frames
        if stored != self.frames:
            raise self._failure(f"{stored} of {self.frames} frames arrived in the file")
        with writing(self.stem.target):
            flac.write(self.stem.temporary, self.stem.tags)

    def abandon(self) -> None:
        with contextlib.suppress(soundfile.SoundFileError):  # a full disk has been reported
            self._file.close()

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn an error of libsndfile into one that says why the file cannot be written."""
        try:
            yield
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc
