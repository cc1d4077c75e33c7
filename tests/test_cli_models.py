"""``stemsplit models list`` and ``models show``: what a person is told of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import run
from registered import OwnRegistry, table

SCORES = """
licence_source = "https://example.org/licence"
commercial = "no"
licence_note = "mine: not for sale"
overlap = 0.6
window = "fade"

[[models.mine.scores]]
metric = "cSDR"
dataset = "MUSDB18 test"
source = "a paper"
values = { drums = 6.5, bass = 5.0 }
"""
ADDRESS = 'address = "https://example.org/w", size = 12_300_000'


@pytest.fixture
def mine(own_registry: OwnRegistry) -> None:
    """Enter a model ``mine`` with all there is to tell of one."""
    own_registry.write(table("mine", [ADDRESS], SCORES))


def show(name: str) -> dict[str, list[str]]:
    """Return the facts that ``models show`` tells of a model, by what they are called."""
    facts: dict[str, list[str]] = {}
    for line in run("models", "show", name, cwd=Path()).lines:
        fact, _, value = line.partition(":")
        facts.setdefault(fact, []).append(value.strip())
    return facts


def test_show_tells_how_it_runs_its_terms_and_who_measured_what(mine: None) -> None:
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
    own_registry.write(table("mine", [ADDRESS], SCORES.partition("values")[0] + "mean = 5.5\n"))
    assert show("mine")["score"] == ["mean 5.5 dB (cSDR, MUSDB18 test; a paper)"]
    line = next(line for line in run("models", "list", cwd=Path()).lines if "  mine " in line)
    assert "5.50 cSDR  " in line


def test_json_has_the_terms(mine: None) -> None:
    record = json.loads(run("models", "show", "mine", "--json", cwd=Path()).stdout)
    assert record["licence_source"] == "https://example.org/licence"
    assert (record["licence"], record["commercial"]) == ("MIT", "no")
    assert record["scores"][0]["mean"] is None


def test_list_has_groups_and_what_a_choice_needs(mine: None) -> None:
    lines = run("models", "list", cwd=Path()).lines
    assert lines[0].split() == ["NAME", "STEMS", "SDR", "MB", "HERE", "COMMERCIAL", "LICENCE"]
    headings = [line for line in lines[1:] if line and not line.startswith(" ")]
    assert headings[:2] == ["Spectrogram masks", "Waveforms"]
    [line] = [line for line in lines if line.startswith("  mine ")]
    assert lines.index("Hybrid") < lines.index(line) < lines.index("No weights")
    terms = ["no, unverified", "no", "MIT"]
    cells = ["drums,bass,other,vocals", "5.75 cSDR of 2 stems", "12", *terms]
    assert [cell.strip() for cell in line.split("  ") if cell.strip()] == ["mine", *cells]
