"""Find the stems of a song: one file each, streams of one file, or sums of files."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.audio.probe import probe
from stemsplit.data.file_names import (
    ENDINGS,
    MIXTURE,
    MIXTURES,
    PARTS,
    REST_OF_VOCALS,
    STEMS,
    USUAL,
    excluded_stem,
    normalise,
    stem_of,
)
from stemsplit.data.layouts import STEM_FILE, audio_files
from stemsplit.errors import InputError, UsageError
from stemsplit.options import WHOLE, Excerpt

#: The audio streams of a file of MUSDB18, in their order (https://sigsep.github.io/datasets/musdb).
MUSDB_STREAMS = (MIXTURE, "drums", "bass", "other", "vocals")
#: The hint for names that do not identify the stems.
MAP = "assign files to stems, as with evaluate's --map bass=bassline.wav"
#: Begins the list of files that belong to no stem.
UNRECOGNISED = "not recognised as stems"


@dataclass(frozen=True, slots=True, kw_only=True)
class StemFiles:
    """Where the audio of one stem, or of the mixture, is: one file, or several to be summed.

    ``streams`` are the audio streams of the files, counted from 0 (empty: the first of each);
    ``missing`` names stems that are missing from the sum; only ``excerpt`` of each file is used.
    """

    paths: tuple[Path, ...]
    streams: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    excerpt: Excerpt = WHOLE

    def __str__(self) -> str:
        return " + ".join(
            f"{path.name} (stream {stream + 1})" if self.streams else path.name
            for path, stream in self.parts()
        )

    def parts(self) -> list[tuple[Path, int]]:
        """Return each file with the number of its audio stream, counted from 0."""
        streams = self.streams or (0,) * len(self.paths)
        return list(zip(self.paths, streams, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStems:
    """The stems of one song by name, its mixture if there is a file of it, and remarks."""

    stems: dict[str, StemFiles]
    mixture: StemFiles | None
    remarks: tuple[str, ...]


def find_stems(
    place: Path,
    wanted: Sequence[str] | None = None,
    *,
    sources: Sequence[str] | None = None,
    mapping: Mapping[str, str | Sequence[str]] | None = None,
) -> FoundStems:
    """Return the files of each of the ``wanted`` stems (None: all) of the song at ``place``.

    ``place`` is the folder of one song, or a file with the streams of MUSDB18. The stem of a file
    is identified by its name (``vocals.flac``, ``Song - Vocals.wav``, ``song_vocals.mp3``), or
    by ``mapping``, from stems and ``mixture`` to names or patterns of files, one or several; if
    several files match, they are summed. A stem without its own file is

    - the sum of the files named after its parts (``vocals_lead``, ``vocals_backing``);
    - for ``no_X``, ``minus_X``, and ``instrumental`` and its synonyms for the vocals, the sum of
      all stems except X;
    - otherwise left out.

    ``other`` is the sum of all stems that are not among the model's ``sources`` (None: the
    ``wanted`` ones), if there is more than one source. Remarks report every sum and omission.

    Raises ``InputError`` if ``place`` cannot be read, two files have the name of one stem, or no
    file matches, and ``UsageError`` for a ``mapping`` of an unknown stem.
    """
    mapped = {normalise(name): _as_list(each) for name, each in (mapping or {}).items()}
    asked = [normalise(name) for name in (*(wanted or ()), *(sources or ()))]
    if wanted is not None:
        _refuse_unknown(mapped, {*STEMS, *asked, *ENDINGS})
    excluded = (stem for name in asked if (stem := excluded_stem(name)) is not None)
    index = _StemIndex(place, list(dict.fromkeys((*STEMS, *asked, *excluded, *mapped))))
    index.build(mapped)
    names = index.names() if wanted is None else list(dict.fromkeys(wanted))
    resolver = _StemResolver(index, tuple(normalise(name) for name in (sources or wanted or ())))
    found = {name: resolver.find(name) for name in names}
    stems = {name: files for name, files in found.items() if files is not None}
    if not stems:
        raise InputError(
            f"has none of the stems {', '.join(names)}" if names else "has no stems",
            path=place,
            hint=f"files found: {', '.join(index.files())}; {MAP}",
        )
    if len(stems) < len(found) and (unknown := index.unknown()):
        resolver.remarks.append(f"{UNRECOGNISED}: {', '.join(unknown)}; {MAP}")
    mixture = next((file for name in MIXTURES if (file := index.find(name))), None)
    return FoundStems(
        stems=stems,
        mixture=None if mixture is None else _sum([mixture]),
        remarks=tuple(resolver.remarks),
    )


@dataclass(frozen=True, slots=True)
class _File:
    """One audio stream of a file, and whether its name is exactly that of a stem."""

    path: Path
    stream: int = 0
    exact: bool = True


@dataclass(slots=True)
class _StemIndex:
    """The files of a song by the stem in their names."""

    place: Path
    stems: list[str]  # every known stem, in normal form
    _files: dict[str, list[_File]] = field(default_factory=dict)
    _summed: set[str] = field(default_factory=set)  # the stems whose files were mapped to them

    def build(self, mapped: Mapping[str, Sequence[str]]) -> None:
        """Read ``place``; ``mapped`` maps stems to patterns of file names."""
        if self.place.is_file():
            self._add_streams(mapped)
            return
        paths = audio_files(self.place)
        for stem, patterns in mapped.items():
            matching: list[Path] = []
            for pattern in patterns:
                found = [p for p in paths if fnmatch.fnmatchcase(p.name.lower(), pattern.lower())]
                if not found:
                    raise InputError(
                        f"no file matches {pattern!r}, which is mapped to {stem}", path=self.place
                    )
                matching += found
            self._files[stem] = [_File(path) for path in dict.fromkeys(matching)]
            self._summed.add(stem)
        assigned = {file.path for files in self._files.values() for file in files}
        for path in paths:
            if path not in assigned:
                name = stem_of(path.stem, self.stems)
                if name not in mapped:
                    exact = name == normalise(path.stem)
                    self._files.setdefault(name, []).append(_File(path, exact=exact))

    def _add_streams(self, mapped: Mapping[str, object]) -> None:
        if mapped:
            raise UsageError(f"{self.place} is a single file: a mapping needs a folder of files")
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
        """Return the names of all stems that have a file, starting with the known ones in order."""
        known = [name for name in self.stems if name in self._files]
        return list(dict.fromkeys([*known, *(n for n in self._files if n not in MIXTURES)]))

    def find(self, name: str) -> _File | None:
        """Return the file that is named ``name``; raise ``InputError`` if two are."""
        candidates = self._files.get(name, [])
        files = [file for file in candidates if file.exact] or candidates
        if len(files) > 1:
            raise InputError(
                f"{files[0].path.name} and {files[1].path.name} both match the stem {name}",
                path=self.place,
                hint=f"remove one of them, or {MAP}",
            )
        return files[0] if files else None

    def parts(self, name: str) -> list[_File]:
        """Return the files of ``name``, or those of its parts; empty if there are none."""
        if name in self._summed:
            return self._files[name]
        if (file := self.find(name)) is not None:
            return [file]
        names = (n for n in self._files if n.startswith(f"{name}_") or PARTS.get(n) == name)
        return [file for part in sorted(names) if (file := self.find(part)) is not None]

    def all_but(self, excluded: Iterable[str]) -> list[_File]:
        """Return the files of all known stems except ``excluded``."""
        left_out = [file for name in excluded for file in self.parts(name)]
        stems = [
            name for name in self.stems if excluded_stem(name) is None and name not in MIXTURES
        ]
        files = dict.fromkeys(file for name in stems for file in self.parts(name))
        return [file for file in files if file not in left_out]

    def unknown(self) -> list[str]:
        """Return the names of files that are neither stems, nor parts, nor sums of them."""
        known = {*self.stems, *ENDINGS}
        starts = tuple(f"{name}_" for name in self.stems)
        names = [name for name in self._files if name not in known and not name.startswith(starts)]
        return [file.path.name for name in names for file in self._files[name]]


@dataclass(slots=True)
class _StemResolver:
    """Applies the rules of ``find_stems`` to each stem, and collects remarks."""

    index: _StemIndex
    sources: tuple[str, ...]
    remarks: list[str] = field(default_factory=list)

    def find(self, wanted: str) -> StemFiles | None:
        """Return the files of ``wanted``; None and a remark if there are none."""
        name = normalise(wanted)
        named = [source for source in self.sources if source != "other"]
        files = self.index.parts(name)
        if name == "other" and len(self.sources) > 1:
            rest = self.index.all_but(named)
            if rest != files:
                return self._sum_of_rest(wanted, rest, named)
        if not files and (stem := excluded_stem(name)) is not None:
            if stem == "vocals":
                synonyms = (self.index.find(n) for n in REST_OF_VOCALS)
                files = [file for file in synonyms if file is not None][:1]
                self.remarks += [f"{wanted}: taken from {file.path.name}" for file in files]
            if not files and (files := self.index.all_but([stem])):
                return self._sum_of_rest(wanted, files, [stem])
        if not files:
            self.remarks.append(f"{wanted}: no file in {self.index.place}, left out")
            return None
        found = _sum(files)
        if len(files) > 1:
            self.remarks.append(f"{wanted}: sum of {found}")
        return found

    def _sum_of_rest(self, wanted: str, files: list[_File], excluded: Sequence[str]) -> StemFiles:
        missing = tuple(n for n in USUAL if n not in excluded and not self.index.parts(n))
        found = _sum(files, missing)
        remark = f"{wanted}: sum of all stems except {', '.join(excluded)}: {found}"
        if missing:
            remark += f"; missing: {', '.join(missing)}"
        if unknown := self.index.unknown():
            remark += f"; {UNRECOGNISED}, left out: {', '.join(unknown)}"
        self.remarks.append(remark)
        return found


def _sum(files: Sequence[_File], missing: tuple[str, ...] = ()) -> StemFiles:
    streams = tuple(file.stream for file in files)
    return StemFiles(
        paths=tuple(file.path for file in files),
        streams=streams if any(streams) else (),
        missing=missing,
    )


def _as_list(patterns: str | Sequence[str]) -> list[str]:
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _refuse_unknown(mapped: Iterable[str], known: set[str]) -> None:
    for name in mapped:
        if name not in known:
            raise UsageError(
                f"a file is mapped to the unknown stem {name!r}",
                hint=f"known stems: {', '.join(sorted(known - set(ENDINGS)))}, {MIXTURE}",
            )
