"""Make the pictures of the README anew: the running command, and a report.

    python .github/images/make.py [-n MODEL]

Needs what ``pip install '.[dev]'`` installs, and Chromium. The song is rendered.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import pyte
import soundfile

from stemsplit.data.synthetic import render

FOLDER = Path(__file__).parent
COLUMNS, ROWS = 80, 40
SECONDS = 90
SHOWN_AT = 60  # percent
#: Hides all of a report but the beginning and the stems with their players.
HIDDEN = "section:has(table.figures), section[aria-labelledby=meaning]"
LETTER, LINE, MARGIN = 8.4, 19, 16  # pixels
COLOURS = {
    **{"default": "#d8dee9", "black": "#4c566a", "red": "#e06c75", "green": "#98c379"},
    **{"brown": "#e5c07b", "blue": "#61afef", "magenta": "#f92672", "cyan": "#56b6c2"},
    "white": "#eceff4",
}


def write_song(folder: Path) -> None:
    """Write a rendered song, ``song.wav``, and its true stems below ``true``."""
    stems = render(0, seconds=30.0)
    stems = {name: np.tile(stem, (1, SECONDS // 30)) for name, stem in stems.items()}
    (folder / "true").mkdir()
    for name, stem in stems.items():
        soundfile.write(folder / "true" / f"{name}.wav", stem.T, 44_100)
    soundfile.write(folder / "song.wav", sum(stems.values()).T, 44_100)


def run_on_terminal(command: list[str], folder: Path) -> Iterator[pyte.Screen]:
    """Yield what a terminal shows of ``command``, after each output."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
    )
    os.close(terminal)
    shown = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(shown)
    try:
        while data := os.read(screen, 65_536):
            stream.feed(data)
            yield shown
    except OSError:  # Linux says so when the other side is closed
        pass
    finally:
        os.close(screen)
        if process.wait():
            raise RuntimeError(f"{command} ended with {process.returncode}")


def draw(screens: list[list[str]]) -> str:
    """Return an SVG picture of a terminal: the ``screens`` (lines of SVG text) below each other."""
    lines = [line for screen in screens for line in screen]
    width, height = COLUMNS * LETTER + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    texts = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + LINE * (row + 0.75):.1f}">{line}</text>'
        for row, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">\n'
        "<style>text { font: 14px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; "
        f"fill: {COLOURS['default']}; white-space: pre }}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#1e222a"/>\n{texts}\n</svg>\n'
    )


def as_svg(screen: pyte.Screen) -> list[str]:
    """Return the lines of ``screen`` as text of SVG, with their colours."""
    lines = []
    for row in range(screen.cursor.y + 1):
        spans, last = [], None
        for column in range(len(screen.display[row].rstrip())):
            cell = screen.buffer[row][column]
            style = COLOURS.get(cell.fg, f"#{cell.fg}"), "bold" if cell.bold else "normal"
            if style != last:
                # Each run begins where its column is, whatever the width of the font.
                spans.append(((column * LETTER, *style), ""))
                last = style
            spans[-1] = (spans[-1][0], spans[-1][1] + cell.data)
        lines.append(
            "".join(
                f'<tspan x="{MARGIN + x:.1f}" fill="{colour}" font-weight="{weight}">'
                f"{escape(text)}</tspan>"
                for (x, colour, weight), text in spans
                if text.strip()
            )
        )
    while lines and not lines[-1]:
        lines.pop()
    return lines


def percent_of(screen: pyte.Screen) -> int:
    """Return the largest percentage that ``screen`` shows."""
    words = " ".join(screen.display).replace("%", "% ").split()
    return max((int(w[:-1]) for w in words if w[-1:] == "%" and w[:-1].isdigit()), default=0)


def picture_run(work: Path, model: str) -> None:
    """Write ``run.svg``: the command in the middle of its work, and when it is done."""
    program = [sys.executable, "-m", "stemsplit", "song.wav", "-n", model]
    middle: list[str] = []
    last: list[str] = []
    for screen in run_on_terminal(program, work):
        last = as_svg(screen)
        if not middle and percent_of(screen) >= SHOWN_AT:
            middle = last
    prompt = f'<tspan fill="{COLOURS["green"]}">$</tspan> stemsplit song.wav'
    (FOLDER / "run.svg").write_text(draw([[prompt], middle, ["", prompt], last]))


def picture_report(work: Path) -> None:
    """Write ``report.png``: the page of the stems that `picture_run` made."""
    page = work / "report.html"
    words = ["evaluate", "separated/song", "true", "--html", page.name, "-q"]
    subprocess.run([sys.executable, "-m", "stemsplit", *words], cwd=work, check=True)
    page.write_text(
        page.read_text().replace("</head>", f"<style>{HIDDEN} {{display: none}}</style></head>")
    )
    browser = shutil.which("chromium") or shutil.which("google-chrome") or "chromium-browser"
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1000,960")
    target = f"--screenshot={FOLDER / 'report.png'}"
    subprocess.run([browser, *options, target, page.as_uri()], check=True, stderr=subprocess.PIPE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--model", default="htdemucs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        write_song(Path(work))
        picture_run(Path(work), options.model)
        picture_report(Path(work))


if __name__ == "__main__":
    main()
