"""The page of a report in a real browser: it plays, switches, fits, and asks for nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from audio_files import tones
from browser import Tab, find_browser, open_browser
from song_scores import NAN, song_scores, stem_measures, stem_scores

from stemsplit.data.stems import StemFiles
from stemsplit.evaluation.report import html
from stemsplit.evaluation.report.html import write_report
from stemsplit.evaluation.report.set_page import write_set_report
from stemsplit.evaluation.report.stem_sets import ComparedSong
from stemsplit.evaluation.scores import SongScores

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")

RATE = 44_100
SECONDS = 4
EVIL = "<script>alert(1)</script>"
#: Frequencies (Hz) of the reference and of the estimate, by stem.
PITCHES = {"vocals": (441.0, 882.0), EVIL: (1764.0, 3528.0)}
MIXTURE_PITCH = 1323.0
#: Finds the strongest frequency of all that goes to the loudspeakers.
LISTEN = """
async function strongest() {
  const player = players[0], analyser = player.context.createAnalyser();
  analyser.fftSize = 8192;
  for (const stem of player.stems) for (const gain of stem.gains.values()) gain.connect(analyser);
  await run(0.5);
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const best = levels.indexOf(Math.max(...levels));
  return levels[best] < -60 ? 0 : best * player.context.sampleRate / analyser.fftSize;
}
"""
#: Waits by the clock of the sound, which a busy machine may hold up.
RUN = """
async function run(seconds) {
  const context = players[0].context, until = context.currentTime + seconds;
  while (context.currentTime < until) await new Promise((done) => setTimeout(done, 10));
}
"""
WAIT = "await run(0.25);"


def make_song(folder: Path, *, references: bool = True, song: str = EVIL) -> SongScores:
    """Write files of a song of two stems, and return scores with them."""
    estimates, truths = {}, {}
    mixture = folder / "mix.wav"
    soundfile.write(mixture, tones(SECONDS * RATE, RATE, (MIXTURE_PITCH,) * 2).T, RATE)
    for name, (reference, estimate) in PITCHES.items():
        for found, kind, pitch in ((truths, "r", reference), (estimates, "e", estimate)):
            path = folder / f"{kind} & {pitch:.0f} <b>.wav"
            samples = tones(SECONDS * RATE, RATE, (pitch, pitch)) * (0.5 if name == EVIL else 1)
            soundfile.write(path, samples.T, RATE)
            found[name] = StemFiles(paths=(path,))
    scores = [
        stem_scores(name, (7.0, NAN, -3.5, math.inf), delay=5, inverted=True) for name in PITCHES
    ]
    measures = [
        stem_measures(name, correlation={other: 0.25}, overlap={other: 0.5})
        for name, other in zip(PITCHES, reversed(PITCHES), strict=True)
    ]
    return song_scores(
        *(scores if references else ()),
        song=song,
        frames=SECONDS * RATE,
        measures=tuple(measures),
        estimates=estimates,
        references=truths if references else {},
        mixture=StemFiles(paths=(mixture,)),
        null_residual=-40.0,
        remarks=(f"{EVIL} was resampled",),
        settings={"model": EVIL, "options": {"overlap": 0.25}, "versions": ["a", "b"]},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    assert PROGRAM is not None
    with open_browser(PROGRAM) as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(folder / "report.html", [make_song(folder)])
    return folder / "report.html"


@pytest.fixture
def page(browser: Tab, report: Path) -> Iterator[Tab]:
    """The page of one song, newly opened; it must not have complained or asked for anything."""
    browser.show(1440)
    browser.open(report)
    yield browser
    assert browser.complaints() == []
    assert [url[:80] for url in browser.requests() if not url.startswith("data:")] == [
        report.as_uri()
    ]


def play(page: Tab) -> None:
    page.click(".play")
    page.wait_for("players[0].position > 0.1")
    page.evaluate(RUN)


def gains(page: Tab, number: int = 0) -> list[dict[str, float]]:
    """Return the gains of each stem by version, once they have settled."""
    return list(
        page.evaluate(
            f"(async () => {{ {WAIT} return players[{number}].stems.map((s) => Object.fromEntries("
            "[...s.gains].map(([k, g]) => [k, Math.round(g.gain.value * 1e3) / 1e3]))) })()"
        )
    )


# --- Playing -------------------------------------------------------------------------------------


def test_it_plays_and_stops(page: Tab) -> None:
    assert page.evaluate("players[0].playing") is False
    play(page)
    assert page.evaluate("document.querySelector('.play').getAttribute('aria-label')") == "Pause"
    first = page.evaluate("players[0].position")
    moved = page.evaluate(f"(async () => {{ {WAIT} return players[0].position }})()") - first
    assert 0.2 < moved < 2
    assert page.evaluate("Number(document.querySelector('.position').value)") > 0.1
    page.click(".play")
    stopped = page.evaluate("players[0].position")
    assert page.evaluate(f"(async () => {{ {WAIT} return players[0].position }})()") == stopped
    assert page.evaluate("players[0].playing") is False


def test_all_sounds_are_as_long_as_the_clip(page: Tab) -> None:
    play(page)
    lengths = page.evaluate(
        "players[0].stems.flatMap((s) => [...s.buffers.values()].map((b) => b.duration))"
    )
    assert len(lengths) == 6
    assert lengths == pytest.approx([SECONDS] * 6, abs=0.001)


def test_what_is_chosen_is_what_sounds(page: Tab) -> None:
    play(page)
    page.evaluate(LISTEN)
    found = {}
    for version in ("reference", "estimate", "error"):
        page.evaluate(f"players[0].choose('{version}'); players[0].seek(0.2)")
        found[version] = page.evaluate("strongest()")
    assert found["reference"] == pytest.approx(PITCHES["vocals"][0], abs=8)
    assert found["estimate"] == pytest.approx(PITCHES["vocals"][1], abs=8)
    assert min(abs(found["error"] - pitch) for pitch in PITCHES["vocals"]) < 8
    page.evaluate("players[0].choose('reference'); players[0].seek(0.2)")
    page.click(".stem .mute")
    assert page.evaluate("strongest()") == pytest.approx(PITCHES[EVIL][0], abs=8)
    page.click(".stem:nth-of-type(2) .mute")
    assert page.evaluate("strongest()") == 0


def test_switching_keeps_the_position(page: Tab) -> None:
    play(page)
    for selector in (
        ".transport input[value=reference]",
        ".transport input[value=error]",
        ".stem input[value=reference]",
    ):
        before = (
            "const p = players[0], was = p.position, time = p.context.currentTime;"
            "const sources = p.sources;"
        )
        choose = f"document.querySelector('{selector}').click();"
        after = "return [p.position - was - (p.context.currentTime - time), p.sources === sources];"
        drift, same = page.evaluate(f"(async () => {{ {before} {choose} {WAIT} {after} }})()")
        assert abs(drift) < 0.05
        assert same  # nothing was started anew
    assert gains(page) == [
        {"reference": 1, "estimate": 0, "error": 0},
        {"reference": 0, "estimate": 0, "error": 1},
    ]


def test_versions_of_a_stem_start_together(page: Tab) -> None:
    """The codec shifts nothing: all buffers of a stem begin with the phase of their files."""
    play(page)
    shifts = page.evaluate(
        "(() => { const [stem] = players[0].stems, rate = players[0].context.sampleRate;"
        "const turn = (name, pitch) => { const d = stem.buffers.get(name).getChannelData(0);"
        "let re = 0, im = 0; for (let i = rate; i < 2 * rate; i++) {"
        "const a = 2 * Math.PI * pitch * i / rate;"
        "re += d[i] * Math.sin(a); im += d[i] * Math.cos(a) }"
        "return Math.atan2(im, re) / (2 * Math.PI * pitch) };"
        f"return [turn('reference', {PITCHES['vocals'][0]}),"
        f"turn('estimate', {PITCHES['vocals'][1]})] }})()"
    )
    starts = [0.3 / (2 * np.pi * pitch) for pitch in PITCHES["vocals"]]  # the phase of `tones`
    assert shifts == pytest.approx(starts, abs=2e-5)


def test_solo_and_mute_change_gains(page: Tab) -> None:
    play(page)
    on, off = (
        {"reference": 0, "estimate": 1, "error": 0},
        dict.fromkeys(("reference", "estimate", "error"), 0),
    )
    assert gains(page) == [on, on]
    page.click(".stem .solo")
    assert gains(page) == [on, off]
    page.click(".stem .mute")
    assert gains(page) == [off, off]
    page.click(".stem .solo")
    assert gains(page) == [off, on]
    assert page.evaluate(
        "[...document.querySelectorAll('.stem button[aria-pressed]')].map((b) => b.ariaPressed)"
    ) == ["false", "true", "false", "false"]
    page.click(".stem .alone")
    assert gains(page) == [on, off]


def test_the_slider_and_pictures_move_the_position(page: Tab) -> None:
    page.evaluate(
        "const s = document.querySelector('.position'); s.value = 3;"
        "s.dispatchEvent(new Event('input'))"
    )
    assert page.evaluate("players[0].position") == 3
    assert page.evaluate("document.querySelector('.now').textContent") == "0:03"
    page.click(".plot img")
    assert page.evaluate("players[0].position") == pytest.approx(SECONDS / 2, abs=0.05)


def test_the_lowest_place_of_a_stem_is_played_from_there(page: Tab) -> None:
    assert page.evaluate("document.querySelector('.go').textContent") == "0:02"
    page.evaluate(
        "globalThis.begun = []; const start = players[0].start;"
        "players[0].start = function () {"
        "start.call(this); begun.push([this.playing, this.position]) }"
    )
    page.click(".go")
    page.wait_for("begun.length > 0")
    # Asked for after that, the position depends on how long the machine took to answer.
    assert page.evaluate("begun") == [[True, 2]]


def test_at_its_end_it_stops_and_is_back_at_the_start(page: Tab) -> None:
    play(page)
    page.evaluate(f"players[0].seek({SECONDS} - 0.2)")
    page.wait_for("!players[0].playing")
    assert page.evaluate("players[0].position") == 0


# --- By keyboard ---------------------------------------------------------------------------------


def test_everything_is_reached_by_tab_and_shows_it(page: Tab) -> None:
    seen = []
    for _ in range(40):
        page.press("Tab")
        found = page.evaluate(
            "(() => { const e = document.activeElement; if (e === document.body) return null;"
            "const shown = e.matches('.switch input') ? e.nextElementSibling : e;"
            "return [e.className || e.value || e.tagName, e.ariaLabel || e.textContent.trim(),"
            "getComputedStyle(shown).outlineStyle,"
            "parseFloat(getComputedStyle(shown).outlineWidth)] })()"
        )
        if found is None:
            break
        seen.append(found)
    kinds = [kind for kind, *_ in seen]
    for wanted in ("play", "position", "estimate", "alone", "solo", "mute", "SUMMARY", "scroll"):
        assert wanted in kinds, kinds
    assert [kinds.count(kind) for kind in ("play", "alone", "solo", "mute")] == [1, 2, 2, 2]
    assert all(style == "solid" and width >= 2 for _, _, style, width in seen)
    named = {kind: label for kind, label, *_ in reversed(seen)}
    assert (named["play"], named["position"], named["solo"]) == ("Play", "Position", "Solo vocals")


def test_keys_play_choose_and_move(page: Tab) -> None:
    page.press(" ", "Space")
    page.wait_for("players[0].playing && players[0].position > 0.1")
    page.press(" ", "Space")
    page.wait_for("!players[0].playing")
    for key, version in (("1", "reference"), ("3", "error"), ("2", "estimate")):
        page.press(key)
        checked = "document.querySelector('.transport input:checked').value"
        assert page.evaluate(checked) == version
        assert page.evaluate("players[0].stems.map((s) => s.version)") == [version] * 2
    page.evaluate("players[0].seek(1)")
    page.press("ArrowRight")
    assert page.evaluate("players[0].position") == 3
    page.press("ArrowLeft")
    page.press("ArrowLeft")
    assert page.evaluate("players[0].position") == 0


def test_keys_within_a_stem_are_its_own(page: Tab) -> None:
    page.evaluate("document.querySelector('.stem:nth-of-type(2) .mute').focus()")
    for key in ("s", "1"):
        page.press(key)
    state = "players[0].stems.map((s) => [s.solo, s.mute, s.version])"
    assert page.evaluate(state) == [[False, False, "estimate"], [True, False, "reference"]]
    assert page.evaluate("document.querySelector('.transport input:checked')") is None
    page.press(" ", "Space")  # the button's own key
    assert page.evaluate(state)[1] == [True, True, "reference"]
    assert page.evaluate("players[0].playing") is False


def test_the_arrow_keys_choose_within_a_switch(page: Tab) -> None:
    page.evaluate("document.querySelector('.transport input[value=estimate]').focus()")
    page.press("ArrowRight")
    assert page.evaluate("players[0].stems[0].version") == "error"
    assert page.evaluate("players[0].position") == 0


# --- To look at ----------------------------------------------------------------------------------

#: Text with too little contrast to what is behind it, by the formula of WCAG 2: [ratio, text].
PALE_TEXT = """
(() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    throw new Error("no background");
  };
  const found = [];
  let count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    const e = node.parentElement, style = getComputedStyle(e);
    if (!node.data.trim() || !e.getClientRects().length || e.closest("script, .plot")) continue;
    const front = luminance(parts(e.closest("svg") ? style.fill : style.color));
    const back = luminance(behind(e));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    count++;
    if (ratio < 4.5) found.push([ratio.toFixed(2), node.data.trim().slice(0, 30), e.className]);
  }
  if (count < 100) throw new Error(`only ${count} texts`);
  return found;
})()
"""
#: What sticks out of the window to the right, but for what can be scrolled.
STICKING_OUT = """
(() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
    .filter((e) => !e.closest(".scroll > *, .plot > *, .unseen"))
    .map((e) => `${e.tagName}.${e.className} ${e.getBoundingClientRect().right}`)
    .concat(document.documentElement.scrollWidth > innerWidth ? ["the page"] : []);
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_it_fits_and_can_be_read(page: Tab, width: int, dark: bool) -> None:
    page.show(width, dark=dark)
    assert page.evaluate("innerWidth") == width
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate(PALE_TEXT) == []
    rows = "Math.max(...[...document.querySelectorAll('tr')].map((row) => row.offsetHeight))"
    assert 20 < page.evaluate(rows) < 100  # no column is a letter wide
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 150) == dark
    shown = page.evaluate(
        "[...document.querySelectorAll('.pictures')]"
        ".map((e) => getComputedStyle(e).gridTemplateColumns.split(' ').length)"
    )
    assert shown == ([1, 1] if width == 360 else [3, 3])
    chart = "getComputedStyle(document.querySelector('.chart .{}')).display !== 'none'"
    assert page.evaluate(chart.format("narrow")) == (width == 360)
    assert page.evaluate(chart.format("wide")) == (width == 1440)


