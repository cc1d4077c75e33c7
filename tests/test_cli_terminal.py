"""What a person sees on a terminal of 60 or 80 columns, at every moment of a run."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from command import TINY, run
from loopback import Loopback
from registered import OwnRegistry, ensemble, table
from terminal import CTRL_C, last_lines, watch_command

from stemsplit.types import Planned, Progressed, Surveyed

LONG = "10 a name that is far too long for a terminal of sixty columns.wav"
STEMS = ("drums", "bass", "other", "vocals")


@pytest.fixture
def music(song: Path) -> Path:
    """A folder of three songs of two seconds."""
    for name in ("1 a.wav", "2 b.wav"):
        shutil.copy(song, song.with_name(name))
    song.rename(song.with_name(LONG))
    return song.parent


def test_a_folder_at_60_columns(music: Path, tmp_path: Path) -> None:
    words = ("music", "-n", TINY, "--stems", "vocals", "--out", "o")
    seen = watch_command(*words, cwd=tmp_path, columns=60)
    assert seen.code == 0
    first = next(screen for screen in seen.screens if screen)
    assert re.fullmatch(rf"loading {TINY} [━ ]+", first[-1])
    loading = [line for line in seen.bars if line.startswith("loading")]
    assert len(set(loading)) > 1, "a bar that does not move"
    songs = list(dict.fromkeys(line[:5] for line in seen.bars if line.startswith("[")))
    assert songs == ["[1/3]", "[2/3]", "[3/3]"]
    head = f"splitting 3 songs (0:06) with {TINY} on cpu"
    long = f"o/{LONG.removesuffix('.wav')}/vocals.wav"
    assert seen.last == [
        *(head, "o/1 a/vocals.wav", "o/2 b/vocals.wav", long[:60], long[60:]),
        "3 done, 0 skipped, 0 failed",
    ]


def test_a_bar_at_60_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name shrinks first; percent, and the time left of the song and of all, stay."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    songs = [Path("1.wav"), Path(LONG)]
    rate, half = 100, 50 * 100
    events = [
        Planned({song: song.name for song in songs}, 2),
        Progressed(songs[0], 0, 100 * rate, rate, 0.0),
        Surveyed({songs[0]: 100.0, songs[1]: 100.0}),
        Progressed(songs[1], half, 100 * rate, rate, 50.0),
    ]
    *_, moving, _, line = last_lines(events, columns=60)
    assert re.fullmatch(r"\[1/2\] 1\.wav [━ ╸╺]+", moving)
    form = r"\[2/2\] 10 a name th… ━+[╸╺]?━* +50% 0:50 left, \d+:\d\d for all"
    assert re.fullmatch(form, line), line
    assert len(line) == 57, "no room for the ^C of the terminal"


def test_a_single_song(song: Path, tmp_path: Path) -> None:
    words = ("music/song.wav", "-n", TINY, "--report", "page.html")
    seen = watch_command(*words, cwd=tmp_path)
    assert seen.code == 0
    head, *paths, end, report = seen.last
    assert not [line for line in seen.last if "overlap" in line or "residual" in line]
    title = seen.last.index("stem    LUFS")
    assert [line.split()[0] for line in seen.last[title + 1 : title + 5]] == list(STEMS)
    assert head == f"splitting song.wav (0:02) with {TINY} on cpu"
    assert [line for line in paths if line.startswith("separated/")] == [
        f"separated/song/{stem}.wav" for stem in STEMS
    ]
    took = r"4 stems in separated/song: 0:02 in \d:\d\d, \d+\.\d× real time"
    assert re.fullmatch(took, end), seen.last
    assert report == "report: page.html"


@pytest.mark.parametrize(
    ("options", "file"),
    [
        (("--stems", "vocals", "-o", "v.mp3"), "v.mp3"),
        (("--format", "stem.mp4", "-o", "o"), "o/song.stem.mp4"),
    ],
)
def test_a_single_file(song: Path, tmp_path: Path, options: tuple[str, ...], file: str) -> None:
    seen = watch_command(song, "-n", TINY, *options, cwd=tmp_path)
    assert re.fullmatch(rf"{file}: 0:02 in \d:\d\d, \d+\.\d× real time", seen.last[-1])


@pytest.mark.parametrize(
    ("columns", "shown"), [(60, "10 a name that i…"), (80, "10 a name that is far too long for a…")]
)
def test_the_lines_about_a_song_with_a_long_name(
    music: Path, tmp_path: Path, columns: int, shown: str
) -> None:
    """The name shrinks, and lines are broken at spaces only."""
    words = (f"music/{LONG}", "-n", TINY, "--stems", "vocals", "--out", "o")
    seen = watch_command(*words, cwd=tmp_path, columns=columns)
    assert seen.last[0] == f"splitting {shown} (0:02) with {TINY} on cpu"
    assert all(len(line) <= columns for line in seen.last)
    file = f"o/{LONG.removesuffix('.wav')}/vocals.wav"
    end = rf" {file}: 0:02 in \d:\d\d, \d+\.\d× real time"
    assert re.search(f"{end}$", " ".join(seen.last)), seen.last


@pytest.mark.parametrize(("files", "times"), [(2, 1), (4, 2)])
def test_failures_of_a_few_songs_are_shown_once(tmp_path: Path, files: int, times: int) -> None:
    """Those of many songs are repeated in the end, since the first ones have scrolled away."""
    names = [f"{number}.wav" for number in range(files)]
    seen = watch_command(*names, "-n", TINY, cwd=tmp_path)
    assert seen.code == 3
    for name in names:
        shown = [line for line in seen.last if f"{name}: no such file" in line]
        assert len(shown) == times


def test_no_terminal_gets_none_of_this(song: Path, tmp_path: Path) -> None:
    done = run(song, "-n", TINY, "--report", "page.html", "--progress", "none", cwd=tmp_path)
    assert done.code == 0
    for words in ("splitting", "loading", "stems in", "report:"):
        assert words not in done.stderr


def test_programs_on_a_terminal_get_none_of_this(song: Path, tmp_path: Path) -> None:
    seen = watch_command(song, "-n", TINY, "--json", "--progress", "none", cwd=tmp_path)
    assert "".join(seen.last).startswith('{"schema": 1, "input": ')
    assert "".join(seen.last).endswith("}")


@pytest.mark.parametrize(
    ("option", "words"),
    [("--resume", "run the same command to"), ("--force", "run the same command without --force")],
)
def test_ctrl_c_in_a_folder(music: Path, tmp_path: Path, option: str, words: str) -> None:
    seen = watch_command(
        *("music", "-n", TINY, "--stems", "vocals", option),
        cwd=tmp_path,
        answer=lambda lines: CTRL_C if lines and re.match(r"\[1/3\]", lines[-1]) else b"",
    )
    assert seen.code == 130
    assert not [line for line in seen.last if "━" in line], "a bar that stays"
    counts, advice, error = seen.last[-3:]
    found = re.fullmatch(r"(\d) done, 0 skipped, 0 failed, (\d) left", counts)
    assert found is not None and int(found[1]) + int(found[2]) == 3
    assert advice.startswith(words)
    assert error == "stemsplit: error: interrupted"


def test_ctrl_c_while_a_model_is_loaded(music: Path, tmp_path: Path) -> None:
    """It ends the run, whatever is being imported, and leaves no bar on the screen."""
    seen = watch_command(
        *("music", "-n", TINY, "--stems", "vocals"),
        cwd=tmp_path,
        columns=60,
        answer=lambda lines: CTRL_C if lines and lines[-1].startswith("loading") else b"",
    )
    assert (seen.code, seen.last) == (
        130,
        [
            "0 done, 0 skipped, 0 failed, 3 left",
            "run the same command to continue",
            "stemsplit: error: interrupted",
        ],
    )


PAIR = ensemble("both", ["net1", "net2"], [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])


@pytest.mark.parametrize("columns", [60, 80])
def test_a_download_has_one_bar(
    own_registry: OwnRegistry, server: Loopback, checkpoint: bytes, tmp_path: Path, columns: int
) -> None:
    """For an ensemble of two networks, each with its own file."""
    tables = []
    for number in (1, 2):
        # The bar stays in the middle long enough to be seen on a busy machine, too.
        server.serve(f"/{number}.safetensors", checkpoint, delay=number - 1.0)
        digest = hashlib.sha256(checkpoint).hexdigest()
        address = f"{server.root}/{number}.safetensors"
        facts = f'address = "{address}", sha256 = "{digest}", size = {len(checkpoint)}'
        tables.append(table(f"net{number}", [facts]))
    own_registry.write("".join(tables) + PAIR)
    seen = watch_command("models", "pull", "both", cwd=tmp_path, columns=columns)
    assert seen.code == 0, seen.last
    bars = [line for line in seen.bars if line.startswith("fetching")]
    shown = [int(found[1]) for line in bars if (found := re.search(r"(\d+)%", line))]
    assert shown == sorted(shown)
    assert 50 in shown, "the first network is half of it"
    assert any("converting" in line for line in bars)
    assert all(len(line) <= columns for line in bars)


def test_what_was_known_of_an_earlier_run(song: Path, tmp_path: Path) -> None:
    """A speed is kept of songs that say something about it, and used for the next."""
    import soundfile

    audio, rate = soundfile.read(song)
    soundfile.write(song, list(audio) * 6, rate)
    words = (song, "-n", TINY, "--stems", "vocals")
    assert run(*words, "-q", cwd=tmp_path).code == 0
    seen = watch_command(*words, "--force", cwd=tmp_path)
    head = rf"splitting song\.wav \(0:12\) with {TINY} on cpu, about \d:\d\d"
    assert re.fullmatch(head, seen.last[0])
    (tmp_path / "cache/speeds.json").write_text("{")
    seen = watch_command(*words, "--force", cwd=tmp_path)
    assert seen.last[0] == f"splitting song.wav (0:12) with {TINY} on cpu"


@pytest.mark.parametrize("way", [(), ("--dry-run",)])
def test_a_missing_device_is_reported_before_anything_is_fetched(
    music: Path, tmp_path: Path, way: tuple[str, ...]
) -> None:
    """Nor once for each song: none can be split."""
    failed = run("music", "-n", "htdemucs", "-d", "cuda:99", *way, cwd=tmp_path)
    error, hint = failed.stderr.splitlines()
    assert (failed.code, failed.stdout) == (5, "")
    assert error == "stemsplit: error: no device 'cuda:99' on this machine"
    assert hint.startswith("hint: --device auto")


def test_a_watch_shows_no_bar_while_it_waits(music: Path, tmp_path: Path) -> None:
    done: list[str] = []

    def stop(lines: list[str]) -> bytes:
        done[:] = [line for line in lines if line.endswith("vocals.wav")]
        return CTRL_C if len(done) == 3 and "━" not in lines[-1] else b""

    (music / LONG).rename(music / "10.wav")
    words = ("--settle", "0.1", "--interval", "0.1", "--stems", "vocals", "-n", TINY)
    seen = watch_command("watch", "music", *words, cwd=tmp_path, answer=stop)
    assert seen.code == 0
    assert seen.last[-1].removeprefix("^C") == "stopped: 3 done, 0 skipped, 0 failed"
    assert {line[:5] for line in seen.bars if line.startswith("[")} == {"[1/3]", "[2/3]", "[3/3]"}
