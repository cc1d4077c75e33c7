"""From stems to files: all of them, complete, or none."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import ffmpeg
import numpy as np
import soundfile

from stemsplit.audio import mp3
from stemsplit.audio.ffmpeg import FILE, Block, Process, as_bytes, command, signals_deferred
from stemsplit.audio.resample import conversion
from stemsplit.audio.targets import ROOM, output_error, refuse_folder_of, why_unwritable
from stemsplit.errors import OutputError, ResourceError, StemsplitError, UsageError
from stemsplit.types import Depth, EncodingOptions

DEFAULT_DEPTHS: dict[str, Depth] = {"wav": "32f", "flac": "24"}
BYTES_PER_SAMPLE: dict[Depth, int] = {"16": 2, "24": 3, "32f": 4}
SUBTYPES: dict[Depth, str] = {"16": "PCM_16", "24": "PCM_24", "32f": "FLOAT"}
#: RIFF counts bytes in 32 bits; the headers stay far below the mebibyte that is left for them.
LARGEST_WAV = 2**32 - 2**20


def encoded_rate(options: EncodingOptions, sample_rate: int) -> int:
    """Return the rate (Hz) that stems of ``sample_rate`` are stored at: MP3 knows nine of them.

    Other rates become the next higher one of these, at most 48 kHz.
    """
    if options.format != "mp3":
        return sample_rate
    return next((rate for rate in mp3.RATES if rate >= sample_rate), mp3.RATES[-1])


def depth_of(options: EncodingOptions) -> Depth | None:
    """Return how samples are stored (None: lossy). Raises ``UsageError`` for what cannot be."""
    if options.format == "mp3":
        if options.bitrate not in mp3.BITRATES:
            reason = f"mp3 has no bit rate of {options.bitrate} kbit/s"
            raise UsageError(reason, hint=f"it has: {', '.join(map(str, mp3.BITRATES))}")
        if options.depth is not None:
            raise UsageError("mp3 has no depth", hint="--bitrate sets how exact it is")
        return None
    if options.format == "flac" and options.depth == "32f":
        raise UsageError("flac stores no floats", hint="--depth 24, or --format wav")
    return options.depth or DEFAULT_DEPTHS[options.format]


def wav_container(data_bytes: int) -> Literal["WAV", "RF64"]:
    """Return the container for so many bytes of samples: RF64 where a WAV cannot count them."""
    return "WAV" if data_bytes <= LARGEST_WAV else "RF64"


def quantise(block: Block, depth: Literal["16", "24"]) -> tuple[np.ndarray, int]:
    """Return ``block`` (C, n) as frames (n, C) of integers, and how many samples had to be clipped.

    int16, or int32 with the 24 bits on top, which libsndfile stores as they are. Its own
    conversion rounds down, which shifts everything by half a step. What is no number is silence.
    """
    full_scale = np.float32(2 ** (int(depth) - 1))
    clipped = int(np.count_nonzero(np.abs(block) > 1))
    within = np.nan_to_num(block.T.clip(-1, 1), copy=False)
    steps = np.rint(within * full_scale).clip(-full_scale, full_scale - 1)
    if depth == "16":
        return steps.astype(np.int16, order="C"), clipped
    return steps.astype(np.int32, order="C") << 8, clipped


def refuse_existing(path: Path, *, force: bool = False) -> None:
    """Raise ``OutputError`` if something is at ``path`` that may not be replaced.

    With ``force`` a file may be replaced, a folder never. Nor can there be a new file where its
    folder cannot be made or written to.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        refuse_folder_of(path)
        return
    except (OSError, ValueError) as exc:  # a name too long, or with a NUL byte
        raise output_error(exc, path) from exc
    if stat.S_ISDIR(mode):
        raise OutputError("is a folder", path=path)
    if not force:
        hint = "--force replaces it, --skip-existing leaves it, --out names another folder"
        raise OutputError("exists already", path=path, hint=hint)
    refuse_folder_of(path)


class _Encoder(ABC):
    """One stem on its way into one temporary file."""

    def __init__(self, target: Path, temporary: Path) -> None:
        self.target = target
        self.temporary = temporary
        self.frames = 0
        self.clipped = 0

    @abstractmethod
    def write(self, block: Block) -> None:
        """Append ``block`` (C, n)."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file. Raises when it is not what it should be."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of the file, which nobody wants any more; never raises."""

    def _failure(self, reason: str) -> StemsplitError:
        """Return the error for a file that could not be written."""
        exc = why_unwritable(self.temporary) or OSError(None, reason)
        return output_error(exc, self.target)


