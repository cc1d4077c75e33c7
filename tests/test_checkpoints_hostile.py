"""Damaged and hostile checkpoints: exit 4, one line, within seconds and in bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from command import TINY, run
from measured import measure

from stemsplit.checkpoints import loading, weights
from stemsplit.checkpoints.tensorflow_bundle import read_floats
from stemsplit.errors import ExitCode
from stemsplit.models.config import LONGEST_SEGMENT

SECONDS = 45  # on a machine that runs other tests as well; alone it is 3
MEMORY = 1.5e9  # bytes; importing torch takes a third of it


def zipped(content: bytes = b"demucs." * 100, method: int = zipfile.ZIP_STORED) -> bytearray:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x/data.pkl", content)
    return bytearray(file.getvalue())


def patched(data: bytearray, field_in_index: int, field_in_front: int, value: int) -> bytes:
    """Return the archive with ``value`` in a field of its header, which occurs twice."""
    place = data.index(b"PK\1\2") + field_in_index
    data[place] = data[field_in_front] = value
    return bytes(data)


def not_inflating() -> bytes:
    data = zipped(method=zipfile.ZIP_DEFLATED)
    place = data.index(b"x/data.pkl") + 10
    data[place : place + 8] = b"\xff" * 8
    return bytes(data)


def many_members(claimed: int | None = None) -> bytes:
    """An archive whose table of contents lists the same member over and over."""
    data = bytes(zipped())
    begin, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    directory = data[begin:end] * 100_000
    size = len(directory) if claimed is None else claimed
    last = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, size, begin, 0)
    if claimed is None:
        return data[:begin] + directory + last
    long = struct.pack(
        "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 100_000, 100_000, len(directory), begin
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, begin + len(directory), 1)
    return data[:begin] + directory + long + locator + last


def zip_bomb() -> bytes:
    """Two gigabytes of zeros behind the word that says what it is."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x/data.pkl", "w", force_zip64=True) as member,
    ):
        member.write(b"demucs.")
        for _ in range(64):
            member.write(bytes(2**25))
    return file.getvalue()


def gzip_bomb() -> bytes:
    """A member of two gigabytes of zeros."""
    file = io.BytesIO()
    with gzip.open(file, "wb", compresslevel=1) as packed:
        entry = tarfile.TarInfo("model.index")
        entry.size = 2**31
        packed.write(entry.tobuf())
        for _ in range(64):
            packed.write(bytes(2**25))
    return file.getvalue()


def header_bomb() -> bytes:
    """A header of an archive that asks for a gigabyte of itself."""
    file = io.BytesIO()
    with gzip.open(file, "wb", compresslevel=1) as packed:
        entry = tarfile.TarInfo("long")
        entry.size, entry.type = 2**30, tarfile.XHDTYPE
        packed.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(32):
            packed.write(bytes(2**25))
    return file.getvalue()


