"""Streaming segments and overlap-add against the whole song in memory."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stemsplit.separation.chunking import Segment, hop_frames, overlap_add, segments, weigh


def cut(audio: Tensor, sizes: list[int]) -> Iterator[Tensor]:
    """Cut ``audio`` into blocks of ``sizes``, over and over."""
    begin, turn = 0, 0
    while begin < audio.shape[-1]:
        end = begin + sizes[turn % len(sizes)]
        yield audio[..., begin:end]
        begin, turn = end, turn + 1


def separate_whole(audio: Tensor, size: int, hop: int, network: Tensor) -> Tensor:
    """The definition, with everything in memory: what the streaming pair must equal."""
    length = audio.shape[-1]
    weight = weigh(size)
    total, norm = torch.zeros(len(network), 1, length), torch.zeros(length)
    for offset in range(0, length, hop):
        valid = min(size, length - offset)
        start = (size - valid) // 2
        padded = torch.nn.functional.pad(audio, (size, size))
        heard = padded[..., size + offset - start : size + offset - start + size]
        stems = network[:, None, None] * heard.cumsum(-1)  # depends on all that it hears
        total[..., offset : offset + valid] += weight[:valid] * stems[..., start : start + valid]
        norm[offset : offset + valid] += weight[:valid]
    return total / norm


@given(
    length=st.integers(1, 300),
    size=st.integers(1, 64),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.99]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_streaming_equals_the_whole_song(
    length: int, size: int, overlap: float, sizes: list[int]
) -> None:
    hop = hop_frames(size, overlap)
    audio = torch.randn(1, length, generator=torch.Generator().manual_seed(length))
    network = torch.tensor([1.0, -2.0])

    def run() -> Iterator[tuple[Segment, Tensor]]:
        for segment in segments(cut(audio, sizes), size, hop):
            assert segment.audio.shape == (1, size)
            yield segment, network[:, None, None] * segment.audio.cumsum(-1)

    streamed = torch.cat(list(overlap_add(run(), size, hop)), -1)
    assert torch.equal(streamed, separate_whole(audio, size, hop, network))


def test_an_identity_gives_back_the_song() -> None:
    audio = torch.randn(2, 10_007)
    stream = ((s, s.audio[None]) for s in segments(cut(audio, [441]), 1000, 750))
    back = torch.cat(list(overlap_add(stream, 1000, 750)), -1)
    assert back.shape == (1, 2, 10_007)
    assert (back[0] - audio).abs().max() < 1e-6


@given(
    length=st.integers(1, 300),
    size=st.integers(4, 64),
    alignment=st.sampled_from([1, 2, 4]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_without_padding_all_that_is_heard_is_song(
    length: int, size: int, alignment: int, sizes: list[int]
) -> None:
    size -= size % alignment
    hop = max(alignment, hop_frames(size, 0.25) // alignment * alignment)
    audio = torch.arange(1.0, length + 1)[None]

    def run() -> Iterator[tuple[Segment, Tensor]]:
        stream = segments(cut(audio, sizes), size, hop, padded=False, alignment=alignment)
        for number, segment in enumerate(stream):
            first = int(segment.audio[0, 0]) - 1
            assert torch.equal(segment.audio, audio[:, first : first + segment.audio.shape[-1]])
            assert first % alignment == 0
            assert first + segment.start == number * hop
            assert segment.audio.shape[-1] == min(size, length) or alignment > 1
            yield segment, segment.audio[None]

    back = torch.cat(list(overlap_add(run(), size, hop)), -1)
    assert torch.allclose(back[0], audio)


def test_no_audio_gives_no_segments() -> None:
    assert list(segments([], 100, 75)) == []


def test_a_short_end_is_heard_after_the_audio_before_it() -> None:
    audio = torch.arange(1.0, 12.0)[None]  # 11 frames; segments of 8 every 6
    *_, last = segments([audio], 8, 6)
    assert (last.start, last.valid, last.last) == (1, 5, True)
    assert last.audio[0].tolist() == [6, 7, 8, 9, 10, 11, 0, 0]


def test_what_is_kept_does_not_grow_with_the_song() -> None:
    for segment in segments((torch.zeros(1, 10) for _ in range(1000)), 40, 30):
        assert segment.audio.untyped_storage().nbytes() <= 4 * (40 + 20 + 30 + 10)


def test_weights_rise_to_one_and_are_never_zero() -> None:
    assert weigh(4).tolist() == [0.5, 1.0, 1.0, 0.5]
    assert torch.allclose(weigh(5), torch.tensor([1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3]))
    assert torch.allclose(weigh(20, "fade"), torch.tensor([0.5] + 18 * [1.0] + [0.5]))
    assert weigh(1).tolist() == weigh(1, "fade").tolist() == [1.0]


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 2.0])
def test_an_impossible_overlap_is_refused(overlap: float) -> None:
    with pytest.raises(ValueError, match="overlap"):
        hop_frames(100, overlap)


def test_the_published_geometry() -> None:
    assert hop_frames(343_980, 0.25) == 257_985
