"""Speed and memory of the networks of the registry, relative to one of them.

    python tests/benchmarks/models.py [MODEL ...] [--relative-to htdemucs]

Each network is built with random weights in a process of its own, on one thread, and processes one
segment of noise: speed and memory do not depend on the values, and a long song costs this much for
every hop between segments. Nothing is downloaded. CPU seconds are counted, so that other work on
the machine matters little.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from processes import describe_machine, peak_memory

MODELS = (
    *("spleeter_2stems", "spleeter_4stems", "open_unmix.umxhq"),
    *("scnet", "scnet.large", "scnet.xl_ihf"),
    *("htdemucs", "htdemucs_6s", "htdemucs_ft", "hdemucs_mmi", "demucs_v2"),
    *("mdx23c.instvoc_hq", "mel_band_roformer.kim", "bs_roformer.viperx_1297", "bs_roformer.sw"),
)


def run_network(name: str) -> dict[str, float]:
    """Return the CPU seconds per second of audio, and the peak memory (MB) of this process.

    The members of an ensemble run one after the other: the first is measured, and counted as often
    as there are members.
    """
    import torch

    from stemsplit.checkpoints import registry
    from stemsplit.checkpoints.loading import conventions
    from stemsplit.models import build
    from stemsplit.separation.chunking import hop_frames

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = registry.resolve(name)
    first = registry.resolve(model.members[0]) if model.members else model
    network = build(first.architecture, first.config).eval().requires_grad_(False)
    noise = 0.1 * torch.randn(1, network.channels, network.segment)
    with torch.inference_mode():
        network(noise)  # warm up
        began = time.process_time()
        network(noise)
        spent = time.process_time() - began
    hop = hop_frames(network.segment, *conventions(model)) / network.sample_rate
    return {"cost": spent / hop * max(1, len(model.members)), "peak": peak_memory()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--relative-to", default="htdemucs")
    parser.add_argument("--network", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.network:
        print(json.dumps(run_network(options.network)))
        return
    print(describe_machine(), end="\n\n")
    results = {}
    for name in dict.fromkeys((options.relative_to, *options.models)):
        command = [sys.executable, __file__, "--network", name]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
        results[name] = json.loads(output)
    print("| model | × real time, one thread | speed | peak memory, MB |\n|---|---|---|---|")
    base = results[options.relative_to]["cost"]
    for name, result in sorted(results.items(), key=lambda item: item[1]["cost"]):
        cost, peak = result["cost"], result["peak"]
        print(f"| `{name}` | {1 / cost:.2f} | {base / cost:.2g} × | {peak:.0f} |")


if __name__ == "__main__":
    main()
