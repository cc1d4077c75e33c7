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
from stemsplit.models.operators import using
from stemsplit.separation.chunking import (
    Segment,
    hop_frames,
    overlap_add,
    reflected_segments,
    segments,
    unpadded_segments,
)
from stemsplit.separation.device import memory_explained, return_freed_memory
from stemsplit.separation.execution import Execution, choose_execution, degrade, fitting_batch
from stemsplit.separation.queue import (
    QueuedSong,
    SegmentBatch,
    SegmentQueue,
    StemIterator,
    fill_batch,
)
from stemsplit.types import BatchSize, Precision

#: Added to the deviation of the song, so that digital silence is not divided by 0 (Demucs >= 4.1).
DEVIATION_FLOOR = 1e-8
#: Runs of the network after which freed memory is returned to the kernel.
RUNS_BEFORE_TIDYING = 24


class Engine:
    """A network on a device, ready to separate streams.

    If memory runs out, it continues with an execution that needs less (`execution.degrade`) and
    keeps what is already computed. A smaller batch or a lower precision also applies to later
    songs, but a switch to the CPU does not. ``warnings`` collects reports of this; the caller
    empties it. ``segment`` is the length of a segment in seconds; by default that of the model.
    With ``quick_end``, an end of the song that a segment covers is not processed again. Raises
    ``UsageError`` for invalid settings and ``ResourceError`` for a missing device or too little
    memory.
    """

    def __init__(
        self,
        model: SeparationModel,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        overlap: float | None = None,
        segment: float | None = None,
        quick_end: bool = False,
        batch: BatchSize = None,
        threads: int | None = None,
    ) -> None:
        self.execution = choose_execution(device, precision, batch, threads)
        self._measures = batch == "auto" and self.execution.device.type == "cuda"
        self._interrupted: Execution | None = None  # replaced by the CPU until the song ends
        # A network that processes any length gets a last segment of odd length, which other songs
        # cannot share a batch with.
        self._shares = not model.any_length
        # With batch "auto" the size of a batch differs from run to run anyway.
        self._fills_up = self._shares and batch != "auto"
        self._runs = 0
        self.warnings: list[str] = []
        self.segment = _segment_frames(model, segment)
        self._quick_end = quick_end
        overlap = model.overlap if overlap is None else overlap
        self.hop = hop_frames(self.segment, overlap, model.window)
        if model.alignment <= self.segment:  # shorter segments cannot be aligned
            self.hop = max(self.hop - self.hop % model.alignment, model.alignment)
        if self.execution.device.type == "cuda":
            # The same input must result in the same bytes; some of cuDNN's algorithms differ.
            torch.backends.cudnn.deterministic = True
        with memory_explained(self.execution.device):
            self.model = model.to(self.execution.device).eval()
        self._place: torch.device | None = self.execution.device  # where the network is
        self.sources = model.sources
        self.sample_rate = model.sample_rate
        self.channels = model.channels

    def separate(
        self,
        blocks: Iterable[Tensor],
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        queue: SegmentQueue | None = None,
    ) -> StemIterator:
        """Return blocks ``(S, C, n)`` of the stems of ``blocks`` ``(C, n)`` at the model's rate.

        The song enters the ``queue`` immediately: if an earlier song does not fill a batch,
        segments of this one are added to it. The output has as many frames as the input, as float32
        on the device of ``blocks``. ``mean`` and ``deviation`` are those of the whole song, for
        models that are standardised. Iterating raises ``MemoryShortage`` if memory is too small for
        any execution, and ``CheckpointError`` if the network returns NaN or infinity.
        """
        if not self.model.standardised:
            mean, deviation = 0.0, 1.0
        scale = deviation + DEVIATION_FLOOR if self.model.standardised else 1.0
        song = QueuedSong(self._segments((block - mean) / scale for block in blocks))
        queue = SegmentQueue() if queue is None else queue
        queue.add(self, song)
        outputs: Iterator[tuple[Segment, Tensor]] = self._outputs(song, queue)
        if self.model.clusters:
            outputs = self._align(outputs)
        stems = overlap_add(
            outputs, self.segment, self.hop, self.model.window, scale=scale, offset=mean
        )
        return StemIterator(stems, partial(queue.remove, self, song))

    def fills(self, seconds: float) -> float:
        """Return how many batches a song of ``seconds`` fills; below 1, it can share one."""
        if not self._shares:
            return 1.0
        frames, border = seconds * self.sample_rate, self.segment - self.hop
        if self.model.window == "fade" and frames > 2 * border:
            frames += border  # reflected
        return max(1, ceil(frames / self.hop)) / self.execution.batch

    def _segments(self, blocks: Iterable[Tensor]) -> Iterator[Segment]:
        """Return the segments of ``blocks`` ``(C, n)``, cut as the network needs them."""
        if self.model.window == "fade":
            return reflected_segments(blocks, self.segment, self.hop)
        if self.model.any_length and self.model.context is None:
            return unpadded_segments(
                blocks,
                self.segment,
                self.hop,
                shortest=round(self.model.least_length * self.segment),
                alignment=self.model.alignment,
            )
        return segments(
            blocks, self.segment, self.hop, context=self.model.context, quick_end=self._quick_end
        )

    def _align(self, outputs: Iterator[tuple[Segment, Tensor]]) -> Iterator[tuple[Segment, Tensor]]:
        """Yield ``outputs`` with the stems of each in the order of its predecessor's.

        The frames that both share decide.
        """
        before: Tensor | None = None  # stems of the previous segment, from the next one's start on
        for segment, stems in outputs:
            valid = slice(segment.start, segment.start + segment.valid)
            if before is not None:
                shared = min(before.shape[-1], segment.valid)
                now = stems[..., valid][..., :shared]
                stems = stems[self.model.order_after(before[..., :shared], now)]
            before = stems[..., valid][..., self.hop :]
            yield segment, stems

    def _outputs(self, song: QueuedSong, queue: SegmentQueue) -> Generator[tuple[Segment, Tensor]]:
        """Yield the segments of ``song`` with their stems; it leaves the ``queue`` at the end."""
        try:
            while song.outputs or song.next is not None:
                if not song.outputs:
                    others = queue.others(self, song) if self._shares else []
                    self._process(fill_batch(song, others, self.execution.batch))
                while song.outputs:
                    yield song.outputs.popleft()
            song.raise_error()
        finally:
            queue.remove(self, song)
            if self._interrupted is not None:
                # There may be enough memory again for the next song.
                self.execution, self._interrupted = self._interrupted, None

    def _process(self, waiting: SegmentBatch) -> None:
        """Compute the stems of each segment, degrading the execution if memory runs out."""
        before = self.execution
        degraded = False
        try:
            while waiting:
                batch = waiting[: self.execution.batch]
                shortage: MemoryShortage | None = None
                try:
                    stems = self._infer([segment.audio for _, segment in batch])
                except MemoryShortage as error:
                    shortage = error
                # Outside the handler, because that would keep the failed tensors in memory.
                if shortage is not None:
                    self._degrade(shortage)
                    degraded = True
                    continue
                waiting = waiting[len(batch) :]
                for (song, segment), own, valid in zip(batch, stems, _finite(stems), strict=False):
                    if valid:
                        song.outputs.append((segment, own))
                    else:
                        song.fail(_not_finite())
        finally:
            for song, segment in reversed(waiting):  # only the current song fails, not these
                song.put_back(segment)
        if degraded:
            self.warnings.append(
                f"out of memory on {before.device}: continuing with {self.execution}"
            )

    def _degrade(self, shortage: MemoryShortage) -> None:
        """Switch to an execution that needs less memory; raise ``shortage`` if none does."""
        less = degrade(self.execution)
        if less is None:
            raise shortage
        shortage.__traceback__ = shortage.__cause__ = shortage.__context__ = None
        if self.execution.device.type == "cuda":
            torch.cuda.empty_cache()
        if less.device != self.execution.device:
            self._interrupted = self.execution
        self.execution = less

    def _infer(self, audio: list[Tensor]) -> Tensor:
        """Return the stems ``(B, S, C, T)`` of ``audio``, each ``(C, T)``, in fp32 on its device.

        A shared batch is padded to its full size, because the last bits of the output depend on the
        size; so the stems of a song do not depend on the other songs. Segments that overflow in
        half precision are recomputed in full precision.
        """
        self._runs += 1
        if self._runs % RUNS_BEFORE_TIDYING == 0:
            return_freed_memory()
        device, dtype = self.execution.device, self.execution.dtype
        if self._fills_up:
            audio = audio + audio[-1:] * (self.execution.batch - len(audio))
        with memory_explained(device), torch.inference_mode():
            self._move_to(device)
            measured = self._start_measuring(device)
            mix = torch.stack(audio).to(device)
            stems = self._forward(mix, dtype)
            if dtype != torch.float32 and not bool((valid := _finite(stems)).all()):
                stems[~valid] = self._forward(mix, torch.float32)[~valid]
            stems = stems.to(audio[0].device)
            if measured is not None:
                self._choose_batch(device, measured)
            return stems

    def _forward(self, mix: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the stems ``(B, S, C, T)``, in fp32, of ``mix`` ``(B, C, T)`` run in ``dtype``.

        A mono network runs on the channels one by one. The stems do not include the context.
        """
        batch, channels, _ = mix.shape
        mono = self.model.channels != channels
        mix = mix.flatten(0, 1)[:, None] if mono else mix
        context = self.model.context
        half = torch.autocast(mix.device.type, dtype, enabled=dtype != torch.float32)
        with half, using(self.execution.operators):
            stems: Tensor = self.model(mix, context) if context else self.model(mix)
        if mono:
            stems = stems.view(batch, channels, len(self.sources), -1).transpose(1, 2)
        return stems.float()

    def _move_to(self, device: torch.device) -> None:
        if self._place != device:
            self._place = None  # if memory runs out halfway, it is on both devices in parts
            self.model.to(device)
            self._place = device

    def _start_measuring(self, device: torch.device) -> int | None:
        """Return the bytes in use on the GPU before the run that sets the batch; else None."""
        if not self._measures:
            return None
        self._measures = False
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)

    def _choose_batch(self, device: torch.device, before: int) -> None:
        """Set the batch to as many segments as fit, from the peak memory of one."""
        needed = torch.cuda.max_memory_allocated(device) - before
        torch.cuda.empty_cache()
        free, _total = torch.cuda.mem_get_info(device)
        self.execution = replace(self.execution, batch=fitting_batch(free, needed))


def _finite(stems: Tensor) -> Tensor:
    """Return which of ``stems`` ``(B, S, C, T)`` are free of NaN and infinity: ``(B,)``."""
    return stems.isfinite().flatten(1).all(1)


def _not_finite() -> CheckpointError:
    return CheckpointError(
        "the network returned NaN or infinity: its weights are damaged",
        hint="run stemsplit models verify to check the downloaded weights",
    )


def _segment_frames(model: SeparationModel, seconds: float | None) -> int:
    """Return the length of a segment in frames, by default that of the model.

    Raises ``UsageError`` if the model cannot process ``seconds``.
    """
    if seconds is None:
        return model.segment
    frames = max(1, round(seconds * model.sample_rate))
    if model.fixed_segment and frames > model.segment:
        longest = model.segment / model.sample_rate
        raise UsageError(
            f"the network cannot process segments of {seconds:g} s",
            hint=f"its segments have at most {longest:.2f} s; shorter ones are padded with silence",
        )
    return frames
