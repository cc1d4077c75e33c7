"""Every encoder: length, place and level of a stem, its bytes, and what is beyond full scale."""

import time

import numpy as np
import pytest
import soundfile
from audio_files import decibel, lag, noise, tones
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stem_files import EACH_STEM, LOSSLESS, LOSSY, OTHER_READER, STEMS, four, names, read, write

from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import encoded_rate
from stemsplit.audio.probe import probe
from stemsplit.errors import OutputError
from stemsplit.options import EncodingOptions

#: Frames below which a format is refused, by whether the rate is low: no version of ffmpeg (m4a),
#: or not each of 5 to 9 (mp3), decodes so few.
FEWEST = {("m4a", None): 513, ("mp3", True): 47}
#: How far a stem may be from what was written: half a step, or the codec's error in dB.
STEPS = {"16": 2**-16, "24": 2**-24, "32f": 0}


@pytest.mark.parametrize(
    ("format", "depth"),
    [(name, depth) for name in LOSSLESS for depth in (None, *FORMATS[name].rules.depths)],
)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (96000, 2)])
def test_lossless_stems_come_back(tmp_path, format, depth, rate, channels):
    songs = four(30_011, channels)
    paths, clipped = write(tmp_path, songs, rate, format=format, depth=depth, dither=False)
    assert names(tmp_path) == sorted(f"{stem}.{FORMATS[format].extension}" for stem in STEMS)
    assert clipped == dict.fromkeys(STEMS, 0)
    step = STEPS[depth or FORMATS[format].rules.depths[0]]
    for stem, song in songs.items():
        info = probe(paths[stem])
        assert (info.sample_rate, info.channels) == (rate, channels)
        found = read(paths[stem])
        assert found.shape == song.shape
        assert np.abs(found - song).max() <= step


@pytest.mark.parametrize("format", EACH_STEM)
@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (48000, 1), (96000, 2), (22050, 2)])
def test_every_format_keeps_count_place_and_level(tmp_path, format, rate, channels):
    song = noise(100_003, channels)
    paths, _ = write(tmp_path, {"vocals": song}, rate, format=format)
    path = paths["vocals"]
    stored = encoded_rate(EncodingOptions(format=format), rate)
    frames = round(song.shape[1] * stored / rate)
    assert probe(path).sample_rate == stored
    found = read(path)
    assert found.shape == (channels, frames)
    if format in OTHER_READER:
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels) == (frames, stored, channels)
    if stored != rate:  # resampled to the first rate again
        times = np.arange(song.shape[1]) * stored / rate
        found = np.float32([np.interp(times, np.arange(frames), row) for row in found])
    assert lag(song, found) == 0
    if format not in LOSSY:
        assert decibel(song, found) > 60


@pytest.mark.parametrize("format", LOSSY)
@pytest.mark.parametrize("rate", [44100, 48000])
def test_lossy_formats_are_as_loud_as_the_song(tmp_path, format, rate):
    song = tones(200_000, rate, (440.0, 880.0))
    found = read(write(tmp_path, {"a": song}, rate, format=format)[0]["a"])
    if format == "opus" and rate != 48000:
        assert abs(20 * np.log10(found.std() / song.std())) < 0.12
    else:
        assert abs(20 * np.log10(np.sum(found * song) / np.sum(song**2))) < 0.12
        assert decibel(song, found) > 30


