"""Collect the files of a song to score: estimates, their references, and the mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.data.file_names import stem_of
from stemsplit.data.layouts import STEM_FILE, SongStems
from stemsplit.data.stems import StemFiles, find_stems


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounds:
    """The files of one song to score, by stem. Without ``references`` it is only measured.

    Truncated files are errors unless ``accept_truncated``.
    """

    song: str
    estimates: Mapping[str, StemFiles]
    references: Mapping[str, StemFiles] = field(default_factory=dict)
    mixture: StemFiles | None = None
    remarks: tuple[str, ...] = ()
    accept_truncated: bool = False


def find_sounds(
    estimates: SongStems,
    references: SongStems | None,
    *,
    mixture: Path | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Sounds:
    """Return the stems of ``estimates``, and the ``references`` of the same names.

    ``mapping`` applies to the references, as in ``find_stems``. The mixture is the file
    ``mixture`` or, if None, one found among the references or the estimates. Raises as
    ``find_stems`` does.
    """
    if _is_single_stem(estimates.path):
        return _single_stem(estimates, references, mixture, mapping or {})
    found = find_stems(estimates.path)
    remarks, mixtures = found.remarks, [found.mixture]
    true: dict[str, StemFiles] = {}
    if references is not None:
        truth = find_stems(references.path, list(found.stems), mapping=mapping)
        true, remarks = truth.stems, (*remarks, *truth.remarks)
        mixtures.insert(0, truth.mixture)
    if mixture is not None:
        mixtures.insert(0, StemFiles(paths=(mixture,)))
    return Sounds(
        song=estimates.name,
        estimates=found.stems,
        references=true,
        mixture=next((each for each in mixtures if each is not None), None),
        remarks=remarks,
    )


def _is_single_stem(path: Path) -> bool:
    return not path.is_dir() and not path.name.lower().endswith(STEM_FILE)


def _single_stem(
    estimate: SongStems,
    reference: SongStems | None,
    mixture: Path | None,
    mapping: Mapping[str, str],
) -> Sounds:
    """Return the sounds of a single file, whose name contains that of the stem."""
    name = stem_of(estimate.name)
    true: Mapping[str, StemFiles] = {}
    remarks: tuple[str, ...] = ()
    if reference is not None and _is_single_stem(reference.path):
        true = {name: StemFiles(paths=(reference.path,))}
    elif reference is not None:
        found = find_stems(reference.path, [name], mapping=mapping)
        true, remarks = found.stems, found.remarks
    return Sounds(
        song=estimate.name,
        estimates={name: StemFiles(paths=(estimate.path,))},
        references=true,
        mixture=None if mixture is None else StemFiles(paths=(mixture,)),
        remarks=remarks,
    )
