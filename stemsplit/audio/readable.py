"""Whether a file can be read at all, found out without what decodes it."""

from __future__ import annotations

import os
import re
import stat
from itertools import islice
from pathlib import Path

from stemsplit.audio.detect import has_media_name
from stemsplit.errors import InputError

#: How many names of a folder are compared with one that is missing there.
MOST_NAMES = 500


def refuse_unreadable(path: Path) -> None:
    """Raise ``InputError`` unless ``path`` is a readable file that is not empty."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError("is a folder, not a file", path=path)
        if not stat.S_ISREG(status.st_mode):
            hint = "songs are read twice: save it as a file first"
            raise InputError("is not a regular file", path=path, hint=hint)
        with path.open("rb"):
            pass
    except FileNotFoundError as exc:
        raise InputError("no such file", path=path, hint=_similar(path)) from exc
    except PermissionError as exc:
        raise InputError("cannot be read (permission denied)", path=path) from exc
    except (OSError, ValueError) as exc:  # ValueError: a name with a NUL byte
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"cannot be read: {reason}", path=path) from exc
    if status.st_size == 0:
        raise InputError("is empty (0 bytes)", path=path)


def _similar(path: Path) -> str | None:
    """Return a hint at the file beside the missing ``path`` that was probably meant, if any.

    Names are compared without extensions; those with other numbers are other songs.
    """
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MOST_NAMES)]
    except (OSError, ValueError):
        return None
    from difflib import get_close_matches  # imported late: few names are unknown

    names.sort(key=has_media_name)  # the last of several with the same stem counts
    same = {Path(n).stem.lower(): n for n in names if _numbers(Path(n)) == _numbers(path)}
    near = get_close_matches(path.stem.lower(), same, n=1, cutoff=0.75)
    return f"did you mean {path.parent / same[near[0]]}?" if near else None


def _numbers(path: Path) -> list[str]:
    return re.findall(r"\d+", path.stem)
