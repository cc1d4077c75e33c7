"""Vorbis in Ogg."""

from __future__ import annotations

from typing import Any

from stemsplit.audio.encoders.ogg import Ogg
from stemsplit.audio.formats import rules_of
from stemsplit.options import EncodingOptions

#: Nominal kbit/s of Vorbis at qualities -1 … 10, for stereo at 44.1 kHz (libvorbis' own table).
BITRATES = (45, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
LOWEST = -1  # quality


class Vorbis(Ogg):
    """libvorbis, controlled by a quality."""

    container = "ogg"

    def _output_options(self) -> dict[str, Any]:
        return super()._output_options() | {"q:a": quality_of(self.stem.options)}


def quality_of(options: EncodingOptions) -> float:
    """Return the requested quality, or the one at which Vorbis has the requested bit rate."""
    if options.quality is not None:
        return options.quality
    if options.bitrate is None:
        return rules_of(options).quality or 0
    above = next(i for i, rate in enumerate(BITRATES) if rate >= options.bitrate)
    if above == 0:
        return LOWEST
    lower, upper = BITRATES[above - 1 : above + 1]
    return LOWEST + above - 1 + (options.bitrate - lower) / (upper - lower)