class _SoundFile(_Encoder):
    def __init__(
        self, target: Path, temporary: Path, container: str, depth: Depth, rate: int, channels: int
    ) -> None:
        super().__init__(target, temporary)
        self._depth = depth
        # Bytes, because soundfile refuses a str that holds no text.
        self._name = str(temporary) if os.name == "nt" else os.fsencode(temporary)
        try:
            form = (rate, channels, SUBTYPES[depth], None, container)
            self._file = soundfile.SoundFile(self._name, "w", *form)
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc

    def write(self, block: Block) -> None:
        if self._depth == "32f":
            samples: np.ndarray = np.ascontiguousarray(block.T)
        else:
            samples, clipped = quantise(block, self._depth)
            self.clipped += clipped
        try:
            self._file.write(samples)
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc
        self.frames += block.shape[1]

    def close(self) -> None:
        try:
            self._file.close()
            stored = soundfile.info(self._name).frames
        except soundfile.SoundFileError as exc:
            raise self._failure(str(exc)) from exc
        if stored != self.frames:
            raise self._failure(f"{stored} of {self.frames} frames arrived in the file")
        _forget_time(self.temporary)

    def abandon(self) -> None:
        with contextlib.suppress(soundfile.SoundFileError):  # a full disk has been reported
            self._file.close()


class _Mp3(_Encoder):
    """ffmpeg and libmp3lame; the tag in the first frame says what of the end is padding."""

    def __init__(
        self,
        target: Path,
        temporary: Path,
        options: EncodingOptions,
        rate: int,
        channels: int,
        frames: int,
    ) -> None:
        super().__init__(target, temporary)
        form = {"format": "f32le", "ar": rate, "ac": channels}
        audio = ffmpeg.input("pipe:0", protocol_whitelist="pipe", **form)
        stored_rate = encoded_rate(options, rate)
        self._gain = np.float32(1 / mp3.lame_volume(options.bitrate, stored_rate))
        self._stored_frames = round(frames * stored_rate / rate)
        if stored_rate != rate:
            audio = conversion(audio, stored_rate).filter("apad", whole_len=self._stored_frames)
            audio = audio.filter("atrim", end_sample=self._stored_frames)
        graph = audio.output(
            FILE,
            format="mp3",
            acodec="libmp3lame",
            audio_bitrate=f"{options.bitrate}k",
            map_metadata=-1,
            id3v2_version=0,  # no tags: the first frame comes first
            fflags="+bitexact",
        )
        self._process = Process(command(graph, file=temporary), file=temporary, feed=True)
        self._process.__enter__()

    def write(self, block: Block) -> None:
        try:
            self._process.stdin.write(as_bytes(block * self._gain))
        except BrokenPipeError as exc:
            self._process.finish()
            raise self._failure(self._process.reason) from exc
        self.frames += block.shape[1]

    def close(self) -> None:
        status = self._process.finish()
        self.abandon()
        if status != 0:
            raise self._failure(self._process.reason)
        mp3.correct_padding(self.temporary, self._stored_frames)

    def abandon(self) -> None:
        self._process.__exit__()


