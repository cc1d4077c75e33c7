"""The model card of a run, in Markdown: what the network is, what it was made from, its scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stemsplit.audio.atomic import write_text
from stemsplit.errors import printable
from stemsplit.training.curves import score_rows
from stemsplit.training.run_folder import RunFolder, to_toml


def write_card(folder: RunFolder, facts: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
    """Write the card of the run in ``folder``; ``progress`` is that of its state.

    Raises ``OutputError``, or ``ResourceError`` for a full disk.
    """
    name = printable(folder.root.resolve().name)
    write_text(folder.card, "\n".join(_lines(name, facts, progress)) + "\n")


def _lines(name: str, facts: Mapping[str, Any], progress: Mapping[str, Any]) -> Iterator[str]:
    recipe = facts["recipe"]
    network, best = recipe["network"], progress["best"]
    yield f"# {name}"
    yield ""
    sources = ", ".join(network["sources"])
    yield f"A network (`{recipe['architecture']}`) that separates songs into {sources}."
    yield "Use it with stemsplit: `stemsplit -n best.safetensors song.mp3`."
    yield from ("", "## Scores", "")
    yield from _scores(best, progress)
    yield from ("", "## Data", "")
    yield f"- Folders: {printable(', '.join(facts['data']))}"
    yield f"- {len(facts['train'])} songs to train on, {len(facts['validate'])} to validate on"
    if left_out := facts.get("left_out"):
        yield f"- Left out, because they cannot be read: {left_out}"
    yield f"- SHA-256 of names, sources and contents: `{facts['digest']}`"
    if recipe["data"]["background"]:
        yield f"- In the mixtures only: {', '.join(recipe['data']['background'])}"
    yield from ("", "## Licence", "")
    if facts["licence"]:
        yield f"Made from other weights. {printable(facts['licence'])}."
        yield "The result is bound to that licence, and to the licences of the songs."
    else:
        yield "Trained from new weights. The licences of the songs may bind the result."
    yield from ("", "## Training", "")
    yield f"- steps: {progress['step']}, with {recipe['batch']} excerpts each"
    if facts["start"]:
        yield f"- Continues {printable(facts['start'])}"
    if recipe["fine_tuning"]["freeze"]:
        yield f"- Not trained: {', '.join(recipe['fine_tuning']['freeze'])}"
    versions = (f"{program} {version}" for program, version in facts["versions"].items())
    yield from (f"- Made with {', '.join(versions)}", "", "```toml", to_toml(recipe).strip(), "```")


def _scores(best: Mapping[str, Any] | None, progress: Mapping[str, Any]) -> Iterator[str]:
    if best is None:
        yield "Not validated yet."
        return
    yield f"Global SDR in dB after {best['step']} steps ({best['weights']} weights), mean over the"
    yield "songs for validation, beside that of the unprocessed mixture."
    yield from ("", "| source | SDR | mixture | gain |", "|---|---:|---:|---:|")
    for row in score_rows(best, progress["unprocessed"] or {}):
        yield f"| {row['name']} | {row['best']} | {row['mixture']} | {row['gain']} |"
