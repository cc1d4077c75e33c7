"""The official files of every Demucs: written as their programs write them, read back, the same."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from oracles import randomise, signal_to_difference, torchaudio_models
from test_models_demucs import noise, reference_v3
from test_models_hdemucs import reference_hdemucs
from torch import Tensor, nn

from stemsplit.checkpoints import cache, loading
from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.demucs_arguments import (
    DEMUCS_V3,
    HDEMUCS,
    HTDEMUCS,
    Constructor,
)
from stemsplit.checkpoints.foreign import read_listed
from stemsplit.checkpoints.registry import resolve
from stemsplit.checkpoints.weights import assemble
from stemsplit.errors import CheckpointError
from stemsplit.models.demucs import Demucs, DemucsConfig, DemucsV3Config
from stemsplit.models.hdemucs import HDemucsConfig

SMALL_HYBRID = {"nfft": 256, "depth": 4, "norm_starts": 2, "dconv_attn": 2, "dconv_lstm": 2}
STEMS = ["drums", "bass", "other", "vocals"]


def write(path: Path, reference: nn.Module, **changes: Any) -> Path:
    """Write ``reference``, a network of the demucs package, as that does, to ``path``."""
    from demucs.states import get_state

    arguments, keywords = reference._init_args_kwargs  # type: ignore[misc]
    package = {
        "klass": type(reference),
        "args": arguments,
        "kwargs": {**keywords, **changes},
        "state": get_state(reference, None, half=True),
        "training_args": {"seed": 42},
    }
    torch.save(package, path)
    return path


def halved(reference: nn.Module) -> nn.Module:
    """Return ``reference`` with weights that survive half precision."""
    randomise(reference)
    with torch.no_grad():
        for weight in reference.parameters():
            weight.copy_(weight.half().float())
    return reference


@pytest.mark.parametrize(
    ("published", "constructor"),
    [
        ("demucs.htdemucs:HTDemucs", HTDEMUCS),
        ("demucs.hdemucs:HDemucs", HDEMUCS),
        ("demucs.demucs:Demucs", DEMUCS_V3),
    ],
)
def test_every_argument_of_a_published_constructor_is_known(
    published: str, constructor: Constructor
) -> None:
    module, _, name = published.partition(":")
    parameters = inspect.signature(getattr(__import__(module, fromlist=[name]), name)).parameters
    groups = (constructor.fields, constructor.implemented, constructor.without_effect)
    assert {argument for group in groups for argument in group} == set(parameters)
    assert sum(map(len, groups)) == len(parameters)
    for argument, (_, default) in constructor.fields.items():
        if argument != "sources":
            assert default == parameters[argument].default, argument


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cac": False, "hybrid_old": True},
        {"cac": False, "wiener_iters": 1, "wiener_residual": True},
        {"multi_freqs": (0.5,), "channels_time": 12},
    ],
    ids=["complex", "magnitudes", "filtered magnitudes", "bands"],
)
def test_hybrid_files_give_the_network_they_were_written_from(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    wanted = HDemucsConfig(**{**SMALL_HYBRID, "channels": 8, **fields})
    reference = halved(reference_hdemucs(wanted))
    path = write(tmp_path / "75fc33f5.th", reference, segment=12)
    assert sniff(path) == "demucs.th"
    weights = convert("demucs.th", [path])
    assert weights.architecture == "hdemucs:HDemucs"
    assert weights.origin.startswith("Demucs v3 checkpoint sha256:")
    ours = assemble(weights, path)
    assert ours.config == dataclasses.asdict(wanted) | {"segment": 12 * 44_100}
    mix = noise(2, 9_001)
    with torch.no_grad():
        assert signal_to_difference(reference(mix), ours(mix)) > 110


def test_waveform_files_of_v3_give_the_network_they_were_written_from(tmp_path: Path) -> None:
    reference = halved(reference_v3(DemucsV3Config(channels=8, dconv_mode=3)))
    path = write(tmp_path / "0d19c1c6.th", reference, segment=33)
    weights = convert("demucs.th", [path])
    assert (weights.architecture, weights.config["dconv_mode"]) == ("demucs:DemucsV3", 3)
    assert weights.config["segment"] == 33 * 44_100
    ours = assemble(weights, path)
    mix = noise(2, 9_001)
    with torch.no_grad():
        assert signal_to_difference(reference(mix), ours(mix)) > 110


def test_the_first_name_of_hybrid_demucs_is_known(tmp_path: Path) -> None:
    reference = reference_hdemucs(HDemucsConfig(**SMALL_HYBRID, channels=8))
    path = write(tmp_path / "x.th", reference)
    content = path.read_bytes()
    # Stored, not compressed, and names as long as before: the archive stays whole but for a sum
    # that torch does not check.
    assert content.count(b"demucs.hdemucs\nHDemucs") == 1
    path.write_bytes(content.replace(b"demucs.hdemucs\nHDemucs", b"demucs.wdemucs\nWDemucs"))
    assert convert("demucs.th", [path]).architecture == "hdemucs:HDemucs"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"hybrid": False}, "hybrid is False, not True"),
        ({"context_enc": 1}, "context_enc is 1, not 0"),
        ({"tuba": 1}, "unknown argument tuba"),
        ({"sources": 4}, "made for an unsupported network"),
    ],
)
def test_a_hybrid_network_that_ours_cannot_be_is_refused(
    tmp_path: Path, arguments: dict[str, Any], reason: str
) -> None:
    reference = reference_hdemucs(HDemucsConfig(**SMALL_HYBRID, channels=8))
    path = write(tmp_path / "x.th", reference, **arguments)
    with pytest.raises(CheckpointError, match=reason):
        convert("demucs.th", [path])


# --- v1 and v2 -----------------------------------------------------------------------------------


@pytest.fixture
def published_class(monkeypatch: pytest.MonkeyPatch) -> type[nn.Module]:
    """A class called as that of v1 and v2, which demucs 4.1.0 no longer has."""
    module = types.ModuleType("demucs.model")

    class Demucs(nn.Module):
        pass

    Demucs.__module__, Demucs.__qualname__ = "demucs.model", "Demucs"
    module.Demucs = Demucs  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "demucs.model", module)
    return Demucs


def released(**fields: Any) -> Demucs:
    torch.manual_seed(0)
    config = DemucsConfig(channels=8, depth=3, skip="add", **fields)
    return Demucs(config).eval().requires_grad_(False)


def stems_of(model: nn.Module) -> Tensor:
    with torch.no_grad():
        stems: Tensor = model(noise(2, 5_000))
    return stems


V1_ARGUMENTS = {"sources": 4, "channels": 8, "depth": 3, "upsample": False, "context": 3}


# torch warns that it cannot find the source of a class that a test has created.
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code:UserWarning")
def test_files_of_v1_give_their_network(tmp_path: Path, published_class: type) -> None:
    model, path = released(), tmp_path / "demucs.th"
    package = (published_class, (), V1_ARGUMENTS, model.state_dict())
    torch.save(package, path, _use_new_zipfile_serialization=False)
    assert sniff(path) == "demucs.th"
    with pytest.raises(CheckpointError, match=r"its tensors do not show sources, sample_rate$"):
        convert("demucs.th", [path])
    weights = convert("demucs.th", [path], config={"sources": STEMS, "sample_rate": 22_050})
    assert weights.origin.startswith("Demucs v1 checkpoint sha256:")
    assert (weights.config["sources"], weights.config["sample_rate"]) == (STEMS, 22_050)
    assert weights.config["segment"] == 220_500
    assert torch.equal(stems_of(assemble(weights, path)), stems_of(model))


def test_source_code_in_a_v1_file_is_ignored(
    tmp_path: Path, published_class: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file holds the source of the class, wrapped with it."""
    source = tmp_path / "model.py"
    source.write_text("from torch import nn\nclass Demucs(nn.Module):\n    x = 1\n")
    code = compile(source.read_text(), source, "exec")
    module = types.ModuleType("demucs.model")
    module.__file__ = str(source)
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, "demucs.model", module)
    path = tmp_path / "demucs.th"
    package = (module.Demucs, (), V1_ARGUMENTS, released().state_dict())
    torch.save(package, path, _use_new_zipfile_serialization=False)
    assert b"x = 1" in path.read_bytes()
    known = {"sources": STEMS, "sample_rate": 44_100}
    assert convert("demucs.th", [path], config=known).architecture == "demucs:Demucs"
    assert list(tmp_path.glob("*.th")) == [path] and len(list(tmp_path.iterdir())) == 2
    for size in (path.stat().st_size // 2, 300, 30):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(CheckpointError, match="not a checkpoint that torch can read") as caught:
            convert("demucs.th", [path])
        assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"upsample": True}, "upsample is True, not False"),
        ({"context": 1}, "context is 1, not 3"),
        ({"sources": 3}, "produces 3 stems, not 4"),
    ],
)
def test_a_network_of_v1_that_ours_cannot_be_is_refused(
    tmp_path: Path, published_class: type, arguments: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "demucs.th"
    package = (published_class, (), {**V1_ARGUMENTS, **arguments}, released().state_dict())
    torch.save(package, path)
    with pytest.raises(CheckpointError, match=reason):
        convert("demucs.th", [path], config={"sources": STEMS, "sample_rate": 44_100})


V2 = {
    **{"sources": STEMS, "sample_rate": 44_100, "resample": True},
    **{"stride": 4, "normalize": False},
}


@pytest.mark.parametrize("resample", [True, False])
def test_the_weights_of_v2_scale_their_input_as_it_did(tmp_path: Path, resample: bool) -> None:
    """Networks with and without resampling have the same tensors."""
    model, path = released(resample=resample), tmp_path / "demucs-e07c671f.th"
    torch.save(model.state_dict(), path)
    assert sniff(path) == "demucs.v2"
    weights = convert("demucs.v2", [path], config=V2 | {"resample": resample})
    ours = assemble(weights, path)
    assert ours.config == {**model.config, "segment": 1_764_000, "sources": model.sources}
    with torch.no_grad():
        theirs = model(noise(2, 5_000) / (1 + 1e-5))
    assert signal_to_difference(theirs, stems_of(ours)) > 120


def test_settings_that_tensors_of_v2_do_not_show_are_required(tmp_path: Path) -> None:
    path = tmp_path / "mine.th"
    torch.save(released(lstm_layers=1).state_dict(), path)
    for name in V2:
        known = {other: value for other, value in V2.items() if other != name}
        with pytest.raises(CheckpointError, match=f"its tensors do not show {name}$"):
            convert("demucs.v2", [path], config=known)
    config = convert("demucs.v2", [path], config=V2 | {"sample_rate": 16_000}).config
    assert (config["sample_rate"], config["segment"]) == (16_000, 640_000)
    assert config["lstm_layers"] == 1
    assert convert("demucs.v2", [path], config=V2 | {"segment": 9_000}).config["segment"] == 9_000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stride": 2}, "stride is 2, which is not supported: only 4 is"),
        ({"normalize": True}, "normalize is True, which is not supported: only False is"),
        ({"sources": ["a", "b"]}, "produces 4 stems, not 2"),
        ({"depth": 4}, "depth is 3 according to the file, not 4"),
        ({"skip": "concatenate"}, "skip is 'add' according to the file, not 'concatenate'"),
    ],
)
def test_settings_that_do_not_fit_v2(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    torch.save(released().state_dict(), tmp_path / "mine.th")
    with pytest.raises(CheckpointError, match=reason):
        convert("demucs.v2", [tmp_path / "mine.th"], config=V2 | change)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code:UserWarning")
@pytest.mark.parametrize("old", [False, True], ids=["zip", "old pickle"])
def test_whole_files_of_v2_give_the_same(tmp_path: Path, published_class: type, old: bool) -> None:
    state = released(resample=True).state_dict()
    torch.save(state, tmp_path / "bare.th")
    arguments = {"sources": STEMS, "channels": 8, "depth": 3, "segment_length": 882_000}
    package = {"klass": published_class, "args": (), "kwargs": arguments, "state": state}
    torch.save(package, tmp_path / "whole.th", _use_new_zipfile_serialization=not old)
    bare = convert("demucs.v2", [tmp_path / "bare.th"], config=V2)
    whole = convert("demucs.th", [tmp_path / "whole.th"])
    assert whole.config == bare.config | {"segment": 882_000}
    assert all(torch.equal(whole.state[name], tensor) for name, tensor in bare.state.items())


@pytest.mark.parametrize("format", ["demucs.v2", "torchaudio.hdemucs"])
@pytest.mark.parametrize("content", [{"weight": torch.zeros(3)}, {"weight": 3}, [1, 2]])
def test_other_tensors_are_refused(tmp_path: Path, format: str, content: Any) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"not the weights of|not a dict of weights"):
        convert(format, [tmp_path / "other.pt"])