class StemWriter:
    """Writes the stems of one song; they appear together, by ``commit``, or not at all.

    A context manager: left without ``commit`` it takes back every temporary file and every folder
    that it made. The temporary files are in the folders of the stems, hidden, ``….part``.
    Nothing that exists is overwritten unless ``force``, and then only when all is complete.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        *,
        options: EncodingOptions,
        sample_rate: int,
        channels: int,
        frames: int,
        force: bool = False,
    ) -> None:
        self._paths = dict(paths)
        self._options = options
        self._depth = depth_of(options)
        self._sample_rate = sample_rate
        self._channels = channels
        self._frames = frames
        self._force = force
        self._encoders: dict[str, _Encoder] = {}
        self._made_folders: list[Path] = []
        self._temporaries: list[Path] = []
        if len({os.path.abspath(path) for path in self._paths.values()}) < len(self._paths):
            raise UsageError("two stems would be written to the same file")

    @property
    def clipped(self) -> dict[str, int]:
        """How many samples of each stem were beyond full scale, and clipped, in 16 or 24 bits."""
        return {stem: encoder.clipped for stem, encoder in self._encoders.items()}

    def __enter__(self) -> Self:
        """Open all files. Raises ``OutputError``, or ``ResourceError`` for a full disk."""
        try:
            for path in self._paths.values():
                refuse_existing(path, force=self._force)
                self._make_folder(path.parent)
            self._refuse_full_disk()
            for stem, path in self._paths.items():
                with signals_deferred():  # an encoder that nobody noted would go on
                    self._encoders[stem] = self._open(path)
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._clean()

    def write(self, stems: Mapping[str, Block]) -> None:
        """Append one block (C, n) to each stem, full scale ±1.0.

        Raises ``OutputError``, or ``ResourceError`` for a full disk.
        """
        for stem, block in stems.items():
            if (channels := block.shape[0]) != self._channels:
                raise ValueError(f"{stem}: {channels} channels, not {self._channels}")
            self._encoders[stem].write(block)

    def commit(self) -> None:
        """Complete all files and put them in their places.

        Raises as ``write`` does, and ``StemsplitError``, a defect, for a wrong number of frames.
        """
        for stem, encoder in self._encoders.items():
            if encoder.frames != self._frames:
                counts = f"{encoder.frames} frames instead of {self._frames}"
                raise StemsplitError(f"stem {stem} has {counts}", path=encoder.target)
            encoder.close()
        with signals_deferred():
            self._place()
            self._made_folders.clear()

    def _open(self, target: Path) -> _Encoder:
        temporary = self._reserve(target)
        rate, channels = self._sample_rate, self._channels
        if self._depth is None:
            return _Mp3(target, temporary, self._options, rate, channels, self._frames)
        kind = wav_container(self._data_bytes) if self._options.format == "wav" else "FLAC"
        return _SoundFile(target, temporary, kind, self._depth, rate, channels)

    def _reserve(self, target: Path) -> Path:
        """Return a new empty file beside ``target``; signals wait while this is called."""
        temporary = target.with_name(f".stemsplit-{secrets.token_hex(8)}.part")
        try:
            with temporary.open("xb"):
                self._temporaries.append(temporary)
        except OSError as exc:
            raise output_error(exc, target) from exc
        return temporary

    @property
    def _data_bytes(self) -> int:
        """The size of one uncompressed stem."""
        return self._frames * self._channels * BYTES_PER_SAMPLE[self._depth or "16"]

    def _make_folder(self, folder: Path) -> None:
        missing = [f for f in (folder, *folder.parents) if not os.path.lexists(f)]
        try:
            for new in reversed(missing):
                # It may have been made by somebody else just now.
                with contextlib.suppress(FileExistsError), signals_deferred():
                    new.mkdir()
                    self._made_folders.append(new)
        except OSError as exc:
            raise output_error(exc, folder) from exc
        if not folder.is_dir():
            raise OutputError("is not a folder", path=folder)

    def _refuse_full_disk(self) -> None:
        """Only a WAV's size is known before; the others are small and fail when they must."""
        if self._options.format != "wav":
            return
        needed: dict[int, int] = {}
        for path in self._paths.values():
            disk = path.parent.stat().st_dev
            needed[disk] = needed.get(disk, 0) + self._data_bytes
            if shutil.disk_usage(path.parent).free < needed[disk]:
                total = self._data_bytes * len(self._paths) / 1e6
                reason = f"the disk is too full: {total:.0f} MB are needed"
                raise ResourceError(reason, path=path.parent, hint=ROOM)

    def _place(self) -> None:
        """Rename all files into their places; when one cannot be, take back those that were.

        No signal may come between: a rename that nobody noted would not be taken back.
        """
        renamed: list[tuple[Path, Path]] = []
        replaced: list[Path] = []
        try:
            for encoder in self._encoders.values():
                target = encoder.target
                refuse_existing(target, force=self._force)
                if os.path.lexists(target):
                    aside = self._reserve(target)
                    os.replace(target, aside)
                    renamed.append((target, aside))
                    self._temporaries.remove(aside)  # it may be the only copy
                    replaced.append(aside)
                os.replace(encoder.temporary, target)
                renamed.append((encoder.temporary, target))
        except BaseException as exc:
            for before, after in reversed(renamed):
                os.replace(after, before)
            if isinstance(exc, OSError):
                raise output_error(exc, target) from exc
            raise
        self._temporaries += replaced
        self._remove_temporaries()

    def _clean(self) -> None:
        """Leave nothing that was not committed."""
        with signals_deferred():
            for encoder in self._encoders.values():
                encoder.abandon()
            self._remove_temporaries()
            for folder in reversed(self._made_folders):
                with contextlib.suppress(OSError):  # somebody else may have put something there
                    folder.rmdir()

    def _remove_temporaries(self) -> None:
        for temporary in self._temporaries:
            with contextlib.suppress(OSError):  # most are in their places by then
                temporary.unlink()


def _forget_time(path: Path) -> None:
    """Blank the time of writing, which libsndfile puts into floats' PEAK chunk: two runs differ."""
    with path.open("r+b") as file:
        header = file.read(4096)  # libsndfile's headers are far shorter
        chunk = header.find(b"PEAK", 0, header.find(b"data"))
        if chunk >= 0:
            file.seek(chunk + 12)  # after name, size and version
            file.write(bytes(4))
