"""Every format of stems: length, place and level, what each refuses, dither and clipping."""

import struct
from itertools import product

import numpy as np
import pytest
import soundfile
from audio_files import decibel, lag, noise, tones
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_audio_encode import FORMATS, STEMS, names, read, write

from stemsplit.audio import encoders, formats, ogg
from stemsplit.audio.encode import StemWriter
from stemsplit.audio.formats import RULES, check_encoding, encoded_rate, fitting, vorbis_quality
from stemsplit.audio.mp4 import find
from stemsplit.audio.probe import probe
from stemsplit.audio.quantise import Dither, quantise
from stemsplit.errors import ResourceError, UsageError
from stemsplit.options import EncodingOptions

#: libsndfile reads no MP4.
OTHER_READER = [format for format in FORMATS if RULES[format].extension != "m4a"]
LOSSY = [format for format in FORMATS if not RULES[format].depths]


@pytest.mark.parametrize("format", FORMATS)
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
    if stored != rate:  # heard at the first rate again
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
    format=st.sampled_from(FORMATS),
    rate=st.sampled_from([8000, 44100, 48000, 96000]),
)
@example(frames=1, format="ogg", rate=44100)
@example(frames=1024, format="ogg", rate=44100)
@example(frames=1023, format="m4a", rate=48000)
@example(frames=1025, format="m4a", rate=44100)
@example(frames=1, format="opus", rate=48000)
@example(frames=960, format="opus", rate=44100)
@example(frames=1, format="alac", rate=96000)
@example(frames=1, format="opus", rate=96000)
@example(frames=1, format="mp3", rate=96000)
def test_every_length_at_every_rate(tmp_path_factory, frames, format, rate):
    song = noise(frames, 1)
    paths, _ = write(tmp_path_factory.mktemp("len"), {"a": song}, rate, format=format)
    stored = encoded_rate(EncodingOptions(format=format), rate)
    length = max(1, round(frames * stored / rate))
    assert read(paths["a"]).shape == (1, length)
    if format in OTHER_READER:
        assert soundfile.info(paths["a"]).frames == length


@pytest.mark.parametrize("frames", [1024, 1025, 2047, 44101, 50_000])
def test_aac_ends_with_a_packet(tmp_path, frames):
    """Readers that cut off whole packets only at the end (ffmpeg 5, PyAV) have nothing to cut."""
    paths, _ = write(tmp_path, {"a": noise(frames)}, format="m4a")
    data = paths["a"].read_bytes()
    edit, _ = find(data, b"moov", b"trak", b"edts", b"elst")
    version, count, length, start = struct.unpack_from(">IIIi", data, edit)
    assert (version, count, length) == (0, 1, frames)
    assert 1024 <= start < 2048
    sizes, _ = find(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsz")
    packets = struct.unpack_from(">I", data, sizes + 8)[0]
    assert 1024 * packets == start + frames
    assert read(paths["a"]).shape == (2, frames)
    assert lag(noise(frames), read(paths["a"])) == 0


@pytest.mark.parametrize("format", FORMATS)
def test_rates_beyond_all_that_is_usual(tmp_path, format):
    """384 kHz of the largest sound cards, and a rate that no lossy format but Vorbis can name."""
    for rate, frames in ((384_000, 40_000), (37_800, 5000)):
        paths, _ = write(tmp_path, {"a": noise(frames)}, rate, format=format, force=True)
        stored = encoded_rate(EncodingOptions(format=format), rate)
        assert probe(paths["a"]).sample_rate == stored
        assert read(paths["a"]).shape == (2, round(frames * stored / rate))
        if format == "ogg":
            assert stored == min(rate, 192_000)


@pytest.mark.parametrize("format", ["ogg", "opus"])
def test_streams_of_ogg_have_numbers_of_their_own(tmp_path, format):
    paths, _ = write(tmp_path, {stem: noise(20_000) for stem in STEMS}, format=format)
    serials = set()
    for path in paths.values():
        with path.open("rb") as file:
            serials |= {page.serial for page in ogg.pages(file)}
    assert len(serials) == len(STEMS)
    assert 0 not in serials


@pytest.mark.parametrize("seconds", [2.9, 3.1])
def test_short_and_longer_vorbis_are_exact(tmp_path, seconds):
    """Below three seconds every packet gets a page, for ffmpeg; above, pages are as usual."""
    frames = int(seconds * 44100)
    paths, _ = write(tmp_path, {"a": noise(frames)}, format="ogg")
    assert read(paths["a"]).shape == (2, frames)
    pages = paths["a"].read_bytes().count(b"OggS")
    assert pages > 100 if seconds < 3 else pages < 10


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_the_same_in_every_run(tmp_path, format):
    song = noise(50_000)
    options = {"depth": "16"} if RULES[format].depths else {}
    first, _ = write(tmp_path / "1", {"a": song}, format=format, **options)
    second, _ = write(tmp_path / "2", {"a": song}, block=777, format=format, **options)
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
def test_bit_rates_are_about_as_asked(tmp_path, format, bitrates):
    sizes = []
    for bitrate in bitrates:
        song = {"a": noise(10 * 44100)}
        paths, _ = write(tmp_path / str(bitrate), song, format=format, bitrate=bitrate)
        sizes.append(paths["a"].stat().st_size)
        assert sizes[-1] == pytest.approx(10 * bitrate * 125, rel=0.35)


def test_opus_of_one_channel_takes_any_bit_rate(tmp_path):
    """libopus knows 256 kbit/s a channel, and refuses more."""
    paths, _ = write(tmp_path, {"a": noise(20_000, 1)}, 48000, format="opus", bitrate=510)
    assert read(paths["a"]).shape == (1, 20_000)


def test_bit_rates_of_vorbis_are_qualities():
    asked = (45, 64, 80, 72, 192, 500)
    found = [vorbis_quality(EncodingOptions(format="ogg", bitrate=rate)) for rate in asked]
    assert found == [-1, 0, 1, 0.5, 6, 10]
    assert vorbis_quality(EncodingOptions(format="ogg")) == 8
    assert vorbis_quality(EncodingOptions(format="ogg", quality=3)) == 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "wav", "bitrate": 320}, "wav has no bit rate: it loses nothing"),
        ({"format": "flac", "bitrate": 128}, "flac has no bit rate: it loses nothing"),
        ({"format": "alac", "quality": 5}, "alac has no quality"),
        ({"format": "opus", "quality": 5}, "opus has no quality"),
        ({"format": "mp3", "quality": 10}, "mp3 has no quality 10"),
        ({"format": "mp3", "quality": 2, "bitrate": 320}, "--bitrate and --quality exclude"),
        ({"format": "m4a", "bitrate": 16}, "m4a has no bit rate of 16 kbit/s"),
        ({"format": "opus", "bitrate": 512}, "opus has no bit rate of 512 kbit/s"),
        ({"format": "ogg", "depth": "16"}, "ogg has no depth"),
        ({"format": "aiff", "depth": "32f"}, "aiff stores no floats"),
        ({"format": "alac", "depth": "32f"}, "alac stores no floats"),
        ({"format": "flac", "clip": "none"}, "flac of 24 bits holds nothing above full scale"),
        ({"depth": "16", "clip": "none"}, "wav of 16 bits holds nothing above full scale"),
    ],
)
def test_what_a_format_cannot_do_is_refused(options, reason):
    with pytest.raises(UsageError, match=reason):
        check_encoding(EncodingOptions(**options))


