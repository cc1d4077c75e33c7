"""The section on formats and tags in the man page of the default command."""

from __future__ import annotations

from collections.abc import Mapping

#: What each ``--format`` writes.
FORMAT_NOTES: Mapping[str, str] = {
    "wav": "32-bit float by default, or `--depth 24` or `16`; any sample rate; RF64 above 4 GiB.",
    "flac": "24 bits by default, or `--depth 16`; any rate up to 65,535 Hz, then in steps of "
    "10 Hz up to 655,350 Hz.",
    "aiff": "24 bits by default, or `--depth 16`; any rate.",
    "alac": "Apple Lossless in `.m4a`, 24 bits by default, or `--depth 16`; any rate.",
    "mp3": "`--bitrate 320` by default, or `--quality V0` to `V9`; up to 48 kHz.",
    "m4a": "AAC, `--bitrate 256` by default; up to 96 kHz.",
    "opus": "`--bitrate 192` by default; always 48 kHz.",
    "ogg": "Vorbis, `--quality 8` by default (`-1` to `10`), or `--bitrate`; up to 192 kHz.",
    "stem.mp4": "One file with the song and four stems for DJ programs, as specified by Native "
    "Instruments; 44.1 or 48 kHz. Traktor and Mixxx mix the stems; other players play the song. "
    "The streams are AAC, 256 kbit/s each (`--bitrate`), or lossless with `--codec alac`, which "
    "Traktor cannot read on Windows. A model with six stems needs four of them (`--stems`) or "
    "four mixes (`--stems none --mix ...`).",
}

#: What holds for all formats.
FORMAT_PARAGRAPHS = (
    "Every format decodes to exactly the frames of the song: the delay and the padding of the "
    "encoder are declared in the file in a way that ffmpeg 5 to 9 can read. A song that is too "
    "short for that (below 513 frames as AAC, 47 frames as mp3 below 32 kHz) is refused in that "
    "format. If a format does not support the sample rate of the song, the stems get the next "
    "higher rate that it supports, with a warning.",
    "16-bit stems are dithered with triangular noise, the same in every run, unless `--no-dither` "
    "is given; digital silence stays silent. Stems can peak above full scale even if the song "
    "does not. Floating point keeps such peaks; `--clip clamp`, the default for 16 and 24 bits, "
    "clips them with a warning; `--clip linked` lowers all stems of the song by the same gain, so "
    "that they still sum to a quieter copy of the song.",
    "Stems get the song's tags and cover art in every format, with the title `Song (vocals)`; "
    "tempo, key and lyrics are kept. Tags that would be wrong for a stem are dropped: ReplayGain, "
    "MusicBrainz and AcoustID identifiers, cue points, private data of programs. The `bext` chunk "
    "of a Broadcast Wave file is copied to stems in `wav`. `--no-tags` copies nothing.",
    "Projects (`--daw`) have a track for each stem, with its name and colour. The tempo comes from "
    "the song's tags (without them, a `.dawproject` has 120); nothing is ever stretched. Reaper "
    "supports stems in `wav`, `aiff`, `flac`, `mp3`, `ogg` and `opus`, DAWproject those in `wav`, "
    "`aiff` and `flac`. Run again with `--daw` to write a project for existing stems.",
)