@pytest.mark.parametrize("width", [360, 1440])
def test_many_stems_and_long_names_fit_as_well(browser: Tab, tmp_path: Path, width: int) -> None:
    names = [f"{'a_very_long_name_without_a_break' if k == 5 else 'stem'}_{k}" for k in range(12)]
    overlap = dict.fromkeys(names, 0.5)
    song = song_scores(
        *(stem_scores(name) for name in names),
        song="A song " + "without_any_break_at_all" * 4,
        measures=tuple(
            stem_measures(name, overlap={n: v for n, v in overlap.items() if n != name})
            for name in names
        ),
    )
    write_report(tmp_path / "many.html", [song])
    browser.show(width)
    browser.open(tmp_path / "many.html")
    assert browser.evaluate(STICKING_OUT) == []
    rows = "Math.max(...[...document.querySelectorAll('tr')].map((row) => row.offsetHeight))"
    assert 20 < browser.evaluate(rows) < 100
    narrowest = (
        "Math.min(...[...document.querySelectorAll('.beside > *')].map((e) => e.offsetWidth))"
    )
    assert browser.evaluate(narrowest) >= 300


def test_one_stem_has_no_average(browser: Tab, tmp_path: Path) -> None:
    write_report(tmp_path / "one.html", [song_scores(stem_scores("piano"))])
    browser.open(tmp_path / "one.html")
    text = browser.evaluate("document.body.textContent")
    assert "· 1 stem" in text and "1 stems" not in text
    assert "average" not in text


