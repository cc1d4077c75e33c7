"""Loading: from a name or a file to a network, and several networks as one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from registered import OwnRegistry, ensemble, table

from stemsplit.checkpoints import cache, loading, registry, weights
from stemsplit.checkpoints.folders import digest_of
from stemsplit.checkpoints.weights import Weights
from stemsplit.errors import CheckpointError, UsageError
from stemsplit.models.base import SeparationModel
from stemsplit.models.weighted_mean import WeightedMean, WeightedMeanConfig
from stemsplit.separation.engine import Engine

STEMS = ("drums", "bass", "other", "vocals")
#: Fingerprint of tiny.htdemucs since manifests exist.
TINY_HTDEMUCS = "9c68eba1f9eee1958947623829978511015f854c71cc5cae560d1f379272aaba"
TINY = [model.name for model in registry.list_models() if model.name.startswith("tiny.")]


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_model_needs_no_fetching(name: str) -> None:
    assert list(loading.prepare(name, offline=True)) == []
    network = loading.load(name)
    model = registry.resolve(name)
    assert network.sources == model.stems
    assert (network.sample_rate, network.channels, network.segment) == (
        model.sample_rate,
        model.channels,
        model.segment,
    )
    assert not network.training
    assert sum(parameter.numel() for parameter in network.parameters()) < 800_000
    assert not cache.cache_dir().exists()


def test_a_tiny_model_is_the_same_every_time_and_another_for_another_seed() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = loading.load("tiny.htdemucs").state_dict()
    assert torch.equal(torch.rand(3), expected)  # the global random state is unchanged
    second = loading.load("tiny.htdemucs").state_dict()
    other = loading.load("tiny.htdemucs_b").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    name = "encoder.0.conv.weight"
    assert not torch.equal(first[name], other[name])


def test_a_model_that_is_not_downloaded() -> None:
    with pytest.raises(CheckpointError, match="weights of htdemucs are not in the cache") as caught:
        loading.load("htdemucs")
    assert caught.value.hint == "run: stemsplit models pull htdemucs"
    with pytest.raises(CheckpointError, match="--offline forbids"):
        list(loading.prepare("htdemucs", offline=True))
    with pytest.raises(CheckpointError, match=r"weights of htdemucs_ft\.bass are not"):
        list(loading.prepare("htdemucs_ft", stems=["bass"], offline=True))


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_ft"])
def test_an_unknown_stem_is_reported_before_the_download(name: str) -> None:
    for attempt in (
        lambda: list(loading.prepare(name, stems=["banjo"])),
        lambda: loading.load(name, stems=["banjo"]),
    ):
        with pytest.raises(UsageError, match=f"{name} has no stem 'banjo'"):
            attempt()


def test_the_label_and_stems_of_a_name() -> None:
    assert loading.label("htdemucs_ft.drums") == "htdemucs_ft.drums"
    assert loading.stems_of("spleeter_2stems") == ("vocals", "accompaniment")


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match=r"no model 'tiny\.htdemux'"):
        loading.load("tiny.htdemux")
    with pytest.raises(UsageError, match=r"no model 'tiny\.htdemux'"):
        list(loading.prepare("tiny.htdemux"))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The weights of tiny.htdemucs in a file of our own."""
    network = loading.load("tiny.htdemucs")
    path = tmp_path / "mine.safetensors"
    state = dict(network.state_dict())
    weights.save(weights.Weights("htdemucs:HTDemucs", network.config, state, "test"), path)
    return path


def test_a_file_works_wherever_a_name_does(saved: Path) -> None:
    assert list(loading.prepare(str(saved), offline=True)) == []
    assert (loading.label(str(saved)), loading.stems_of(str(saved))) == ("mine", STEMS)
    network = loading.load(str(saved))
    mix = torch.randn(1, 2, 5000)
    with torch.inference_mode():
        assert torch.equal(network(mix), loading.load("tiny.htdemucs")(mix))
    with pytest.raises(UsageError, match=r"mine\.safetensors has no stem 'banjo'"):
        loading.load(str(saved), stems=["banjo"])
    assert not cache.cache_dir().exists()


