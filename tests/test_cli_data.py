"""``stemsplit data check`` and ``data stats`` on data sets with every kind of flaw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import cut, noise
from command import run
from data_sets import FOUR, RATE, write_moises, write_sines, write_song, write_sound

from stemsplit.data.synthetic import render


@pytest.fixture(scope="module")
def stems() -> dict[str, np.ndarray]:
    """The stems of a song, 4 s."""
    made = render(seed=5, seconds=4.0, sample_rate=RATE)
    return {name: np.float32(0.5 * stem) for name, stem in made.items()}


def save(folder: Path, stems: dict[str, np.ndarray], mixture: np.ndarray | None = None) -> Path:
    """Write a song; its mixture is the sum of its stems, or ``mixture``."""
    folder.mkdir(parents=True)
    total = np.sum(list(stems.values()), axis=0)
    sounds = {**stems, "mixture": total if mixture is None else mixture}
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound.T, RATE, subtype="FLOAT")
    return folder


def findings(root: Path, *words: str) -> dict[str, list[tuple[str, list[str], str]]]:
    result = run("data", "check", root, "--json", *words, cwd=root)
    assert result.code == 0, result.stderr
    return {
        record["song"]: [
            (each["kind"], each["stems"], each["message"]) for each in record["findings"]
        ]
        for record in result.records[:-1]
    }


def test_a_good_song_has_no_findings(tmp_path: Path, stems: dict[str, np.ndarray]) -> None:
    save(tmp_path / "set" / "train" / "Song", stems)
    result = run("data", "check", "set", "-q", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout == "1 song (folder for each song), 0.00 hours, 0 findings in 0 songs\n"


def test_missing_silent_and_clipped_stems(tmp_path: Path, stems: dict[str, np.ndarray]) -> None:
    loud = np.clip(20 * stems["drums"], -1, 1)
    save(tmp_path / "Song", {**stems, "drums": loud, "bass": 0 * stems["bass"]})
    (tmp_path / "Song" / "other.wav").unlink()
    found = findings(tmp_path)["Song"]
    assert ("missing", ["other"], "has no other") in found
    assert ("silent", ["bass"], "bass is silent") in found
    [clipped] = [each for each in found if each[0] == "clipped"]
    assert clipped[1] == ["drums"]
    runs = 0
    for channel in loud:
        full = np.abs(channel) >= 1
        full &= np.concatenate([[False], channel[1:] == channel[:-1]])
        edges = np.flatnonzero(np.diff(np.concatenate([[0], full, [0]])))
        runs += sum(end - start >= 2 for start, end in zip(edges[::2], edges[1::2], strict=True))
    assert clipped[2] == f"drums clips {runs} times"


def test_a_stem_or_a_mixture_that_is_shifted_or_inverted(
    tmp_path: Path, stems: dict[str, np.ndarray]
) -> None:
    total = np.sum(list(stems.values()), axis=0)
    save(tmp_path / "Mix", stems, np.roll(total, 300, axis=1))
    save(tmp_path / "Stem", {**stems, "other": np.roll(stems["other"], 40, axis=1)}, total)
    save(tmp_path / "Flip", stems, -total)
    found = findings(tmp_path)
    text = "the sum of the stems is 300 samples (37.5 ms) too early, compared with the mixture"
    assert ("misaligned", [], text) in found["Mix"]
    assert [each for each in found["Mix"] if each[0] == "misaligned" and each[1]] == []
    text = "other is 40 samples (5.0 ms) too late, compared with the mixture"
    assert ("misaligned", ["other"], text) in found["Stem"]
    assert "inverted" in [kind for kind, _, _ in found["Flip"]]


def test_a_mixture_that_is_not_the_sum(tmp_path: Path, stems: dict[str, np.ndarray]) -> None:
    total = np.sum(list(stems.values()), axis=0)
    save(tmp_path / "Song", stems, total + noise(total.shape[1], 2, level=float(np.std(total)) / 2))
    [(kind, _, message)] = findings(tmp_path)["Song"]
    assert kind == "sum"
    level = float(message.rpartition(" by ")[2].removesuffix(" dB"))
    assert level == pytest.approx(-7, abs=1.5)
    assert findings(tmp_path, "--sources", "vocals")["Song"] == []


def test_other_rates_channels_and_lengths(tmp_path: Path, stems: dict[str, np.ndarray]) -> None:
    song = save(tmp_path / "Song", stems)
    soundfile.write(song / "bass.wav", stems["bass"][0, :20_000], 2 * RATE)
    found = {kind: (names, message) for kind, names, message in findings(tmp_path)["Song"]}
    assert found["rates"][0] == ["bass"]
    assert found["rates"][1].startswith("sample rates differ: ")
    assert "bass 16000 Hz" in found["rates"][1]
    assert found["channels"][0] == ["bass"]
    assert found["lengths"] == (["bass"], found["lengths"][1])
    assert "bass 1.25 s" in found["lengths"][1]


def test_duplicates_in_one_data_set_and_across_two(
    tmp_path: Path, stems: dict[str, np.ndarray]
) -> None:
    save(tmp_path / "a" / "One", stems)
    save(tmp_path / "a" / "Two", {name: 0.4 * stem for name, stem in stems.items()})
    other = render(seed=6, seconds=4.0, sample_rate=RATE)
    save(tmp_path / "b" / "Three", {name: np.float32(0.5 * each) for name, each in other.items()})
    result = run("data", "check", "a", "b", cwd=tmp_path)
    assert "the same song twice\n  - a/One and a/Two\n" in result.stdout
    assert result.lines[-1].endswith("0 findings in 0 songs, 1 duplicate")
    summary = run("data", "check", "a", "--json", cwd=tmp_path).records[-1]
    assert summary["duplicates"] == [{"first": "One", "second": "Two"}]
    assert summary["songs"] == 2
    assert (summary["failed"], summary["findings"]) == (0, {})


def test_unreadable_songs_decide_the_exit_code(tmp_path: Path) -> None:
    write_song(tmp_path / "Fine")
    song = write_song(tmp_path / "Cut")
    shutil.move(cut(song / "bass.wav"), song / "bass.wav")
    write_song(tmp_path / "Memo", ("memo",))
    for command in ("check", "stats"):
        result = run("data", command, tmp_path, "-q", cwd=tmp_path)
        assert result.code == 6
        assert "truncated" in result.stderr
        assert "Memo: has none of the stems" in result.stderr
        assert "Traceback" not in result.stderr
    records = run("data", "check", tmp_path, "--json", cwd=tmp_path).records
    failed = [record for record in records[:-1] if "error" in record]
    assert [(record["song"], record["exit_code"]) for record in failed] == [("Cut", 3), ("Memo", 3)]
    assert records[-1]["failed"] == 2
    shutil.rmtree(tmp_path / "Fine")
    for command in ("check", "stats"):
        assert run("data", command, tmp_path, "-q", cwd=tmp_path).code == 3


@pytest.mark.parametrize("command", ["check", "stats"])
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["gone"], 3, "gone: no such file or folder"),
        (["."], 3, "this folder contains no stems"),
        (["set", "--sources", ","], 2, "--sources is empty"),
        (["set", "--map", "drums"], 2, "--map takes STEM=PATTERN, not 'drums'"),
        (["set", "--map", "kazoo=k*"], 2, "unknown stem 'kazoo'"),
        (["set", "--map", "drums=k*"], 2, "no file of any song matches 'k*'"),
        ([], 2, "Missing argument"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, command: str, words: list[str], code: int, message: str
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    if "set" in words:
        write_song(folder / "set" / "Song")
    result = run("data", command, *words, cwd=folder)
    assert result.code == code
    assert message in result.stderr
    assert result.stdout == ""


def test_statistics(tmp_path: Path) -> None:
    """Two songs of sines, in which the bass is silent, alone, or neither."""
    one, two = tmp_path / "train" / "One", tmp_path / "test" / "Two"
    write_sines(one / "bass.wav", (200.0,), seconds=4.0)
    write_sines(one / "other.wav", (500.0,), seconds=4.0)
    sound, _ = soundfile.read(one / "other.wav")
    sound[: 3 * RATE] = 0
    soundfile.write(one / "other.wav", sound, RATE, subtype="FLOAT")
    write_sines(two / "other.wav", (500.0,), seconds=4.0)
    result = run("data", "stats", tmp_path, "--sources", "bass,other", "--json", cwd=tmp_path)
    assert result.code == 0
    [record] = result.records
    assert record["hours"] == pytest.approx(8 / 3600)
    assert (record["songs"], record["splits"]) == (2, {"test": 1, "train": 1})
    bass, other = record["stems"]
    assert (bass["songs"], bass["silent"], bass["alone"]) == (1, 0.0, 0.75)
    assert (other["songs"], other["silent"], other["alone"]) == (2, 0.375, 0.5)
    assert other["hours"] == pytest.approx(8 / 3600)
    # A sine of amplitude 0.1 at 1 kHz in both channels has -20 LUFS; K-weighting lowers 500 Hz.
    assert other["loudness"] == pytest.approx(-21.0, abs=0.1)
    assert record["sample_rate"] == RATE
    white = record["whitening"]
    assert (white["size"], len(white["mean"]), len(white["scale"])) == (4096, 2049, 2049)
    assert np.argmax(white["mean"]) == round(500 * 4096 / RATE)
    assert record["sample_scale"] == pytest.approx(np.sqrt((0.005 + 0.00125 + 0.005) / 2), rel=0.01)


@pytest.mark.parametrize("columns", ["60", "80"])
def test_the_table_fits_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    write_moises(tmp_path)
    write_sound(tmp_path / "moisesdb_v0.1/uuid-0/other_keys/f.wav", frames=8000)
    for command in ("check", "stats"):
        result = run("data", command, tmp_path, cwd=tmp_path)
        assert result.code == 0
        assert max(map(len, result.lines)) <= int(columns)
        assert "MoisesDB" in result.stdout
    assert [line.split()[0] for line in result.lines[3:7]] == ["drums", "bass", "other", "vocals"]
    assert set(FOUR) == {line.split()[0] for line in result.lines[3:7]}
    checked = run("data", "check", tmp_path, cwd=tmp_path).stdout
    assert "recorded with bleed: bass" in checked
