"""One stem on its way into one file, in each of the formats."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast
from zlib import crc32

import ffmpeg
import numpy as np
import soundfile

from stemsplit.audio import formats, mp3, mp4, ogg, pcm, stem_file
from stemsplit.audio.atomic import output_error, why_unwritable
from stemsplit.audio.ffmpeg import FILE, Block, Process, command
from stemsplit.audio.quantise import Dither, count_above, quantise
from stemsplit.audio.resample import conversion
from stemsplit.audio.splice import splice
from stemsplit.audio.tags import flac, id3, riff, vorbis
from stemsplit.audio.tags import mp4 as atoms
from stemsplit.audio.tags.model import Tags
from stemsplit.errors import ResourceError, StemsplitError
from stemsplit.options import EncodingOptions
from stemsplit.types import Depth

#: Shorter songs (s) get an Ogg page for every packet: of one that has all of its audio on one page
#: ffmpeg cannot tell where it starts, and decodes up to 127 frames too many or too few.
SHORT_FOR_OGG = 3
ONE_PACKET = 1  # µs of a page
#: No tags of ffmpeg's own, and the same bytes in every run.
PLAIN = {"map_metadata": -1, "fflags": "+bitexact", "flags:a": "+bitexact"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """What one stem is to be: everything that an encoder has to know of it."""

    name: str
    target: Path
    temporary: Path
    options: EncodingOptions
    sample_rate: int  # Hz
    channels: int
    frames: int
    tags: Tags
    streams: tuple[str, ...] = ()  # of a stem file: names; each has two of the channels


class Encoder(ABC):
    """One stem on its way into one temporary file."""

    def __init__(self, stem: Stem) -> None:
        self.stem = stem
        self.frames = 0
        self.above = 0  # samples beyond full scale
        self._clamps = formats.clip_of(stem.options) == "clamp"
        self._depth = formats.depth_of(stem.options)
        dithered = stem.options.dither and self._depth == "16"
        self._dither = Dither(stem.name) if dithered else None

    def write(self, block: Block) -> None:
        """Append ``block`` (C, n)."""
        if self._depth in formats.INTEGERS:
            depth = cast(Literal["16", "24"], self._depth)
            samples, above = quantise(block, depth, self._dither)
        else:
            above = count_above(block)
            samples = np.ascontiguousarray((block.clip(-1, 1) if self._clamps else block).T)
        self.above += above
        self._store(samples)
        self.frames += block.shape[1]

    @abstractmethod
    def _store(self, samples: np.ndarray) -> None:
        """Append frames (n, C) of float32, int16, or int32 with 24 bits on top."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file. Raises when it is not what it should be."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of the file, which nobody wants any more; never raises."""

    def _failure(self, reason: str) -> StemsplitError:
        """Return the error for a file that could not be written."""
        exc = why_unwritable(self.stem.temporary) or OSError(None, reason)
        return output_error(exc, self.stem.target)


class Sink(Protocol):
    """What bytes can be written to, one after the other."""

    def write(self, data: bytes, /) -> int:
        """Take ``data``."""

    def close(self) -> None:
        """Take notice that there is no more."""


class _Pcm(Encoder):
    """WAV and AIFF: a header, the samples, and tags after them; ``bare`` ones are samples alone.

    All of it is written in order, to a file or to the ``sink`` in place of it.
    """

    def __init__(self, stem: Stem, sink: Sink | None = None, *, bare: bool = False) -> None:
        super().__init__(stem)
        depth: Depth = self._depth or "16"
        form: Any = {
            "depth": depth,
            "sample_rate": stem.sample_rate,
            "channels": stem.channels,
            "frames": stem.frames,
        }
        if stem.options.format == "wav":
            self._order: pcm.Order = "<"
            self._after = riff.wav_after(stem.tags)
            before = riff.wav_before(stem.tags, stem.sample_rate)
            start = pcm.wav_start(**form, before=before, after=len(self._after))
        else:
            self._order = ">"
            self._after = riff.aiff_after(stem.tags)
            start = pcm.aiff_start(**form, after=len(self._after))
        self._stored_depth = depth
        self._into_file = sink is None
        self._bare = bare
        if bare:
            start = self._after = b""
        self._size = len(start)
        try:
            self._file: Sink = stem.temporary.open("wb") if sink is None else sink
            self._file.write(start)
        except OSError as exc:
            raise output_error(exc, stem.target) from exc

    def _store(self, samples: np.ndarray) -> None:
        data = pcm.as_bytes(samples, self._stored_depth, self._order)
        self._size += len(data)
        try:
            self._file.write(data)
        except OSError as exc:
            raise output_error(exc, self.stem.target) from exc

    def close(self) -> None:
        padding = 0 if self._bare else self._size % 2
        self._size += padding + len(self._after)
        try:
            self._file.write(bytes(padding) + self._after)
            self._file.close()
            stored = self.stem.temporary.stat().st_size if self._into_file else self._size
        except OSError as exc:
            raise output_error(exc, self.stem.target) from exc
        if stored != self._size:
            raise self._failure(f"{stored} of {self._size} bytes arrived in the file")

    def abandon(self) -> None:
        with contextlib.suppress(OSError):  # a full disk has been reported
            self._file.close()


class _Flac(Encoder):
    def __init__(self, stem: Stem) -> None:
        super().__init__(stem)
        # Bytes, because soundfile refuses a str that holds no text.
        path = stem.temporary
        self._name = str(path) if os.name == "nt" else os.fsencode(path)
        try:
            form = (stem.sample_rate, stem.channels, f"PCM_{self._depth}", None, "FLAC")
            self._file = soundfile.SoundFile(self._name, "w", *form)
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc

    def _store(self, samples: np.ndarray) -> None:
        try:
            self._file.write(samples)
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc

    def close(self) -> None:
        try:
            self._file.close()
            stored = soundfile.info(self._name).frames
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc
        if stored != self.frames:
            raise self._failure(f"{stored} of {self.frames} frames arrived in the file")
        try:
            flac.write(self.stem.temporary, self.stem.tags)
        except OSError as exc:
            raise output_error(exc, self.stem.target) from exc

    def abandon(self) -> None:
        with contextlib.suppress(soundfile.SoundFileError):  # a full disk has been reported
            self._file.close()


class _Ffmpeg(Encoder):
    """What ffmpeg encodes; its container is put right when it is complete."""

    gain = np.float32(1)

    def __init__(self, stem: Stem) -> None:
        super().__init__(stem)
        rate = stem.sample_rate
        self._stored_rate = formats.encoded_rate(stem.options, rate)
        self._stored_frames = formats.encoded_frames(stem.options, stem.frames, rate)
        self._kind = {"16": "s16le", "24": "s32le"}.get(self._depth or "", "f32le")
        form = {"format": self._kind, "ar": rate, "ac": stem.channels}
        audio = ffmpeg.input("pipe:0", protocol_whitelist="pipe", **form)
        words = command(self._graph(audio), file=stem.temporary)
        self._process = Process(words, file=stem.temporary, feed=True)
        self._process.__enter__()

    def _graph(self, audio: Any) -> Any:
        """Return what ffmpeg makes of ``audio``, its input."""
        return self._fitted(audio).output(FILE, **self._words(), **PLAIN)

    def _fitted(self, audio: Any) -> Any:
        """Return ``audio`` at the stored rate, exactly as long as it is to be."""
        if self._stored_rate == self.stem.sample_rate:
            return audio
        audio = conversion(audio, self._stored_rate)
        audio = audio.filter("apad", whole_len=self._stored_frames)
        return audio.filter("atrim", end_sample=self._stored_frames)

    @abstractmethod
    def _words(self) -> dict[str, Any]:
        """Return the options of ffmpeg's output."""

    @abstractmethod
    def _complete(self) -> None:
        """Put right what ffmpeg has left, and add the tags."""

    def _store(self, samples: np.ndarray) -> None:
        try:
            scaled = samples * self.gain if self._kind == "f32le" else samples
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
        try:
            self._complete()
        except OSError as exc:
            raise output_error(exc, self.stem.target) from exc

    def abandon(self) -> None:
        self._process.__exit__()