def test_files_and_names_can_share_a_list(saved: Path, tmp_path: Path) -> None:
    assert loading.members(f"tiny.demucs,{saved}") == ("tiny.demucs", str(saved))
    assert loading.members(f"{saved},tiny.demucs") == (str(saved), "tiny.demucs")
    odd = tmp_path / "a,b.safetensors"
    odd.touch()
    assert loading.members(str(odd)) == (str(odd),)
    assert set(loading.shares(f"tiny.demucs,{saved}")) == {"tiny.demucs", str(saved)}


def test_a_file_that_is_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "song.th").write_bytes(b"RIFF" * 100)
    with pytest.raises(CheckpointError, match="not a checkpoint in a known format"):
        loading.load(str(tmp_path / "song.th"))
    assert not cache.cache_dir().exists()


def test_a_foreign_file_is_converted_once(tmp_path: Path) -> None:
    demucs = pytest.importorskip("demucs.htdemucs")
    arguments = {"sources": list(STEMS), "channels": 8, "depth": 3, "nfft": 1024, "segment": 1}
    arguments |= {"bottom_channels": 32, "t_layers": 2, "t_heads": 4, "dconv_mode": 3}
    state = demucs.HTDemucs(**arguments).state_dict()
    path = tmp_path / "foreign.th"
    package = {"klass": demucs.HTDemucs, "args": (), "kwargs": arguments, "state": state}
    torch.save(package, path)
    assert loading.stems_of(str(path)) == STEMS
    network = loading.load(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = cache.cache_dir() / "files" / digest / "weights.safetensors"
    written = kept.stat().st_mtime_ns
    assert network.sources == STEMS
    again = loading.load(str(path))
    assert kept.stat().st_mtime_ns == written
    assert all(
        torch.equal(again.state_dict()[name], value) for name, value in network.state_dict().items()
    )
    assert not list((cache.cache_dir() / "partial").iterdir())


class Gain(SeparationModel):
    """A network of one number per source, whose outputs are known."""

    def __init__(self, sources: tuple[str, ...], gains: list[float]) -> None:
        config = SimpleNamespace(sources=sources, sample_rate=8000, segment=100)
        super().__init__(config, channels=2)
        self.gains = torch.nn.Parameter(torch.tensor(gains))
        self.runs = 0

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return mix[:, None] * self.gains[:, None, None]


def test_an_ensemble_is_the_weighted_mean_stem_by_stem() -> None:
    config = WeightedMeanConfig(sources=("a", "b"), weights=((1.0, 0.0), (3.0, 2.0)))
    # The second member has its sources in another order, and one that the ensemble lacks.
    members = [Gain(("a", "b"), [1.0, 100.0]), Gain(("c", "b", "a"), [7.0, 5.0, 2.0])]
    ensemble = WeightedMean(config, members)
    mix = torch.randn(3, 2, 50)
    expected = torch.stack([mix * (1 * 1 + 3 * 2) / 4, mix * 5], dim=1)
    torch.testing.assert_close(ensemble(mix), expected)
    assert [member.runs for member in members] == [1, 1]
    ensemble(mix).sum().backward()
    assert members[0].gains.grad is not None
    assert members[0].gains.grad[1] == 0


def test_an_ensemble_is_run_as_its_members_are() -> None:
    """The end of a song comes to mdx as it comes to each of its members."""
    config = WeightedMeanConfig(sources=("a",), weights=((1.0,), (1.0,)))
    members = [Gain(("a",), [1.0]), Gain(("a",), [2.0])]
    for member in members:
        member.any_length, member.alignment = True, 7
    ensemble = WeightedMean(config, members)
    assert (ensemble.any_length, ensemble.alignment) == (True, 7)
    members[1].any_length = False
    with pytest.raises(ValueError, match="differ in any_length"):
        WeightedMean(config, members)
    members[1].any_length = True
    members[1].context = 0
    with pytest.raises(ValueError, match="differ in context"):
        WeightedMean(config, members)
    members[0].context = 0
    ensemble = WeightedMean(config, members)
    assert ensemble.context == 0
    mix = torch.arange(20.0).expand(1, 2, 20)
    torch.testing.assert_close(ensemble(mix, 5)[:, 0], mix[..., 5:15] * 1.5)


def test_a_network_whose_stems_changed_has_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, in an ensemble and as a file; the others keep theirs."""
    paths = {}
    for name in ("tiny.htdemucs", "tiny.scnet"):
        network = loading.load(name)
        architecture = registry.resolve(name).architecture
        paths[name] = tmp_path / f"{name}.safetensors"
        found = Weights(architecture, network.config, network.state_dict(), "a test")
        weights.save(found, paths[name])

    def fingerprints(name: str) -> list[str]:
        together = f"tiny.htdemucs_b,{name}"
        return [loading.fingerprint(each) for each in (name, together, str(paths[name]))]

    found = {name: fingerprints(name) for name in paths}
    monkeypatch.setattr(loading, "REVISIONS", {})
    before = {name: fingerprints(name) for name in paths}
    assert before["tiny.htdemucs"] == found["tiny.htdemucs"]
    assert not set(before["tiny.scnet"]) & set(found["tiny.scnet"])
    assert before["tiny.scnet"][2] == digest_of(paths["tiny.scnet"])


def test_fingerprints_that_manifests_hold() -> None:
    """What a library was split by before must not change without a revision."""
    assert loading.fingerprint("tiny.htdemucs") == TINY_HTDEMUCS


@given(
    rows=st.lists(
        st.lists(st.floats(0, 10, width=16), min_size=2, max_size=2), min_size=1, max_size=4
    ),
    frames=st.integers(0, 120),
)
@settings(max_examples=50, deadline=None)
def test_equal_members_make_an_ensemble_equal_to_each(rows: list[list[float]], frames: int) -> None:
    weights = tuple(map(tuple, rows))
    members = [Gain(("a", "b"), [0.5, -2.0]) for _ in rows]
    config = WeightedMeanConfig(sources=("a", "b"), weights=weights)
    if not all(sum(column) > 0 for column in zip(*weights, strict=True)):
        with pytest.raises(ValueError, match="each source needs a member"):
            WeightedMean(config, members)
        return
    mix = torch.randn(1, 2, frames)
    torch.testing.assert_close(WeightedMean(config, members)(mix), members[0](mix))


def test_members_must_agree() -> None:
    config = WeightedMeanConfig(sources=("a",), weights=((1.0,), (1.0,)))
    other = Gain(("a",), [1.0])
    other.segment = 99
    with pytest.raises(ValueError, match="differ in segment"):
        WeightedMean(config, [Gain(("a",), [1.0]), other])
    with pytest.raises(ValueError, match="a row per member"):
        WeightedMean(config, [Gain(("a",), [1.0])])


def test_the_tiny_ensemble_gives_what_its_table_says() -> None:
    mix = torch.randn(1, 2, 4000)
    with torch.inference_mode():
        first = loading.load("tiny.htdemucs")(mix)
        second = loading.load("tiny.htdemucs_b")(mix)
        ensemble = loading.load("tiny.htdemucs_ft")
        given = ensemble(mix)
    assert ensemble.standardised
    assert torch.equal(given[:, 0], first[:, 0])
    assert torch.equal(given[:, 1], second[:, 1])
    torch.testing.assert_close(given[:, 2], (first[:, 2] + second[:, 2]) / 2)
    torch.testing.assert_close(given[:, 3], (3 * first[:, 3] + second[:, 3]) / 4)


def test_of_an_ensemble_only_what_the_stems_need_is_loaded() -> None:
    ensemble = loading.load("tiny.htdemucs_ft", stems=["drums"])
    assert isinstance(ensemble, WeightedMean)
    assert len(ensemble.members) == 1
    assert ensemble.sources == ("drums",)
    mix = torch.randn(1, 2, 4000)
    with torch.inference_mode():
        assert torch.equal(ensemble(mix)[:, 0], loading.load("tiny.htdemucs")(mix)[:, 0])
    assert loading.load("tiny.htdemucs_ft", stems=["vocals"]).sources == STEMS


def test_the_registry_may_set_overlap_and_window(own_registry: OwnRegistry) -> None:
    assert (loading.load("tiny.htdemucs").overlap, loading.load("tiny.htdemucs").window) == (
        0.25,
        "triangle",
    )
    own_registry.write(table("mine", [], 'overlap = 0.5\nwindow = "fade"\nseed = 1'))
    network = loading.load("mine")
    assert (network.overlap, network.window) == (0.5, "fade")


def write_ensemble(own_registry: OwnRegistry, one: str, two: str, both: str = "") -> None:
    members = table("one", [], f"seed = 1\n{one}") + table("two", [], f"seed = 2\n{two}")
    own_registry.write(members + ensemble("both", ["one", "two"], [[1.0] * 4] * 2, both))


FADE = 'overlap = 0.5\nwindow = "fade"\n'


def test_an_ensemble_of_the_registry_has_the_overlap_and_the_window_of_its_members(
    own_registry: OwnRegistry,
) -> None:
    write_ensemble(own_registry, FADE, FADE)
    network = loading.load("both")
    assert (network.overlap, network.window) == (0.5, "fade")
    assert loading.conventions(registry.resolve("both")) == (0.5, "fade")
    assert Engine(network, device="cpu").hop == network.segment // 2
    faded = loading.fingerprint("both")
    write_ensemble(own_registry, "", "")
    assert loading.fingerprint("both") != faded


@pytest.mark.parametrize(
    ("two", "differs"), [('overlap = 0.5\nwindow = "triangle"\n', "window"), ("", "overlap")]
)
def test_members_with_another_overlap_or_window_are_refused_unless_the_ensemble_sets_it(
    own_registry: OwnRegistry, two: str, differs: str
) -> None:
    write_ensemble(own_registry, FADE, two)
    message = f"both: the members of an ensemble differ in {differs}"
    with pytest.raises(CheckpointError, match=message) as caught:
        loading.load("both")
    assert caught.value.hint == "overlap and window can be set for the ensemble as a whole"
    write_ensemble(own_registry, FADE, two, 'overlap = 0.75\nwindow = "triangle"\n')
    network = loading.load("both")
    assert (network.overlap, network.window) == (0.75, "triangle")
    assert loading.conventions(registry.resolve("both")) == (0.75, "triangle")


def test_an_overlap_in_the_weights_counts_where_the_registry_names_none(
    tmp_path: Path, own_registry: OwnRegistry
) -> None:
    network = loading.load("tiny.htdemucs")
    path = tmp_path / "own.safetensors"
    state = dict(network.state_dict())
    weights.save(Weights("htdemucs:HTDemucs", network.config, state, "a test", 0.75), path)
    facts = [f'address = "{path.as_uri()}", sha256 = "{digest_of(path)}"']
    own_registry.write(table("theirs", facts) + table("mine", facts, "overlap = 0.5"))
    assert loading.conventions(registry.resolve("theirs")) == (0.25, "triangle")  # not here yet
    for name, overlap in [("theirs", 0.75), ("mine", 0.5)]:
        for _ in loading.prepare(name):
            pass
        assert loading.load(name).overlap == overlap
        assert loading.conventions(registry.resolve(name)) == (overlap, "triangle")


@pytest.mark.weights
def test_published_weights_are_loaded() -> None:
    for event in loading.prepare("htdemucs"):
        assert event
    cache.verify(registry.resolve("htdemucs"))
    network = loading.load("htdemucs", stems=["vocals"])
    assert network.sources == STEMS
    assert sum(parameter.numel() for parameter in network.parameters()) == 41_984_456


def test_the_fingerprint_distinguishes_networks() -> None:
    prints = {
        name: loading.fingerprint(name) for name in ("tiny.htdemucs", "tiny.hdemucs", "hpss", "ica")
    }
    assert len(set(prints.values())) == len(prints)
    assert loading.fingerprint("tiny.htdemucs") == prints["tiny.htdemucs"]
    with pytest.raises(CheckpointError, match="not in the cache"):
        loading.fingerprint("htdemucs")


def test_a_checkpoint_file_is_hashed_once_as_long_as_it_stays_as_it_is(
    tmp_path: Path, hashed: list[Path]
) -> None:
    path = tmp_path / "mine.safetensors"
    network = loading.load("tiny.htdemucs")

    def write(scale: float) -> str:
        state = {name: tensor * scale for name, tensor in network.state_dict().items()}
        weights.save(Weights("htdemucs:HTDemucs", network.config, state, "a test"), path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    digest = write(1.0)
    stems = loading.stems_of(str(path))
    assert [loading.fingerprint(str(path), stems=[stem]) for stem in stems] == [digest] * 4
    assert hashed == [path]
    facts = path.stat()
    changed = write(2.0)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # neither age nor size shows it
    assert path.stat().st_size == facts.st_size
    assert loading.fingerprint(str(path)) == changed != digest
    assert hashed == [path, path]