def test_colours_of_stems_stand_out_from_the_page(page: Tab) -> None:
    """Graphics need a contrast of 3 (WCAG 2.1, 1.4.11)."""
    for dark in (False, True):
        page.show(1440, dark=dark)
        colours = page.evaluate(
            "['--paper', ...Array(8).keys()].map((n) => getComputedStyle(document.documentElement)"
            ".getPropertyValue(typeof n === 'string' ? n : `--c${n}`).trim())"
        )
        paper, *stems = [_luminance(colour) for colour in colours]
        assert len(set(colours)) == 9
        for stem in stems:
            assert (max(stem, paper) + 0.05) / (min(stem, paper) + 0.05) >= 3


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_reduced_motion_disables_transitions(page: Tab) -> None:
    times = (
        "[getComputedStyle(document.querySelector('.plot')).transitionDuration,"
        "getComputedStyle(document.documentElement).scrollBehavior]"
    )
    assert page.evaluate(times) == ["0.15s", "smooth"]
    page.show(1440, calm=True)
    assert page.evaluate(times) == ["0s", "auto"]


def test_names_are_text_whatever_they_look_like(page: Tab) -> None:
    assert page.evaluate("document.querySelector('h1').textContent") == EVIL
    assert page.evaluate("document.title").startswith(EVIL)
    assert page.evaluate("document.querySelectorAll('.stem h3')[1].textContent") == EVIL
    assert page.evaluate("document.body.innerText").count(EVIL) >= 6
    assert "r & 441 <b>.wav" in page.evaluate("document.body.innerText")
    scripts = page.evaluate("[...document.scripts].map((s) => s.type).sort()")
    assert scripts == ["", *["text/plain"] * 6]
    assert not [e for e in page.events if e.get("method") == "Page.javascriptDialogOpening"]


