"""The synthetic song: length, level, spectrum and pitch of its stems."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.data.synthetic import LEVELS, PEAK, compose, render
from stemsplit.data.waveforms import hertz

RATE = 44_100


@pytest.fixture(scope="module")
def song() -> dict[str, np.ndarray]:
    return render(3, seconds=6.0)


def spectrum(wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies in Hz and the power of ``wave`` ``(2, T)`` at them."""
    mono = wave.mean(axis=0)
    power = np.abs(np.fft.rfft(mono * np.hanning(mono.size))) ** 2
    return np.fft.rfftfreq(mono.size, 1 / RATE), power


def test_stems_are_stereo_float32_and_as_long_as_asked(song: dict[str, np.ndarray]) -> None:
    assert list(song) == ["vocals", "drums", "bass", "other"]
    assert {stem.shape for stem in song.values()} == {(2, 6 * RATE)}
    assert {stem.dtype for stem in song.values()} == {np.dtype("float32")}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.0001, 1.5), st.sampled_from([8_000, 22_050, 48_000]))
def test_any_length_at_any_rate_peaks_where_it_should(seed: int, seconds: float, rate: int) -> None:
    stems = render(seed, seconds=seconds, sample_rate=rate)
    mixture = sum(stems.values())
    assert mixture.shape == (2, round(seconds * rate))
    assert 20 * np.log10(np.abs(mixture).max()) == pytest.approx(PEAK, abs=0.001)


def test_levels_are_balanced(song: dict[str, np.ndarray]) -> None:
    loudness = {name: 10 * np.log10(np.mean(stem**2)) for name, stem in song.items()}
    for name, level in LEVELS.items():
        assert loudness[name] - loudness["vocals"] == pytest.approx(level, abs=0.01)


def test_a_seed_is_a_song(song: dict[str, np.ndarray]) -> None:
    again = render(3, seconds=6.0)
    for name, stem in song.items():
        assert stem.tobytes() == again[name].tobytes()
    scores = [compose(np.random.default_rng(seed), 12.0) for seed in range(8)]
    assert len({score.melody for score in scores}) == 8
    assert len({score.beat for score in scores}) > 3
    assert len({score.chords for score in scores}) > 5


def test_the_song_is_the_same_with_any_number_of_threads() -> None:
    program = (
        "import hashlib; from stemsplit.data.synthetic import render; "
        "print(hashlib.sha256(render(5, seconds=1)['vocals'].tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }
    assert len(digests) == 1


def test_every_stem_is_in_the_range_of_its_instrument(song: dict[str, np.ndarray]) -> None:
    def share(name: str, low: float, high: float) -> float:
        frequency, power = spectrum(song[name])
        return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())

    assert share("bass", 30, 500) > 0.95
    assert share("vocals", 180, 4_000) > 0.95
    assert share("other", 150, 4_000) > 0.95
    assert share("drums", 30, 150) > 0.2  # the kick
    assert share("drums", 5_000, 16_000) > 0.01  # the hats


def test_the_first_long_note_is_sung_on_its_pitch() -> None:
    """The harmonics in the middle of a note are multiples of its frequency, apart from vibrato."""
    vocals = render(3, seconds=6.0)["vocals"]
    score = compose(np.random.default_rng(3), 6.0)
    note = next(note for note in score.melody if note.length > 1.2 * score.beat)
    middle = slice(*(round((note.start + note.length * part) * RATE) for part in (0.4, 0.8)))
    frequency, power = spectrum(vocals[:, middle])
    near = np.abs(frequency[:, None] / hertz(note.pitch) - np.arange(1, 4)).min(axis=1) < 0.06
    voiced = frequency < 3.4 * hertz(note.pitch)
    assert power[near & voiced].sum() / power[voiced].sum() > 0.9


def test_voice_and_bass_are_in_the_middle(song: dict[str, np.ndarray]) -> None:
    left, right = song["bass"]
    np.testing.assert_allclose(left, right, atol=1e-7)
    left, right = song["vocals"]  # its room is wide
    assert np.sum(left * right) / np.sqrt(np.sum(left**2) * np.sum(right**2)) > 0.8
    left, right = song["other"]
    assert np.sum(left**2) > 1.1 * np.sum(right**2)  # the guitar


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, 44_100), (-1.0, 44_100), (1.0, 4_000)])
def test_a_song_without_samples_or_hi_hats_is_refused(seconds: float, rate: int) -> None:
    with pytest.raises(ValueError, match="not a song"):
        render(seconds=seconds, sample_rate=rate)
