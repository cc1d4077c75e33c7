"""What is to be done with one song."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemsplit.separation.manifest import Ledger
from stemsplit.separation.selection import Selection
from stemsplit.types import EncodingOptions, SongStatistics, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One song: what it is, which stems are wanted of it and where they go."""

    info: StreamInfo
    selection: Selection
    outputs: dict[str, Path]  # the stems to write; may leave out some of the selection
    encoding: EncodingOptions
    force: bool = False
    accept_truncated: bool = False
    statistics: SongStatistics | None = None  # where the song has been scanned already
    ledger: Ledger | None = None  # where it is written down
