"""The official files of Conv-TasNet, written here in their layout, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.registry import resolve
from stemsplit.checkpoints.weights import assemble
from stemsplit.errors import CheckpointError
from stemsplit.models import build
from stemsplit.models.base import SeparationModel

MUSIC, SPEECH = "conv_tasnet:ConvTasNet", "conv_tasnet:SpeechConvTasNet"
SIZES: dict[str, Any] = {"filters": 12, "bottleneck": 8, "hidden": 10, "kernel": 5, "repeats": 2}
CASES = {
    "demucs.v2.tasnet": (MUSIC, SIZES | {"blocks": 3, "filter_length": 6}),
    "torchaudio.conv_tasnet": (SPEECH, SIZES | {"skip": 7, "mask": "relu", "filter_length": 8}),
}


def network(format: str) -> SeparationModel:
    torch.manual_seed(0)
    return build(*CASES[format]).eval()


def write(state: object, path: Path, *, old: bool = False) -> Path:
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("format", CASES)
def test_a_file_gives_the_network_it_was_written_from(
    format: str, old: bool, tmp_path: Path
) -> None:
    original = network(format)
    path = write(original.state_dict(), tmp_path / "official.th", old=old)
    assert sniff(path) == format
    weights = convert(format, [path])
    assert weights.architecture == CASES[format][0]
    copy = assemble(weights, path)
    assert copy.config == original.config
    mix = torch.randn(1, copy.channels, 500, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(copy(mix), original(mix))


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("conv_tasnet", MUSIC),
        ("conv_tasnet_extra", MUSIC),
        ("conv_tasnet_libri2mix", SPEECH),
    ],
)
def test_what_the_registry_lists_is_what_a_full_size_file_holds(
    name: str, architecture: str, tmp_path: Path
) -> None:
    entry = resolve(name)
    assert entry.architecture == architecture
    listed = build(architecture, entry.config)
    (source,) = entry.sources
    path = write(listed.state_dict(), tmp_path / "official.pt")
    assert assemble(convert(source.format, [path]), path).config == listed.config
    assert (listed.sources, listed.sample_rate, listed.channels, listed.segment) == (
        entry.stems,
        entry.sample_rate,
        entry.channels,
        entry.segment,
    )


@pytest.mark.parametrize("format", CASES)
@pytest.mark.parametrize("content", [["a list"], {"weight": 1}, {"weight": torch.zeros(2)}])
def test_other_files_are_refused(format: str, content: object, tmp_path: Path) -> None:
    path = write(content, tmp_path / "other.th")
    with pytest.raises(CheckpointError, match="not the weights of"):
        convert(format, [path])


@pytest.mark.parametrize("format", CASES)
def test_a_missing_tensor_is_named(format: str, tmp_path: Path) -> None:
    state = network(format).state_dict()
    missing = next(name for name in reversed(state) if name.endswith("1.weight"))
    del state[missing]
    with pytest.raises(CheckpointError, match=missing.replace(".", r"\.")):
        convert(format, [write(state, tmp_path / "partial.th")])


def test_stems_without_names_are_refused(tmp_path: Path) -> None:
    state = build(MUSIC, SIZES | {"sources": ["a", "b"]}).state_dict()
    with pytest.raises(CheckpointError, match="gives 2 stems, whose names are unknown"):
        convert("demucs.v2.tasnet", [write(state, tmp_path / "two.th")])


def test_blocks_that_are_no_repeats_are_refused(tmp_path: Path) -> None:
    state = build(SPEECH, SIZES | {"blocks": 7}).state_dict()
    with pytest.raises(CheckpointError, match="has 14 blocks, not repeats of 8"):
        convert("torchaudio.conv_tasnet", [write(state, tmp_path / "fourteen.pt")])
