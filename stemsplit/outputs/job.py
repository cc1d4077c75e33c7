"""A job: one song with its options and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.audio.formats import clip_of, depth_of
from stemsplit.options import EncodingOptions
from stemsplit.outputs.manifest_writer import ManifestWriter
from stemsplit.outputs.selection import Selection
from stemsplit.types import Daw, StreamInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Which outputs of one song are written, how and where."""

    info: StreamInfo
    selection: Selection
    outputs: dict[str, Path]  # the stems to write: those of the selection that do not exist yet
    encoding: EncodingOptions
    projects: dict[Daw, Path] = field(default_factory=dict)  # to write beside the stems
    stems: dict[str, Path] = field(default_factory=dict)  # in the projects, also of earlier runs
    lasting: bool = True  # whether the song's file will still exist when a project is opened
    force: bool = False
    accept_truncated: bool = False
    manifest: ManifestWriter | None = None

    @property
    def channels(self) -> int:
        """The number of channels of a stored stem; in a stem file all are stereo."""
        return 2 if self.selection.streams else self.info.channels

    @property
    def closing(self) -> str | None:
        """The stem to write, if any, that compensates for the rounding of the others."""
        closing = closing_stem(self.selection, self.encoding)
        return closing if closing in self.outputs else None


def closing_stem(selection: Selection, encoding: EncodingOptions) -> str | None:
    """Return the stem, if any, that compensates for the rounding of the others to 16 bits.

    It contains their dither and needs none of its own.
    """
    rounded = depth_of(encoding) == "16" and clip_of(encoding) != "linked"
    return selection.sums[-1] if selection.sums and rounded else None
