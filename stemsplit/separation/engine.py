"""Running a network over a stream of audio: device, precision, batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, groupby, islice

import torch
from torch import Tensor

from stemsplit.checkpoints import loading
from stemsplit.errors import CheckpointError
from stemsplit.models.base import SeparationModel
from stemsplit.separation.chunking import Segment, hop_frames, overlap_add, segments
from stemsplit.separation.device import (
    memory_explained,
    resolve_device,
    resolve_precision,
    return_freed_memory,
)
from stemsplit.types import Precision

#: Segments in one forward. On a CPU all cores work on one already, and more only cost memory.
CUDA_BATCH = 4
#: Added to the deviation of the song, so that digital silence is not divided by 0 (Demucs >= 4.1).
DEVIATION_FLOOR = 1e-8
#: Runs of the network between two times that freed memory goes back to the kernel.
RUNS_BEFORE_TIDYING = 24


def load_engine(
    name: str,
    *,
    stems: Sequence[str],
    device: str,
    precision: Precision,
    overlap: float | None,
    batch: int | None,
) -> Engine:
    """Return an engine that gives ``stems`` of the model or checkpoint file ``name``.

    The weights must be here: `loading.prepare` sees to that. Raises ``UsageError`` for settings
    that mean nothing, ``CheckpointError`` for weights that do not fit, and ``ResourceError`` for a
    device that is not here or has too little memory.
    """
    with memory_explained(resolve_device(device)):
        network = loading.load(name, stems=stems)
    return Engine(network, device=device, precision=precision, overlap=overlap, batch=batch)


class Engine:
    """A network on a device, ready to separate streams. It holds no state between songs."""

    def __init__(
        self,
        model: SeparationModel,
        *,
        device: str = "auto",
        precision: Precision = "auto",
        overlap: float | None = None,
        batch: int | None = None,
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_precision(precision, self.device)
        self.batch = batch or (CUDA_BATCH if self.device.type == "cuda" else 1)
        hop = hop_frames(model.segment, model.overlap if overlap is None else overlap)
        self.hop = max(hop - hop % model.alignment, model.alignment)
        if self.device.type == "cuda":
            # The same input has to give the same bytes; some of cuDNN's choices do not.
            torch.backends.cudnn.deterministic = True
        with memory_explained(self.device):
            self.model = model.to(self.device).eval()

    def separate(
        self, blocks: Iterable[Tensor], *, mean: float = 0.0, deviation: float = 1.0
    ) -> Iterator[Tensor]:
        """Yield blocks ``(S, C, n)`` of the stems of ``blocks`` ``(C, n)`` at the model's rate.

        As many frames come out as went in, as float32 on the device of ``blocks``. ``mean`` and
        ``deviation`` are those of the whole song, used by models that ask for it. Raises
        ``ResourceError`` when the device's memory does not suffice, and ``CheckpointError`` when
        the network gives values that are no numbers.
        """
        if not self.model.standardised:
            mean, deviation = 0.0, 1.0
        scale = deviation + DEVIATION_FLOOR if self.model.standardised else 1.0
        size = self.model.segment
        standardised = ((block - mean) / scale for block in blocks)
        stream = segments(
            standardised,
            size,
            self.hop,
            padded=not self.model.any_length,
            alignment=self.model.alignment,
        )
        outputs = self._run(stream)
        if self.model.clusters:
            outputs = self._align(outputs)
        for stems in overlap_add(outputs, size, self.hop, self.model.window):
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

    def _run(self, stream: Iterator[Segment]) -> Iterator[tuple[Segment, Tensor]]:
        for run in count(1):
            if not (batch := list(islice(stream, self.batch))):
                return
            if run % RUNS_BEFORE_TIDYING == 0:
                return_freed_memory()
            # The end of a song may be shorter than what goes before it.
            for _, alike in groupby(batch, key=lambda segment: segment.audio.shape[-1]):
                yield from self._run_batch(list(alike))

    def _run_batch(self, batch: list[Segment]) -> Iterable[tuple[Segment, Tensor]]:
        with memory_explained(self.device), torch.inference_mode():
            mix = torch.stack([segment.audio for segment in batch])
            stems = self._compute(mix.to(self.device)).to(mix.device)
        return zip(batch, stems, strict=True)

    def _compute(self, mix: Tensor) -> Tensor:
        """Return the stems ``(B, S, C, T)`` of ``mix`` ``(B, C, T)``, finite and fp32.

        What overflows in half precision is computed again in full.
        """
        for dtype in dict.fromkeys((self.dtype, torch.float32)):
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                stems = self._forward(mix).float()
            if bool(stems.isfinite().all()):
                return stems
        raise CheckpointError(
            "the network gave values that are no numbers: its weights are damaged",
            hint="stemsplit models verify tells whether the weights are what was fetched",
        )

    def _forward(self, mix: Tensor) -> Tensor:
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