# --- torchaudio ----------------------------------------------------------------------------------

TORCHAUDIO = {
    **{"sources": STEMS, "sample_rate": 44_100, "norm_groups": 4},
    **{"stride": 4, "freq_emb": 0.2, "emb_scale": 10},
}


def torchaudio_hdemucs(path: Path, **fields: Any) -> nn.Module:
    """Write the weights of a network of torchaudio's to ``path``; return the network."""
    sources = fields.pop("sources", STEMS)
    hdemucs = torchaudio_models("_hdemucs").HDemucs(sources=sources, channels=8, **fields).eval()
    randomise(hdemucs)
    torch.save(hdemucs.state_dict(), path)
    return hdemucs  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("nfft", "depth", "sample_rate"),
    [(4096, 6, 44_100), (2048, 6, 16_000), (1024, 5, 8_000)],
    ids=["high", "medium", "low"],
)
def test_weights_of_torchaudio_give_its_network(
    tmp_path: Path, nfft: int, depth: int, sample_rate: int
) -> None:
    path = tmp_path / "hdemucs_high_trained.pt"
    theirs = torchaudio_hdemucs(path, nfft=nfft, depth=depth)
    assert sniff(path) == "torchaudio.hdemucs"
    known = TORCHAUDIO | {"sample_rate": sample_rate}
    weights = convert("torchaudio.hdemucs", [path], config=known)
    ours = assemble(weights, path)
    assert weights.config["nfft"] == nfft
    assert (ours.sample_rate, ours.segment) == (sample_rate, 10 * sample_rate)
    mix = noise(2, 20_001)
    with torch.no_grad():
        assert signal_to_difference(theirs(mix), ours(mix)) > 110