@settings(max_examples=40, deadline=None)
@given(
    frames=st.integers(1, 9000),
    format=st.sampled_from(EACH_STEM),
    rate=st.sampled_from([8000, 44100, 48000, 96000]),
)
@example(frames=1, format="ogg", rate=44100)
@example(frames=1024, format="ogg", rate=44100)
@example(frames=1023, format="m4a", rate=48000)
@example(frames=513, format="m4a", rate=44100)
@example(frames=512, format="m4a", rate=44100)
@example(frames=46, format="mp3", rate=8000)
@example(frames=47, format="mp3", rate=8000)
@example(frames=1025, format="m4a", rate=44100)
@example(frames=1, format="opus", rate=48000)
@example(frames=960, format="opus", rate=44100)
@example(frames=1, format="alac", rate=96000)
@example(frames=1, format="opus", rate=96000)
@example(frames=1, format="mp3", rate=96000)
def test_every_length_at_every_rate(tmp_path_factory, frames, format, rate):
    song = noise(frames, 1)
    folder = tmp_path_factory.mktemp("len")
    stored = encoded_rate(EncodingOptions(format=format), rate)
    length = max(1, round(frames * stored / rate))
    if length < FEWEST.get((format, stored < 32_000), FEWEST.get((format, None), 1)):
        with pytest.raises(OutputError, match=f"too short for {format}"):
            write(folder, {"a": song}, rate, format=format)
        assert names(folder) == []
        return
    paths, _ = write(folder, {"a": song}, rate, format=format)
    assert read(paths["a"]).shape == (1, length)
    if format in OTHER_READER:
        assert soundfile.info(paths["a"]).frames == length


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 5000), format=st.sampled_from(["wav", "flac", "mp3"]))
def test_every_length_is_kept(tmp_path_factory, frames, format):
    song = noise(frames)
    paths, _ = write(tmp_path_factory.mktemp("len"), {"a": song}, block=999, format=format)
    assert read(paths["a"]).shape == (2, frames)
    assert soundfile.info(paths["a"]).frames == frames


def test_no_frames_are_encoded_as_no_frames(tmp_path):
    paths, _ = write(tmp_path, {"a": noise(0)})
    assert read(paths["a"]).shape == (2, 0)


@pytest.mark.parametrize("format", EACH_STEM)
def test_extreme_sample_rates(tmp_path, format):
    """384 kHz of the largest sound cards, and a rate that no lossy format but Vorbis can name."""
    for rate, frames in ((384_000, 40_000), (37_800, 5000)):
        paths, _ = write(tmp_path, {"a": noise(frames)}, rate, format=format, force=True)
        stored = encoded_rate(EncodingOptions(format=format), rate)
        assert probe(paths["a"]).sample_rate == stored
        assert read(paths["a"]).shape == (2, round(frames * stored / rate))
        if format == "ogg":
            assert stored == min(rate, 192_000)


@pytest.mark.parametrize("format", EACH_STEM)
def test_every_format_is_the_same_in_every_run(tmp_path, format):
    song = noise(50_000)
    options = {"depth": "16"} if FORMATS[format].rules.depths else {}
    first, _ = write(tmp_path / "1", {"a": song}, format=format, **options)
    second, _ = write(tmp_path / "2", {"a": song}, block=777, format=format, **options)
    assert first["a"].read_bytes() == second["a"].read_bytes()


@pytest.mark.parametrize("options", [{}, {"depth": "16"}, {"format": "flac"}, {"format": "mp3"}])
def test_two_runs_write_the_same_bytes(tmp_path, options):
    song = noise(20_000)
    first, _ = write(tmp_path / "1", {"a": song}, **options)
    time.sleep(1.05)  # a time stamp in seconds would differ
    second, _ = write(tmp_path / "2", {"a": song}, block=777, **options)
    assert first["a"].read_bytes() == second["a"].read_bytes()


def test_qualities_of_mp3_and_vorbis(tmp_path):
    song = noise(5 * 44100)
    sizes = {}
    for format, quality in (("mp3", 0), ("mp3", 9), ("ogg", 10), ("ogg", -1)):
        paths, _ = write(
            tmp_path / f"{format}{quality}", {"a": song}, format=format, quality=quality
        )
        found = read(paths["a"])
        assert found.shape == song.shape
        assert lag(song, found) == 0
        sizes[format, quality] = paths["a"].stat().st_size
        assert abs(20 * np.log10(np.sum(found * song) / np.sum(song**2))) < 1
    assert sizes["mp3", 0] > 1.5 * sizes["mp3", 9]
    assert sizes["ogg", 10] > 2 * sizes["ogg", -1]


@pytest.mark.parametrize(("format", "bitrates"), [("m4a", (64, 256)), ("opus", (32, 256))])
def test_bit_rates_are_close_to_those_requested(tmp_path, format, bitrates):
    sizes = []
    for bitrate in bitrates:
        song = {"a": noise(10 * 44100)}
        paths, _ = write(tmp_path / str(bitrate), song, format=format, bitrate=bitrate)
        sizes.append(paths["a"].stat().st_size)
        assert sizes[-1] == pytest.approx(10 * bitrate * 125, rel=0.35)


