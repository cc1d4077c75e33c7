"""What the steps of ``gpu_steps.py`` share: the device with sizes that suit it, music, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from stemsplit.models.base import SeparationModel
    from stemsplit.separation.engine import Engine

NETWORKS = (
    *("htdemucs", "hdemucs_mmi", "demucs_v2", "spleeter_2stems", "open_unmix.umxhq", "scnet"),
    *("mdx23c.instvoc_hq", "bs_roformer.musdb18", "mel_band_roformer.kim", "conv_tasnet"),
)


class Setting:
    """The device, and the sizes that suit it: on a CPU all is small."""

    def __init__(self, device: str) -> None:
        import torch

        self.device = device
        self.cuda = device.startswith("cuda")
        self.model = "htdemucs" if self.cuda else "tiny.htdemucs"
        self.networks = NETWORKS if self.cuda else ("tiny.htdemucs", "tiny.spleeter", "tiny.scnet")
        self.precisions = ("fp16", "bf16") if self.cuda else ("bf16",)
        self.batches = (1, 2, 4, 8, 16, 32) if self.cuda else (1, 2, 4)
        if not self.cuda:
            torch.set_num_threads(1)
        self.seconds = 240.0 if self.cuda else 2.0

    def engine(self, **options: object) -> Engine:
        """Return an engine with the main network on the device."""
        from stemsplit.separation.engine import Engine

        return Engine(self.load(self.model)[0], device=self.device, **options)  # type: ignore[arg-type]

    def load(self, name: str) -> tuple[SeparationModel, bool]:
        """Return the network ``name``, and whether its weights are published ones, else random."""
        from profile_model import build_network

        from stemsplit.checkpoints import cache, registry

        entry = registry.resolve(name)
        return build_network(name), bool(entry.sources) and cache.find(entry) is not None

    def wait(self) -> None:
        """Return when the device has done all its work."""
        import torch

        if self.cuda:
            torch.cuda.synchronize()

    def seconds_of(self, run: Callable[[], object]) -> float:
        """Return the least seconds of three runs of ``run``."""
        took = []
        for _ in range(3):
            self.wait()
            began = time.perf_counter()
            run()
            self.wait()
            took.append(time.perf_counter() - began)
        return min(took)


def music(seconds: float) -> Tensor:
    """Return music ``(2, T)`` of ``seconds`` at 44.1 kHz."""
    import torch

    from stemsplit.data.synthetic import render

    song = torch.from_numpy(sum(render(0, seconds=min(seconds, 30.0)).values()))
    frames = round(44_100 * seconds)
    return song.repeat(1, 1 + frames // song.shape[1])[:, :frames]


def worst_stem(expected: Tensor, found: Tensor) -> float:
    """Return how far stems ``found`` ``(S, C, T)`` are below ``expected``, in dB, at the worst."""
    import torch

    if not bool(torch.isfinite(found).all()):
        return float("-inf")
    expected, found = expected.double().cpu(), found.double().cpu()
    error = (expected - found).square().sum((1, 2))
    return float((10 * torch.log10(expected.square().sum((1, 2)) / error)).min())


def separate(engine: Engine, song: Tensor) -> Tensor:
    """Return the stems ``(S, C, T)`` of ``song``."""
    import torch

    return torch.cat(list(engine.separate([song])), dim=-1)


@contextmanager
def filled(setting: Setting, free: int) -> Iterator[None]:
    """Hold all memory of the card but ``free`` bytes meanwhile."""
    import torch

    blocks: list[torch.Tensor] = []
    if setting.cuda:
        torch.cuda.empty_cache()
        size = 2**30
        while size >= 2**20:
            if torch.cuda.mem_get_info()[0] - size < free:
                size //= 2
                continue
            blocks.append(torch.empty(size, dtype=torch.uint8, device=setting.device))
    try:
        yield
    finally:
        blocks.clear()
        if setting.cuda:
            torch.cuda.empty_cache()
