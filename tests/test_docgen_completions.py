"""The completion scripts in real shells; each test is skipped if its shell is missing."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from stemsplit.checkpoints.registry import list_models
from stemsplit.docgen import tree as docgen_tree
from stemsplit.types import Format

COMPLETIONS = Path(__file__).parents[1] / "completions"
ENTRIES = docgen_tree.walk(docgen_tree.read_commands())
MODELS = [model.name for model in list_models()]

#: The line before TAB, and the last word after it, if there is only one completion.
LINES = {
    "--mod": "--model",
    "--tw": "--two-stems",
    "-n htdemucs_6": "htdemucs_6s",
    "--model htdemucs_6": "htdemucs_6s",
    "--model=htdemucs_6": "--model=htdemucs_6s",
    "-n chec": "checkpoint.th",
    "--format f": "flac",
    "--depth 3": "32f",
    "--two-stems voc": "vocals",
    "--stems voc": "vocals",
    "--stems vocals,dru": "vocals,drums",
    "--device cp": "cpu",
    "--daw da": "dawproject",
    "--daw reaper,da": "reaper,dawproject",
    "watch --daw rea": "reaper",
    "--ensemble hdemucs_m": "hdemucs_mmi",
    "--ensemble htdemucs,hdemucs_m": "htdemucs,hdemucs_mmi",
    "--out alb": "album/",
    "-q mod": "model song.mp3",
    "song": "song one.mp3",
    "-q --json song": "song one.mp3",
    "split song": "song one.mp3",
    "split --skip": "--skip-existing",
    "mode": "model",  # "models" or "model song.mp3": as far as they agree
    "model\\ ": "model song.mp3",
    "models pul": "pull",
    "models pull open_unmix.umxs": "open_unmix.umxse",
    "models list --js": "--json",
    "models show checkpo": "checkpo",  # no name of a model, and files are none
    "demo --see": "--seed",
    "demo --two": "--two",  # an option of another command
    "-- alb": "alb",  # album/ or albino.mp3
    "-- --see": "--see",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("songs")
    for name in ("song one.mp3", "model song.mp3", "albino.mp3", "checkpoint.th"):
        (folder / name).touch()
    (folder / "album").mkdir()
    return folder


def run_bash(words: list[str], folder: Path) -> list[str]:
    """Return what the function offers for the last of ``words``."""
    script = f"""
        source {shlex.quote(str(COMPLETIONS / "stemsplit.bash"))}
        COMP_WORDS=({shlex.join(["stemsplit", *words])}) COMP_CWORD={len(words)}
        _stemsplit
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-u", "-c", script], capture_output=True, text=True, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")


@pytest.mark.parametrize(
    ("shell", "name"),
    [("bash", "stemsplit.bash"), ("zsh", "_stemsplit"), ("fish", "stemsplit.fish")],
)
def test_the_scripts_have_no_syntax_error(shell: str, name: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-n", str(COMPLETIONS / name)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_bash
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path)
def test_bash_offers_the_options_of_each_command(
    entry: docgen_tree.CommandEntry, folder: Path
) -> None:
    names = [name for option in entry.options for name in option.names]
    assert run_bash([*entry.words, "-"], folder) == names


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--fo"], ["--format", "--force"]),
        (["-n", "htd"], [name for name in MODELS if name.startswith("htd")]),
        (["--model", "=", "htd"], [name for name in MODELS if name.startswith("htd")]),
        (["--model", "="], MODELS),
        (["--format", ""], [*get_args(Format), "raw"]),
        (["models", ""], ["list", "show", "pull", "verify", "rm", "path", "convert"]),
        (["models", "pull", ""], MODELS),
        (["models", "pull", "htdemucs", "tiny."], [n for n in MODELS if n.startswith("tiny.")]),
        (["--stems", "bass,v"], ["bass,vocals"]),
        (["mode"], ["models", "model song.mp3"]),
        (["--bitrate", ""], []),
        (["--", "--fo"], []),
        (["models", "-q", "l"], []),
    ],
)
def test_bash_offers(words: list[str], offered: list[str], folder: Path) -> None:
    assert run_bash(words, folder) == offered


