"""Weights on disk: what is saved is read back bit for bit; what is damaged is refused by name."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from stemsplit.checkpoints.weights import Weights, load, read, read_header, save
from stemsplit.errors import CheckpointError, ExitCode
from stemsplit.models import build
from stemsplit.models.htdemucs import HTDemucs

CONFIG = {"channels": 8, "bottom_channels": 32, "t_layers": 2, "t_heads": 4, "segment": 44_100}
FIRST = "encoder.0.conv.weight"


@pytest.fixture(scope="module")
def small() -> Weights:
    torch.manual_seed(0)
    network = build("htdemucs:HTDemucs", CONFIG)
    return Weights("htdemucs:HTDemucs", CONFIG, network.state_dict(), "random numbers")


@pytest.fixture
def stored(small: Weights, tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save(small, path)
    return path


def test_the_network_is_restored_unchanged(small: Weights, stored: Path) -> None:
    network = load(stored)
    state = network.state_dict()
    assert list(state) == list(small.state)
    assert all(torch.equal(state[name], tensor) for name, tensor in small.state.items())
    assert network.config == {**network.config, **CONFIG}
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not any(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])


#: Saves every network that has a seed and loads it again, printing what is imported for that.
LOAD_ALL = """
import sys
from stemsplit.checkpoints import loading, registry, weights

