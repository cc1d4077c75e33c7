"""Stems on their way to their files, in a thread of their own: the network does not wait for them.

When the last block of a song is handed over, the next song can begin: encoders are completed,
files put on the disk, hashed and moved to their places meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log10
from pathlib import Path
from queue import Queue
from threading import Event as Flag
from threading import Thread

from stemsplit.audio.atomic import signals_deferred
from stemsplit.audio.blocks import Block
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.formats import clip_of, depth_of, encoded_frames, encoded_rate
from stemsplit.audio.tags.model import Tags
from stemsplit.handoff.dawproject import TEMPO
from stemsplit.handoff.programs import write_project
from stemsplit.handoff.session import Session, Track
from stemsplit.outputs.manifest import Audio
from stemsplit.separation.job import Job
from stemsplit.types import EncodingOptions, Event, Finished, Warned

#: Blocks of all stems that may wait for the encoders; each is a hop of the network long.
WAITING = 2


class BackgroundWriter:
    """The stems of one ``job`` while they are written.

    ``open`` it for so many frames, ``write`` blocks, then ``end``; ``events`` waits until all is in
    its place. As a context manager it takes everything back when it is left before the ``end``.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._frames, self._tags = 0, Tags()
        self._blocks: Queue[Mapping[str, Block] | None] = Queue(WAITING)
        self._opened = Flag()
        self._ended = self._abandoned = False
        self._error: BaseException | None = None
        self._remarks: list[str] = []
        self._thread: Thread | None = None

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.abandon()
        self.close()

    def abandon(self) -> None:
        """Take everything back, unless the ``end`` has been said."""
        if self._thread is not None and not (self._ended or self._abandoned):
            self._abandoned = True
            self._blocks.put(None)
            self._thread.join()

    def close(self) -> None:
        """Wait until nothing is written any more."""
        if self._thread is not None:
            self._thread.join()

    def open(self, frames: int, tags: Tags) -> None:
        """Open the files, for ``frames`` frames at the song's rate, with the ``tags`` of the song.

        Raises ``OutputError``, or ``ResourceError`` for a full disk.
        """
        self._frames, self._tags = frames, tags
        with signals_deferred():
            self._thread = Thread(target=self._run, name="writing")
            self._thread.start()
        self._opened.wait()
        self._raise_error()

    def write(self, stems: Mapping[str, Block]) -> None:
        """Hand over one block (C, n) of each stem. Raises what went wrong with an earlier one."""
        self._raise_error()
        self._blocks.put(stems)

    def end(self) -> None:
        """Say that there are no more blocks; the files are completed from now on."""
        self._blocks.put(None)
        self._ended = True

    @property
    def done(self) -> bool:
        """Whether all is in its place, or has failed."""
        return self._thread is None or not self._thread.is_alive()

    def events(self) -> Iterator[Event]:
        """Wait for the end, and yield what there is to tell. Raises what went wrong."""
        self.close()
        self._raise_error()
        info = self._job.info
        for remark in self._remarks:
            yield Warned(f"{info.path}: {remark}")
        rate = encoded_rate(self._job.encoding, info.sample_rate)
        yield Finished(
            self._job.outputs, rate, self._job.channels, self._frames, self._job.projects
        )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        all_taken = False
        try:
            with self._writer() as writer:
                self._opened.set()
                for stems in iter(self._blocks.get, None):
                    if not self._abandoned:
                        writer.write(stems)
                all_taken = True
                if not self._abandoned:
                    self._commit(writer)
                    self._remarks += clipping(self._job.encoding, writer.gain, writer.above)
        except BaseException as exc:  # raised again where the blocks come from
            self._error = exc
        finally:
            self._opened.set()
            while not all_taken:  # whoever hands over a block must not wait for ever
                all_taken = self._blocks.get() is None

    def _writer(self) -> StemWriter:
        job, streams = self._job, self._job.selection.streams
        return StemWriter(
            job.outputs,
            options=job.encoding,
            sample_rate=job.info.sample_rate,
            channels=job.channels * max(1, len(streams)),
            frames=self._frames,
            force=job.force,
            tags=self._tags,
            mark=None if job.ledger is None else job.ledger.mark,
            streams=streams,
            closing=job.closing,
        )

    def _commit(self, writer: StemWriter) -> None:
        """Put stems and projects in their places, and write that down where there is a ledger."""
        job = self._job
        rate = encoded_rate(job.encoding, job.info.sample_rate)
        seconds = self._frames / job.info.sample_rate
        audio = Audio(
            sample_rate=rate,
            channels=job.channels,
            frames=encoded_frames(job.encoding, self._frames, job.info.sample_rate),
            seconds=round(seconds, 6),
        )
        files = writer.complete()
        files |= self._write_projects(writer, files, audio)
        if job.ledger is None:
            writer.commit()
            return
        with job.ledger.recording(job.outputs | job.projects, files, audio):
            writer.commit()

    def _write_projects(
        self, writer: StemWriter, files: Mapping[str, Path], audio: Audio
    ) -> dict[str, Path]:
        """Write the projects of ``files``, stems that wait for their places; return where they do.

        Stems of earlier runs are in their places.
        """
        job = self._job
        session = Session(
            name=job.info.path.stem,
            tracks=tuple(
                Track(stem=stem, path=path, content=files.get(stem, path))
                for stem, path in job.stems.items()
            ),
            format=job.encoding.format,
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            frames=audio.frames,
            tags=self._tags,
            song=job.info if job.lasting else None,
        )
        written: dict[str, Path] = {}
        for daw, target in job.projects.items():
            written[daw] = writer.add(target)
            write_project(daw, session, target, written[daw])
        if "dawproject" in written and session.tempo is None:
            self._remarks.append(f"no tempo in its tags; the project has {TEMPO:.0f} BPM")
        return written


def clipping(encoding: EncodingOptions, gain: float, above: Mapping[str, int]) -> Iterator[str]:
    """What became of samples above full scale, of each stem so many; floats simply keep them."""
    if gain < 1:
        yield f"all stems are {-20 * log10(gain):.1f} dB lower, so that none clips"
    clamped = clip_of(encoding) == "clamp"
    if depth_of(encoding) == "32f" and not clamped:
        return
    done = "were clipped" if clamped else "will be clipped by most players"
    advice = "--clip linked turns all stems down together"
    if encoding.format == "wav":
        advice += ", --depth 32f --clip none keeps them"
    for stem, count in above.items():
        if count:
            yield f"{stem}: {count} samples above full scale {done}; {advice}"
