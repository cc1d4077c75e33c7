"""A run from Python and from the command: the same engine, the same files, a short way."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from command import TINY, files_below, run
from test_batch_night import make_library, tree

import stemsplit
from stemsplit import Result, Separator, UsageError, split_files
from stemsplit.models.htdemucs import HTDemucs
from stemsplit.types import Event, Finished, Opened, Planned, Progressed

PACKAGE = str(Path(stemsplit.__file__).parent)
OPTIONS: dict[str, Any] = {"model": TINY, "device": "cpu"}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return make_library(tmp_path / "library", 3)


@pytest.fixture
def depths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames of the package are on the stack when the network runs, its own included."""
    found: list[int] = []
    really = HTDemucs.forward

    def forward(network: HTDemucs, mix: torch.Tensor) -> torch.Tensor:
        frame, count = sys._getframe(1), 1
        while frame.f_back is not None:
            count += frame.f_code.co_filename.startswith(PACKAGE)
            frame = frame.f_back
        found.append(count)
        return really(network, mix)

    monkeypatch.setattr(HTDemucs, "forward", forward)
    return found


@pytest.mark.parametrize("options", [(), ("--shifts", "2"), ("--mix", "k=mix-vocals")])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_the_way_from_the_command_to_the_network_is_short(
    rate: int, options: tuple[str, ...], tmp_path: Path, depths: list[int]
) -> None:
    """No thread in between: the whole way is on one stack."""
    soundfile.write(tmp_path / "song.wav", np.zeros((rate // 2, 2)), rate)
    assert run("song.wav", "-n", TINY, *options, cwd=tmp_path).code == 0
    assert depths
    assert max(depths) <= 16


def test_the_way_from_python_to_the_network_is_short(depths: list[int]) -> None:
    Separator(TINY, shifts=2).separate(torch.randn(2, 30_000), sample_rate=48_000)
    assert depths
    assert max(depths) <= 12


def test_split_files_makes_what_the_command_makes(library: Path, tmp_path: Path) -> None:
    assert run("library", "-n", TINY, "-o", "command", cwd=tmp_path).code == 0
    results = list(split_files(library, out=tmp_path / "python", **OPTIONS))
    assert [result.status for result in results] == ["done"] * 3
    assert [result.input for result in results] == sorted(library.rglob("*.wav"))
    assert tree(tmp_path / "python") == tree(tmp_path / "command")
    first = results[0]
    assert first.stems["bass"] == tmp_path / "python/0/bass.wav"
    assert (first.sample_rate, first.channels, first.frames) == (44_100, 2, 22_050)
    again = split_files(library, out=tmp_path / "python", **OPTIONS)
    assert [result.status for result in again] == ["skipped"] * 3


def test_a_bad_song_stops_nothing(library: Path, tmp_path: Path) -> None:
    (library / "album/1b.wav").write_bytes(b"RIFF")
    results = list(split_files([library], out=tmp_path / "out", **OPTIONS))
    assert [result.status for result in results] == ["done", "done", "failed", "done"]
    assert isinstance(results[2].error, stemsplit.InputError)


def test_events_tell_how_far_it_is(library: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    songs = [library / "0.wav", library / "album/1.wav"]
    results = list(split_files(songs, out=tmp_path / "out", on_event=events.append, **OPTIONS))
    planned = [event for event in events if isinstance(event, Planned)]
    assert [list(event.songs) for event in planned] == [songs]
    for song in songs:
        assert any(isinstance(event, Opened) and event.song == song for event in events)
        steps = [each for each in events if isinstance(each, Progressed) and each.song == song]
        fractions = [step.fraction for step in steps]
        assert fractions[0] == 0 and fractions[-1] == 1 and fractions == sorted(fractions)
        assert steps[-1].speed > 0 and steps[-1].seconds_left == 0
    finished = [event.stems for event in events if isinstance(event, Finished)]
    assert finished == [result.stems for result in results]


def test_closing_the_iterator_cancels(library: Path, tmp_path: Path) -> None:
    make_library(library, 6, seconds=2)
    results = split_files(library, out=tmp_path / "out", **OPTIONS)
    assert isinstance(results, Iterator)
    done = next(results)
    results.close()  # type: ignore[attr-defined]
    left = files_below(tmp_path / "out")
    assert [Path(name).name for name in left if name.startswith("0/")] == sorted(
        path.name for path in done.stems.values()
    )
    assert not [name for name in left if ".stemsplit-" in name]
    assert len(left) in (4, 8)  # the next song, if it was separated, is whole
    statuses = [each.status for each in split_files(library, out=tmp_path / "out", **OPTIONS)]
    assert statuses[0] == "skipped" and set(statuses[2:]) == {"done"}


def test_a_dry_run_writes_nothing(library: Path, tmp_path: Path) -> None:
    results = list(split_files(library, out=tmp_path / "out", dry_run=True, **OPTIONS))
    assert [result.status for result in results] == ["would_split"] * 3
    assert not (tmp_path / "out").exists()


def test_several_devices(library: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"device": "cpu,cpu"}
    results = list(split_files(library, out=tmp_path / "two", **options))
    assert {result.status for result in results} == {"done"}
    list(split_files(library, out=tmp_path / "one", **OPTIONS))
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_several_devices_from_a_thread(library: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"device": "cpu,cpu"}
    with ThreadPoolExecutor() as pool:
        results = pool.submit(lambda: list(split_files(library, out=tmp_path / "out", **options)))
    assert [result.status for result in results.result()] == ["done"] * 3


def test_a_script_needs_no_guard_for_several_devices(library: Path, tmp_path: Path) -> None:
    """Its worker processes do not run the script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import stemsplit\n"
        "print('once')\n"
        f"for result in stemsplit.split_files('library', model={TINY!r}, device='cpu,cpu'):\n"
        "    print(result.status)\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.split() == ["once", "done", "done", "done"], ended.stderr


def test_an_exception_of_the_listener_cancels(library: Path, tmp_path: Path) -> None:
    """As soon as a song is opened, when its first block has not been asked for."""

    def stop(event: Event) -> None:
        if isinstance(event, Opened):
            raise InterruptedError(event.song)

    with pytest.raises(InterruptedError):
        list(split_files(library, out=tmp_path / "out", on_event=stop, **OPTIONS))
    assert files_below(tmp_path / "out") == []
    results = split_files(library, out=tmp_path / "out", **OPTIONS)  # no lock is left
    assert [result.status for result in results] == ["done"] * 3


def test_no_inputs_are_refused() -> None:
    with pytest.raises(UsageError, match="no inputs: name files, folders"):
        split_files([])


def test_paths_may_be_bytes(library: Path, tmp_path: Path) -> None:
    results = split_files(os.fsencode(library / "0.wav"), out=tmp_path / "out", **OPTIONS)
    assert [result.input for result in results] == [library / "0.wav"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"stems": ["bass"], "two_stems": "bass"}, "are mutually exclusive"),
        ({"stems": "bass"}, "stems must be a sequence of names"),
        ({"format": "doc"}, "unknown format 'doc'"),
        ({"existing": "maybe"}, "unknown existing 'maybe'"),
        ({"shifts": 0}, "shifts must be at least 1, not 0"),
        ({"overlap": 1.5}, "overlap must be at most 0.99, not 1.5"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
        ({"jobs": 0}, "jobs must be at least 1"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        split_files("song.wav", **OPTIONS | options)


def test_unknown_options_are_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match=r"split_files\(\) got an unexpected keyword argument 'nos"):
        split_files("song.wav", nosuch=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'format'"):
        Separator(TINY, format="wav")
    assert {"shifts", "bitrate", "start", "existing", "on_event"} <= set(
        inspect.signature(split_files).parameters
    )


def test_the_public_names_are_listed() -> None:
    assert {"Separator", "separate", "split_files", "list_models", "Result"} <= set(dir(stemsplit))
    assert stemsplit.Result is Result
