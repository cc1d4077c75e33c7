"""`stemsplit evaluate A B --references R`: several sets of stems side by side."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import TINY, files_below, run

RATE = 8_000  # Hz
#: How much noise a set has, relative to the stem: the global SDR is −20·log10 of it, in dB.
NOISE = {"a": {"vocals": 0.1, "bass": 0.01}, "b": {"vocals": 0.2, "bass": 0.002}}


def stem(seed: int) -> np.ndarray:
    """Return two seconds of stereo noise ``(C, T)``."""
    return 0.1 * np.random.default_rng(seed).standard_normal((2, 2 * RATE))


def write(folder: Path, stems: Mapping[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, samples in stems.items():
        soundfile.write(folder / f"{name}.wav", samples.T, RATE, subtype="FLOAT")
    return folder


def true_stems() -> dict[str, np.ndarray]:
    return {"vocals": stem(1), "bass": stem(2)}


def estimates(noise: Mapping[str, float]) -> dict[str, np.ndarray]:
    truth = true_stems()
    return {name: truth[name] + level * stem(9) for name, level in noise.items()}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the sets ``a`` and ``b`` of one song, and its true stems in ``true``."""
    for name, noise in NOISE.items():
        write(tmp_path / name, estimates(noise))
    write(tmp_path / "true", true_stems())
    return tmp_path


def several(here: Path) -> Path:
    """Make three songs of the sets: in ``two`` and ``three`` they have changed places."""
    for song, order in {"one": "ab", "two": "ba", "three": "ba"}.items():
        for source, target in zip(order, "ab", strict=True):
            shutil.copytree(here / source, here / "sets" / target / song)
        shutil.copytree(here / "true", here / "songs" / song)
    return here / "sets"


SETS = ("evaluate", "a", "b", "--references", "true")
MANY = ("evaluate", "sets/a", "sets/b", "--references", "songs")


def rows(lines: list[str], metric: str) -> dict[str, list[str]]:
    """Return the cells of each row of the table of a ``metric``, by stem."""
    start = next(n for n, line in enumerate(lines) if line.startswith(f"{metric} "))
    body = lines[start + 1 : lines.index("", start)]
    return {line.split()[0]: line.split()[1:] for line in body}


def test_each_metric_has_a_table_with_the_best_and_the_difference(here: Path) -> None:
    result = run(*SETS, cwd=here)
    assert result.code == 0
    assert result.lines[:3] == ["true, 2 sets of stems", "A: a", "B: b"]
    assert max(map(len, result.lines)) <= 80 and result.stdout.isascii()
    found = rows(result.lines, "global SDR")
    assert list(found) == ["vocals", "bass", "average"]
    a, b, difference = found["vocals"]
    assert a.endswith("*") and not b.endswith("*")
    assert float(a.rstrip("*")) == pytest.approx(20, abs=0.1)
    assert float(difference) == pytest.approx(-6.02, abs=0.01)
    a, b, difference = found["bass"]
    assert b.endswith("*") and difference.startswith("+")
    assert float(difference) == pytest.approx(13.98, abs=0.01)
    assert "scoring [1/2] a/true\n" in result.stderr


def test_over_songs_wins_are_counted_and_differences_are_medians(here: Path) -> None:
    several(here)
    result = run(*MANY, cwd=here)
    assert result.code == 0
    found = rows(result.lines, "global SDR")
    *_, difference, wins = found["vocals"]
    assert wins == "2:1"  # b has the smaller noise in two of three songs
    assert float(difference) == pytest.approx(6.02, abs=0.01)
    assert found["bass"][-1] == "1:2"
    assert found["average"][-1] == "3:3"


