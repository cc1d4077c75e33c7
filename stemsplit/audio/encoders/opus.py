"""Opus in Ogg."""

from __future__ import annotations

from typing import Any

from stemsplit.audio.encoders.ogg import Ogg
from stemsplit.audio.formats import bitrate_of

MOST_PER_CHANNEL = 256  # kbit/s, in libopus


class Opus(Ogg):
    """libopus, with a bit rate within the limit for the number of channels."""

    container = "opus"

    def _output_options(self) -> dict[str, Any]:
        most = MOST_PER_CHANNEL * self.stem.channels
        bitrate = min(bitrate_of(self.stem.options), most)
        return super()._output_options() | {"audio_bitrate": f"{bitrate}k"}
