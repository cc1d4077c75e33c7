"""``stemsplit models show``: what a person learns of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import run
from registered import ADDRESS, MEAN_SCORE, SCORES, OwnRegistry, table

TERMS = """
licence_source = "https://example.org/licence"
commercial = "no"
licence_note = "mine: not for sale"
overlap = 0.6
window = "fade"
"""


@pytest.fixture
def mine(own_registry: OwnRegistry) -> None:
    """Register a model ``mine`` with all possible facts."""
    own_registry.write(table("mine", [ADDRESS], TERMS + SCORES))


def show(name: str) -> dict[str, list[str]]:
    """Return the facts that ``models show`` prints about a model, by their names."""
    facts: dict[str, list[str]] = {}
    for line in run("models", "show", name, cwd=Path()).lines:
        fact, _, value = line.partition(":")
        facts.setdefault(fact, []).append(value.strip())
    return facts


def test_show_lists_execution_terms_and_sources_of_scores(mine: None) -> None:
    assert show("mine") == {
        "name": ["mine"],
        "description": ["d"],
        "stems": ["drums, bass, other, vocals"],
        "sample rate": ["44100 Hz"],
        "channels": ["2"],
        "segment": ["1.00 s"],
        "overlap": ["60% of a segment"],
        "window": ["fade"],
        "group": ["Hybrid"],
        "architecture": ["htdemucs:HTDemucs"],
        "licence": ["MIT"],
        "stated in": ["https://example.org/licence"],
        "commercial use": ["no"],
        "note": ["mine: not for sale"],
        "training data": ["none"],
        "score": ["drums 6.5 dB, bass 5 dB (cSDR, MUSDB18 test; a paper)"],
        "source": ["https://example.org/w (unverified)"],
        "size": ["12 MB"],
        "here": ["no, unverified"],
    }


@pytest.mark.parametrize(
    ("name", "overlap", "window"),
    [
        ("htdemucs_ft", "25% of a segment", "triangle"),
        ("tiny.wave_unet", "30% of a segment", "triangle"),
        ("mdx23c.musdb", "75% of a segment", "fade"),
    ],
)
def test_show_knows_what_the_registry_leaves_to_the_architecture(
    name: str, overlap: str, window: str
) -> None:
    facts = show(name)
    assert (facts["overlap"], facts["window"]) == ([overlap], [window])
    [record] = run("models", "show", name, "--json", cwd=Path()).records
    assert f"{record['overlap']:.0%} of a segment" == overlap
    assert record["window"] == window


def test_a_mean_that_is_all_there_is_is_shown(own_registry: OwnRegistry) -> None:
    own_registry.write(table("mine", [ADDRESS], MEAN_SCORE))
    assert show("mine")["score"] == ["mean 5.5 dB (cSDR, MUSDB18 test; a paper)"]


def test_json_has_the_terms(mine: None) -> None:
    record = json.loads(run("models", "show", "mine", "--json", cwd=Path()).stdout)
    assert record["licence_source"] == "https://example.org/licence"
    assert (record["licence"], record["commercial"]) == ("MIT", "no")
    assert record["scores"][0]["mean"] is None


def test_show_says_how_far_a_model_looks_and_what_it_computes() -> None:
    facts = show("hpss")
    assert (facts["receptive field"], facts["look-ahead"]) == (["0.56 s"], ["0.28 s"])
    assert "operations" not in facts
    facts = show("htdemucs")
    assert facts["receptive field"] == facts["look-ahead"] == ["the whole segment (7.80 s)"]
    assert facts["operations"] == ["28.6 billion multiply-adds per second of audio"]
    [record] = run("models", "show", "spleeter_2stems", "--json", cwd=Path()).records
    assert record["look_ahead"] == round(265_216 / 44_100, 4)
    assert record["receptive_field"] == round(520_192 / 44_100, 4)  # no more than its segment
    assert record["operations"] == 1_100_000_000
