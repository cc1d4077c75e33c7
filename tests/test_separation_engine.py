"""The engine: batches, channels, precision, and what is said when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from command import TINY
from oracles import signal_to_difference
from torch import Tensor

from stemsplit.checkpoints import loading
from stemsplit.errors import CheckpointError, InputError, MemoryShortage, ResourceError, UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.separation.device import (
    memory_explained,
    parse_device,
    resolve_device,
    resolve_precision,
)
from stemsplit.separation.engine import Engine
from stemsplit.separation.execution import Execution, degrade, fitting_batch
from stemsplit.separation.queue import SegmentQueue, StemIterator


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvesConfig:
    """Of the networks below."""

    channels: int = 1
    sources: tuple[str, ...] = ("half", "mirrored")
    sample_rate: int = 8_000
    segment: int = 100


class Halves(SeparationModel):
    """Two sources: half of the mix, and half of the mix seen from the end of the segment."""

    Config = HalvesConfig

    def __init__(self, config: HalvesConfig) -> None:
        super().__init__(config)
        self.batches: list[int] = []

    def forward(self, mix: Tensor) -> Tensor:
        assert mix.shape[1:] == (self.channels, self.segment)
        self.batches.append(len(mix))
        return torch.stack([mix / 2, mix.flip(-1) / 2], 1)


class AnyLength(Halves):
    """A network for any length, on a grid of 50 frames."""

    any_length = True
    alignment = 50

    def __init__(self, config: HalvesConfig) -> None:
        super().__init__(config)
        self.lengths: list[int] = []

    def forward(self, mix: Tensor) -> Tensor:
        self.lengths += [mix.shape[-1]] * len(mix)
        return torch.stack([mix / 2, mix.flip(-1) / 2], 1)


class Exhausted(Halves):
    """A network that no memory suffices for."""

    def forward(self, mix: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("tried to allocate 3.00 GiB")


class Hungry(Halves):
    """A network that memory suffices for up to ``fits`` segments at a time, as ``allowed`` says."""

    fits = 2
    allowed = torch.bfloat16

    def forward(self, mix: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else mix.dtype
        if len(mix) > self.fits or dtype != self.allowed:
            raise torch.OutOfMemoryError("tried to allocate 3.00 GiB")
        return super().forward(mix)


class Overflowing(Halves):
    """A network whose values are too large for anything but fp32."""

    def forward(self, mix: Tensor) -> Tensor:
        return super().forward(mix) / (0 if torch.is_autocast_enabled("cpu") else 1)


class Broken(Halves):
    """A network that gives no numbers."""

    def forward(self, mix: Tensor) -> Tensor:
        return super().forward(mix) * float("nan")


def blocks(audio: Tensor) -> Iterator[Tensor]:
    return iter(audio.split(37, -1))


def joined(engine: Engine, audio: Tensor, **statistics: float) -> Tensor:
    return torch.cat(list(engine.separate(blocks(audio), **statistics)), -1)


def test_batches_change_nothing_but_the_number_of_runs(mixture: np.ndarray) -> None:
    audio = torch.from_numpy(mixture)
    one, four = (joined(Engine(loading.load(TINY), device="cpu", batch=n), audio) for n in (1, 4))
    assert one.shape == (4, *audio.shape)
    assert signal_to_difference(one, four) > 90


def test_segments_are_batched_and_the_last_batch_is_filled_up() -> None:
    model = Halves(HalvesConfig())
    audio = torch.randn(1, 450)
    out = joined(Engine(model, device="cpu", overlap=0.0, batch=3), audio)
    assert out.shape == (2, 1, 450)
    assert (out[0] - audio / 2).abs().max() < 1e-6
    assert model.batches == [3, 3]


def waiting(engine: Engine, songs: list[Tensor]) -> list[StemIterator]:
    queue = SegmentQueue()
    return [engine.separate(blocks(song), queue=queue) for song in songs]


def test_short_songs_share_a_batch() -> None:
    model = Halves(HalvesConfig())
    engine = Engine(model, device="cpu", overlap=0.0, batch=4)
    songs = [torch.randn(1, frames) for frames in (99, 150, 7, 230, 100)]  # 1, 2, 1, 3, 1 segments
    for song, stems in zip(songs, waiting(engine, songs), strict=True):
        assert (torch.cat(list(stems), -1)[0] - song / 2).abs().max() < 1e-6
    assert model.batches == [4, 4]


def test_the_stems_of_a_song_do_not_depend_on_other_songs() -> None:
    """To the bit: what is split in a folder is what is split alone, or after an interruption."""
    engine = Engine(loading.load(TINY), device="cpu", batch=4)
    songs = [torch.randn(2, frames) for frames in (44_100, 200_000, 30_000, 90_000)]
    alone = [joined(engine, song) for song in songs]
    together = [torch.cat(list(stems), -1) for stems in waiting(engine, songs)]
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one, other)


def test_a_song_that_cannot_be_read_fails_in_its_own_turn() -> None:
    def broken() -> Iterator[Tensor]:
        yield torch.ones(1, 130)
        raise InputError("the disk is gone")

    engine, queue = (
        Engine(Halves(HalvesConfig()), device="cpu", overlap=0.0, batch=8),
        SegmentQueue(),
    )
    first, second, third = (
        engine.separate(each, queue=queue)
        for each in ([torch.ones(1, 90)], broken(), [torch.ones(1, 60)])
    )
    assert sum(block.shape[-1] for block in first) == 90
    assert next(second).shape[-1] == 100
    with pytest.raises(InputError, match="the disk is gone"):
        list(second)
    assert sum(block.shape[-1] for block in third) == 60


def test_a_song_that_fails_returns_the_segments_of_others() -> None:
    model = Hungry(HalvesConfig())
    model.allowed, model.fits = torch.float32, 0
    engine = Engine(model, device="cpu", overlap=0.0, batch=2)
    songs = [torch.randn(1, 90), torch.randn(1, 180)]
    first, second = waiting(engine, songs)
    with pytest.raises(MemoryShortage):
        list(first)
    model.fits = 1
    assert (torch.cat(list(second), -1)[0] - songs[1] / 2).abs().max() < 1e-6


def test_an_abandoned_song_leaves_the_queue() -> None:
    model = Halves(HalvesConfig())
    engine, queue = Engine(model, device="cpu", overlap=0.0, batch=2), SegmentQueue()
    read = []

    def given_up() -> Iterator[Tensor]:
        read.append(1)
        yield torch.ones(1, 100)

    first, second = (
        engine.separate(each, queue=queue) for each in ([torch.ones(1, 100)], given_up())
    )
    second.close()
    assert len(list(first)) == 1
    assert not read


def test_songs_in_different_queues_are_independent() -> None:
    """Threads that share an engine would otherwise take each other's segments."""
    model = Halves(HalvesConfig())
    engine = Engine(model, device="cpu", overlap=0.0, batch=4)
    read = []

    def other() -> Iterator[Tensor]:
        read.append(1)
        yield torch.ones(1, 100)

    first, second = engine.separate([torch.ones(1, 100)]), engine.separate(other())
    assert len(list(first)) == 1
    assert not read
    assert len(list(second)) == 1


