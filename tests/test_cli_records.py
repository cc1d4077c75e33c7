"""The objects of --json and --progress ndjson: each has the keys and kinds that its page says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from command import TINY, run

from stemsplit.docgen import json_objects as records
from stemsplit.docgen.json_objects import Objects
from stemsplit.evaluation.report.records import SCHEMA

KINDS: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
    "null": (type(None),),
}
DONE, DAW, SCORED, FAILED = "song is done", "--daw", "--report", "song failed"


def keys(objects: Objects, *introductions: str) -> dict[str, str]:
    """Return the keys, with their kinds, below the introductions that have one of these words."""
    found: dict[str, str] = {}
    for words in introductions:
        fields = [fields for text, fields in objects.items() if words in text]
        assert fields, words
        found |= {key: kind for each in fields for key, (kind, _) in each.items()}
    return found


def hold(record: Mapping[str, Any], fields: Mapping[str, str], version: int = 1) -> None:
    """Assert that ``record`` has these keys, with what they are said to hold."""
    assert set(record) == set(fields)
    for key, kind in fields.items():
        allowed = [each for name in kind.replace(" or ", ", ").split(", ") for each in KINDS[name]]
        assert type(record[key]) in allowed, (key, record[key], kind)
    assert record["schema"] == version


def hold_song(record: Mapping[str, Any], *also: str) -> None:
    hold(record, keys(records.SPLIT, "one object per line is written for each input", *also))


def hold_events(text: str) -> list[dict[str, Any]]:
    """Assert that the lines of ``text`` are events as they are described; return them."""
    events: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for event in events:
        name = event["event"]
        own = "For `note`" if name in ("note", "detail", "warning") else f"For `{name}`, also"
        also = [] if "projects" not in event else ["`finished` with `--daw`"]
        if name in ("warning", "error") and "input" in event:
            also.append("about one song")
        hold(event, keys(records.EVENTS, "every line on standard error", own, *also))
    return events


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.wav"
    path.write_bytes(b"RIFF")
    return path


def test_records_and_events_of_a_run(song: Path, bad: Path, tmp_path: Path) -> None:
    ndjson = ("--json", "--progress", "ndjson", "-v", "-n", TINY)
    result = run(*ndjson, "--daw", "reaper", song, bad, "nosuch", cwd=tmp_path)
    assert result.code == 6
    done, failed, missing = result.records
    hold_song(done, DONE, DAW)
    hold_song(failed, FAILED)
    hold_song(missing, FAILED)
    events = hold_events(result.stderr)
    kinds = {event["event"] for event in events}
    assert {"opened", "separated", "finished", "note", "detail", "error"} <= kinds
    named = [event["input"] for event in events if event["event"] == "error"]
    assert named == [str(bad), "nosuch"]


def test_records_and_events_where_nothing_is_split(song: Path, bad: Path, tmp_path: Path) -> None:
    ndjson = ("--json", "--progress", "ndjson", "-n", TINY)
    planned = run(*ndjson, "--dry-run", song, bad, cwd=tmp_path)
    assert planned.records[0]["status"] == "would_split"
    hold_song(planned.records[0])
    hold_song(planned.records[1], FAILED)
    hold_events(planned.stderr)
    assert run("-q", "-n", TINY, song, cwd=tmp_path).code == 0
    again = run(*ndjson, "--resume", song, cwd=tmp_path)
    assert again.records[0]["status"] == "skipped"
    hold_song(again.records[0])
    wrong = run(*ndjson, "--start", "x", song, cwd=tmp_path)
    assert (wrong.code, wrong.stdout) == (2, "")
    (event,) = hold_events(wrong.stderr)
    assert "input" not in event


def test_what_was_not_tried_has_the_exit_code_of_what_ended_the_run(
    song: Path, bad: Path, tmp_path: Path
) -> None:
    result = run("--json", "-q", "-n", TINY, "--fail-fast", bad, song, cwd=tmp_path)
    assert result.code == 3
    assert [record["exit_code"] for record in result.records] == [3, 3]
    assert result.records[1]["error"] == f"{song}: skipped because {bad} failed"


def test_records_of_scores(song: Path, tmp_path: Path) -> None:
    result = run("--json", "-q", "-n", TINY, "--report", "page.html", song, cwd=tmp_path)
    hold_song(result.records[0], DONE, SCORED)
    evaluated = keys(records.EVALUATE, "one object per line is written for each song")
    _, said = next(iter(records.EVALUATE.values()))["schema"]
    assert said.startswith(f"The version of this format: {SCHEMA};")
    hold(result.records[0]["scores"], evaluated, SCHEMA)
    stems = tmp_path / "separated"
    one = run("evaluate", "--json", "-q", stems / song.stem, stems / song.stem, cwd=tmp_path)
    hold(one.records[0], evaluated, SCHEMA)
    shutil.copytree(stems / song.stem, tmp_path / "twice/1")
    shutil.copytree(stems / song.stem, tmp_path / "twice/2")
    shutil.copytree(stems / song.stem, tmp_path / "twice/3")
    (tmp_path / "twice/3/bass.wav").write_bytes(b"RIFF")
    several = run("evaluate", "--json", "-q", "twice", "twice", cwd=tmp_path)
    assert several.code == 6
    good, _, failed, last = several.records
    common = {"schema": "integer", "song": "string"}
    hold(good, evaluated, SCHEMA)
    hold(failed, common | keys(records.EVALUATE, "song that failed"))
    hold(last, {"schema": "integer"} | keys(records.EVALUATE, "If several songs were scored"))
    twice = ("twice/1", "twice/2", "--references", "twice/1")
    *sets, compared = run("evaluate", "--json", "-q", *twice, cwd=tmp_path).records
    for record in sets:
        hold(record, evaluated | keys(records.EVALUATE, "each song has one such object"), SCHEMA)
    own = keys(records.EVALUATE, "With several sets of stems, a last object")
    hold(compared, {"schema": "integer"} | own)


def test_records_of_the_other_commands(tmp_path: Path) -> None:
    models = run("models", "list", "--json", cwd=tmp_path).records
    assert len(models) > 50
    for record in models:
        hold(record, keys(records.MODELS, "list"))
    hold(
        run("models", "show", "--json", "htdemucs", cwd=tmp_path).records[0],
        keys(records.MODELS, "show"),
    )
    split, scores = run("demo", "--json", "-q", "-n", TINY, "--seconds", "2", cwd=tmp_path).records
    hold_song(split, DONE)
    hold(scores, keys(records.DEMO, "--json"))
    hold(run("doctor", "--json", cwd=tmp_path).records[0], keys(records.DOCTOR, "--json"))


def test_records_of_data_sets(tmp_path: Path) -> None:
    done = run(
        "data",
        "render",
        "--synthetic",
        "--songs",
        "1",
        "--seconds",
        "4",
        "--json",
        "-q",
        "set",
        cwd=tmp_path,
    )
    rendered = keys(records.DATA, "`render` writes")
    hold(done.records[0], rendered)
    labels = json.loads((tmp_path / done.records[0]["song"] / "labels.json").read_text())
    shown = {key: kind for key, kind in rendered.items() if key not in ("song", "status")}
    hold(labels, shown | keys(records.DATA, "labels.json"))
    shutil.copytree(tmp_path / done.records[0]["song"], tmp_path / "set/damaged")
    for file in (tmp_path / "set/damaged").glob("*.wav"):
        file.write_bytes(b"RIFF")
    checked = run("data", "check", "--json", "-q", "set", cwd=tmp_path)
    assert checked.code == 6
    failed, song, last = sorted(
        checked.records, key=lambda each: ("failed" in each, "error" not in each)
    )
    hold(song, keys(records.DATA, "`check` writes"))
    common = {"schema": "integer"}
    hold(failed, common | {"song": "string"} | keys(records.DATA, "cannot be read"))
    whole = keys(records.DATA, "The last object of `check`")
    hold(last, common | whole | keys(records.DATA, "For `check`, also"))
    [measured] = run("data", "stats", "--json", "-q", "set", cwd=tmp_path).records
    hold(measured, common | whole | keys(records.DATA, "For `stats`, also"))


def test_the_objects_of_every_command_match_their_description() -> None:
    here = Path(__file__).read_text()
    for name, value in vars(records).items():
        if name.isupper() and isinstance(value, Mapping):
            assert f"records.{name}" in here, f"hold what prints {name} to it in this file"
