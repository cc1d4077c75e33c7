"""`stemsplit FILE…` as a person uses it: what comes out, where, and with which words."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from command import TINY, files_below, run

from stemsplit.cli.commands import COMMANDS
from stemsplit.declarations import SECTIONS
from stemsplit.models.htdemucs import HTDemucs

STEMS = ["drums", "bass", "other", "vocals"]


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)


def test_four_stems_as_long_as_the_song(song: Path, tmp_path: Path) -> None:
    result = run(song, cwd=tmp_path)
    assert result.code == 0
    assert result.lines == [f"separated/song/{stem}.wav" for stem in STEMS]
    frames = soundfile.info(song).frames
    for line in result.lines:
        info = soundfile.info(tmp_path / line)
        assert (info.frames, info.samplerate, info.channels) == (frames, 44_100, 2)
        assert (info.format, info.subtype) == ("WAV", "FLOAT")
    assert files_below(tmp_path / "separated") == sorted(f"song/{stem}.wav" for stem in STEMS)


def test_two_runs_give_the_same_bytes(song: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert run(song, "-o", folder, cwd=tmp_path).code == 0
    for stem in STEMS:
        first, second = (tmp_path / folder / "song" / f"{stem}.wav" for folder in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_the_rest_is_the_song_without_the_stem(song: Path, tmp_path: Path) -> None:
    result = run(song, "--two-stems", "vocals", cwd=tmp_path)
    assert result.lines == ["separated/song/vocals.wav", "separated/song/no_vocals.wav"]
    vocals, rest = (soundfile.read(tmp_path / line, dtype="float32")[0] for line in result.lines)
    mix = soundfile.read(song, dtype="float32")[0]
    assert np.abs(vocals).max() > 1e-4
    assert np.abs(vocals + rest - mix).max() < 1e-6


def test_only_the_requested_stems(song: Path, tmp_path: Path) -> None:
    result = run(song, "--stems", "vocals, drums", cwd=tmp_path)
    assert result.lines == ["separated/song/vocals.wav", "separated/song/drums.wav"]
    assert files_below(tmp_path / "separated") == ["song/drums.wav", "song/vocals.wav"]


def test_the_requested_stems_equal_those_of_a_whole_run(song: Path, tmp_path: Path) -> None:
    run(song, "-o", "all", cwd=tmp_path)
    run(song, "-o", "one", "--stems", "bass", cwd=tmp_path)
    all_, one = ((tmp_path / folder / "song/bass.wav").read_bytes() for folder in ("all", "one"))
    assert all_ == one


@pytest.mark.parametrize(
    ("options", "subtype"),
    [
        (["--depth", "16"], "PCM_16"),
        (["--depth", "24"], "PCM_24"),
        (["--depth", "32f"], "FLOAT"),
        (["--format", "flac"], "PCM_24"),
        (["--format", "flac", "--depth", "16"], "PCM_16"),
    ],
)
def test_depths(song: Path, tmp_path: Path, options: list[str], subtype: str) -> None:
    result = run(song, "--stems", "vocals", *options, cwd=tmp_path)
    assert result.code == 0
    info = soundfile.info(tmp_path / result.lines[0])
    assert (info.subtype, info.frames) == (subtype, soundfile.info(song).frames)


def test_mp3_has_the_frames_of_the_song(song: Path, tmp_path: Path) -> None:
    result = run(song, "--stems", "vocals", "--format", "mp3", cwd=tmp_path)
    assert result.lines == ["separated/song/vocals.mp3"]
    assert soundfile.info(tmp_path / result.lines[0]).frames == soundfile.info(song).frames


@pytest.mark.parametrize("sample_rate", [8_000, 22_050, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_rate_and_channels_are_kept(tmp_path: Path, sample_rate: int, channels: int) -> None:
    frames = sample_rate + 7
    noise = np.random.default_rng(0).normal(0, 0.1, (frames, channels)).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", noise, sample_rate, subtype="FLOAT")
    result = run("x.wav", "--two-stems", "vocals", cwd=tmp_path)
    assert result.code == 0
    stems = [
        soundfile.read(tmp_path / line, dtype="float32", always_2d=True) for line in result.lines
    ]
    assert [(len(data), data.shape[1], rate) for data, rate in stems] == [
        (frames, channels, sample_rate)
    ] * 2
    assert np.abs(stems[0][0] + stems[1][0] - noise).max() < 1e-6


def test_more_channels_are_mixed_down_with_a_warning(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (44_100, 6)).astype(np.float32)
    soundfile.write(tmp_path / "surround.wav", noise, 44_100)
    result = run("surround.wav", "--stems", "vocals", cwd=tmp_path)
    assert result.code == 0
    assert "warning: surround.wav: 6 channels are mixed down to 2" in result.stderr
    info = soundfile.info(tmp_path / result.lines[0])
    assert (info.channels, info.frames) == (2, 44_100)


def test_a_template(song: Path, tmp_path: Path) -> None:
    template = "{model}/{track}.{trackext} - {stem}.{ext}"
    result = run(song, "-o", "o", "--stems", "bass", "--filename", template, cwd=tmp_path)
    assert result.lines == ["o/tiny.htdemucs/song.wav - bass.wav"]


def test_names_without_an_extension(song: Path, tmp_path: Path) -> None:
    template = "{track} ({stem})"
    result = run(song, "-o", "o", "--stems", "bass", "--filename", template, cwd=tmp_path)
    assert (result.code, result.lines) == (0, ["o/song (bass)"])
    words = "the names of the stems do not end with .wav: end --filename with .{ext}"
    assert f"stemsplit: warning: {words}" in result.stderr.splitlines()


def test_existing_stems_are_refused_replaced_or_left(song: Path, tmp_path: Path) -> None:
    assert run(song, "--stems", "vocals", cwd=tmp_path).code == 0
    target = tmp_path / "separated/song/vocals.wav"
    target.write_bytes(b"precious")
    (target.parent / ".stemsplit.json").unlink()

    refused = run(song, "--stems", "vocals", cwd=tmp_path)
    assert refused.code == 3
    assert refused.stderr.startswith(
        "stemsplit: error: separated/song/vocals.wav: already exists and is not a stem of this "
        "song\nhint: --force"
    )
    assert refused.stdout == ""
    assert target.read_bytes() == b"precious"

    skipped = run(song, "--stems", "vocals", "--skip-existing", cwd=tmp_path)
    assert (skipped.code, skipped.stdout) == (0, "")
    assert target.read_bytes() == b"precious"

    rest = run(song, "--stems", "vocals,bass", "--skip-existing", cwd=tmp_path)
    assert rest.lines == ["separated/song/bass.wav"]
    assert target.read_bytes() == b"precious"

    assert run(song, "--stems", "vocals", "--force", cwd=tmp_path).code == 0
    assert soundfile.info(target).frames == soundfile.info(song).frames


def test_json_has_one_object_per_input(song: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp3").write_text("not audio at all")
    result = run(song, "bad.mp3", "--json", cwd=tmp_path)
    assert result.code == 6
    done, failed = result.records
    assert done["status"] == "done"
    assert done["frames"] == soundfile.info(song).frames
    assert [stem["name"] for stem in done["stems"]] == STEMS
    assert all((tmp_path / stem["path"]).is_file() for stem in done["stems"])
    assert (failed["status"], failed["input"], failed["exit_code"]) == ("failed", "bad.mp3", 3)
    assert "bad.mp3: not an audio file" in failed["error"]


def test_a_bad_song_does_not_stop_the_others(song: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp3").write_text("not audio at all")
    shutil.copy(song, tmp_path / "good.wav")
    result = run("bad.mp3", "good.wav", "--stems", "vocals", cwd=tmp_path)
    assert result.code == 6
    assert result.lines == ["separated/good/vocals.wav"]
    assert "stemsplit: error: bad.mp3: not an audio file" in result.stderr
    assert "1 done, 0 skipped, 1 failed" in result.stderr


def test_a_folder_gives_the_songs_below_it(song: Path, tmp_path: Path) -> None:
    (song.parent / "album").mkdir()
    shutil.copy(song, song.parent / "album" / "second.WAV")
    (song.parent / "cover.jpg").write_bytes(b"no song")
    (song.parent / ".hidden.wav").write_bytes(b"no song")
    result = run("music", "--stems", "vocals", cwd=tmp_path)
    assert result.code == 0
    assert result.lines == ["separated/song/vocals.wav", "separated/album/second/vocals.wav"]


def test_the_same_song_twice_is_one(song: Path, tmp_path: Path) -> None:
    result = run(song, "music/../music/song.wav", "--stems", "vocals", cwd=tmp_path)
    assert (result.code, len(result.lines)) == (0, 1)


def test_two_songs_for_one_file_are_refused_before_any_work(song: Path, tmp_path: Path) -> None:
    shutil.copy(song, song.with_name("other.wav"))
    result = run("music", "--filename", "all/{stem}.{ext}", cwd=tmp_path)
    assert result.code == 2
    assert "would both write separated/all/drums.wav" in result.stderr
    assert not (tmp_path / "separated").exists()


def test_an_input_is_not_overwritten_where_case_counts_for_nothing(
    song: Path, tmp_path: Path
) -> None:
    shutil.copy(song, tmp_path / "VOCALS.wav")
    result = run("VOCALS.wav", "-o", ".", "--filename", "{stem}.{ext}", cwd=tmp_path)
    assert (result.code, result.stdout) == (2, "")
    assert "vocals.wav: the output would overwrite the input VOCALS.wav" in result.stderr


def test_quiet_says_nothing_and_progress_is_lines_elsewhere(song: Path, tmp_path: Path) -> None:
    quiet = run(song, "-q", "-o", "a", cwd=tmp_path)
    assert quiet.stderr == ""
    assert len(quiet.lines) == 4
    plain = run(song, "-o", "b", cwd=tmp_path)
    percents = [line.split(":")[1].split()[0] for line in plain.stderr.splitlines()]
    assert percents[0] == "0"
    assert percents[-1] == "100"
    assert "× real time" in plain.stderr
    verbose = run(song, "-v", "-o", "c", cwd=tmp_path)
    assert (
        "tiny.htdemucs on cpu, 1 thread, float32, 1 segment at a time, loaded in" in verbose.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "Usage: stemsplit [OPTIONS]"),
        (["song.wav", "-n", "nosuch"], 2, "no model 'nosuch'"),
        (["song.wav", "-n", "tiny.htdemcs"], 2, "did you mean tiny.htdemucs?"),
        (["song.wav", "--stems", "vocal"], 2, "no stem 'vocal'"),
        (["song.wav", "--two-stems", "kazoo"], 2, "no stem 'kazoo'"),
        (["song.wav", "--two-stems", "vocals", "--stems", "bass"], 2, "are mutually exclusive"),
        (["song.wav", "-d", "tpu"], 2, "unknown device 'tpu'"),
        (["song.wav", "-d", "cuda:x"], 2, "unknown device 'cuda:x'"),
        (["song.wav", "-d", "cuda:99"], 5, "no device 'cuda:99' on this machine"),
        (["song.wav", "-d", "cpu", "--precision", "fp16"], 2, "does not work on a CPU"),
        (["song.wav", "--format", "xyz"], 2, "'xyz' is not one of"),
        (["song.wav", "--format", "flac", "--depth", "32f"], 2, "flac"),
        (["song.wav", "--filename", "{artist}/{stem}.wav"], 2, "no variable {artist}"),
        (["song.wav", "--filename", "{track}.wav"], 2, "all stems would go to one file"),
        (["song.wav", "--filename", "{stem}.mp3"], 2, "names .mp3 files, but the format is wav"),
        (["song.wav", "--overlap", "1.5"], 2, "--overlap"),
        (["song.wav", "--frobnicate"], 2, "--frobnicate"),
        (["song.wav", "--force", "--skip-existing"], 2, "are mutually exclusive"),
        (["song.wav", "-n", "./nosuch.safetensors"], 4, "no such checkpoint file"),
        (["nosuch.wav"], 3, "nosuch.wav: no such file"),
    ],
)
def test_wrong_usage(
    song: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    shutil.copy(song, tmp_path / "song.wav")
    result = run(*arguments, cwd=tmp_path)
    assert words in result.stderr
    assert (result.code, result.stdout) == (code, "")
    assert not (tmp_path / "separated").exists()
    if arguments:
        first, *_ = result.stderr.splitlines()
        assert first.startswith("stemsplit: error: ")


def test_help_and_version(tmp_path: Path) -> None:
    for flag in ("--help", "-h"):
        shown = run(flag, cwd=tmp_path)
        assert (shown.code, shown.stderr) == (0, "")
        assert "--two-stems" in shown.stdout
        assert "stemsplit song.mp3\n" in shown.stdout
    assert shown.stdout == run(cwd=tmp_path).stderr
    version = run("--version", cwd=tmp_path)
    assert version.code == 0
    assert version.stdout.startswith("stemsplit ")
    assert len(version.lines) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "FLAC"),
        ("--stems", "Vocals"),
        ("--two-stems", "VOCALS"),
        ("--device", "CPU"),
        ("--clip", "Linked"),
    ],
)
def test_values_may_have_any_case(words: tuple[str, str], song: Path, tmp_path: Path) -> None:
    option, value = words
    results = [run(song, "--dry-run", option, v, cwd=tmp_path) for v in (value, value.lower())]
    assert results[0] == results[1]
    assert results[0].code == 0


def test_repeated_stems_add_up(song: Path, tmp_path: Path) -> None:
    asked = ("--stems", "vocals", "--stems", "drums,vocals")
    result = run(song, *asked, "--dry-run", cwd=tmp_path)
    assert result.lines == ["separated/song/vocals.wav", "separated/song/drums.wav"]


@pytest.mark.parametrize("words", [(), ("watch",)])
def test_the_short_help_fits_a_small_terminal(words: tuple[str, ...], tmp_path: Path) -> None:
    lines = run(*words, "-h", cwd=tmp_path).lines
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[-1] == f"All options: {' '.join(('stemsplit', *words))} --help"


@pytest.mark.parametrize("words", [(), ("watch",)])
def test_the_long_help_has_sections(words: tuple[str, ...], tmp_path: Path) -> None:
    """Only what belongs to no section is in none, so that a new option is not forgotten."""
    shown = run(*words, "--help", cwd=tmp_path).stdout
    assert "<list" not in shown
    sections = re.findall(r"^([A-Z][\w ]+):$", shown, re.MULTILINE)
    assert sections == ["Examples", *SECTIONS, "Other options"]
    rest = shown.partition("Other options:\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"^  (-\S+)", rest, re.MULTILINE)) <= {"--version", "-h", "--help"}
    commands = shown.partition("Commands (stemsplit NAME --help):\n")[2].split("\n")
    assert [line.split()[0] for line in commands if line] == (
        [name for name in COMMANDS if name != "split"] if not words else []
    )


def test_records_are_valid_json_even_for_names_that_are_not_text(
    song: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "byte\udcff.wav"
    shutil.copy(song, odd)
    result = run(odd, "--stems", "vocals", "--json", cwd=tmp_path)
    assert result.code == 0
    assert json.loads(result.stdout)["input"] == str(odd)
    assert files_below(tmp_path / "separated") == ["byte_/vocals.wav"]


@pytest.mark.parametrize(
    ("words", "frames"),
    [
        (("--start", "0:01", "--duration", "0.5"), 22_050),
        (("--start", "1.5"), int(0.5 * 44_100)),
        (("--end", "0.25"), 11_025),
        (("--preview", "1"), 44_100),
    ],
)
def test_a_part_of_the_song(
    song: Path, tmp_path: Path, words: tuple[str, ...], frames: int
) -> None:
    done = run("-n", TINY, "--stems", "bass", *words, song, cwd=tmp_path)
    assert done.code == 0
    assert soundfile.info(tmp_path / done.lines[0]).frames == frames


def test_an_excerpt_beyond_the_end(song: Path, tmp_path: Path) -> None:
    failed = run("-n", TINY, "--start", "1:00", song, cwd=tmp_path)
    assert (failed.code, failed.stdout) == (3, "")
    assert failed.stderr == f"stemsplit: error: {song}: ends at 0:02, before 1:00\n"


@pytest.mark.parametrize("batch", ["0", "-1", "many", "1.5"])
def test_a_batch_is_a_number_or_auto(song: Path, tmp_path: Path, batch: str) -> None:
    failed = run("-n", TINY, f"--batch={batch}", song, cwd=tmp_path)
    assert (failed.code, failed.stderr) == (
        2,
        f"stemsplit: error: --batch must be a number of segments or auto, not {batch!r}\n",
    )
    done = run("-n", TINY, "--stems", "bass", "--batch", "auto", "-v", song, cwd=tmp_path)
    assert done.code == 0
    assert f"{TINY} on cpu, 1 thread, float32, 1 segment at a time, loaded in " in done.stderr


def test_where_memory_runs_out_the_song_goes_on_with_less(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("-n", TINY, "--stems", "bass", "-o", "one", song, cwd=tmp_path)
    forward = HTDemucs.forward

    heard: list[torch.Tensor] = []

    def fits_one_later(self: HTDemucs, mix: torch.Tensor) -> torch.Tensor:
        if len(mix) > 1 and heard:
            raise torch.OutOfMemoryError("tried to allocate 3.00 GiB")
        heard.extend(mix)
        return forward(self, mix)

    monkeypatch.setattr(HTDemucs, "forward", fits_one_later)
    done = run("-n", TINY, "--stems", "bass", "-o", "two", "--batch", "2", song, cwd=tmp_path)
    assert done.code == 0
    assert [line for line in done.stderr.splitlines() if "warning" in line] == [
        f"stemsplit: warning: {song}: out of memory on cpu: continuing with cpu, 1 thread, "
        "float32, 1 segment at a time"
    ]
    one, two = (soundfile.read(tmp_path / result.lines[0])[0] for result in (whole, done))
    assert np.abs(one - two).max() < 1e-6
    segments = {mix.numpy().tobytes() for mix in heard}
    assert len(heard) == len(segments) > 2  # none is computed again


def test_progress_for_programs_is_an_object_a_line(song: Path, tmp_path: Path) -> None:
    done = run("-n", TINY, "--stems", "bass", "--progress", "ndjson", song, "x.wav", cwd=tmp_path)
    assert done.code == 6
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {event["schema"] for event in events} == {1}
    kinds = [event["event"] for event in events]
    assert list(dict.fromkeys(kinds)) == ["opened", "separated", "finished", "error", "note"]
    opened = events[kinds.index("opened")]
    assert (opened["input"], opened["sample_rate"], opened["duration"]) == (str(song), 44_100, 2.0)
    separated = [event for event in events if event["event"] == "separated"]
    frames = 2 * 44_100
    assert [event["total"] for event in separated] == [frames] * len(separated)
    assert separated[0]["done"] == 0
    assert separated[-1]["done"] == frames
    assert sorted(event["done"] for event in separated) == [event["done"] for event in separated]
    finished = events[kinds.index("finished")]
    assert finished["stems"] == {"bass": f"separated/{song.stem}/bass.wav"}
    error = events[kinds.index("error")]
    assert (error["error"], error["exit_code"]) == ("x.wav: no such file", 3)


@pytest.mark.parametrize("words", [["--progress", "ndjson"], ["--progress=ndjson"]])
def test_an_error_is_an_object_too(words: list[str], tmp_path: Path) -> None:
    failed = run("song.wav", "-n", "nosuch", *words, cwd=tmp_path)
    error = json.loads(failed.stderr)
    assert (failed.code, error["event"], error["exit_code"]) == (2, "error", 2)
    assert error["error"] == "no model 'nosuch'"


def test_progress_can_be_silenced_separately(song: Path, tmp_path: Path) -> None:
    done = run("-n", TINY, "--stems", "bass", "--progress", "none", song, "x.wav", cwd=tmp_path)
    assert "%" not in done.stderr
    assert "1 done, 0 skipped, 1 failed" in done.stderr