class Frail(Halves):
    """A network whose numbers overflow for loud songs."""

    def forward(self, mix: Tensor) -> Tensor:
        loud = (mix.abs().amax((1, 2)) > 10)[:, None, None, None]
        return super().forward(mix).masked_fill(loud, torch.inf)


def test_only_the_song_that_overflows_fails() -> None:
    model = Frail(HalvesConfig())
    engine = Engine(model, device="cpu", overlap=0.0, batch=4)
    songs = [
        torch.full((1, frames), value) for frames, value in ((90, 1.0), (250, 99.0), (80, 2.0))
    ]
    first, bad, last = waiting(engine, songs)
    assert torch.equal(torch.cat(list(first), -1)[0], songs[0] / 2)
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        list(bad)
    assert torch.equal(torch.cat(list(last), -1)[0], songs[2] / 2)
    assert model.batches == [4, 4]


def test_mono_and_stereo_songs_go_apart_through_a_network_for_mono() -> None:
    model = Halves(HalvesConfig())
    engine = Engine(model, device="cpu", overlap=0.0, batch=2)
    songs = [torch.randn(channels, 100) for channels in (1, 2, 1)]
    for song, stems in zip(songs, waiting(engine, songs), strict=True):
        assert (torch.cat(list(stems), -1)[0] - song / 2).abs().max() < 1e-6
    assert model.batches == [2, 4]


def test_how_much_of_a_batch_a_song_fills() -> None:
    engine = Engine(Halves(HalvesConfig()), device="cpu", overlap=0.0, batch=4)
    assert [engine.fills(frames / 8_000) for frames in (0, 1, 100, 101, 1_000)] == [
        0.25,
        0.25,
        0.25,
        0.5,
        2.5,
    ]
    assert Engine(AnyLength(HalvesConfig()), device="cpu", batch=4).fills(0.001) == 1


def test_a_network_of_any_length_gets_the_end_of_a_song_unpadded() -> None:
    model = AnyLength(HalvesConfig())
    audio = torch.randn(1, 190)
    out = joined(Engine(model, device="cpu", overlap=0.5, batch=8), audio)
    assert (out[0] - audio / 2).abs().max() < 1e-6
    assert model.lengths == [100, 100, 90]  # from 0, 50 and 100: multiples of 50


