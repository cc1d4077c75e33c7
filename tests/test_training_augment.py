"""Augmentations that keep the number of samples exact, by exact values."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_imports import modules_after

from stemsplit.errors import UsageError
from stemsplit.training.augment import Chain, make_chain
from stemsplit.training.augment.remix import move_rows
from stemsplit.training.augment.table import OF_MIXTURE, OF_SOURCES
from stemsplit.training.batch import Batch

SOURCES = ("vocals", "drums", "bass", "other")
RATE = 44_100
#: Those that start ffmpeg need a tenth of a second for each source.
SLOW = ("mp3_compression", "codec_round_trip")
#: Those that need a file.
WITH_FILES = ("room_response",)

Signals = NDArray[np.float32]


def noise(
    songs: int = 2, channels: int = 2, frames: int = 256, seed: int = 0, sources: int = 4
) -> Signals:
    rng = np.random.default_rng(seed)
    shape = (songs, sources, channels, frames)
    return (0.2 * rng.standard_normal(shape)).astype(np.float32)


def chain(name: str, **table: Any) -> Chain:
    return make_chain([{"name": name, **table}], sources=SOURCES, sample_rate=RATE)


def run(sources: Signals, name: str, *, seed: int = 0, **table: Any) -> Batch:
    """Return the batch that one augmentation makes of a copy of ``sources``."""
    made = chain(name, **table)
    frames = sources.shape[-1]
    while frames + made.margin(frames) > sources.shape[-1]:
        frames -= 1
    return made(sources.copy(), np.random.default_rng(seed), frames)


@pytest.mark.parametrize("name", [name for name in OF_SOURCES if name not in SLOW + WITH_FILES])
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    songs=st.integers(1, 3),
    channels=st.integers(1, 2),
    frames=st.integers(100, 1500),
    p=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_sources_sum_to_the_mixture(
    name: str, songs: int, channels: int, frames: int, p: float, seed: int
) -> None:
    made = chain(name, p=p)
    sources = noise(songs, channels, frames + made.margin(frames), seed)
    batch, again = (made(sources.copy(), np.random.default_rng(seed), frames) for _ in range(2))
    assert batch.sources.shape == (songs, 4, channels, frames)
    assert batch.sources.dtype == batch.mix.dtype == np.float32
    assert np.isfinite(batch.sources).all()
    assert np.array_equal(batch.mix, batch.sources.sum(axis=1))
    assert made.reasons == ()
    assert batch.sources.tobytes() == again.sources.tobytes()


@pytest.mark.parametrize("name", OF_MIXTURE)
def test_of_the_mixture_alone_it_says_why_the_sum_is_not_kept(name: str) -> None:
    made, sources = chain(name, p=1.0), noise(1, frames=4000) * 2
    batch = made(sources.copy(), np.random.default_rng(0), 4000)
    assert np.array_equal(batch.sources, sources)
    assert batch.mix.shape == (1, 2, 4000)
    assert not np.allclose(batch.mix, sources.sum(axis=1), atol=1e-3)
    (reason,) = made.reasons
    assert reason == OF_MIXTURE[name].reason


@pytest.mark.parametrize("name", OF_MIXTURE)
def test_an_unlikely_effect_on_the_mixture_leaves_it(name: str) -> None:
    sources = noise(3, frames=4000)
    batch = run(sources, name, p=0.0)
    assert np.array_equal(batch.mix, sources.sum(axis=1))


def test_no_augmentation_is_the_sum_alone() -> None:
    made, sources = make_chain([], sources=SOURCES, sample_rate=RATE), noise()
    assert made.margin(100) == 0
    batch = made(sources, np.random.default_rng(0), 256)
    assert batch.sources is sources, "copied without a reason"
    assert np.array_equal(batch.mix, sources.sum(axis=1))


@pytest.mark.parametrize(
    "name",
    ["gain", "loudness", "random_polarity", "channel_shuffle", "shuffle", "remix", "soft_limit"],
)
def test_the_usual_ones_work_in_place(name: str) -> None:
    made, sources = chain(name, p=1.0), noise()
    assert made(sources, np.random.default_rng(0), 256).sources is sources


def test_a_chain_can_be_sent_to_a_worker() -> None:
    tables = [{"name": name, "p": 0.5} for name in OF_SOURCES if name not in SLOW + WITH_FILES]
    made = make_chain(tables, sources=SOURCES, sample_rate=RATE)
    sources = noise(2, frames=500 + made.margin(500))
    sent = pickle.loads(pickle.dumps(made))
    batches = [each(sources.copy(), np.random.default_rng(3), 500) for each in (made, sent)]
    assert batches[0].sources.tobytes() == batches[1].sources.tobytes()
    other = made(sources.copy(), np.random.default_rng(4), 500)
    assert other.sources.tobytes() != batches[0].sources.tobytes()


def test_margins_add_up_through_a_chain() -> None:
    tables = [{"name": "time_shift", "max_seconds": 0.01}] * 3
    made = make_chain(tables, sources=SOURCES, sample_rate=RATE)
    assert made.margin(1000) == 3 * 441
    batch = made(noise(frames=1000 + 3 * 441), np.random.default_rng(0), 1000)
    assert batch.mix.shape == (2, 2, 1000)
    with pytest.raises(ValueError, match="1001 frames instead of 2323"):
        made(noise(frames=1001), np.random.default_rng(0), 1000)


def test_an_augmentation_reads_the_margin_of_those_after_it_too() -> None:
    stretch = {"name": "time_stretch", "p": 0.0, "max_rate": 2.0}
    shift = {"name": "time_shift", "max_seconds": 0.01}
    margins = []
    for tables in ([stretch, shift], [shift, stretch]):
        made = make_chain(tables, sources=SOURCES, sample_rate=RATE)
        margins.append(made.margin(1000))
        sources = noise(1, frames=1000 + margins[-1])
        assert made(sources, np.random.default_rng(0), 1000).mix.shape == (1, 2, 1000)
    assert margins[0] == margins[1] + 441, "stretched twice as fast, the shift takes twice as much"


def test_workers_need_no_torch() -> None:
    loaded = modules_after("import stemsplit.training.augment")
    assert not {"torch", "scipy", "python_stretch", "matplotlib"} & loaded


# --- Which sources are changed -------------------------------------------------------------------


def test_only_the_stems_that_are_named() -> None:
    sources = noise()
    found = run(sources, "gain", low=0.5, high=0.5, stems=["bass", "drums"]).sources
    assert np.array_equal(found[:, 1:3], sources[:, 1:3] * np.float32(0.5))
    assert np.array_equal(found[:, [0, 3]], sources[:, [0, 3]])


def test_per_source_the_values_are_independent_per_song_they_are_the_same() -> None:
    sources = np.ones((50, 4, 1, 1), np.float32)
    each = run(sources, "gain", low=0.0, high=1.0).sources[:, :, 0, 0]
    assert len(np.unique(each)) == 200
    assert each.min() < 0.05 and each.max() > 0.95
    same = run(sources, "gain", low=0.0, high=1.0, per="song").sources[:, :, 0, 0]
    assert len(np.unique(same)) == 50
    assert (same == same[:, :1]).all()


@pytest.mark.parametrize("per", ["source", "song", "channel"])
def test_p_is_the_share_that_is_changed(per: str) -> None:
    sources = np.ones((1000, 4, 2, 1), np.float32)
    flipped = run(sources, "random_polarity", p=0.3, per=per).sources < 0
    assert flipped.mean() == pytest.approx(0.3, abs=0.05)  # three deviations of 1000 songs
    expected = {"source": (4, 1), "song": (1, 1), "channel": (4, 2)}[per]
    varied = flipped[:, : expected[0], : expected[1], 0].reshape(1000, -1)
    assert (flipped[..., 0] == flipped[:, : expected[0], : expected[1], 0]).all()
    patterns = {tuple(row) for row in varied}
    assert len(patterns) == 2 ** varied.shape[1] or len(patterns) > 100


# --- Exact values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "table", "expected"),
    [
        ("gain", {"low": 0.25, "high": 0.25}, lambda x: x * np.float32(0.25)),
        ("loudness", {"min_db": -20, "max_db": -20}, lambda x: x * np.float32(0.1)),
        ("random_polarity", {}, lambda x: -x),
        ("random_polarity", {"per": "channel"}, lambda x: -x),
        ("channel_shuffle", {}, lambda x: x[:, :, ::-1]),
        ("random_inverse", {}, lambda x: x[..., ::-1]),
        ("mono", {}, lambda x: np.stack([(x[:, :, 0] + x[:, :, 1]) / 2] * 2, axis=2)),
        ("gaussian_noise", {"min_amplitude": 0, "max_amplitude": 0}, lambda x: x),
        ("shuffle", {"p": 0.0}, lambda x: x),
        ("mixup", {"p": 0.0}, lambda x: x),
    ],
)
def test_exact_values(name: str, table: dict[str, Any], expected: Any) -> None:
    sources = noise(3, frames=101)
    found = run(sources, name, **{"p": 1.0, **table}).sources
    assert np.array_equal(found, expected(sources))


def test_loudness_is_uniform_in_decibels() -> None:
    sources = np.ones((1000, 4, 1, 1), np.float32)
    levels = 20 * np.log10(run(sources, "loudness", min_db=-12, max_db=4).sources)
    assert -12 <= levels.min() < -11.9 and 3.9 < levels.max() <= 4.0001
    assert levels.mean() == pytest.approx(-4, abs=0.3)


def test_gaussian_noise_has_the_amplitude() -> None:
    silent = np.zeros((1, 4, 2, 20_000), np.float32)
    found = run(silent, "gaussian_noise", p=1, min_amplitude=0.01, max_amplitude=0.01).sources
    assert found.std(axis=-1) == pytest.approx(0.01, rel=0.03)
    assert abs(np.corrcoef(found[0, 0])[0, 1]) < 0.03


# --- Time ----------------------------------------------------------------------------------------


def ramp(songs: int, frames: int) -> Signals:
    """Samples that are their own places."""
    return np.tile(np.arange(frames, dtype=np.float32), (songs, 4, 2, 1))


def test_a_shift_starts_anywhere_in_its_range() -> None:
    found = run(ramp(500, 50), "time_shift", max_seconds=10 / RATE).sources
    assert found.shape == (500, 4, 2, 40)
    starts = found[..., 0]
    assert set(np.unique(starts)) == set(range(11))
    assert (found == starts[..., np.newaxis] + np.arange(40)).all()
    assert (starts[:, :, 0] == starts[:, :, 1]).all(), "channels were shifted against each other"
    assert not (starts == starts[:, :1]).all(), "sources were shifted together"


def test_a_shift_of_a_song_keeps_its_sources_aligned() -> None:
    starts = run(ramp(100, 50), "time_shift", max_seconds=10 / RATE, per="song").sources[..., 0]
    assert (starts == starts[:, :1]).all()
    assert len(np.unique(starts)) == 11


def test_what_is_not_shifted_starts_with_the_excerpt() -> None:
    found = run(ramp(10, 50), "time_shift", max_seconds=10 / RATE, stems=["bass"]).sources
    assert (found[:, [0, 1, 3], :, 0] == 0).all()
    assert found[:, 2, :, 0].max() > 0


# --- Songs of a batch ----------------------------------------------------------------------------


def test_rows_move_as_by_indexing() -> None:
    for order in itertools.permutations(range(5)):
        rows = np.arange(10.0, dtype=np.float32).reshape(5, 2)
        expected = rows[list(order)]
        move_rows(rows, np.array(order))
        assert np.array_equal(rows, expected), order


def numbered(songs: int) -> Signals:
    """Sources whose only value is 10 · song + source."""
    values = 10 * np.arange(songs)[:, np.newaxis] + np.arange(4)
    return np.tile(values[..., np.newaxis, np.newaxis].astype(np.float32), (1, 1, 2, 3))


def test_shuffling_makes_all_orders_equally_often() -> None:
    counts: dict[tuple[int, ...], int] = {}
    for seed in range(600):
        found = run(numbered(3), "shuffle", seed=seed).sources
        assert (found == found[:, :, :1, :1]).all(), "a source was torn apart"
        assert (found[:, :, 0, 0] % 10 == np.arange(4)).all(), "a source became another one"
        order = tuple((found[:, 2, 0, 0] // 10).astype(int).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert sorted(counts) == sorted(itertools.permutations(range(3)))
    assert min(counts.values()) > 60  # of 100 expected, four deviations below


def test_sources_move_independently() -> None:
    found = run(numbered(20), "shuffle").sources[:, :, 0, 0] // 10
    assert all((found[:, a] != found[:, b]).any() for a, b in itertools.combinations(range(4), 2))
    assert (np.sort(found, axis=0) == np.arange(20)[:, np.newaxis]).all()


def test_a_remix_stays_in_its_group() -> None:
    moved = 0
    for seed in range(20):
        songs = run(numbered(7), "remix", group_size=3, seed=seed).sources[:, :, 0, 0] // 10
        assert (songs // 3 == np.arange(7)[:, np.newaxis] // 3).all()
        assert (np.sort(songs, axis=0) == np.arange(7)[:, np.newaxis]).all()
        moved += int((songs != np.arange(7)[:, np.newaxis]).sum())
    assert moved > 200  # of 20 · 6 · 4 places two in three are expected


def test_a_remix_is_decided_for_a_whole_batch() -> None:
    unmoved = sum(
        np.array_equal(run(numbered(8), "remix", p=0.25, seed=seed).sources, numbered(8))
        for seed in range(200)
    )
    assert unmoved == pytest.approx(150, abs=25)


def test_mixup_averages_with_the_same_source_of_another_song() -> None:
    level = {"loudness_min": 1.0, "loudness_max": 1.0}
    found = run(numbered(3), "mixup", probs=[1.0], **level).sources[:, :, 0, 0]
    others = 2 * found - numbered(3)[:, :, 0, 0]
    assert (others % 10 == np.arange(4)).all()
    assert (others // 10 != np.arange(3)[:, np.newaxis]).all(), "a song was mixed with itself"
    all_three = run(numbered(3), "mixup", probs=[1.0, 1.0], **level).sources[:, :, 0, 0]
    assert all_three == pytest.approx(np.tile(10 + np.arange(4.0), (3, 1)))


def test_mixup_scales_each_signal() -> None:
    ones = np.ones((2, 4, 1, 1), np.float32)
    found = run(ones, "mixup", probs=[1.0], loudness_min=0.5, loudness_max=1.5).sources
    assert len(np.unique(found)) == 8
    assert found.min() >= 0.5 and found.max() <= 1.5


def test_mixup_is_as_frequent_as_its_probabilities() -> None:
    ones = np.ones((500, 4, 1, 1), np.float32)
    found = run(ones, "mixup", probs=[0.2, 0.02], loudness_min=2.0, loudness_max=2.0).sources
    assert (found == 2.0).mean() == pytest.approx(1 - 0.8 * 0.98, abs=0.03)
    assert (found == 1.0).mean() == pytest.approx(0.8 * 0.98, abs=0.03)


def test_one_song_has_nothing_to_be_mixed_with() -> None:
    assert np.array_equal(run(numbered(1), "mixup", probs=[1.0]).sources, numbered(1))


# --- Settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "name is missing"),
        ({"name": "reverb"}, "unknown name 'reverb'"),
        ({"name": "gain", "hight": 1.0}, "gain: unknown key 'hight'"),
        ({"name": "gain", "material": 1.0}, "gain: unknown key 'material'"),
        ({"name": "gain", "low": 2, "high": 1}, "gain: low = 2 is above high = 1"),
        ({"name": "gain", "low": -1}, "gain: low must be at least 0, not -1"),
        ({"name": "gain", "low": "0.5"}, "gain: low must be a number, not '0.5'"),
        ({"name": "gain", "low": float("nan")}, "gain: low must be a number, not nan"),
        ({"name": "gain", "p": 1.5}, "gain: p must be at most 1, not 1.5"),
        ({"name": "gain", "p": -0.1}, "gain: p must be at least 0, not -0.1"),
        ({"name": "gain", "p": True}, "gain: p must be a number, not True"),
        ({"name": "gain", "stems": ["piano"]}, "gain: unknown stem 'piano'"),
        ({"name": "gain", "stems": "bass"}, "gain: stems must be a list of names, not 'bass'"),
        ({"name": "gain", "per": "channel"}, "gain: per must be source or song, not 'channel'"),
        ({"name": "remix", "per": "song"}, "remix: per must be source, not 'song'"),
        ({"name": "remix", "group_size": 1}, "remix: group_size must be at least 2, not 1"),
        ({"name": "remix", "group_size": 2.5}, "group_size must be a whole number, not 2.5"),
        ({"name": "shuffle", "group_size": 4}, "shuffle: unknown key 'group_size'"),
        ({"name": "mixup", "probs": [0.2, 2]}, "mixup: probs must be at most 1, not 2"),
        ({"name": "mixup", "probs": 0.2}, "probs must be a list of numbers, not 0.2"),
        ({"name": "time_shift", "max_seconds": -1}, "max_seconds must be at least 0, not -1"),
        ({"name": "loudness", "low": -6}, "loudness: unknown key 'low'"),
        ({"name": "pitch_shift", "max_semitones": 25}, "max_semitones must be at most 24, not 25"),
        ({"name": "time_stretch", "min_rate": 0}, "min_rate must be at least 0.25, not 0"),
        ({"name": "repitch", "max_tempo": 90}, "max_tempo must be at most 75, not 90"),
        ({"name": "peaking", "min_q": 0}, "min_q must be at least 0.01, not 0"),
        ({"name": "tanh_distortion", "max": 2}, "max must be at most 1, not 2"),
        ({"name": "soft_limit", "max_threshold_db": 0}, "max_threshold_db must be at most -0.01"),
        ({"name": "codec_round_trip", "codecs": ["vorbis"]}, "unknown codec 'vorbis'"),
        ({"name": "codec_round_trip", "codecs": []}, "codecs is empty"),
        ({"name": "mp3_compression", "codecs": ["aac"]}, "unknown key 'codecs'"),
        (
            {"name": "mp3_compression", "min_bitrate": 400, "max_bitrate": 500},
            "mp3 has no bit rate of 400 to 500 kbit/s",
        ),
        ({"name": "room", "min_seconds": 0}, "min_seconds must be at least 0.01, not 0"),
        ({"name": "room_response"}, "room_response: folder is missing"),
        ({"name": "mp3_compression_on_mixture", "stems": ["bass"]}, "unknown key 'stems'"),
    ],
)
def test_invalid_settings_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_chain([table], sources=SOURCES, sample_rate=RATE)
    assert message in str(caught.value)
    assert str(caught.value).startswith("augment: ")


def test_the_hints_name_what_there_is_to_choose_from() -> None:
    with pytest.raises(UsageError) as caught:
        make_chain([{"name": "gian"}], sources=SOURCES, sample_rate=RATE)
    assert caught.value.hint is not None and "gain, loudness" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        make_chain([{"name": "gain", "x": 1}], sources=SOURCES, sample_rate=RATE)
    assert caught.value.hint == "its keys are p, stems, per, low, high"