def links(target: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in ("model.index", "model.data-00000-of-00001"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return file.getvalue()


def safetensors(config: object, names: dict[str, Any] | None = None, **metadata: str) -> bytes:
    known = {"stemsplit": "1", "architecture": "htdemucs:HTDemucs", "origin": "x"}
    text = config if isinstance(config, str) else json.dumps(config)
    header = {"__metadata__": known | {"config": text} | metadata, **(names or {})}
    data = json.dumps(header).encode()
    return struct.pack("<Q", len(data)) + data


def raw_safetensors(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def pickled(package: object) -> bytes:
    file = io.BytesIO()
    torch.save(package, file)
    return file.getvalue()


def repeated() -> bytes:
    """One number in half precision that says it is eight billion."""
    names = ("encoder.0.0.weight", "decoder.0.2.weight", "lstm.lstm.weight_ih_l0")
    return pickled({name: torch.zeros(1).half().expand(2**33) for name in names})


def onnx_like(rest: bytes) -> bytes:
    return b"\x08\x07" + b"onnx::MatMul_1" + rest


SOURCES = {"sources": ["a", "b"]}
#: Those that took hours, or all memory. They are read in a process of their own, and so measured.
MEASURED = (
    *(
        "bomb.th",
        "bomb.tar.gz",
        "header.tar.gz",
        "repeated.th",
        "layers.safetensors",
    ),
    *("long.safetensors", "huge.safetensors"),
)
HOSTILE: dict[str, Callable[[], bytes]] = {
    "inflate.th": not_inflating,
    "encrypted.th": lambda: patched(zipped(), 8, 6, 1),
    "method.th": lambda: patched(zipped(), 10, 8, 99),
    "version.th": lambda: patched(zipped(), 6, 4, 99),
    "short.th": lambda: bytes(zipped()[:-30]),
    "lzma.th": lambda: patched(zipped(), 10, 8, zipfile.ZIP_LZMA),
    "bzip2.th": lambda: patched(zipped(), 10, 8, zipfile.ZIP_BZIP2),
    "bomb.th": zip_bomb,
    "bomb.tar.gz": gzip_bomb,
    "header.tar.gz": header_bomb,
    "dangling.tar.gz": lambda: links("nowhere"),
    "loop.tar.gz": lambda: links("model.index"),
    "device.tar.gz": lambda: links("/dev/zero"),
    "short.tar.gz": lambda: gzip.compress(b"x" * 100)[:-9],
    "text.gz": lambda: gzip.compress(b"hello"),
    "repeated.th": repeated,
    "numbers.th": lambda: pickled({1: "demucs.", "klass": b"demucs."}),
    "list.th": lambda: pickled(["demucs.", [[[]]]]),
    "deep.th": lambda: pickle.dumps("demucs.") + b"(" * 100_000,
    "x.json": lambda: onnx_like(b""),
    "x.onnxtxt": lambda: onnx_like(b'ir_version: 7 graph { name: "x" }'),
    "x.textproto": lambda: onnx_like(b"{" * 10_000),
    "x.onnx": lambda: onnx_like(b"\xff" * 100),
    "layers.safetensors": lambda: safetensors(SOURCES | {"t_layers": 10**7}),
    "depth.safetensors": lambda: safetensors(SOURCES | {"depth": 10**5}),
    "many.safetensors": lambda: safetensors(SOURCES | {"t_layers": 10**6}),
    "huge.safetensors": lambda: safetensors(SOURCES | {"channels": 10**300}),
    "text.safetensors": lambda: safetensors(SOURCES | {"channels": "many"}),
    "list.safetensors": lambda: safetensors(SOURCES | {"channels": [[1]]}),
    "null.safetensors": lambda: safetensors(SOURCES | {"nfft": None}),
    "nan.safetensors": lambda: safetensors(SOURCES | {"channels": float("nan")}),
    "segment.safetensors": lambda: safetensors(SOURCES | {"segment": LONGEST_SEGMENT + 1}),
    "unknown.safetensors": lambda: safetensors(SOURCES | {"x" * 300: 1}),
    "names.safetensors": lambda: safetensors({"sources": ["a" * 300, "b"]}),
    "nested.safetensors": lambda: safetensors("[" * 100_000),
    "nests.safetensors": lambda: safetensors('{"sources":' + "[" * 900 + "]" * 900 + "}"),
    "module.safetensors": lambda: safetensors(SOURCES, architecture="os:system"),
    "deep.safetensors": lambda: raw_safetensors(b"{" + b'"a":{' * 100_000),
    "long.safetensors": lambda: raw_safetensors(b"{" + b" " * 60_000_000),
    "digits.safetensors": lambda: raw_safetensors(b'{"a":' + b"1" * 1_000_000 + b"}"),
    "offsets.safetensors": lambda: safetensors(
        SOURCES, {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}
    ),
    "empty.safetensors": bytes,
}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, np.zeros((4410, 2)), 44_100)
    return path


def check(code: int, stderr: str, folder: Path) -> None:
    assert code == ExitCode.CHECKPOINT, stderr
    assert stderr.startswith("stemsplit: error: ")
    assert len(stderr) < 1500
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - set(MEASURED)))
def test_it_is_refused(song, tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name]())
    done = run(song, "-n", f"./{name}", "-o", "out", cwd=tmp_path)
    check(done.code, done.stderr, tmp_path)


@pytest.mark.parametrize("claimed", [None, 2**32 - 1])
def test_a_table_of_contents_has_a_limit(song, tmp_path, claimed):
    (tmp_path / "x.th").write_bytes(many_members(claimed))
    done = run(song, "-n", "./x.th", "-o", "out", cwd=tmp_path)
    check(done.code, done.stderr, tmp_path)
    assert "its table of contents has 5600000 bytes" in done.stderr