def test_pictures_are_there_and_names_of_parts_differ(page: Tab) -> None:
    loaded = page.evaluate(
        "[...document.images].map((i) => [i.complete, i.naturalWidth > 0, i.alt !== ''])"
    )
    assert len(loaded) == 8 and all(all(image) for image in loaded)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    used = page.evaluate(
        "[...document.querySelectorAll('[clip-path]')]"
        ".map((e) => e.getAttribute('clip-path').slice(5, -1))"
    )
    assert used and set(used) <= set(ids)
    assert page.evaluate("document.querySelectorAll('.stem svg text').length") > 10


# --- Other pages ---------------------------------------------------------------------------------


def test_without_references_stems_can_still_be_played(browser: Tab, tmp_path: Path) -> None:
    write_report(tmp_path / "r.html", [make_song(tmp_path, references=False)])
    browser.show(360)
    browser.open(tmp_path / "r.html")
    play(browser)
    assert gains(browser) == [{"estimate": 1}, {"estimate": 1}, {"mixture": 0}]
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.complaints() == []


def test_without_references_the_song_plays_in_place_of_the_stems(
    browser: Tab, tmp_path: Path
) -> None:
    write_report(tmp_path / "r.html", [make_song(tmp_path, references=False)])
    browser.show(1440)
    browser.open(tmp_path / "r.html")
    labels = "[...document.querySelectorAll('.transport .switch label')].map((e) => e.innerText)"
    assert [text.split() for text in browser.evaluate(labels)] == [["Stems", "1"], ["Song", "2"]]
    play(browser)
    browser.evaluate(LISTEN)
    browser.click(".stem .solo")
    song, stems = [{"estimate": 0}, {"estimate": 0}, {"mixture": 1}], [1, 0]
    browser.evaluate("globalThis.sources = players[0].sources")
    browser.press("2")
    assert gains(browser) == song  # whatever is solo
    browser.evaluate("players[0].seek(0.2)")
    assert browser.evaluate("strongest()") == pytest.approx(MIXTURE_PITCH, abs=8)
    browser.press("1")
    assert [gain.get("estimate", 0) for gain in gains(browser)] == [*stems, 0]
    browser.click(".mixture .alone")
    assert gains(browser) == song
    browser.click(".stem .alone")
    assert [gain.get("estimate", 0) for gain in gains(browser)] == [*stems, 0]
    assert browser.complaints() == []


