"""The official files of Conv-TasNet, written here in their layout, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from oracles import randomise, signal_to_difference, torchaudio_models

from stemsplit.checkpoints.convert import convert, sniff
from stemsplit.checkpoints.foreign import read_listed
from stemsplit.checkpoints.registry import resolve
from stemsplit.checkpoints.weights import assemble
from stemsplit.errors import CheckpointError, ExitCode, UsageError
from stemsplit.models import build
from stemsplit.models.base import SeparationModel

MUSIC, SPEECH = "conv_tasnet:ConvTasNet", "conv_tasnet:SpeechConvTasNet"
SIZES: dict[str, Any] = {"filters": 12, "bottleneck": 8, "hidden": 10, "kernel": 5, "repeats": 2}
CASES = {
    "demucs.v2.tasnet": (MUSIC, SIZES | {"blocks": 3, "filter_length": 6}),
    "torchaudio.conv_tasnet": (SPEECH, SIZES | {"skip": 7, "filter_length": 8, "blocks": 3}),
}
#: What the tensors of each leave open.
KNOWN: dict[str, dict[str, Any]] = {
    "demucs.v2.tasnet": {
        "sources": ["drums", "bass", "other", "vocals"],
        "sample_rate": 44_100,
        "mask": "relu",
        "norm_type": "gLN",
        "causal": False,
    },
    "torchaudio.conv_tasnet": {
        "sources": ["speaker1", "speaker2"],
        "sample_rate": 8_000,
        "mask": "sigmoid",
        "blocks": 3,
    },
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
    weights = convert(format, [path], config=KNOWN[format])
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
    assert assemble(read_listed(entry, source.format, [path]), path).config == listed.config
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
        convert(format, [write(state, tmp_path / "partial.th")], config=KNOWN[format])


@pytest.mark.parametrize("format", CASES)
def test_settings_that_tensors_do_not_show_are_required(format: str, tmp_path: Path) -> None:
    path = write(network(format).state_dict(), tmp_path / "net.th")
    with pytest.raises(CheckpointError, match="its tensors do not show sources, samp") as caught:
        convert(format, [path])
    assert caught.value.exit_code == ExitCode.CHECKPOINT
    assert caught.value.hint is not None
    assert f"stemsplit models convert {path} --set sources=SOURCES --set s" in caught.value.hint
    for name in KNOWN[format]:
        known = {other: value for other, value in KNOWN[format].items() if other != name}
        with pytest.raises(CheckpointError, match=f"its tensors do not show {name}$"):
            convert(format, [path], config=known)


@pytest.mark.parametrize(
    ("format", "change", "reason"),
    [
        ("demucs.v2.tasnet", {"norm_type": "cLN"}, "norm_type is 'cLN', which is not supported"),
        ("demucs.v2.tasnet", {"causal": True}, "causal is True, which is not supported"),
        ("demucs.v2.tasnet", {"mask": "softmax"}, "mask must be 'relu' or 'sigmoid', not 'soft"),
        ("demucs.v2.tasnet", {"sources": ["a", "b"]}, "produces 4 stems, not 2"),
        ("demucs.v2.tasnet", {"blocks": 2}, "blocks is 3 according to the file, not 2"),
        ("torchaudio.conv_tasnet", {"sources": ["a"]}, "produces 2 stems, not 1"),
        ("torchaudio.conv_tasnet", {"blocks": 4}, "has 6 blocks, not a multiple of 4"),
        ("torchaudio.conv_tasnet", {"blocks": 0}, "has 6 blocks, not a multiple of 0"),
        ("torchaudio.conv_tasnet", {"mask": "tanh"}, "mask must be 'relu' or 'sigmoid'"),
        ("torchaudio.conv_tasnet", {"kernel": 3}, "kernel is 5 according to the file, not 3"),
    ],
)
def test_what_contradicts_the_file_or_is_not_supported(
    format: str, change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = write(network(format).state_dict(), tmp_path / "net.th")
    with pytest.raises(CheckpointError, match=reason):
        convert(format, [path], config=KNOWN[format] | change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"tuba": 1}, "conv_tasnet:SpeechConvTasNet has no setting 'tuba'"),
        ({"blocks": "3"}, "blocks must be a whole number, not '3'"),
        ({"blocks": True}, "blocks must be a whole number, not True"),
        ({"sample_rate": 8000.5}, "sample_rate must be a whole number, not 8000.5"),
        ({"sources": "a"}, "sources must be a list, not 'a'"),
        ({"causal": 1}, "causal must be true or false, not 1"),
    ],
)
def test_settings_of_the_wrong_type(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    format = "torchaudio.conv_tasnet"
    path = write(network(format).state_dict(), tmp_path / "net.th")
    with pytest.raises(UsageError, match=reason):
        convert(format, [path], config=KNOWN[format] | change)


@pytest.mark.parametrize("mask", ["sigmoid", "relu"])
@pytest.mark.parametrize(("blocks", "repeats"), [(6, 4), (8, 3), (4, 6)])
def test_networks_with_the_same_shapes_are_distinguished(
    mask: str, blocks: int, repeats: int, tmp_path: Path
) -> None:
    """Six repeats of four blocks and three of eight have the same tensors; so have both masks."""
    theirs = torchaudio_models("conv_tasnet").ConvTasNet(
        num_sources=2,
        enc_num_feats=16,
        msk_num_feats=8,
        msk_num_hidden_feats=12,
        msk_num_layers=blocks,
        msk_num_stacks=repeats,
        msk_activate=mask,
    )
    randomise(theirs)
    path = write(theirs.state_dict(), tmp_path / "mine.pt")
    known = {"sources": ["a", "b"], "sample_rate": 16_000, "mask": mask, "blocks": blocks}
    weights = convert("torchaudio.conv_tasnet", [path], config=known)
    ours = assemble(weights, path)
    assert (ours.sources, ours.sample_rate) == (("a", "b"), 16_000)
    mix = torch.randn(1, 1, 4_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert signal_to_difference(theirs(mix)[:, :, None], ours(mix)) > 100
