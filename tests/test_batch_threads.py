"""The option ``threads``: where it counts, and what it leaves as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from command import TINY, run
from torch.nn.modules.module import register_module_forward_pre_hook

from stemsplit import Separator, split_files
from stemsplit.types import Event, Loaded, Progressed


@pytest.fixture
def used() -> Iterator[set[int]]:
    """The numbers of threads that networks were run with in this process."""
    numbers: set[int] = set()
    hook = register_module_forward_pre_hook(lambda *_: numbers.add(torch.get_num_threads()))
    yield numbers
    hook.remove()


@pytest.fixture
def others() -> int:
    """A number of threads that is not that of this process."""
    return torch.get_num_threads() + 1


def test_a_separator_runs_its_network_with_them_and_restores_the_number(
    mixture: np.ndarray, used: set[int], others: int
) -> None:
    before = torch.get_num_threads()
    separator = Separator(TINY, threads=others)
    assert torch.get_num_threads() == before
    first = separator.separate(mixture)
    assert used == {others}
    assert torch.get_num_threads() == before
    second = Separator(TINY, threads=others).separate(mixture)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_without_the_option_nothing_changes(mixture: np.ndarray, used: set[int]) -> None:
    Separator(TINY).separate(mixture)
    assert used == {torch.get_num_threads()}


def test_files_are_split_with_them_and_the_caller_keeps_its_own(
    song: Path, tmp_path: Path, used: set[int], others: int
) -> None:
    before = torch.get_num_threads()
    seen = []

    def look(event: Event) -> None:
        if isinstance(event, Progressed):
            seen.append(torch.get_num_threads())

    (result,) = split_files(song, model=TINY, out=tmp_path, threads=others, on_event=look)
    assert result.error is None
    assert used == {others}
    assert set(seen) == {before}
    assert torch.get_num_threads() == before


def test_a_song_that_fails_leaves_the_number_as_it_was(
    song: Path, tmp_path: Path, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()

    def fail(*_: object) -> None:
        raise ValueError("on the way")

    hook = register_module_forward_pre_hook(fail)
    try:
        (result,) = split_files(song, model=TINY, out=tmp_path, threads=others)
    finally:
        hook.remove()
    assert "on the way" in str(result.error)
    assert torch.get_num_threads() == before


def test_each_of_several_devices_uses_them(song: Path, tmp_path: Path, others: int) -> None:
    (song.parent / "second.wav").write_bytes(song.read_bytes())
    loaded = []

    def look(event: Event) -> None:
        if isinstance(event, Loaded):
            loaded.append(event.execution)

    options = {"model": TINY, "out": tmp_path, "threads": others, "device": "cpu,cpu"}
    results = list(split_files(song.parent, on_event=look, **options))
    assert [result.error for result in results] == [None, None]
    assert loaded
    assert {execution.split(", ")[1] for execution in loaded} == {f"{others} threads"}


def test_stems_stay_up_to_date_with_other_threads(song: Path, tmp_path: Path) -> None:
    (made,) = run(song, "-n", TINY, "--threads", 2, "--json", cwd=tmp_path).records
    assert made["status"] == "done"
    for further in ((), ("--threads", 3), ("--threads", 3, "--update")):
        (again,) = run(song, "-n", TINY, *further, "--json", cwd=tmp_path).records
        assert (again["status"], again["reason"]) == ("skipped", "up_to_date")


def test_the_option_overrides_the_variable_which_overrides_the_file(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(*arguments: object) -> str:
        done = run(song, "-n", TINY, "-v", "-f", *arguments, cwd=tmp_path)
        (line,) = [line for line in done.stderr.splitlines() if " on cpu, " in line]
        return line.split(", ")[1]

    (tmp_path / "config.toml").write_text("threads = 2\n")
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "config.toml"))
    assert shown() == "2 threads"
    monkeypatch.setenv("STEMSPLIT_THREADS", "3")
    assert shown() == "3 threads"
    assert shown("--threads", 4) == "4 threads"


@pytest.mark.parametrize("value", ["0", "-1", "1025", "1.5", "two"])
def test_a_number_that_no_machine_has_is_refused(song: Path, tmp_path: Path, value: str) -> None:
    failed = run(song, "-n", TINY, f"--threads={value}", cwd=tmp_path)
    assert (failed.code, failed.stdout) == (2, "")
    assert "Invalid value for '--threads'" in failed.stderr


def test_the_demo_takes_the_setting_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_THREADS", "2")
    done = run("demo", "-n", TINY, "--seconds", 2, "-v", cwd=tmp_path)
    assert f"{TINY} on cpu, 2 threads, " in done.stderr
