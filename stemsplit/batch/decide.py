"""What to do with a song whose outputs exist already: one rule for one song and for many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stemsplit.audio.writable import WAYS_OUT, refuse_existing
from stemsplit.batch.plan import SongPlan
from stemsplit.batch.results import InTheWay
from stemsplit.outputs.existing import ExistingFile, State
from stemsplit.outputs.provenance import Provenance
from stemsplit.types import Existing, Reason

#: What is written without a question.
_DUE: tuple[State, ...] = ("missing", "interrupted", "song_changed")
#: What is replaced only if asked: first what says most about the song.
_IN_THE_WAY: tuple[State, ...] = ("other_song", "made_otherwise", "edited", "foreign")
#: What to do about stems that were made otherwise.
_WAYS_ON = (
    "--update redoes them, --force too; --out, or --filename '{model}/{track}/{stem}.{ext}', "
    "keeps both"
)
_WAYS_ON_WITH_ANOTHER_MODEL = (
    "--filename '{model}/{track}/{stem}.{ext}' keeps the stems of both models, --out too; --update "
    "replaces those of the other one, --force too"
)
_WHY: dict[State, str] = {
    "edited": "already exists, and was changed since it was written",
    "foreign": "already exists, and is not a stem of this song",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which outputs are ``due``, by name, and why; ``warnings`` are of files that are kept."""

    due: Mapping[str, Path]
    reason: Reason
    warnings: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Examined:
    """The state of each output of a song, by name, and how it is ``wanted``, where that counts."""

    existing: Mapping[str, ExistingFile]
    wanted: Mapping[str, Provenance]

    def states(self, names: Iterable[str]) -> dict[str, State]:
        """Return the states of the outputs ``names``."""
        return {name: self.existing[name].state for name in names}


def decide(
    song: Path,
    plan: SongPlan,
    policy: Existing,
    examine: Callable[[], Examined],
    *,
    linked: bool = False,
) -> Decision:
    """Decide what to do with ``song`` by its existing outputs, which ``examine`` tells.

    ``linked`` stems have one gain: if one is due, all are. Raises `InTheWay` where the song cannot
    be made up to date without the loss of something else, and ``OutputError`` where nothing can be
    written.
    """
    match policy:
        case "force":
            exists = any(map(os.path.lexists, plan.outputs.values()))
            decision = Decision(due=plan.outputs, reason="forced" if exists else "new")
        case "skip":
            decision = _keep_existing(song, plan, examine, linked=linked)
        case _:
            update = policy == "update"
            decision = _by_manifest(song, plan, examine(), update=update, linked=linked)
    for path in decision.due.values():
        refuse_existing(path, force=True)
    return decision


def _keep_existing(
    song: Path, plan: SongPlan, examine: Callable[[], Examined], *, linked: bool
) -> Decision:
    """Decide for --skip-existing: what exists stays, whatever it is."""
    due = [name for name, path in plan.outputs.items() if not os.path.lexists(path)]
    reason = _fresh(due, plan) if due else "exists"
    missing = plan.stems.keys() & due
    if linked and missing and len(missing) < len(plan.stems):
        examined = examine()
        states = examined.states(plan.stems)
        if lost := [n for n in states if states[n] in ("other_song", "edited", "foreign")]:
            raise _in_the_way(song, plan, examined, lost)
        due += plan.stems
    return Decision(due=plan.only(due).outputs, reason=reason)


def _by_manifest(
    song: Path, plan: SongPlan, examined: Examined, *, update: bool, linked: bool
) -> Decision:
    """Decide for the default and, with ``update``, for --update."""
    states = examined.states(plan.stems)
    ready: tuple[State, ...] = (*_DUE, "made_otherwise") if update else _DUE
    due = [name for name, state in states.items() if state in ready]
    blocked = [n for n, state in states.items() if state in _IN_THE_WAY and n not in due]
    ours = any(state in ("current", "edited") for state in states.values())
    kept_only = all(states[name] in ("edited", "foreign") for name in blocked)
    if blocked and (due or not ours or not kept_only):
        raise _in_the_way(song, plan, examined, blocked)
    if linked and due:
        due = list(plan.stems)
    projects, kept_projects = _projects(plan, examined, stems_are_due=bool(due))
    due += projects
    kept = [f"{plan.stems[name]}: {_WHY[states[name]]}; it is kept" for name in blocked]
    return Decision(
        due=plan.only(due).outputs,
        reason=_reason(examined, plan, due, blocked),
        warnings=[*kept, *kept_projects],
    )


def _projects(
    plan: SongPlan, examined: Examined, *, stems_are_due: bool
) -> tuple[list[str], list[str]]:
    """Return the projects to write, and warnings of those that are kept.

    What a DAW has saved is the user's work: it stays, and stops nothing.
    """
    states = examined.states(plan.projects)
    due: list[str] = [n for n, state in states.items() if state in (*_DUE, "made_otherwise")]
    told: tuple[State, ...] = ("foreign", "other_song", *(("edited",) if stems_are_due else ()))
    kept = [path for name, path in plan.projects.items() if states[name] in told]
    return due, [f"{path}: already exists; it is kept" for path in kept]


def _reason(
    examined: Examined, plan: SongPlan, due: Sequence[str], blocked: Sequence[str]
) -> Reason:
    states = examined.states(due).values()
    reasons: tuple[Reason, ...] = ("song_changed", "made_otherwise", "interrupted")
    for reason in reasons:
        if reason in states:
            return reason
    if due:
        return _fresh(due, plan)
    return "edited" if blocked else "up_to_date"


def _fresh(due: Sequence[str], plan: SongPlan) -> Reason:
    """Return why outputs are written that did not exist: all stems of the song, or some."""
    return "new" if plan.stems.keys() <= set(due) else "missing"


def _in_the_way(song: Path, plan: SongPlan, examined: Examined, blocked: Sequence[str]) -> InTheWay:
    """Return the error that says what stands there, and the ways on."""
    existing, wanted = examined.existing, examined.wanted
    states = {name: existing[name].state for name in blocked}
    state = next(each for each in _IN_THE_WAY if each in states.values())
    name = next(name for name in blocked if states[name] == state)
    path, made = plan.stems[name], existing[name].made
    if state == "made_otherwise" and made is not None:
        found = f"its stems in {path.parent} were {wanted[name].describe(made)}"
        other_model = made.model != wanted[name].model
        hint = _WAYS_ON_WITH_ANOTHER_MODEL if other_model else _WAYS_ON
        return InTheWay(found, path=song, hint=hint, why=state)
    if state == "other_song":
        found = f"{path.parent} holds the stems of another song of this name"
        hint = "--force replaces them; --out keeps both"
        return InTheWay(found, path=song, hint=hint, why="other_song")
    edited = state == "edited"
    return InTheWay(_WHY[state], path=path, hint=WAYS_OUT, why="edited" if edited else "foreign")
