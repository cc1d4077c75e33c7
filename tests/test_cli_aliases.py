"""What people type from demucs, Spleeter, audio-separator and Open-Unmix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile
import typer
from command import TINY, files_below, run

from stemsplit.cli.commands import load_command
from stemsplit.cli.foreign_options import FOREIGN, WORDS, ForeignOption

ROWS = [(program, row) for program, rows in FOREIGN.items() for row in rows]
#: All options of demucs 4.1.0, spleeter 2.4.2 (separate), audio-separator 0.47.1, openunmix 1.3.0.
THEIR_OPTIONS = {
    "demucs": (
        "-s --sig -n --name --repo --list-models -v --verbose -o --out --filename -d --device "
        "--shifts --overlap --no-split --segment --two-stems --other-method --int24 --float32 "
        "--clip-mode --flac --mp3 --mp3-bitrate --mp3-preset -j --jobs -h --help"
    ),
    "Spleeter": (
        "-i --inputs -a --adapter -b --bitrate -c --codec -d --duration -s --offset -o "
        "--output_path -f --filename_format -p --params_filename --mwf --verbose --version --help"
    ),
    "audio-separator": (
        "-h --help -v --version -d --debug -e --env_info -l --list_models --log_level "
        "--list_filter --list_limit --list_format -m --model_filename --extra_models "
        "--output_format --output_bitrate --output_dir --model_file_dir --download_model_only "
        "--invert_spect --normalization --amplification --single_stem --sample_rate "
        "--use_soundfile --use_autocast --use_native_fp16 --use_torch_compile --use_directml "
        "--chunk_duration --ensemble_algorithm --ensemble_weights --ensemble_preset "
        "--list_presets --custom_output_names --mdx_segment_size --mdx_overlap --mdx_batch_size "
        "--mdx_hop_length --mdx_enable_denoise --vr_batch_size --vr_window_size --vr_aggression "
        "--vr_enable_tta --vr_high_end_process --vr_enable_post_process "
        "--vr_post_process_threshold --demucs_segment_size --demucs_shifts --demucs_overlap "
        "--demucs_segments_enabled --mdxc_segment_size --mdxc_override_model_segment_size "
        "--mdxc_overlap --mdxc_batch_size --mdxc_pitch_shift"
    ),
    "Open-Unmix": (
        "-h --help --model --targets --outdir --ext --start --duration --no-cuda --audio-backend "
        "--niter --wiener-win-len --residual --aggregate --filterbank --verbose"
    ),
}


def own_options() -> set[str]:
    command = typer.main.get_command(load_command("split"))
    return {name for each in command.params for name in each.opts} | {"--help"}


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


@pytest.mark.parametrize("program", THEIR_OPTIONS)
def test_every_option_of_the_program_works_or_gets_a_hint(program: str) -> None:
    answered = {name for row in FOREIGN[program] for name in row.names}
    assert set(THEIR_OPTIONS[program].split()) - answered <= own_options()
    assert answered <= set(THEIR_OPTIONS[program].split())


@pytest.mark.parametrize(("program", "row"), ROWS, ids=lambda each: str(getattr(each, "names", "")))
def test_a_row_names_options_that_exist(program: str, row: ForeignOption) -> None:
    words = row.here if row.here is not None else row.hint
    assert options_in(words) - {"-ar", "--json", "--stem"} <= own_options()
    assert row.here is not None or row.hint


def test_an_option_that_exists_here_is_only_taken_for_certain_values() -> None:
    for _, row in ROWS:
        if own_options() & set(row.names):
            assert row.values or row.only != ".*"


SAME = {
    "--mp3": "--format mp3",
    "--flac": "--format flac",
    "--int24": "--depth 24",
    "--float32": "--depth 32f",
    "--mp3 --mp3-bitrate 192": "--format mp3 --bitrate 192",
    "--mp3 --mp3-bitrate=192": "--format mp3 --bitrate 192",
    "--clip-mode clamp": "--clip clamp",
    "--shifts 0": "--shifts 1",
    "--two-stems vocals --other-method minus": "--two-stems vocals",
    "--name tiny.unet": "--model tiny.unet",
    "-c mp3 -b 192k": "--format mp3 --bitrate 192k",
    "--codec mp3": "--format mp3",
    "-p tiny.unet -s 0.5": "-n tiny.unet --start 0.5",
    "-ptiny.unet": "-n tiny.unet",
    "--offset 0.5": "--start 0.5",
    "--output_path there": "--out there",
    "-f {filename}-{instrument}.{codec}": "--filename {track}-{stem}.{ext}",
    "-vf {filename}-{instrument}.{codec}": "-v --filename {track}-{stem}.{ext}",
    "-m tiny.unet --output_format MP3": "-n tiny.unet --format mp3",
    "--output_format MP3 --format mp3": "--format mp3",
    "--output_dir=there --output-bitrate 192k --mp3": "--out there --bitrate 192k --format mp3",
    "--single_stem Vocals": "--stems vocals",
    "--demucs_shifts 0 --demucs_overlap 0.5": "--shifts 1 --overlap 0.5",
    "--demucs_segment_size Default --mdxc_batch_size 2": "--batch 2",
    "--targets vocals drums --outdir there": "--stems vocals --stems drums --out there",
    "--ext .flac --no-cuda": "--format flac --device cpu",
}


@pytest.mark.parametrize("theirs", SAME)
def test_an_alias_is_the_same_as_its_translation(theirs: str, tmp_path: Path) -> None:
    shown = [
        run("song.wav", *words.split(), "--print-config", cwd=tmp_path)
        for words in (theirs, SAME[theirs])
    ]
    assert shown[0].code == 0, shown[0].stderr
    # A value may be written in another case.
    assert shown[0].stdout.lower() == shown[1].stdout.lower()


REFUSED = {
    "--mp3-preset 2": "--bitrate",
    "--no-split": "--segment",
    "--list-models": "stemsplit models list",
    "--other-method add": "--mix no_vocals=drums+bass+other",
    "--other-method none": "--stems vocals",
    "--clip-mode rescale": "--clip linked",
    "-j 0": "--jobs",
    "-d 30": "--duration 30",
    "-f {foldername}/{filename}/{instrument}.{codec}": "--filename '{track}/{stem}.{ext}'",
    "--mwf": "omit it",
    "-l": "stemsplit models list",
    "-ql": "stemsplit models list",
    "--list_models": "stemsplit models list",
    "--list_filter vocals": "stemsplit models list --stem vocals",
    "--model_file_dir there": "STEMSPLIT_CACHE_DIR",
    "--normalization 0.9": "--clip linked",
    "--residual rest": "--mix rest=",
    "-s model": "-s SECONDS (Spleeter)",
    "--clip-mode soft": "none|clamp",
}


@pytest.mark.parametrize("words", REFUSED)
def test_options_without_an_equivalent_get_a_hint(words: str, tmp_path: Path) -> None:
    result = run("song.wav", *words.split(), cwd=tmp_path)
    assert result.code == 2
    error, hint = result.stderr.splitlines()
    assert words.split()[0].replace("-ql", "-l") in error
    assert hint.startswith("hint: ") and REFUSED[words] in hint


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--mp3 --flac", "--mp3 and --flac are mutually exclusive"),
        ("--mp3 --format wav", "--mp3 and --format wav are mutually exclusive"),
        ("--format=wav --mp3", "--format wav and --mp3 are mutually exclusive"),
        ("--int24 --float32", "--int24 and --float32 are mutually exclusive"),
        ("--no-cuda -d cuda", "--no-cuda and -d cuda are mutually exclusive"),
        ("--mp3-bitrate", "Option '--mp3-bitrate' requires an argument."),
        ("--mp3 --int24", "mp3"),
    ],
)
def test_contradictions_are_errors(words: str, error: str, song: Path, tmp_path: Path) -> None:
    result = run(song, "-n", TINY, *words.split(), cwd=tmp_path)
    assert result.code == 2
    assert error in result.stderr.splitlines()[0]
    assert not (tmp_path / "separated").exists()


def test_the_last_of_our_own_options_wins(tmp_path: Path) -> None:
    words = ("song.wav", "--format", "wav", "--format", "mp3", "--print-config")
    shown = run(*words, cwd=tmp_path)
    assert (shown.code, 'format = "mp3"' in re.sub(" +", " ", shown.stdout)) == (0, True)
    assert run(*words, "--mp3", cwd=tmp_path).code == 2  # but not beside an alias


def test_values_of_our_options_are_never_taken_for_options(tmp_path: Path) -> None:
    shown = run("song.wav", "--input-name", "--mp3", "-o", "-m", "--print-config", cwd=tmp_path)
    assert shown.code == 0
    lines = [line.split("#")[0].split() for line in shown.lines]
    assert ["out", "=", '"-m"'] in lines and ["input-name", "=", '"--mp3"'] in lines
    assert ["format", "=", '"wav"'] in lines


def test_what_follows_two_dashes_is_a_file(tmp_path: Path) -> None:
    result = run("-n", TINY, "--", "--mp3", "models", cwd=tmp_path)
    assert result.code == 3
    assert "--mp3: no such file" in result.stderr


def test_an_alias_outranks_a_setting(song: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('format = "wav"\ndepth = "16"\nquality = "2"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "config.toml"))
        words = ("-n", TINY, "--mp3", "--mp3-bitrate", "128", "--stems", "vocals", "-o", "out")
        result = run(song, *words, cwd=tmp_path)
    assert (result.code, result.lines) == (0, ["out/song/vocals.mp3"])


def test_a_command_line_of_demucs(song: Path, tmp_path: Path) -> None:
    words = f"-n {TINY} --two-stems=vocals -d cpu -j 2 --flac --int24 -o out".split()
    result = run(*words, song, cwd=tmp_path)
    assert result.code == 0
    assert files_below(tmp_path / "out") == ["song/no_vocals.flac", "song/vocals.flac"]
    assert soundfile.info(tmp_path / "out/song/vocals.flac").subtype == "PCM_24"
    assert "-j sets how many songs to decode ahead" in result.stderr


def test_jobs_for_several_songs_needs_no_remark(song: Path, tmp_path: Path) -> None:
    words = ("-n", TINY, "--jobs", 2, "--dry-run")
    assert "decode ahead" not in run(song.parent, *words, cwd=tmp_path).stderr
    assert "decode ahead" not in run(song, *words, "-q", cwd=tmp_path).stderr
    assert "decode ahead" in run(song, *words, cwd=tmp_path).stderr


@pytest.mark.parametrize("inputs", ["{}", "-i {}", "--inputs {}"])
def test_a_command_line_of_spleeter(inputs: str, song: Path, tmp_path: Path) -> None:
    template = "{filename}_{instrument}.{codec}"
    words = f"separate {inputs.format(song)} -p {TINY} -c ogg -s 0.1 -o out -f {template}".split()
    result = run(*words, "--dry-run", cwd=tmp_path)
    assert result.code == 0
    assert "out/song_vocals.ogg" in result.lines


def test_a_file_called_separate_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "separate").write_text("no audio")
    result = run("separate", "-n", TINY, cwd=tmp_path)
    assert (result.code, result.stderr.split(":")[2].strip()) == (3, "separate")


@pytest.mark.parametrize("word", WORDS)
def test_an_unknown_command_gets_a_hint(word: str, tmp_path: Path) -> None:
    result = run(word, "more", cwd=tmp_path)
    error = f"stemsplit: error: no command or file named {word!r}\nhint: {WORDS[word]}\n"
    assert (result.code, result.stderr) == (2, error)
    (tmp_path / word).write_text("no audio")
    assert f"{word}: " in run(word, "-n", TINY, cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("modles list", "stemsplit models"),
        ("watc music", "stemsplit watch"),
        ("-q evalute a b", "stemsplit evaluate"),
        ("hlep", "stemsplit --help"),
        ("lst", "stemsplit models list"),
    ],
)
def test_a_misspelt_command_is_corrected(typed: str, meant: str, tmp_path: Path) -> None:
    result = run(*typed.split(), cwd=tmp_path)
    (word,) = [each for each in typed.split()[:2] if each not in ("-q", "list", "music")]
    error = f"stemsplit: error: no command or file named {word!r}\nhint: did you mean {meant}?\n"
    assert (result.code, result.stdout, result.stderr) == (2, "", error)
    (tmp_path / word).write_text("no audio")
    assert "did you mean" not in run(*typed.split(), "-n", TINY, cwd=tmp_path).stderr


@pytest.mark.parametrize("model", ["htdemucs_ft", "spleeter:2stems", "umxl", TINY])
def test_a_model_among_the_songs_is_answered(model: str, song: Path, tmp_path: Path) -> None:
    for words in ((model, song), (song, model)):
        result = run(*words, "-o", "out", cwd=tmp_path)
        assert result.code == 2
        assert result.stderr == (
            f"stemsplit: error: {model!r} is a model, not a file\nhint: use --model {model}\n"
        )
    (tmp_path / model).symlink_to(song)
    assert run(model, "-n", TINY, "--dry-run", cwd=tmp_path).code == 0
    unknown = run(song, "--modle", model, cwd=tmp_path).stderr
    assert "No such option: --modle" in unknown


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("-format mp3", "--format"),
        ("-out stems", "--out"),
        ("-start=0:10", "--start"),
        ("-mp3", "--mp3"),
        ("-help", "--help"),
    ],
)
def test_a_long_option_with_one_dash_is_answered(
    typed: str, meant: str, song: Path, tmp_path: Path
) -> None:
    """``-format`` would be ``-f -o rmat``: replace what exists, in the folder "rmat"."""
    result = run(song, *typed.split(), "-n", TINY, cwd=tmp_path)
    error = f"stemsplit: error: No such option: {meant[1:]}\nhint: did you mean {meant}?\n"
    assert (result.code, result.stderr) == (2, error)


def test_letters_after_one_dash_are_still_options(song: Path, tmp_path: Path) -> None:
    result = run(song, f"-n{TINY}", "-fqoout", "--dry-run", cwd=tmp_path)
    assert (result.code, result.lines[0]) == (0, "out/song/drums.wav")


def test_a_name_with_spaces_without_quotes(song: Path, tmp_path: Path) -> None:
    (tmp_path / "My songs").mkdir()
    song.rename(tmp_path / "My songs/a b.wav")
    result = run("-n", TINY, "My", "songs/a", "b.wav", cwd=tmp_path)
    assert (result.code, result.stderr) == (
        2,
        "stemsplit: error: no file named 'My'\n"
        'hint: put names with spaces in quotes: "My songs/a b.wav"\n',
    )
    assert run("No", "song.wav", "-n", TINY, cwd=tmp_path).code == 3


def test_a_path_with_the_name_of_a_command_is_split_if_its_folder_is_given(
    song: Path, tmp_path: Path
) -> None:
    (tmp_path / "models").symlink_to(song.parent)
    for words in (("models", "-n", TINY), ("models",), ("models", "list", "--mp3")):
        result = run(*words, cwd=tmp_path)
        assert result.code == 2
        assert "to split the path of that name: stemsplit ./models" in result.stderr
    result = run(song, "models", "-n", TINY, cwd=tmp_path)
    assert result.code == 2
    assert "of that name: ./models" in result.stderr
    result = run("./models", "-n", TINY, "--dry-run", cwd=tmp_path)
    assert result.code == 0
    assert "separated/song/vocals.wav" in result.lines


def test_without_such_a_path_no_hint_names_one(tmp_path: Path) -> None:
    assert "./models" not in run("models", "nosuch", cwd=tmp_path).stderr


def test_watch_takes_them_too(tmp_path: Path) -> None:
    result = run("watch", "nosuch", "--mp3", "--flac", cwd=tmp_path)
    assert (result.code, result.stderr) == (
        2,
        "stemsplit: error: --mp3 and --flac are mutually exclusive\n",
    )


def test_help_and_completions_do_not_show_them(tmp_path: Path) -> None:
    assert "--mp3" not in run("--help", cwd=tmp_path).stdout
    root = Path(__file__).parents[1]
    for script in (root / "completions").iterdir():
        assert "--mp3" not in script.read_text()
    assert r"\fB\-\-mp3\-bitrate\fR" in (root / "man/man1/stemsplit.1").read_text()
