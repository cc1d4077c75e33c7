"""What ``stemsplit data render`` makes songs with, checked before the first one is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from stemsplit.cli.console import Console
from stemsplit.cli.declared import parse_names
from stemsplit.errors import UsageError
from stemsplit.stem_names import ORDER

if TYPE_CHECKING:
    from stemsplit.batch.data_render import Render
    from stemsplit.data.collections import TrainingSong
    from stemsplit.data.store import SongStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Music:
    """The options that choose what songs sound like; None and False are the defaults."""

    style: str | None
    not_style: str | None
    soundfont: Path | None
    singing: Path | None
    drums: Path | None
    synthetic: bool

    def refuse_any(self, other: str) -> None:
        """Raise ``UsageError`` if one of these options is given beside the option ``other``."""
        for field in fields(self):
            if getattr(self, field.name):
                name = field.name.replace("_", "-")
                raise UsageError(f"{other} and --{name} contradict each other")


def make_renderer(console: Console, music: Music, *, seed: int, seconds: float) -> Render:
    """Return what renders songs.

    Raises ``UsageError`` for unknown styles, and options that contradict each other,
    ``InputError`` for folders without sounds, and ``ResourceError`` if fluidsynth or sound
    fonts are missing. Without mma, it warns.
    """
    from stemsplit.data.render.drum_samples import open_drum_samples
    from stemsplit.data.render.programs import MMA, has_program
    from stemsplit.data.render.recordings import find_singing
    from stemsplit.data.render.song import SAMPLE_RATE, Settings, render_song
    from stemsplit.data.render.styles import choose_styles, find_styles

    fonts = _sound_fonts(music)
    has_mma = not music.synthetic and has_program(MMA)
    if not (has_mma or music.synthetic):
        console.warn("mma was not found: only the built-in styles are used")
    wanted = _names("--style", music.style)
    unwanted = _names("--not-style", music.not_style)
    styles = choose_styles(find_styles(mma=has_mma), wanted, unwanted)
    singing = drums = None
    if music.singing is not None:
        singing = _open(console, find_singing(music.singing), ("vocals",))
    if music.drums is not None:
        with console.progress("measuring drum samples") as meter:
            drums = open_drum_samples(music.drums, SAMPLE_RATE, meter.update)
        _warn(console, drums.store)
    settings = Settings(
        seed=seed,
        seconds=seconds,
        styles=styles,
        sound_fonts=tuple(fonts),
        singing=singing,
        drums=drums,
    )
    return partial(render_song, settings)


def make_combiner(console: Console, root: Path, *, seed: int, seconds: float) -> Render:
    """Return what combines the stems of the songs at ``root``.

    Raises ``InputError`` if there are fewer than two songs.
    """
    from stemsplit.data.render.combine import CombineSettings, combine_song
    from stemsplit.data.render.recordings import find_songs

    store = _open(console, find_songs(root, ORDER), ORDER)
    return partial(combine_song, CombineSettings(seed=seed, seconds=seconds, store=store))


def _names(option: str, text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    if not (names := tuple(parse_names(text))):
        raise UsageError(f"{option} is empty: name at least one style")
    return names


def _sound_fonts(music: Music) -> Sequence[Path]:
    from stemsplit.data.render.fluid import find_sound_fonts
    from stemsplit.data.render.programs import FLUIDSYNTH, find_program

    if music.synthetic and music.soundfont is not None:
        raise UsageError("--synthetic and --soundfont contradict each other")
    if music.synthetic:
        return ()
    find_program(FLUIDSYNTH)
    return find_sound_fonts(music.soundfont)


def _open(console: Console, songs: Sequence[TrainingSong], sources: Sequence[str]) -> SongStore:
    from stemsplit.data.render.recordings import open_store
    from stemsplit.data.render.song import SAMPLE_RATE

    with console.progress("measuring recordings") as meter:
        store = open_store(songs, sources, SAMPLE_RATE, meter.update)
    _warn(console, store)
    return store


def _warn(console: Console, store: SongStore) -> None:
    for warning in store.warnings:
        console.warn(warning)
