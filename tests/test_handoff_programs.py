"""Programs: their names, the formats of stems for them, and projects on a full disk."""

from pathlib import Path
from typing import get_args

import pytest
from handoff import session_in

from stemsplit.audio.format_table import FORMATS
from stemsplit.errors import ResourceError, UsageError
from stemsplit.handoff import reaper
from stemsplit.handoff.programs import (
    PROGRAMS,
    check_daws,
    fitting_daws,
    require_known,
    write_project,
)
from stemsplit.types import Daw

HERE = "stemsplit/handoff/programs.py"


def test_every_daw_has_a_program_and_every_program_a_daw():
    for daw in get_args(Daw):
        assert daw in PROGRAMS, f"{daw!r} is in types.Daw only: add it to PROGRAMS in {HERE}"
    for daw in PROGRAMS:
        assert daw in get_args(Daw), f"{HERE} has {daw!r}: add it to Daw in stemsplit/types.py"


def test_the_projects_of_the_rows_are_those_of_the_programs():
    for name, row in FORMATS.items():
        for daw, known_as in row.projects.items():
            assert daw in PROGRAMS, f"the row {name!r} has projects for {daw!r}, not in {HERE}"
            assert known_as, f"the row {name!r} lacks what a project of {daw} calls it"
    for daw in PROGRAMS:
        users = [name for name, row in FORMATS.items() if daw in row.projects]
        assert users, f"no row has {daw!r} in its projects: add it to one in format_table.py"


def test_reaper_reads_songs_as_it_reads_stems_of_their_format():
    for name, row in FORMATS.items():
        if source := row.projects.get("reaper"):
            ending = f".{row.extension}"
            assert reaper.SOURCES[ending][0] == source, f"the row {name!r} and SOURCES[{ending!r}]"


def test_programs_and_their_formats():
    with pytest.raises(UsageError, match="unknown DAW 'reper'") as caught:
        require_known(["reper"])
    assert caught.value.hint == "did you mean reaper?"
    for name, hint in {
        "Cubase": "--daw dawproject writes a project that it opens",
        "rpp": "--daw reaper writes a project that it opens",
        "live": "choose reaper or dawproject; in any other DAW, drag all stems to the start of a "
        "project",
    }.items():
        with pytest.raises(UsageError) as caught:
            require_known([name])
        assert caught.value.hint == hint
    check_daws(tuple(PROGRAMS), "flac")
    check_daws((), "m4a")
    with pytest.raises(UsageError, match="dawproject projects cannot use mp3 stems") as caught:
        check_daws(("reaper", "dawproject"), "mp3")
    assert caught.value.hint == "--format wav, aiff or flac"
    with pytest.raises(UsageError, match="reaper projects cannot use m4a stems") as caught:
        check_daws(("reaper",), "m4a")
    assert caught.value.hint == "--format wav, aiff, flac, mp3, opus or ogg"
    assert fitting_daws(("reaper", "dawproject"), "mp3") == ("reaper",)
    assert fitting_daws(("reaper", "dawproject"), "m4a") == ()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("daw", PROGRAMS)
def test_a_full_disk_is_reported_with_the_path(tmp_path, daw):
    session, target = session_in(tmp_path / "s", frames=44100), tmp_path / "x"
    with pytest.raises(ResourceError, match="the disk is full") as caught:
        write_project(daw, session, target, Path("/dev/full"))
    assert caught.value.path == str(target)
