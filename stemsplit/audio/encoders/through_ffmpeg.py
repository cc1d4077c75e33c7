"""The base of encoders that run ffmpeg: samples go to its standard input, a file comes out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from stemsplit.audio.encoders.base import Encoder, Stem
from stemsplit.audio.ffmpeg import FILE, process_of, raw_input
from stemsplit.audio.formats import encoded_frames, encoded_rate, rules_of
from stemsplit.audio.resample import conversion
from stemsplit.audio.writable import writing
from stemsplit.errors import OutputError, ResourceError, StemsplitError

#: Without ffmpeg's own tags, and with the same bytes in every run.
PLAIN = {"map_metadata": -1, "fflags": "+bitexact", "flags:a": "+bitexact"}
#: ffmpeg's names of raw samples by depth; floats for lossy formats.
RAW = {"16": "s16le", "24": "s32le"}
FLOATS = "f32le"


class ThroughFfmpeg(Encoder):
    """A stem encoded by ffmpeg in ``container``; corrected and tagged when it is complete."""

    container: str  # ffmpeg's name
    fewest = 1  # the fewest frames that all versions of ffmpeg decode exactly
    gain = np.float32(1)  # applied to floats before they are encoded

    def __init__(self, stem: Stem) -> None:
        super().__init__(stem)
        self._stored_rate = encoded_rate(stem.options, stem.sample_rate)
        self._stored_frames = encoded_frames(stem.options, stem.frames, stem.sample_rate)
        self._refuse_short()
        self._raw = RAW.get(self._depth or "", FLOATS)
        audio = raw_input(format=self._raw, sample_rate=stem.sample_rate, channels=stem.channels)
        self._process = process_of(self._graph(audio), file=stem.temporary, feed=True)
        self._process.__enter__()

    def _refuse_short(self) -> None:
        if 0 < self._stored_frames < self.fewest:
            raise self._too_short()

    def _too_short(self) -> OutputError:
        form = self.stem.options.format
        reason = f"the song is too short for {form} to keep its length"
        hint = "choose a format that stores any length: --format wav, flac, aiff or alac"
        return OutputError(reason, path=self.stem.target, hint=hint)

    def _graph(self, audio: Any) -> Any:
        """Return the graph that turns ``audio``, ffmpeg's input, into the file."""
        return self._fitted(audio).output(FILE, **self._output_options(), **PLAIN)

    def _fitted(self, audio: Any) -> Any:
        """Return ``audio`` at the stored rate, with exactly the stored number of frames."""
        if self._stored_rate == self.stem.sample_rate:
            return audio
        audio = conversion(audio, self._stored_rate)
        audio = audio.filter("apad", whole_len=self._stored_frames)
        return audio.filter("atrim", end_sample=self._stored_frames)

    def _output_options(self) -> dict[str, Any]:
        """Return the options of ffmpeg's output; most formats add more."""
        return {"format": self.container, "acodec": rules_of(self.stem.options).ffmpeg_encoder}

    @abstractmethod
    def _complete(self) -> None:
        """Correct the file that ffmpeg wrote, and add the tags."""

    def _store(self, samples: np.ndarray) -> None:
        try:
            scaled = samples * self.gain if self._raw == FLOATS else samples
            self._process.stdin.write(scaled.astype(scaled.dtype.newbyteorder("<")).tobytes())
        except BrokenPipeError as exc:
            self._process.finish()
            raise self._ffmpeg_failure() from exc

    def _ffmpeg_failure(self) -> StemsplitError:
        reason = self._process.reason
        if "Unknown encoder" in reason:
            hint = "install an ffmpeg that has it, or choose another --format"
            return ResourceError(f"this ffmpeg cannot write it: {reason}", hint=hint)
        return self._failure(reason)

    def close(self) -> None:
        status = self._process.finish()
        self.abandon()
        if status != 0:
            raise self._ffmpeg_failure()
        with writing(self.stem.target):
            self._complete()

    def abandon(self) -> None:
        self._process.__exit__()
