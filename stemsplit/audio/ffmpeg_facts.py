"""What ffmpeg says of itself."""

from __future__ import annotations

import re

from stemsplit.audio.ffmpeg import Process, find_ffmpeg
from stemsplit.errors import ResourceError

#: How long ffmpeg may take to answer (s); beyond that it hangs. And how much it may say.
ANSWER_SECONDS = 30
LONGEST_ANSWER = 2**22  # bytes


def version() -> str:
    """Return the version that ffmpeg says it is. Raises ``ResourceError`` if it does not run."""
    words = _ask("-version").split()
    return words[2] if words[:2] == ["ffmpeg", "version"] else "unknown"


def list_encoders() -> frozenset[str]:
    """Return the names of ffmpeg's encoders. Raises ``ResourceError`` if it does not run."""
    _heading, _rule, listed = _ask("-encoders").partition("------")
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listed, re.MULTILINE))


def _ask(option: str) -> str:
    """Return what ffmpeg answers to ``option``."""
    words = [find_ffmpeg(), "-hide_banner", option]
    with Process(words, patience=ANSWER_SECONDS) as process:
        answer = process.read(LONGEST_ANSWER)
        if len(answer) == LONGEST_ANSWER or process.finish() != 0:
            raise ResourceError(f"ffmpeg does not work: {process.reason}", path=words[0])
    return answer.decode(errors="replace")