def test_what_was_settled_for_all_songs_stands_in_no_format_s_way():
    settled = EncodingOptions(format="wav", depth="24", bitrate=256, quality=3)
    assert fitting(settled, ()) == EncodingOptions(format="wav", depth="24")
    check_encoding(fitting(settled, ()))
    with pytest.raises(UsageError, match="wav has no bit rate"):
        check_encoding(fitting(settled, {"bitrate"}))
    for asked, kept in (({"quality"}, {"quality": 3}), ({"bitrate"}, {"bitrate": 256})):
        both = EncodingOptions(format="mp3", depth="24", bitrate=256, quality=3)
        assert fitting(both, asked) == EncodingOptions(format="mp3", **kept)


def test_dither_is_triangular_white_and_the_stem_s_own():
    first, again, other = (Dither(name).take(200_000, 2) for name in ("a", "a", "b"))
    assert np.array_equal(first, again)
    parts = Dither("a")
    assert np.array_equal(np.concatenate([parts.take(77, 2), parts.take(199_923, 2)]), first)
    assert np.abs(first).max() <= 1
    assert np.var(first) == pytest.approx(1 / 6, rel=0.02)
    assert np.mean(first) == pytest.approx(0, abs=0.003)
    for one, two in (
        (first[:, 0], first[:, 1]),
        (first[:, 0], other[:, 0]),
        (first[1:, 0], first[:-1, 0]),
    ):
        assert abs(np.corrcoef(one, two)[0, 1]) < 0.01


def test_dither_keeps_what_is_below_a_step():
    """A tone of a third of a step is gone after plain rounding, and there after dither."""
    tone = np.float32([np.sin(np.arange(100_000) * 0.05)]) / 2**15 / 3
    assert not quantise(tone, "16")[0].any()
    steps, _ = quantise(tone, "16", Dither("a"))
    assert np.sum(steps[:, 0] * tone[0]) / np.sum(tone**2) / 2**15 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("format", ["wav", "flac", "aiff", "alac"])
