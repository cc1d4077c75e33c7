"""What an ffmpeg says of itself."""

from __future__ import annotations

import re

from stemsplit.audio.process import Process
from stemsplit.errors import ResourceError

#: How long ffmpeg may take to answer (s); beyond that it hangs. And how much it may say.
ANSWER_SECONDS = 30
LONGEST_ANSWER = 2**22  # bytes


def version_of(program: str) -> str:
    """Return the version that ``program`` says it is. Raises ``ResourceError`` if it fails."""
    words = _ask(program, "-version").split()
    return words[2] if words[:2] == ["ffmpeg", "version"] else "unknown"


def major_version(said: str) -> int | None:
    """Return 5 for a version such as 5.1.9-0+deb12u1 or n5.0; None for a build without number."""
    match = re.match(r"n?(\d+)\.\d", said)
    return int(match[1]) if match else None


def encoders_of(program: str) -> frozenset[str]:
    """Return the names of the encoders of ``program``. Raises ``ResourceError`` if it fails."""
    _heading, _rule, listed = _ask(program, "-encoders").partition("------")
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listed, re.MULTILINE))


def _ask(program: str, option: str) -> str:
    """Return what ``program`` answers to ``option``."""
    with Process([program, "-hide_banner", option], timeout=ANSWER_SECONDS) as process:
        answer = process.read(LONGEST_ANSWER)
        if len(answer) == LONGEST_ANSWER or process.finish() != 0:
            raise ResourceError(f"ffmpeg does not work: {process.reason}", path=program)
    return answer.decode(errors="replace")
