"""Writes the stems of a song to files: all of them or none."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from stemsplit.audio.atomic import part_of, sync_file, sync_folder
from stemsplit.audio.blocks import Block
from stemsplit.audio.encoders.base import Encoder, Stem
from stemsplit.audio.encoders.opening import encoder_class, open_encoder
from stemsplit.audio.formats import check_encoding, clip_of, depth_of
from stemsplit.audio.spool import BYTES_PER_SAMPLE, Spool
from stemsplit.audio.tags.model import Tags
from stemsplit.audio.writable import ROOM, refuse_existing, writing
from stemsplit.errors import OutputError, ResourceError, StemsplitError, UsageError
from stemsplit.options import EncodingOptions
from stemsplit.signals import signals_deferred

#: The highest peak of linked stems: after rounding it does not exceed full scale.
JUST_BELOW = 1 - 2**-20


class StemWriter:
    """Writes the stems of one song; they appear together on ``commit``, or not at all.

    A context manager: when left without ``commit``, it removes all temporary files and all folders
    that it created. The temporary files are hidden ``….part`` files in the folders of the stems,
    with the ``mark`` of the song, if any, in their names.
    Existing files are replaced only with ``force``, and only when all stems are complete.
    ``tags`` are those of the song; each stem gets them with its own title.
    The ``closing`` stem contains the dither of the others, and gets none of its own.
    In a file with several ``streams`` (``stem.mp4``), each stream has two of the ``channels``.
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
        tags: Tags | None = None,
        mark: str | None = None,
        streams: tuple[str, ...] = (),
        closing: str | None = None,
    ) -> None:
        self._paths = dict(paths)
        self._options = options
        check_encoding(options)
        self._sample_rate = sample_rate
        self._channels = channels
        self._frames = frames
        self._force = force
        self._mark = mark
        self._streams = streams
        self._closing = closing
        self._complete = False
        self._tags = tags or Tags()
        self._linked = clip_of(options) == "linked"
        self._peak = 0.0
        self._spools: dict[str, Spool] = {}
        self._encoders: dict[str, Encoder] = {}
        self._made_folders: list[Path] = []
        self._temporaries: list[Path] = []
        self._added: dict[Path, Path] = {}
        if len({os.path.abspath(path) for path in self._paths.values()}) < len(self._paths):
            raise UsageError("two stems would be written to the same file")

    @property
    def above(self) -> dict[str, int]:
        """The number of samples above full scale that were passed in, by stem."""
        return {stem: encoder.above for stem, encoder in self._encoders.items()}

    @property
    def gain(self) -> float:
        """The factor for all stems that keeps them within full scale: 1 unless linked."""
        return JUST_BELOW / self._peak if self._linked and self._peak > 1 else 1.0

    def __enter__(self) -> Self:
        """Open all files. Raises ``OutputError``, or ``ResourceError`` for a full disk."""
        try:
            for path in self._paths.values():
                refuse_existing(path, force=self._force)
                self._make_folder(path.parent)
            self._refuse_full_disk()
            for name, path in self._paths.items():
                with signals_deferred():  # an encoder that is not recorded could not be stopped
                    if self._linked:
                        self._spools[name] = Spool(path, self._reserve(path))
                    else:
                        self._encoders[name] = self._open(name, path)
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
            if self._linked:
                self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
                self._spools[stem].write(block)
            else:
                self._encoders[stem].write(block)

    def complete(self) -> dict[str, Path]:
        """Complete all files; return the temporary files by stem, synchronised to the disk.

        Raises the same errors as ``write``, and ``StemsplitError`` (a defect) if the number of
        frames is wrong.
        """
        for stem, spool in self._spools.items():
            self._encode(stem, spool)
        for stem, encoder in self._encoders.items():
            if encoder.frames != self._frames:
                counts = f"{encoder.frames} frames instead of {self._frames}"
                raise StemsplitError(f"stem {stem} has {counts}", path=encoder.stem.target)
            encoder.close()
            with writing(encoder.stem.target):
                sync_file(encoder.stem.temporary)
        self._complete = True
        return {stem: encoder.stem.temporary for stem, encoder in self._encoders.items()}

    def add(self, target: Path) -> Path:
        """Return a new empty file for ``target``, for the caller to fill.

        It appears together with the stems or not at all. Raises the same errors as ``__enter__``.
        """
        refuse_existing(target, force=self._force)
        self._make_folder(target.parent)
        with signals_deferred():
            self._added[target] = self._reserve(target)
        return self._added[target]

    def commit(self) -> None:
        """Complete all files, if necessary, and move them to their final places.

        Raises the same errors as ``complete``.
        """
        if not self._complete:
            self.complete()
        with signals_deferred():
            self._place()
            for folder in {path.parent for path in (*self._paths.values(), *self._added)}:
                sync_folder(folder)
            for made in self._made_folders:
                sync_folder(made.parent)
            self._made_folders.clear()

    def _open(self, name: str, target: Path) -> Encoder:
        dithered = self._options.dither and name != self._closing
        options = replace(self._options, dither=dithered)
        return open_encoder(
            Stem(
                name=name,
                target=target,
                temporary=self._reserve(target),
                options=options,
                sample_rate=self._sample_rate,
                channels=self._channels,
                frames=self._frames,
                tags=self._tags if self._streams else self._tags.of_stem(name),
                streams=self._streams,
            )
        )

    def _encode(self, name: str, spool: Spool) -> None:
        """Encode a stem, whose gain is known now, and remove its spool."""
        with signals_deferred():
            encoder = self._encoders[name] = self._open(name, spool.target)
        for block in spool.blocks(self._channels):
            encoder.write(block * np.float32(self.gain))
        spool.close()
        with contextlib.suppress(OSError):  # another process has removed it
            spool.path.unlink()

    def _reserve(self, target: Path) -> Path:
        """Return a new empty file beside ``target``; call this with signals deferred."""
        temporary = part_of(target, self._mark)
        with writing(target), temporary.open("xb"):
            self._temporaries.append(temporary)
        return temporary

    @property
    def _bytes_needed(self) -> int:
        """The known size of one stem; compressed stems fail only when the disk is full."""
        samples = self._frames * self._channels
        spooled = samples * BYTES_PER_SAMPLE if self._linked else 0
        encoder = encoder_class(self._options.format)
        return spooled + encoder.known_size(samples, depth_of(self._options))

    def _make_folder(self, folder: Path) -> None:
        missing = [f for f in (folder, *folder.parents) if not os.path.lexists(f)]
        with writing(folder):
            for new in reversed(missing):
                # Another process may have just created it.
                with contextlib.suppress(FileExistsError), signals_deferred():
                    new.mkdir()
                    self._made_folders.append(new)
        if not folder.is_dir():
            raise OutputError("is not a folder", path=folder)

    def _refuse_full_disk(self) -> None:
        needed: dict[int, int] = {}
        for path in self._paths.values():
            disk = path.parent.stat().st_dev
            needed[disk] = needed.get(disk, 0) + self._bytes_needed
            if shutil.disk_usage(path.parent).free < needed[disk]:
                total = self._bytes_needed * len(self._paths) / 1e6
                reason = f"not enough disk space: {total:.0f} MB needed"
                raise ResourceError(reason, path=path.parent, hint=ROOM)

    def _place(self) -> None:
        """Rename all files into their places; if one fails, undo the others.

        Signals must be deferred: a rename that is not recorded would not be undone.
        """
        renamed: list[tuple[Path, Path]] = []
        replaced: list[Path] = []
        stems = [encoder.stem for encoder in self._encoders.values()]
        places = {stem.target: stem.temporary for stem in stems} | self._added
        try:
            for target, temporary in places.items():
                refuse_existing(target, force=self._force)
                with writing(target):
                    if os.path.lexists(target):
                        aside = self._reserve(target)
                        os.replace(target, aside)
                        renamed.append((target, aside))
                        self._temporaries.remove(aside)  # it may be the only copy
                        replaced.append(aside)
                    os.replace(temporary, target)
                    renamed.append((temporary, target))
        except BaseException:
            for before, after in reversed(renamed):
                os.replace(after, before)
            raise
        self._temporaries += replaced
        self._remove_temporaries()

    def _clean(self) -> None:
        """Remove everything that was not committed."""
        with signals_deferred():
            for spool in self._spools.values():
                spool.close()
            for encoder in self._encoders.values():
                encoder.abandon()
            self._remove_temporaries()
            for folder in reversed(self._made_folders):
                with contextlib.suppress(OSError):  # another process may have put something there
                    folder.rmdir()

    def _remove_temporaries(self) -> None:
        for temporary in self._temporaries:
            with contextlib.suppress(OSError):  # most are in their places by then
                temporary.unlink()
