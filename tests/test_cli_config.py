"""The configuration file: what holds, where it comes from, and what is said when it is wrong."""

from __future__ import annotations

import pwd
import sys
import tomllib
from pathlib import Path
from typing import NoReturn

import pytest
from command import TINY, run


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "settings.toml"
    path.touch()
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(path))
    return path


def origin_of(name: str, lines: list[str]) -> tuple[str, str]:
    """Return the value of the option ``name`` as it is shown, and where it comes from."""
    line = next(line for line in lines if line.startswith((f"{name} =", f"# {name} =")))
    setting, _, origin = line.rpartition("  # ")
    return setting.split(" = ")[-1].strip(), origin


def test_the_command_line_overrides_the_environment_which_overrides_the_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('format = "flac"\ndepth = "24"\nbitrate = 128\n')
    monkeypatch.setenv("STEMSPLIT_DEPTH", "16")
    shown = run("--print-config", "--bitrate", "64", "song.wav", cwd=tmp_path)
    assert (shown.code, shown.stderr) == (0, "")
    assert origin_of("format", shown.lines) == ('"flac"', str(config))
    assert origin_of("depth", shown.lines) == ('"16"', "environment: STEMSPLIT_DEPTH")
    assert origin_of("bitrate", shown.lines) == ('"64"', "command line")
    assert origin_of("shifts", shown.lines) == ("1", "default")
    assert origin_of("overlap", shown.lines)[1] == "not set"
    assert run("config", "show", cwd=tmp_path).stdout.count("command line") == 0


def test_what_is_shown_is_a_configuration_file(config: Path, tmp_path: Path) -> None:
    config.write_text(f'model = "{TINY}"\nquiet = 2\nforce = true\n')
    shown = run("config", "show", cwd=tmp_path)
    config.write_text(shown.stdout)
    settings = tomllib.loads(shown.stdout)
    assert (settings["model"], settings["quiet"], settings["force"]) == (TINY, 2, True)
    again = run("config", "show", cwd=tmp_path)
    assert [line.rpartition("  # ")[0] for line in again.lines] == [
        line.rpartition("  # ")[0] for line in shown.lines
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "given_way"),
    [
        ('stems = "bass"', ["--two-stems", "vocals"], "stems"),
        ('two-stems = "bass"', ["--stems", "vocals"], "two-stems"),
        ('ensemble = "tiny.htdemucs,tiny.demucs"', ["-n", TINY], "ensemble"),
        ("skip-existing = true", ["--force"], "skip-existing"),
        ("force = true", ["--resume"], "force"),
        ('preview = "0:02"', ["--start", "1"], "preview"),
        ("end = 30", ["--duration", "1"], "end"),
        ("start = 1\nend = 2", ["--preview", "1"], "start"),
        ("quality = 2", ["--format", "mp3", "--bitrate", "192"], "quality"),
        ("[split]\nforce = true", ["--skip-existing"], "force"),
    ],
)
def test_a_setting_gives_way_to_another_option_that_excludes_it(
    config: Path,
    song: Path,
    tmp_path: Path,
    text: str,
    arguments: list[str],
    given_way: str,
) -> None:
    config.write_text(f"{text}\n")
    shown = run("--print-config", *arguments, song, cwd=tmp_path)
    line = next(line for line in shown.lines if line.lstrip("# ").startswith(f"{given_way} "))
    assert line.endswith(("# not set", "# default"))
    assert run("--dry-run", "-n", TINY, *arguments, song, cwd=tmp_path).code == 0
    with_variable = run("config", "show", cwd=tmp_path).lines
    line = next(line for line in with_variable if line.startswith(f"{given_way} "))
    assert line.endswith(f"# {config}")


def test_a_variable_and_a_table_override_conflicting_settings_of_the_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('ensemble = "a,b"\nstems = "bass"\n[split]\ntwo-stems = "vocals"\n')
    shown = run("config", "show", cwd=tmp_path).lines
    assert origin_of("ensemble", shown) == ('"a,b"', str(config))
    assert origin_of("stems", shown)[1] == "not set"
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)
    assert origin_of("ensemble", run("config", "show", cwd=tmp_path).lines)[1] == "not set"


def test_lists_are_written_as_toml_has_them_or_as_on_the_command_line(
    config: Path, song: Path, tmp_path: Path
) -> None:
    config.write_text(
        f'model = "{TINY}"\nstems = ["bass", "drums"]\nmix = "k=mix-vocals"\ndaw = ["reaper"]\n'
    )
    done = run("--dry-run", song, cwd=tmp_path)
    names = [Path(line).name for line in done.lines]
    assert names == ["bass.wav", "drums.wav", "k.wav", f"{song.stem}.rpp"]
    config.write_text('format = ["wav"]\n')
    failed = run(song, cwd=tmp_path)
    assert failed.code == 2
    assert failed.stderr == f"stemsplit: error: {config}: format takes a single value, not a list\n"


def test_settings_are_used(config: Path, song: Path, tmp_path: Path) -> None:
    config.write_text(f'model = "{TINY}"\nstems = "bass"\nformat = "flac"\nout = "stems"\n')
    done = run(song, cwd=tmp_path)
    assert (done.code, done.lines) == (0, [f"stems/{song.stem}/bass.flac"])
    assert (tmp_path / done.lines[0]).is_file()


