"""Rendered songs: the labels against the sound, the sum of the stems, and equal seeds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stemsplit.data.midi import parse
from stemsplit.data.render import effects, fluid, own_instruments
from stemsplit.data.render.harmony import MAJOR, MINOR, beat_times, make_chords, make_melody
from stemsplit.data.render.mixing import CEILING, master, sum_of
from stemsplit.data.render.mma import accompany
from stemsplit.data.render.orchestra import FAMILIES, VOICES, Group, assign_instruments
from stemsplit.data.render.patterns import PATTERNS
from stemsplit.data.render.programs import run
from stemsplit.data.render.score import QUALITIES, Chord, Key, Note, Part, Score, to_midi
from stemsplit.data.render.song import SAMPLE_RATE, Settings, render_song
from stemsplit.data.render.styles import BUILT_IN, Style, choose_styles, find_styles
from stemsplit.errors import InputError, ResourceError, UsageError

HAS_FLUIDSYNTH = shutil.which("fluidsynth") is not None
needs_fluidsynth = pytest.mark.skipif(not HAS_FLUIDSYNTH, reason="needs fluidsynth")
needs_mma = pytest.mark.skipif(shutil.which("mma") is None, reason="needs mma")
C_MAJOR = Key(0, False)
PLAYERS = [None, *(fluid.find_sound_fonts() if HAS_FLUIDSYNTH else ())]
player = pytest.mark.parametrize(
    "font", PLAYERS, ids=lambda font: "built-in" if font is None else font.stem
)


def score_of(part: Part, *, seconds: float = 8.0, drift: float = 0.05) -> Score:
    rng = np.random.default_rng(0)
    beats = beat_times(rng, 110.0, seconds, 4, lead=0.3, drift=drift)
    chords = make_chords(rng, C_MAJOR, (len(beats) - 1) // 4, 4)
    return Score(style="x", metre=4, beats=beats, key=C_MAJOR, chords=chords, parts=(part,))


def play(score: Score, font: Path | None, *, seconds: float = 8.0) -> np.ndarray:
    """Return the only part of ``score``, ``(T,)``."""
    [part] = score.parts
    frames = round(seconds * SAMPLE_RATE)
    if font is None:
        group = Group(stem=part.stem, parts=score.parts, pans=(0.0,))
        rng = np.random.default_rng(0)
        stem = own_instruments.play(score, group, rng, frames=frames, sample_rate=SAMPLE_RATE)
    else:
        midi = to_midi(score, score.parts, pans=(0.0,))
        stem = fluid.play(midi, font, frames=frames, sample_rate=SAMPLE_RATE)
    assert stem.shape == (2, frames)
    return stem.mean(axis=0)


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies in Hz and magnitudes."""
    magnitude = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    return np.fft.rfftfreq(sound.size, 1 / SAMPLE_RATE), magnitude


@player
@pytest.mark.parametrize("kit", [0, 25])
def test_kicks_sound_within_10_ms_of_their_beats(font: Path | None, kit: int) -> None:
    notes = tuple(Note(float(beat), 0.2, 36, 110) for beat in range(12))
    kicks = Part(name="Drum", stem="drums", program=kit, notes=notes, drums=True)
    score = score_of(kicks)
    level = np.abs(play(score, font))
    loud = level > 0.1 * level.max()
    onsets = [
        np.flatnonzero(loud[first:])[0] + first
        for first in (round((beat - 0.1) * SAMPLE_RATE) for beat in score.beats[:12])
    ]
    late = np.array(onsets) / SAMPLE_RATE - score.beats[:12]
    assert late.min() > -0.001
    assert late.max() < 0.010


