"""The variables that the program reads, besides those of options."""

from __future__ import annotations

from collections.abc import Mapping

#: What each means, for the man page.
ENVIRONMENT: Mapping[str, str] = {
    "STEMSPLIT_CACHE_DIR": "The folder where weights are kept.",
    "STEMSPLIT_REGISTRY": (
        "A TOML file with more models: its `[models.NAME]` tables look like those of the registry "
        "that is installed, and replace those of the same name."
    ),
    "STEMSPLIT_CONFIG": "A configuration file to read in place of the usual one.",
    "STEMSPLIT_FFMPEG": "The ffmpeg program to use.",
    "STEMSPLIT_FFMPEG_TIMEOUT": (
        "After how many seconds in which it gives nothing ffmpeg is ended, and the song fails; 60 "
        "by default. A file in the cloud or on tape may need more."
    ),
    "http_proxy, https_proxy, all_proxy, no_proxy": (
        "The proxy that weights are fetched through, and the hosts for which there is none."
    ),
    "TMPDIR": "The folder for temporary files: a song from standard input.",
    "XDG_CONFIG_HOME, XDG_CACHE_HOME": "On Linux, the folders in place of ~/.config and ~/.cache.",
    "NO_COLOR": "If it is not empty, the progress bar has no colours.",
    "TERM": "If it is `dumb`, there are lines instead of a progress bar.",
}