class _Mp3(_Ffmpeg):
    """libmp3lame; the tag in the first frame says what of the end is padding."""

    def _words(self) -> dict[str, Any]:
        options = self.stem.options
        # ID3 is put before all else when the first frame, with its tag, is complete.
        words: dict[str, Any] = {"format": "mp3", "acodec": "libmp3lame", "id3v2_version": 0}
        if options.quality is not None:
            return words | {"q:a": options.quality}
        bitrate = options.bitrate or formats.RULES["mp3"].bitrate or 0
        self.gain = np.float32(1 / mp3.lame_volume(bitrate, self._stored_rate))
        return words | {"audio_bitrate": f"{bitrate}k"}

    def _complete(self) -> None:
        mp3.correct_padding(self.stem.temporary, self._stored_frames)
        if data := id3.written(self.stem.tags):
            with self.stem.temporary.open("r+b") as file:
                splice(file, 0, 0, data)


class _Mp4(_Ffmpeg):
    """AAC or ALAC; the edit list says which frames are the song's."""

    @property
    def _silence(self) -> int:
        return mp4.silence_before(self._stored_frames) if self._depth is None else 0

    def _fitted(self, audio: Any) -> Any:
        fitted = super()._fitted(audio)
        delay = self._silence
        return fitted.filter("adelay", delays=f"{delay}S", all=1) if delay else fitted

    def _words(self) -> dict[str, Any]:
        options = self.stem.options
        if self._depth is not None:
            sample_format = {"16": "s16p", "24": "s32p"}[self._depth or "24"]
            return {"format": "ipod", "acodec": "alac", "sample_fmt": sample_format}
        bitrate = options.bitrate or formats.rules_of(options).bitrate
        return {"format": "ipod", "acodec": "aac", "audio_bitrate": f"{bitrate}k"}

    def _complete(self) -> None:
        mp4.complete(
            self.stem.temporary,
            frames=self._stored_frames,
            silence=self._silence,
            sample_rate=self._stored_rate,
            tags=atoms.written(self.stem.tags),
        )


