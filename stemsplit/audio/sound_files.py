"""Files that libsndfile opens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def open_sound(path: Path, *form: Any) -> Any:
    """Return the open ``soundfile.SoundFile`` at ``path``; ``form`` is mode and format to write.

    Raises ``soundfile.LibsndfileError``.
    """
    import soundfile

    # Bytes, because soundfile refuses a str with surrogates.
    return soundfile.SoundFile(str(path) if os.name == "nt" else os.fsencode(path), *form)
