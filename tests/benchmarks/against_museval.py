"""Time and memory of BSS Eval version 4 here and in `museval`, at equal threads, and the scores.

    python tests/benchmarks/against_museval.py [--pairs 3] [--threads 1] [--song NAME] [--hour]

One process for each run, in turn, so that a machine whose speed drifts favours neither; loading of
libraries and of the song is not counted. ``museval`` 0.4.1 is installed into a scratch folder.
``--hour`` measures instead how much memory an hour takes, read block by block.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import museval_package
from processes import describe_machine, limited_to, peak_memory, spread

FIELDS = ("sdr", "isr", "sir", "sar")
NAMES = ("stemsplit", "museval")


def score(name: str, song: str, oracles: Path) -> dict[str, np.ndarray]:
    """Score ``song`` in this process with the program ``name``; print what it took as JSON."""
    references = museval_package.read_song(song)
    estimates = museval_package.perturb(references)
    if name == "museval":
        museval = museval_package.load_museval(oracles)
        began, cpu = time.perf_counter(), time.process_time()
        values = museval.bss_eval(
            references, estimates, window=44_100, hop=44_100, compute_permutation=False
        )[:4]
    else:
        import torch

        from stemsplit.evaluation import bss_eval_v4

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        references, estimates = references.swapaxes(1, 2), estimates.swapaxes(1, 2)
        began, cpu = time.perf_counter(), time.process_time()
        scores = bss_eval_v4(references, estimates)
        values = [getattr(scores, field) for field in FIELDS]
    cost = {"wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    cost["peak"] = peak_memory()
    print(json.dumps(cost))
    return dict(zip(FIELDS, values, strict=True))


def measure(name: str, song: str, oracles: Path, threads: int) -> dict[str, float]:
    """Return what scoring ``song`` in a new process took; the scores lie beside ``oracles``."""
    command = [sys.executable, __file__, "--child", name, "--song", song, "--oracles", str(oracles)]
    environment = os.environ | limited_to(threads)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    cost: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return cost


def compare(song: str, oracles: Path, pairs: int, threads: int) -> None:
    """Run both on ``song`` ``pairs`` times in turn and show what it took and gave."""
    costs: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for turn in range(pairs):
        for name in NAMES if turn % 2 else reversed(NAMES):
            costs[name].append(measure(name, song, oracles, threads))
    print(f"{song}, {threads} thread(s)")
    for name, runs in costs.items():
        figures = {figure: spread([run[figure] for run in runs]) for figure in runs[0]}
        print(
            f"  {name:<10} wall {figures['wall']} s, CPU {figures['cpu']} s, "
            f"peak {figures['peak']} MB"
        )
    for figure in ("wall", "cpu"):
        ratios = [
            theirs[figure] / ours[figure]
            for ours, theirs in zip(costs["stemsplit"], costs["museval"], strict=True)
        ]
        print(f"  {figure} ratio {spread(ratios)}  (museval / stemsplit, pair by pair)")
    ours, theirs = (np.load(oracles / f"{name}.npz") for name in NAMES)
    for field in FIELDS:
        apart = float(np.nanmax(np.abs(ours[field] - theirs[field])))
        print(f"  {field.upper()} differs by {apart:.1e} dB at most, over all frames and stems")


def measure_hour(minutes: int = 60) -> None:
    """Show the time and the peak of memory of four stereo stems of an hour, made as they go."""
    import torch

    from stemsplit.evaluation import BssEval, ScalarScores

    def take(*takers: object) -> None:
        generator = torch.Generator().manual_seed(0)
        for _ in range(minutes * 60):
            pair = torch.randn(2, 4, 2, 44_100, generator=generator, dtype=torch.float64)
            for taker in takers:
                taker(pair[0], pair[0] + 0.1 * pair[1])  # type: ignore[operator]

    began = time.perf_counter()
    evaluation, scalars = BssEval(4, 2), ScalarScores()
    take(evaluation.correlate, scalars.add)
    take(evaluation.score)
    frames = evaluation.result().sdr.shape[1]
    peak = peak_memory()
    seconds = time.perf_counter() - began
    print(f"{minutes} min: {frames} frames, {seconds:.0f} s, peak {peak:.0f} MB")
    print(f"scalars: {scalars.result()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--song", default="eif_lithium")
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--oracles", type=Path, help="a folder with museval in it")
    parser.add_argument("--child", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        scores = score(options.child, options.song, options.oracles)
        np.savez(options.oracles / f"{options.child}.npz", **scores)
        return
    print(describe_machine())
    if options.hour:
        measure_hour()
        return
    with tempfile.TemporaryDirectory() as scratch:
        oracles = options.oracles or museval_package.install(Path(scratch))
        compare(options.song, oracles, options.pairs, options.threads)


if __name__ == "__main__":
    main()