class Terminal:
    """An interactive shell on a terminal, on which lines are typed and TAB is pressed."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._terminal, other_end = pty.openpty()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 2000, 0, 0))
        # Opened by the leader of a new session, the terminal becomes the one that it is run from.
        opened = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&1', os.ttyname(other_end), *command]
        self._process = subprocess.Popen(
            opened,
            cwd=folder,
            env={"PATH": os.environ["PATH"], **environment},
            start_new_session=True,
        )
        self._other_end = other_end

    def complete(self, line: str) -> str:
        """Return the last word of ``line`` after TAB. ``show`` is a function of the shell."""
        # Typed first, TAB waits for nothing; Ctrl-A then puts another command before the line.
        os.write(self._terminal, f"stemsplit {line}\t\x01show \r".encode())
        return self._read_until("@@\r\n").rpartition("<<")[2].partition(">>")[0]

    def _read_until(self, end: str, seconds: float = 20) -> str:
        text = ""
        stop = time.monotonic() + seconds
        while not text.endswith(end) and end not in text:
            ready, _, _ = select.select([self._terminal], [], [], max(0, stop - time.monotonic()))
            assert ready, f"no answer of the shell: {text!r}"
            text += os.read(self._terminal, 65536).decode(errors="replace")
        return text

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)
        os.close(self._other_end)


SHOW = "show() { printf '<<%s>>' \"${@: -1}\"; printf '%s\\n' '@''@'; }\n"


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    home = tmp_path_factory.mktemp("home")
    environment = {"HOME": str(home), "ZDOTDIR": str(home), "TERM": "vt100", "LC_ALL": "C.UTF-8"}
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    if request.param == "bash":
        (home / "rc").write_text(
            f"source {shlex.quote(str(COMPLETIONS / 'stemsplit.bash'))}\n{SHOW}"
        )
        command = ["bash", "--rcfile", str(home / "rc"), "-i"]
    else:
        (home / ".zshrc").write_text(
            f"fpath=({shlex.quote(str(COMPLETIONS))} $fpath)\n"
            "autoload -U compinit && compinit -u -D\n"
            # TAB has more input behind it here, and would else be taken for pasted text.
            "zstyle ':completion:*' insert-tab false\nbindkey -e\n" + SHOW
        )
        command = ["zsh", "-d", "-i"]
    terminal = Terminal(command, folder, environment)
    yield terminal
    terminal.close()


@pytest.mark.parametrize(("line", "word"), LINES.items())
def test_bash_and_zsh_complete_on_a_terminal(terminal: Terminal, line: str, word: str) -> None:
    # zsh takes the "=" or "/" that it added back when no more of the word is typed.
    assert terminal.complete(line).rstrip("=/") == word.rstrip("/")


def run_fish(lines: list[str], folder: Path, home: Path) -> dict[str, list[str]]:
    """Return what fish offers after each of ``lines``: words, with a tab and what each means."""
    script = (
        f"source {shlex.quote(str(COMPLETIONS / 'stemsplit.fish'))}\n"
        'for line in $argv; echo "line $line"; complete -C "stemsplit $line"; end'
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, "--", *lines],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    answers = re.split(r"^line (.*)\n", done.stdout, flags=re.MULTILINE)[1:]
    return {line: text.splitlines() for line, text in zip(answers[::2], answers[1::2], strict=True)}


@needs_fish
def test_fish_completes(folder: Path, tmp_path: Path) -> None:
    ambiguous = {"mode", "-- alb", "model\\ "}
    nothing = {line for line, word in LINES.items() if line.endswith(word)} - ambiguous
    lines = [line for line in LINES if line not in ambiguous]
    offered = {
        line: [answer.partition("\t")[0] for answer in answers]
        for line, answers in run_fish(lines, folder, tmp_path).items()
    }
    assert offered == {line: [] if line in nothing else [LINES[line]] for line in lines}


@needs_fish
@pytest.mark.parametrize("line", ["-n ", "models pull ", "--ensemble "])
def test_fish_says_what_each_model_is(folder: Path, tmp_path: Path, line: str) -> None:
    (offered,) = run_fish([line], folder, tmp_path).values()
    described = {f"{model.name}\t{model.description}" for model in list_models()}
    assert described <= set(offered)
