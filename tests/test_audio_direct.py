"""WAV and FLAC without ffmpeg: the same samples, warnings and errors as with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio import decode as decoding
from stemsplit.audio.blocks import Block
from stemsplit.audio.decode import decode
from stemsplit.audio.direct import direct_blocks
from stemsplit.audio.probe import probe
from stemsplit.errors import InputError
from stemsplit.types import StreamInfo

#: Subtypes of libsndfile by container, and whether ffmpeg is left out.
DIRECT = {
    "WAV": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
    "WAVEX": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"),
    "FLAC": ("PCM_16", "PCM_24"),
}
THROUGH_FFMPEG = {
    "WAV": ("PCM_U8", "DOUBLE", "ULAW"),
    "RF64": ("PCM_16",),
    "W64": ("PCM_16",),
    "FLAC": ("PCM_S8",),
    "AIFF": ("PCM_16",),
}


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(form, subtype) for form, subtypes in table.items() for subtype in subtypes]


def store(
    folder: Path, form: str, subtype: str, *, frames: int = 30_000, channels: int = 2, seed: int = 0
) -> Path:
    """Write noise, beyond full scale where floats are stored, at 11025 Hz."""
    path = folder / f"song.{form.lower()}"
    noise = np.random.default_rng(seed).standard_normal((frames, channels)) * 0.4
    noise = noise if subtype in ("FLOAT", "DOUBLE") else noise.clip(-1, 0.999)
    soundfile.write(path, noise, 11_025, subtype, format=form)
    return path


def outcome(info: StreamInfo) -> tuple[Any, ...]:
    """Return samples, error, sorted warnings (ffmpeg has threads), and whether the end is whole."""
    decoder = decode(info)
    blocks: list[Block] = []
    error = None
    try:
        blocks.extend(decoder)
    except InputError as exc:
        error = str(exc)
    assert all(block.shape[1] <= info.sample_rate for block in blocks)
    samples = np.concatenate(blocks, 1).tobytes() if blocks else b""
    return samples, error, sorted(decoder.warnings), decoder.has_end


def without_direct(info: StreamInfo) -> tuple[Any, ...]:
    """Return the `outcome` with ffmpeg alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "direct_blocks", lambda info: iter(()))
        return outcome(info)


def directly(info: StreamInfo) -> int:
    """Return how many frames need no ffmpeg."""
    return sum(block.shape[1] for block in direct_blocks(info))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("form", "subtype"), pairs(DIRECT))
def test_whole_files_need_no_ffmpeg(form: str, subtype: str, channels: int, tmp_path: Path) -> None:
    info = probe(store(tmp_path, form, subtype, channels=channels))
    assert directly(info) == 30_000
    assert outcome(info) == without_direct(info)


@pytest.mark.parametrize(("form", "subtype"), pairs(THROUGH_FFMPEG))
def test_other_formats_are_left_to_ffmpeg(form: str, subtype: str, tmp_path: Path) -> None:
    assert directly(probe(store(tmp_path, form, subtype))) == 0


def test_surround_is_left_to_ffmpeg(tmp_path: Path) -> None:
    for form in DIRECT:
        assert directly(probe(store(tmp_path, form, "PCM_16", channels=6))) == 0


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
@pytest.mark.parametrize("part", [(0, 100), (20_000, None), (29_999, 30_000), (11_025, 22_050)])
def test_an_excerpt_is_the_same(form: str, part: tuple[int, int | None], tmp_path: Path) -> None:
    info = probe(store(tmp_path, form, "PCM_24"))
    info = dataclasses.replace(info, first_frame=part[0], end_frame=part[1])
    assert outcome(info) == without_direct(info)


def chunk(name: bytes, size: int) -> bytes:
    return name + size.to_bytes(4, "little") + bytes(size)


def after(tail: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + tail


def before_the_samples(head: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:12] + head + data[12:]


#: Layouts of a WAV, and whether it is read without ffmpeg.
LAYOUTS = {
    "chunks before": (before_the_samples(chunk(b"bext", 602) + chunk(b"JUNK", 28)), True),
    "chunk after": (after(chunk(b"LIST", 26)), True),
    "second data": (after(chunk(b"data", 400)), False),
    "second format": (before_the_samples(chunk(b"fmt ", 16)), False),
    "junk after": (after(b"TAG" + b"x" * 125), False),
    "cut short": (lambda data: data[:-4000], False),
    "open size": (lambda data: data[:40] + b"\xff\xff\xff\xff" + data[44:], False),
    "odd frame": (lambda data: data[:32] + b"\x06" + data[33:], False),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_odd_layouts(name: str, tmp_path: Path) -> None:
    change, is_direct = LAYOUTS[name]
    song = store(tmp_path, "WAV", "PCM_16")
    song.write_bytes(change(song.read_bytes()))
    try:
        info = probe(song)
    except InputError:
        return
    assert (directly(info) > 0) == is_direct
    assert outcome(info) == without_direct(info)


def test_a_flac_that_another_follows_is_left_to_ffmpeg(tmp_path: Path) -> None:
    song = store(tmp_path, "FLAC", "PCM_16")
    song.write_bytes(song.read_bytes() * 2)
    info = probe(song)
    assert directly(info) == 0
    assert outcome(info)[0] == without_direct(info)[0]


def test_damage_in_a_flac_ends_the_blocks_before_it(tmp_path: Path) -> None:
    song = store(tmp_path, "FLAC", "PCM_16", frames=60_000)
    data = bytearray(song.read_bytes())
    data[len(data) * 3 // 4] ^= 8
    song.write_bytes(data)
    info = probe(song)
    assert 0 < directly(info) <= 45_000
    found = outcome(info)
    assert found == without_direct(info)
    assert any(text.startswith("damaged: ") for text in found[2])


def flips() -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=3)


@settings(max_examples=12, deadline=None)
@given(form=st.sampled_from(pairs(DIRECT)), bits=flips(), seed=st.integers(0, 9))
def test_flipped_bits_change_the_outcome_as_with_ffmpeg(
    form: tuple[str, str], bits: Any, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    song = store(tmp_path_factory.mktemp("flips"), *form, frames=15_000, seed=seed)
    data = bytearray(song.read_bytes())
    for place, bit in bits:
        data[int(place * (len(data) - 1))] ^= 1 << bit
    song.write_bytes(data)
    try:
        info = probe(song)
    except InputError:
        return
    assert outcome(info) == without_direct(info)
