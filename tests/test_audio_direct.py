"""WAV and FLAC without ffmpeg: the same samples, warnings and errors as with it."""

from __future__ import annotations

import dataclasses
import os
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


def without_ffmpeg(info: StreamInfo) -> tuple[Any, ...]:
    """Return the `outcome` where ffmpeg cannot be started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "process_of", None)
        return outcome(info)


def directly(info: StreamInfo) -> int:
    """Return how many frames need no ffmpeg."""
    return sum(block.shape[1] for block in direct_blocks(info))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("form", "subtype"), pairs(DIRECT))
def test_whole_files_need_no_ffmpeg(form: str, subtype: str, channels: int, tmp_path: Path) -> None:
    info = probe(store(tmp_path, form, subtype, channels=channels))
    assert directly(info) == 30_000
    assert without_ffmpeg(info) == without_direct(info)


@pytest.mark.parametrize(("form", "subtype"), pairs(THROUGH_FFMPEG))
def test_other_formats_are_left_to_ffmpeg(form: str, subtype: str, tmp_path: Path) -> None:
    assert directly(probe(store(tmp_path, form, subtype))) == 0


def test_surround_is_left_to_ffmpeg(tmp_path: Path) -> None:
    for form in DIRECT:
        assert directly(probe(store(tmp_path, form, "PCM_16", channels=6))) == 0


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
@pytest.mark.parametrize(
    "field",
    [
        {"silent_frames": 100},
        {"stream": 1},
        {"decoder": "pcm_s16le"},
        {"counted": False},
        {"duration": None},
    ],
)
def test_what_the_header_alone_does_not_describe_is_left_to_ffmpeg(
    form: str, field: dict[str, Any], tmp_path: Path
) -> None:
    info = probe(store(tmp_path, form, "PCM_16"))
    assert directly(dataclasses.replace(info, **field)) == 0


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_a_missing_file_is_left_to_ffmpeg(form: str, tmp_path: Path) -> None:
    info = probe(store(tmp_path, form, "PCM_16"))
    info.path.unlink()
    assert directly(info) == 0


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_flac_may_have_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    song = store(tmp_path, "FLAC", "PCM_16")
    assert directly(probe(song.rename(tmp_path / os.fsdecode(b"song \xff.flac")))) == 30_000


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
@pytest.mark.parametrize("part", [(0, 100), (20_000, None), (29_999, 30_000), (11_025, 22_050)])
def test_an_excerpt_is_the_same(form: str, part: tuple[int, int | None], tmp_path: Path) -> None:
    info = probe(store(tmp_path, form, "PCM_24"))
    whole = np.frombuffer(outcome(info)[0], np.float32).reshape(2, -1)
    info = dataclasses.replace(info, first_frame=part[0], end_frame=part[1])
    found = without_ffmpeg(info)
    assert found == without_direct(info)
    assert found[0] == whole[:, slice(*part)].tobytes()


def chunk(name: bytes, size: int) -> bytes:
    return name + size.to_bytes(4, "little") + bytes(size)


def after(tail: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + tail


def at(place: int, bits: int) -> Callable[[bytes], bytes]:
    """Return what flips ``bits`` of the byte at ``place``."""
    return lambda data: data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def before_the_samples(head: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:12] + head + data[12:]


#: Layouts of a WAV, and whether it is read without ffmpeg.
LAYOUTS = {
    "chunks before": (before_the_samples(chunk(b"bext", 602) + chunk(b"JUNK", 28)), True),
    "chunk after": (after(chunk(b"LIST", 26)), True),
    "odd chunk after": (after(chunk(b"LIST", 25) + b"\0"), True),
    "two sizes": (
        lambda data: (
            data[:12]
            + chunk(b"ds64", 28)[:16]
            + (len(data) - 44).to_bytes(8, "little")
            + bytes(12)
            + data[12:40]
            + (400).to_bytes(4, "little")
            + data[44:]
        ),
        False,
    ),
    "half a frame": (
        lambda data: data[:40] + (len(data) - 46).to_bytes(4, "little") + data[44:-2],
        False,
    ),
    "second data": (after(chunk(b"data", 400)), False),
    "second format": (lambda data: data[:36] + data[12:], False),
    "junk after": (after(b"TAG" + b"x" * 125), False),
    "cut short": (lambda data: data[:-4000], False),
    "open size": (lambda data: data[:40] + b"\xff\xff\xff\xff" + data[44:], False),
    "odd frame": (at(32, 4 ^ 6), False),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_odd_layouts(name: str, tmp_path: Path) -> None:
    change, is_direct = LAYOUTS[name]
    song = store(tmp_path, "WAV", "PCM_16")
    song.write_bytes(change(song.read_bytes()))
    info = probe(song)
    assert (directly(info) > 0) == is_direct
    assert outcome(info) == without_direct(info)


def test_fewer_valid_bits_than_stored_are_left_to_ffmpeg(tmp_path: Path) -> None:
    song = store(tmp_path, "WAVEX", "PCM_24")
    data = song.read_bytes()
    assert data[38] == 24
    song.write_bytes(at(38, 24 ^ 20)(data))
    assert directly(probe(song)) == 0


@pytest.mark.parametrize(
    "change",
    [
        at(20, 2),  # mono, according to its header
        lambda data: data[:22] + bytes(4) + data[26:],  # of unknown length
        lambda data: b"ID3\4\0\0\0\0\0\0" + data,
    ],
)
def test_odd_flacs_are_left_to_ffmpeg(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    song = store(tmp_path, "FLAC", "PCM_16")
    song.write_bytes(change(song.read_bytes()))
    info = probe(song)
    assert directly(info) == 0
    assert outcome(info) == without_direct(info)


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_what_is_left_of_a_file_that_shrinks_meanwhile(form: str, tmp_path: Path) -> None:
    song = store(tmp_path, form, "PCM_16", frames=90_000)
    info = probe(song)
    decoder = decode(info)
    first = next(decoder)
    os.truncate(song, song.stat().st_size // 2)
    with pytest.raises(InputError, match="truncated: "):
        list(decoder)
    assert first.shape[1] < decoder.frames < 90_000


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
    before = dataclasses.replace(info, end_frame=11_025)
    assert without_ffmpeg(before)[0] == without_direct(before)[0]


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