class _StemFile(_Mp4):
    """AAC or ALAC of several stereo streams: the song, then its stems."""

    def _graph(self, audio: Any) -> Any:
        streams = self.stem.streams
        copies = audio.filter_multi_output("asplit", len(streams))
        pairs = (
            copies[place].filter(
                "channelmap", map=f"{2 * place}|{2 * place + 1}", channel_layout="stereo"
            )
            for place in range(len(streams))
        )
        words = self._words() | stem_file.describing(streams) | PLAIN
        return ffmpeg.output(*map(self._fitted, pairs), FILE, **words)

    def _complete(self) -> None:
        stem_file.complete(
            self.stem.temporary,
            frames=self._stored_frames,
            silence=self._silence,
            sample_rate=self._stored_rate,
            tags=self.stem.tags,
            streams=self.stem.streams,
        )


class _Ogg(_Ffmpeg):
    """Vorbis or Opus; the position of the last page says where the song ends."""

    def _words(self) -> dict[str, Any]:
        options = self.stem.options
        short = self._stored_frames < SHORT_FOR_OGG * self._stored_rate
        pages = {"page_duration": ONE_PACKET} if short else {}
        # The stems may come to be in one file; and some tools have trouble with number 0.
        known = f"{self.stem.name} {self._stored_frames}".encode("utf-8", "surrogatepass")
        pages["serial_offset"] = crc32(known) >> 1 or 1
        if options.format == "ogg":
            quality = formats.vorbis_quality(options)
            return {"format": "ogg", "acodec": "libvorbis", "q:a": quality, **pages}
        asked = options.bitrate or formats.RULES["opus"].bitrate or 0
        bitrate = min(asked, formats.OPUS_LARGEST_BITRATE * self.stem.channels)
        return {"format": "opus", "acodec": "libopus", "audio_bitrate": f"{bitrate}k", **pages}

    def _complete(self) -> None:
        tags = self.stem.tags

        def comment(old: bytes) -> bytes:
            return vorbis.written(tags, vorbis.vendor_of(old), with_picture=True)

        ogg.complete(self.stem.temporary, frames=self._stored_frames, comment=comment)


ENCODERS: dict[str, type[Encoder]] = {
    "wav": _Pcm,
    "aiff": _Pcm,
    "flac": _Flac,
    "mp3": _Mp3,
    "m4a": _Mp4,
    "alac": _Mp4,
    "stem.mp4": _StemFile,
    "opus": _Ogg,
    "ogg": _Ogg,
}


def open_encoder(stem: Stem) -> Encoder:
    """Return what writes ``stem``; whoever calls this abandons it in the end.

    Raises ``OutputError``, or ``ResourceError`` for a full disk or a lack of ffmpeg.
    """
    return ENCODERS[stem.options.format](stem)


def can_stream(options: EncodingOptions) -> bool:
    """Return whether a stem can be written in order, with nothing to be put right at its end."""
    return ENCODERS[options.format] is _Pcm and formats.clip_of(options) != "linked"


def open_stream_encoder(stem: Stem, sink: Sink, *, bare: bool) -> Encoder:
    """Return what writes ``stem``, of a format that `can_stream`, to ``sink``.

    If it is ``bare``, only the samples are written. Raises ``OutputError``.
    """
    return _Pcm(stem, sink, bare=bare)
