"""``stemsplit models list``: a table of 80 columns to choose from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from command import run
from registered import ADDRESS, MEAN_SCORE, SCORES, OwnRegistry, table

TERMS = 'commercial = "no"'


@pytest.fixture
def mine(own_registry: OwnRegistry) -> None:
    """Enter a model ``mine`` that has scores for two of its stems."""
    own_registry.write(table("mine", [ADDRESS], TERMS + SCORES))


def cells(name: str, *options: str) -> dict[str, str]:
    """Return the cells of the line of ``models list`` for ``name``, by their column."""
    lines = run("models", "list", *options, cwd=Path()).lines
    [index] = [i for i, line in enumerate(lines) if line[2:].split(" ")[0] == name]
    line = lines[index] if lines[index][2:].strip() != name else lines[index + 1]
    head = lines[0]
    found: dict[str, str] = {}
    for title in head.split()[1:]:
        start = head.index(f" {title}") + 1
        left = title in ("STEMS", "SELL", "LICENCE")
        text = (
            line[start:].split("  ")[0] if left else line[: start + len(title)].rsplit(" ", 1)[-1]
        )
        if text.strip():
            found[title] = text.strip()
    return found


def names(*options: str) -> list[str]:
    """Return the names of the models that ``models list --json`` writes with ``options``."""
    return [
        model["name"] for model in run("models", "list", "--json", *options, cwd=Path()).records
    ]


def test_a_mean_that_is_all_there_is_counts_for_all_stems_alone(own_registry: OwnRegistry) -> None:
    own_registry.write(table("mine", [ADDRESS], TERMS + MEAN_SCORE))
    assert cells("mine") == {"STEMS": "4 stems", "cSDR": "5.50", "MB": "12", "SELL": "no"}
    assert "cSDR" not in cells("mine", "--stem", "bass")


def test_list_has_groups_and_what_a_choice_needs(mine: None) -> None:
    lines = run("models", "list", cwd=Path()).lines
    assert lines[0].split() == ["NAME", "STEMS", "uSDR", "cSDR", "SDR", "WORK", "MB", "SELL"]
    headings = [line for line in lines[1:] if line and line[0] not in " *"]
    assert headings[:2] == ["Spectrogram masks", "Waveforms"]
    [line] = [line for line in lines if line.startswith("  mine ")]
    assert lines.index("Hybrid") < lines.index(line) < lines.index("No weights")
    # Two of its four stems have a score.
    assert cells("mine") == {"STEMS": "4 stems", "cSDR": "5.75", "MB": "12", "SELL": "no"}
    assert "5.75~" in line
    assert cells("mine", "--stem", "bass")["cSDR"] == "5.00"


def test_each_metric_has_its_own_column() -> None:
    assert cells("htdemucs") == {
        **{"STEMS": "4 stems", "uSDR": "9.16", "WORK": "1", "MB": "84", "SELL": "no"}
    }
    both = cells("htdemucs_ft")
    assert (both["cSDR"], both["SDR"], both["WORK"]) == ("9.00", "9.33", "4")
    assert "uSDR" not in both


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_no_line_is_longer_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for options in ((), ("--all",), ("--sort", "sdr"), ("--stem", "vocals", "--sort", "size")):
        result = run("models", "list", *options, cwd=Path())
        assert max(map(len, result.lines)) <= max(columns, 60)
        assert max(map(len, result.stderr.splitlines())) <= min(columns, 80)
        assert ("LICENCE" in result.lines[0]) == (columns == 200)


def test_a_pipe_has_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert max(map(len, run("models", "list", "--all", cwd=Path()).lines)) <= 80


def test_models_for_testing_and_members_are_hidden() -> None:
    shown = run("models", "list", cwd=Path())
    everything = run("models", "list", "--all", cwd=Path())
    for name in ("tiny.htdemucs", "htdemucs_ft.drums", "mdx.0d19c1c6"):
        assert f" {name}" not in shown.stdout
        assert f" {name}" in everything.stdout
    assert "--all also shows members" in shown.stderr
    assert "--all also shows" not in everything.stderr


def test_json_alone_writes_all_models_as_it_always_did() -> None:
    assert names() == names("--all")
    assert "tiny.htdemucs" in names()
    assert "tiny.htdemucs" not in names("--stem", "drums")
    assert "tiny.htdemucs" in names("--stem", "drums", "--all")
    [record] = run("models", "show", "htdemucs_ft.drums", "--json", cwd=Path()).records
    assert record["hidden"] is True


def test_the_best_vocals_that_may_be_sold() -> None:
    options = ("--stem", "vocals", "--commercial", "--sort", "sdr")
    assert names(*options)[:3] == ["mel_band_roformer.kim", "scnet.large", "scnet"]
    lines = run("models", "list", *options, cwd=Path()).lines
    headings = [line for line in lines[1:] if line and line[0] not in " *"]
    assert headings[:2] == ["uSDR on MVSep Multisong", "cSDR on MUSDB18 test"]
    assert headings[-1] == "No published score"
    assert lines[3].startswith("  mel_band_roformer.kim vocals       10.98 ")
    assert all(" yes" in line for line in lines[3:6])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--stem", "GUITAR,piano"), ["htdemucs_6s", "bs_roformer.sw"]),
        (
            ("--licence", "cc by-nc"),
            ["open_unmix.umxl", "mel_band_roformer.deux", "mel_band_roformer.dereverb_echo"],
        ),
        (("--architecture", "hpss"), ["hpss"]),
        (("--architecture", "htdemucs"), ["htdemucs", "htdemucs_ft", "htdemucs_6s"]),
        (("--stem", "percussive", "--sort", "sdr"), ["hpss", "nmf"]),
        (
            ("--stem", "guitar", "--sort", "speed"),
            ["htdemucs_6s", "mel_band_roformer.guitar", "bs_roformer.sw"],
        ),
    ],
)
def test_filters(options: tuple[str, ...], expected: list[str]) -> None:
    assert names(*options) == expected


def test_a_word_of_a_licence_is_a_whole_word(own_registry: OwnRegistry) -> None:
    own_registry.write(
        table("mine", [ADDRESS], TERMS + SCORES).replace('"MIT"', '"permitted to all"')
    )
    assert "mine" not in names("--licence", "mit")
    assert "mine" in names("--licence", "TO ALL")


def test_downloaded_models_are_those_in_the_cache(
    own_registry: OwnRegistry, tmp_path: Path, checkpoint: bytes
) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(checkpoint)
    digest = hashlib.sha256(checkpoint).hexdigest()
    own_registry.write(table("mine", [f'address = "{file.as_uri()}", sha256 = "{digest}"']))
    empty = run("models", "list", "--downloaded", cwd=Path())
    assert (empty.code, empty.stdout) == (0, "")
    assert "models pull NAME" in empty.stderr
    assert "  mine " in run("models", "list", cwd=Path()).stdout
    assert run("models", "pull", "mine", cwd=tmp_path).code == 0
    assert names("--downloaded") == ["mine"]
    assert "* mine " in run("models", "list", cwd=Path()).stdout


def test_the_smallest_and_the_fastest_are_first() -> None:
    fastest = run("models", "list", "--json", "--sort", "speed", cwd=Path()).records
    operations = [model["operations"] for model in fastest]
    known = [count for count in operations if count is not None]
    assert operations[: len(known)] == sorted(known)
    assert {model["name"] for model in fastest[len(known) :]} == {"hpss", "ica"}
    by_size = names("--sort", "size", "--stem", "drums")
    order = ("scnet", "htdemucs_6s", "htdemucs", "htdemucs_ft", "mdx", "spleeter_4stems")
    assert [name for name in by_size if name in order] == list(order)  # the last one's is unknown


def test_an_empty_causal_list_is_explained() -> None:
    result = run("models", "list", "--causal", cwd=Path())
    assert (result.code, result.stdout) == (0, "")
    assert "all look ahead more than 0.1 s" in result.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--stem", "vocal"), "no model has the stem 'vocal'\nhint: did you mean vocals?"),
        (("--stem", "Voice"), "no model has the stem 'Voice'\nhint: did you mean vocals?"),
        (("--architecture", "scnett"), "no model has the architecture 'scnett'"),
    ],
)
def test_unknown_names_are_errors(options: tuple[str, ...], error: str) -> None:
    result = run("models", "list", *options, cwd=Path())
    assert (result.code, result.stdout) == (2, "")
    assert error in result.stderr
