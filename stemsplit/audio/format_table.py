"""All formats of stems, one row each: the settings it supports, and the encoder that writes it.

A new format needs a row here, its name in ``types.Format`` and its encoder in ``encoders/``.
The table is used to parse options, so it imports nothing heavy: it only names the encoder, which
is imported when the first stem is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stemsplit.types import Codec, Daw, Depth, Format


class Rules(NamedTuple):
    """The values that a format supports; an empty field means that the setting does not exist."""

    depths: tuple[Depth, ...] = ()  # the first is the default
    bitrates: range | tuple[int, ...] = ()  # kbit/s
    bitrate: int | None = None  # the default
    qualities: range = range(0)
    quality: int | None = None  # used if neither a quality nor a bit rate is given
    quality_letter: str = ""  # customary prefix of a quality
    rates: range | tuple[int, ...] = ()  # Hz, ascending; empty: any
    high_rates: range = range(0)  # Hz, above ``rates``
    ffmpeg_encoder: str = ""  # its name in ffmpeg; empty: ffmpeg is not needed


class FormatRow(NamedTuple):
    """One format.

    ``encoder`` is ``MODULE:CLASS`` below ``audio/encoders``. ``projects`` are the DAWs whose
    projects can use such stems, each with its name for the format: Reaper's reader, or the
    extension of the file in a DAWproject archive. If there is a choice of ``codecs``, each has its
    own rules, and ``rules`` are those of the default.
    """

    extension: str
    encoder: str
    rules: Rules
    codecs: Mapping[Codec, Rules] = {}
    holds_all_stems: bool = False  # one file holds all stems of a song
    projects: Mapping[Daw, str] = {}


#: Sample rates (Hz) of MPEG-1, 2 and 2.5 layer III (ISO 11172-3 §2.4.2.3, 13818-3 §2.4.2.3).
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
#: Bit rates (kbit/s) of MPEG-1 layer III, from the same tables.
MP3_BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
#: Sample rates (Hz) of MPEG-4 AAC (ISO 14496-3, table of sampling frequency indices).
AAC_RATES = (
    *(7350, 8000, 11025, 12000, 16000, 22050, 24000),
    *(32000, 44100, 48000, 64000, 88200, 96000),
)
AAC_BITRATES = range(32, 513)
STEM_FILE_RATES = (44100, 48000)  # Hz, of Native Instruments' stem files

AAC_STEMS = Rules(bitrates=AAC_BITRATES, bitrate=256, rates=STEM_FILE_RATES, ffmpeg_encoder="aac")
ALAC_STEMS = Rules(depths=("24", "16"), rates=STEM_FILE_RATES, ffmpeg_encoder="alac")

#: For DAWproject, only formats that all of its readers support; lossy formats would add delays.
FORMATS: dict[Format, FormatRow] = {
    "wav": FormatRow(
        extension="wav",
        encoder="wav:Wav",
        rules=Rules(depths=("32f", "16", "24")),
        projects={"reaper": "WAVE", "dawproject": "wav"},
    ),
    "aiff": FormatRow(
        extension="aiff",
        encoder="aiff:Aiff",
        rules=Rules(depths=("24", "16")),
        projects={"reaper": "WAVE", "dawproject": "aiff"},
    ),
    "flac": FormatRow(
        extension="flac",
        encoder="flac:Flac",
        # What a frame header can encode (RFC 9639, 9.1.5): 16 bits, in units of Hz or 10 Hz.
        rules=Rules(
            depths=("24", "16"), rates=range(1, 65_536), high_rates=range(65_540, 655_351, 10)
        ),
        projects={"reaper": "FLAC", "dawproject": "flac"},
    ),
    "alac": FormatRow(
        extension="m4a",
        encoder="mp4:Mp4",
        rules=Rules(depths=("24", "16"), ffmpeg_encoder="alac"),
    ),
    "mp3": FormatRow(
        extension="mp3",
        encoder="mp3:Mp3",
        rules=Rules(
            bitrates=MP3_BITRATES,
            bitrate=320,
            qualities=range(10),  # best first
            quality_letter="V",  # of LAME
            rates=MP3_RATES,
            ffmpeg_encoder="libmp3lame",
        ),
        projects={"reaper": "MP3"},
    ),
    "m4a": FormatRow(
        extension="m4a",
        encoder="mp4:Mp4",
        rules=Rules(bitrates=AAC_BITRATES, bitrate=256, rates=AAC_RATES, ffmpeg_encoder="aac"),
    ),
    "opus": FormatRow(
        extension="opus",
        encoder="opus:Opus",
        rules=Rules(bitrates=range(8, 511), bitrate=192, rates=(48000,), ffmpeg_encoder="libopus"),
        projects={"reaper": "OPUS"},
    ),
    "ogg": FormatRow(
        extension="ogg",
        encoder="vorbis:Vorbis",
        rules=Rules(
            bitrates=range(45, 501),
            qualities=range(-1, 11),  # best last
            quality=8,
            quality_letter="q",  # of oggenc
            rates=range(1, 192_001),  # libvorbis has no tables above 200 kHz
            ffmpeg_encoder="libvorbis",
        ),
        projects={"reaper": "VORBIS"},
    ),
    "stem.mp4": FormatRow(
        extension="stem.mp4",
        encoder="stem_mp4:StemMp4",
        rules=AAC_STEMS,
        codecs={"aac": AAC_STEMS, "alac": ALAC_STEMS},
        holds_all_stems=True,
    ),
}


def formats_named_by(name: str) -> list[Format]:
    """Return the formats whose extension the file ``name`` has, in the order of the table."""
    name = name.lower()
    if name.endswith(".aif"):
        name += "f"
    return [format for format, row in FORMATS.items() if name.endswith(f".{row.extension}")]
