"""--dry-run says what a run would do, with its exit codes, and leaves everything as it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import TINY, files_below, run


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of two songs and a broken one."""
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    folder = tmp_path / "library"
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).normal(0, 0.1, (11_025, 2))
        soundfile.write(folder / f"{number}.wav", noise, 44_100)
    (folder / "bad.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    return folder


def foretold(*words: str, cwd: Path) -> tuple[int, dict[str, str]]:
    """Return the exit code of a dry run, and the status that it reports for each song."""
    before = {path: path.read_bytes() for path in cwd.rglob("*") if path.is_file()}
    result = run(*words, "--dry-run", "--json", "-q", cwd=cwd)
    assert {path: path.read_bytes() for path in cwd.rglob("*") if path.is_file()} == before
    return result.code, {Path(r["input"]).stem: r["status"] for r in result.records}


def test_incompatible_models_are_reported_before_anything_is_done(
    song: Path, tmp_path: Path
) -> None:
    wrong = ("--ensemble", "tiny.demucs,tiny.conv_tasnet_speech", song)
    for dry in ((), ("--dry-run",)):
        refused = run(*wrong, *dry, cwd=tmp_path)
        assert (refused.code, refused.stdout) == (2, "")
        assert "have different sample rates: 44100 Hz, 8000 Hz" in refused.stderr
    # Where the stems that are asked for come from one of them, there is nothing to be told.
    assert run(*wrong, "--dry-run", "--stems", "bass", cwd=tmp_path).code == 0


def test_it_predicts_what_the_run_does(library: Path, tmp_path: Path) -> None:
    words = ("library", "--stems", "vocals")
    first = {"0": "would_split", "1": "would_split", "bad": "failed"}
    assert foretold(*words, cwd=tmp_path) == (6, first)
    assert not (tmp_path / "separated").exists()
    dry = run(*words, "--dry-run", cwd=tmp_path)
    assert dry.stderr.splitlines()[-2] == "2 to split, 0 skipped, 1 failed"
    real = run(*words, cwd=tmp_path)
    assert (dry.code, dry.stdout) == (real.code, real.stdout)
    assert foretold(*words, cwd=tmp_path)[1] == first | {"0": "skipped", "1": "skipped"}
    (tmp_path / "separated/1/vocals.wav").unlink()
    assert foretold(*words, cwd=tmp_path)[1] == first | {"0": "skipped"}
    assert foretold("library", "--stems", "bass", cwd=tmp_path)[1] == first
    assert foretold("library/0.wav", "--stems", "vocals", cwd=tmp_path) == (0, {"0": "skipped"})
    other = foretold("library/0.wav", "--stems", "vocals", "--shifts", "2", cwd=tmp_path)
    assert other == (3, {"0": "failed"})
    assert foretold("library/0.wav", "-n", "nosuch", cwd=tmp_path) == (2, {})


@pytest.mark.parametrize(
    ("words", "megabytes"),
    [
        ((), 4 * 22_050 * 8 / 1e6),
        (("--stems", "vocals"), 22_050 * 8 / 1e6),
        (("--format", "flac", "--depth", "16"), 4 * 22_050 * 4 / 1e6),
        (("--format", "mp3", "--bitrate", "256"), 4 * 0.5 * 0.032),
        (("--daw", "dawproject"), 8 * 22_050 * 8 / 1e6),
    ],
)
def test_it_adds_up_lengths_and_disk(
    library: Path, tmp_path: Path, words: tuple[str, ...], megabytes: float
) -> None:
    dry = run("library", "--dry-run", *words, cwd=tmp_path)
    (line,) = [line for line in dry.stderr.splitlines() if "free" in line]
    shown = f"{max(0.1, megabytes):.1f}"
    assert re.fullmatch(rf"2 songs, 0:00; up to {shown} MB of stems, [\d.]+ [GM]B free", line)
    (event,) = [
        json.loads(line)
        for line in run(
            "library", "--dry-run", "--progress", "ndjson", *words, cwd=tmp_path
        ).stderr.splitlines()
        if "estimated" in line
    ]
    assert event["seconds"] == 0.5
    assert event["disk"] == pytest.approx(megabytes * 1e6, abs=100)
    assert (event["songs"], event["of_unknown_length"], event["download"]) == (2, 0, 0)


def test_it_adds_up_downloads(library: Path, tmp_path: Path) -> None:
    dry = run("library/0.wav", "-n", "htdemucs", "--dry-run", cwd=tmp_path)
    assert dry.stderr.splitlines()[-1].endswith(" free; htdemucs: 84 MB to download")
    of_all = run("library/0.wav", "-n", "htdemucs_ft", "--dry-run", cwd=tmp_path)
    assert "; htdemucs_ft: 3" in of_all.stderr
    # Of an ensemble, only what the stems need.
    words = ("-n", "htdemucs_ft", "--stems", "vocals", "--dry-run")
    assert "; htdemucs_ft: 84 MB" in run("library/0.wav", *words, cwd=tmp_path).stderr


def test_missing_weights_are_not_downloaded(library: Path, tmp_path: Path) -> None:
    words = ("library/0.wav", "-n", "htdemucs")
    assert foretold(*words, cwd=tmp_path) == (0, {"0": "would_split"})
    assert foretold(*words, "--offline", cwd=tmp_path) == (4, {})
    assert files_below(tmp_path / "cache") == []


def test_without_weights_stems_are_compared_by_everything_else(
    library: Path, tmp_path: Path
) -> None:
    words = ("library/0.wav", "--daw", "reaper")
    assert run(*words, cwd=tmp_path).code == 0
    other = run(*words, "-n", "htdemucs", "--depth", "16", "--dry-run", cwd=tmp_path)
    assert other.code == 3
    assert other.stderr.splitlines()[0] == (
        "stemsplit: error: library/0.wav: its stems in separated/0 were made with tiny.htdemucs, "
        "whole song, depth 32f"
    )
    (manifest,) = (tmp_path / "separated").rglob("*.stemsplit.json")
    manifest.write_text(manifest.read_text().replace('"tiny.htdemucs"', '"htdemucs"'))
    assert foretold(*words, "-n", "htdemucs", cwd=tmp_path) == (0, {"0": "skipped"})
    same = run(*words, "-n", "htdemucs", "--depth", "16", "--dry-run", cwd=tmp_path)
    assert same.stderr.splitlines()[0].endswith("made with htdemucs, whole song, depth 32f")
    assert "of the other model" not in same.stderr


def test_it_does_not_import_torch(library: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from stemsplit.cli import main\n"
        "status = main(['library', '--dry-run', '-qq'])\n"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert done.returncode == 6, done.stderr
    assert len(done.stdout.splitlines()) == 8
