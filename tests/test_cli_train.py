"""``stemsplit train`` as a person meets it: lists, errors in one line, the check, the result."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Result, run
from training import write_recipe, write_songs

from stemsplit.training.recipe_file import list_recipes


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(tmp_path / "cache"))


def train(folder: Path, songs: Path, *further: object) -> Result:
    recipe = write_recipe(folder)
    places = ("--data", songs, "--out", folder / "run", "--device", "cpu", "--workers", 0)
    return run("train", recipe, *places, *further, cwd=folder)


def test_the_list_names_every_recipe_with_its_purpose(tmp_path: Path) -> None:
    result = run("train", "recipes", cwd=tmp_path)
    assert (result.code, result.stderr) == (0, "")
    assert [line.split()[0] for line in result.lines] == list(list_recipes())
    assert all(len(line) <= 80 for line in result.lines)


def test_a_run_prints_the_path_of_the_best_weights_which_separate(
    tmp_path: Path, songs: Path
) -> None:
    result = train(tmp_path, songs, "--steps", 2, "--seed", 3)
    assert (result.code, result.lines) == (0, [str(tmp_path / "run/best.safetensors")])
    assert "steps/s" in result.stderr
    assert "× real time" in result.stderr
    assert "% waiting for data" in result.stderr
    song = songs / "song 0/vocals.wav"
    split = run(song, "-n", result.lines[0], "-o", tmp_path / "out", cwd=tmp_path)
    assert split.code == 0
    assert [Path(line).name for line in split.lines] == ["vocals.wav", "accompaniment.wav"]


def test_quiet_hides_all_but_the_path(tmp_path: Path, songs: Path) -> None:
    result = train(tmp_path, songs, "--steps", 1, "-q")
    assert result.stderr == ""


def test_the_check_shows_what_each_source_gains(tmp_path: Path, songs: Path) -> None:
    quick = ("--set", "optimizer.lr=0.05", "--set", "network.dropout=0.0")
    result = train(tmp_path, songs, "--check", *quick)
    assert result.code == 0
    heads = [line.split()[0] for line in result.lines]
    assert heads == ["stem", "vocals", "accompaniment"]
    assert all(line.endswith(" dB") for line in result.lines[1:])
    assert not (tmp_path / "run").exists()


def test_the_check_fails_if_a_source_is_not_learned(
    tmp_path: Path, songs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemsplit.training.overfit.BUDGET", 1.0)
    monkeypatch.setattr("stemsplit.training.overfit.LEAST_RATE", 0.0)
    result = train(tmp_path, songs, "--check", "--set", "optimizer.lr=1e-12")
    assert result.code == 6
    assert "error: does not learn vocals" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--set", "optimizer.lrr=1"), 2, "unknown key optimizer.lrr"),
        (("--map", "vocals"), 2, "--map takes STEM=PATTERN, not 'vocals'"),
        (("--device", "tpu"), 2, "unknown device 'tpu'"),
        (("--init", "nosuch"), 2, "no model 'nosuch'"),
        (("--init", "tiny.htdemucs"), 4, "and the recipe is for a unet:UNet"),
        (("--from", "elsewhere@5"), 2, "no state of step 5"),
        (("--logger", "nothing"), 2, "--logger takes MODULE:FUNCTION"),
        (("--set", "network.sources=['vocals']"), 2, "a mixture of vocals alone"),
        (("--set", "network.depht=1"), 2, "unknown key network.depht"),
        (("--set", "loss=[{name='nosuch'}]"), 2, "nosuch"),
        (("--set", "augment=[{name='nosuch'}]"), 2, "nosuch"),
        (("--set", "fine_tuning.freeze=['nosuch']"), 2, "no parameter matches 'nosuch'"),
        (("--data", "missing"), 3, "missing"),
        (("--set", "network.sources=['vocals', 'drums']"), 3, "has the source drums"),
    ],
    ids=lambda value: str(value[1]) if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_line_with_its_exit_code(
    tmp_path: Path, songs: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = train(tmp_path, songs, *arguments)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("hint: ")]
    errors = [line for line in lines if line.startswith("stemsplit: error: ")]
    assert (result.code, len(errors)) == (code, 1), result.stderr
    assert message in errors[0]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("missing", ["--data", "--out"])
def test_a_missing_option_is_named(tmp_path: Path, songs: Path, missing: str) -> None:
    given = {"--data": songs, "--out": tmp_path / "run"}
    del given[missing]
    words = [word for pair in given.items() for word in pair]
    result = run("train", write_recipe(tmp_path), *words, cwd=tmp_path)
    assert result.code == 2
    assert f"{missing} is missing" in result.stderr


def test_a_corrupt_song_is_left_out_with_a_warning(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs", 4)
    (songs / "song 1/vocals.wav").write_bytes(b"not a sound")
    result = train(tmp_path, songs, "--steps", 1)
    assert result.code == 0
    assert "warning: song 1" in result.stderr
    counted = [line for line in result.stderr.splitlines() if "songs to train on" in line]
    assert len(counted) == 1
    assert "1 to validate on, 1 left out, " in counted[0]


def test_a_full_folder_of_another_program_is_not_a_run(tmp_path: Path, songs: Path) -> None:
    (tmp_path / "run").write_text("a file")
    result = train(tmp_path, songs, "--steps", 1)
    assert result.code == 3
    assert "is not a folder" in result.stderr or "cannot be written" in result.stderr


def test_songs_of_several_folders_keep_apart(tmp_path: Path, songs: Path) -> None:
    more = write_songs(tmp_path / "more", 2, name="another song")
    result = train(tmp_path, songs, "--data", more, "--steps", 1)
    assert result.code == 0
    named = (tmp_path / "run/run.json").read_text()
    assert '"1/song 0"' in named
    assert '"2/another song 0"' in named


def test_a_yaml_file_of_the_community_gives_the_network(tmp_path: Path) -> None:
    """A tiny RoFormer, described as the community's trainer does."""
    root = write_songs(tmp_path / "songs")
    for path in root.glob("*/accompaniment.wav"):
        path.rename(path.with_name("other.wav"))
    (tmp_path / "config.yaml").write_text(YAML)
    places = ("--data", root, "--out", tmp_path / "run", "--device", "cpu", "--workers", 0)
    given = ("--config", tmp_path / "config.yaml", "--set", "precision=fp32")
    result = run("train", "bs_roformer", *places, *given, "--steps", 1, "--set", "batch=1",
                 "--set", "validation.seconds=1", cwd=tmp_path)  # fmt: skip
    assert result.code == 0, result.stderr
    assert '"architecture": "bs_roformer:BSRoformer"' in (tmp_path / "run/run.json").read_text()


YAML = """
audio:
  chunk_size: 8000
  sample_rate: 8000
  num_channels: 2
model:
  dim: 16
  depth: 1
  stereo: true
  num_stems: 2
  sample_rate: 8000
  time_transformer_depth: 1
  freq_transformer_depth: 1
  heads: 2
  dim_head: 8
  stft_n_fft: 256
  stft_hop_length: 100
  stft_win_length: 256
  freqs_per_bands: !!python/tuple [32, 32, 65]
  mask_estimator_depth: 1
  mlp_expansion_factor: 1
training:
  batch_size: 1
  gradient_accumulation_steps: 1
  grad_clip: 0
  instruments: [vocals, other]
  lr: 1.0e-3
  num_epochs: 1
  num_steps: 10
  optimizer: adam
  use_amp: false
inference:
  batch_size: 1
  num_overlap: 2
"""
