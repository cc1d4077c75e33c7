"""Streaming segments and overlap-add against the whole song in memory."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msst_reference import demix
from torch import Tensor

from stemsplit.separation.chunking import (
    LONGEST_BLOCK,
    Segment,
    hop_frames,
    overlap_add,
    reflected_segments,
    segments,
    unpadded_segments,
    weigh,
)


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
        section = padded[..., size + offset - start : size + offset - start + size]
        stems = network[:, None, None] * section.cumsum(-1)  # depends on its whole input
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
    least=st.sampled_from([0.0, 0.25, 1.0]),
    overlap=st.sampled_from([0.0, 0.25]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_segments_without_padding_contain_only_the_song(
    length: int, size: int, alignment: int, least: float, overlap: float, sizes: list[int]
) -> None:
    """The last of them what is left, but not less than the least length that is asked for."""
    size -= size % alignment
    shortest = max(1, round(least * size) - alignment + 1)
    hop = max(alignment, hop_frames(size, overlap) // alignment * alignment)
    audio = torch.arange(1.0, length + 1)[None]

    def run() -> Iterator[tuple[Segment, Tensor]]:
        stream = unpadded_segments(
            cut(audio, sizes), size, hop, shortest=shortest, alignment=alignment
        )
        for number, segment in enumerate(stream):
            first, frames = int(segment.audio[0, 0]) - 1, segment.audio.shape[-1]
            assert torch.equal(segment.audio, audio[:, first : first + frames])
            assert first % alignment == 0
            assert first + segment.start == number * hop
            assert frames <= size
            if frames >= shortest + alignment:  # nothing before it was needed
                assert (segment.start, frames) == (0, segment.valid)
            else:
                assert frames >= min(shortest, length)
            yield segment, segment.audio[None]

    back = torch.cat(list(overlap_add(run(), size, hop)), -1)
    assert torch.allclose(back[0], audio)


@given(
    length=st.integers(1, 300),
    size=st.integers(1, 64),
    overlap=st.sampled_from([0.0, 0.25, 0.75]),
    context=st.integers(0, 40),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_segments_with_context_have_the_song_around_them(
    length: int, size: int, overlap: float, context: int, sizes: list[int]
) -> None:
    """As many frames on either side, whatever the length of the segment; zeros beyond the song."""
    hop = hop_frames(size, overlap)
    audio = torch.arange(1.0, length + 1)[None]
    around = torch.nn.functional.pad(audio, (context, size + context))
    found = list(segments(cut(audio, sizes), size, hop, context=context))
    assert [segment.last for segment in found] == [False] * (len(found) - 1) + [True]
    assert len(found) == -(-length // hop)
    for number, segment in enumerate(found):
        begin, valid = number * hop, min(size, length - number * hop)
        assert (segment.start, segment.valid) == (0, valid)
        assert torch.equal(segment.audio, around[:, begin : begin + valid + 2 * context])


@given(
    length=st.integers(1, 300),
    size=st.integers(1, 64),
    overlap=st.sampled_from([0.0, 0.25, 0.75]),
    context=st.sampled_from([None, 0, 3]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_a_quick_end_leaves_out_what_the_segment_before_covers(
    length: int, size: int, overlap: float, context: int | None, sizes: list[int]
) -> None:
    hop = hop_frames(size, overlap)
    audio = torch.arange(1.0, length + 1)[None]
    found = list(segments(cut(audio, sizes), size, hop, context=context, quick_end=True))
    whole = list(segments(cut(audio, sizes), size, hop, context=context))
    assert len(found) == 1 + max(0, -(-(length - size) // hop))
    assert [segment.last for segment in found] == [False] * (len(found) - 1) + [True]
    for quick, usual in zip(found, whole, strict=False):
        assert (quick.start, quick.valid) == (usual.start, usual.valid)
        assert torch.equal(quick.audio, usual.audio)
    margin = context or 0
    stream = ((s, s.audio[None, :, margin : s.audio.shape[-1] - margin]) for s in found)
    assert torch.allclose(torch.cat(list(overlap_add(stream, size, hop)), -1)[0], audio)


@given(
    length=st.integers(1, 300),
    size=st.integers(1, 64),
    overlap=st.sampled_from([0.0, 0.03, 0.25, 0.5, 2 / 3, 0.75, 0.95]),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
@settings(max_examples=500, deadline=None)
def test_reflected_songs_are_separated_as_by_the_communitys_trainer(
    length: int, size: int, overlap: float, sizes: list[int]
) -> None:
    hop = hop_frames(size, overlap, "fade")
    audio = torch.randn(1, length, generator=torch.Generator().manual_seed(length))

    def network(mix: Tensor) -> Tensor:
        return torch.tensor([1.0, -2.0])[:, None, None] * mix.cumsum(-1)

    def run() -> Iterator[tuple[Segment, Tensor]]:
        for segment in reflected_segments(cut(audio, sizes), size, hop):
            assert segment.audio.shape == (1, size)
            yield segment, network(segment.audio)

    streamed = torch.cat(list(overlap_add(run(), size, hop, "fade")), -1)
    expected = demix(network, audio, size, hop)
    assert streamed.shape == expected.shape
    assert (streamed - expected).abs().max() < 1e-4


def test_a_song_longer_than_two_borders_is_reflected_at_both_ends() -> None:
    audio = torch.arange(10.0)[None]
    short = list(reflected_segments([audio[:, :8]], 6, 2))  # 4 frames of border
    assert [segment.audio[0].tolist() for segment in short] == [
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7],
        [4, 5, 6, 7, 6, 5],
        [6, 7, 0, 0, 0, 0],
    ]
    found = list(reflected_segments([audio[:, :9]], 6, 2))
    assert [segment.audio[0].tolist() for segment in found] == [
        [4, 3, 2, 1, 0, 1],
        [2, 1, 0, 1, 2, 3],
        [0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7],
        [4, 5, 6, 7, 8, 7],
        [6, 7, 8, 7, 6, 5],
        [8, 7, 6, 5, 4, 5],
    ]
    assert [segment.lead for segment in found] == [4, 2, 0, 0, 0, 0, 0]
    assert [segment.valid for segment in found] == [6, 6, 6, 6, 5, 3, 1]


def test_no_audio_gives_no_segments() -> None:
    assert list(segments([], 100, 75)) == []
    assert list(unpadded_segments([], 100, 75)) == []
    assert list(reflected_segments([], 100, 75)) == []


def test_a_short_end_is_preceded_by_the_audio_before_it() -> None:
    audio = torch.arange(1.0, 12.0)[None]  # 11 frames; segments of 8 every 6
    *_, last = segments([audio], 8, 6)
    assert (last.start, last.valid, last.last) == (1, 5, True)
    assert last.audio[0].tolist() == [6, 7, 8, 9, 10, 11, 0, 0]


def test_what_is_kept_does_not_grow_with_the_song() -> None:
    for segment in segments((torch.zeros(1, 10) for _ in range(1000)), 40, 30):
        assert segment.audio.untyped_storage().nbytes() <= 4 * (40 + 20 + 30 + 10)
    for segment in reflected_segments((torch.zeros(1, 10) for _ in range(1000)), 40, 10):
        assert segment.audio.untyped_storage().nbytes() <= 4 * (3 * 30 + 10)


def test_weights_rise_to_one_and_are_never_zero() -> None:
    assert weigh(4).tolist() == [0.5, 1.0, 1.0, 0.5]
    assert torch.allclose(weigh(5), torch.tensor([1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3]))
    fade = [1e-9, 0.5, 1.0]
    assert torch.allclose(weigh(30, "fade"), torch.tensor([*fade, *24 * [1.0], *reversed(fade)]))
    first = weigh(30, "fade", first=True)
    assert torch.allclose(first, torch.tensor([*27 * [1.0], *reversed(fade)]))
    assert torch.equal(weigh(30, first=True), weigh(30))
    assert weigh(1).tolist() == weigh(1, "fade").tolist() == [1.0]


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 2.0])
def test_an_impossible_overlap_is_refused(overlap: float) -> None:
    with pytest.raises(ValueError, match="overlap"):
        hop_frames(100, overlap)


def test_the_published_geometry() -> None:
    assert hop_frames(343_980, 0.25) == 257_985
    assert [hop_frames(352_800, 1 - 1 / n, "fade") for n in range(1, 65)] == [
        352_800 // n for n in range(1, 65)
    ]
    assert hop_frames(352_800, 1 - 1 / 3) == 117_599  # as demucs does


def test_blocks_of_stems_have_a_longest_length() -> None:
    mix = torch.randn(1, 2 * LONGEST_BLOCK + 5)
    (whole,) = segments([mix], mix.shape[-1], mix.shape[-1])
    blocks = list(overlap_add([(whole, whole.audio[None])], mix.shape[-1], mix.shape[-1]))
    assert [block.shape[-1] for block in blocks] == [LONGEST_BLOCK, LONGEST_BLOCK, 5]
    torch.testing.assert_close(torch.cat(blocks, -1)[0], mix)