@pytest.mark.parametrize("name", MEASURED)
def test_it_is_refused_in_seconds_and_in_bounded_memory(song, tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name]())
    done = measure(song, "-n", f"./{name}", "-o", "out", cwd=tmp_path, seconds=SECONDS)
    check(done.code, done.stderr, tmp_path)
    assert done.seconds < SECONDS
    assert done.memory < MEMORY


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("open_unmix:OpenUnmix", {"iterations": 10**9}),
        ("open_unmix:OpenUnmix", {"layers": 10**6}),
        ("open_unmix:OpenUnmix", {"n_fft": 2**40, "hop": 2**39}),
        ("mel_band_roformer:MelBandRoformer", {"depth": 10**6}),
        ("mel_band_roformer:MelBandRoformer", {"hop_length": 1}),
        ("bs_roformer:BSRoformer", {"freqs_per_bands": [1] * 1_000_000}),
        ("scnet:SCNet", {"conv_depths": [10**6] * 3}),
        ("mdx23c:MDX23C", {"blocks_per_scale": 10**6}),
        ("conv_tasnet:ConvTasNet", {"repeats": 10**6}),
        ("wave_unet:WaveUNet", {"levels": 10**6}),
        ("demucs:Demucs", {"depth": 10**6}),
        ("demucs:Demucs", {"lstm_layers": 10**6}),
        ("hdemucs:HDemucs", {"depth": 10**6}),
        ("tasnet:TasNet", {"layers": 10**6}),
        ("nmf:NMF", {"iterations": 10**9}),
        ("spleeter:Spleeter", {"block": 10**6, "hop": 10**5}),
        ("unet:UNet", {"widths": [1] * 999}),
    ],
)
def test_numbers_of_any_network_are_bounded_before_it_is_built(
    song, tmp_path, architecture, config
):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(SOURCES | config, architecture=architecture))
    done = run(song, "-n", path, "-o", "out", cwd=tmp_path)
    check(done.code, done.stderr, tmp_path)


def test_a_network_may_make_as_many_calls_as_it_needs():
    network = loading.load(TINY)
    state = dict(network.state_dict())
    found = weights.Weights("htdemucs:HTDemucs", network.config, state, "test")
    assert weights.assemble(found, "x").sources == network.sources


@pytest.mark.parametrize("command", ["split", "convert"])
def test_a_pipe_is_not_waited_for(song, tmp_path, command):
    os.mkfifo(tmp_path / "x.th")
    words = [song, "-n", "./x.th"] if command == "split" else ["models", "convert", "x.th"]
    done = measure(*words, cwd=tmp_path, seconds=SECONDS)
    assert done.code == ExitCode.CHECKPOINT
    assert "no such checkpoint file" in done.stderr or "is not a regular file" in done.stderr


@pytest.mark.parametrize("name", ["x" * 300, f"./{'x' * 300}.th", f"{'x' * 300}.safetensors"])
def test_a_name_of_300_letters(song, tmp_path, name):
    done = run(song, "-n", name, cwd=tmp_path)
    assert done.code in (ExitCode.CHECKPOINT, ExitCode.USAGE)
    assert run("models", "convert", f"{name}.th", cwd=tmp_path).code == ExitCode.CHECKPOINT


YAMLS = {
    "deep": "a: " + "[" * 100_000,
    "nested": "model: " + "{a: " * 200 + "1" + "}" * 200,
    "aliases": "a: &a [x, x, x]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "merges": "a: &a {k: 1}\n"
    + "".join(
        f"{b}: &{b} {{<<: [*{a}, *{a}]}}\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "large": "a: 1\n" * 1_000_000,
    "tag": "a: !!python/object/apply:os.system ['touch bad']",
    "number": f"a: {'9' * 100_000}",
    "layers": "audio: {chunk_size: 352800, n_fft: 2048, hop_length: 441, dim_f: 1024}\n"
    "training: {instruments: [a, b]}\ninference: {}\n"
    "model: {dim: 8, depth: 10000000, num_bands: 60}\n",
    "fft": "audio: {chunk_size: 352800, n_fft: 2048, hop_length: 441, dim_f: 1024}\n"
    "training: {instruments: [a, b]}\ninference: {}\n"
    "model: {dim: 8, depth: 1, stft_n_fft: 100000000000, stft_win_length: 100000000000}\n",
}


@pytest.mark.parametrize("kind", sorted(YAMLS))
def test_hostile_yaml(tmp_path, kind):
    (tmp_path / "x.ckpt").write_bytes(pickled({"a": torch.zeros(1)}))
    (tmp_path / "x.yaml").write_text(YAMLS[kind])
    words = ("--architecture", "mel_band_roformer", "--config", "x.yaml")
    done = run("models", "convert", "x.ckpt", *words, cwd=tmp_path)
    assert done.code in (ExitCode.USAGE, ExitCode.CHECKPOINT), done.stderr
    assert len(done.stderr) < 1500
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize(
    "index",
    [
        b"\xff" * 2**19,  # one number of half a megabyte
        b"\x00" * 2**21,
        b"",
        bytes(range(256)) * 10,
    ],
)
def test_a_damaged_index_of_tensorflow_is_a_value_error(index):
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    with pytest.raises(ValueError, match="index"):
        read_floats(index + magic, b"")
