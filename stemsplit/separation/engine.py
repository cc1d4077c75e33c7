"""Running a network over a stream of audio: device, precision, batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from stemsplit.errors import ResourceError
from stemsplit.models.base import SeparationModel
from stemsplit.separation.chunking import Segment, hop_frames, overlap_add, segments
from stemsplit.separation.device import resolve_device, resolve_precision
from stemsplit.types import Precision

#: Segments in one forward. On a CPU all cores work on one already, and more only cost memory.
CUDA_BATCH = 4
#: Added to the deviation of the song, so that digital silence is not divided by 0 (Demucs >= 4.1).
DEVIATION_FLOOR = 1e-8


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
        self.hop = hop_frames(model.segment, model.overlap if overlap is None else overlap)
        with self._memory_explained():
            self.model = model.to(self.device).eval()

    def separate(
        self, blocks: Iterable[Tensor], *, mean: float = 0.0, deviation: float = 1.0
    ) -> Iterator[Tensor]:
        """Yield blocks ``(S, C, n)`` of the stems of ``blocks`` ``(C, n)`` at the model's rate.

        As many frames come out as went in, as float32 on the device of ``blocks``. ``mean`` and
        ``deviation`` are those of the whole song, used by models that ask for it. Raises
        ``ResourceError`` when the device's memory does not suffice.
        """
        if not self.model.standardised:
            mean, deviation = 0.0, 1.0
        scale = deviation + DEVIATION_FLOOR if self.model.standardised else 1.0
        size = self.model.segment
        standardised = ((block - mean) / scale for block in blocks)
        outputs = self._run(segments(standardised, size, self.hop))
        for stems in overlap_add(outputs, size, self.hop, self.model.window):
            yield stems * scale + mean

    def _run(self, stream: Iterator[Segment]) -> Iterator[tuple[Segment, Tensor]]:
        while batch := list(islice(stream, self.batch)):
            # The mode is not held over a yield: it would leak into the code of whoever iterates.
            with self._memory_explained(), torch.inference_mode(), self._autocast():
                mix = torch.stack([segment.audio for segment in batch])
                stems = self._forward(mix.to(self.device)).float().to(mix.device)
            yield from zip(batch, stems, strict=True)

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

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    @contextlib.contextmanager
    def _memory_explained(self) -> Iterator[None]:
        try:
            yield
        except (torch.OutOfMemoryError, MemoryError) as exc:
            raise ResourceError(
                f"out of memory on {self.device}",
                hint="use a smaller --batch, or --device cpu",
            ) from exc