def test_settings_that_tensors_of_torchaudio_do_not_show_are_required(tmp_path: Path) -> None:
    """Norms of two groups and of four have the same tensors."""
    path = tmp_path / "mine.pt"
    theirs = torchaudio_hdemucs(path, norm_groups=2, sources=["a", "b"])
    for name in TORCHAUDIO:
        known = {other: value for other, value in TORCHAUDIO.items() if other != name}
        with pytest.raises(CheckpointError, match=f"its tensors do not show {name}$"):
            convert("torchaudio.hdemucs", [path], config=known)
    with pytest.raises(CheckpointError, match="produces 2 stems, not 4"):
        convert("torchaudio.hdemucs", [path], config=TORCHAUDIO)
    known = TORCHAUDIO | {"sources": ["a", "b"]}
    mix = noise(2, 9_001)
    with torch.no_grad():
        for groups, equal in ((2, True), (4, False)):
            weights = convert("torchaudio.hdemucs", [path], config=known | {"norm_groups": groups})
            found = signal_to_difference(theirs(mix), assemble(weights, path)(mix))
            assert (found > 110) is equal


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stride": 2}, "stride is 2, which is not supported"),
        ({"freq_emb": 0.1}, "freq_emb is 0.1, which is not supported: only 0.2 is"),
        ({"emb_scale": 1}, "emb_scale is 1, which is not supported: only 10"),
        ({"dconv_depth": 1}, "is not part of it"),
    ],
)
def test_settings_that_do_not_fit_torchaudios_network(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    torchaudio_hdemucs(tmp_path / "mine.pt")
    with pytest.raises(CheckpointError, match=reason):
        convert("torchaudio.hdemucs", [tmp_path / "mine.pt"], config=TORCHAUDIO | change)


# --- Files that the registry lists ---------------------------------------------------------------


def test_what_the_registry_lists_is_known_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file needs no settings, and is run on the segments of its list."""
    path = tmp_path / "downloaded.th"
    torch.save(released(resample=False).state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    registry = tmp_path / "extra.toml"
    registry.write_text(f"""
[models.mine]
description = "d"
architecture = "demucs:Demucs"
config = {{ skip = "add", channels = 8, depth = 3, sample_rate = 22050, segment = 9000 }}
stems = {STEMS}
channels = 2
licence = "MIT"
licence_source = "https://example.org"
commercial = "yes"
training_data = "none"
sources = [
    {{ format = "demucs.v2", files = [
        {{ address = "https://example.org/a.th", sha256_prefix = "{digest[:8]}" }},
    ] }},
]
""")
    with pytest.raises(CheckpointError, match="its tensors do not show sources"):
        loading.load(str(path))
    monkeypatch.setenv("STEMSPLIT_REGISTRY", str(registry))
    network = loading.load(str(path))
    assert (network.sample_rate, network.segment) == (22_050, 9_000)
    assert network.config["resample"] is False


def test_an_official_file_of_v3_runs_on_the_segments_of_its_list(tmp_path: Path) -> None:
    reference = halved(reference_hdemucs(HDemucsConfig(**SMALL_HYBRID, channels=8)))
    path = write(tmp_path / "75fc33f5.th", reference, segment=12)
    model = dataclasses.replace(resolve("hdemucs_mmi"), config={})
    assert read_listed(model, "demucs.th", [path]).config["segment"] == 1_940_400


def test_files_converted_by_an_earlier_version_are_converted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(tmp_path / "cache"))
    reference = halved(reference_hdemucs(HDemucsConfig(**SMALL_HYBRID, channels=8)))
    path = write(tmp_path / "mine.th", reference, segment=12)
    adopted = cache.adopt(path, format="demucs.th")
    before = adopted.stat().st_ino
    assert cache.adopt(path, format="demucs.th").stat().st_ino == before
    origin = json.loads((adopted.parent / "origin.json").read_text())
    del origin["readers"]
    (adopted.parent / "origin.json").write_text(json.dumps(origin))
    assert cache.adopt(path, format="demucs.th") == adopted
    assert adopted.stat().st_ino != before
