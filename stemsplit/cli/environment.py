"""The environment variables that stemsplit reads, besides those of options."""

from __future__ import annotations

from collections.abc import Mapping

#: Descriptions for the man page.
ENVIRONMENT: Mapping[str, str] = {
    "STEMSPLIT_CACHE_DIR": "The folder for downloaded weights.",
    "STEMSPLIT_REGISTRY": (
        "A TOML file with more models. Its `[models.NAME]` tables have the format of the installed "
        "registry, and override tables of the same name."
    ),
    "STEMSPLIT_CONFIG": "A configuration file to read instead of the default one.",
    "STEMSPLIT_FFMPEG": "The ffmpeg program to use.",
    "STEMSPLIT_FFMPEG_TIMEOUT": (
        "The number of seconds without output after which ffmpeg is stopped and the song fails; 60 "
        "by default. Files in cloud or tape storage may need more."
    ),
    "STEMSPLIT_OPERATORS": (
        "Set to `torch` to compute with torch's public operators only. Otherwise the first run "
        "measures whether others are faster on this CPU; they change stems by rounding, 120 dB "
        "below them."
    ),
    "http_proxy, https_proxy, all_proxy, no_proxy": (
        "The proxy for downloading weights, and the hosts to reach without it."
    ),
    "TMPDIR": "The folder for temporary files, such as a song from standard input.",
    "XDG_CONFIG_HOME, XDG_CACHE_HOME": "On Linux, used instead of ~/.config and ~/.cache.",
    "NO_COLOR": "If it is set and not empty, the progress bar has no colours.",
    "TERM": "If set to `dumb`, progress is shown as lines instead of a bar.",
}
