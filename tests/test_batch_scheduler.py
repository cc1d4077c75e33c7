"""Short songs on their way through the command side by side: they share the runs of the network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from command import TINY, files_below, run
from test_batch_night import make_library, tree

from stemsplit.batch.prepare import Preparation
from stemsplit.models.htdemucs import HTDemucs
from stemsplit.outputs.writer import BackgroundWriter
from stemsplit.types import Event


@pytest.fixture
def runs() -> Iterator[list[int]]:
    """The sizes of the batches that a network has heard."""
    sizes: list[int] = []

    def note(network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(network, HTDemucs):
            sizes.append(len(inputs[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    yield sizes
    handle.remove()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder of six songs of one segment each."""
    return make_library(tmp_path / "library", 6, seconds=0.3)


SHARED = ("-n", TINY, "--batch", "4")


def test_short_songs_share_runs_and_come_out_as_if_alone(
    library: Path, tmp_path: Path, runs: list[int]
) -> None:
    together = run("library", *SHARED, cwd=tmp_path)
    assert together.code == 0
    assert runs == [4, 4]
    for song in sorted(library.rglob("*.wav")):
        folder = (Path("alone") / song.parent.relative_to(library)).as_posix()
        alone = run(song.relative_to(tmp_path), *SHARED, "--resume", "-o", folder, cwd=tmp_path)
        assert alone.code == 0
    assert runs == [4] * 8
    assert tree(tmp_path / "separated") == tree(tmp_path / "alone")


def test_each_song_is_told_in_its_turn(library: Path, tmp_path: Path) -> None:
    (library / "album/2b.wav").write_bytes(b"RIFF")
    run("library/album/3.wav", *SHARED, "--resume", "-o", "separated/album", cwd=tmp_path)
    result = run("library", *SHARED, "--json", "-q", cwd=tmp_path)
    told = [(Path(record["input"]).stem, record["status"]) for record in result.records]
    assert told == [
        ("0", "done"),
        ("1", "done"),
        ("2", "done"),
        ("2b", "failed"),
        ("3", "skipped"),
        ("4", "done"),
        ("5", "done"),
    ]


def test_what_waits_behind_a_failure_is_not_tried_if_asked(
    library: Path, tmp_path: Path, runs: list[int]
) -> None:
    (library / "album/2b.wav").write_bytes(b"RIFF")
    result = run("library", *SHARED, "--fail-fast", "--json", "-q", cwd=tmp_path)
    assert result.code == 6
    assert [record["status"] for record in result.records] == ["done"] * 3 + ["failed"] * 4
    assert runs == [4]
    assert not (tmp_path / "separated/album/3").exists()
    assert not list((tmp_path / "separated").rglob(".stemsplit-*"))


def test_passes_of_an_ensemble_share_runs_too(
    library: Path, tmp_path: Path, runs: list[int]
) -> None:
    assert run("library/0.wav", *SHARED, "--shifts", "4", cwd=tmp_path).code == 0
    assert sum(runs) <= 8


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, AssertionError])
def test_an_interruption_leaves_nothing_of_what_waits(
    interruption: type[BaseException],
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> torch.Tensor:
        raise interruption

    monkeypatch.setattr(HTDemucs, "forward", interrupted)
    assert run("library", *SHARED, cwd=tmp_path).code in (1, 130)
    assert files_below(tmp_path) == [f"library/{name}" for name in files_below(library)]


def test_an_interruption_at_the_end_of_a_song_loses_none_that_is_separated(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: BackgroundWriter) -> Iterator[Event]:
        raise KeyboardInterrupt

    monkeypatch.setattr(BackgroundWriter, "finish", interrupted)
    monkeypatch.setattr(BackgroundWriter, "done", False)  # the first is reported after the second
    assert run("library", *SHARED, cwd=tmp_path).code == 130
    whole = ["bass.wav", "drums.wav", "other.wav", "vocals.wav"]
    done = [name for name in files_below(tmp_path / "separated") if not name.startswith(".")]
    assert done == sorted(f"{song}/{stem}" for song in ("0", "album/1") for stem in whole)


def test_many_that_are_done_do_not_wait_for_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[int]
) -> None:
    make_library(tmp_path / "library", 14, seconds=0.1)
    assert run("library", *SHARED, cwd=tmp_path).code == 0
    shutil.rmtree(tmp_path / "separated/0")
    runs.clear()
    read: list[int] = []
    prepare = Preparation.prepare

    def count(*arguments: Any, **further: Any) -> object:
        read.append(len(runs))
        return prepare(*arguments, **further)

    monkeypatch.setattr(Preparation, "prepare", count)
    assert run("library", *SHARED, "--jobs", "1", cwd=tmp_path).code == 0
    assert len(read) == 15  # the first one twice: before and after its weights were looked at
    assert read[-1] == 1  # the last ones were looked at when the first one was separated
