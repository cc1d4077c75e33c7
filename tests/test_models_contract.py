"""What every network promises, whatever is inside; the ``tiny.*`` models keep it for all."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from oracles import signal_to_difference
from torch import Tensor

import stemsplit.models
from stemsplit.checkpoints import weights
from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models
from stemsplit.models import build
from stemsplit.models.base import SeparationModel
from stemsplit.models.weighted_mean import WeightedMean
from stemsplit.separation.engine import Engine

#: A small network of every architecture, by the name of its registry entry.
TINY = {m.name: m for m in list_models() if m.name.startswith("tiny.") and m.architecture}


def test_every_network_has_a_small_model() -> None:
    small = {m.architecture for m in list_models() if m.name in TINY or m.without_weights}
    files = sorted(Path(stemsplit.models.__path__[0]).glob("*.py"))
    modules = [importlib.import_module(f"stemsplit.models.{path.stem}") for path in files]
    for module in modules:
        for name, member in inspect.getmembers(module, inspect.isclass):
            if member.__module__ != module.__name__ or not issubclass(member, SeparationModel):
                continue
            if member.__subclasses__() or member is WeightedMean:
                continue  # what several networks share, or what ensembles are
            network = f"{module.__name__.rpartition('.')[2]}:{name}"
            assert network in small, f"add [models.tiny.…] with {network} to registry.toml"


@pytest.fixture(params=TINY)
def entry(request: pytest.FixtureRequest) -> Model:
    return TINY[request.param]


@pytest.fixture
def model(entry: Model) -> SeparationModel:
    return build_tiny(entry, seed=0)


def build_tiny(entry: Model, seed: int) -> SeparationModel:
    assert entry.architecture is not None and entry.config is not None
    torch.manual_seed(seed)
    return build(entry.architecture, entry.config).eval()


@pytest.fixture
def trainable(model: SeparationModel) -> SeparationModel:
    if not list(model.parameters()):
        pytest.skip("has nothing to learn")
    return model


def noise(model: SeparationModel, frames: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.1 * torch.randn(batch, model.channels, frames, generator=generator)


@pytest.mark.parametrize("missing", [0, 1, 2, 1_238])
def test_output_is_as_long_as_the_input(model: SeparationModel, missing: int) -> None:
    frames = (model.segment | 1) - 2 - missing
    with torch.no_grad():
        stems = model(noise(model, frames, batch=2))
    assert stems.shape == (2, len(model.sources), model.channels, frames)
    assert stems.dtype == torch.float32


def test_a_song_of_several_segments_is_whole(model: SeparationModel) -> None:
    """Also where it ends in the middle of one, and every sample of every stem is a number."""
    frames = 2 * model.segment + model.segment // 3
    song = noise(model, frames)[0]
    engine = Engine(model, device="cpu")
    stems = torch.cat(list(engine.separate(song.split(10_000, dim=-1))), -1)
    assert stems.shape == (len(model.sources), model.channels, frames)
    assert stems.isfinite().all()
    # The first frames are of one segment alone, and come as the network gives them, unless the song
    # is reflected.
    with torch.inference_mode():
        first = model(song[None, :, : model.segment])[0]
    if not model.standardised and model.window == "triangle":
        assert signal_to_difference(first[..., : engine.hop], stems[..., : engine.hop]) > 90


@pytest.mark.parametrize("frames", [1, 2, 3, 1_001])
def test_any_length_means_any(model: SeparationModel, frames: int) -> None:
    if not model.any_length:
        pytest.skip("is run on whole segments only")
    with torch.no_grad():
        stems = model(noise(model, frames))
    assert stems.shape == (1, len(model.sources), model.channels, frames)
    assert stems.isfinite().all()


def test_gradient_reaches_every_parameter(trainable: SeparationModel) -> None:
    trainable.train()
    outputs = trainable.training_outputs(noise(trainable, trainable.segment, batch=2))
    generator = torch.Generator().manual_seed(2)
    torch.stack(
        [
            (output * torch.randn(output.shape, generator=generator)).sum()
            for output in outputs.values()
            if output.requires_grad
        ]
    ).sum().backward()
    without = [
        name
        for name, weight in trainable.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all() or not weight.grad.any()
    ]
    assert without == []


def test_magnitudes_come_with_the_transform_of_the_waves(trainable: SeparationModel) -> None:
    """With which training compares them with those of the sources, waves of any dimensions."""
    mix = noise(trainable, trainable.segment, batch=2)
    with torch.no_grad():
        outputs = trainable.training_outputs(mix)
    if "magnitudes" not in outputs:
        pytest.skip("estimates no magnitudes")
    found = outputs["magnitudes"]
    spectra = trainable.transform(outputs["sources"])[..., : found.shape[-2], :]  # type: ignore[operator]
    assert spectra.is_complex()
    assert spectra.shape == found.shape
    whole = trainable.transform(mix)[..., : found.shape[-2], :].abs()  # type: ignore[operator]
    assert found.mean() < 1.1 * whole.mean()


def test_features_are_as_wide_as_the_network_says(trainable: SeparationModel) -> None:
    with torch.no_grad():
        outputs = trainable.training_outputs(noise(trainable, trainable.segment, batch=2))
    if not trainable.feature_width:
        assert "features" not in outputs
    else:
        assert outputs["features"].shape[:2] == (2, trainable.feature_width)
        assert outputs["features"].dim() == 3


def test_a_batch_gives_what_its_items_give_alone(model: SeparationModel) -> None:
    mix = noise(model, model.segment, batch=3)
    with torch.no_grad():
        together = model(mix)
        alone = torch.cat([model(item) for item in mix.split(1)])
    assert signal_to_difference(alone, together) > 90


def test_gradients_on_or_off_give_the_same(model: SeparationModel) -> None:
    mix = noise(model, model.segment)
    with torch.inference_mode():
        without = model(mix).clone()
    assert signal_to_difference(without, model(mix).detach()) > 90


def test_the_same_input_gives_the_same_bytes(model: SeparationModel) -> None:
    mix = noise(model, model.segment)
    with torch.no_grad():
        assert torch.equal(model(mix), model(mix))


def test_silence_stays_finite(model: SeparationModel) -> None:
    stems = model(torch.zeros(1, model.channels, model.segment))
    assert stems.isfinite().all()


def test_gradients_of_silence_are_finite(trainable: SeparationModel) -> None:
    trainable.train()
    outputs = trainable.training_outputs(torch.zeros(2, trainable.channels, trainable.segment))
    torch.stack([o.sum() for o in outputs.values() if o.requires_grad]).sum().backward()
    assert all(w.grad is None or w.grad.isfinite().all() for w in trainable.parameters())


def test_weights_survive_a_file(model: SeparationModel, entry: Model, tmp_path: Path) -> None:
    assert entry.architecture is not None
    path = tmp_path / "weights.safetensors"
    weights.save(weights.Weights(entry.architecture, model.config, model.state_dict(), "x"), path)
    other = weights.load(path)
    mix = noise(model, model.segment)
    with torch.no_grad():
        assert torch.equal(model(mix), other(mix))


@pytest.mark.parametrize(("precision", "floor"), [(torch.bfloat16, 20), (torch.float16, 40)])
def test_autocast_stays_close(model: SeparationModel, precision: torch.dtype, floor: float) -> None:
    """A CPU rounds as a GPU does: what half precision would overflow on one shows on the other."""
    mix = noise(model, model.segment)
    with torch.no_grad():
        exact = model(mix)
        try:
            with torch.autocast("cpu", precision):
                rounded = model(mix)
        except RuntimeError as error:
            # Some processors have no such layer in float16; in bfloat16 all do.
            if precision != torch.float16 or "primitive descriptor" not in str(error):
                raise
            pytest.skip("oneDNN cannot do this layer in float16 here")
    assert rounded.dtype == torch.float32
    assert floor < signal_to_difference(exact, rounded) < 100


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", [torch.float32, torch.float16, torch.bfloat16])
def test_cuda_stays_close(model: SeparationModel, precision: torch.dtype) -> None:
    mix = noise(model, model.segment)
    with torch.no_grad():
        exact = model(mix)
        with torch.autocast("cuda", precision, enabled=precision != torch.float32):
            stems = model.cuda()(mix.cuda()).cpu()
    floor = {torch.float32: 50, torch.float16: 35, torch.bfloat16: 20}[precision]
    assert signal_to_difference(exact, stems) > floor


def test_configuration_survives_json(model: SeparationModel) -> None:
    assert type(model).from_config(json.loads(json.dumps(model.config))).config == model.config


def test_an_unknown_field_is_refused(model: SeparationModel) -> None:
    with pytest.raises(TypeError, match="chanels"):
        type(model).from_config({**model.config, "chanels": 2})


def test_the_registry_matches_the_model(model: SeparationModel, entry: Model) -> None:
    assert model.sources == entry.stems
    assert (model.sample_rate, model.channels, model.segment) == (
        entry.sample_rate,
        entry.channels,
        entry.segment,
    )


def test_a_network_that_computes_nothing_is_refused_when_it_is_defined() -> None:
    with pytest.raises(TypeError, match="Empty must define forward or training_outputs"):

        class Empty(SeparationModel):
            pass


def test_a_base_class_may_leave_the_computation_to_its_subclasses() -> None:
    class Base(SeparationModel, abstract=True):
        pass

    with pytest.raises(TypeError, match="Nothing must define forward or training_outputs"):

        class Nothing(Base):
            pass

    class Forward(Base):
        def forward(self, mix: Tensor) -> Tensor:
            return mix[:, None]

    class Outputs(Base):
        def training_outputs(self, mix: Tensor) -> dict[str, Tensor]:
            return {"sources": mix[:, None], "masks": mix}

    class Further(Outputs):
        pass

    config = SimpleNamespace(sources=("all",), sample_rate=8_000, channels=1, segment=100)
    mix = torch.ones(2, 1, 5)
    for network in (Forward(config), Outputs(config), Further(config)):
        assert torch.equal(network(mix), mix[:, None])
        assert torch.equal(network.training_outputs(mix)["sources"], mix[:, None])
