"""A whole data set: each song is separated and scored, and what is found is kept.

A later run takes from the kept files what was found under the same circumstances: the same model,
options, versions and files of the song. So it goes on where an earlier one was interrupted.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stemsplit.audio.atomic import output_error, write_text
from stemsplit.audio.detect import sounds_by_name
from stemsplit.audio.encode import StemWriter
from stemsplit.batch.engine_cache import Splitter
from stemsplit.checkpoints import loading
from stemsplit.cli.scoring import Reports, Task, follow, run
from stemsplit.data.alignment import align
from stemsplit.data.layouts import SongStems, find_songs
from stemsplit.data.stems import FoundStems, StemFiles, find_stems
from stemsplit.errors import ExitCode
from stemsplit.evaluation.options import BssEvalOptions
from stemsplit.evaluation.report.records import from_json, to_json
from stemsplit.evaluation.scores import SongScores
from stemsplit.evaluation.scoring import score_sounds
from stemsplit.evaluation.sounds import Sounds
from stemsplit.types import EncodingOptions
from stemsplit.version import __version__

#: How folders for temporary files begin, and what locks them.
SCRATCH, LOCK = ".stemsplit-", "lock"
#: Together they are the song, whatever stems there are.
WHOLE = ("vocals", "no_vocals")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Songs with their true stems below ``root``, and the ``folder`` that keeps what is found."""

    root: Path
    folder: Path
    splitter: Splitter
    mapping: Mapping[str, str]
    framing: BssEvalOptions
    keep_stems: bool = False

    def run(self, reports: Reports) -> ExitCode:
        """Separate and score what is not done yet, report all, and return the exit code.

        Raises ``InputError`` where there are no songs, and ``CheckpointError`` or
        ``ResourceError`` where there is no model: without that no song can be scored.
        """
        songs = find_songs(self.root)
        _sweep(self.folder)
        reports.refuse_existing([song.name for song in songs])
        self.splitter.fetch()
        circumstances = self._circumstances()
        tasks: list[Task] = []
        done = 0
        for song in songs:
            settings = circumstances | {"files": _identify(song.path)}
            kept = self._kept(song, settings)
            done += kept is not None
            work = partial(self._score, song, settings) if kept is None else partial(_again, kept)
            tasks.append((song.name, work))
        if done:
            reports.console.note(f"{done} of {len(songs)} songs are done already ({self.folder})")
        if done < len(songs):
            self.splitter.load()  # what no song can do without fails before the first
        return run(tasks, reports, self.splitter.options.model)

    def _circumstances(self) -> dict[str, Any]:
        """Return all that decides about scores besides the song, as JSON knows it."""
        options = self.splitter.options
        return {
            **options.told(),
            "weights": loading.fingerprint(options.model),
            "window": self.framing.window,
            "hop": self.framing.hop,
            "bss_eval": self.framing.computed_by,
            "map": dict(self.mapping),
            "versions": {
                "stemsplit": __version__,
                "torch": version("torch"),
                "numpy": version("numpy"),
            },
        }

    def _record(self, song: SongStems) -> Path:
        return self.folder / f"{song.name}.json"

    def _kept(self, song: SongStems, settings: Mapping[str, Any]) -> SongScores | None:
        """Return what an earlier run found; None if there is nothing, or nothing that counts."""
        try:
            kept = from_json(json.loads(self._record(song).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None
        files = [path for audio in kept.estimates.values() for path in audio.paths]
        if self.keep_stems and not (files and all(path.is_file() for path in files)):
            return None
        return kept if kept.settings == settings else None

    def _score(self, song: SongStems, settings: Mapping[str, Any], label: str) -> SongScores:
        """Return the scores of ``song``, which is separated for that, and keep them."""
        console, wanted = self.splitter.console, self.splitter.selection.wanted
        found = find_stems(song.path, wanted, mapping=self.mapping)
        mixture, remarks = _mixture(song, found, self.mapping)
        with _scratch(self.folder) as scratch:
            # Remarks name this folder, so that the stems are told from the true ones.
            outputs = {stem: scratch / "estimates" / f"{stem}.wav" for stem in wanted}
            self.splitter.split(_as_file(mixture, scratch), outputs, f"{label}: ")
            sounds = Sounds(
                song=song.name,
                estimates={stem: StemFiles(paths=(path,)) for stem, path in outputs.items()},
                references=found.stems,
                mixture=mixture,
                remarks=(*found.remarks, *remarks),
            )
            scores = follow(console, score_sounds(sounds, self.framing, settings), label)
            kept = _move(outputs, self.folder / song.name) if self.keep_stems else {}
        scores = replace(scores, estimates=kept)
        write_text(self._record(song), json.dumps(to_json(scores), allow_nan=False))
        return scores


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Make a hidden folder in ``folder`` for temporary files; it is locked until it goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder)
    except OSError as exc:
        raise output_error(exc, folder) from exc
    with made as name, FileLock(Path(name) / LOCK):
        yield Path(name)


def _sweep(folder: Path) -> None:
    """Remove the temporary files that killed runs left in ``folder``: no process locks them."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError, Timeout):
            with FileLock(scratch / LOCK, blocking=False):
                pass
            shutil.rmtree(scratch)


def _move(stems: Mapping[str, Path], folder: Path) -> dict[str, StemFiles]:
    """Move the files ``stems`` to ``folder``, and return where they are."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return {
            name: StemFiles(paths=(path.replace(folder / path.name),))
            for name, path in stems.items()
        }
    except OSError as exc:
        raise output_error(exc, folder) from exc


def _again(kept: SongScores, _label: str) -> SongScores:
    return kept


def _identify(song: Path) -> dict[str, list[int]]:
    """Return the size and the time of the last change of each file of ``song``, by name."""
    files = [song] if song.is_file() else [each for each in song.iterdir() if each.is_file()]
    states = {file.name: file.stat() for file in sorted(files) if sounds_by_name(file.name)}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def _mixture(
    song: SongStems, found: FoundStems, mapping: Mapping[str, str]
) -> tuple[StemFiles, tuple[str, ...]]:
    """Return the mixture of ``song``, and a remark where it has to be made of the stems."""
    if found.mixture is not None:
        return found.mixture, ()
    parts = find_stems(song.path, WHOLE, mapping=mapping).stems.values()
    mixture = StemFiles(
        paths=tuple(path for audio in parts for path, _ in audio.parts()),
        streams=tuple(stream for audio in parts for _, stream in audio.parts()),
    )
    return mixture, (f"there is no mixture: the sum of {mixture} is separated",)


def _as_file(mixture: StemFiles, scratch: Path) -> Path:
    """Return a file with ``mixture`` as its first audio stream, made in ``scratch`` if need be."""
    (path, stream), *others = mixture.parts()
    if stream == 0 and not others:
        return path
    aligned = align([mixture])
    summed = scratch / "mixture.wav"
    with StemWriter(
        {"mixture": summed},
        options=EncodingOptions(),
        sample_rate=aligned.sample_rate,
        channels=aligned.channels,
        frames=aligned.frames,
    ) as writer:
        for block in aligned.blocks():
            writer.write({"mixture": block[0]})
        writer.commit()
    return summed
