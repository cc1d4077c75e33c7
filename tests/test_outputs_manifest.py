"""Manifests: what earlier versions wrote stays valid, and new options change nothing by default."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import TINY, run

from stemsplit.batch.plan import manifest_settings, provenances_of, select
from stemsplit.errors import InputError
from stemsplit.options import EncodingOptions, EngineOptions, SplitOptions
from stemsplit.outputs import manifest
from stemsplit.outputs.manifest_writer import finish_interrupted
from stemsplit.outputs.provenance import Provenance

#: What version 0.1.0 wrote beside the one stem of the song below; only the stem is shorter.
OF_0_1_0 = """\
{
 "schema": 1,
 "version": "0.1.0",
 "input": {
  "name": "song.wav",
  "size": 2092,
  "sha256": "af1159b0781a6d1c5270e40a28a799c379982431e003d1ad27e7e57a75ca5561"
 },
 "audio": {
  "sample_rate": 8000,
  "channels": 1,
  "frames": 1024,
  "seconds": 0.128
 },
 "outputs": {
  "vocals.wav": {
   "stem": "vocals",
   "size": 27,
   "sha256": "4e5bb245b23696f5023ed3999b30403d592d43d336b44c61244f222b078cb79f",
   "recipe": {
    "model": "tiny.htdemucs",
    "digest": "9c68eba1f9eee1958947623829978511015f854c71cc5cae560d1f379272aaba",
    "parts": {
     "vocals": 1
    },
    "settings": {
     "encoding": {
      "format": "wav",
      "codec": null,
      "depth": "32f",
      "bitrate": null,
      "quality": null,
      "dither": true,
      "clip": null,
      "tags": true
     },
     "engine": {
      "precision": "auto",
      "overlap": null,
      "segment": null,
      "shifts": 1,
      "seed": 0
     },
     "excerpt": {
      "start": null,
      "end": null,
      "duration": null,
      "preview": null
     }
    }
   }
  }
 },
 "complete": true
}
"""
STEM = b"vocals, as 0.1.0 made them\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A song and its stem, as version 0.1.0 left them."""
    samples = struct.pack("<1024h", *(37 * i % 2000 - 1000 for i in range(1024)))
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    data = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    (tmp_path / "song.wav").write_bytes(struct.pack("<4sI", b"RIFF", len(data)) + data)
    folder = tmp_path / "separated/song"
    folder.mkdir(parents=True)
    (folder / "vocals.wav").write_bytes(STEM)
    (folder / manifest.NAME).write_text(OF_0_1_0)
    return tmp_path


def status(folder: Path, *options: str) -> str:
    words = ("song.wav", "-n", TINY, "--stems", "vocals", "--dry-run", "--json")
    [record] = run(*words, *options, cwd=folder).records
    return str(record["status"])


def test_what_0_1_0_made_is_up_to_date(library: Path) -> None:
    assert status(library) == "skipped"
    for options in (("--shifts", "2"), ("--depth", "16")):
        assert status(library, *options) == "failed"
        assert status(library, *options, "--update") == "would_split"
    assert status(library, "--device", "cpu", "--batch", "3", "--jobs", "2") == "skipped"


def test_a_manifest_is_read_and_written_as_0_1_0_did(library: Path) -> None:
    path = library / "separated/song" / manifest.NAME
    known = manifest.read(path)
    assert known is not None
    finish_interrupted(path, known, "token")
    assert path.read_text() == OF_0_1_0


@pytest.mark.parametrize("group", ["encoding", "engine", "excerpt"])
def test_an_option_missing_from_a_manifest_counts_as_its_default(library: Path, group: str) -> None:
    """So that no new option makes a library look changed."""
    path = library / "separated/song" / manifest.NAME
    content = json.loads(OF_0_1_0)
    settings = content["outputs"]["vocals.wav"]["recipe"]["settings"]
    lacking = list(settings[group])[1:]
    for name in lacking:
        del settings[group][name]
    path.write_text(json.dumps(content))
    assert status(library) == "skipped"
    del settings[group]
    path.write_text(json.dumps(content))
    assert status(library) == "skipped"
    assert status(library, "--shifts", "2", "--depth", "24", "--update") == "would_split"


def test_an_option_of_a_later_version_counts_as_changed(library: Path) -> None:
    path = library / "separated/song" / manifest.NAME
    path.write_text(OF_0_1_0.replace('"shifts": 1,', '"shifts": 1, "reverb": 1,'))
    assert status(library) == "failed"
    assert status(library, "--update") == "would_split"


@pytest.mark.parametrize(
    "change",
    [
        {"engine": EngineOptions(shifts=2)},
        {"engine": EngineOptions(overlap=0.1)},
        {"encoding": EncodingOptions(depth="24")},
        {"encoding": EncodingOptions(clip="linked")},
        {"sum_to_mix": "vocals"},
        {"model": "tiny.demucs_v3"},
    ],
)
def test_what_changes_a_stem_changes_its_provenance(change: dict[str, Any]) -> None:
    def made(options: SplitOptions) -> Provenance:
        return provenances_of(options, select(options))["vocals"]

    options = SplitOptions(model=TINY, stems=("vocals",))
    assert made(options).matches(made(options))
    assert not made(replace(options, **change)).matches(made(options))


def test_every_option_that_decides_bytes_is_recorded() -> None:
    settings = manifest_settings(SplitOptions())
    assert set(settings["engine"]) == set(EngineOptions.__slots__) - {"device", "batch", "threads"}
    assert set(settings["encoding"]) == set(EncodingOptions.__slots__)
    assert settings["encoding"]["depth"] == "32f"  # what the format stores by default


def test_a_manifest_with_an_integer_larger_than_any_float() -> None:
    settings = {"excerpt": {"start": 10**400}}
    made = Provenance(model="m", digest="d", parts={}, settings=settings)
    wanted = Provenance(model="m", digest="d", parts={}, settings={"excerpt": {"start": None}})
    assert not wanted.matches(made)
    assert wanted.describe(made).startswith("made with m, ")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', "\x00", OF_0_1_0[:-30]])
def test_a_damaged_manifest_is_ignored(library: Path, text: str) -> None:
    path = library / "separated/song" / manifest.NAME
    path.write_text(text)
    with pytest.raises(InputError, match="damaged manifest, ignored"):
        manifest.read(path)
