"""Writes DAW projects beside the stems of a song."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stemsplit.audio.tags.model import Tags
from stemsplit.handoff.programs import write_project
from stemsplit.handoff.session import Session, Track
from stemsplit.outputs.manifest import StoredAudio
from stemsplit.types import Daw, Format, StreamInfo


def write_projects(
    projects: Mapping[Daw, tuple[Path, Path]],
    stems: Mapping[str, tuple[Path, Path]],
    audio: StoredAudio,
    *,
    format: Format,
    tags: Tags,
    info: StreamInfo,
    lasting: bool,
) -> list[str]:
    """Write a project of ``stems``, described by ``audio``, for each program; return warnings.

    Each project and stem is given as its final path and the file that will be moved there.
    ``lasting`` is whether the file of the song, ``info``, will still exist when a project is
    opened. Raises ``OutputError``, or ``ResourceError`` for a full disk.
    """
    session = Session(
        name=info.path.stem,
        tracks=tuple(
            Track(stem=stem, path=path, content=content) for stem, (path, content) in stems.items()
        ),
        format=format,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        frames=audio.frames,
        tags=tags,
        song=info if lasting else None,
    )
    return [
        warning
        for daw, (target, temporary) in projects.items()
        for warning in write_project(daw, session, target, temporary)
    ]
