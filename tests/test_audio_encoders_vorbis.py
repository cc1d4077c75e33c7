"""Vorbis: bit rates and qualities."""

from stemsplit.audio.encoders.vorbis import BITRATES, quality_of
from stemsplit.audio.format_table import FORMATS
from stemsplit.options import EncodingOptions


def test_bit_rates_of_vorbis_are_qualities():
    asked = (45, 64, 80, 72, 192, 500)
    found = [quality_of(EncodingOptions(format="ogg", bitrate=rate)) for rate in asked]
    assert found == [-1, 0, 1, 0.5, 6, 10]
    assert quality_of(EncodingOptions(format="ogg")) == 8
    assert quality_of(EncodingOptions(format="ogg", quality=3)) == 3


def test_the_row_of_ogg_has_the_bit_rates_that_qualities_have():
    bitrates = FORMATS["ogg"].rules.bitrates
    assert bitrates == range(BITRATES[0], BITRATES[-1] + 1)
    qualities = [quality_of(EncodingOptions(format="ogg", bitrate=rate)) for rate in bitrates]
    assert qualities == sorted(set(qualities))
    assert {qualities[0], qualities[-1]} == {*FORMATS["ogg"].rules.qualities[:: len(BITRATES) - 1]}
