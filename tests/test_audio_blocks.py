"""Blocks of audio: from and to bytes, counted, and cut to other lengths."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit.audio.blocks import BlockReader, FrameCounter, as_block, as_bytes
from stemsplit.errors import InputError
from stemsplit.types import StreamInfo

INFO = StreamInfo(
    path=Path("song.wav"),
    sample_rate=1000,
    channels=2,
    stored_channels=2,
    duration=None,
    codec="pcm_f32le",
)


def test_blocks_and_bytes_are_inverse_to_each_other():
    block = np.arange(6, dtype=np.float32).reshape(2, 3)
    data = as_bytes(block)
    assert np.frombuffer(data, "<f4").tolist() == [0, 3, 1, 4, 2, 5]
    assert np.array_equal(as_block(data, 2), block)
    assert as_block(data + b"\0\0\0\0\0", 2).shape == (2, 3)  # half a frame does not count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -2e12])
def test_the_first_frame_with_an_invalid_value_is_named(value):
    good = np.zeros((2, 1500), np.float32)
    bad = good.copy()
    bad[1, [250, 900]] = value
    counter = FrameCounter(INFO)
    passed = counter.count([good, bad])
    assert next(passed) is good
    assert counter.frames == 1500
    with pytest.raises(InputError, match=r"song.wav: .* at 1\.750 s \(frame 1750\)"):
        next(passed)


def test_blocks_of_any_length_are_read_in_any_other():
    frames = np.arange(20, dtype=np.float32).reshape(2, 10)
    reader = BlockReader([frames[:, :3], frames[:, 3:4], frames[:, 4:]])
    taken = [reader.take(count) for count in (1, 2, 5, 0, 2)]
    assert [block.shape for block in taken] == [(2, 1), (2, 2), (2, 5), (2, 0), (2, 2)]
    assert np.array_equal(np.concatenate(taken, 1), frames)
