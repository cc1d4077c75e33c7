"""What happens to stems that exist: one rule for one song and for many, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from command import TINY, Result, files_below, run
from test_batch_night import make_library, tree

from stemsplit import Separator, split_files
from stemsplit.outputs import manifest, manifest_writer
from stemsplit.types import Event, Progressed

STEMS = ["bass", "drums", "other", "vocals"]


@pytest.fixture(autouse=True)
def _tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMSPLIT_MODEL", TINY)


@pytest.fixture(params=[1, 2], ids=["one song", "two songs"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the split song ``0``, and perhaps another one, and their stems."""
    folder = make_library(tmp_path / "library", request.param)
    assert run(*songs(folder), cwd=tmp_path).code == 0
    return folder


def songs(library: Path) -> list[str]:
    return sorted(str(path.relative_to(library.parent)) for path in library.rglob("*.wav"))


def again(library: Path, *options: str) -> Result:
    return run(*songs(library), *options, "--json", cwd=library.parent)


def first(result: Result) -> tuple[str, str]:
    """Return what became of the first song, and why."""
    return result.records[0]["status"], result.records[0]["reason"]


def change(path: Path) -> None:
    """Change the last sample, as an editor does that saves in place."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def change_song(path: Path) -> None:
    soundfile.write(path, -soundfile.read(path)[0], 44_100)


def test_up_to_date_stems_are_skipped(library: Path) -> None:
    before = tree(library.parent / "separated")
    for options in ((), ("--resume",), ("--update",)):
        result = again(library, *options)
        assert (result.code, first(result)) == (0, ("skipped", "up_to_date"))
        assert "library/0.wav: skipped, its stems are up to date" in result.stderr
    assert tree(library.parent / "separated") == before


@pytest.mark.parametrize("dry", [True, False])
def test_a_song_that_changed_is_done_again(library: Path, dry: bool) -> None:
    before = tree(library.parent / "separated")
    change_song(library / "0.wav")
    result = again(library, *(["--dry-run"] if dry else []))
    assert (result.code, first(result)) == (0, ("would_split" if dry else "done", "song_changed"))
    said = "would be split: the song changed" if dry else "replaced: the song changed"
    assert f"library/0.wav: {said}" in result.stderr.splitlines()
    after = tree(library.parent / "separated")
    assert (after == before) is dry
    assert [name for name in after if after[name] != before[name]] == [
        name for name in before if name.startswith("0/") and not dry
    ]


@pytest.mark.parametrize(
    ("options", "how"),
    [
        (("-n", "tiny.demucs_v3"), "made with tiny.htdemucs, whole song"),
        (("--depth", "16"), "made with tiny.htdemucs, whole song, depth 32f"),
        (("--shifts", "2"), "made with tiny.htdemucs, whole song, shifts 1"),
        (
            ("--preview", "0.1", "--filename", "{track}/{stem}.{ext}"),
            "made with tiny.htdemucs, whole song",
        ),
    ],
)
def test_stems_made_with_other_settings_are_kept(
    library: Path, options: tuple[str, ...], how: str
) -> None:
    before = tree(library.parent / "separated")
    result = again(library, *options)
    assert (result.code, first(result)) == (3, ("failed", "made_otherwise"))
    reason = f"library/0.wav: its stems in separated/0 were {how}"
    assert f"error: {reason}\nhint: use --" in result.stderr
    for way in ("--update", "--force", "--out", "--filename '{model}/{track}/{stem}.{ext}'"):
        assert way in result.stderr
    assert tree(library.parent / "separated") == before
    dry = again(library, *options, "--dry-run")
    assert (dry.code, first(dry)) == (3, ("failed", "made_otherwise"))
    for way in ("--update", "--force"):
        assert again(library, *options, way, "--dry-run").records[0]["status"] == "would_split"
    assert again(library, *options, "--update").code == 0
    assert first(again(library, *options)) == ("skipped", "up_to_date")
    assert tree(library.parent / "separated") != before


def test_with_several_songs_the_exit_code_is_6(tmp_path: Path) -> None:
    library = make_library(tmp_path / "library", 2)
    assert run("library/0.wav", "--depth", "16", cwd=tmp_path).code == 0
    result = again(library)
    assert result.code == 6
    assert [record["status"] for record in result.records] == ["failed", "done"]


@pytest.mark.parametrize("keeps_time", [True, False])
def test_an_edited_stem_is_kept(library: Path, keeps_time: bool) -> None:
    vocals = library.parent / "separated/0/vocals.wav"
    change(vocals)
    before = vocals.read_bytes()
    result = again(library)
    assert (result.code, first(result)) == (0, ("skipped", "edited"))
    assert (
        "warning: separated/0/vocals.wav: already exists and was changed after it was written; "
        "keeping it"
    ) in result.stderr
    if keeps_time:  # as tag editors do
        known = library.parent / "separated/0" / manifest.NAME
        shutil.copystat(known, vocals)
    for prepare in (lambda: change_song(library / "0.wav"), lambda: None):
        prepare()
        for options in ((), ("--update",), ("--update", "--depth", "16")):
            result = again(library, *options)
            others = {record["status"] for record in result.records[1:]}
            assert first(result) == ("failed", "edited")
            assert result.code == (6 if others & {"done", "skipped"} else 3)
            assert "hint: --force replaces it, --skip-existing keeps it" in result.stderr
    assert vocals.read_bytes() == before
    assert again(library, "--force").code == 0
    assert vocals.read_bytes() != before
    assert first(again(library)) == ("skipped", "up_to_date")


def test_with_an_edited_stem_a_missing_one_is_not_made_unless_asked(library: Path) -> None:
    folder = library.parent / "separated/0"
    change(folder / "vocals.wav")
    (folder / "bass.wav").unlink()
    before = tree(folder)
    assert first(again(library)) == ("failed", "edited")
    assert tree(folder) == before
    result = again(library, "--skip-existing")
    assert [stem["name"] for stem in result.records[0]["stems"]] == ["bass"]
    assert first(result) == ("done", "missing")
    assert (folder / "vocals.wav").read_bytes() == before["vocals.wav"]


def test_a_foreign_file_is_kept(library: Path) -> None:
    folder = library.parent / "separated/0"
    (folder / "vocals.flac").write_bytes(b"precious")
    result = again(library, "--format", "flac")
    assert first(result) == ("failed", "foreign")
    assert "separated/0/vocals.flac: already exists and is not a stem of this song" in (
        result.stderr
    )
    assert again(library, "--format", "flac", "--stems", "bass,drums,other").code == 0
    result = again(library, "--format", "flac")  # nothing else is due
    assert (result.code, first(result)) == (0, ("skipped", "edited"))
    assert (folder / "vocals.flac").read_bytes() == b"precious"


@pytest.mark.parametrize("damage", [None, "", '{"schema": 99}', "[]"])
def test_with_a_damaged_manifest_all_files_are_foreign(library: Path, damage: str | None) -> None:
    known = library.parent / "separated/0" / manifest.NAME
    if damage is None:
        known.unlink()
    else:
        known.write_text(damage)
    before = tree(library.parent / "separated")
    result = again(library)
    assert first(result) == ("failed", "foreign")
    assert ("damaged manifest" in result.stderr) == (damage is not None)
    assert tree(library.parent / "separated") == before


def test_another_song_of_the_same_name_is_not_the_song_that_changed(tmp_path: Path) -> None:
    for album in ("a", "b"):
        (tmp_path / album).mkdir()
        sound = np.full((22_050, 2), 0.1 if album == "a" else 0.2)
        soundfile.write(tmp_path / album / "1.wav", sound, 44_100)
    assert run("a/1.wav", cwd=tmp_path).code == 0
    before = tree(tmp_path / "separated")
    for options in ((), ("--update",)):
        result = run("b/1.wav", *options, "--json", cwd=tmp_path)
        assert (result.code, first(result)) == (3, ("failed", "other_song"))
        assert "separated/1 contains the stems of another song with this name" in result.stderr
    assert tree(tmp_path / "separated") == before
    assert run("b/1.wav", "--force", cwd=tmp_path).code == 0
    assert run("b/1.wav", "--json", cwd=tmp_path).records[0]["reason"] == "up_to_date"


def test_another_song_from_standard_input_is_another_song(tmp_path: Path) -> None:
    library = make_library(tmp_path / "library", 2)
    first_song, second_song = (path.read_bytes() for path in sorted(library.rglob("*.wav")))
    assert run("-", cwd=tmp_path, stdin=first_song).code == 0
    before = tree(tmp_path / "separated")
    assert first(run("-", "--json", cwd=tmp_path, stdin=first_song)) == ("skipped", "up_to_date")
    result = run("-", "--json", cwd=tmp_path, stdin=second_song)
    assert (result.code, first(result)) == (3, ("failed", "other_song"))
    assert tree(tmp_path / "separated") == before


def test_a_library_that_moves_with_its_stems_stays_up_to_date(library: Path) -> None:
    moved = library.parent / "elsewhere"
    moved.mkdir()
    for name in ("library", "separated"):
        shutil.move(library.parent / name, moved / name)
    result = run(*songs(moved / "library"), "--json", cwd=moved)
    assert first(result) == ("skipped", "up_to_date")
    change_song(moved / "library/0.wav")
    assert first(run(*songs(moved / "library"), "--json", cwd=moved)) == ("done", "song_changed")


def test_stems_of_the_song_before_it_changed_are_still_its_own(library: Path) -> None:
    """One that is not asked for is not redone, but later on it is not foreign either."""
    change_song(library / "0.wav")
    assert first(again(library, "--stems", "vocals")) == ("done", "song_changed")
    result = again(library)
    assert first(result) == ("done", "song_changed")
    assert [stem["name"] for stem in result.records[0]["stems"]] == ["drums", "bass", "other"]
    assert first(again(library)) == ("skipped", "up_to_date")


@pytest.mark.parametrize("way", ["update", "song_changed"])
@pytest.mark.parametrize("moved", range(5))
def test_a_killed_redo_finds_its_own_files_again(
    library: Path, monkeypatch: pytest.MonkeyPatch, moved: int, way: str
) -> None:
    """It ends after some stems have moved, and the manifest still says so."""
    options = ("--depth", "16", "--update") if way == "update" else ()
    folder = library.parent / "separated/0"
    old = tree(folder)
    if way == "song_changed":
        change_song(library / "0.wav")
    assert again(library, *options).code == 0
    new = tree(folder)
    unfinished = json.loads(str(new[manifest.NAME], "utf-8"))  # type: ignore[arg-type]
    before = json.loads(str(old[manifest.NAME], "utf-8"))  # type: ignore[arg-type]
    unfinished["complete"] = False
    unfinished["earlier"] = {
        name: {"song": before["input"]["sha256"], **file}
        for name, file in before["outputs"].items()
    }
    for stem in STEMS[moved:]:
        (folder / f"{stem}.wav").write_bytes(old[f"{stem}.wav"] or b"")
    (folder / manifest.NAME).write_text(json.dumps(unfinished))
    result = again(library, *(option for option in options if option != "--update"))
    assert result.code == 0
    assert first(result) == (
        ("done", "interrupted") if moved < len(STEMS) else ("skipped", "up_to_date")
    )
    assert [stem["name"] for stem in result.records[0]["stems"] if moved < len(STEMS)] == [
        stem for stem in ("drums", "bass", "other", "vocals") if stem in STEMS[moved:]
    ]
    assert tree(folder) == new


def test_the_hashes_that_are_replaced_stay_until_the_move_is_done(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[manifest.Manifest] = []
    really = manifest.write

    def write(path: Path, content: manifest.Manifest, token: str) -> None:
        if path.parent.name == "0":
            written.append(content)
        really(path, content, token)

    monkeypatch.setattr(manifest_writer, "write", write)
    old = json.loads((library.parent / "separated/0" / manifest.NAME).read_text())["outputs"]
    assert again(library, "--depth", "16", "--update").code == 0
    unfinished, finished = written
    assert unfinished.earlier is not None
    assert {name: each.file.sha256 for name, each in unfinished.earlier.items()} == {
        name: file["sha256"] for name, file in old.items()
    }
    assert (finished.earlier, finished.complete) == ({}, True)
    assert "earlier" not in json.loads((library.parent / "separated/0" / manifest.NAME).read_text())


@pytest.mark.parametrize("lost", ["vocals", None])
def test_linked_stems_are_redone_together_or_not_at_all(tmp_path: Path, lost: str | None) -> None:
    loud = np.random.default_rng(1).normal(0, 2, (22_050, 2)).clip(-1, 1)
    soundfile.write(tmp_path / "0.wav", loud, 44_100)
    linked = ("0.wav", "--clip", "linked", "--json")
    assert run(*linked, cwd=tmp_path).code == 0
    folder = tmp_path / "separated/0"
    (folder / "bass.wav").unlink()
    if lost is not None:
        change(folder / f"{lost}.wav")
    before = tree(folder)
    for way in ((), ("--skip-existing",)):
        result = run(*linked, *way, "--dry-run", cwd=tmp_path)
        stems = sorted(stem["name"] for stem in result.records[0]["stems"])
        assert (result.code, stems) == ((0, STEMS) if lost is None else (3, []))
    assert tree(folder) == before


def test_a_saved_project_is_kept_and_blocks_nothing(library: Path) -> None:
    assert again(library, "--daw", "reaper").code == 0
    project = library.parent / "separated/0/0.rpp"
    project.write_text("a night's work")
    result = again(library, "--daw", "reaper")
    assert (result.code, first(result)) == (0, ("skipped", "up_to_date"))
    change_song(library / "0.wav")
    result = again(library, "--daw", "reaper")
    assert (result.code, first(result)) == (0, ("done", "song_changed"))
    assert "warning: separated/0/0.rpp: already exists; keeping it" in result.stderr
    assert project.read_text() == "a night's work"
    assert again(library, "--daw", "reaper", "--depth", "24", "--update").code == 0
    assert project.read_text() == "a night's work"


def test_one_missing_stem_leaves_the_others_alone(library: Path) -> None:
    folder = library.parent / "separated/0"
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.wav")}
    (folder / "bass.wav").unlink()
    result = again(library)
    assert first(result) == ("done", "missing")
    assert [stem["name"] for stem in result.records[0]["stems"]] == ["bass"]
    after = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.wav")}
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == ["bass.wav"]


@pytest.mark.parametrize("stem", ["vocals", "bass"])
@pytest.mark.parametrize("existed", [True, False])
def test_files_that_appear_or_change_meanwhile_are_not_replaced(
    tmp_path: Path, stem: str, existed: bool
) -> None:
    library = make_library(tmp_path / "library", 1)
    target = tmp_path / "out/0" / f"{stem}.wav"
    options: dict[str, Any] = {"model": TINY, "out": tmp_path / "out"}
    if existed:
        list(split_files(library, **options))
        change_song(library / "0.wav")

    def somebody_saves(event: Event) -> None:
        if isinstance(event, Progressed) and event.done:
            target.write_bytes(b"precious")

    (result,) = split_files(library, on_event=somebody_saves, **options)
    assert result.status == "failed"
    assert target.read_bytes() == b"precious"
    assert [name for name in files_below(tmp_path / "out") if ".stemsplit-" in name] == []


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        (("--start", "0.1", "--end", "0.2"), "0 [0m00.1s-0m00.2s]"),
        (("--start", "0.1", "--duration", "0.1"), "0 [0m00.1s-0m00.2s]"),
        (("--start", "0.1"), "0 [0m00.1s-end]"),
        (("--end", "0.2"), "0 [0m00s-0m00.2s]"),
        (("--preview", "0.2"), "0 [preview 0.2s]"),
        (("--preview", "0.2", "--filename", "{stem}/{track}.{ext}"), None),
    ],
)
def test_the_folder_of_an_excerpt_is_named_after_its_times(
    library: Path, options: tuple[str, ...], folder: str | None
) -> None:
    before = tree(library.parent / "separated")
    result = again(library, *options)
    assert first(result) == ("done", "new")
    for stem in result.records[0]["stems"]:
        name = stem["name"]
        expected = f"{name}/0.wav" if folder is None else f"{folder}/{name}.wav"
        assert stem["path"] == f"separated/{expected}"
    after = tree(library.parent / "separated")
    assert {name: after[name] for name in before} == before


def test_an_excerpt_is_the_same_however_it_is_given(library: Path) -> None:
    assert first(again(library, "--start", "0.1", "--duration", "0.2")) == ("done", "new")
    for options in (("--end", "0.3"), ("--end", "0:00.30"), ("--duration", "0.2")):
        result = again(library, "--start", "0.1", *options)
        assert (result.code, first(result)) == (0, ("skipped", "up_to_date"))
    assert first(again(library, "--start", "0")) == ("skipped", "up_to_date")
    result = again(library, "--start", "0.1", "--end", "0.30001")  # of the same name
    assert (result.code, first(result)) == (3, ("failed", "made_otherwise"))


def test_an_excerpt_in_one_file_of_stems_has_a_name_too(library: Path) -> None:
    result = again(library, "--preview", "0.2", "--format", "stem.mp4")
    assert result.records[0]["stems"][0]["path"] == "separated/0 [preview 0.2s].stem.mp4"


def test_the_same_rule_from_python(library: Path, tmp_path: Path) -> None:
    separator = Separator(TINY, shifts=2)
    song, out = library / "0.wav", tmp_path / "separated"
    (result,) = split_files(song, out=out, model=TINY, shifts=2)
    assert (result.status, result.reason) == ("failed", "made_otherwise")
    (result,) = split_files(song, out=out, model=TINY, shifts=2, existing="update")
    assert (result.status, result.reason) == ("done", "made_otherwise")
    before = tree(out)
    assert separator.separate_file(song, out) == result.stems
    assert tree(out) == before


def test_runs_on_several_devices_also_give_reasons(tmp_path: Path) -> None:
    library = make_library(tmp_path / "library", 2)
    assert again(library).code == 0
    result = again(library, "--depth", "16", "--device", "cpu,cpu")
    assert {record["reason"] for record in result.records} == {"made_otherwise"}
    assert result.code == 3


def test_files_of_0_1_0_that_an_interrupted_run_was_replacing(library: Path) -> None:
    """Its manifests do not have the old hashes: what is older than the manifest was replaced."""
    folder = library.parent / "separated/0"
    content = json.loads((folder / manifest.NAME).read_text())
    del content["place"]
    content["complete"] = False
    content["outputs"]["bass.wav"]["sha256"] = "0" * 64  # of a stem that has not moved yet
    (folder / manifest.NAME).write_text(json.dumps(content))
    result = again(library)
    assert first(result) == ("done", "interrupted")
    assert [stem["name"] for stem in result.records[0]["stems"]] == ["bass"]
    (folder / manifest.NAME).write_text(json.dumps(content))
    change(folder / "bass.wav")  # after the run that was stopped
    assert first(again(library)) == ("skipped", "edited")
