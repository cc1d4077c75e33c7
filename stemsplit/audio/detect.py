"""Tells whether a file may be audio, by its name or its first bytes. Nothing is decoded."""

from __future__ import annotations

import re
from pathlib import Path

_AUDIO = (
    "3ga aac ac3 aif aifc aiff alac amr ape au awb bwf caf dff dsf dts eac3 flac m4a m4b m4p m4r "
    "mka mlp mp1 mp2 mp3 mpc mpga oga ogg opus ra rf64 shn snd spx tak thd tta voc w64 wav wave "
    "wma wv"
)
#: Videos, which may have no sound.
_VIDEOS = "3gp avi flv m4v mkv mov mp4 mpeg mpg ogv vob webm wmv"
AUDIO_SUFFIXES = tuple(f".{name}" for name in _AUDIO.split())
VIDEO_SUFFIXES = tuple(f".{name}" for name in _VIDEOS.split())
#: A song and its stems in one file, made by DJ programs: already split.
STEM_SUFFIXES = (".stem.mp4", ".stem.m4a")

#: The first bytes of files that may contain audio. Brands exclude pictures in the same container.
#: A false positive does no harm, because ffmpeg then finds no audio.
_MAGIC = re.compile(
    rb"(?:RIFF|RF64|BW64|RIFX)....(?:WAVE|XWMA)"
    rb"|FORM....(?:AIF[FC]|8SVX)|FRM8........DSD |DSD \x1c\x00\x00\x00|NIST_1A|nut/multimedia"
    rb"|fLaC|OggS|ID3[\x02-\x04]|wvpk|MAC |TTA[12]|caff\x00\x01|\.snd|MPCK|MP\+|\.ra\xfd|\.RMF"
    rb"|tBaK|ajkg|ea3\x03|APETAGEX|....\xf8\x72\x6f[\xba\xbb]"  # the last: TrueHD and MLP
    rb"|\x64\xa3[\x01-\x04]\x00|\x00[\x01-\x04]\xa3\x64"  # IRCAM
    rb"|Creative Voice File\x1a|#!AMR|\x0b\x77|riff\x2e\x91\xcf\x11"
    rb"|DTSHDHDR|\x7f\xfe\x80\x01|\xfe\x7f\x01\x80|\x1f\xff\xe8\x00|\xff\x1f\x00\xe8"
    rb"|\x47.{187}\x47|.{4}\x47.{191}\x47"  # MPEG transport streams, without and with times
    rb"|\x56[\xe0-\xff]"  # AAC in LATM
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # ASF: wma, wmv
    rb"|\x1a\x45\xdf\xa3"  # EBML: mka, mkv, webm
    rb"|RIFF....AVI |FLV\x01|\x00\x00\x01\xba"
    rb"|....(?:ftyp(?!avif|avis|heic|heix|heif|mif1|msf1|crx |jpx )|moov|wide)"
    rb"|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]"  # MPEG audio, layers 1 to 3
    rb"|\xff[\xf0\xf1\xf8\xf9][\x40-\x7f\x80-\xbf]",  # AAC in ADTS
    re.DOTALL,
)
_LONGEST_MAGIC = 200  # bytes, rounded up


def has_media_name(name: str) -> bool:
    """Return whether a file called ``name`` may be audio or a video; False for hidden files.

    This selects the files of a folder. A file that the user names may be called anything.
    """
    return name.lower().endswith(AUDIO_SUFFIXES + VIDEO_SUFFIXES) and not name.startswith(".")


def has_audio_name(name: str) -> bool:
    """Return whether the suffix of ``name`` is one of audio, not of a video."""
    return name.lower().endswith(AUDIO_SUFFIXES)


def may_be_audio(path: Path) -> bool:
    """Return whether the file at ``path`` begins like audio; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return _MAGIC.match(file.read(_LONGEST_MAGIC)) is not None
    except OSError:
        return False
