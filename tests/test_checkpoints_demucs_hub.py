"""Files of Demucs on the hub (safetensors with ``klass``): written as demucs does, read by both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from audio_files import Samples, store_wav
from command import run
from loopback import Loopback
from oracles import randomise, signal_to_difference
from registered import OwnRegistry, pull
from safetensors.torch import save_file
from torch import nn

from stemsplit.checkpoints import foreign, loading, registry
from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.weights import assemble
from stemsplit.errors import CheckpointError
from stemsplit.types import Warned

STEMS = ["drums", "bass", "other", "vocals"]
SMALL = {"sources": STEMS, "samplerate": 44_100, "channels": 8, "nfft": 2048, "t_layers": 2}
SEGMENT = Fraction(39, 50)


def as_json(value: Fraction) -> dict[str, Any]:
    return {"_type": "fraction", "numerator": value.numerator, "denominator": value.denominator}


def write(path: Path, network: nn.Module, **changes: str) -> Path:
    """Write ``network``, of the demucs package, to ``path`` as its tool for the hub does."""
    from demucs.states import get_state

    arguments, keywords = network._init_args_kwargs  # type: ignore[misc]
    metadata = {
        "klass": f"{type(network).__module__}.{type(network).__qualname__}",
        "args": json.dumps(arguments),
        "kwargs": json.dumps(keywords, default=as_json),
    }
    state: Mapping[str, torch.Tensor] = get_state(network, None, half=True)
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, path, metadata=metadata | changes)
    return path


def small(**keywords: Any) -> nn.Module:
    from demucs.htdemucs import HTDemucs

    torch.manual_seed(0)
    network: nn.Module = HTDemucs(**SMALL | {"segment": SEGMENT} | keywords)
    randomise(network)
    return network


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return write(tmp_path / "955717e8.safetensors", small())


def test_a_file_gives_the_network_that_demucs_makes_of_it(hub: Path) -> None:
    from demucs.hf import load_safetensors_model

    assert sniff(hub) == "demucs.safetensors"
    theirs, ours = load_safetensors_model(hub).eval(), loading.load(str(hub))
    assert ours.segment == 34_398
    assert ours.config["dconv_mode"] == 1  # as for all who do not ask for another
    mix = 0.1 * torch.randn(1, 2, ours.segment, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert signal_to_difference(theirs(mix), ours(mix)) > 110


@pytest.mark.parametrize("name", ["demucs.hdemucs:HDemucs", "demucs.demucs:Demucs"])
def test_the_networks_of_v3_are_read_too(tmp_path: Path, name: str) -> None:
    module, _, kind = name.partition(":")
    keywords = {"sources": STEMS, "channels": 8, "depth": 4, "dconv_attn": 2, "dconv_lstm": 2}
    if kind == "HDemucs":
        keywords |= {"nfft": 256, "norm_starts": 2}
    network = getattr(__import__(module, fromlist=[kind]), kind)(**keywords)
    weights = convert("demucs.safetensors", [write(tmp_path / "x.safetensors", network)])
    assert weights.origin.startswith("Demucs v3 checkpoint sha256:")
    assert assemble(weights, tmp_path).segment == 40 * 44_100


def test_the_commands_take_it(hub: Path, mixture: Samples) -> None:
    from demucs.apply import apply_model
    from demucs.hf import load_safetensors_model

    song = store_wav(hub.parent / "song.wav", mixture[:, :60_000])
    split = run("-n", hub, song, cwd=hub.parent)
    assert split.code == 0, split.stderr
    wave = torch.from_numpy(soundfile.read(song, dtype="float32")[0].T)
    mean, deviation = wave.mean(0).mean(), wave.mean(0).std()
    with torch.no_grad():
        network = load_safetensors_model(hub).eval()
        stems = apply_model(network, (wave[None] - mean) / deviation, shifts=0, overlap=0.25)[0]
    for stem, path in zip(stems * deviation + mean, split.lines, strict=True):
        found, _ = soundfile.read(hub.parent / path, dtype="float32")
        assert signal_to_difference(stem, torch.from_numpy(found.T)) > 100
    ours = hub.parent / "ours.safetensors"
    assert run("models", "convert", hub, "-o", ours, cwd=hub.parent).code == 0
    again = run("-n", ours, song, "-o", "again", cwd=hub.parent)
    assert again.code == 0, again.stderr
    for first, second in zip(split.lines, again.lines, strict=True):
        assert (hub.parent / first).read_bytes() == (hub.parent / second).read_bytes()


def test_a_model_comes_from_the_hub_where_the_official_file_is_gone(
    hub: Path, server: Loopback, own_registry: OwnRegistry
) -> None:
    address = server.serve("/955717e8.safetensors", hub.read_bytes())
    digest = hashlib.sha256(hub.read_bytes()).hexdigest()
    gone, known = f"{server.root}/gone.th", f'sha256 = "{digest}"'
    own_registry.write(f"""
[models.mine]
description = "d"
architecture = "htdemucs:HTDemucs"
stems = {json.dumps(STEMS)}
sample_rate = 44100
channels = 2
segment = 34398
licence = "MIT"
training_data = "none"
sources = [
    {{ format = "demucs.th", files = [{{ address = "{gone}", {known} }}] }},
    {{ format = "demucs.safetensors", files = [{{ address = "{address}", {known} }}] }},
]
""")
    events = pull(registry.resolve("mine"))
    assert isinstance(events[-1], Warned)
    assert events[-1].message.startswith("mine came from a mirror (")
    theirs, ours = loading.load(str(hub)).state_dict(), loading.load("mine").state_dict()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    # A copy of that file is known by its digest.
    assert foreign.read_foreign(hub, "demucs.safetensors").config["segment"] == 34_398


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"klass": "os.system"}, "made for os.system, which is not a Demucs network"),
        ({"klass": "fractions.Fraction"}, "not a Demucs checkpoint"),
        ({"args": "[[]]"}, "not a Demucs checkpoint"),
        ({"args": "{"}, "does not contain the class and arguments of a Demucs network"),
        ({"kwargs": "[]"}, "not a Demucs checkpoint"),
        ({"kwargs": '{"cac": false}'}, "cac is False, not True"),
        ({"kwargs": '{"segment": {"_type": "fraction"}}'}, "does not contain the class"),
        ({"structure": "{}"}, "quantised by the package diffq, which is not supported"),
    ],
)
def test_files_of_other_networks_are_refused(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    path = write(tmp_path / "x.safetensors", small(), **changes)
    with pytest.raises(CheckpointError, match=reason) as caught:
        convert("demucs.safetensors", [path])
    assert caught.value.path == str(path)


def test_half_a_file_is_refused(hub: Path) -> None:
    hub.write_bytes(hub.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"damaged: has \d+ bytes"):
        loading.load(str(hub))
