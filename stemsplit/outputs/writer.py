"""Writes the stems of one song in its own thread, so that the network need not wait for it.

Once the last block of a song is passed in, the next song can begin while encoders are
completed and files are synchronised, hashed and moved to their places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log10
from queue import Queue
from threading import Event as Flag
from threading import Thread

from stemsplit.audio.blocks import Block
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.formats import (
    clip_of,
    depth_of,
    encoded_frames,
    encoded_rate,
    rules_of,
)
from stemsplit.audio.tags.model import Tags
from stemsplit.options import EncodingOptions
from stemsplit.outputs.job import Job
from stemsplit.outputs.manifest import StoredAudio
from stemsplit.outputs.projects import write_projects
from stemsplit.signals import signals_deferred
from stemsplit.types import Event, Finished, Warned

#: How many blocks of all stems may wait for the encoders; each is one hop of the network long.
WAITING = 2


class BackgroundWriter:
    """The stems of one ``job`` while they are written.

    ``open`` it for a number of frames, ``write`` blocks, then ``end``; ``finish`` waits until all
    files are in their places.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._frames, self._tags = 0, Tags()
        self._blocks: Queue[Mapping[str, Block] | None] = Queue(WAITING)
        self._opened = Flag()
        self._ended = self._abandoned = False
        self._error: BaseException | None = None
        self._warnings: list[str] = []
        self._thread: Thread | None = None

    def open(self, frames: int, tags: Tags) -> None:
        """Open the files, for ``frames`` frames at the song's rate, with the ``tags`` of the song.

        Raises ``OutputError``, or ``ResourceError`` for a full disk.
        """
        self._frames, self._tags = frames, tags
        with signals_deferred():
            self._thread = Thread(target=self._run, name="writer")
            self._thread.start()
        self._opened.wait()
        self._raise_error()

    def write(self, stems: Mapping[str, Block]) -> None:
        """Pass in one block (C, n) of each stem. Raises the error of an earlier block, if any."""
        self._raise_error()
        self._blocks.put(stems)

    def end(self) -> None:
        """Signal that no more blocks follow, which starts the completion of the files."""
        self._blocks.put(None)
        self._ended = True

    def abandon(self) -> None:
        """Remove what was written, unless ``end`` was called."""
        if self._thread is not None and not (self._ended or self._abandoned):
            self._abandoned = True
            self._blocks.put(None)
            self._thread.join()

    def close(self) -> None:
        """Wait until nothing is being written."""
        if self._thread is not None:
            self._thread.join()

    @property
    def done(self) -> bool:
        """Whether all files are in their places, or writing has failed."""
        return self._thread is None or not self._thread.is_alive()

    def finish(self) -> Iterator[Event]:
        """Wait for the end, then yield warnings and ``Finished``. Raises the error, if any."""
        self.close()
        self._raise_error()
        job, info = self._job, self._job.info
        for warning in self._warnings:
            yield Warned(f"{info.path}: {warning}", info.path)
        yield Finished(
            info.path,
            job.outputs,
            encoded_rate(job.encoding, info.sample_rate),
            job.channels,
            self._frames,
            job.projects,
        )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        all_taken = False
        try:
            with self._stem_writer() as writer:
                self._opened.set()
                for stems in iter(self._blocks.get, None):
                    if not self._abandoned:
                        writer.write(stems)
                all_taken = True
                if not self._abandoned:
                    self._commit(writer)
                    self._warnings += clipping(self._job.encoding, writer.gain, writer.above)
        except BaseException as exc:  # raised again in the thread that passes in the blocks
            self._error = exc
        finally:
            self._opened.set()
            while not all_taken:  # a caller that passes in a block must not wait forever
                all_taken = self._blocks.get() is None

    def _stem_writer(self) -> StemWriter:
        job, streams = self._job, self._job.selection.streams
        return StemWriter(
            job.outputs,
            options=job.encoding,
            sample_rate=job.info.sample_rate,
            channels=job.channels * max(1, len(streams)),
            frames=self._frames,
            force=job.force,
            tags=self._tags,
            mark=None if job.manifest is None else job.manifest.token,
            streams=streams,
            closing=job.closing,
        )

    def _commit(self, writer: StemWriter) -> None:
        """Move stems and projects to their places, and record that in the manifest."""
        job, rate = self._job, self._job.info.sample_rate
        audio = StoredAudio(
            sample_rate=encoded_rate(job.encoding, rate),
            channels=job.channels,
            frames=encoded_frames(job.encoding, self._frames, rate),
            seconds=round(self._frames / rate, 6),
        )
        files = writer.complete()
        if job.projects:
            projects = {daw: (path, writer.add(path)) for daw, path in job.projects.items()}
            self._warnings += write_projects(
                projects,
                # Stems of earlier runs are already in their places.
                {name: (path, files.get(name, path)) for name, path in job.stems.items()},
                audio,
                format=job.encoding.format,
                tags=self._tags,
                info=job.info,
                lasting=job.lasting,
            )
            files |= {daw: temporary for daw, (_, temporary) in projects.items()}
        if job.manifest is None:
            writer.commit()
            return
        with job.manifest.recording(job.outputs | job.projects, files, audio):
            writer.commit()


def clipping(encoding: EncodingOptions, gain: float, above: Mapping[str, int]) -> Iterator[str]:
    """Yield warnings about samples above full scale, ``above`` per stem; floats keep them."""
    if gain < 1:
        yield f"all stems are {-20 * log10(gain):.1f} dB quieter, so that none of them clip"
    clamped = clip_of(encoding) == "clamp"
    if depth_of(encoding) == "32f" and not clamped:
        return
    done = "were clipped" if clamped else "will be clipped by most players"
    advice = "--clip linked turns all stems down together"
    if "32f" in rules_of(encoding).depths:
        advice += ", --depth 32f --clip none keeps them"
    for stem, count in above.items():
        if count:
            yield f"{stem}: {count} samples above full scale {done}; {advice}"
