"""What a page is made of: the excerpt, its sound, its pictures, what others published."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import Samples, noise, run_ffmpeg, tones
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from song_scores import NAN, song_scores, stem_measures, stem_scores

from stemsplit.checkpoints.registry import list_models
from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError, OutputError
from stemsplit.evaluation.report import charts, html
from stemsplit.evaluation.report.published import published_scores
from stemsplit.evaluation.report.sample import cut_excerpt, encode_opus
from stemsplit.evaluation.scores import SongScores

RATE = 8_000


def store(path: Path, samples: Samples, rate: int = RATE) -> StemFiles:
    soundfile.write(path, samples.T, rate, subtype="FLOAT")
    return StemFiles(paths=(path,))


def song_of(
    folder: Path, estimates: dict[str, Samples], references: dict[str, Samples]
) -> SongScores:
    frames = max(samples.shape[1] for samples in estimates.values())
    return song_scores(
        sample_rate=RATE,
        frames=frames,
        estimates={n: store(folder / f"e {n}.wav", s) for n, s in estimates.items()},
        references={n: store(folder / f"r {n}.wav", s) for n, s in references.items()},
    )


# --- The excerpt ---------------------------------------------------------------------------------


def test_it_begins_where_the_errors_are_loudest(tmp_path: Path) -> None:
    reference = noise(10 * RATE)
    estimate = reference.copy()
    estimate[:, 4 * RATE : 5 * RATE] += 0.1  # a quiet passage of the other stem is worse
    other = np.zeros_like(reference)
    wrong = other.copy()
    wrong[:, 7 * RATE : 8 * RATE] = 0.2
    song = song_of(tmp_path, {"a": estimate, "b": wrong}, {"a": reference, "b": other})
    assert cut_excerpt(song, 1).start == 7 * RATE
    assert cut_excerpt(song, 4).start == 4 * RATE  # holds both
    assert cut_excerpt(song, 10).start == cut_excerpt(song, 99).start == 0
    assert cut_excerpt(song, 99).frames == 10 * RATE


def test_it_never_runs_over_the_end(tmp_path: Path) -> None:
    estimate = noise(3 * RATE + 100)
    estimate[:, 2 * RATE :] *= 3
    estimate[:, 3 * RATE :] = 1.0
    cut = cut_excerpt(song_of(tmp_path, {"a": estimate}, {}), 1.5)
    assert (cut.start, cut.frames) == (RATE, 12_000)
    np.testing.assert_array_equal(cut.signals["a"]["estimate"], estimate[:, RATE : RATE + 12_000])


def test_without_references_it_is_where_it_is_loudest(tmp_path: Path) -> None:
    estimate = noise(6 * RATE) * 0.1
    estimate[:, 2 * RATE : 3 * RATE] *= 20
    assert cut_excerpt(song_of(tmp_path, {"a": estimate}, {}), 1).start == 2 * RATE


def test_it_holds_reference_estimate_and_their_difference(tmp_path: Path) -> None:
    reference, estimate = noise(5 * RATE, seed=1), noise(5 * RATE, seed=2)
    estimate[:, 3 * RATE :] *= 9
    song = song_of(tmp_path, {"a": estimate, "b": estimate}, {"a": reference})
    cut = cut_excerpt(song, 1.5)
    assert (cut.start, cut.frames) == (3 * RATE, 12_000)
    part = slice(3 * RATE, 3 * RATE + 12_000)
    assert list(cut.signals["a"]) == ["reference", "estimate", "error"]
    np.testing.assert_array_equal(cut.signals["a"]["reference"], reference[:, part])
    np.testing.assert_array_equal(cut.signals["a"]["error"], (estimate - reference)[:, part])
    assert list(cut.signals["b"]) == ["estimate"]


def test_one_channel_goes_to_both_sides(tmp_path: Path) -> None:
    estimate = noise(RATE, 1)
    cut = cut_excerpt(song_of(tmp_path, {"a": estimate}, {}), 1)
    np.testing.assert_array_equal(cut.signals["a"]["estimate"], np.repeat(estimate, 2, axis=0))


def test_a_stem_that_is_gone_is_told_by_name(tmp_path: Path) -> None:
    song = song_of(tmp_path, {"a": noise(RATE)}, {})
    (tmp_path / "e a.wav").unlink()
    with pytest.raises(InputError, match=r"e a\.wav: no such file"):
        cut_excerpt(song, 1)


def test_opus_keeps_length_place_and_level() -> None:
    signal = noise(3 * 44_100 + 17)
    data = encode_opus(signal, 44_100)
    assert data.startswith(b"OggS") and b"OpusHead" in data[:100]
    assert 35_000 < len(data) < 65_000  # 128 kbit/s of three seconds are 48,000 bytes
    form = ("-f", "f32le", "-ar", "44100", "-ac", "2")
    decoded = np.frombuffer(run_ffmpeg("-i", "pipe:0", *form, "pipe:1", data=data), "<f4")
    heard = decoded.reshape(-1, 2).T
    assert abs(heard.shape[1] - signal.shape[1]) <= 1
    frames = min(heard.shape[1], signal.shape[1])
    truth, heard = signal[0, :frames], heard[0, :frames]
    product = np.fft.irfft(np.fft.rfft(heard) * np.conj(np.fft.rfft(truth)))
    assert np.argmax(product) == 0  # not a sample late
    assert 10 * math.log10(np.sum(truth**2) / np.sum((truth - heard) ** 2)) > 10
    assert encode_opus(signal, 44_100) == data


# --- Pictures ------------------------------------------------------------------------------------


def test_a_tone_is_a_line_at_its_frequency_and_level() -> None:
    levels = charts.spectrogram(tones(2 * 44_100, 44_100, (1000.0, 1000.0)), 44_100)
    rows, columns = levels.shape
    assert (rows, columns) == (192, 86)
    middle = levels[:, columns // 2]
    place = rows * math.log(1000 / 40) / math.log(20_000 / 40)
    assert abs(int(middle.argmax()) - place) <= 1
    assert middle.max() == pytest.approx(20 * math.log10(0.5), abs=1.5)
    assert middle[:80].max() < -60 and middle[-40:].max() < -60


@pytest.mark.parametrize("frames", [1, 5, 44_100, 40 * 44_100])
def test_spectrograms_of_any_length(frames: int) -> None:
    levels = charts.spectrogram(np.zeros((2, frames), np.float32), 44_100)
    assert levels.shape[0] == 192 and 1 <= levels.shape[1] <= 800
    assert levels.max() == pytest.approx(-140)


def test_spectrograms_of_a_stem_share_their_colours() -> None:
    loud = tones(RATE, RATE, (500.0,))
    (first, second), brightest = charts.draw_spectrograms([loud, loud * 0.001], RATE)
    assert brightest == -5.0
    images = [np.asarray(Image.open(io.BytesIO(png))) for png in (first, second)]
    shades = [int(image.max()) for image in images]
    assert shades[0] == pytest.approx(63, abs=2)
    assert shades[0] - shades[1] == pytest.approx(60 * 63 / 80, abs=1)
    highest = np.unravel_index(images[0].argmax(), images[0].shape)[0]
    place = math.log(500 / 40) / math.log(4000 / 40)
    assert 1 - highest / 192 == pytest.approx(place, abs=0.02)  # pitch goes upwards


def test_curves_have_gaps_and_borders_and_the_colours_of_the_page() -> None:
    stem = stem_scores("vocals", (5.0, NAN, math.inf, -math.inf, 5.0))
    for svg in charts.draw_frames(stem, 1.0, 1.0, (-10.0, 20.0), (1.0, 3.0)):
        assert svg.startswith("<svg viewBox=") and svg.endswith("</svg>")
        for colour in ("ink", "faint", "band", "shade", "stem"):
            assert f"var(--{colour})" in svg
        drawn = re.findall(r"(?:stroke|fill): ?#[0-9a-f]{6}", svg)
        assert not drawn, drawn
        assert "0:02" in svg and "font-family" not in svg and "http" not in svg.split(">", 1)[1]


@pytest.mark.parametrize(
    ("seconds", "most", "marks"),
    [
        (0.5, 10, [0]),
        (2, 10, [0, 1, 2]),
        (30, 5, [0, 10, 20, 30]),
        (236, 10, [0, 30, 60, 90, 120, 150, 180, 210]),
        (3_600, 10, [0, 600, 1_200, 1_800, 2_400, 3_000, 3_600]),
    ],
)
def test_marks_of_time_are_those_of_clocks(seconds: float, most: int, marks: list[int]) -> None:
    assert charts.time_ticks(seconds, most) == marks


@given(st.floats(0.01, 14_000), st.integers(4, 12))
def test_marks_of_time_are_few_and_within_the_song(seconds: float, most: int) -> None:
    marks = charts.time_ticks(seconds, most)
    assert marks[0] == 0
    assert marks[-1] <= seconds
    assert len(marks) <= most + 1


def test_a_page_says_what_is_wrong_with_each_stem() -> None:
    far, near = np.full(4, 20.0), np.full(4, 5.0)
    songs = [
        song_scores(stem_scores("vocals", (7.0, NAN, -3.5, 2.0)), song="alike"),
        song_scores(replace(stem_scores("vocals"), sir=near, sar=far), song="bleed"),
        song_scores(replace(stem_scores("vocals"), sir=far, sar=near), song="artifacts"),
        song_scores(stem_scores("vocals", (1.0,), delay=441, inverted=True), song="late"),
        song_scores(stem_scores("vocals"), song="low", unreproducible=("sir",)),
    ]
    alike, bleed, artifacts, late, low = (
        " ".join(re.sub(r"<[^>]*>", "", html.render([song])).split()) for song in songs
    )
    assert "As much bleed from other stems as artifacts: SIR 4.0 dB, SAR 5.0 dB." in alike
    assert "Lowest at 0:02: SDR −3.5 dB." in alike
    assert "none in 1 of 4 frames" in alike
    assert "More bleed from other stems than artifacts: SIR 5.0 dB, SAR 20.0 dB." in bleed
    assert "More artifacts than bleed from other stems: SIR 20.0 dB, SAR 5.0 dB." in artifacts
    assert "441 samples (10.0 ms) too late, not corrected." in late
    assert "Inverted polarity, not corrected." in late
    # What a delay makes of them, and a SIR that is not determined, tell nothing.
    assert "bleed from" not in late and "bleed from" not in low


def test_the_lowest_place_is_one_that_can_be_heard(tmp_path: Path) -> None:
    reference = noise(8 * RATE, 2)
    estimate = reference.copy()
    estimate[:, 4 * RATE : 6 * RATE] *= -1  # the loudest error
    song = song_of(tmp_path, {"vocals": estimate}, {"vocals": reference})
    scored = stem_scores("vocals", (-50.0, 9.0, 9.0, 9.0, 1.0, -2.0, 9.0, 9.0))
    page = html.render([replace(song, scores=(scored,))], seconds=2)
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert "Lowest of what is heard here at 0:05: SDR −2.0 dB." in text
    assert re.findall('data-to="(.*?)"', page) == ["1.0"]


def test_pairs_of_stems_begin_with_the_most_alike() -> None:
    names = [f"stem {k}" for k in range(6)]
    shares = {name: k / 10 for k, name in enumerate(names)}
    measures = tuple(
        stem_measures(name, overlap={n: shares[n] for n in names if n != name}) for name in names
    )
    page = html.render([song_scores(measures=measures)])
    rows = re.findall(r"<th scope=.row.>(stem \d), (stem \d)</th><td>–</td><td>(.*?)</td>", page)
    assert len(rows) == 15
    assert rows[0] == ("stem 0", "stem 5", "0.50")  # the larger of the two shares
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)
    assert f"{15 - html.SHOWN_PAIRS} more pairs" in page


def test_settings_are_in_words_and_without_what_tells_runs_apart() -> None:
    settings = {"overlap": None, "map": {}, "files": {"bass.wav": [1, 2]}, "offline": True}
    settings["bss_eval"] = "own"
    page = html.render([song_scores(stem_scores("vocals"), settings=settings)])
    assert "<dt>overlap</dt><dd>the model&#39;s own</dd>" in page
    assert "<dt>offline</dt><dd>yes</dd>" in page
    assert not any(f"<dt>{name}" in page for name in ("map", "files", "bss_eval"))


def test_limits_are_tens_that_hold_what_is_found() -> None:
    assert charts.frame_limits([]) == (0.0, 20.0)
    assert charts.frame_limits([stem_scores("a", (NAN, math.inf))]) == (0.0, 20.0)
    assert charts.frame_limits([stem_scores("a", (-3.0, 25.0))]) == (-10.0, 30.0)
    assert charts.frame_limits([stem_scores("a", (-300.0, 300.0))]) == (-30.0, 60.0)


def test_names_of_stems_are_text_in_charts_too() -> None:
    svg = charts.draw_field({"<b>$x_1$\n\udcff": (1.0, [2.0]), "日本": (NAN, [])})
    assert "&lt;b&gt;$x_1$" in svg and "日本" in svg


# --- What others published -----------------------------------------------------------------------


def test_published_scores_name_their_sources_and_no_method_twice() -> None:
    for metric in ("cSDR", "uSDR"):
        found = published_scores(metric)
        assert len(found) > 5
        names = [entry.method for entry in found]
        assert len(set(names)) == len(names)
        for entry in found:
            assert entry.source and entry.metric == metric
            assert all(0 < value < 15 for value in entry.values.values()), entry
    by_name = {entry.method: entry for entry in published_scores("cSDR")}
    assert by_name["BS-RoFormer, 12 layers, more songs"].values["vocals"] == 12.72
    registered = next(model for model in list_models() if model.name == "htdemucs_ft")
    assert by_name["htdemucs_ft"].values == registered.scores[0].values


# --- The page ------------------------------------------------------------------------------------


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


def test_figures_are_printed_with_signs_and_dashes() -> None:
    printed = [html.figure(v) for v in (1.234, -0.001, -3.1, NAN, -math.inf, math.inf, None)]
    assert printed == ["1.23", "0.00", "−3.10", "–", "−∞", "∞", "–"]
    page = html.render([song_scores(stem_scores("vocals", (NAN,), global_sdr=-3.125))])
    assert "<td>−3.12</td>" in page


def test_of_many_songs_the_worst_are_shown_and_share_the_time() -> None:
    songs = [
        song_scores(stem_scores("vocals", global_sdr=value), song=str(value))
        for value in (5.0, 1.0, NAN, 3.0, 2.0)
    ]
    shown, seconds = html.choose_shown(songs, 30.0)
    assert [song.song for song in shown] == ["1.0", "2.0", "3.0"]
    assert seconds == 10.0
    one, seconds = html.choose_shown(songs[:1], 30.0)
    assert (len(one), seconds) == (1, 30.0)


def test_many_stems_have_less_time_each() -> None:
    many = {str(n): StemFiles(paths=()) for n in range(20)}
    song = song_scores(estimates=many, references=many)
    assert html.choose_shown([song], 30.0)[1] == html.MOST_SOUND / 60


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
    song = song_of(tmp_path, {"a": noise(RATE)}, {"a": noise(RATE, seed=2)})
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
    for name in ("page.html", "page.css", "page.js", "published.toml"):
        assert f"stemsplit/evaluation/report/{name}" in names
