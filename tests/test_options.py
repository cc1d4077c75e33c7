"""Options: declared once, and the same for the command, for Python and in the settings."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from command import TINY, run

import stemsplit
from stemsplit.cli.demo import DemoOptions
from stemsplit.cli.options import FetchOptions, ModelChoice
from stemsplit.declarations import declaration, hints_of
from stemsplit.errors import UsageError
from stemsplit.options import (
    EncodingOptions,
    EngineOptions,
    Excerpt,
    SplitOptions,
    field_of,
    names_of,
    parse_batch,
)

PACKAGE = Path(__file__).parent.parent / "stemsplit"
#: Options whose switches on the command line are several.
SWITCHES = {"existing"}


def test_every_option_of_python_is_one_of_the_command(tmp_path: Path) -> None:
    words = run("split", "--help", cwd=tmp_path).stdout
    for name in names_of(SplitOptions):
        if name not in SWITCHES:
            found = field_of(SplitOptions, name)
            assert found is not None
            said = declaration(found)
            assert said is not None, name
            shown = said.name or name
            assert f"--{shown.replace('_', '-')}" in words, name


def test_split_files_takes_every_option_with_its_default() -> None:
    parameters = inspect.signature(stemsplit.split_files).parameters
    for name in names_of(SplitOptions):
        found = field_of(SplitOptions, name)
        assert found is not None
        assert parameters[name].default == found.default, name


def test_an_option_is_declared_in_one_place() -> None:
    """A second place that gives help for one would drift: texts, defaults and limits."""
    texts = {}
    for name in names_of(SplitOptions):
        found = field_of(SplitOptions, name)
        assert found is not None
        if (said := declaration(found)) is not None:
            texts[said.help] = name
    assert len(texts) > 30
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "options.py" and path.parent == PACKAGE:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in texts:
                raise AssertionError(f"{path} declares {texts[node.value]} again")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": 0}, "shifts must be at least 1, not 0"),
        ({"shifts": 100}, "shifts must be at most 99, not 100"),
        ({"overlap": 1.0}, "overlap must be at most 0.99, not 1"),
        ({"overlap": float("nan")}, "overlap must be at least 0, not nan"),
        ({"segment": 0.01}, "segment must be at least 0.1, not 0.01"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"threads": 1025}, "threads must be at most 1024, not 1025"),
        ({"threads": True}, "threads must be a whole number, not True"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"segment": float("inf")}, "segment must be finite, not inf"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EngineOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": 1.5}, "shifts must be a whole number, not 1.5"),
        ({"shifts": "2"}, "shifts must be a whole number, not '2'"),
        ({"shifts": True}, "shifts must be a whole number, not True"),
        ({"overlap": "0.5"}, "overlap must be a number, not '0.5'"),
        ({"batch": 2.5}, "batch must be a whole number or one of auto, not 2.5"),
        ({"batch": "many"}, "batch must be a whole number or one of auto, not 'many'"),
        ({"device": None}, "device must be text, not None"),
        ({"device": ["cpu"]}, "device must be text, not ['cpu']"),
        ({"precision": None}, "precision must be one of auto, fp32, fp16, bf16, not None"),
        ({"depth": 16}, "depth must be one of 16, 24, 32f, not 16"),
        ({"clip": 1}, "clip must be one of none, clamp, linked, not 1"),
        ({"tags": "no"}, "tags must be True or False, not 'no'"),
        ({"jobs": "3"}, "jobs must be a whole number, not '3'"),
        ({"existing": "rename"}, "unknown existing 'rename'"),
        ({"out": 1}, "out must be a path, not 1"),
        ({"stems": "vocals"}, "stems must be a sequence of names, not 'vocals'"),
        ({"stems": [1]}, "stems must be a sequence of names, not (1,)"),
        ({"start": "0:01"}, "start must be a number, not '0:01'"),
        ({"start": -1}, "start must be at least 0, not -1"),
        ({"duration": -1}, "duration must be at least 0, not -1"),
        ({"preview": -0.5}, "preview must be at least 0, not -0.5"),
    ],
)
def test_values_of_another_kind(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        SplitOptions.of(options)


def test_values_of_numpy_are_numbers() -> None:
    options = SplitOptions.of({"shifts": np.int64(2), "overlap": np.float64(0.5)})
    assert type(options.engine.shifts) is int
    assert options.engine == EngineOptions(shifts=2, overlap=0.5)


def test_an_unknown_program_is_named(song: Path) -> None:
    with pytest.raises(UsageError, match="unknown DAW 'reper'") as caught:
        stemsplit.split_files(song, model=TINY, daw=["reper"])
    assert caught.value.hint == "did you mean reaper?"


@pytest.mark.parametrize("group", [FetchOptions, ModelChoice, DemoOptions])
def test_options_that_a_command_repeats_have_their_types(group: type) -> None:
    for name, hint in hints_of(group).items():
        found = field_of(SplitOptions, name)
        if found is not None:
            inside = [EncodingOptions, EngineOptions, Excerpt, SplitOptions]
            (declared,) = (hints_of(cls)[name] for cls in inside if name in hints_of(cls))
            assert hint == declared, name


def test_choices_are_named() -> None:
    with pytest.raises(UsageError, match="unknown format 'wma'") as caught:
        EncodingOptions(format="wma")  # type: ignore[arg-type]
    assert (
        caught.value.hint == "choose one of: wav, flac, aiff, alac, mp3, m4a, opus, ogg, stem.mp4"
    )


def test_a_limit_holds_on_the_command_line_and_in_python(song: Path, tmp_path: Path) -> None:
    result = run(song, "-n", TINY, "--shifts", "-1", cwd=tmp_path)
    assert result.code == 2
    assert "--shifts" in result.stderr
    with pytest.raises(UsageError, match="shifts must be at least 1"):
        stemsplit.split_files(song, model=TINY, out=tmp_path, shifts=0)
    assert list(tmp_path.iterdir()) == [song.parent]


def test_options_by_their_names() -> None:
    options = SplitOptions.of(
        {"out": "stems", "shifts": 2, "format": "flac", "start": 1.5, "stems": ["vocals"]}
    )
    assert options.out == Path("stems")
    assert options.engine.shifts == 2
    assert options.encoding.format == "flac"
    assert options.excerpt.start == 1.5
    assert options.stems == ("vocals",)
    assert options.on("cpu").engine == EngineOptions(device="cpu", shifts=2)


def test_unknown_options() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'shift'"):
        SplitOptions.of({"shift": 2})


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("1", 1), ("12", 12)])
def test_batches(text: str, value: object) -> None:
    assert parse_batch(text) == value


def test_integers_larger_than_any_float() -> None:
    assert EngineOptions(seed=10**400).seed == 10**400
    with pytest.raises(UsageError, match=r"seed must be at least 0, not -1e\+5000"):
        EngineOptions(seed=-(10**5000))
    with pytest.raises(UsageError, match=r"shifts must be at most 99, not 1e\+400"):
        EngineOptions(shifts=10**400)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many", "9" * 5000])
def test_invalid_batches(text: str) -> None:
    with pytest.raises(UsageError, match="--batch must be a number of segments or auto"):
        parse_batch(text)


@pytest.mark.parametrize("end", [10.0, 20.0])
def test_an_end_before_the_start_is_named(end: float) -> None:
    with pytest.raises(UsageError, match="part of the song is empty: --end is not after --start"):
        Excerpt(start=20.0, end=end)
