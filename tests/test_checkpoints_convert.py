"""Foreign checkpoints: what is converted equals its original, and nothing in a file is ever run."""

from __future__ import annotations

import builtins
import hashlib
import os
import pickle
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from conftest import FETCHED
from oracles import randomise, reference_htdemucs, signal_to_difference
from torch import Tensor

from stemsplit.checkpoints import loading, sources
from stemsplit.checkpoints.convert import FORMATS, convert, sniff
from stemsplit.checkpoints.foreign import read_foreign
from stemsplit.checkpoints.htdemucs_onnx import collect_parameters, module_path
from stemsplit.checkpoints.pickles import read_pickle
from stemsplit.checkpoints.registry import list_models
from stemsplit.checkpoints.weights import Weights, assemble, load, save
from stemsplit.errors import CheckpointError, ExitCode, UsageError
from stemsplit.models.htdemucs import HTDemucsConfig

SMALL = HTDemucsConfig(channels=8, bottom_channels=32, t_layers=2, t_heads=4, segment=44_100)

#: Arguments in the official files beside those that name the size of the network.
OFFICIAL_ARGUMENTS: dict[str, Any] = {
    "channels_time": None,
    "growth": 2,
    "wiener_iters": 0,
    "end_iters": 0,
    "wiener_residual": False,
    "cac": True,
    "rewrite": True,
    "multi_freqs": [],
    "multi_freqs_depth": 3,
    "freq_emb": 0.2,
    "emb_scale": 10,
    "emb_smooth": True,
    "kernel_size": 8,
    "stride": 4,
    "time_stride": 2,
    "context": 1,
    "context_enc": 0,
    "norm_starts": 4,
    "norm_groups": 4,
    "dconv_mode": 3,
    "dconv_depth": 2,
    "dconv_comp": 8,
    "dconv_init": 0.001,
    "t_hidden_scale": 4.0,
    "t_dropout": 0.02,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_emb": "sin",
    "t_sparse_attn_window": 400,
    "rescale": 0.1,
}


def official_package(reference: Any, config: HTDemucsConfig, **arguments: Any) -> dict[str, Any]:
    """Return what an official file holds, for ``reference``, a network of the demucs package."""
    from demucs.states import get_state

    return {
        "klass": type(reference),
        "args": (),
        "kwargs": {
            **OFFICIAL_ARGUMENTS,
            "sources": list(config.sources),
            "samplerate": config.sample_rate,
            "audio_channels": config.audio_channels,
            "segment": Fraction(config.segment, config.sample_rate),
            "channels": config.channels,
            "depth": config.depth,
            "nfft": config.nfft,
            "bottom_channels": config.bottom_channels,
            "t_layers": config.t_layers,
            "t_heads": config.t_heads,
            **arguments,
        },
        "state": get_state(reference, None, half=True),
        "training_args": {"seed": 42, "dset": {"sources": list(config.sources)}, "lr": 3e-4},
        "metrics": {"train": [{"loss": 0.1}], "test": {"nsdr": np.float64(9.0)}},
    }


@pytest.fixture(scope="module")
def reference() -> Any:
    network = reference_htdemucs(SMALL)
    randomise(network)
    return network


@pytest.fixture
def official(reference: Any, tmp_path: Path) -> Path:
    """An official file, written by the demucs package itself."""
    from demucs.states import save_with_checksum

    save_with_checksum(official_package(reference, SMALL), tmp_path / "955717e8.th")
    (path,) = tmp_path.glob("955717e8-*.th")
    return path