@pytest.mark.parametrize(("frames", "usual", "quick"), [(100, 2, 1), (151, 3, 2), (176, 3, 3)])
def test_a_quick_end_saves_a_segment_where_another_one_covers_it(
    frames: int, usual: int, quick: int
) -> None:
    audio = torch.randn(1, frames)
    for quick_end, count in ((False, usual), (True, quick)):
        model = Halves(HalvesConfig())
        out = joined(Engine(model, device="cpu", overlap=0.25, quick_end=quick_end), audio)
        assert (out[0] - audio / 2).abs().max() < 1e-6
        assert len(model.batches) == count


@pytest.mark.parametrize("frames", [1, 37, 75, 76, 99, 100])
def test_what_fits_into_one_segment_is_processed_once(frames: int) -> None:
    model = AnyLength(HalvesConfig())
    audio = torch.randn(1, frames)
    out = joined(Engine(model, device="cpu"), audio)
    assert (out - torch.stack([audio / 2, audio.flip(-1) / 2])).abs().max() < 1e-6
    assert model.lengths == [frames]


def test_a_mono_network_processes_the_channels_one_by_one() -> None:
    audio = torch.randn(2, 333)
    stereo = joined(Engine(Halves(HalvesConfig()), device="cpu"), audio)
    mono = [joined(Engine(Halves(HalvesConfig()), device="cpu"), audio[c : c + 1]) for c in (0, 1)]
    assert torch.equal(stereo, torch.cat(mono, dim=1))
    assert (stereo[0] - audio / 2).abs().max() < 1e-6


def test_statistics_are_taken_out_and_put_back_where_a_model_asks_for_it() -> None:
    audio = torch.randn(1, 500) * 3 + 5
    plain = Halves(HalvesConfig())
    asked = Halves(HalvesConfig())
    asked.standardised = True
    unchanged = joined(Engine(plain, device="cpu"), audio, mean=5.0, deviation=3.0)
    assert (unchanged[0] - audio / 2).abs().max() < 1e-5
    shifted = joined(Engine(asked, device="cpu"), audio, mean=5.0, deviation=3.0)
    assert (shifted[0] - ((audio - 5) / 2 + 5)).abs().max() < 1e-5


def test_grad_mode_does_not_leak_to_whoever_iterates() -> None:
    for _ in Engine(Halves(HalvesConfig()), device="cpu").separate(blocks(torch.randn(1, 400))):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_lack_of_memory_is_reported_with_a_hint() -> None:
    engine = Engine(Exhausted(HalvesConfig()), device="cpu")
    with pytest.raises(ResourceError, match="out of memory on cpu") as caught:
        joined(engine, torch.randn(1, 100))
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None and "--batch" in caught.value.hint


def test_where_memory_runs_out_the_batch_halves_and_stays_small() -> None:
    model = Hungry(HalvesConfig())
    model.allowed = torch.float32
    engine = Engine(model, device="cpu", overlap=0.0, batch=8)
    audio = torch.randn(1, 1_000)
    out = joined(engine, audio)
    assert (out[0] - audio / 2).abs().max() < 1e-6
    assert model.batches == [2, 2, 2, 2, 2]
    assert engine.warnings == [
        "out of memory on cpu: continuing with cpu, 1 thread, float32, 2 segments at a time"
    ]
    joined(engine, audio)
    assert len(engine.warnings) == 1


def test_another_device_takes_over_for_the_song_and_keeps_what_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No second device is here: the executions are those of a CPU that plays a small GPU."""
    model = Hungry(HalvesConfig())
    cpu, other = torch.device("cpu"), torch.device("cpu:0")
    small = Execution(device=other, dtype=torch.float32, batch=1)
    last = Execution(device=cpu, dtype=torch.bfloat16, batch=1)
    steps = {small: last, last: None}
    monkeypatch.setattr("stemsplit.separation.engine.degrade", steps.__getitem__)
    engine = Engine(model, device="cpu")
    engine.execution = small
    out = joined(engine, torch.ones(1, 250))
    assert out.shape == (2, 1, 250)
    assert engine.warnings == [
        "out of memory on cpu:0: continuing with cpu, 1 thread, bfloat16, 1 segment at a time"
    ]
    assert engine.execution == small  # the next song is tried there again
    model.fits = 0
    with pytest.raises(MemoryShortage, match="out of memory"):
        joined(engine, torch.ones(1, 250))
    assert engine.execution == small


def test_a_network_stays_on_the_cpu_while_the_gpu_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another program has taken the memory of the GPU while the CPU was in use."""
    model = Halves(HalvesConfig())
    here = Execution(device=torch.device("cpu"), dtype=torch.float32, batch=1)
    full = Execution(device=torch.device("cpu:0"), dtype=torch.float32, batch=1)
    monkeypatch.setattr("stemsplit.separation.engine.degrade", {full: here}.__getitem__)
    engine = Engine(model, device="cpu")
    engine.execution = full

    moves = []

    def move(device: torch.device) -> Halves:
        moves.append(device)  # some of it has got there before memory runs out
        if device == full.device:
            raise torch.OutOfMemoryError("tried to allocate 3.00 GiB")
        return model

    monkeypatch.setattr(model, "to", move)
    for _song in range(2):
        audio = torch.randn(1, 150)
        assert (joined(engine, audio)[0] - audio / 2).abs().max() < 1e-6
        assert engine.warnings.pop().endswith(
            "on cpu:0: continuing with cpu, 1 thread, float32, 1 segment at a time"
        )
        assert engine.execution == full
    assert moves == [full.device, here.device] * 2