def test_only_16_bits_are_dithered_and_silence_stays_silent(tmp_path, format):
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
    both = [
        write(tmp_path / f"24{dither}", {"a": song}, format=format, depth="24", dither=dither)[0][
            "a"
        ]
        for dither in (False, True)
    ]
    assert both[0].read_bytes() == both[1].read_bytes()


LOUD = {
    stem: noise(20_000, level=level, seed=i)
    for i, (stem, level) in enumerate(zip(STEMS, (0.5, 0.1, 0.1, 0.1), strict=True))
}


@pytest.mark.parametrize("options", [{}, {"depth": "16"}, {"format": "flac"}, {"format": "ogg"}])
def test_linked_stems_are_turned_down_together(tmp_path, options):
    assert np.abs(LOUD["vocals"]).max() > 1.5
    chosen = EncodingOptions(**options, clip="linked", dither=False)
    extension = RULES[chosen.format].extension
    paths = {stem: tmp_path / f"{stem}.{extension}" for stem in LOUD}
    writer = StemWriter(paths, options=chosen, sample_rate=44100, channels=2, frames=20_000)
    with writer:
        for start in range(0, 20_000, 3000):
            writer.write({stem: song[:, start : start + 3000] for stem, song in LOUD.items()})
        assert len(names(tmp_path)) == 4  # whatever there is for the meantime is hidden
        assert all(name.endswith(".part") for name in names(tmp_path))
        writer.commit()
    assert names(tmp_path) == sorted(path.name for path in paths.values())
    assert writer.above == dict.fromkeys(LOUD, 0)
    assert writer.gain == pytest.approx(1 / np.abs(LOUD["vocals"]).max(), rel=1e-5)
    found = {stem: read(path) for stem, path in paths.items()}
    if options.get("format") != "ogg":
        assert np.abs(found["vocals"]).max() == pytest.approx(1, abs=1e-4)
        total = sum(found.values())
        assert np.abs(total - writer.gain * sum(LOUD.values())).max() < 4 / 2**15
    else:
        assert np.std(found["vocals"]) == pytest.approx(
            writer.gain * np.std(LOUD["vocals"]), rel=0.05
        )


def test_linked_stems_that_fit_stay_as_they_are(tmp_path):
    songs = {stem: noise(5000, seed=i) for i, stem in enumerate(STEMS)}
    plain, _ = write(tmp_path / "1", songs)
    linked, _ = write(tmp_path / "2", songs, clip="linked")
    assert all(plain[stem].read_bytes() == linked[stem].read_bytes() for stem in STEMS)


@pytest.mark.parametrize("commit", [True, False])
def test_linked_stems_leave_nothing_when_they_fail(tmp_path, commit):
    songs = {stem: noise(5000) for stem in STEMS}
    if not commit:
        write(tmp_path / "new", songs, clip="linked", commit=False)
    else:
        writer = StemWriter(
            {stem: tmp_path / "new" / stem for stem in STEMS},
            options=EncodingOptions(clip="linked"),
            sample_rate=44100,
            channels=2,
            frames=5001,
        )
        with pytest.raises(Exception, match="has 5000 frames instead of 5001"), writer:
            writer.write(songs)
            writer.commit()
    assert names(tmp_path) == []


def test_clamped_floats_stop_at_full_scale(tmp_path):
    for format in ("wav", *LOSSY):
        paths, above = write(tmp_path / format, {"a": LOUD["vocals"]}, format=format, clip="clamp")
        found = read(paths["a"])
        assert above["a"] == np.count_nonzero(np.abs(LOUD["vocals"]) > 1) > 0
        if format == "wav":
            assert np.array_equal(found, LOUD["vocals"].clip(-1, 1))
        else:  # what codecs make of it swings a little higher
            kept = read(
                write(tmp_path / f"{format}-none", {"a": LOUD["vocals"]}, format=format)[0]["a"]
            )
            assert np.abs(kept).max() > 1.4
            assert np.abs(found).max() < np.abs(kept).max()


def test_the_rules_are_whole():
    for format, rules in RULES.items():
        assert bool(rules.depths) != bool(rules.bitrates)
        for depth, quality in product((None, *rules.depths), (None, *rules.qualities)):
            check_encoding(EncodingOptions(format=format, depth=depth, quality=quality))
    assert (
        formats.clip_of(EncodingOptions())
        == formats.clip_of(EncodingOptions(format="mp3"))
        == "none"
    )
    assert formats.clip_of(EncodingOptions(format="alac")) == "clamp"


def test_an_ffmpeg_that_lacks_an_encoder_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(encoders._Ogg, "_words", lambda self: {"format": "ogg", "acodec": "libno"})
    with pytest.raises(ResourceError, match=r"this ffmpeg cannot write it: .*libno") as e:
        write(tmp_path, {"a": noise(500_000)}, format="ogg")
    assert "--format" in (e.value.hint or "")
    assert names(tmp_path) == []