def test_an_official_file_gives_the_network_it_was_written_from(
    reference: Any, official: Path
) -> None:
    weights = convert("demucs.th", [official])
    assert weights.architecture == "htdemucs:HTDemucs"
    assert (
        HTDemucsConfig(**{**weights.config, "sources": tuple(weights.config["sources"])}) == SMALL
    )
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    assert weights.origin == f"Demucs v4 checkpoint sha256:{digest}"
    original = {name: tensor.half().float() for name, tensor in reference.state_dict().items()}
    assert weights.state.keys() == original.keys()
    assert all(torch.equal(weights.state[name], tensor) for name, tensor in original.items())

    reference.load_state_dict(original)
    mix = torch.randn(1, 2, SMALL.segment, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        theirs, ours = reference(mix), assemble(weights, official)(mix)
    assert signal_to_difference(theirs, ours) > 100


def test_our_own_format_passes_through(official: Path, tmp_path: Path) -> None:
    weights = convert("demucs.th", [official])
    save(weights, tmp_path / "first.safetensors")
    again = convert("safetensors", [tmp_path / "first.safetensors"])
    save(again, tmp_path / "second.safetensors")
    assert (again.config, again.origin) == (weights.config, weights.origin)
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert first.read_bytes() == second.read_bytes()
    assert load(second).config["segment"] == SMALL.segment


def test_an_argument_left_out_has_the_published_default(tmp_path: Path) -> None:
    published = HTDemucsConfig(bottom_channels=0, segment=441_000)
    package = official_package(reference_htdemucs(published), published)
    for name in ("bottom_channels", "segment", "channels", "depth", "t_layers", "samplerate"):
        del package["kwargs"][name]
    torch.save(package, tmp_path / "defaults.th")
    config = convert("demucs.th", [tmp_path / "defaults.th"]).config
    assert (config["bottom_channels"], config["segment"], config["channels"]) == (0, 441_000, 48)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ({"dconv_mode": 7}, "dconv_mode must be 0, 1, 2 or 3, not 7"),
        ({"dconv_mode": 2}, r"does not fit htdemucs:HTDemucs: encoder.0.dconv.* is not part of it"),
        ({"t_emb": "cape"}, "t_emb is 'cape', not 'sin'"),
        ({"cac": False}, "cac is False, not True"),
        ({"multi_freqs": [0.5]}, r"multi_freqs is \[0.5\], not None"),
        ({"t_cross_first": True}, "t_cross_first is True, not False"),
        ({"freq_emb": 0.1}, "freq_emb is 0.1, not 0.2"),
        ({"hybrid_old": True}, "unknown argument hybrid_old"),
        ({"segment": "long"}, "made for an unsupported network"),
        ({"sources": 4}, "made for an unsupported network"),
        ({"t_layers": 3}, r"does not fit htdemucs:HTDemucs: crosstransformer.* is missing"),
    ],
)
def test_a_network_that_ours_cannot_be_is_refused_by_name(
    reference: Any, tmp_path: Path, argument: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "other.th"
    torch.save(official_package(reference, SMALL, **argument), path)
    with pytest.raises(CheckpointError, match=reason):
        convert("demucs.th", [path])


def test_other_networks_of_demucs_are_refused(tmp_path: Path) -> None:
    from demucs.demucs import DConv

    path = tmp_path / "dconv.th"
    torch.save({"klass": DConv, "args": (), "kwargs": {}, "state": {}}, path)
    assert sniff(path) == "demucs.th"
    with pytest.raises(CheckpointError, match=r"would run demucs\.demucs\.DConv"):
        convert("demucs.th", [path])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"klass": dict}, "refused: loading it would run "),
        ({"args": (["drums"],)}, "not a Demucs checkpoint"),
        ({"state": None}, "not a Demucs checkpoint"),
        ({"state": {"__quantized": True}}, "its weights are quantised"),
        ({"state": {}}, "encoder.0.conv.weight is missing"),
    ],
)
def test_packages_of_another_kind_are_refused(
    reference: Any, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "other.th"
    torch.save({**official_package(reference, SMALL), **change}, path)
    with pytest.raises(CheckpointError, match=reason):
        convert("demucs.th", [path])


class Hostile:
    """Unpickles to a call of ``function``."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("place", ["klass", "kwargs", "state", "training_args", "metrics"])
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "touch {}", f"{os.system.__module__}.system"),
        (os.mkdir, "{}", f"{os.mkdir.__module__}.mkdir"),
        (builtins.exec, "import pathlib; pathlib.Path({!r}).touch()", "exec"),
    ],
)
def test_a_hostile_pickle_is_refused_by_name_and_runs_nothing(
    reference: Any,
    tmp_path: Path,
    function: Any,
    argument: str,
    name: str,
    place: str,
) -> None:
    victim = tmp_path / "victim"
    hostile = Hostile(function, argument.format(str(victim)))
    path = tmp_path / "hostile.th"
    torch.save({**official_package(reference, SMALL), place: hostile}, path)
    with pytest.raises(CheckpointError, match=f"refused: loading it would run {name}, ") as caught:
        convert("demucs.th", [path])
    assert caught.value.exit_code == ExitCode.CHECKPOINT
    assert not victim.exists()
    # The same file does what it is meant to do where it is trusted: the test can fail.
    torch.load(path, weights_only=False)
    assert victim.exists()


def test_a_hostile_pickle_of_an_old_torch_runs_nothing(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "hostile.th"
    hostile = {"state": Hostile(os.mkdir, str(victim))}
    torch.save(hostile, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=f"would run {os.mkdir.__module__}.mkdir, "):
        convert("demucs.th", [path])
    assert not victim.exists()
    path.write_bytes(pickle.dumps(hostile))
    with pytest.raises(CheckpointError, match="not a checkpoint that torch can read"):
        convert("demucs.th", [path])
    assert not victim.exists()


def test_the_list_of_allowed_names_ends_with_the_call(official: Path) -> None:
    convert("demucs.th", [official])
    with pytest.raises(CheckpointError, match=r"would run demucs\.htdemucs\.HTDemucs"):
        read_pickle(official, {})


def test_torch_load_is_called_in_one_place() -> None:
    package = Path(__file__).parent.parent / "stemsplit"
    calls = {
        path.name: text.count("torch.load(")
        for path in package.rglob("*.py")
        if "torch.load(" in (text := path.read_text())
    }
    assert calls == {"pickles.py": 1}


@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_file_is_refused(official: Path, fraction: float) -> None:
    os.truncate(official, int(official.stat().st_size * fraction))
    with pytest.raises(CheckpointError, match="not a checkpoint that torch can read, or damaged"):
        convert("demucs.th", [official])


def test_unknown_formats_and_counts_are_usage_errors(official: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'tape'") as caught:
        convert("tape", [official])
    assert caught.value.hint is not None and "demucs.th" in caught.value.hint
    with pytest.raises(UsageError, match=r"demucs.th takes 1 file\(s\), not 2"):
        convert("demucs.th", [official, official])


@pytest.mark.parametrize("format", FORMATS)
def test_a_missing_file_is_a_checkpoint_error(format: str, tmp_path: Path) -> None:
    files = [tmp_path / f"missing{number}" for number in range(FORMATS[format][1])]
    with pytest.raises(CheckpointError, match=r"missing0: cannot be read: No such file"):
        convert(format, files, architecture="htdemucs:HTDemucs", config={})


# --- What kind of file is it ---------------------------------------------------------------------


def test_formats_are_detected_from_content(official: Path, tmp_path: Path) -> None:
    assert sniff(official) == "demucs.th"
    save(convert("demucs.th", [official]), tmp_path / "ours")
    assert sniff(tmp_path / "ours") == "safetensors"
    onnx.save(export(MATRIX), tmp_path / "graph")
    assert sniff(tmp_path / "graph") == "htdemucs.onnx"


def test_a_foreign_file_is_hashed_once(official: Path, hashed: list[Path]) -> None:
    digest = hashlib.sha256(official.read_bytes()).hexdigest()
    for stem in loading.stems_of(str(official)):
        assert loading.fingerprint(str(official), stems=[stem]) == digest
    assert loading.load(str(official)).sources == SMALL.sources
    assert hashed.count(official) == 1


@pytest.mark.parametrize("content", [b"", b"RIFF\x00\x00\x00\x00WAVE", b"\x08\x01", b"\x80\x02}."])
def test_anything_else_has_an_unknown_format(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint in a known format") as caught:
        sniff(path)
    assert caught.value.hint is not None and "htdemucs.onnx" in caught.value.hint


def test_what_cannot_be_opened_has_no_format(tmp_path: Path) -> None:
    (tmp_path / "zip").write_bytes(b"PK\x03\x04 cut")
    for name in ("zip", "missing"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            sniff(tmp_path / name)


# --- ONNX ----------------------------------------------------------------------------------------

#: A constant: its name, and the name and the input of the node that reads it.
MATRIX = {"onnx::MatMul_1": ("/crosstransformer/layers.0/linear1/MatMul", torch.randn(3, 5))}
LAYER = "/crosstransformer/layers.1"
KEY = "crosstransformer.layers.1"


def export(constants: Mapping[str, tuple[str, Tensor]]) -> onnx.ModelProto:
    """Return a graph with ``constants``, each read by a node of the name that comes with it."""
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node(
                path.rpartition("/")[2].partition("_")[0], ["x", name], [path], path
            )
            for name, (path, _) in constants.items()
        ],
        "main_graph",
        [],
        [],
        [
            onnx.numpy_helper.from_array(tensor.contiguous().numpy(), name)
            for name, (_, tensor) in constants.items()
        ],
    )
    return onnx.helper.make_model(graph)


def test_paths_of_nodes_are_names_of_modules() -> None:
    path = "/tencoder.0/dconv/layers.0/layers.0.1/Mul"
    assert module_path(path) == "tencoder.0.dconv.layers.0.1.Mul"
    assert module_path(f"{LAYER}/cross_attn/MatMul_1") == f"{KEY}.cross_attn.MatMul_1"
    assert module_path("/Expand") == "Expand"


def test_named_parameters_are_copied_unchanged() -> None:
    bias = torch.randn(7)
    found = collect_parameters(
        export({"encoder.0.conv.bias": ("/encoder.0/conv/Conv", bias)}).graph
    )
    assert list(found) == ["encoder.0.conv.bias"]
    assert torch.equal(found["encoder.0.conv.bias"], bias)


def test_folded_parameters_are_unfolded() -> None:
    linear, attention, scale = torch.randn(5, 3), torch.randn(12, 4), torch.randn(6)
    embedding = torch.randn(8, 4).half().float()
    norm = "/encoder.0/dconv/layers.1/layers.1.4"
    graph = export(
        {
            "onnx::MatMul_1": (f"{LAYER}/linear2/MatMul", linear.t()),
            "onnx::MatMul_2": ("/crosstransformer/layers.0/self_attn/MatMul", attention.t()),
            "onnx::Mul_3": ("/encoder.0/dconv/layers.0/layers.0.6/Mul", scale[:, None]),
            "onnx::Mul_4": (f"{norm}/Mul", scale[:, None] + 1),
            "onnx::Add_5": (f"{norm}/Add", scale[:, None] + 2),
            "onnx::Mul_6": (f"{LAYER}/norm_out/Mul", scale[:, None] + 3),
            "onnx::Add_7": (f"{LAYER}/norm_out/Add", scale[:, None] + 4),
            "onnx::Expand_8": ("/Expand", (embedding * 10).t()[None, :, :, None]),
        }
    ).graph
    expected = {
        f"{KEY}.linear2.weight": linear,
        "crosstransformer.layers.0.self_attn.in_proj_weight": attention,
        "encoder.0.dconv.layers.0.6.scale": scale,
        "encoder.0.dconv.layers.1.4.weight": scale + 1,
        "encoder.0.dconv.layers.1.4.bias": scale + 2,
        f"{KEY}.norm_out.weight": scale + 3,
        f"{KEY}.norm_out.bias": scale + 4,
        "freq_emb.embedding.weight": embedding,
    }
    found = collect_parameters(graph)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_cross_attention_is_put_together_query_first() -> None:
    weight, bias = torch.randn(12, 4), torch.randn(12)
    parts = {
        # In no order: the node says which part it is.
        "onnx::MatMul_4": (f"{LAYER}/cross_attn/MatMul_1", weight[4:].t()),
        "onnx::MatMul_3": (f"{LAYER}/cross_attn/MatMul", weight[:4].t()),
        "onnx::Add_2": (f"{LAYER}/cross_attn/Add_1", bias[4:]),
        "onnx::Add_1": (f"{LAYER}/cross_attn/Add", bias[:4]),
    }
    found = collect_parameters(export(parts).graph)
    assert torch.equal(found[f"{KEY}.cross_attn.in_proj_weight"], weight)
    assert torch.equal(found[f"{KEY}.cross_attn.in_proj_bias"], bias)

    del parts["onnx::MatMul_3"]
    with pytest.raises(ValueError, match=f"a part of {KEY}.cross_attn.in_proj_weight is missing"):
        collect_parameters(export(parts).graph)


@pytest.mark.parametrize(
    ("constants", "reason"),
    [
        (
            {"onnx::Pow_9": ("/Pow", torch.ones(1))},
            "no rule for onnx::Pow_9, read by Pow",
        ),
        (
            {
                "onnx::MatMul_1": (f"{LAYER}/linear1/MatMul", torch.ones(2, 2)),
                "onnx::MatMul_2": (f"{LAYER}/linear1/MatMul", torch.ones(2, 2)),
            },
            f"{KEY}.linear1.weight occurs twice",
        ),
        (
            {"onnx::Expand_1": ("/Expand", torch.full((1, 4, 8, 1), 1 / 3))},
            "not a multiple of its scale",
        ),
        ({"onnx::Expand_1": ("/Expand", torch.ones(4))}, "too many indices"),
        (
            {"encoder.0.conv.bias": ("/encoder.0/conv/Conv", torch.full((48,), 1 / 3))},
            "encoder.0.conv.bias is not exact in half precision",
        ),
        (
            {"encoder.0.conv.bias": ("/encoder.0/conv/Conv", torch.ones(48, dtype=torch.int64))},
            "encoder.0.conv.bias is not fp32",
        ),
        (
            {"encoder.0.conv.bias": ("/encoder.0/conv/Conv", torch.ones(48))},
            r"does not fit htdemucs:HTDemucs: encoder.0.conv.weight is missing \(and 531 others\)",
        ),
    ],
)
def test_another_graph_is_refused(
    tmp_path: Path, constants: Mapping[str, tuple[str, Tensor]], reason: str
) -> None:
    path = tmp_path / "other.onnx"
    onnx.save(export(constants), path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        convert("htdemucs.onnx", [path], listed=True)
    assert str(caught.value).startswith(f"{path}: ")


def test_only_the_published_export_is_read(tmp_path: Path) -> None:
    """Stems, sample rate and heads of another one are in no constant."""
    path = tmp_path / "other.onnx"
    onnx.save(export({"encoder.0.conv.bias": ("/encoder.0/conv/Conv", torch.ones(48))}), path)
    with pytest.raises(CheckpointError, match="not the published ONNX export of HTDemucs"):
        convert("htdemucs.onnx", [path])


def test_constants_in_other_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    onnx.save(
        export(MATRIX), path, save_as_external_data=True, location="data.bin", size_threshold=0
    )
    with pytest.raises(CheckpointError, match="or stored elsewhere"):
        convert("htdemucs.onnx", [path])


def test_a_cut_onnx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    onnx.save(export(MATRIX), path)
    os.truncate(path, path.stat().st_size - 20)
    with pytest.raises(CheckpointError, match="not an ONNX file, or damaged"):
        convert("htdemucs.onnx", [path])


# --- The published weights -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published ONNX file, from the registry's mirror; kept where a cache is named."""
    (model,) = [model for model in list_models() if model.name == "htdemucs"]
    (source,) = [source for source in model.sources if source.format == "htdemucs.onnx"]
    folder = Path(FETCHED) / "tests" if FETCHED else tmp_path_factory.mktemp("mirror")
    folder.mkdir(parents=True, exist_ok=True)
    fetching = sources.fetch(source, folder, name="htdemucs")
    while True:
        try:
            next(fetching)
        except StopIteration as done:
            (path,) = done.value
            return Path(path)
        except CheckpointError as exc:
            pytest.skip(f"the published weights cannot be fetched: {exc}")


@pytest.fixture(scope="module")
def published(mirror: Path) -> Weights:
    assert sniff(mirror) == "htdemucs.onnx"
    return read_foreign(mirror, "htdemucs.onnx")


@pytest.mark.weights
def test_the_mirror_holds_the_whole_published_network(published: Weights) -> None:
    assert len(published.state) == 533
    assert sum(tensor.numel() for tensor in published.state.values()) == 41_984_456
    assert published.config == {
        "sources": ["drums", "bass", "other", "vocals"],
        "sample_rate": 44_100,
        "audio_channels": 2,
        "segment": 343_980,
        "channels": 48,
        "depth": 4,
        "nfft": 4096,
        "bottom_channels": 512,
        "dconv_mode": 3,
        "t_layers": 5,
        "t_heads": 8,
    }
    reference = reference_htdemucs(HTDemucsConfig())
    reference.load_state_dict(published.state, strict=True)


@pytest.mark.weights
def test_official_file_and_mirror_give_the_same(published: Weights, tmp_path: Path) -> None:
    config = HTDemucsConfig()
    reference = reference_htdemucs(config)
    reference.load_state_dict(published.state)
    torch.save(official_package(reference, config), tmp_path / "955717e8.th")
    official = convert("demucs.th", [tmp_path / "955717e8.th"])
    assert (official.architecture, official.config) == (published.architecture, published.config)
    assert official.state.keys() == published.state.keys()
    assert all(torch.equal(official.state[name], t) for name, t in published.state.items())


@pytest.mark.weights
def test_the_published_weights_separate_a_song_as_the_reference_does(published: Weights) -> None:
    import soundfile

    song = Path(__file__).parents[2] / "shared" / "stems" / "eval" / "mdb_rock"
    if not song.is_dir():
        pytest.skip("needs the songs with true stems")
    from demucs.apply import apply_model

    def decode(name: str) -> Tensor:
        return torch.from_numpy(soundfile.read(song / f"{name}.flac", dtype="float32")[0].T)

    reference = reference_htdemucs(HTDemucsConfig())
    reference.load_state_dict(published.state)
    mix = decode("mixture")
    mean, deviation = mix.mean(0).mean(), mix.mean(0).std()
    standardised = (mix - mean) / deviation
    stems = apply_model(reference, standardised[None], shifts=0, overlap=0.25)[0] * deviation + mean
    scores = {
        name: signal_to_difference(decode(name), stem)
        for name, stem in zip(reference.sources, stems, strict=True)
    }
    expected = {"drums": 9.217, "bass": 12.581, "other": 7.252, "vocals": 11.770}  # dB
    assert scores == pytest.approx(expected, abs=0.005)