def test_records_and_csv_have_each_song_stem_and_set(here: Path) -> None:
    several(here)
    result = run(*MANY, "--json", "--csv", "scores.csv", "--museval", "m", cwd=here)
    *songs, last = result.records
    assert [(each["song"], each["set"]) for each in songs] == [
        (song, name) for song in ("one", "three", "two") for name in "ab"
    ]
    assert {each["null_residual"] for each in songs} == {None}
    assert (last["schema"], last["sets"], last["songs"]) == (1, ["a", "b"], ["one", "three", "two"])
    [vocals] = [
        row
        for row in last["comparison"]
        if (row["stem"], row["metric"]) == ("vocals", "global_sdr")
    ]
    assert vocals["best"] == ["b"]
    [difference] = vocals["differences"]
    assert (difference["set"], difference["minus"]) == ("b", "a")
    assert (difference["wins"], difference["losses"]) == (2, 1)
    [distance] = [
        row for row in last["comparison"] if (row["stem"], row["metric"]) == ("vocals", "l1")
    ]
    assert distance["best"] == ["b"]  # the smaller one
    assert distance["differences"][0]["wins"] == 2

    with (here / "scores.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["song"], line["stem"], line["set"]) for line in lines] == [
        (song, name, of)
        for song in ("one", "three", "two")
        for of in "ab"
        for name in ("vocals", "bass")
    ]
    values = {(each["song"], each["set"]): each["scores"][0]["global_sdr"] for each in songs}
    assert float(lines[0]["global_sdr"]) == values["one", "a"]
    stored = json.loads((here / "m/b/two.json").read_text())
    assert [target["name"] for target in stored["targets"]] == ["vocals", "bass"]
    refused = run(*MANY, "--museval", "m", cwd=here)
    assert refused.code == 3 and "m/a/one.json: already exists" in refused.stderr


def test_markdown_has_a_row_for_each_set(here: Path) -> None:
    head, rule, first, second = run(*SETS, "--markdown", cwd=here).lines
    assert head.startswith("| model | songs | vocals SDR |") and set(rule) <= set("|-: ")
    assert first.startswith("| a | 1 | ") and second.startswith("| b | 1 | ")


def test_what_is_not_in_all_sets_is_listed_and_left_out(here: Path) -> None:
    several(here)
    shutil.rmtree(here / "sets/b/two")
    shutil.copytree(here / "sets/a/one", here / "sets/a/four")
    shutil.copytree(here / "songs/one", here / "songs/five")
    (here / "sets/b/one/bass.wav").unlink()
    result = run(*MANY, "--json", cwd=here)
    assert result.code == 0
    *_, last = result.records
    assert last["songs"] == ["one", "three"]
    assert "b: no stems for 1 song, left out: two" in result.stderr
    assert "a: no references for 1 song, left out: four" in result.stderr
    assert "no estimates for 1 song, left out: five" in result.stderr
    assert "one: a: bass: left out, not in b" in result.stderr
    stems = {
        (each["song"], each["set"]): [stem["name"] for stem in each["scores"]]
        for each in result.records[:-1]
    }
    assert stems["one", "a"] == stems["one", "b"] == ["vocals"]
    assert stems["three", "a"] == ["vocals", "bass"]


def test_names_of_everything_but_the_vocals_are_one_stem(here: Path) -> None:
    (here / "a/bass.wav").rename(here / "a/no_vocals.wav")
    (here / "b/bass.wav").rename(here / "b/accompaniment.wav")
    result = run(*SETS, "--json", cwd=here)
    for record in result.records[:-1]:
        assert [stem["name"] for stem in record["scores"]] == ["vocals", "no_vocals"]


def test_the_mixture_of_one_set_is_that_of_all(here: Path) -> None:
    mixture = {"mixture": sum(true_stems().values()) + stem(3)}
    write(here / "a", mixture)
    *found, _ = run(*SETS, "--json", cwd=here).records
    write(here / "b", mixture)
    *of_both, _ = run(*SETS, "--json", cwd=here).records
    assert [each["scores"] for each in found] == [each["scores"] for each in of_both]
    # Stems may have been left out.
    assert [each["null_residual"] for each in found] == [None, None]


def test_other_is_not_compared_where_it_is_another_sum(here: Path) -> None:
    write(here / "true", {"other": stem(3)})
    write(here / "a", {"other": stem(3)})
    write(here / "b", {"other": stem(2) + stem(3)})
    (here / "b/bass.wav").unlink()
    result = run(*SETS, "--json", cwd=here)
    assert [stem["name"] for stem in result.records[0]["scores"]] == ["vocals"]
    assert "true: other: left out, its true stems differ" in result.stderr


