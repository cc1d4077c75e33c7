"""`stemsplit evaluate`: stems against stems, as people have them on their disks."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import sys
from collections.abc import Generator
from pathlib import Path

import museval_package
import numpy as np
import pytest
import soundfile
from audio_files import store
from command import TINY, Result, files_below, run

from stemsplit.batch import stem_folders
from stemsplit.evaluation.bss_eval_options import BssEvalOptions
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds
from stemsplit.evaluation.steps import ScoringProgress

RATE = 44_100
STEMS = ("vocals", "bass")
SHARED = Path(__file__).parents[2] / "shared/stems/eval"


def write_stems(folder: Path, stems: dict[str, np.ndarray], rate: int = RATE) -> Path:
    """Write ``stems`` (C, T) as float32 WAV files into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem.T, rate, subtype="FLOAT")
    return folder


@pytest.fixture
def true(true_stems: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """Two stems of the short song, in a folder: BSS Eval of four takes five times as long."""
    return write_stems(tmp_path / "true", two_of(true_stems))


def two_of(stems: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: stems[name] for name in STEMS}


def scores(result: Result) -> dict[str, dict]:
    """Return what --json says of each stem of the only song."""
    assert result.code == 0, result.stderr
    [record] = result.records
    return {stem["name"]: stem for stem in record["scores"]}


def test_noise_of_a_known_level(
    true: Path, true_stems: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """Noise 20 dB below a stem gives 20 dB, for the stem that has it and for no other."""
    noisy = two_of(true_stems)
    noise = np.random.default_rng(0).standard_normal(true_stems["vocals"].shape)
    noise *= np.sqrt(np.sum(true_stems["vocals"] ** 2) / np.sum(noise**2)) / 10
    noisy["vocals"] = true_stems["vocals"] + noise.astype(np.float32)
    write_stems(tmp_path / "est", noisy)
    found = scores(run("evaluate", "est", "true", "--json", cwd=tmp_path))
    assert list(found) == list(STEMS)
    assert found["vocals"]["global_sdr"] == pytest.approx(20, abs=0.01)
    assert found["vocals"]["si_sdr"] == pytest.approx(20, abs=0.1)
    assert found["bass"]["global_sdr"] > 60
    assert len(found["vocals"]["frames"]["sdr"]) == 2


def test_the_table_is_data_and_remarks_are_not(true: Path, tmp_path: Path) -> None:
    shutil.copytree(true, tmp_path / "est")
    (tmp_path / "est" / "bass.wav").unlink()
    result = run("evaluate", "est", "true", cwd=tmp_path)
    assert result.code == 0
    rows = {line.split()[0] for line in result.lines if line.split()}
    assert "vocals" in rows and "bass" not in rows
    assert "\x1b" not in result.stdout
    assert "scoring est\n" in result.stderr
    quiet = run("evaluate", "est", "true", "-q", cwd=tmp_path)
    assert (quiet.stdout, quiet.stderr) == (result.stdout, "")


def test_swapped_references_show(true: Path, tmp_path: Path) -> None:
    shutil.copytree(true, tmp_path / "est")
    (tmp_path / "est/vocals.wav").rename(tmp_path / "est/x.wav")
    (tmp_path / "est/bass.wav").rename(tmp_path / "est/vocals.wav")
    (tmp_path / "est/x.wav").rename(tmp_path / "est/bass.wav")
    found = scores(run("evaluate", "est", "true", "--json", cwd=tmp_path))
    assert found["vocals"]["global_sdr"] < 0 and found["bass"]["global_sdr"] < 0


def test_delay_and_inverted_polarity_are_reported_not_corrected(
    true: Path, true_stems: dict[str, np.ndarray], tmp_path: Path
) -> None:
    changed = two_of(true_stems)
    changed["vocals"] = np.pad(true_stems["vocals"], ((0, 0), (100, 0)))[:, :-100]
    changed["bass"] = -true_stems["bass"]
    write_stems(tmp_path / "est", changed)
    found = scores(run("evaluate", "est", "true", "--json", cwd=tmp_path))
    told = {name: (stem["delay"], stem["inverted"]) for name, stem in found.items()}
    assert told == {"vocals": (100, False), "bass": (0, True)}
    assert found["bass"]["global_sdr"] == pytest.approx(-20 * math.log10(2), abs=0.01)
    assert found["vocals"]["global_sdr"] < 10
    table = run("evaluate", "est", "true", cwd=tmp_path)
    assert "vocals: 100 samples (2.3 ms) too late" in table.stdout
    assert "bass: inverted polarity, not corrected" in table.stdout


@pytest.mark.parametrize("limited", [True, False])
def test_a_sir_that_rounding_decides_is_marked_everywhere(tmp_path: Path, limited: bool) -> None:
    """The references have nothing above a fifth of their band, so that filters are free there."""
    rng = np.random.default_rng(0)
    spectra = np.fft.rfft(rng.standard_normal((2, 2, 2 * RATE)))
    if limited:
        spectra[..., spectra.shape[-1] // 5 :] = 0
    stems = 0.1 * np.fft.irfft(spectra)
    estimates = 0.9 * stems + 0.1 * stems[::-1] + 0.001 * rng.standard_normal(stems.shape)
    write_stems(tmp_path / "true", dict(zip(STEMS, stems, strict=True)))
    write_stems(tmp_path / "est", dict(zip(STEMS, estimates, strict=True)))
    reports = ("--html", "page.html", "--csv", "scores.csv")
    table = run("evaluate", "est", "true", *reports, cwd=tmp_path)
    assert table.code == 0
    told = [line for line in table.lines if line.startswith("* ") and "SIR" in line]
    page = (tmp_path / "page.html").read_text()
    shown = [line for line in re.findall("<li>(.*?)</li>", page) if "SIR" in line]
    assert (len(told), len(shown)) == ((1, 1) if limited else (0, 0))
    [row] = re.findall('<th scope="row">SIR (.*?)</th>', page)
    assert ("decided by rounding" in row) == limited
    with (tmp_path / "scores.csv").open() as file:
        [unreproducible] = {row["unreproducible"] for row in csv.DictReader(file)}
    [record] = run("evaluate", "est", "true", "--json", cwd=tmp_path).records
    assert " ".join(record["unreproducible"]) == unreproducible
    assert ("sir" in record["unreproducible"], record["replicated"]) == (limited, False)


def test_museval_computes_bss_eval_on_request(
    true: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(museval_package.write_imitation(tmp_path / "site"))
    shutil.copytree(true, tmp_path / "est")
    chosen = ("evaluate", "est", "true", "--bss-eval", "museval")
    result = run(*chosen, "--json", cwd=tmp_path)
    assert scores(result)["bass"]["frames"]["sir"] == [3.0, 3.0]
    assert scores(result)["bass"]["global_sdr"] > 60
    assert result.records[0]["bss_eval"] == "museval 9.8"
    assert "* SDR, ISR, SIR, SAR: computed by museval 9.8" in run(*chosen, cwd=tmp_path).lines
    own = run("evaluate", "est", "true", "--json", cwd=tmp_path)
    assert own.records[0]["bss_eval"] == "own"
    assert scores(own)["bass"]["frames"]["sir"] != [3.0, 3.0]


@pytest.mark.parametrize("songs", [("est", "true"), ("--dataset", "set", "-n", TINY)])
def test_without_museval_nothing_is_begun(
    true: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, songs: tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "museval", None)  # not found, also where it is installed
    shutil.copytree(true, tmp_path / "est")
    shutil.copytree(true, tmp_path / "set" / "song")
    before = files_below(tmp_path)
    result = run("evaluate", *songs, "--bss-eval", "museval", cwd=tmp_path)
    assert (result.code, result.stdout) == (5, "")
    assert result.stderr.startswith("stemsplit: error: museval is not installed\nhint: ")
    assert "pip install museval" in result.stderr
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("option", ["--window", "--hop"])
@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
def test_frames_have_a_length(true: Path, tmp_path: Path, option: str, value: str) -> None:
    result = run("evaluate", "true", "true", option, value, cwd=tmp_path)
    assert (result.code, result.stdout) == (2, "")


def test_an_existing_report_is_an_error_with_a_hint(true: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    result = run("evaluate", "true", "true", "--html", "page.html", cwd=tmp_path)
    assert result.code == 3
    assert "hint: use --force to replace it\n" in result.stderr
    assert (tmp_path / "page.html").read_text() == "mine"


def test_a_name_that_is_not_a_stem_is_an_error_with_a_hint(true: Path, tmp_path: Path) -> None:
    shutil.copytree(true, tmp_path / "est")
    (true / "bass.wav").rename(true / "bassline.wav")
    result = run("evaluate", "est", "true", "--json", cwd=tmp_path)
    assert list(scores(result)) == ["vocals"]
    told = [remark for remark in result.records[0]["remarks"] if "bassline.wav" in remark]
    assert len(told) == 1 and "--map bass=" in told[0]
    mapped = run("evaluate", "est", "true", "--map", "bass=bassline.wav", "--json", cwd=tmp_path)
    assert list(scores(mapped)) == list(STEMS)
    assert not any("not recognised" in remark for remark in mapped.records[0]["remarks"])


def test_a_missing_stem_is_left_out_with_a_remark(true: Path, tmp_path: Path) -> None:
    shutil.copytree(true, tmp_path / "est")
    (true / "bass.wav").unlink()
    result = run("evaluate", "est", "true", "--json", cwd=tmp_path)
    assert list(scores(result)) == ["vocals"]
    assert [stem["name"] for stem in result.records[0]["measures"]] == list(STEMS)
    assert "bass: no file in true, left out" in result.stderr


def test_the_rest_is_the_sum_of_the_others(
    true: Path, true_stems: dict[str, np.ndarray], tmp_path: Path
) -> None:
    write_stems(true, {"drums": true_stems["drums"]})
    rest = true_stems["drums"] + true_stems["bass"]
    write_stems(tmp_path / "est", {"vocals": true_stems["vocals"], "accompaniment": rest})
    found = scores(run("evaluate", "est", "true", "--json", cwd=tmp_path))
    assert {name: stem["global_sdr"] > 60 for name, stem in found.items()} == {
        "vocals": True,
        "accompaniment": True,
    }


def test_mono_and_another_rate_are_matched_with_a_remark(
    true: Path, true_stems: dict[str, np.ndarray], tmp_path: Path
) -> None:
    mono = {"vocals": true_stems["vocals"].mean(axis=0, keepdims=True)}
    write_stems(tmp_path / "est", mono)
    converted = ("-ar", "48000", "-c:a", "pcm_f32le")
    store(tmp_path / "est/bass.wav", true_stems["bass"], RATE, *converted)
    result = run("evaluate", "est", "true", "--json", cwd=tmp_path)
    found = scores(result)
    assert result.records[0]["sample_rate"] == RATE
    assert "resampled from 48000 to 44100 Hz: est/bass.wav" in result.stderr
    assert "mono, copied to both channels: est/vocals.wav" in result.stderr
    assert found["bass"]["global_sdr"] > 20  # what is near 22 kHz goes
    assert found["bass"]["delay"] == 0


def test_without_references_there_are_measures(
    true: Path, song: Path, true_stems: dict[str, np.ndarray], tmp_path: Path
) -> None:
    write_stems(tmp_path / "all", true_stems)
    result = run("evaluate", "all", "--mixture", song, "--json", cwd=tmp_path)
    [record] = result.records
    assert record["scores"] == []
    peaks = {stem["name"]: stem["peak"] for stem in record["measures"]}
    assert set(peaks) == set(true_stems)
    assert record["null_residual"] < -100
    table = run("evaluate", "true", cwd=tmp_path)
    assert table.code == 0
    assert "vocals" in table.stdout and "LUFS" in table.stdout


def test_a_mapping_finds_the_references(true: Path, tmp_path: Path) -> None:
    shutil.copytree(true, tmp_path / "est")
    (true / "bass.wav").rename(true / "Deep Line 3.wav")
    found = scores(run("evaluate", "est", "true", "--map", "bass=deep*", "--json", cwd=tmp_path))
    assert found["bass"]["global_sdr"] > 60


def test_songs_match_by_name_and_every_report_is_written(true: Path, tmp_path: Path) -> None:
    for song in ("one", "two", "three"):
        shutil.copytree(true, tmp_path / "est" / song)
    for song in ("one", "two", "four"):
        shutil.copytree(true, tmp_path / "ref" / song)
    shutil.copy(tmp_path / "ref/two/bass.wav", tmp_path / "est/two/vocals.wav")
    options = ("--csv", "out/scores.csv", "--museval", "json", "--json")
    result = run("evaluate", "est", "ref", *options, cwd=tmp_path)
    assert result.code == 0
    one, two, summary = result.records
    assert (one["song"], two["song"]) == ("one", "two")
    assert "no references for 1 song, left out: three" in result.stderr
    assert "no estimates for 1 song, left out: four" in result.stderr

    vocals = next(stem for stem in summary["summary"] if stem["name"] == "vocals")
    wanted = np.mean([record["scores"][0]["global_sdr"] for record in (one, two)])
    assert one["scores"][0]["name"] == "vocals"
    assert vocals["global_sdr"] == pytest.approx(wanted)
    assert vocals["songs"] == 2

    lines = list(csv.DictReader((tmp_path / "out/scores.csv").read_text().splitlines()))
    assert [(line["song"], line["stem"]) for line in lines][:2] == [
        ("one", "vocals"),
        ("one", "bass"),
    ]
    assert len(lines) == 4
    stored = json.loads((tmp_path / "json/two.json").read_text())
    assert [target["name"] for target in stored["targets"]] == list(STEMS)

    refused = run("evaluate", "est", "ref", *options, cwd=tmp_path)
    assert refused.code == 3
    assert "out/scores.csv: already exists" in refused.stderr
    assert run("evaluate", "est", "ref", *options, "--force", cwd=tmp_path).code == 0


def test_a_row_of_markdown(true: Path, tmp_path: Path) -> None:
    shutil.copytree(true, tmp_path / "est")
    result = run("evaluate", "est", "true", "--markdown", cwd=tmp_path)
    head, rule, row = result.lines
    assert head.startswith("| model | songs | vocals SDR |")
    assert set(rule) <= set("|-: ")
    assert row.startswith("| est | 1 | ")


def test_a_bad_song_does_not_stop_the_others(true: Path, tmp_path: Path) -> None:
    for song in ("bad", "good"):
        shutil.copytree(true, tmp_path / "est" / song)
        shutil.copytree(true, tmp_path / "ref" / song)
    (tmp_path / "ref/bad/bass.wav").write_text("no audio")
    result = run("evaluate", "est", "ref", "--json", cwd=tmp_path)
    assert result.code == 6
    failed, good = result.records
    assert (failed["song"], failed["exit_code"]) == ("bad", 3)
    assert good["song"] == "good"
    assert "ref/bad/bass.wav: not an audio file" in result.stderr


@pytest.mark.parametrize(
    ("cause", "alone", "words", "tried"),
    [
        (ZeroDivisionError("of ours"), 1, "bad: ZeroDivisionError: of ours (", ["good"]),
        (MemoryError(), 5, "bad: out of memory\nhint: close other programs\n", []),
    ],
)
def test_an_unexpected_error_loses_no_scores(
    true: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cause: Exception,
    alone: int,
    words: str,
    tried: list[str],
) -> None:
    """It fails its song and is reported; if memory ran out, the songs after it are skipped."""
    for song in ("already", "bad", "good"):
        shutil.copytree(true, tmp_path / "est" / song)
        shutil.copytree(true, tmp_path / "ref" / song)

    def fail_in_one(
        sounds: Sounds, options: BssEvalOptions
    ) -> Generator[ScoringProgress, None, SongScores]:
        if sounds.song == "bad":
            raise cause
        return score_sounds(sounds, options)

    monkeypatch.setattr(stem_folders, "score_sounds", fail_in_one)
    result = run("evaluate", "est", "ref", "--json", "--csv", "scores.csv", cwd=tmp_path)
    assert result.code == 6
    assert f"stemsplit: error: {words}" in result.stderr
    failures = {each["song"]: each["exit_code"] for each in result.records if "error" in each}
    assert failures == {"bad": alone} | {name: 5 for name in ("good",) if name not in tried}
    with (tmp_path / "scores.csv").open() as lines:
        assert list(dict.fromkeys(row["song"] for row in csv.DictReader(lines))) == [
            "already",
            *tried,
        ]
    single = run("evaluate", "est/bad", "ref/bad", "--debug", cwd=tmp_path)
    assert (single.code, "in fail_in_one" in single.stderr) == (alone, alone == 1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Usage: stemsplit evaluate"),
        (["--json"], 2, "nothing to evaluate"),
        (["nowhere", "true"], 3, "nowhere: no such file or folder"),
        (["true", "nowhere"], 3, "nowhere: no such file or folder"),
        (["true", "empty"], 3, "empty: this folder contains no stems"),
        (["true", "strange"], 3, "strange: has none of the stems"),
        (["many", "others"], 3, "is among the references"),
        (["silent", "true"], 3, "silent/vocals.wav: has no audio: 0 frames"),
        (["text", "true"], 3, "text/vocals.wav: not an audio file"),
        (["nan", "true"], 3, "nan/vocals.wav: contains NaN or infinite values"),
        (["true", "true", "--map", "bass"], 2, "--map takes STEM=NAME, not 'bass'"),
        (["true", "true", "--map", "bass=no*"], 3, "no file matches 'no*'"),
        (["true", "--map", "bass=x"], 2, "--map needs references, and none are given"),
        (["true", "--dataset", "true"], 2, "are mutually exclusive"),
        (["true", "--markdown", "--json"], 2, "are mutually exclusive"),
        (["many", "--mixture", "true/bass.wav"], 2, "--mixture is for a single song"),
        (["true", "--window", "0"], 2, "--window"),
        (["--dataset", "empty", "-n", TINY], 3, "empty: this folder contains no stems"),
        (["--dataset", "true", "-n", "nosuch"], 2, "no model 'nosuch'"),
    ],
)
def test_what_cannot_be_scored(
    true: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    second = np.zeros((2, RATE), np.float32)
    write_stems(tmp_path / "strange", {"kazoo": second})
    for folder, songs in {"many": "ab", "others": "cd"}.items():
        for song in songs:
            write_stems(tmp_path / folder / song, {"vocals": second + 0.1})
    write_stems(tmp_path / "silent", {"vocals": second[:, :0]})
    write_stems(tmp_path / "nan", {"vocals": second + np.nan})
    (tmp_path / "text").mkdir()
    (tmp_path / "text/vocals.wav").write_text("la la la")
    before = files_below(tmp_path)
    result = run("evaluate", *arguments, cwd=tmp_path)
    assert words in result.stderr
    assert (result.code, result.stdout) == (code, "")
    assert files_below(tmp_path) == before
    if arguments:
        errors = [line for line in result.stderr.splitlines() if "error:" in line]
        assert len(errors) == 1 and errors[0].startswith("stemsplit: error: ")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the songs with true stems are not here")
def test_copies_of_real_stems_are_near_perfect(tmp_path: Path) -> None:
    song = SHARED / "mdb_rock"
    result = run("evaluate", song, song, "--json", cwd=tmp_path)
    found = scores(result)
    assert set(found) == {"vocals", "drums", "bass", "other"}
    assert all(stem["global_sdr"] > 80 for stem in found.values())
    assert result.records[0]["null_residual"] == "-inf"  # the mixture is their exact sum
