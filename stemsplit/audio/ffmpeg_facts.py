"""The version and the encoders of an ffmpeg, as it reports them."""

from __future__ import annotations

import re

from stemsplit.audio.process import Process
from stemsplit.errors import ResourceError

#: Limits on the time (s) and length of an answer; an ffmpeg that takes longer hangs.
ANSWER_SECONDS = 30
LONGEST_ANSWER = 2**22  # bytes


def version_of(program: str) -> str:
    """Return the version that ``program`` reports. Raises ``ResourceError`` if it fails."""
    words = _ask(program, "-version").split()
    return words[2] if words[:2] == ["ffmpeg", "version"] else "unknown"


def major_version(version: str) -> int | None:
    """Return 5 for versions such as 5.1.9-0+deb12u1 and n5.0; None for a build without number."""
    match = re.match(r"n?(\d+)\.\d", version)
    return int(match[1]) if match else None


def encoders_of(program: str) -> frozenset[str]:
    """Return the names of the encoders of ``program``. Raises ``ResourceError`` if it fails."""
    _heading, _rule, listed = _ask(program, "-encoders").partition("------")
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listed, re.MULTILINE))


def _ask(program: str, option: str) -> str:
    """Return the output of ``program`` when called with ``option``."""
    with Process([program, "-hide_banner", option], timeout=ANSWER_SECONDS) as process:
        answer = process.read(LONGEST_ANSWER)
        if len(answer) == LONGEST_ANSWER or process.finish() != 0:
            raise ResourceError(f"ffmpeg does not work: {process.reason}", path=program)
    return answer.decode(errors="replace")