def test_a_song_that_fails_costs_only_itself(here: Path) -> None:
    several(here)
    (here / "sets/b/two/vocals.wav").write_text("no audio")
    (here / "sets/b/three/vocals.wav").unlink()
    (here / "sets/a/three/bass.wav").unlink()
    result = run(*MANY, "--json", cwd=here)
    assert result.code == 6
    failures = {each["song"]: each["error"] for each in result.records if "error" in each}
    assert set(failures) == {"two", "three"}
    assert "not an audio file" in failures["two"]
    assert "no stem is in all sets" in failures["three"]
    assert "hint: stems with a reference: a: vocals; b: bass" in result.stderr
    assert result.records[-1]["songs"] == ["one"]


def test_sets_are_named_after_their_models_or_distinguishing_folders(here: Path) -> None:
    several(here)
    same = run("evaluate", "sets/a/one", "sets/b/one", "--references", "true", "--json", cwd=here)
    assert same.records[-1]["sets"] == ["a", "b"]
    soundfile.write(here / "song.wav", sum(true_stems().values()).T, RATE)
    for model, out in ((TINY, "first"), ("tiny.spleeter", "second")):
        assert run("song.wav", "-n", model, "-o", out, cwd=here).code == 0
    sets = ("first/song", "second/song", "--references", "true")
    made = run("evaluate", *sets, "--json", cwd=here)
    assert made.records[-1]["sets"] == [TINY, "tiny.spleeter"]


def test_one_set_with_references_is_scored_as_without_the_option(here: Path) -> None:
    plain = run("evaluate", "a", "true", cwd=here)
    named = run("evaluate", "a", "--references", "true", cwd=here)
    assert (named.code, named.stdout) == (0, plain.stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a", "b", "true"], 2, "specify it with --references PATH"),
        (["a", "a", "--references", "true"], 2, "a is given 2 times"),
        (["--references", "true"], 2, "nothing to evaluate"),
        (["--dataset", "true", "--references", "true"], 2, "omit --references"),
        (["a", "nowhere", "--references", "true"], 3, "nowhere: no such file or folder"),
        (["a", "b", "--references", "empty"], 3, "empty: this folder contains no stems"),
        (["a", "strange", "--references", "true"], 3, "has none of the stems kazoo"),
        (["sets/a", "sets/b", "--references", "songs", "--mixture", "m"], 2, "for a single song"),
        (["only/a", "only/b", "--references", "songs"], 3, "no song is in all sets of stems"),
    ],
)
def test_what_cannot_be_compared(here: Path, arguments: list[str], code: int, words: str) -> None:
    several(here)
    (here / "empty").mkdir()
    write(here / "strange", {"kazoo": stem(0)})
    for name, songs in {"a": ("one", "two"), "b": ("three", "x")}.items():
        for song in songs:
            shutil.copytree(here / "sets/a/one", here / "only" / name / song)
    before = files_below(here)
    result = run("evaluate", *arguments, cwd=here)
    assert words in result.stderr
    assert (result.code, result.stdout) == (code, "")
    assert files_below(here) == before


def test_the_page_is_written_and_not_overwritten(here: Path) -> None:
    result = run(*SETS, "--html", "page.html", cwd=here)
    assert result.code == 0
    page = (here / "page.html").read_text()
    assert "<title>a, b – stemsplit</title>" in page
    assert page.count('class="sound"') == 2 * 3  # two stems in two sets, and their references
    refused = run(*SETS, "--html", "page.html", cwd=here)
    assert (refused.code, refused.stdout) == (3, "")


@pytest.mark.parametrize("manifest", [".stemsplit.json", "song/.stemsplit.json", None])
def test_separated_stems_in_place_of_the_true_ones_are_warned_of(
    here: Path, manifest: str | None
) -> None:
    """``evaluate A B`` scores A against B; who has split a song twice means to compare."""
    if manifest is not None:
        (here / "b" / manifest).parent.mkdir(parents=True, exist_ok=True)
        (here / "b" / manifest).write_text("{}")
    result = run("evaluate", "a", "b", cwd=here)
    warned = "warning: b is taken as the true stems, but stemsplit made it" in result.stderr
    assert warned == (manifest is not None)
