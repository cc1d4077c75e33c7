"""Classical methods and networks on songs with true stems: global SDR in dB.

    python tests/benchmarks/quality.py FOLDER [MODEL ...]

Below FOLDER there is a folder for each song, with ``mixture``, ``vocals``, ``drums``, ``bass`` and
``other``. A stem that a model lacks is derived as a user would: the instrumental is the mix minus
the vocals, and the percussive part of HPSS counts as the drums. Weights are fetched where needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import numpy as np

from stemsplit import Separator
from stemsplit.audio.decode import read
from stemsplit.evaluation.metrics import global_sdr

MODELS = ("hpss", "nmf", "repet_sim", "spleeter_2stems", "htdemucs")
STEMS = ("vocals", "drums", "bass", "other", "instrumental")
COUNTS_AS = {"percussive": "drums", "accompaniment": "instrumental"}
Stems = dict[str, np.ndarray]


def find_songs(folder: Path) -> dict[str, Stems]:
    """Return the songs below ``folder``: the true stems, and the mixture, as ``(C, T)``."""
    songs = {}
    for mixture in sorted(folder.glob("*/mixture.*")):
        song = {path.stem: read(path) for path in mixture.parent.glob(f"*{mixture.suffix}")}
        songs[mixture.parent.name] = song | {"instrumental": song["mixture"] - song["vocals"]}
    return songs


def estimate(model: str, mixture: np.ndarray) -> Stems:
    """Return what ``model`` makes of ``mixture``, under the names of `STEMS`."""
    if model == "mixture":
        return dict.fromkeys(STEMS, mixture)
    stems = Separator(model, device="cpu").separate(mixture, sample_rate=44_100)
    stems = {COUNTS_AS.get(name, name): stem for name, stem in stems.items()}
    if "vocals" in stems:
        stems["instrumental"] = mixture - stems["vocals"]
    return stems


def score(model: str, songs: Mapping[str, Stems]) -> dict[str, float]:
    """Return the mean SDR over ``songs`` of each stem that ``model`` has."""
    scores: dict[str, list[float]] = {}
    for song in songs.values():
        for name, stem in estimate(model, song["mixture"]).items():
            if name in STEMS:
                scores.setdefault(name, []).append(float(global_sdr(song[name], stem)))
    return {name: fmean(values) for name, values in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", default=MODELS)
    options = parser.parse_args()
    songs = find_songs(options.folder)
    print(f"{len(songs)} songs: {', '.join(songs)}\n")
    print(f"| model | {' | '.join(STEMS)} |\n|---|{'---:|' * len(STEMS)}")
    for model in ("mixture", *options.models):
        scores = score(model, songs)
        cells = (f"{scores[name]:.1f}" if name in scores else "" for name in STEMS)
        print(f"| `{model}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
