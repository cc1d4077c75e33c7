"""What is to be done with one song."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.audio.formats import clip_of, depth_of
from stemsplit.outputs.manifest import ManifestWriter
from stemsplit.outputs.selection import Selection
from stemsplit.types import Daw, EncodingOptions, ScanResult, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One song: what it is, which stems are wanted of it and where they go."""

    info: StreamInfo
    selection: Selection
    outputs: dict[str, Path]  # the stems to write; may leave out some of the selection
    encoding: EncodingOptions
    projects: dict[Daw, Path] = field(default_factory=dict)  # to write beside them
    stems: dict[str, Path] = field(default_factory=dict)  # that these show: earlier runs' ones too
    lasting: bool = True  # whether the file of the song is there for those who open a project
    force: bool = False
    accept_truncated: bool = False
    statistics: ScanResult | None = None  # where the song has been scanned already
    ledger: ManifestWriter | None = None  # where it is written down

    @property
    def channels(self) -> int:
        """How many channels a stem has as it is stored: in a stem file they are all stereo."""
        return 2 if self.selection.streams else self.info.channels

    @property
    def closing(self) -> str | None:
        """The stem to write that makes the sum of files whole."""
        closing = closing_stem(self.selection, self.encoding)
        return closing if closing in self.outputs else None


def closing_stem(selection: Selection, encoding: EncodingOptions) -> str | None:
    """Return the stem that is given what rounding to 16 bits takes from others, if one is.

    It has their dither in it and needs none of its own.
    """
    rounded = depth_of(encoding) == "16" and clip_of(encoding) != "linked"
    return selection.sums[-1] if selection.sums and rounded else None
