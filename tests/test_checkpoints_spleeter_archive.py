"""Spleeter's official archives: a TensorFlow checkpoint, written byte by byte, is read back."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stemsplit.checkpoints import registry
from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.foreign import read_listed
from stemsplit.checkpoints.settings import Settings
from stemsplit.checkpoints.spleeter_archive import read
from stemsplit.checkpoints.tensorflow_bundle import MAGIC, read_floats
from stemsplit.errors import CheckpointError
from stemsplit.models import build
from stemsplit.models.spleeter import SpleeterConfig

Arrays = dict[str, NDArray[np.float32]]
PUBLISHED = Settings(as_published=True)


# --- Writing, after TensorFlow's table_format.txt and tensor_bundle.proto ------------------------


def varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries: list[tuple[bytes, bytes]], restart: int = 16) -> bytes:
    text, before, restarts = b"", b"", []
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % restart == 0:
            restarts.append(len(text))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        text += varint(shared) + varint(len(key) - shared) + varint(len(value))
        text += key[shared:] + value
        before = key
    return text + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def bundle(arrays: Arrays, step: int = 7, compression: int = 0) -> tuple[bytes, bytes]:
    """Return index and data of a checkpoint of ``arrays``, and of a counter that is not a float."""
    data, entries = io.BytesIO(), [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted([*arrays, "global_step"]):
        array = arrays.get(name, np.array(step, "<i8"))
        text = array.astype(array.dtype.newbyteorder("<")).tobytes()
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        kind = 1 if array.dtype == np.float32 else 9
        crc = varint(6 << 3 | 5) + b"\0\0\0\0"
        value = field(1, kind) + field(2, shape) + field(4, data.tell()) + field(5, len(text)) + crc
        entries.append((name.encode(), value))
        data.write(text)
    index, places = b"", []
    for start in range(0, len(entries), 40):  # several blocks, as a large table has
        part = block(entries[start : start + 40])
        places.append((entries[start : start + 40][-1][0], varint(len(index)) + varint(len(part))))
        index += part + bytes([compression]) + b"\0\0\0\0"
    handles = b""
    for part in (block([]), block(places, restart=1)):
        handles += varint(len(index)) + varint(len(part))
        index += part + b"\0" + b"\0\0\0\0"
    return index + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC), data.getvalue()


def pack(path: Path, index: bytes, data: bytes) -> Path:
    members = {"checkpoint": b"text", "model.data-00000-of-00001": data, "model.index": index}
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, body in members.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return path


def spleeter_variables(stems: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the variables of a checkpoint as Keras names them: layers counted as they are made."""
    counts = dict.fromkeys(("conv2d", "conv2d_transpose", "batch_normalization"), 0)

    def layer(kind: str, fields: Mapping[str, tuple[int, ...]]) -> Iterator[tuple[str, tuple]]:
        number = counts[kind]
        counts[kind] += 1
        for name, shape in fields.items():
            yield f"{kind}_{number}/{name}" if number else f"{kind}/{name}", shape

    widths = SpleeterConfig().widths
    for _ in range(stems):
        for above, below in pairwise((2, *widths)):
            yield from layer("conv2d", {"kernel": (5, 5, above, below), "bias": (below,)})
            norm = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (below,))
            yield from layer("batch_normalization", norm)
        below = widths[-1]
        for number, above in enumerate((*widths[-2::-1], 1)):
            joined = below if number == 0 else 2 * below
            shapes = {"kernel": (5, 5, above, joined), "bias": (above,)}
            yield from layer("conv2d_transpose", shapes)
            norm = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (above,))
            yield from layer("batch_normalization", norm)
            below = above
        yield from layer("conv2d", {"kernel": (4, 4, 1, 2), "bias": (2,)})


@pytest.fixture(scope="module")
def four_stems() -> Arrays:
    """All variables by their names, but smaller: whether sizes fit is seen when all is read."""
    draw = np.random.default_rng(0).standard_normal
    return {
        name: draw([min(size, 3 + axis) for axis, size in enumerate(shape)], np.float32)
        for name, shape in spleeter_variables(4)
    }


# --- Reading -------------------------------------------------------------------------------------


def test_a_bundle_comes_back() -> None:
    arrays = {f"a/{n}": np.random.rand(n % 4, 3).astype("f4") for n in range(200)}
    arrays["scalar"] = np.array(1.5, "f4")
    found = read_floats(*bundle(arrays))
    assert set(found) == set(arrays)
    assert all(np.array_equal(found[name], value) for name, value in arrays.items())


@pytest.mark.parametrize("size", [0, 20, 47, 300])
def test_a_bundle_that_is_cut_is_refused(size: int) -> None:
    index, data = bundle({"a": np.ones(3, "f4")})
    with pytest.raises(ValueError, match="not a TensorFlow table"):
        read_floats(index[: min(size, len(index) - 1)], data)
    with pytest.raises(ValueError, match="a does not match the size of the data"):
        read_floats(index, data[:11])


