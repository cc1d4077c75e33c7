"""The steps of ``gpu.py``: each prints a part of the report, and exits if something is wrong."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_setting import Setting, filled, music, separate, worst_stem
from processes import apart, describe_machine, spread, version, versions

if TYPE_CHECKING:
    from torch import Tensor

    from stemsplit.separation.engine import Engine

ROOT = Path(__file__).parents[2]
#: What a stem in half precision must have in common with the exact one, in dB. Random weights say
#: little of it: only networks with published weights must reach it.
LEAST = {"fp16": 50.0, "bf16": 35.0}


# --- Steps ---------------------------------------------------------------------------------------


def environment(setting: Setting) -> None:
    """Report the machine, and the card as torch and as its driver describe it."""
    import torch

    print(f"{describe_machine()}\n{versions(('stemsplit', 'demucs', 'numpy'))}")
    if not setting.cuda:
        return
    card = torch.cuda.get_device_properties(setting.device)
    print(f"\n{card.name}, {card.total_memory / 1e9:.0f} GB, compute {card.major}.{card.minor}")
    print(f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    query = ["nvidia-smi", "--query-gpu=driver_version,power.limit,memory.used", "--format=csv"]
    print(subprocess.run(query, capture_output=True, text=True, check=False).stdout)


def precision(setting: Setting) -> None:
    """Compare one segment of each network in half precision with fp32 on the same device."""
    import torch
    from torch import autocast, inference_mode

    kind = torch.device(setting.device).type
    print("| network | weights | precision | below the stems | ms | fp32, ms |")
    print("|---|---|---|---:|---:|---:|")
    poor = []
    for name in setting.networks:
        network, published = setting.load(name)
        network = network.to(setting.device)
        mix = music(network.segment / 44_100)[None].to(setting.device)
        with inference_mode():
            exact = network(mix)[0]
            full = setting.seconds_of(lambda network=network, mix=mix: network(mix))
            for half in setting.precisions:
                dtype = torch.float16 if half == "fp16" else torch.bfloat16
                with autocast(kind, dtype):
                    decibels = worst_stem(exact, network(mix)[0])
                    took = setting.seconds_of(lambda network=network, mix=mix: network(mix))
                weights = "published" if published else "random"
                cells = (name, weights, half, f"{decibels:.0f} dB", f"{1e3 * took:.0f}")
                print(f"| {' | '.join(cells)} | {1e3 * full:.0f} |", flush=True)
                if published and decibels < LEAST[half]:
                    poor.append(f"{name} {half}")
    if poor:
        raise SystemExit(f"too far from fp32: {', '.join(poor)}")


def batches(setting: Setting) -> None:
    """Compare batches of all sizes: speed, memory, and the stems with those of single segments."""
    import torch

    song = music(setting.seconds / 2)
    expected = separate(setting.engine(batch=1), song)
    print("| segments at a time | × real time | peak, GB | below the stems |\n|---|---:|---:|---:|")
    for batch in setting.batches:
        engine = setting.engine(batch=batch)
        if setting.cuda:
            torch.cuda.reset_peak_memory_stats()
        took = setting.seconds_of(lambda engine=engine: separate(engine, song))
        peak = torch.cuda.max_memory_allocated() / 1e9 if setting.cuda else 0.0
        decibels = worst_stem(expected, separate(engine, song))
        speed = song.shape[1] / 44_100 / took
        print(f"| {batch} | {speed:.0f} | {peak:.2f} | {decibels:.0f} dB |", flush=True)
        if engine.warnings:
            raise SystemExit(f"a batch of {batch}: {engine.warnings}")


def memory(setting: Setting) -> None:
    """Fill the card but for a little, and separate in large batches all the same."""
    song = music(setting.seconds / 4)
    expected = separate(setting.engine(batch=1), song)
    print("| left free, MB | it continued with | below the stems |\n|---|---|---:|")
    for free in (4000, 1500, 800, 300) if setting.cuda else (0,):
        engine = setting.engine(batch=32)
        with filled(setting, free * 2**20):
            found = separate(engine, song)
        said = "; ".join(engine.warnings) or "all of it"
        decibels = worst_stem(expected, found)
        print(f"| {free} | {said} | {decibels:.0f} dB |", flush=True)
        if decibels < LEAST["bf16"]:
            raise SystemExit("the stems are wrong")
        engine.warnings.clear()
        if worst_stem(expected, separate(engine, song)) < LEAST["bf16"]:
            raise SystemExit("the stems are wrong once there is memory again")


def streams(setting: Setting) -> None:
    """Separate songs at the same time, each in its own stream, and one after the other."""
    import torch

    songs = [music(setting.seconds / 8).roll(offset * 44_100, -1) for offset in range(4)]
    engines = [setting.engine() for _ in songs]

    def apart_from_others(engine: Engine, song: Tensor) -> Tensor:
        if not setting.cuda:
            return separate(engine, song)
        with torch.cuda.stream(torch.cuda.Stream(setting.device)):
            return separate(engine, song)

    expected = [separate(engine, song) for engine, song in zip(engines, songs, strict=True)]
    alone = setting.seconds_of(
        lambda: [separate(engine, song) for engine, song in zip(engines, songs, strict=True)]
    )
    with ThreadPoolExecutor(len(songs)) as pool:
        together = setting.seconds_of(lambda: list(pool.map(apart_from_others, engines, songs)))
        found = list(pool.map(apart_from_others, engines, songs))
    decibels = min(map(worst_stem, expected, found))
    print(
        f"{len(songs)} songs one after the other {alone:.2f} s, each in a stream {together:.2f} s"
    )
    print(f"\nThe stems differ by {-decibels:.0f} dB")
    if decibels < LEAST["fp16"]:
        raise SystemExit("streams disturb each other")


def song(setting: Setting) -> None:
    """Measure whole commands on one song, in several batches, against demucs."""
    against_demucs(setting, setting.seconds, 1, ("4", "16", "auto"))


def folder(setting: Setting) -> None:
    """Measure one command on a folder of songs, against one of demucs."""
    against_demucs(setting, setting.seconds / 8, 20 if setting.cuda else 2, ("16",))


def against_demucs(setting: Setting, seconds: float, count: int, batches: Sequence[str]) -> None:
    """Print wall time of both programs on ``count`` songs, two runs each, and their difference."""
    from peer_weights import write_weights
    from peers import PEERS, Job, stemsplit
    from processes import measure_in_turn
    from songs import compare_stems, write_excerpts

    peer = PEERS["demucs"]
    missing = peer.missing(None)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        apart(write_excerpts, work / "songs", seconds, count)
        kind = "none" if missing else peer.weights
        weights = apart(write_weights, setting.model, kind, work / "weights", None)
        job = Job(sorted((work / "songs").iterdir()), weights, work, device=setting.device)
        commands = {
            f"--batch {batch}": stemsplit(
                replace(job, out=work / "ours", options=("--batch", batch))
            )
            for batch in batches
        }
        if not missing:
            commands[peer.shown] = peer.command(replace(job, out=work / "theirs"))
        walls = {
            program: [cost.wall for cost in runs]
            for program, runs in measure_in_turn(commands, 2).items()
        }
        print(
            f"{count} × {seconds:g} s, {'published' if weights.published else 'random'} weights\n"
        )
        for program, runs in walls.items():
            pairs = zip(walls.get(peer.shown, ()), runs, strict=False)
            ratios = [theirs / ours for theirs, ours in pairs]
            ratio = f", demucs / this: {spread(ratios)}" if ratios else ""
            print(f"- {program}: wall {spread(runs)} s{ratio}")
        print(f"- {missing or apart(compare_stems, work / 'ours', work / 'theirs')}")


def tests(setting: Setting) -> None:
    """Run the tests marked ``cuda``; only their files, so that no other test's packages lack."""
    if version("pytest") is None:
        raise SystemExit("pytest is not installed: pip install '.[dev]'")
    files = [p for p in sorted((ROOT / "tests").glob("test_*.py")) if "mark.cuda" in p.read_text()]
    words = [sys.executable, "-m", "pytest", "-q", "-m", "cuda", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, *map(str, files)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print("```", *done.stdout.splitlines()[-15:], "```", sep="\n")
    if done.returncode:
        raise SystemExit(f"pytest ended with {done.returncode}")


STEPS = (environment, precision, memory, batches, streams, song, folder, tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=[step.__name__ for step in STEPS])
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    {step.__name__: step for step in STEPS}[asked.step](Setting(asked.device))


if __name__ == "__main__":
    main()