CUDA = torch.device("cuda")


def test_less_memory_is_first_a_smaller_batch_then_half_precision_then_the_cpu() -> None:
    execution: Execution | None = Execution(device=CUDA, dtype=torch.float32, batch=5)
    steps = []
    while (execution := degrade(execution)) is not None:
        steps.append((execution.device.type, execution.dtype, execution.batch))
    assert steps == [
        ("cuda", torch.float32, 2),
        ("cuda", torch.float32, 1),
        ("cuda", torch.float16, 1),
        ("cpu", torch.float32, 1),
    ]


@pytest.mark.parametrize(
    ("free", "needed", "batch"), [(10, 1, 8), (10**9, 10, 32), (5, 10, 1), (0, 0, 1)]
)
def test_as_many_segments_as_fit(free: int, needed: int, batch: int) -> None:
    assert fitting_batch(free, needed) == batch


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_as_large_as_the_memory_allows() -> None:
    engine = Engine(loading.load(TINY), device="cuda", batch="auto")
    joined(engine, torch.randn(2, 44_100 * 30))
    assert engine.execution.batch == 32


def test_lack_of_memory_on_a_cpu_is_reported_too() -> None:
    """torch has no specific type for it: this is its real error, for an impossible amount."""
    with pytest.raises(ResourceError, match="out of memory"), memory_explained(torch.device("cpu")):
        torch.empty(2**50)
    with pytest.raises(RuntimeError, match="shape"), memory_explained(torch.device("cpu")):
        torch.empty(3).view(2, 2)


def test_what_overflows_in_half_precision_is_computed_in_full() -> None:
    model = Overflowing(HalvesConfig())
    audio = torch.randn(1, 300)
    stems = joined(Engine(model, device="cpu", precision="bf16", overlap=0.0), audio)
    assert (stems[0] - audio / 2).abs().max() < 1e-6


def test_nan_and_infinity_are_errors() -> None:
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        joined(Engine(Broken(HalvesConfig()), device="cpu"), torch.randn(1, 100))


def test_bfloat16_on_request_stays_close(mixture: np.ndarray) -> None:
    audio = torch.from_numpy(mixture)
    exact = joined(Engine(loading.load(TINY), device="cpu"), audio)
    rounded = joined(Engine(loading.load(TINY), device="cpu", precision="bf16"), audio)
    assert 20 < signal_to_difference(exact, rounded) < 90


def test_names_of_devices() -> None:
    assert parse_device("auto") == ("auto", 0)
    assert parse_device("CUDA:3") == parse_device("cuda:3") == ("cuda", 3)
    for wrong in ("", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:1.5", "GPU"):
        with pytest.raises(UsageError, match="unknown device"):
            parse_device(wrong)


def test_devices_and_precisions_of_this_machine() -> None:
    assert resolve_device("cpu").type == "cpu"
    cpu = torch.device("cpu")
    assert resolve_precision("auto", cpu) == torch.float32
    assert resolve_precision("auto", torch.device("cuda")) == torch.float16
    with pytest.raises(UsageError, match="fp16"):
        resolve_precision("fp16", cpu)
    with pytest.raises(ResourceError, match="no device 'cuda:64'") as caught:
        resolve_device("cuda:64")
    assert caught.value.exit_code == 5


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_in_half_precision_stays_close(mixture: np.ndarray) -> None:
    audio = torch.from_numpy(mixture)
    exact = joined(Engine(loading.load(TINY), device="cpu"), audio)
    engine = Engine(loading.load(TINY), device="cuda")
    assert engine.execution.dtype == torch.float16
    assert signal_to_difference(exact, joined(engine, audio)) > 35
