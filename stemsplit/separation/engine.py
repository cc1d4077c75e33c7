"""Running a network over a stream of audio: device, precision, batches."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from functools import partial
from math import ceil

import torch
from torch import Tensor

from stemsplit.errors import CheckpointError, MemoryShortage, UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.separation.chunking import Segment, hop_frames, overlap_add, segments
from stemsplit.separation.device import memory_explained, return_freed_memory
from stemsplit.separation.execution import Execution, choose_execution, degrade, fitting_batch
from stemsplit.separation.queue import QueuedSong, Run, SegmentQueue, StemIterator, fill_batch
from stemsplit.types import Batch, Precision

#: Added to the deviation of the song, so that digital silence is not divided by 0 (Demucs >= 4.1).
DEVIATION_FLOOR = 1e-8
#: Runs of the network between two times that freed memory goes back to the kernel.
RUNS_BEFORE_TIDYING = 24


class Engine:
    """A network on a device, ready to separate streams.

    Where memory runs out it goes on with less (`setup.smaller`), and what is computed already is
    kept. That a batch or the precision is too large is remembered for the songs that follow; that
    the CPU took over is not. ``remarks`` tell of it. ``segment`` (s) is how much the network hears
    at a time, if not what its configuration says. Raises ``UsageError`` for settings that mean
    nothing and ``ResourceError`` for a device that is not here or has too little memory.
    """

    def __init__(
        self,
        model: SeparationModel,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        overlap: float | None = None,
        segment: float | None = None,
        batch: Batch = None,
    ) -> None:
        self.setup = choose_execution(device, precision, batch)
        self._measures = batch == "auto" and self.setup.device.type == "cuda"
        self._left: Execution | None = None  # where the CPU has taken over from, during a song
        # A network of any length hears each song to its very end, which no other song fits to.
        self._shares = not model.any_length
        # As many segments as there is memory for are another number in every run anyway.
        self._fills_up = self._shares and batch != "auto"
        self._runs = 0
        self.remarks: list[str] = []  # what a person should know; whoever tells it takes it out
        self.segment = _segment_frames(model, segment)
        self.hop = hop_frames(self.segment, model.overlap if overlap is None else overlap)
        if model.alignment <= self.segment:  # what hears less at a time has to do without
            self.hop = max(self.hop - self.hop % model.alignment, model.alignment)
        if self.setup.device.type == "cuda":
            # The same input has to give the same bytes; some of cuDNN's choices do not.
            torch.backends.cudnn.deterministic = True
        with memory_explained(self.setup.device):
            self.model = model.to(self.setup.device).eval()
        self._place: torch.device | None = self.setup.device  # where the network is
        self.sources = model.sources
        self.sample_rate = model.sample_rate
        self.channels = model.channels

    def separate(
        self,
        blocks: Iterable[Tensor],
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        line: SegmentQueue | None = None,
    ) -> StemIterator:
        """Yield blocks ``(S, C, n)`` of the stems of ``blocks`` ``(C, n)`` at the model's rate.

        From this call on the song waits in ``line``: where a song before it leaves a batch
        unfilled, segments of this one fill it up. As many frames come out as went in, as float32 on
        the device of ``blocks``. ``mean`` and ``deviation`` are those of the whole song, used by
        models that ask for it. Raises ``MemoryShortage`` when no setup is small enough, and
        ``CheckpointError`` when the network gives values that are no numbers.
        """
        if not self.model.standardised:
            mean, deviation = 0.0, 1.0
        scale = deviation + DEVIATION_FLOOR if self.model.standardised else 1.0
        standardised = ((block - mean) / scale for block in blocks)
        stream = segments(
            standardised,
            self.segment,
            self.hop,
            padded=not self.model.any_length,
            alignment=self.model.alignment,
        )
        song = QueuedSong(stream)
        line = SegmentQueue() if line is None else line
        line.join(self, song)
        return StemIterator(self._stems(song, line, mean, scale), partial(line.leave, self, song))

    def fills(self, seconds: float) -> float:
        """Return how many batches a song of ``seconds`` fills; if below 1, it shares one."""
        if not self._shares:
            return 1.0
        return max(1, ceil(seconds * self.sample_rate / self.hop)) / self.setup.batch

    def _stems(
        self, song: QueuedSong, line: SegmentQueue, mean: float, scale: float
    ) -> Generator[Tensor]:
        outputs = self._outputs(song, line)
        if self.model.clusters:
            outputs = self._align(outputs)
        for stems in overlap_add(outputs, self.segment, self.hop, self.model.window):
            yield stems * scale + mean

    def _align(self, outputs: Iterator[tuple[Segment, Tensor]]) -> Iterator[tuple[Segment, Tensor]]:
        """Yield ``outputs``, the stems of each in the order of those before, by what both share."""
        before: Tensor | None = (
            None  # the stems of the segment before, from the next one's start on
        )
        for segment, stems in outputs:
            asked = slice(segment.start, segment.start + segment.valid)
            if before is not None:
                shared = min(before.shape[-1], segment.valid)
                now = stems[..., asked][..., :shared]
                stems = stems[self.model.order_after(before[..., :shared], now)]
            before = stems[..., asked][..., self.hop :]
            yield segment, stems

    def _outputs(self, song: QueuedSong, line: SegmentQueue) -> Iterator[tuple[Segment, Tensor]]:
        """Yield the segments of ``song`` with their stems."""
        try:
            while song.outputs or song.next is not None:
                if not song.outputs:
                    others = line.others(self, song) if self._shares else []
                    self._hear(fill_batch(song, others, self.setup.batch))
                while song.outputs:
                    yield song.outputs.popleft()
            song.raise_error()
        finally:
            if self._left is not None:
                # Memory may be free again for the next song.
                self.setup, self._left = self._left, None

    def _hear(self, waiting: Run) -> None:
        """Give its stems to each segment, with less memory where there is too little."""
        before = self.setup
        retreated = False
        try:
            while waiting:
                run = waiting[: self.setup.batch]
                shortage: MemoryShortage | None = None
                try:
                    stems = self._run([segment.audio for _, segment in run])
                except MemoryShortage as error:
                    shortage = error
                # Out of the handler, which would keep what failed in memory.
                if shortage is not None:
                    self._retreat(shortage)
                    retreated = True
                    continue
                waiting = waiting[len(run) :]
                for (song, segment), of_it, whole in zip(run, stems, _finite(stems), strict=False):
                    if whole:
                        song.outputs.append((segment, of_it))
                    else:
                        song.fail(_no_numbers())
        finally:
            for song, segment in reversed(waiting):  # it is the song before them that fails
                song.put_back(segment)
        if retreated:
            self.remarks.append(f"out of memory on {before.device}: going on with {self.setup}")

    def _retreat(self, shortage: MemoryShortage) -> None:
        """Change to a setup that needs less memory; raise ``shortage`` if there is none."""
        less = degrade(self.setup)
        if less is None:
            raise shortage
        shortage.__traceback__ = shortage.__cause__ = shortage.__context__ = None
        if self.setup.device.type == "cuda":
            torch.cuda.empty_cache()
        if less.device != self.setup.device:
            self._left = self.setup
        self.setup = less

    def _run(self, audio: list[Tensor]) -> Tensor:
        """Return the stems ``(B, S, C, T)`` of ``audio``, each ``(C, T)``, on its own device.

        A batch that is shared is filled up, since the last bits of what comes out depend on its
        size: a song has the same stems in any company. The stems asked for are the first then.
        """
        self._runs += 1
        if self._runs % RUNS_BEFORE_TIDYING == 0:
            return_freed_memory()
        device = self.setup.device
        if self._fills_up:
            audio = audio + audio[-1:] * (self.setup.batch - len(audio))
        with memory_explained(device), torch.inference_mode():
            if self._place != device:
                self._place = None  # if memory runs out half-way, it is partly here, partly there
                self.model.to(device)
                self._place = device
            mix = torch.stack(audio)
            if not self._measures:
                return self._compute(mix.to(device)).to(mix.device)
            self._measures = False
            before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            stems = self._compute(mix.to(device)).to(mix.device)
            needed = torch.cuda.max_memory_allocated(device) - before
            torch.cuda.empty_cache()
            free, _total = torch.cuda.mem_get_info(device)
            self.setup = replace(self.setup, batch=fitting_batch(free, needed))
            return stems

    def _compute(self, mix: Tensor) -> Tensor:
        """Return the stems ``(B, S, C, T)`` of ``mix`` ``(B, C, T)`` in fp32.

        Those that overflow in half precision are computed again in full.
        """
        stems = self._forward(mix, self.setup.dtype)
        overflown = ~_finite(stems)
        if self.setup.dtype != torch.float32 and bool(overflown.any()):
            stems[overflown] = self._forward(mix, torch.float32)[overflown]
        return stems

    def _forward(self, mix: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the stems ``(B, S, C, T)`` in fp32 of ``mix`` ``(B, C, T)`` heard as ``dtype``."""
        with torch.autocast(self.setup.device.type, dtype, enabled=dtype != torch.float32):
            return self._separate(mix).float()

    def _separate(self, mix: Tensor) -> Tensor:
        """Return the stems ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``.

        A network for mono hears the channels one by one.
        """
        channels = mix.shape[1]
        if self.model.channels == channels:
            stems: Tensor = self.model(mix)
            return stems
        one_by_one: Tensor = self.model(mix.flatten(0, 1)[:, None])
        shape = (len(mix), channels, len(self.model.sources), mix.shape[-1])
        return one_by_one.view(shape).transpose(1, 2)


def _finite(stems: Tensor) -> Tensor:
    """Return which of ``stems`` ``(B, S, C, T)`` hold numbers alone: ``(B,)``."""
    return stems.isfinite().flatten(1).all(1)


def _no_numbers() -> CheckpointError:
    return CheckpointError(
        "the network gave values that are no numbers: its weights are damaged",
        hint="stemsplit models verify tells whether the weights are what was fetched",
    )


def _segment_frames(model: SeparationModel, seconds: float | None) -> int:
    """Return how many frames ``model`` hears at a time: ``seconds``, or what it says itself."""
    if seconds is None:
        return model.segment
    frames = max(1, round(seconds * model.sample_rate))
    if model.fixed_segment and frames > model.segment:
        longest = model.segment / model.sample_rate
        raise UsageError(
            f"the network takes no segments of {seconds:g} s",
            hint=f"it was made for {longest:.2f} s; shorter ones are filled up with silence",
        )
    return frames