def test_a_compressed_index_is_refused() -> None:
    with pytest.raises(ValueError, match="compressed"):
        read_floats(*bundle({"a": np.ones(3, "f4")}, compression=1))


def test_every_variable_finds_its_place(four_stems: Arrays, tmp_path: Path) -> None:
    state = read(pack(tmp_path / "4stems.tar.gz", *bundle(four_stems)), PUBLISHED).state
    for ours, theirs in {
        "networks.0.down.0.weight": "conv2d/kernel",
        "networks.0.last.weight": "conv2d_6/kernel",
        "networks.1.down.0.weight": "conv2d_7/kernel",
        "networks.3.last.weight": "conv2d_27/kernel",
        "networks.2.up.5.weight": "conv2d_transpose_17/kernel",
    }.items():
        assert np.array_equal(state[ours].numpy(), four_stems[theirs].transpose(3, 2, 0, 1)), ours
    for ours, theirs in {
        "networks.0.down_norms.4.running_var": "batch_normalization_4/moving_variance",
        "networks.0.up_norms.0.weight": "batch_normalization_6/gamma",
        "networks.1.down_norms.0.bias": "batch_normalization_12/beta",
        "networks.3.up_norms.5.running_mean": "batch_normalization_47/moving_mean",
    }.items():
        assert np.array_equal(state[ours].numpy(), four_stems[theirs]), ours


@pytest.mark.parametrize("stems", [2, 4, 5])
def test_an_archive_is_the_model_of_the_registry(stems: int, tmp_path: Path) -> None:
    arrays = {name: np.zeros(shape, "f4") for name, shape in spleeter_variables(stems)}
    path = pack(tmp_path / "archive", *bundle(arrays))
    assert sniff(path) == "spleeter.tar.gz"
    model = registry.resolve(f"spleeter_{stems}stems")
    network = read_listed(model, "spleeter.tar.gz", [path])  # the sizes fit as well
    assert tuple(network.config["sources"]) == model.stems
    with torch.device("meta"):
        config = build(model.architecture, model.config).config
    assert json.loads(json.dumps(config)) == network.config


def test_arrays_of_other_sizes_are_refused(four_stems: Arrays, tmp_path: Path) -> None:
    path = pack(tmp_path / "4stems.tar.gz", *bundle(four_stems))
    with pytest.raises(CheckpointError, match="does not fit spleeter:Spleeter"):
        read_listed(registry.resolve("spleeter_4stems"), "spleeter.tar.gz", [path])


def test_settings_that_variables_do_not_show_are_required(
    four_stems: Arrays, tmp_path: Path
) -> None:
    path = pack(tmp_path / "mine.tar.gz", *bundle(four_stems))
    with pytest.raises(CheckpointError, match="do not show sources, sample_rate, window, hop, bi"):
        convert("spleeter.tar.gz", [path])
    known = {
        **{"sources": list("abcd"), "sample_rate": 48_000, "window": 2048, "hop": 512},
        **{"bins": 512, "block": 256, "activation": "elu", "softmax": True},
        "mask_extension": "average",
    }
    assert read(path, Settings(known)).config == known
    with pytest.raises(CheckpointError, match="produces 4 stems, not 3"):
        read(path, Settings(known | {"sources": list("abc")}))


def test_what_an_optimiser_has_kept_is_left_out(four_stems: Arrays, tmp_path: Path) -> None:
    more = four_stems | {"conv2d/kernel/Adam": np.ones(3, "f4"), "beta1_power": np.array(1, "f4")}
    path = pack(tmp_path / "4stems.tar.gz", *bundle(more))
    assert len(read(path, PUBLISHED).state) == 324


@pytest.mark.parametrize(
    ("lost", "added", "told"),
    [
        ("batch_normalization_9/beta", None, "batch_normalization_9/beta is missing"),
        (None, "conv2d_transpose_99/bias", "conv2d_transpose_99/bias is not part of it"),
        ("conv2d_20/kernel", None, "has 27 convolutions"),
    ],
)
def test_other_networks_are_refused(
    four_stems: Arrays, tmp_path: Path, lost: str | None, added: str | None, told: str
) -> None:
    arrays = {name: value for name, value in four_stems.items() if name != lost}
    arrays |= {} if added is None else {added: np.ones(1, "f4")}
    path = pack(tmp_path / "4stems.tar.gz", *bundle(arrays))
    with pytest.raises(CheckpointError, match=told):
        read(path, PUBLISHED)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "4stems.tar.gz", *bundle({"a": np.ones(30_000, "f4")}))
    whole = path.read_bytes()
    for text in (whole[:100], whole[: len(whole) // 2], whole[:3] + b"?" * 50):
        path.write_bytes(text)
        with pytest.raises(CheckpointError, match="not a Spleeter archive, or damaged"):
            read(path, PUBLISHED)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("nothing.txt"), io.BytesIO())
    with pytest.raises(CheckpointError, match="it does not contain a checkpoint"):
        read(path, PUBLISHED)