@pytest.mark.parametrize("depth", ["16", "24"])
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_integers_clip_and_are_counted(tmp_path, format, depth):
    song = np.float32([[1.5, -1.5, 1.0, -1.0, 0.5, 0.0], [0.25, 3.0, 0.0, -0.75, 0.0, 0.0]])
    paths, clipped = write(tmp_path, {"a": song}, format=format, depth=depth, dither=False)
    assert clipped == {"a": 3}
    highest = 1 - 2.0 ** (1 - int(depth))
    expected = np.clip(song, -1, highest)
    assert np.array_equal(read(paths["a"]), expected.astype(np.float32))


def test_floats_do_not_clip(tmp_path):
    song = 20 * noise(1000)
    paths, above = write(tmp_path, {"a": song})
    assert above == {"a": np.count_nonzero(np.abs(song) > 1)}
    assert above["a"] > 0
    assert np.array_equal(read(paths["a"]), song)


@pytest.mark.parametrize("format", ["wav", *LOSSY])
def test_clamped_floats_stop_at_full_scale(tmp_path, format):
    loud = noise(20_000, level=0.5)
    paths, above = write(tmp_path / "clamp", {"a": loud}, format=format, clip="clamp")
    found = read(paths["a"])
    assert above["a"] == np.count_nonzero(np.abs(loud) > 1) > 0
    if format == "wav":
        assert np.array_equal(found, loud.clip(-1, 1))
    else:  # what codecs make of it swings a little higher
        kept = read(write(tmp_path / "none", {"a": loud}, format=format)[0]["a"])
        assert np.abs(kept).max() > 1.4
        assert np.abs(found).max() < np.abs(kept).max()


@pytest.mark.parametrize("format", [f for f in LOSSLESS if "16" in FORMATS[f].rules.depths])
def test_16_bits_are_dithered_and_silence_stays_silent(tmp_path, format):
    song = noise(30_000)
    song[:, 10_000:20_000] = 0
    plain, dithered = (
        read(
            write(tmp_path / str(dither), {"a": song}, format=format, depth="16", dither=dither)[0][
                "a"
            ]
        )
        for dither in (False, True)
    )
    assert not np.array_equal(plain, dithered)
    assert np.abs(dithered - song).max() <= 1.5 / 2**15
    assert not dithered[:, 10_000:20_000].any()


@pytest.mark.parametrize("format", [f for f in LOSSLESS if "24" in FORMATS[f].rules.depths])
def test_24_bits_are_not_dithered(tmp_path, format):
    song = noise(30_000)
    both = [
        write(tmp_path / f"24{dither}", {"a": song}, format=format, depth="24", dither=dither)[0][
            "a"
        ]
        for dither in (False, True)
    ]
    assert both[0].read_bytes() == both[1].read_bytes()


@pytest.mark.parametrize(
    ("rate", "stored"),
    [(65_535, 65_535), (65_537, 65_540), (96_000, 96_000), (96_001, 96_010), (655_351, 655_350)],
)
def test_flac_has_the_next_rate_if_it_does_not_support_that_of_the_song(tmp_path, rate, stored):
    song = tones(rate, rate, (440.0, 880.0))
    path = write(tmp_path, {"a": song}, rate, format="flac")[0]["a"]
    info = soundfile.info(path)
    assert (info.samplerate, info.frames) == (stored, stored)
    assert encoded_rate(EncodingOptions(format="flac"), rate) == stored
    wanted = tones(stored, stored, (440.0, 880.0))
    edge = stored // 100  # where a resampler has no sound before or after
    assert decibel(wanted[:, edge:-edge], read(path)[:, edge:-edge]) > 60


@pytest.mark.parametrize("frames", [2240, 2241, 3000, 4096, 4999, 5000])
def test_mp3_of_a_few_frames_is_recognised_or_refused(tmp_path, frames):
    """From seven frames on, with that of the tag, ffmpeg believes nothing else of a file."""
    song = tones(frames, 48_000, (331.0, 977.0))
    path = write(tmp_path, {"a": song}, 48_000, format="mp3")[0]["a"]
    assert read(path).shape == (2, frames)
    held = path.read_bytes()
    mark = max(held.find(b"Info"), held.find(b"Xing"))
    assert (int.from_bytes(held[mark + 8 :][:4], "big") >= 6) is (frames >= 2241)