for model in registry.list_models():
    if model.seed is not None and model.architecture:
        network = loading.load(model.name)
        state = network.state_dict()
        weights.save(weights.Weights(model.architecture, network.config, state, "test"), "x")
        loaded = weights.load("x").state_dict()
        assert all(state[name].equal(loaded[name]) for name in state), model.name
        slow = {"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)
        print(model.architecture, *slow)
"""


def test_loading_does_not_import_what_only_compiling_needs(tmp_path: Path) -> None:
    """It would take a second of every run."""
    command = [sys.executable, "-c", LOAD_ALL]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) > 15
    assert all(" " not in line for line in lines), done.stdout


def test_a_loaded_network_computes_what_the_built_one_does(small: Weights, stored: Path) -> None:
    built = build("htdemucs:HTDemucs", CONFIG).eval()
    built.load_state_dict(small.state)
    mix = torch.randn(1, 2, 44_100, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(load(stored)(mix), built(mix), rtol=0, atol=1e-6)


def test_same_weights_same_bytes_in_any_order(small: Weights, stored: Path, tmp_path: Path) -> None:
    turned = dataclasses.replace(
        small,
        config=dict(reversed(small.config.items())),
        state=dict(reversed(small.state.items())),
    )
    save(turned, tmp_path / "turned.safetensors")
    assert (tmp_path / "turned.safetensors").read_bytes() == stored.read_bytes()


def test_an_overlap_is_kept_where_there_is_one(small: Weights, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(dataclasses.replace(small, overlap=0.8), path)
    assert read_header(path).overlap == read(path).overlap == load(path).overlap == 0.8
    save(dataclasses.replace(small, overlap=0.0), path)
    assert load(path).overlap == 0
    save(small, path)
    assert read_header(path).overlap is None
    assert load(path).overlap == HTDemucs.overlap


@pytest.mark.parametrize("overlap", ["1.0", "-0.1", "nan", "half"])
def test_an_impossible_overlap_is_refused(tmp_path: Path, overlap: str) -> None:
    metadata = {"stemsplit": "1", "architecture": "a:A", "config": "{}", "origin": ""}
    path = tmp_path / "other.safetensors"
    path.write_bytes(_safetensors({"__metadata__": metadata | {"overlap": overlap}}))
    with pytest.raises(CheckpointError, match="does not contain"):
        read_header(path)


def test_the_safetensors_package_reads_it(small: Weights, stored: Path) -> None:
    with safe_open(stored, framework="pt") as file:
        assert file.metadata() == {
            "stemsplit": "1",
            "architecture": "htdemucs:HTDemucs",
            "config": json.dumps(CONFIG, sort_keys=True),
            "origin": "random numbers",
        }
        assert set(file.keys()) == set(small.state)


def test_half_precision_is_stored_as_fp32(small: Weights, tmp_path: Path) -> None:
    halved = {name: tensor.half() for name, tensor in small.state.items()}
    save(dataclasses.replace(small, state=halved), tmp_path / "half.safetensors")
    state = read(tmp_path / "half.safetensors").state
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert all(torch.equal(state[name], tensor.float()) for name, tensor in halved.items())


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda name: name != "__metadata__"),
        st.tuples(st.lists(st.integers(0, 5), max_size=3), st.booleans()),
        max_size=6,
    )
)
def test_any_tensors_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: dict[str, tuple[list[int], bool]],
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.safetensors"
    state = {
        name: torch.randn(shape) if floating else torch.randint(-9, 9, shape)
        for name, (shape, floating) in shapes.items()
    }
    save(Weights("a:A", {}, state, ""), path)
    found = read(path).state
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_reading_the_header_needs_no_torch(stored: Path) -> None:
    code = (
        "import sys; from stemsplit.checkpoints.weights import read_header;"
        "header = read_header(sys.argv[1]); assert 'torch' not in sys.modules;"
        "print(header.architecture, header.config['segment'], header.origin)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stored], capture_output=True, text=True, check=True
    )
    assert done.stdout == "htdemucs:HTDemucs 44100 random numbers\n"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    small: Weights, stored: Path, tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    before = stored.read_bytes()
    # The name of the temporary file leads to a device on which every write fails for lack of space.
    (tmp_path / f".{stored.name}.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save(small, stored)
    assert stored.read_bytes() == before
    assert list(tmp_path.iterdir()) == [stored]


def test_saving_to_a_missing_folder_fails(small: Weights, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save(small, tmp_path / "missing" / "small.safetensors")


@pytest.fixture(scope="module")
def whole(small: Weights, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "small.safetensors"
    save(small, path)
    return path.read_bytes()


@given(st.data())
def test_a_file_cut_anywhere_is_refused(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "small.safetensors"
    header = 8 + int.from_bytes(whole[:8], "little")
    path.write_bytes(whole[: data.draw(st.integers(0, header) | st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError, match=r"truncated|damaged") as caught:
        load(path)
    assert caught.value.hint is not None


def _without_first(weights: Weights) -> Weights:
    state = {name: tensor for name, tensor in weights.state.items() if name != FIRST}
    return dataclasses.replace(weights, state=state)


def _with(**changes: Any) -> Callable[[Weights], Weights]:
    return lambda weights: dataclasses.replace(weights, **changes)


def _with_state(**tensors: torch.Tensor) -> Callable[[Weights], Weights]:
    return lambda weights: dataclasses.replace(weights, state={**weights.state, **tensors})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without_first, f"does not fit htdemucs:HTDemucs: {FIRST} is missing"),
        (_with(state={}), rf"{FIRST} is missing \(and \d+ others\)"),
        (_with_state(extra=torch.zeros(1)), "extra is not part of it"),
        (
            _with_state(**{FIRST: torch.zeros(8, 4, 8, 2)}),
            rf"{FIRST} is float32 \(8, 4, 8, 2\), not float32 \(8, 4, 8, 1\)",
        ),
        (_with(architecture="nothing:Nothing"), "the unknown architecture 'nothing:Nothing'"),
        (_with(architecture="htdemucs:os"), "the unknown architecture 'htdemucs:os'"),
        (_with(config={"colour": 1}), "its configuration does not fit htdemucs:HTDemucs: .*colour"),
        (_with(config={"channels": "many"}), "its configuration does not fit"),
        (_with(config={"channels": 3}), "channels must be at least 8, not 3"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    small: Weights, tmp_path: Path, change: Callable[[Weights], Weights], reason: str
) -> None:
    path = tmp_path / "odd.safetensors"
    save(change(small), path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        load(path)
    assert caught.value.exit_code == ExitCode.CHECKPOINT == 4
    assert caught.value.hint is not None
    assert str(caught.value).startswith(f"{path}: ")


def _safetensors(header: object) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a safetensors file"),
        (b"ID3\x04\x00 this is a song, not a network", "not a safetensors file"),
        (_safetensors([1, 2]), "not a safetensors file"),
        (_safetensors(4711), "not a safetensors file"),
        (_safetensors({"a": {"shape": [1], "data_offsets": []}}), "not a safetensors file"),
        (_safetensors({"a": {"shape": [1]}}), "not a safetensors file"),
        (_safetensors({}), "without stemsplit's header"),
        (_safetensors({"__metadata__": {"format": "pt"}}), "without stemsplit's header"),
        (_safetensors({"__metadata__": {"stemsplit": "2"}}), "written in layout '2'"),
        (
            _safetensors({"__metadata__": {"stemsplit": "1"}}),
            "does not contain a valid architecture",
        ),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    for function in (read_header, load):
        with pytest.raises(CheckpointError, match=reason) as caught:
            function(path)
        assert caught.value.hint is not None


def test_a_missing_file_is_a_checkpoint_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        load(tmp_path / "missing.safetensors")
