"""Augmentations that change the sound, measured: spectra, levels, pitch, tempo, codecs, rooms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from stemsplit.audio.ffmpeg import find_ffmpeg
from stemsplit.data.synthetic import render
from stemsplit.errors import InputError, ResourceError, UsageError
from stemsplit.training.augment import make_chain
from stemsplit.training.augment.base import Material
from stemsplit.training.augment.equaliser import Band, SevenBandParametricEq, equalise
from stemsplit.training.augment.filters import convolve, fast_length, resample_to
from stemsplit.training.augment.rooms import response_of

RATE = 44_100
Signals = NDArray[np.float32]


def change(sound: Signals, name: str, *, seed: int = 0, **table: Any) -> Signals:
    """Return ``sound`` (C, T), as the only source of a song, changed and without the margin."""
    made = make_chain([{"name": name, "p": 1.0, **table}], sources=["other"], sample_rate=RATE)
    frames = sound.shape[1]
    while frames + made.margin(frames) > sound.shape[1]:
        frames -= 1
    given = sound[np.newaxis, np.newaxis, :, : frames + made.margin(frames)].copy()
    return made(given, np.random.default_rng(seed), frames).sources[0, 0]


def noise(frames: int, channels: int = 2, seed: int = 0) -> Signals:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((channels, frames))).astype(np.float32)


def sine(frequency: float, seconds: float, level: float = 0.5) -> Signals:
    times = np.arange(round(seconds * RATE)) / RATE
    return np.tile(level * np.sin(2 * np.pi * frequency * times), (2, 1)).astype(np.float32)


def level(sound: Signals) -> float:
    return float(10 * np.log10(np.square(sound, dtype=np.float64).mean()))


def frequency_of(sound: Signals) -> float:
    """Return the frequency (Hz) of a sine (T,), by the slope of its phase."""
    analytic = scipy_signal.hilbert(sound.astype(np.float64))
    phase = np.unwrap(np.angle(analytic))
    inside = slice(len(phase) // 10, -len(phase) // 10)
    slope = np.polyfit(np.arange(len(phase))[inside], phase[inside], 1)[0]
    return float(slope * RATE / (2 * np.pi))


def response_of_filter(impulse_response: Signals) -> NDArray[np.float64]:
    """Return the response in dB at each whole number of Hz, from a second (1, T) of it."""
    return np.asarray(20 * np.log10(np.abs(np.fft.rfft(impulse_response[0]))))


def impulse(frames: int = RATE, at: int = 0, channels: int = 1) -> Signals:
    sound = np.zeros((channels, frames), np.float32)
    sound[:, at] = 1
    return sound


# --- Filters -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["low_shelf", "peak", "high_shelf"])
@pytest.mark.parametrize(("frequency", "gain", "q"), [(60, 9, 0.1), (1000, -18, 0.7), (8000, 6, 5)])
def test_a_band_is_a_recursive_filter(shape: Any, frequency: float, gain: float, q: float) -> None:
    band, sound = Band(shape, frequency, gain, q), noise(20_000)
    b, a = band.coefficients(RATE)
    expected = scipy_signal.lfilter(b, a, sound.astype(np.float64))
    assert equalise([band], RATE)(sound) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("gain", [-12.0, 6.0])
@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ("low_shelf", {10: 1.0, 1000: 0.5, 20_000: 0.0}),
        ("peak", {10: 0.0, 1000: 1.0, 21_900: 0.0}),
        ("high_shelf", {10: 0.0, 1000: 0.5, 21_900: 1.0}),
    ],
)
def test_the_response_of_a_band(shape: Any, places: dict[int, float], gain: float) -> None:
    measured = response_of_filter(equalise([Band(shape, 1000.0, gain, 0.8)], RATE)(impulse()))
    for frequency, share in places.items():
        assert measured[frequency] == pytest.approx(share * gain, abs=0.1)


@pytest.mark.parametrize(
    ("name", "centre"), [("low_shelf", 10), ("peaking", 500), ("high_shelf", 21_900)]
)
def test_a_random_band_has_the_values_of_its_ranges(name: str, centre: int) -> None:
    ranges = {"min_center_freq": 500, "max_center_freq": 500, "min_q": 0.7, "max_q": 0.7}
    measured = change(impulse(), name, min_gain_db=4, max_gain_db=4, **ranges)
    assert response_of_filter(measured)[centre] == pytest.approx(4.0, abs=0.1)


def test_seven_bands_lie_where_the_community_has_them() -> None:
    eq = SevenBandParametricEq(
        material=Material(("other",), RATE), min_gain_db=-3.0, max_gain_db=6.0
    )
    drawn = [eq.draw_bands(np.random.default_rng(seed)) for seed in range(200)]
    edges = [(42, 95), (91, 204), (196, 441), (421, 948), (909, 2045), (1957, 4404), (4216, 9486)]
    for number, (low, high) in enumerate(edges):
        bands = [bands[number] for bands in drawn]
        assert {band.shape for band in bands} == {
            "low_shelf" if number == 0 else "high_shelf" if number == 6 else "peak"
        }
        best, worst = (0.5, 5.0) if 0 < number < 6 else (0.1, 0.999)
        for values, least, most in [
            ([band.frequency for band in bands], low, high),
            ([band.gain for band in bands], -3, 6),
            ([band.quality for band in bands], best, worst),
        ]:
            room = 0.05 * (most - least)  # the most and least of 200 are nearer to the ends
            assert least <= min(values) < least + room and most - room < max(values) <= most


def test_seven_bands_are_applied_one_after_the_other() -> None:
    eq = SevenBandParametricEq(material=Material(("other",), RATE))
    expected: Any = noise(9000).astype(np.float64)
    for band in eq.draw_bands(np.random.default_rng(7)):
        expected = scipy_signal.lfilter(*band.coefficients(RATE), expected)
    found = eq.draw(np.random.default_rng(7))(noise(9000))
    assert found == pytest.approx(expected, abs=1e-5)


def test_an_equaliser_treats_channels_and_songs_alike() -> None:
    sound = noise(4000)
    sound[1] = sound[0]
    found = change(sound, "seven_band_parametric_eq")
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found, sound, atol=0.01)


@pytest.mark.parametrize("least", [1, 2, 3, 7, 1000, 264_601, 300_001, 1_048_577])
def test_lengths_of_ffts_have_small_factors(least: int) -> None:
    length = rest = fast_length(least)
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1 and length % 2 == 0
    assert least <= length <= max(8, 1.03 * least)


def test_convolution_is_that_of_numpy() -> None:
    sound, response = noise(3000), noise(500, seed=1)
    expected = [np.convolve(a, b)[:3000] for a, b in zip(sound, response, strict=True)]
    assert convolve(sound, response) == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize(("before", "after"), [(4000, 3000), (3000, 4000), (3001, 4001)])
def test_resampling_keeps_what_both_rates_have(before: int, after: int) -> None:
    def wave(frames: int) -> Signals:
        return np.sin(2 * np.pi * 7 * np.arange(frames) / frames)[np.newaxis].astype(np.float32)

    assert resample_to(wave(before), after) == pytest.approx(wave(after), abs=2e-6)


# --- Distortion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [0.1, 0.7])
def test_tanh_has_the_amount_and_keeps_the_level(amount: float) -> None:
    sound = noise(20_000)
    found = change(sound, "tanh_distortion", min=amount, max=amount)
    threshold = np.percentile(np.abs(sound), 100 - 99 * amount)
    curve = np.tanh(sound * 0.5 / threshold)
    expected = curve * np.sqrt(np.square(sound).mean() / np.square(curve).mean())
    assert found == pytest.approx(expected, abs=1e-4)
    assert level(found) == pytest.approx(level(sound), abs=0.01)


def test_silence_is_not_distorted() -> None:
    assert not change(np.zeros((2, 1000), np.float32), "tanh_distortion").any()


def limited(sound: Signals, knee_db: float, drive_db: float) -> Signals:
    """Return what a soft clipper makes of ``sound``, by its definition."""
    knee, driven = 10 ** (knee_db / 20), sound * 10 ** (drive_db / 20)
    excess = np.maximum(np.abs(driven) - knee, 0)
    rounded = knee + (1 - knee) * np.tanh(excess / (1 - knee))
    return np.where(excess > 0, np.sign(driven) * rounded, driven)


LIMIT = {
    "min_threshold_db": -6.0,
    "max_threshold_db": -6.0,
    "min_drive_db": 3.0,
    "max_drive_db": 3.0,
}


def test_limited_together_the_stems_sum_to_the_limited_mixture() -> None:
    table = {"name": "soft_limit", "p": 1.0, **LIMIT}
    made = make_chain([table], sources=["a", "b", "c"], sample_rate=RATE)
    sources = np.stack([noise(5000, seed=s) * 5 for s in range(3)])[np.newaxis]
    before = sources.copy()
    batch = made(sources, np.random.default_rng(0), 5000)
    expected = limited(before.sum(axis=1), -6.0, 3.0)
    assert batch.mix == pytest.approx(expected, abs=1e-5)
    assert np.abs(before.sum(axis=1)).max() > 2 and np.abs(batch.mix).max() < 1.0001
    share = batch.sources[0, 0] / before[0, 0]
    assert share == pytest.approx(batch.sources[0, 1] / before[0, 1], rel=1e-3)


def test_limited_alone_each_stem_has_its_own_gain() -> None:
    sound = noise(5000) * 8
    found = change(sound, "soft_limit", per="source", **LIMIT)
    assert found == pytest.approx(limited(sound, -6.0, 3.0), abs=1e-5)


def test_the_mixture_alone_is_limited_in_the_same_way() -> None:
    table = {"name": "soft_limit_on_mixture", "p": 1.0, **LIMIT}
    made = make_chain([table], sources=["a"], sample_rate=RATE)
    sound = noise(5000) * 8
    batch = made(sound[np.newaxis, np.newaxis].copy(), np.random.default_rng(0), 5000)
    assert batch.mix[0] == pytest.approx(limited(sound, -6.0, 3.0), abs=1e-5)


# --- Pitch and tempo -----------------------------------------------------------------------------


@pytest.mark.parametrize(("frequency", "semitones"), [(55, 5), (440, -5), (440, 0.3), (1000, 7)])
def test_pitch(frequency: float, semitones: float) -> None:
    sound = sine(frequency, 2.0)
    found = change(sound, "pitch_shift", min_semitones=semitones, max_semitones=semitones)
    expected = frequency * 2 ** (semitones / 12)
    cents = 1200 * np.log2(frequency_of(found[0]) / expected)
    assert cents == pytest.approx(0, abs=1.0)
    assert level(found) == pytest.approx(level(sound), abs=0.2)


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.12, 1.25])
def test_tempo(rate: float) -> None:
    """Clicks every half second are ``rate`` times as near, from the excerpt's start on."""
    sound = np.zeros((2, 5 * RATE), np.float32)
    sound[:, :: RATE // 2] = 1
    found = change(sound, "time_stretch", min_rate=rate, max_rate=rate)
    tone = change(sine(440, 3.0), "time_stretch", min_rate=rate, max_rate=rate)
    assert frequency_of(tone[0]) == pytest.approx(440, abs=0.1)
    lead = np.ceil(round(0.12 * RATE) * max(1.0, rate))  # before the excerpt
    places = (np.arange(RATE // 2, 4 * RATE, RATE // 2) - lead) / rate
    for place in places[(places > 1000) & (places < found.shape[1] - 1000)]:
        around = np.abs(found[0, int(place) - 900 : int(place) + 900])
        assert abs(place - (int(place) - 900 + int(around.argmax()))) <= 30  # 0.7 ms


def test_another_pitch_is_aligned_with_what_is_not_changed() -> None:
    """A burst stays where it is while its pitch changes, also beside sources that do not."""
    burst = np.zeros((2, 2 * RATE), np.float32)
    burst[:, RATE : RATE + 2000] = sine(800, 2000 / RATE) * np.hanning(2000)
    table = {"name": "pitch_shift", "p": 1.0, "stems": ["a"], "per": "source"}
    made = make_chain(
        [{**table, "min_semitones": 4, "max_semitones": 4}], sources=["a", "b"], sample_rate=RATE
    )
    frames = 2 * RATE - 20_000
    given = np.tile(burst[:, : frames + made.margin(frames)], (1, 2, 1, 1))
    lead = round(0.12 * RATE)
    batch = made(given.copy(), np.random.default_rng(0), frames)
    assert np.array_equal(batch.sources[0, 1], burst[:, lead : lead + frames])
    centres = [
        (np.square(s[0]) * np.arange(frames)).sum() / np.square(s[0]).sum()
        for s in batch.sources[0]
    ]
    assert centres[0] == pytest.approx(centres[1], abs=30)  # 0.7 ms


def test_the_edges_of_an_excerpt_are_as_clean_as_its_middle() -> None:
    found = change(sine(440, 2.0), "pitch_shift", min_semitones=3, max_semitones=3)
    envelope = np.abs(scipy_signal.hilbert(found[0].astype(np.float64)))
    edge = envelope[200:4000], envelope[-4000:-200]
    for part in edge:
        assert part.mean() == pytest.approx(0.5, rel=0.03)
        assert part.std() < 0.02


def test_a_song_is_repitched_as_a_whole() -> None:
    made = make_chain([{"name": "repitch", "p": 1.0}], sources=["a", "b"], sample_rate=RATE)
    frames = RATE // 2
    sound = sine(440, (frames + made.margin(frames)) / RATE)
    given = np.stack([np.stack([sound, sound])] * 3)
    found = made(given, np.random.default_rng(2), frames).sources
    assert np.array_equal(found[:, 0], found[:, 1])
    pitches = [12 * np.log2(frequency_of(song[0, 0]) / 440) for song in found]
    assert pitches == pytest.approx(np.round(pitches), abs=0.02)
    assert max(map(abs, pitches)) <= 2.02 and len({round(p) for p in pitches}) > 1


@pytest.mark.parametrize("fastest", [0.5, 1.0, 1.1, 1.25, 3.7])
@pytest.mark.parametrize("frames", [1, 999, 44_100])
def test_the_margin_is_what_is_used(fastest: float, frames: int) -> None:
    table = {"name": "time_stretch", "p": 0.0, "min_rate": 0.5, "max_rate": fastest}
    made = make_chain([table], sources=["a"], sample_rate=RATE)
    sound = np.zeros((1, 1, 1, frames + made.margin(frames)), np.float32)
    assert made(sound, np.random.default_rng(0), frames).mix.shape == (1, 1, frames)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.training.augment.stretch.find_spec", lambda _name: None)
    with pytest.raises(ResourceError, match=r"pitch_shift: .* needs python-stretch") as caught:
        make_chain([{"name": "pitch_shift"}], sources=["a"], sample_rate=RATE)
    assert caught.value.hint == "pip install 'stemsplit[train]'"


# --- Codecs --------------------------------------------------------------------------------------


def codec(sound: Signals, name: str, bitrate: int, rate: int = RATE) -> Signals:
    table = {"name": "codec_round_trip", "p": 1.0, "codecs": [name]}
    table |= {"min_bitrate": bitrate, "max_bitrate": bitrate}
    made = make_chain([table], sources=["other"], sample_rate=rate)
    given = sound[np.newaxis, np.newaxis].copy()
    return made(given, np.random.default_rng(0), sound.shape[1]).sources[0, 0]


@pytest.fixture(scope="module")
def music() -> Signals:
    find_ffmpeg()
    return np.asarray(sum(render(seconds=1.0).values()), np.float32)


def delay_of(found: Signals, sound: Signals) -> int:
    """Return by how many samples ``found`` is late, by cross-correlation."""
    products = scipy_signal.correlate(found[0], sound[0], method="fft")
    return int(products.argmax()) - (sound.shape[1] - 1)


@pytest.mark.parametrize(
    ("name", "bitrate"), [("mp3", 320), ("mp3", 64), ("aac", 96), ("opus", 96)]
)
def test_a_codec_shifts_nothing_and_keeps_length_and_level(
    music: Signals, name: str, bitrate: int
) -> None:
    found = codec(music, name, bitrate)
    assert found.shape == music.shape
    assert delay_of(found, music) == 0
    assert level(found) == pytest.approx(
        level(music), abs=0.6
    )  # the encoders of ffmpeg 5 and 9 differ
    assert level(found - music) < level(music) - 8
    assert not np.allclose(found, music, atol=1e-4), "it was not encoded"


def test_fewer_bits_lose_more(music: Signals) -> None:
    losses = [level(codec(music, "mp3", rate) - music) for rate in (48, 128, 320)]
    assert losses[0] > losses[1] + 2 > losses[2] + 4


def test_a_codec_keeps_other_rates_and_mono() -> None:
    sound = np.asarray(sum(render(seconds=0.5, sample_rate=32_000).values()), np.float32)[:1]
    for name in ("mp3", "aac", "opus"):
        found = codec(sound, name, 96, rate=32_000)
        assert found.shape == sound.shape
        assert delay_of(found, sound) == 0


def test_bit_rates_and_codecs_are_drawn_from_what_exists() -> None:
    table = {"name": "codec_round_trip", "min_bitrate": 100, "max_bitrate": 130}
    made: Any = make_chain([table], sources=["a"], sample_rate=RATE)
    (augmentation,) = made._of_sources
    assert augmentation.bitrates("mp3") == [112, 128]
    assert augmentation.bitrates("aac") == list(range(100, 131))


@pytest.mark.parametrize("name", ["mp3_compression", "codec_round_trip", "room_response"])
def test_sources_through_files_sum_to_the_mixture(name: str, tmp_path: Path) -> None:
    table: dict[str, Any] = {"name": name, "p": 0.5}
    if name == "room_response":
        soundfile.write(tmp_path / "room.wav", noise(500).T, RATE)
        table["folder"] = str(tmp_path)
    made = make_chain([table], sources=["a", "b"], sample_rate=RATE)
    sources = np.stack([noise(6000, seed=s) for s in range(4)]).reshape(2, 2, 2, 6000)
    batch, again = (made(sources.copy(), np.random.default_rng(5), 6000) for _ in range(2))
    assert np.array_equal(batch.mix, batch.sources.sum(axis=1))
    assert batch.sources.tobytes() == again.sources.tobytes()
    changed = (batch.sources != sources).any(axis=(2, 3))
    assert changed.any() and not changed.all()


# --- Rooms ---------------------------------------------------------------------------------------


def test_a_synthetic_room_decays_as_it_should() -> None:
    response = response_of(0.5, 0.25, 0.01, 2, RATE, np.random.default_rng(0)).astype(np.float64)
    assert response.shape == (2, round(0.51 * RATE))
    assert np.square(response).sum(axis=1) == pytest.approx(1.0, rel=1e-4)
    assert (response[:, 1 : round(0.01 * RATE)] == 0).all()
    wet = np.square(response[:, 1:]).sum(axis=1) / np.square(response[:, 0])
    assert 10 * np.log10(wet) == pytest.approx(20 * np.log10(0.25), abs=0.01)
    # Schroeder's integration: the energy that is left falls by 60 dB in the reverberation time.
    left = 10 * np.log10(np.square(response[0, 441:])[::-1].cumsum()[::-1])
    slope = np.polyfit(np.arange(8000) / RATE, left[:8000], 1)[0]
    assert slope == pytest.approx(-60 / 0.5, rel=0.05)
    assert abs(np.corrcoef(response[:, 441:])[0, 1]) < 0.05


def test_a_room_keeps_the_sound_where_it_is() -> None:
    found = change(impulse(RATE, at=1000, channels=2), "room")
    assert (np.abs(found).argmax(axis=1) == 1000).all()
    assert np.abs(found[:, :1000]).max() < 1e-6
    assert np.abs(found[:, 1001:]).max() > 1e-4


def test_a_room_of_a_song_is_the_same_for_its_sources() -> None:
    made = make_chain(
        [{"name": "room", "p": 1.0, "per": "song"}], sources=["a", "b"], sample_rate=RATE
    )
    given = np.tile(impulse(5000, channels=2), (1, 2, 1, 1))
    found = made(given, np.random.default_rng(0), 5000).sources
    assert np.array_equal(found[0, 0], found[0, 1])


def test_recorded_rooms_start_with_their_strongest_sample(tmp_path: Path) -> None:
    folder = tmp_path / "rooms" / "hall"
    folder.mkdir(parents=True)
    response = np.zeros(3000, np.float32)
    response[[100, 600]] = [0.8, 0.6]
    soundfile.write(folder / "hall.wav", response, RATE, subtype="FLOAT")
    (folder / "readme.txt").write_text("not a sound")
    found = change(impulse(2000, at=50, channels=2), "room_response", folder=str(tmp_path))
    expected = np.zeros(2000)
    expected[[50, 550]] = [0.8, 0.6]
    assert found == pytest.approx(np.tile(expected, (2, 1)), abs=1e-6)


def test_recorded_rooms_have_any_rate_and_channels(tmp_path: Path) -> None:
    response = np.zeros((4800, 2), np.float32)
    response[480], response[480 + 2400] = [1.0, 0.5], [0.25, 0.5]
    soundfile.write(tmp_path / "room.flac", response, 48_000)
    found = change(impulse(6000, channels=2), "room_response", folder=str(tmp_path))
    assert (np.abs(found)[:, :10].argmax(axis=1) <= 1).all()
    late = np.abs(found[:, 2000:]).argmax(axis=1) + 2000
    assert late == pytest.approx([2205, 2205], abs=1)
    mono = change(impulse(6000), "room_response", folder=str(tmp_path))
    assert mono == pytest.approx(found.mean(axis=0, keepdims=True), abs=1e-5)


def test_a_folder_without_rooms_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no room responses") as caught:
        change(impulse(100), "room_response", folder=str(tmp_path))
    assert caught.value.path == str(tmp_path)


def test_damaged_and_silent_rooms_are_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"damaged\.wav"):
        change(impulse(100), "room_response", folder=str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    soundfile.write(other / "silent.wav", np.zeros(100), RATE)
    with pytest.raises(UsageError, match="silent"):
        change(impulse(100), "room_response", folder=str(other))
