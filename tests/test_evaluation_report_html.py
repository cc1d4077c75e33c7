"""The page as a file: complete, self-contained, reproducible, of limited size."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from audio_files import noise
from song_scores import NAN, song_scores, stem_scores, stored_song

from stemsplit.data.stems import StemFiles
from stemsplit.errors import OutputError
from stemsplit.evaluation.report import html

RATE = 8_000


def test_the_page_asks_for_nothing() -> None:
    page = html.render([song_scores(stem_scores("vocals"), song="a & b")])
    assert page.lstrip().startswith("<!doctype html>")
    sources = re.findall(r"(?:src|href|action|data)=\"([^\"]*)\"", page)
    assert sources
    for source in sources:
        assert re.match(r"data:|#|https://", source), source
    linked = re.findall(r"<(\w+)[^>]*href=\"https://", page)
    assert set(linked) == {"a"}
    assert "@import" not in page and "url(http" not in page
    assert "<title>a &amp; b – stemsplit</title>" in page


def test_many_songs_have_a_box_plot_for_each_metric() -> None:
    songs = [
        song_scores(stem_scores("vocals", (k,)), stem_scores("bass", (NAN,)), song=f"song {k}")
        for k in range(1, 6)
    ]
    page = html.render(songs)
    shown = re.findall(r'aria-label="([^"]*) over songs, a box for each stem: ([^"]*)"', page)
    # Those of leaderboards are missing in what earlier versions have written.
    assert len(shown) == 11
    assert shown[0] == ("SDR", "vocals 3.00, bass –")
    assert "box for each stem" not in html.render(songs[:1])


def test_of_many_songs_the_worst_are_shown_and_share_the_time() -> None:
    songs = [
        song_scores(stem_scores("vocals", global_sdr=value), song=str(value))
        for value in (5.0, 1.0, NAN, 3.0, 2.0)
    ]
    shown, seconds = html.choose_shown(songs)
    assert [song.song for song in shown] == ["1.0", "2.0", "3.0"]
    assert seconds == 10.0
    one, seconds = html.choose_shown(songs[:1])
    assert (len(one), seconds) == (1, 30.0)


def test_many_stems_have_less_time_each() -> None:
    many = {str(n): StemFiles(paths=()) for n in range(20)}
    mixture = StemFiles(paths=())
    song = song_scores(estimates=many, references=many, mixture=mixture)
    assert html.choose_shown([song])[1] == html.MOST_AUDIO / 60
    unscored = song_scores(estimates=many, mixture=mixture)  # only then is the mixture played
    assert html.choose_shown([unscored])[1] == html.MOST_AUDIO / 21


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    songs = [song_scores(stem_scores("vocals"))]
    path = tmp_path / "report.html"
    path.write_text("old")
    html.write_report(path, songs)
    assert path.read_text(encoding="utf-8") == html.render(songs)
    html.write_report(tmp_path / "folder" / "report.html", songs)
    assert (tmp_path / "folder" / "report.html").read_bytes() == path.read_bytes()
    with pytest.raises(OutputError, match="cannot be written"):
        html.write_report(tmp_path / "folder", songs)
    with pytest.raises(OutputError, match="cannot be written"):
        html.write_report(path / "report.html", songs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "report.html"]
    with pytest.raises(ValueError, match="needs a song"):
        html.render([])


def test_the_same_scores_make_the_same_page(tmp_path: Path) -> None:
    song = stored_song(tmp_path, {"a": noise(RATE)}, {"a": noise(RATE, seed=2)})
    assert html.render([song]) == html.render([song])


@pytest.mark.network
def test_the_wheel_holds_what_a_page_is_made_of(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(root),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("page.html", "sets.html", "parts.html", "page.css", "page.js", "published.toml"):
        assert f"stemsplit/evaluation/report/{name}" in names
