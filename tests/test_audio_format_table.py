"""The table of formats: nothing is missing of any format, and what is missing is named."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from typing import get_args

import pytest

from stemsplit.audio import encoders
from stemsplit.audio.detect import has_media_name
from stemsplit.audio.encoders.base import Encoder
from stemsplit.audio.encoders.opening import encoder_class
from stemsplit.audio.encoders.pcm import Pcm
from stemsplit.audio.encoders.through_ffmpeg import ThroughFfmpeg
from stemsplit.audio.format_table import FORMATS
from stemsplit.types import Codec, Depth, Format

TABLE = "FORMATS in stemsplit/audio/format_table.py"


def every_rules(name):
    row = FORMATS[name]
    return [row.rules, *row.codecs.values()]


def test_every_format_has_a_row_and_every_row_a_format():
    for name in get_args(Format):
        assert name in FORMATS, f"{name!r} is in types.Format only: add a row for it to {TABLE}"
    for name in FORMATS:
        assert name in get_args(Format), (
            f"{TABLE} has a row {name!r}: add {name!r} to Format in stemsplit/types.py"
        )


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_has_an_existing_encoder(name):
    module, _, wanted = FORMATS[name].encoder.partition(":")
    try:
        found = encoder_class(name)
    except ModuleNotFoundError as exc:
        if exc.name != f"{encoders.__name__}.{module}":
            raise
        pytest.fail(f"the row {name!r} names {module}:{wanted}: add audio/encoders/{module}.py")
    except AttributeError:
        pytest.fail(f"the row {name!r} names {wanted}: add this class to encoders/{module}.py")
    assert issubclass(found, Encoder), f"{wanted} of encoders/{module}.py must be an Encoder"
    missing = ", ".join(sorted(found.__abstractmethods__))
    assert not missing, f"{wanted} of encoders/{module}.py lacks: {missing}"
    if issubclass(found, ThroughFfmpeg):
        lacking = f"{wanted} of encoders/{module}.py lacks: container (ffmpeg's name for the file)"
        assert getattr(found, "container", ""), lacking
        for rules in every_rules(name):
            assert rules.ffmpeg_encoder, f"the row {name!r} lacks: ffmpeg_encoder, which it needs"
    if issubclass(found, Pcm):
        assert FORMATS[name].rules.depths, f"the row {name!r} lacks: depths, which Pcm needs"


def test_no_encoder_is_without_a_row():
    named = {row.encoder for row in FORMATS.values()}
    found = {
        f"{module.name}:{name}": member
        for module in pkgutil.iter_modules(encoders.__path__)
        for name, member in inspect.getmembers(
            importlib.import_module(f"{encoders.__name__}.{module.name}"), inspect.isclass
        )
        if issubclass(member, Encoder) and member.__module__.endswith(f".{module.name}")
    }
    for encoder, member in found.items():
        shared = bool(member.__subclasses__())  # by the encoders of several formats
        assert shared or encoder in named, f"no row has encoder={encoder!r}: add one to {TABLE}"


@pytest.mark.parametrize("name", FORMATS)
def test_the_rules_of_every_row_are_whole(name):
    for rules in every_rules(name):
        kinds = f"the row {name!r} needs either depths (lossless) or bitrates (lossy)"
        assert bool(rules.depths) != bool(rules.bitrates), kinds
        assert set(rules.depths) <= set(get_args(Depth))
        assert rules.bitrate is None or rules.bitrate in rules.bitrates
        assert rules.quality is None or rules.quality in rules.qualities
        default = f"the row {name!r} needs a default: bitrate, or quality"
        assert rules.depths or rules.bitrate or rules.quality is not None, default
        assert list(rules.rates) == sorted(rules.rates)
        assert bool(rules.qualities) == bool(rules.quality_letter)


@pytest.mark.parametrize("name", FORMATS)
def test_stems_are_found_again_by_their_names(name):
    extension = FORMATS[name].extension
    lacking = f"add {extension!r} to the names of audio files in stemsplit/audio/detect.py"
    assert has_media_name(f"vocals.{extension}"), lacking


def test_letters_before_qualities_are_of_one_format_each():
    letters = [row.rules.quality_letter.lower() for row in FORMATS.values()]
    used = [letter for letter in letters if letter]
    assert len(set(used)) == len(used)
    assert all(len(letter) == 1 and letter.isalpha() for letter in used)


def test_the_rules_of_a_format_are_those_of_its_default_codec():
    for row in FORMATS.values():
        assert not row.codecs or row.rules == next(iter(row.codecs.values()))
        assert set(row.codecs) <= set(get_args(Codec))


def test_the_table_imports_nothing_heavy():
    """Options are checked with it: a typo must not wait for numpy."""
    code = (
        "import sys, stemsplit.audio.formats, stemsplit.handoff.programs; "
        "print(*{'numpy', 'soundfile', 'ffmpeg', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