def test_of_many_songs_one_plays_at_a_time(
    browser: Tab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "SECONDS", 3.0)
    songs = [make_song(tmp_path, song=f"song {number}") for number in range(4)]
    write_report(tmp_path / "r.html", songs)
    browser.show(1440)
    browser.open(tmp_path / "r.html")
    assert browser.evaluate("players.length") == 3
    assert browser.evaluate("players.map((p) => p.length)") == [1, 1, 1]
    browser.evaluate("players[0].play()", gesture=True)
    browser.evaluate("players[1].play()", gesture=True)
    assert browser.evaluate("players.map((p) => p.playing)") == [False, True, False]
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    for width in (360, 1440):
        browser.show(width)
        assert browser.evaluate(STICKING_OUT) == []
    assert browser.complaints() == []


# --- Sets of stems side by side ------------------------------------------------------------------

#: Frequencies (Hz) of the stem in each version, in the order of the switch.
SET_PITCHES = {EVIL: 882.0, "umxl": 3528.0, "Reference": 441.0, "Song": MIXTURE_PITCH}


def make_sets(folder: Path, *names: str, song: str = "a song") -> ComparedSong:
    """Write files of a song of two stems in sets of these names; the second stem is silent."""

    def store(name: str, pitch: float) -> StemFiles:
        path = folder / f"{name} {pitch:.0f}.wav"
        level = 0.5 if pitch else 0.0
        soundfile.write(path, level * tones(SECONDS * RATE, RATE, (pitch, pitch)).T, RATE)
        return StemFiles(paths=(path,))

    def store_stems(name: str, pitch: float) -> dict[str, StemFiles]:
        return {"vocals": store(name, pitch), "bass": store(f"{name} bass", 0.0)}

    pitches = list(SET_PITCHES.values())
    references, mixture = store_stems("r", pitches[2]), store("mix", pitches[3])
    return ComparedSong(
        name=song,
        sets={
            name: song_scores(
                *(stem_scores(stem, delay=number, global_sdr=number) for stem in references),
                song=song,
                frames=SECONDS * RATE,
                estimates=store_stems(str(number), pitches[min(number, 1)]),
                references=references,
                mixture=mixture,
            )
            for number, name in enumerate(names)
        },
    )


