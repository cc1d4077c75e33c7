"""Bad input: a clear error, the right exit code, and nothing lost or left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command import TINY, files_below, run
from full_disk import limited_files
from measured import PACKAGE

from stemsplit.checkpoints import loading, weights
from stemsplit.errors import NO_MEMORY, unexpected


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)


def write(path: Path, samples: np.ndarray, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, 44_100, subtype=subtype)
    return path


def refused(tmp_path: Path, name: str, words: str) -> None:
    """Check that ``name`` is refused with ``words`` in one line, and that no other file exists."""
    before = files_below(tmp_path)
    result = run("--", name, cwd=tmp_path)
    error, *hint = result.stderr.splitlines()
    assert error.startswith("stemsplit: error: ")
    assert words in error
    assert len(hint) <= 1 and all(line.startswith("hint: ") for line in hint)
    assert (result.code, result.stdout) == (3, "")
    assert files_below(tmp_path) == before
    assert not (tmp_path / "separated").exists()


def test_not_audio(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("this is no song\n" * 100)
    refused(tmp_path, "text.mp3", "not an audio file")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    refused(tmp_path, "empty.wav", "empty")


def test_audio_without_a_frame(tmp_path: Path) -> None:
    write(tmp_path / "none.wav", np.zeros((0, 2), np.float32))
    refused(tmp_path, "none.wav", "none.wav: ")


def test_a_folder_without_audio(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").write_text("la la la")
    refused(tmp_path, "docs", "this folder contains no audio files")


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path, "a\nb.wav", "a\\nb.wav: no such file")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("contry 2.wav", "Country 2.wav"),
        ("country 2.mp3", "Country 2.wav"),
        ("country 3.wav", None),
        ("trombone 2.wav", None),
    ],
)
def test_a_misspelt_file(song: Path, typed: str, meant: str | None) -> None:
    """A name with another number is another song."""
    song.rename(song.with_name("Country 2.wav"))
    song.with_name("country 2.txt").touch()
    result = run(f"music/{typed}", "-n", TINY, cwd=song.parents[1])
    hint = f"hint: did you mean music/{meant}?\n" if meant else ""
    assert (result.code, result.stderr) == (
        3,
        f"stemsplit: error: music/{typed}: no such file\n{hint}",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    write(tmp_path / "secret.wav", np.zeros((100, 2), np.float32)).chmod(0)
    refused(tmp_path, "secret.wav", "permission denied")


def test_a_path_through_a_file(song: Path, tmp_path: Path) -> None:
    refused(tmp_path, "music/song.wav/x.wav", "cannot be read")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    samples = np.zeros((44_100, 2), np.float32)
    samples[30_000, 1] = value
    write(tmp_path / "nan.wav", samples)
    refused(tmp_path, "nan.wav", "the first at 0.680 s (frame 30000)")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_truncated_file(mixture: np.ndarray, tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"cut.{suffix}"
    soundfile.write(whole, np.tile(mixture.T, (4, 1)), 44_100, subtype="PCM_16")
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    refused(tmp_path, whole.name, "truncated")
    accepted = run(whole, "--accept-truncated", "--stems", "vocals", cwd=tmp_path)
    assert accepted.code == 0
    assert "truncated" in accepted.stderr
    frames = soundfile.info(tmp_path / accepted.lines[0]).frames
    assert 0.4 < frames / (4 * mixture.shape[1]) < 0.6


@pytest.mark.parametrize("frames", [1, 2, 100, 4_097])
def test_very_short_songs(tmp_path: Path, frames: int) -> None:
    write(tmp_path / "short.wav", np.full((frames, 2), 0.25, np.float32))
    result = run("short.wav", cwd=tmp_path)
    assert result.code == 0
    for line in result.lines:
        samples, _ = soundfile.read(tmp_path / line, always_2d=True)
        assert samples.shape == (frames, 2)
        assert np.isfinite(samples).all()


def test_digital_silence_stays_silent(tmp_path: Path) -> None:
    write(tmp_path / "silence.wav", np.zeros((50_000, 2), np.float32))
    result = run("silence.wav", cwd=tmp_path)
    assert result.code == 0
    for line in result.lines:
        samples, _ = soundfile.read(tmp_path / line)
        assert np.abs(samples).max() < 1e-6


@pytest.mark.parametrize("kind", ["direct current", "full-scale noise"])
def test_extreme_songs_stay_finite(tmp_path: Path, kind: str) -> None:
    noise = np.random.default_rng(0).choice([-1.0, 1.0], (60_000, 2))
    samples = noise if kind == "full-scale noise" else np.full((60_000, 2), 0.9)
    write(tmp_path / "loud.wav", samples.astype(np.float32))
    result = run("loud.wav", cwd=tmp_path)
    assert result.code == 0
    for line in result.lines:
        stem, _ = soundfile.read(tmp_path / line)
        assert np.isfinite(stem).all()


@pytest.mark.parametrize(
    "name",
    [
        "with space.wav",
        'it\'s "quoted".wav',
        "line\nbreak.wav",
        "emoji 🎸🥁.wav",
        "-n.wav",
        "--help.wav",
        "...wav",
        "a..b.wav",
        "%d %s {stem}.wav",
        "http:x.wav",
        "semi;colon|pipe&.wav",
        "byte\udcff.wav",
    ],
)
def test_hostile_names(song: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(song, tmp_path / name)
    result = run("--stems", "vocals", "--", name, cwd=tmp_path)
    assert result.code == 0
    assert len(result.lines) == 1
    written = Path(result.lines[0])
    assert written.parts[0] == "separated" and len(written.parts) == 3
    assert soundfile.info(tmp_path / written).frames == soundfile.info(song).frames


def test_dots_in_paths_are_allowed(song: Path, tmp_path: Path) -> None:
    result = run("music/../music/./song.wav", "--stems", "vocals", cwd=tmp_path)
    assert result.lines == ["separated/song/vocals.wav"]


def test_an_output_folder_that_is_a_file(song: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("precious")
    result = run(song, "-o", "taken", cwd=tmp_path)
    assert result.code == 3
    assert "taken" in result.stderr.splitlines()[0]
    assert (tmp_path / "taken").read_text() == "precious"


def test_an_output_folder_that_cannot_be_written(song: Path, tmp_path: Path) -> None:
    result = run(song, "-o", "/proc/stems", cwd=tmp_path)
    assert result.code == 3
    assert "stemsplit: error: /proc/stems: cannot be written" in result.stderr


def start(*arguments: str, cwd: Path, **options: object) -> subprocess.Popen[bytes]:
    """Start the command as a separate process."""
    words = [sys.executable, "-m", "stemsplit", *arguments]
    return subprocess.Popen(words, cwd=cwd, **options)  # type: ignore[call-overload,no-any-return]


def test_a_full_disk(song: Path, tmp_path: Path) -> None:
    with limited_files(200_000):
        result = run(song, "-q", cwd=tmp_path)
    assert result.code == 5
    assert result.stderr.startswith("stemsplit: error: ")
    assert not (tmp_path / "separated").exists()


def test_stdout_closed_early_loses_nothing(song: Path, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(str(song), "-q", cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, b"")
    assert len(files_below(tmp_path / "separated")) == 4


def test_closed_streams_are_not_a_defect(song: Path, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m stemsplit "{song}" --stems vocals >&- 2>&-'
    assert subprocess.run(command, shell=True, cwd=tmp_path).returncode == 0
    assert files_below(tmp_path / "separated") == ["song/vocals.wav"]


@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 96_000, 192_000])
def test_one_sample_at_any_rate(tmp_path: Path, sample_rate: int) -> None:
    soundfile.write(tmp_path / "one.wav", np.full((1, 2), 0.5, np.float32), sample_rate)
    result = run("one.wav", cwd=tmp_path)
    assert result.code == 0
    assert {soundfile.info(tmp_path / line).frames for line in result.lines} == {1}


@pytest.mark.parametrize("name", ["x" * 300 + ".wav", "loop.wav", "", "nul\0.wav"])
def test_names_that_no_file_can_have_do_not_stop_other_songs(
    song: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    result = run(name, song, "--stems", "vocals", cwd=tmp_path)
    assert result.code == 6
    assert result.stderr.startswith("stemsplit: error: ")
    assert result.lines == ["separated/song/vocals.wav"]


def test_an_empty_name_is_not_the_current_folder(song: Path, tmp_path: Path) -> None:
    result = run("", cwd=song.parent)
    assert (result.code, result.stdout) == (3, "")


def test_stems_of_earlier_runs_are_not_songs(song: Path, tmp_path: Path) -> None:
    for _ in range(2):
        result = run(".", "--stems", "vocals", "--force", cwd=song.parent)
        assert result.lines == ["separated/song/vocals.wav"]


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&1 >/dev/null | head -0"])
def test_a_log_that_cannot_be_written_stops_nothing(
    song: Path, tmp_path: Path, redirection: str
) -> None:
    command = f'"{sys.executable}" -m stemsplit "{song}" --stems vocals {redirection}'
    subprocess.run(command, shell=True, cwd=tmp_path, timeout=120)
    assert files_below(tmp_path / "separated") == ["song/vocals.wav"]


def test_a_full_stdout_is_reported_after_the_songs(song: Path, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m stemsplit "{song}" --stems vocals -q >/dev/full'
    process = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert process.returncode == 5
    assert process.stderr == (
        "stemsplit: error: standard output cannot be written: No space left on device\n"
        "hint: free some space on the disk\n"
    )
    assert files_below(tmp_path / "separated") == ["song/vocals.wav"]


def test_help_without_a_reader_is_not_an_error() -> None:
    command = f'set -o pipefail; "{sys.executable}" -m stemsplit --help | true'
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")


def test_a_full_disk_ends_the_batch_and_every_song_is_accounted_for(
    song: Path, tmp_path: Path
) -> None:
    shutil.copy(song, tmp_path / "second.wav")
    with limited_files(200_000):
        result = run(song, "second.wav", "-q", "--json", cwd=tmp_path)
    assert result.code == 5
    assert [(r["input"], r["status"], r["exit_code"]) for r in result.records] == [
        (str(song), "failed", 5),
        ("second.wav", "failed", 5),
    ]
    assert "skipped because" in result.records[1]["error"]


def test_the_table_names_the_song_whatever_is_in_its_way(song: Path, tmp_path: Path) -> None:
    (tmp_path / "separated/other").mkdir(parents=True)
    (tmp_path / "separated/other/vocals.wav").write_bytes(b"precious")
    shutil.copy(song, tmp_path / "other.wav")
    result = run(song, "other.wav", "--stems", "vocals", cwd=tmp_path)
    assert result.code == 6
    assert result.stderr.splitlines()[-1] == (
        "  failed   other.wav: separated/other/vocals.wav: already exists and is not a stem of "
        "this song"
    )


def test_the_table_has_an_address_once(song: Path, tmp_path: Path) -> None:
    (tmp_path / "p.m3u8").write_text("http://example.org/live.mp3\nnosuch.wav\n")
    result = run("p.m3u8", cwd=tmp_path)
    assert result.stderr.splitlines()[-2:] == [
        "  failed   http://example.org/live.mp3: is a network address; only files can be split",
        "  failed   nosuch.wav: no such file",
    ]


def test_skipped_songs_name_the_song_that_failed(song: Path, tmp_path: Path) -> None:
    (tmp_path / "separated/other").mkdir(parents=True)
    (tmp_path / "separated/other/vocals.wav").write_bytes(b"precious")
    shutil.copy(song, tmp_path / "other.wav")
    words = ("--stems", "vocals", "--fail-fast", "--json", "-q")
    result = run("other.wav", song, *words, cwd=tmp_path)
    assert [record["error"] for record in result.records] == [
        "separated/other/vocals.wav: already exists and is not a stem of this song",
        f"{song}: skipped because other.wav failed",
    ]


def test_damaged_weights_are_reported_and_leave_no_stems(song: Path, tmp_path: Path) -> None:
    model = loading.load(TINY)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["tdecoder.0.conv_tr.weight"][0, 0, 0] = float("nan")
    bad = weights.Weights("htdemucs:HTDemucs", model.config, state, "a test")
    weights.save(bad, tmp_path / "bad.safetensors")
    shutil.copy(song, tmp_path / "other.wav")
    result = run(song, "other.wav", "-n", "bad.safetensors", "--json", cwd=tmp_path)
    assert result.code == 4
    reason = "the network returned NaN or infinity: its weights are damaged"
    named = [f"{path}: {reason}" for path in (song, "other.wav")]
    assert [record["error"] for record in result.records] == named
    lines = result.stderr.splitlines()
    assert [f"stemsplit: error: {text}" in lines for text in named] == [True, True]
    assert [f"  failed   {text}" in lines for text in named] == [True, True]
    assert not (tmp_path / "separated").exists()


def test_help_on_a_full_disk_reports_it() -> None:
    for words in ("--help", "--version", "demo --help"):
        command = f'"{sys.executable}" -m stemsplit {words} >/dev/full'
        process = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert process.returncode == 5
        assert process.stderr == (
            "stemsplit: error: No space left on device\nhint: free some space on the disk\n"
        )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--segment", value) for value in ("inf", "1e308", "1e9", "601", "nan", "-inf", "0")),
        *(("--overlap", value) for value in ("inf", "nan", "1e308")),
        *((f"--{name}", "9" * 400) for name in ("start", "end", "duration", "preview")),
        *(("--shifts", value) for value in ("9" * 30, "inf")),
        *(("--batch", value) for value in ("9" * 400, "9" * 5000, "0")),
        *(("--seed", value) for value in ("-" + "9" * 400, "9" * 5000)),
    ],
)
def test_a_number_without_bounds_is_a_wrong_option(
    song: Path, tmp_path: Path, option: str, value: str
) -> None:
    result = run(song, option, value, cwd=tmp_path)
    assert result.code == 2, result.stderr
    assert not (tmp_path / "separated").exists()


@pytest.mark.parametrize("words", [["--dry-run"], ["-o", "out"], ["models", "list"]])
def test_a_current_folder_that_was_deleted(song: Path, tmp_path: Path, words: list[str]) -> None:
    """A path that does not start there needs none."""
    gone = tmp_path / "gone"
    gone.mkdir()
    arguments = words if words[0] == "models" else [str(song), *words]
    command = [sys.executable, "-m", "stemsplit", *arguments]
    code = f"import os, sys; os.rmdir({str(gone)!r}); os.execv(sys.executable, {command!r})"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gone, env=environment, capture_output=True, check=False
    )
    if words[0] == "models":
        assert done.returncode == 0
    else:
        assert done.returncode == 5
        assert b"stemsplit: error: the current folder was deleted\nhint: " in done.stderr


def test_lack_of_cpu_memory_is_not_a_defect() -> None:
    error = unexpected(RuntimeError(f"[enforce fail] err == 0. {NO_MEMORY}: you tried"))
    assert error.exit_code == 5
