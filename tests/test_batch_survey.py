"""The lengths of the songs of a run, which are read during the run."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from command import TINY

from stemsplit.batch.discover import Song
from stemsplit.batch.plan import RunPlan, plan_songs, select
from stemsplit.batch.survey import Survey
from stemsplit.options import Excerpt, SplitOptions
from stemsplit.types import Existing, Surveyed


def survey(songs: list[Path], options: SplitOptions) -> Survey:
    found = [Song(song) for song in songs]
    selection = select(options)
    plans = plan_songs(found, selection.wanted, options)
    return Survey(found, RunPlan(options=options, selection=selection, songs=plans))


def take(running: Survey) -> Surveyed:
    """Return the lengths as soon as they are known."""
    end = time.monotonic() + 30
    while (found := running.take()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_the_lengths_of_the_parts_come_once(song: Path, tmp_path: Path) -> None:
    second, broken = (song.with_name(name) for name in ("2.wav", "broken.wav"))
    shutil.copy(song, second)
    broken.write_text("no audio")
    options = SplitOptions(model=TINY, out=tmp_path, excerpt=Excerpt(start=0.1, duration=0.25))
    with survey([song, broken, second, tmp_path / "absent.wav"], options) as running:
        assert take(running).lengths == pytest.approx({song: 0.25, second: 0.25}, abs=1e-4)
        assert running.take() is None


@pytest.mark.parametrize(
    ("existing", "due"), [("resume", ["2.wav"]), ("force", ["1.wav", "2.wav"])]
)
def test_songs_whose_stems_exist_do_not_count(
    song: Path, tmp_path: Path, existing: Existing, due: list[str]
) -> None:
    songs = [song.with_name(name) for name in ("1.wav", "2.wav")]
    for path in songs:
        shutil.copy(song, path)
    (tmp_path / "1").mkdir()
    (tmp_path / "1/vocals.wav").touch()
    options = SplitOptions(model=TINY, out=tmp_path, stems=("vocals",), existing=existing)
    with survey(songs, options) as running:
        assert [path.name for path in take(running).lengths] == due


def test_a_run_that_ends_does_not_wait_for_the_rest(song: Path, tmp_path: Path) -> None:
    songs = [song.with_name(f"{number}.wav") for number in range(200)]
    for path in songs:
        path.symlink_to(song)
    with survey(songs, SplitOptions(model=TINY, out=tmp_path)) as running:
        pass
    assert running.take() is None
