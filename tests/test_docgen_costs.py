"""``costs.toml``: what the file says of networks, against the networks themselves."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from command import TINY
from registered import OwnRegistry, table

from stemsplit.checkpoints.costs import cost_of
from stemsplit.checkpoints.entries import Model
from stemsplit.checkpoints.registry import list_models, resolve
from stemsplit.docgen import ROOT
from stemsplit.docgen.costs import COSTS, measure

NETWORKS = {model.name: model for model in list_models() if model.architecture}
WRITTEN = tomllib.loads((ROOT / COSTS).read_text())
#: One of each architecture whose published network is counted in a moment.
COUNTED = ("htdemucs", "spleeter_2stems", "demucs_v1", "conv_tasnet_libri2mix", "scnet", "hpss")


def test_every_network_is_in_the_file_and_no_other() -> None:
    hint = "python -m stemsplit.docgen costs"
    assert list(WRITTEN) == list(NETWORKS), hint


@pytest.mark.parametrize("name", [*COUNTED, *(n for n in NETWORKS if n.startswith("tiny."))])
def test_the_file_says_what_the_network_shows(name: str) -> None:
    assert WRITTEN[name] == measure(NETWORKS[name])


def test_a_count_by_hand() -> None:
    """TasNet: linear layers and one pair of LSTM layers for each frame of 40 samples."""
    model = resolve("tiny.tasnet")
    basis, hidden, frame, stems = 64, 32, 40, 2
    lstm = 2 * 4 * hidden * (basis + hidden) + 2 * 4 * hidden * (2 * hidden + hidden)
    lstms = lstm + 2 * 4 * hidden * (2 * hidden + hidden) * 2
    linear = 2 * frame * basis + 2 * hidden * stems * basis + stems * basis * frame
    frames = model.segment / frame
    seconds = 0.75 * model.segment / model.sample_rate  # segments overlap by a quarter
    assert WRITTEN["tiny.tasnet"]["operations"] == pytest.approx(
        (lstms + linear) * frames / seconds, rel=0.005
    )


def test_an_ensemble_costs_what_its_members_do() -> None:
    one, four = cost_of(resolve("htdemucs")), cost_of(resolve("htdemucs_ft"))
    assert one is not None and four is not None
    assert one.operations is not None and four.operations == 4 * one.operations
    assert (four.back, four.ahead) == (one.back, one.ahead) == (343_980, 343_980)


def test_a_custom_model_has_no_known_cost(tmp_path: Path) -> None:
    own = Model(
        name="mine",
        description="d",
        stems=("vocals",),
        sample_rate=44_100,
        channels=2,
        segment=44_100,
        licence="MIT",
        training_data="none",
        architecture="htdemucs:HTDemucs",
    )
    assert cost_of(own) is None


def test_an_ensemble_with_an_unknown_member_has_no_known_cost(own_registry: OwnRegistry) -> None:
    member = table("mine", ['address = "https://example.org/w"'])
    ensemble = table("both", []).replace("architecture", "#").replace("config", "#")
    ensemble += f'members = ["{TINY}", "mine"]\nweights = {[[1.0] * 4] * 2}\n'
    own_registry.write(member + ensemble)
    assert cost_of(resolve(TINY)) is not None
    assert cost_of(resolve("both")) is None
