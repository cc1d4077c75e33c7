"""What a format takes and refuses of the options."""

from dataclasses import replace
from itertools import product

import pytest

from stemsplit.audio.format_table import FORMATS
from stemsplit.audio.formats import check_encoding, clip_of, fitting, parse_bitrate, parse_quality
from stemsplit.errors import UsageError
from stemsplit.options import EncodingOptions


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "wav", "bitrate": 320}, "wav has no bit rate: it is lossless"),
        ({"format": "flac", "bitrate": 128}, "flac has no bit rate: it is lossless"),
        ({"format": "alac", "quality": 5}, "alac has no quality"),
        ({"format": "opus", "quality": 5}, "opus has no quality"),
        ({"format": "mp3", "quality": 10}, "mp3 has no quality 10"),
        (
            {"format": "mp3", "quality": 2, "bitrate": 320},
            "--bitrate and --quality are mutually exclusive",
        ),
        ({"format": "m4a", "bitrate": 16}, "m4a has no bit rate of 16 kbit/s"),
        ({"format": "opus", "bitrate": 512}, "opus has no bit rate of 512 kbit/s"),
        ({"format": "ogg", "depth": "16"}, "ogg has no bit depth"),
        ({"format": "aiff", "depth": "32f"}, "aiff cannot store floats"),
        ({"format": "alac", "depth": "32f"}, "alac cannot store floats"),
        ({"format": "flac", "clip": "none"}, "24-bit flac cannot store samples above full scale"),
        ({"depth": "16", "clip": "none"}, "16-bit wav cannot store samples above full scale"),
    ],
)
def test_unsupported_settings_of_a_format_are_refused(options, reason):
    with pytest.raises(UsageError, match=reason):
        check_encoding(EncodingOptions(**options))


def test_general_settings_do_not_prevent_the_use_of_another_format():
    settled = EncodingOptions(format="wav", depth="24", bitrate=256, quality=3)
    assert fitting(settled, ()) == EncodingOptions(format="wav", depth="24")
    check_encoding(fitting(settled, ()))
    with pytest.raises(UsageError, match="wav has no bit rate"):
        check_encoding(fitting(settled, {"bitrate"}))
    alac = EncodingOptions(format="stem.mp4", codec="alac", bitrate=256, depth="16")
    assert fitting(alac, ()) == EncodingOptions(format="stem.mp4", codec="alac", depth="16")
    assert fitting(alac, {"bitrate"}) == EncodingOptions(format="stem.mp4", bitrate=256)
    assert fitting(replace(alac, format="m4a"), ()).codec is None
    for asked, kept in (({"quality"}, {"quality": 3}), ({"bitrate"}, {"bitrate": 256})):
        both = EncodingOptions(format="mp3", depth="24", bitrate=256, quality=3)
        assert fitting(both, asked) == EncodingOptions(format="mp3", **kept)


def test_supported_settings_are_not_refused():
    for format, row in FORMATS.items():
        rules = row.rules
        for depth, quality in product((None, *rules.depths), (None, *rules.qualities)):
            check_encoding(EncodingOptions(format=format, depth=depth, quality=quality))
        for codec in (None, *row.codecs):
            check_encoding(EncodingOptions(format=format, codec=codec))


def test_integers_clamp_and_all_others_keep_what_is_above_full_scale():
    assert clip_of(EncodingOptions()) == clip_of(EncodingOptions(format="mp3")) == "none"
    assert clip_of(EncodingOptions(format="alac")) == "clamp"
    assert clip_of(EncodingOptions(format="stem.mp4", codec="alac")) == "clamp"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (
            {"format": "flac", "bitrate": 128},
            "use --depth to set its size, or --format mp3, m4a, opus",
        ),
        ({"format": "alac", "depth": "32f"}, "--depth 24, or --format wav"),
        ({"format": "wav", "codec": "alac"}, "--codec is for --format stem.mp4"),
        ({"format": "opus", "quality": 5}, "use --bitrate instead; mp3 and ogg have"),
        ({"depth": "16", "clip": "none"}, "clamp or linked, or --format wav --depth 32f"),
    ],
)
def test_hints_name_the_formats_that_can_do_it(options, hint):
    with pytest.raises(UsageError) as caught:
        check_encoding(EncodingOptions(**options))
    assert hint in caught.value.hint


def test_qualities_with_their_letters():
    assert [parse_quality(text, "mp3") for text in (None, "0", " V2 ", "v9")] == [None, 0, 2, 9]
    assert [parse_quality(text, "ogg") for text in ("q-1", "Q8", "10")] == [-1, 8, 10]
    with pytest.raises(UsageError, match="q8 is a quality for ogg, not mp3") as caught:
        parse_quality("q8", "mp3")
    assert caught.value.hint == "supported: 0 to 9"
    for text in ("best", "x3", "V", "1.5"):
        with pytest.raises(UsageError, match=f"invalid quality '{text}'") as caught:
            parse_quality(text, "flac")
        assert caught.value.hint == "mp3 has 0 to 9 (or V0 to V9), ogg has -1 to 10 (or q-1 to q10)"


def test_bit_rates_as_people_write_them():
    for text in ("320", "320k", "320 kbps", " 320 kbit/s", "320K"):
        assert parse_bitrate(text) == 320
    assert parse_bitrate(None) is None
    for text in ("320000", "fast", "", "1.5"):
        with pytest.raises(UsageError, match=f"invalid bit rate '{text}'"):
            parse_bitrate(text)