def test_shared_settings_apply_to_all_commands_unless_a_table_overrides_them(
    config: Path, tmp_path: Path
) -> None:
    config.write_text('model = "htdemucs_ft"\nout = "x"\n[demo]\nseconds = 5\n')
    shown = run("config", "show", "demo", cwd=tmp_path).lines
    assert origin_of("model", shown) == ('"htdemucs_ft"', str(config))
    assert origin_of("seconds", shown) == ("5.0", str(config))
    # --out of demo is another option: it has no environment variable.
    assert origin_of("out", shown) == ('"demo"', "default")
    config.write_text('model = "htdemucs_ft"\n[demo]\nmodel = "htdemucs"\n')
    assert origin_of("model", run("config", "show", "demo", cwd=tmp_path).lines)[0] == '"htdemucs"'
    config.write_text("[models.pull]\noffline = true\n")
    assert origin_of("offline", run("config", "show", "models.pull", cwd=tmp_path).lines) == (
        "true",
        str(config),
    )


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ('modle = "x"', "unknown setting: modle", "did you mean model?"),
        ("[dmeo]", "unknown setting: [dmeo]", "did you mean demo?"),
        ("[split]\nxyzzy = 1", "unknown setting: [split] xyzzy", "man stemsplit-config"),
        ('two-stem = "bass"', "unknown setting: two-stem", "did you mean two-stems?"),
        ("version = true", "unknown setting: version", ""),
        ('depth = "17"', "'17' is not one of '16', '24', '32f'", ""),
        ("overlap = 3", "must be at most 0.99", ""),
        ('daw = ["dawproject", "Reper"]', "unknown DAW 'reper'", "did you mean reaper?"),
        ('start = "1:3"', "invalid time '1:3'", "90.5, 1:30"),
        ('model = "htdemuc"', "no model 'htdemuc'", "did you mean htdemucs?"),
        ('batch = "many"', "--batch must be a number of segments or auto", ""),
        ("split = 3", "unknown setting: split", ""),
        ("x = [", "invalid TOML", ""),
    ],
)
def test_an_invalid_setting_is_reported_with_the_file(
    config: Path, tmp_path: Path, text: str, reason: str, hint: str
) -> None:
    config.write_text(text)
    failed = run("song.wav", cwd=tmp_path)
    assert failed.code == 2
    assert failed.stderr.startswith(f"stemsplit: error: {config}: ")
    assert reason in failed.stderr
    assert hint in failed.stderr
    # Commands that help to repair it still work.
    assert run("--help", cwd=tmp_path).code == 0
    assert run("config", "path", cwd=tmp_path).stdout == f"{config}\n"


def test_an_invalid_option_is_not_reported_with_the_file(config: Path, tmp_path: Path) -> None:
    config.write_text('start = "1:30"\ndaw = "reaper"\n')
    failed = run("song.wav", "--start", "1:3", cwd=tmp_path)
    assert failed.stderr.startswith("stemsplit: error: invalid time '1:3'\n")
    failed = run("song.wav", "--stems", "drms", cwd=tmp_path)
    assert failed.stderr.startswith("stemsplit: error: the model has no stem 'drms'\n")


def test_an_invalid_setting_of_a_subcommand_is_reported_with_the_file(
    config: Path, tmp_path: Path
) -> None:
    config.write_text('[models.list]\nstem = "vocls"\n')
    reason = "no model has the stem 'vocls'\nhint: did you mean vocals?"
    failed = run("models", "list", cwd=tmp_path)
    assert (failed.code, failed.stdout) == (2, "")
    assert failed.stderr.startswith(f"stemsplit: error: {config}: {reason}")
    typed = run("models", "list", "--stem", "vocls", cwd=tmp_path)
    assert typed.stderr.startswith(f"stemsplit: error: {reason}")


def test_a_file_that_is_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_CONFIG", "gone.toml")
    failed = run("song.wav", cwd=tmp_path)
    assert failed.code == 2
    assert failed.stderr == "stemsplit: error: gone.toml: no such file\nhint: " + (
        "set by STEMSPLIT_CONFIG\n"
    )
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path))
    assert "cannot be read: Is a directory" in run("song.wav", cwd=tmp_path).stderr


def test_the_usual_file_is_in_the_configuration_folder_of_the_user_and_never_here(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEMSPLIT_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/settings"))
    (tmp_path / "config.toml").write_text("nonsense = 1\n")
    path = Path(run("config", "path", cwd=tmp_path).stdout.strip())
    assert tmp_path / "home" in path.parents
    assert path.name == "config.toml"
    assert run("config", "show", cwd=tmp_path).code == 0
    path.parent.mkdir(parents=True)
    path.write_text('depth = "16"\n')
    assert origin_of("depth", run("config", "show", cwd=tmp_path).lines) == ('"16"', str(path))


@pytest.mark.skipif(sys.platform != "linux", reason="the folders are those of Linux")
def test_a_user_without_a_home_has_folders_below_the_root(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlisted(number: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unlisted)
    for name in ("HOME", "STEMSPLIT_CONFIG", "STEMSPLIT_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert run("config", "path", cwd=tmp_path).lines == ["/.config/stemsplit/config.toml"]
    assert run("models", "path", cwd=tmp_path).lines == ["/.cache/stemsplit"]
    assert run(song, "-n", TINY, "--dry-run", cwd=tmp_path).code == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run("models", "path", cwd=tmp_path).lines == [str(tmp_path / "cache" / "stemsplit")]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("nosuch", "unknown command: nosuch"),
        ("models", "models has no options itself"),
        ("models.nosuch", "unknown command: models.nosuch"),
    ],
)
def test_config_show_knows_the_commands(command: str, reason: str, tmp_path: Path) -> None:
    failed = run("config", "show", command, cwd=tmp_path)
    assert failed.code == 2
    assert reason in failed.stderr
