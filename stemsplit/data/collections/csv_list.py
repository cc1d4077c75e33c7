"""A CSV file that lists files and their stems.

This is type 3 of the community's trainer (docs/dataset_types.md of
ZFTurbo/Music-Source-Separation-Training): the columns ``instrum`` (``type`` in its first versions)
and ``path``. Each file is a song of its own with one stem.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from stemsplit.data.collections.song import TrainingSong
from stemsplit.data.file_names import normalise
from stemsplit.data.stems import StemFiles
from stemsplit.errors import InputError
from stemsplit.small_files import LARGEST_LIST, read_small

STEM_COLUMNS = ("instrum", "type")
PATH_COLUMN = "path"


def recognises(root: Path) -> bool:
    """Return whether ``root`` is a CSV file."""
    return root.suffix.lower() == ".csv" and root.is_file()


def find(
    root: Path, sources: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> list[TrainingSong]:
    """Return a song for each row of one of ``sources``; ``mapping`` maps stems to names in the
    file. Paths are relative to the folder of the file, or to the current one.

    Raises ``InputError`` if the file cannot be read or lacks the columns.
    """
    by_name = {normalise(source): source for source in sources}
    meant = {name.lower(): stem for stem, names in mapping.items() for name in names}
    songs: dict[str, TrainingSong] = {}
    for label, text in _read_rows(root):
        source = by_name.get(normalise(meant.get(label.lower(), label)))
        if source is not None:
            song = _song(root.parent / text, text, source)
            songs.setdefault(song.name, song)
    return list(songs.values())


def _song(path: Path, text: str, source: str) -> TrainingSong:
    path = path if path.exists() or not Path(text).exists() else Path(text)
    problem = None if path.is_file() else f"no such file: {text}"
    stems = {} if problem else {source: StemFiles(paths=(path,))}
    name = Path(text).with_suffix("").as_posix().strip("/")
    return TrainingSong(name=name, split=None, stems=stems, problem=problem)


def _read_rows(file: Path) -> list[tuple[str, str]]:
    """Return the stem and the path of each row."""
    try:
        text = read_small(file, LARGEST_LIST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "not UTF-8 text"
        raise InputError(f"cannot be read: {reason}", path=file) from exc
    rows = csv.DictReader(io.StringIO(text))
    columns = rows.fieldnames or ()
    stem = next((name for name in STEM_COLUMNS if name in columns), None)
    if stem is None or PATH_COLUMN not in columns:
        hint = "its first line must name the columns: instrum,path"
        raise InputError("not a list of stems", path=file, hint=hint)
    return [(row[stem], row[PATH_COLUMN]) for row in rows if row[stem] and row[PATH_COLUMN]]
