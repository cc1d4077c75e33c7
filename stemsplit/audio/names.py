"""Which files are taken for audio by their names alone. ffmpeg looks at the content later."""

from __future__ import annotations

#: What a file in a folder must end with to be taken for audio. A file named by itself may end with
#: anything.
AUDIO_SUFFIXES = tuple(
    f".{name}"
    for names in (
        "aac ac3 aif aifc aiff alac ape au caf dts flac m4a m4b mp2 mp3 mpc oga ogg opus ra spx",
        "tta voc w64 wav wma wv mka mkv mov mp4 webm",
    )
    for name in names.split()
)


def sounds_by_name(name: str) -> bool:
    """Return whether a file called ``name`` in a folder is taken for audio; hidden ones are not."""
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")
