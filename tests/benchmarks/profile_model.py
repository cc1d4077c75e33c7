"""Where the time of one segment of a network goes, and how far it is above the arithmetic floor.

    python tests/benchmarks/profile_model.py MODEL [--precision bf16] [--threads 1] [--rows 25]

Prints, in Markdown, the operations that the network needs, the seconds that they would take at the
peaks which this machine reaches on matrices, convolutions and attention of good shapes, the seconds
that it takes (the best of several runs), and its operators by shape. Weights are random unless they
are in the cache: speed does not depend on them. FFTs are part of the time, not of the floor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from processes import describe_machine, peak_memory

if TYPE_CHECKING:
    from torch import Tensor

    from stemsplit.models.base import SeparationModel


def build_network(name: str) -> SeparationModel:
    """Return the network ``name``, of an ensemble the first: cached weights, else random ones."""
    import torch

    from stemsplit.checkpoints import loading, registry
    from stemsplit.errors import StemsplitError
    from stemsplit.models import build

    entry = registry.resolve(name)
    entry = registry.resolve(entry.members[0]) if entry.members else entry
    try:
        return loading.load(entry.name).eval().requires_grad_(False)
    except StemsplitError:
        torch.manual_seed(0)
        return build(entry.architecture, entry.config).eval().requires_grad_(False)


def best_time(run: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the least CPU and wall seconds of ``runs`` runs, after one that warms up."""
    run()
    cpu, wall = [], []
    for _ in range(runs):
        began, began_cpu = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    return min(cpu), min(wall)


def print_floor(operations: Mapping[str, int], peaks: Mapping[str, float], cpu: float) -> None:
    """Print the operations by kind with their floor, and the CPU seconds that were taken."""
    from flops import kind_of

    kinds = dict.fromkeys(peaks, 0)
    for operator, count in operations.items():
        kinds[kind_of(operator)] += count
    print("| kind | GFLOP | peak here, GFLOP/s of CPU time | floor, s |\n|---|---:|---:|---:|")
    for kind, count in kinds.items():
        floor = count / peaks[kind]
        print(f"| {kind} | {count / 1e9:.1f} | {peaks[kind] / 1e9:.0f} | {floor:.3f} |")
    total = sum(count / peaks[kind] for kind, count in kinds.items())
    print(f"| all | {sum(kinds.values()) / 1e9:.1f} | | {total:.3f} |\n")
    ratio = f"{cpu / total:.2f} × the floor" if total else "no operations were counted"
    print(f"Measured: {cpu:.3f} CPU s, {ratio}\n")


def print_operators(run: Callable[[], object], rows: int) -> None:
    """Print the ``rows`` operators and shapes that take most of the time of ``run``."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        run()
    events = profiler.key_averages(group_by_input_shape=True)
    events = sorted(events, key=lambda event: event.self_cpu_time_total, reverse=True)
    total = sum(event.self_cpu_time_total for event in events)
    print("| operator | shapes | calls | ms | share |\n|---|---|---:|---:|---:|")
    for event in events[:rows]:
        shapes = " ".join("×".join(map(str, shape)) for shape in event.input_shapes if shape)
        share = event.self_cpu_time_total / total
        cells = (event.key, shapes, event.count, f"{event.self_cpu_time_total / 1e3:.1f}")
        print(f"| {' | '.join(map(str, cells))} | {share:.1%} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, help="of audio, instead of a segment")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=25)
    return parser.parse_args()


def main() -> None:
    asked = parse()
    import torch
    from flops import count_operations, measure_peaks

    torch.set_num_threads(asked.threads)
    network = build_network(asked.model)
    frames = round(asked.seconds * network.sample_rate) if asked.seconds else network.segment
    noise = 0.1 * torch.randn(
        1, network.channels, frames, generator=torch.Generator().manual_seed(0)
    )
    dtype = torch.bfloat16 if asked.precision == "bf16" else torch.float32

    @torch.inference_mode()
    def run() -> Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return network(noise)

    cpu, wall = best_time(run, asked.runs)
    seconds = frames / network.sample_rate
    print(f"# {asked.model}, {asked.precision}, one segment of {seconds:.1f} s\n")
    print(f"{describe_machine()}; {asked.threads} thread(s)\n")
    print_floor(count_operations(run), measure_peaks(dtype), cpu)
    print(f"Wall time {wall:.3f} s; peak memory of the process {peak_memory():.0f} MB\n")
    print_operators(run, asked.rows)


if __name__ == "__main__":
    main()
