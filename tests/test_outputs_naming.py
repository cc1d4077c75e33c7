"""Names of outputs: templates, hostile names, collisions."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stemsplit.errors import UsageError
from stemsplit.options import DEFAULT_TEMPLATE
from stemsplit.outputs.naming import (
    OutputNames,
    Places,
    check_collisions,
    check_extension,
    check_template,
    safe_name,
)
from stemsplit.types import Format

STEMS = ("drums", "bass", "other", "vocals")


def paths(track: str, template: str = DEFAULT_TEMPLATE) -> dict[str, Path]:
    names = OutputNames(
        track=Path(track), folder=Path("out"), template=template, extension="wav", model="htdemucs"
    )
    return names.of_stems(STEMS)


def test_the_default_template() -> None:
    assert paths("music/My Song.mp3")["vocals"] == Path("out/My Song/vocals.wav")


def test_every_variable() -> None:
    made = paths("a/b.mp3", "{model}/{trackext}/{track}_{stem}.{ext}")
    assert made["bass"] == Path("out/htdemucs/mp3/b_bass.wav")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("..", "_"),
        ("", "_"),
        ("...", "_"),
        ("a/b", "a_b"),
        ("line\nbreak", "line_break"),
        ('what? "now": <this>|*\\', "what_ _now__ _this____"),
        ("con", "_con"),
        ("COM1.live", "_COM1.live"),
        ("-rf", "-rf"),
        ("trailing. . ", "trailing"),
        ("Ünïcödé 🎵", "Ünïcödé 🎵"),
        ("👩‍🎤 ☕️", "👩‍🎤 ☕️"),
        ("bytes\udcff", "bytes_"),
    ],
)
def test_hostile_names_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(st.characters(codec=None), max_size=400))
@example("\udcff" * 300)
@example("é" * 300)
def test_any_name_becomes_one_harmless_component(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe.encode()) <= 181
    assert safe not in (".", "..")
    assert not set(safe) & set("/\\\n\r\0:")
    assert safe_name(safe) == safe


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{track}/{stme}.wav", r"no variable \{stme\}"),
        ("{track}.wav", "all stems would go to one file"),
        ("{track}/{stem", "expected '}'"),
        ("{}/{stem}.wav", r"no variable \{\}"),
        ("{track.parent}/{stem}.wav", "no variable"),
        ("../{stem}.wav", "leaves the output folder"),
        ("/tmp/{stem}.wav", "leaves the output folder"),
        ("{track}{stem}/", "names a folder"),
        ("{stem:d}.wav", "variables are plain names in braces"),
        ("{stem!r}.wav", "variables are plain names in braces"),
        ("{stem:.1}.wav", "variables are plain names in braces"),
        ("{stem:{track}}.wav", "variables are plain names in braces"),
        ("x\n{stem}", "control characters"),
        ("a\\..\\{stem}", "backslashes"),
    ],
)
def test_bad_templates_are_refused(template: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_template(template, STEMS)


def test_one_stem_needs_no_stem_variable() -> None:
    check_template("{track}.wav", ["vocals"])


@pytest.mark.parametrize(
    ("template", "format", "fits"),
    [
        ("{track} ({stem}).{ext}", "mp3", True),
        ("{stem}.FLAC", "flac", True),
        ("vocals.aif", "aiff", True),
        ("{stem}.m4a", "alac", True),
        ("{track}.stem.mp4", "stem.mp4", True),
        ("{track} ({stem})", "wav", False),
        ("{track}.{stem}", "wav", False),
        ("{stem}.{trackext}", "wav", False),
        ("{stem}{ext}", "wav", False),
    ],
)
def test_whether_a_template_has_the_extension(template: str, format: Format, fits: bool) -> None:
    assert check_extension(template, format) is fits


@pytest.mark.parametrize(
    ("template", "format", "named"),
    [
        ("{track} {stem}.mp3", "wav", "mp3"),
        ("{stem}.wav", "flac", "wav"),
        ("v.aif", "wav", "aiff"),
        ("{track}.stem.mp4", "m4a", "stem.mp4"),
    ],
)
def test_the_extension_of_another_format(template: str, format: Format, named: str) -> None:
    with pytest.raises(UsageError, match=rf"names \.{named} files, but the format is {format}"):
        check_extension(template, format)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="too long"):
        paths("t" * 150, "{track}{track}/{stem}.wav")


def test_two_inputs_for_one_output_are_refused() -> None:
    plans = {Path(name): paths(name).values() for name in ("a/song.mp3", "b/song.flac")}
    with pytest.raises(UsageError, match=r"a/song.mp3 and b/song.flac would both write"):
        check_collisions(plans, Places())


def test_an_output_on_an_input_is_refused(tmp_path: Path) -> None:
    song = tmp_path / "vocals.wav"
    with pytest.raises(UsageError, match="would overwrite the input"):
        check_collisions({song: [tmp_path / "x" / ".." / "vocals.wav"]}, Places())


def test_an_output_is_on_its_input_whatever_links_lead_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/song.wav").touch()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "linked.wav").symlink_to("real/song.wav")
    for song in (tmp_path / "real/song.wav", tmp_path / "linked.wav"):
        with pytest.raises(UsageError, match="would overwrite the input"):
            check_collisions({song: [tmp_path / "link/song.wav"]}, Places())
    # A link in the place of a stem is replaced, not followed.
    (tmp_path / "stem.wav").symlink_to("real/song.wav")
    check_collisions({tmp_path / "real/song.wav": [tmp_path / "stem.wav"]}, Places())
