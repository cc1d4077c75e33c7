"""Which files hold which stems of a song: names, layouts of data sets, and sums of files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.audio.detect import sounds_by_name
from stemsplit.audio.probe import probe
from stemsplit.data.layouts import STEM_FILE
from stemsplit.errors import InputError, UsageError
from stemsplit.evaluation.scores import Audio

MIXTURE = "mixture"
#: What files with the mixture are called, the preferred name first.
MIXTURES = (MIXTURE, "mix")
#: The audio streams of a file of MUSDB18, in their order (https://sigsep.github.io/datasets/musdb).
MUSDB_STREAMS = (MIXTURE, "drums", "bass", "other", "vocals")
#: Everything but the vocals, under its different names.
REST_OF_VOCALS = ("instrumental", "accompaniment", "no_vocals", "minus_vocals", "karaoke")
#: What songs of four stems have: where it is missing in a sum, that is worth a word.
USUAL = ("vocals", "drums", "bass", "other")
#: Stems that a rest is made of, and that a name may end with, as in "song - vocals.wav".
STEMS = (
    *USUAL,
    *("guitar", "piano", "keys", "keyboards", "strings", "synth", "synths", "organ"),
    *("brass", "winds", "woodwinds", "percussion", "choir"),
)
#: What helps where names do not.
MAP = "say which file is which stem, as evaluate's --map bass=bassline.wav does"
#: Parts of a stem, besides those that are named ``STEM_PART``.
PARTS = {
    "lead_vocals": "vocals",
    "backing_vocals": "vocals",
    "acoustic_guitar": "guitar",
    "electric_guitar": "guitar",
}
#: What a name may end with besides stems, and which is not that stem.
ENDINGS = (
    *MIXTURES,
    *REST_OF_VOCALS,
    *PARTS,
    *("vocals_lead", "vocals_backing"),
    *(f"{but}_{stem}" for stem in STEMS for but in ("no", "minus")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStems:
    """The stems of one song, by the names that were asked for, and what a person should know."""

    stems: dict[str, Audio]
    mixture: Audio | None
    remarks: tuple[str, ...]


def find_stems(
    place: Path,
    wanted: Sequence[str] | None = None,
    *,
    sources: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> FoundStems:
    """Return what stands for each of the ``wanted`` stems (None: all that is there) at ``place``.

    ``place`` is the folder of one song, or a file with the five streams of MUSDB18. A file is a
    stem by its name (``vocals.flac``, ``Song - Vocals.wav``, ``song_vocals.mp3``), or by
    ``mapping``: from stems, and ``mixture``, to names or patterns of files. Where there is none,

    - files that are named for its parts are summed (``vocals_lead`` and ``vocals_backing``);
    - ``no_X``, ``minus_X``, and ``instrumental`` and its like for the vocals, are the sum of all
      stems but X;
    - any other is left out.

    ``other`` is the sum of all that is not among ``sources``, the stems of the model (None: those
    that are wanted), if there are more than one. A remark tells of each sum and what is left out.

    Raises ``InputError`` when ``place`` cannot be read, two files could be one stem, or nothing
    matches, and ``UsageError`` for a ``mapping`` of a stem that nobody knows.
    """
    mapped = {normal(name): pattern for name, pattern in (mapping or {}).items()}
    asked = [normal(name) for name in (*(wanted or ()), *(sources or ()))]
    if wanted is not None:
        _refuse_unknown(mapped, {*STEMS, *asked, *ENDINGS})
    told = (stem for name in asked if (stem := rest_of(name)) is not None)
    shelf = _Shelf(place, list(dict.fromkeys((*STEMS, *asked, *told, *mapped))))
    shelf.fill(mapped)
    names = shelf.names() if wanted is None else list(dict.fromkeys(wanted))
    finder = _Finder(shelf, tuple(normal(name) for name in (sources or wanted or ())))
    found = {name: finder.find(name) for name in names}
    stems = {name: audio for name, audio in found.items() if audio is not None}
    if not stems:
        raise InputError(
            f"holds none of the stems {', '.join(names)}" if names else "holds no stems",
            path=place,
            hint=f"there is {', '.join(shelf.files())}; {MAP}",
        )
    if len(stems) < len(found) and (strange := shelf.unknown()):
        finder.remarks.append(f"not known as stems: {', '.join(strange)}; {MAP}")
    mixture = next((file for name in MIXTURES if (file := shelf.find(name))), None)
    return FoundStems(
        stems=stems,
        mixture=None if mixture is None else _sum([mixture]),
        remarks=tuple(finder.remarks),
    )


def normal(name: str) -> str:
    """Return ``name`` in lower case, its words joined by ``_``; as it is if it has none."""
    return re.sub(r"[\W_]+", "_", name.casefold()).strip("_") or name


def title_of(mixture: Path) -> str:
    """Return the name of the song in the file ``mixture``.

    That is its own, or where it tells no more than what it is, the folder's: ``Song/mixture.wav``.
    """
    return mixture.resolve().parent.name if normal(mixture.stem) in MIXTURES else mixture.stem


def stem_of(name: str, stems: Sequence[str] = STEMS) -> str:
    """Return the stem, of ``stems`` and what else is known, that the file ``name`` ends with.

    ``Song - Vocals`` are the ``vocals``; a name that ends with none is one itself, in normal form.
    """
    whole = normal(name)
    endings = sorted({*stems, *ENDINGS}, key=len, reverse=True)
    return next((end for end in endings if f"_{whole}".endswith(f"_{end}")), whole)


def rest_of(name: str) -> str | None:
    """Return the stem that ``name``, in normal form, is everything but; None where it is not so."""
    if name in REST_OF_VOCALS:
        return "vocals"
    found = re.fullmatch(r"(?:no|minus)_(?!no_|minus_)(\w+)", name)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class _File:
    """One audio stream of a file, and whether its name is that of a stem and nothing else."""

    path: Path
    stream: int = 0
    exact: bool = True


@dataclass(slots=True)
class _Shelf:
    """The files of a song, by the stems that they are named for."""

    place: Path
    stems: list[str]  # every name that may be part of a rest, in normal form
    _files: dict[str, list[_File]] = field(default_factory=dict)

    def fill(self, mapped: Mapping[str, str]) -> None:
        """Look at ``place``; ``mapped`` is from stems to patterns of names."""
        if self.place.is_file():
            self._fill_from_streams(mapped)
            return
        left = _audio_files(self.place)
        for stem, pattern in mapped.items():
            matching = [p for p in left if fnmatch.fnmatchcase(p.name.lower(), pattern.lower())]
            if not matching:
                raise InputError(
                    f"no file is called {pattern!r}, which should be the {stem}", path=self.place
                )
            self._files[stem] = [_File(path) for path in matching]
        taken = {file.path for files in self._files.values() for file in files}
        for path in left:
            if path not in taken:
                name = stem_of(path.stem, self.stems)
                if name not in mapped:
                    exact = name == normal(path.stem)
                    self._files.setdefault(name, []).append(_File(path, exact=exact))

    def _fill_from_streams(self, mapped: Mapping[str, str]) -> None:
        if mapped:
            raise UsageError(f"{self.place} is one file: there are no names that could be mapped")
        try:
            probe(self.place, len(MUSDB_STREAMS) - 1)
        except InputError as exc:
            hint = f"give the folder of the song, or a {STEM_FILE} with five audio streams"
            raise InputError(exc.reason, path=exc.path, hint=hint) from exc
        for stream, name in enumerate(MUSDB_STREAMS):
            self._files[name] = [_File(self.place, stream)]

    def files(self) -> list[str]:
        """Return the names of all files."""
        return sorted({file.path.name for files in self._files.values() for file in files})

    def names(self) -> list[str]:
        """Return the names of all stems that there are: those that are known in their order."""
        known = [name for name in self.stems if name in self._files]
        return list(dict.fromkeys([*known, *(n for n in self._files if n not in MIXTURES)]))

    def find(self, name: str) -> _File | None:
        """Return the file that is named for ``name``; raise ``InputError`` if two are."""
        candidates = self._files.get(name, [])
        files = [file for file in candidates if file.exact] or candidates
        if len(files) > 1:
            raise InputError(
                f"{files[0].path.name} and {files[1].path.name} could both be the {name}",
                path=self.place,
                hint=f"remove one of them, or {MAP}",
            )
        return files[0] if files else None

    def parts(self, name: str) -> list[_File]:
        """Return the file for ``name``, or those for its parts; nothing if there are none."""
        if (file := self.find(name)) is not None:
            return [file]
        names = (n for n in self._files if n.startswith(f"{name}_") or PARTS.get(n) == name)
        return [file for part in sorted(names) if (file := self.find(part)) is not None]

    def rest(self, excluded: Iterable[str]) -> list[_File]:
        """Return the files of all known stems but those ``excluded``."""
        gone = [file for name in excluded for file in self.parts(name)]
        stems = [name for name in self.stems if rest_of(name) is None and name not in MIXTURES]
        files = dict.fromkeys(file for name in stems for file in self.parts(name))
        return [file for file in files if file not in gone]

    def unknown(self) -> list[str]:
        """Return the names of files that are neither stems, nor parts, nor made of them."""
        known = {*self.stems, *ENDINGS}
        starts = tuple(f"{name}_" for name in self.stems)
        strange = [
            name for name in self._files if name not in known and not name.startswith(starts)
        ]
        return [file.path.name for name in strange for file in self._files[name]]


@dataclass(slots=True)
class _Finder:
    """Finds or makes up stems by the rules of ``find_stems``, and takes notes."""

    shelf: _Shelf
    sources: tuple[str, ...]
    remarks: list[str] = field(default_factory=list)

    def find(self, wanted: str) -> Audio | None:
        """Return what stands for ``wanted``; None and a remark if nothing does."""
        name = normal(wanted)
        if name == "other" and len(self.sources) > 1:
            files = self.shelf.rest(source for source in self.sources if source != "other")
            if files != self.shelf.parts("other"):
                return self._rest(wanted, files, [s for s in self.sources if s != "other"])
        files = self.shelf.parts(name)
        if not files and (stem := rest_of(name)) is not None:
            if stem == "vocals":
                like = (self.shelf.find(n) for n in REST_OF_VOCALS)
                files = [file for file in like if file is not None][:1]
                self.remarks += [f"{wanted}: {file.path.name} stands for it" for file in files]
            if not files and (files := self.shelf.rest([stem])):
                return self._rest(wanted, files, [stem])
        if not files:
            self.remarks.append(
                f"{wanted}: there is no file for it in {self.shelf.place}, left out"
            )
            return None
        audio = _sum(files)
        if len(files) > 1:
            self.remarks.append(f"{wanted}: the sum of {audio}")
        return audio

    def _rest(self, wanted: str, files: list[_File], excluded: Sequence[str]) -> Audio:
        shelf = self.shelf
        missing = tuple(n for n in USUAL if n not in excluded and not shelf.parts(n))
        audio = _sum(files, missing)
        remark = f"{wanted}: the sum of all but {', '.join(excluded)}: {audio}"
        if missing:
            remark += f"; there is no {', no '.join(missing)}"
        if strange := shelf.unknown():
            remark += f"; not known as a stem and left out: {', '.join(strange)}"
        self.remarks.append(remark)
        return audio


def _sum(files: Sequence[_File], missing: tuple[str, ...] = ()) -> Audio:
    streams = tuple(file.stream for file in files)
    return Audio(
        paths=tuple(file.path for file in files),
        streams=streams if any(streams) else (),
        missing=missing,
    )


def _audio_files(folder: Path) -> list[Path]:
    """Return the audio files in ``folder``, in the order of their names."""
    try:
        names = sorted(path.name for path in folder.iterdir() if not path.is_dir())
    except FileNotFoundError as exc:
        raise InputError("no such folder", path=folder) from exc
    except (OSError, ValueError) as exc:  # ValueError: a name with a NUL byte
        reason = getattr(exc, "strerror", None) or str(exc)
        raise InputError(f"cannot be read: {reason}", path=folder) from exc
    found = [folder / name for name in names if sounds_by_name(name)]
    if not found:
        raise InputError(
            "this folder holds no audio files", path=folder, hint="wanted: one file for each stem"
        )
    return found


def _refuse_unknown(mapped: Iterable[str], known: set[str]) -> None:
    for name in mapped:
        if name not in known:
            raise UsageError(
                f"no stem is called {name!r}, which a file is mapped to",
                hint=f"known are: {', '.join(sorted(known - set(ENDINGS)))}, {MIXTURE}",
            )