@player
@pytest.mark.parametrize("pitch", [28, 33, 43])
def test_a_bass_note_has_its_pitch(font: Path | None, pitch: int) -> None:
    note = Note(0.0, 4.0, pitch, 100)
    sound = play(score_of(Part(name="Bass", stem="bass", program=33, notes=(note,))), font)
    frequency, magnitude = spectrum(sound[SAMPLE_RATE // 2 : 2 * SAMPLE_RATE])
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    # The highest peak is one of the first partials.
    highest = frequency[magnitude.argmax()]
    partial = max(round(highest / wanted), 1)
    assert abs(12 * np.log2(highest / partial / wanted)) < 0.3
    assert partial <= 4


@player
@pytest.mark.parametrize("quality", ["maj", "min", "sus4"])
def test_a_chord_has_its_pitch_classes(font: Path | None, quality: str) -> None:
    chord = Chord(0, 4, 2, quality)
    notes = tuple(Note(0.0, 4.0, 62 + each, 90) for each in QUALITIES[quality])
    sound = play(score_of(Part(name="Chord", stem="other", program=24, notes=notes)), font)
    frequency, magnitude = spectrum(sound[SAMPLE_RATE // 2 : 2 * SAMPLE_RATE])
    used = (frequency > 200) & (frequency < 900)
    classes = np.round(12 * np.log2(frequency[used] / 440) + 69).astype(int) % 12
    chroma = np.array([(magnitude[used][classes == each] ** 2).sum() for each in range(12)])
    assert set(np.argsort(chroma)[-3:].tolist()) == set(chord.pitch_classes)


@pytest.fixture(scope="module")
def settings() -> Settings:
    """A song of 4 s, by other programs where they are installed."""
    styles = find_styles(mma=shutil.which("mma") is not None)
    wanted = ("plain-rock", "8beat") if "8beat" in styles else ("plain-rock",)
    fonts = fluid.find_sound_fonts() if HAS_FLUIDSYNTH else ()
    return Settings(seed=3, seconds=4.0, styles=choose_styles(styles, wanted), sound_fonts=fonts)


def test_stems_have_16_bits_and_a_sum_within_full_scale(settings: Settings) -> None:
    for number in range(3):
        song = render_song(settings, number)
        total = sum_of(song.stems)
        assert total.shape == (2, 4 * SAMPLE_RATE)
        assert 0.3 < np.abs(total).max() < CEILING + 4 / 2**15
        for stem in (*song.stems.values(), total):
            assert np.array_equal(stem * 2**15, np.rint(stem * 2**15))
            assert 0.003 < np.sqrt(np.mean(stem**2)) < 0.5


def test_stems_that_cancel_each_other_are_limited_too() -> None:
    rng = np.random.default_rng(0)
    loud, noise = (rng.standard_normal((2, SAMPLE_RATE)).astype(np.float32) for _ in range(2))
    stems = {"vocals": loud, "drums": 0.01 * noise - loud}
    made = master(stems, rng, SAMPLE_RATE)
    assert 0.9 * CEILING < np.abs(made["vocals"]).max() < CEILING + 2 / 2**15


def test_equal_seeds_make_equal_songs(settings: Settings) -> None:
    first, again, other = (render_song(settings, number) for number in (0, 0, 1))
    assert first.labels == again.labels != other.labels
    assert first.midi == again.midi != other.midi
    for name, stem in first.stems.items():
        np.testing.assert_array_equal(stem, again.stems[name])


def test_the_file_of_a_song_has_the_notes_of_its_labels(settings: Settings) -> None:
    song = render_song(settings, 0)
    midi = parse(song.midi)
    labels = song.labels
    starts = sorted(midi.seconds(n.start) for track in midi.tracks for n in track.notes)
    labelled = sorted(note["start"] for notes in labels["notes"].values() for note in notes)
    assert len(labelled) > 30
    np.testing.assert_allclose(starts[: len(labelled)], labelled, atol=0.001)
    chords = [(midi.seconds(tick), text) for tick, text in midi.markers]
    for label, (start, text) in zip(labels["chords"], chords, strict=False):
        assert label["chord"] == text
        assert label["start"] == pytest.approx(start, abs=0.001)
    assert labels["downbeats"] == labels["beats"][:: labels["metre"]]
    assert 60 / np.diff(labels["beats"]).mean() == pytest.approx(labels["tempo"], rel=0.05)


def test_sung_notes_have_their_pitch() -> None:
    song = render_song(Settings(seed=0, seconds=6.0, styles=(BUILT_IN["plain-ballad"],)), 0)
    voice = song.stems["vocals"].mean(axis=0)
    long = [note for note in song.labels["notes"]["vocals"] if note["end"] - note["start"] > 0.6]
    assert long
    for note in long:
        middle = slice(
            *(round((note[k] + s) * SAMPLE_RATE) for k, s in (("start", 0.2), ("end", 0)))
        )
        frequency, magnitude = spectrum(voice[middle])
        wanted = 440 * 2 ** ((note["pitch"] - 69) / 12)
        partials = [
            magnitude[np.abs(12 * np.log2(frequency[1:] / (k * wanted))).argmin() + 1 - 2 :][
                :5
            ].max()
            for k in (1, 2, 3)
        ]
        between = magnitude[np.abs(frequency - 1.5 * wanted).argmin()]
        assert max(partials) > 10 * between


def test_no_voice_plays_in_another_stem() -> None:
    assert not {program for family in FAMILIES.values() for program in family} & set(VOICES)
    part = Part(name="Choir", stem="other", program=52, notes=())
    for seed in range(20):
        [assigned] = assign_instruments([part], np.random.default_rng(seed))
        assert assigned.program in FAMILIES[6]


def test_patterns_fill_their_bars() -> None:
    for pattern in PATTERNS.values():
        for line in (*pattern.drums.values(), pattern.bass, *pattern.comping):
            assert len(line) == 4 * pattern.metre


def test_chords_are_known_and_fill_the_song() -> None:
    symbols = " ".join((*MAJOR, *MINOR)).replace(",", " ").split()
    assert {symbol[1:] for symbol in symbols} == set(QUALITIES)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chords = make_chords(rng, Key(9, True), 13, 3)
        assert sum(chord.length for chord in chords) == 39
        assert chords[-1].start + chords[-1].length == 39
        for note in make_melody(rng, Key(9, True), chords, 13, 3):
            assert note.start + note.length <= 39


def test_keys_have_their_signatures() -> None:
    known = {"C:maj": 0, "D:maj": 2, "Eb:maj": -3, "A:min": 0, "E:min": 1, "G:min": -2}
    keys = [Key(tonic, minor) for tonic in range(12) for minor in (False, True)]
    found = {str(key): key.sharps for key in keys}
    assert {name: found[name] for name in known} == known


@needs_mma
def test_styles_are_chosen_by_pattern() -> None:
    known = find_styles(mma=True)
    everything = {style.name for style in choose_styles(known)}
    assert {"plain-rock", "swing", "waltz"} <= everything
    assert not any(name.startswith("metronome") or "/" in name for name in everything)
    train = {style.name for style in choose_styles(known, unwanted=("*waltz", "Swing"))}
    test = {style.name for style in choose_styles(known, wanted=("*waltz", "Swing"))}
    assert train | test == everything
    assert {"yamaha/mambo", "yamaha/jazzwaltz"} <= {
        style.name for style in choose_styles(known, wanted=("yamaha/*",))
    }
    assert not train & test
    assert (known["waltz"].metre, known["swing"].metre) == (3, 4)


def test_unknown_styles_are_refused() -> None:
    known = find_styles(mma=False)
    with pytest.raises(UsageError, match="unknown style 'polka99'") as caught:
        choose_styles(known, wanted=("polka99",))
    assert "plain-rock" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no style is left"):
        choose_styles(known, wanted=("plain-rock",), unwanted=("plain-*",))


@needs_mma
def test_every_style_of_the_library_can_be_played() -> None:
    styles = [s for s in choose_styles(find_styles(mma=True)) if s.library is not None]
    rng = np.random.default_rng(0)
    for style in styles[::9]:
        chords = make_chords(rng, Key(1, True), 8, style.metre)
        parts = accompany(style, Key(1, True), chords, 8, rng)
        last = max(note.start for part in parts for note in part.notes)
        assert 6 * style.metre < last < 8 * style.metre


@needs_mma
def test_a_style_that_mma_refuses_is_named() -> None:
    style = Style(name="bad", metre=4, library="stdlib/swing", grooves=("NoSuchGroove",))
    chords = (Chord(0, 4, 0, "maj"),)
    with pytest.raises(InputError, match=r"mma failed with the style bad: .*NOSUCHGROOVE"):
        accompany(style, C_MAJOR, chords, 1, np.random.default_rng(0))


@needs_fluidsynth
@pytest.mark.parametrize("content", [b"junk", b"RIFF\x10\0\0\0sfbkLIST\x04\0\0\0INFO", b""])
def test_a_broken_sound_font_is_refused(tmp_path: Path, content: bytes) -> None:
    font = tmp_path / "broken.sf2"
    font.write_bytes(content)
    part = Part(name="Bass", stem="bass", program=33, notes=(Note(0, 1, 40, 90),))
    with pytest.raises(InputError, match="cannot be used as a sound font") as caught:
        play(score_of(part), font)
    assert caught.value.path == str(font)


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "fluidsynth"
    program.write_text("#!/bin/sh\nsleep 60 & wait\n")
    program.chmod(0o755)
    with pytest.raises(ResourceError, match=r"did not finish in 0\.2 s"):
        run([str(program)], seconds=0.2)


def test_the_limiter_holds_its_ceiling_and_leaves_quiet_parts_alone() -> None:
    rng = np.random.default_rng(0)
    sound = 0.2 * rng.standard_normal((2, 3 * SAMPLE_RATE)).clip(-2, 2)
    sound[:, SAMPLE_RATE : SAMPLE_RATE + 100] *= 10
    sound = sound.astype(np.float32)
    curve = effects.limit(sound, 0.8)
    assert np.abs(sound * curve).max() <= 0.8 * (1 + 1e-6)
    assert curve[: SAMPLE_RATE // 2].min() == curve[2 * SAMPLE_RATE :].min() == 1
    assert np.abs(np.diff(curve)).max() < 0.002


def test_filters_have_their_response_and_no_delay() -> None:
    response = {100: -12.0, 1_000: 0.0, 5_000: -6.0}
    kernel = effects.make_filter(response, SAMPLE_RATE)
    frequency = np.fft.rfftfreq(kernel.size, 1 / SAMPLE_RATE)
    level = 20 * np.log10(np.abs(np.fft.rfft(kernel)))
    for hertz, wanted in response.items():
        assert np.interp(hertz, frequency, level) == pytest.approx(wanted, abs=0.5)
    assert np.abs(kernel).argmax() < 3


def test_filtering_in_blocks_equals_filtering_at_once() -> None:
    rng = np.random.default_rng(0)
    sound = rng.standard_normal((2, 300_000)).astype(np.float32)
    kernel = rng.standard_normal((2, 5_000)) * np.exp(-np.arange(5_000) / 500)
    size = 2**19
    whole = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(kernel, size), size)
    np.testing.assert_allclose(effects.convolve(sound, kernel), whole[:, :300_000], atol=1e-3)