@pytest.fixture
def sets(browser: Tab, tmp_path: Path) -> Iterator[Tab]:
    """The page of two sets, newly opened; it must not have complained or asked for anything."""
    write_set_report(tmp_path / "sets.html", [make_sets(tmp_path, EVIL, "umxl")])
    browser.show(1440)
    browser.open(tmp_path / "sets.html")
    yield browser
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [
        (tmp_path / "sets.html").as_uri()
    ]


def test_sets_reference_and_song_are_switched_at_one_position(sets: Tab) -> None:
    labels = "[...document.querySelectorAll('.transport .switch bdi')].map((e) => e.textContent)"
    assert sets.evaluate(labels) == [f"A: {EVIL}", "B: umxl", "Reference", "Song"]
    play(sets)
    sets.evaluate(LISTEN)
    sets.evaluate("globalThis.sources = players[0].sources")
    for key, pitch in enumerate(SET_PITCHES.values(), 1):
        sets.evaluate(
            "globalThis.was = [players[0].position, players[0].context.currentTime]; null"
        )
        sets.press(str(key))
        drift = "players[0].position - was[0] - (players[0].context.currentTime - was[1])"
        assert abs(sets.evaluate(drift)) < 0.05
        assert sets.evaluate("players[0].sources === sources")  # nothing was started anew
        assert (
            sum(gain for stem in gains(sets)[:1] + gains(sets)[2:] for gain in stem.values()) == 1
        )
        assert sets.evaluate("strongest()") == pytest.approx(pitch, abs=8)
        sets.evaluate("players[0].seek(0.2); globalThis.sources = players[0].sources; null")


def test_one_stem_can_have_another_version_than_the_others(sets: Tab) -> None:
    sets.evaluate("document.querySelector('.stem .mute').focus()")
    sets.press("2")
    assert sets.evaluate("players[0].stems.map((s) => s.version)") == ["set-1", "set-0", "set-0"]
    assert sets.evaluate("document.querySelector('.transport input:checked')") is None
    sets.press("4")  # no stem has the song as a version
    assert sets.evaluate("players[0].stems.map((s) => s.version)") == ["mixture"] * 3


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
def test_sets_fit_and_can_be_read(browser: Tab, tmp_path: Path, width: int, dark: bool) -> None:
    names = ("htdemucs_ft", "umxl", "a_very_long_name_without_a_break_in_it", "d", "e", "f")
    songs = [make_sets(tmp_path, *names, song=f"song {number}") for number in range(2)]
    write_set_report(tmp_path / "many.html", songs)
    browser.show(width, dark=dark)
    browser.open(tmp_path / "many.html")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.evaluate(PALE_TEXT) == []
    ids = browser.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    assert browser.complaints() == []


def test_the_best_set_is_marked_by_more_than_weight(sets: Tab) -> None:
    best = (
        "[...document.querySelectorAll('td.best')].map((e) => [e.textContent,"
        "getComputedStyle(e, '::before').content.includes('●')])"
    )
    assert sets.evaluate(best) == [["1.00 best", True]] * 3  # global SDR: two stems, their average
