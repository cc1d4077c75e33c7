"""Which files are taken for audio by their names alone. ffmpeg looks at the content later."""

from __future__ import annotations

#: What a file in a folder must end with to be taken for audio. A file named by itself may end with
#: anything.
_AUDIO = (
    "3ga aac ac3 aif aifc aiff alac amr ape au awb bwf caf dff dsf dts eac3 flac m4a m4b m4p",
    "m4r mka mlp mp1 mp2 mp3 mpc mpga oga ogg opus ra rf64 shn snd spx tak thd tta voc w64 wav",
    "wave wma wv",
)
#: Films may have no sound.
_FILMS = ("3gp avi flv m4v mkv mov mp4 mpeg mpg ogv vob webm wmv",)


def _suffixes(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f".{name}" for line in lines for name in line.split())


AUDIO_SUFFIXES = _suffixes(_AUDIO)
FILM_SUFFIXES = _suffixes(_FILMS)


def sounds_by_name(name: str) -> bool:
    """Return whether a file called ``name`` in a folder is taken for audio; hidden ones are not."""
    return name.lower().endswith(AUDIO_SUFFIXES + FILM_SUFFIXES) and not name.startswith(".")


def promises_sound(name: str) -> bool:
    """Return whether a file called ``name`` has something to hear in it, if it is what it says."""
    return name.lower().endswith(AUDIO_SUFFIXES)
