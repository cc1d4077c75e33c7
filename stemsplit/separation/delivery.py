"""How stems are handed over: as which files, for which programs, and whether that goes together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stemsplit.audio.formats import check_encoding
from stemsplit.handoff.programs import PROGRAMS, check_daws, check_names
from stemsplit.outputs.naming import Names, check_template
from stemsplit.outputs.selection import Selection, as_stem_file
from stemsplit.types import Daw, EncodingOptions


def as_files(
    selection: Selection, encoding: EncodingOptions, template: str, daws: Sequence[Daw]
) -> Selection:
    """Return ``selection`` as files of ``encoding``, which may be one for all stems.

    Raises ``UsageError`` where the encoding, the ``template`` of names, the programs ``daws`` and
    what is selected contradict each other or themselves.
    """
    check_encoding(encoding)
    check_daws(daws, encoding.format)
    if encoding.format == "stem.mp4":
        selection = as_stem_file(selection)
    check_names(daws, selection.wanted)
    check_template(template, selection.wanted)
    return selection


def project_paths(names: Names, daws: Sequence[Daw]) -> dict[Daw, Path]:
    """Return where the project of each of the programs ``daws`` is."""
    return {daw: names.of_project(PROGRAMS[daw].extension) for daw in daws}
