"""An NVIDIA card that torch cannot use: why, and how to fix it.

Usually pip has installed a CPU-only build of torch, or the driver is older than the CUDA of a new
torch. torch treats neither as an error, and runs on the CPU instead, many times slower.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ANSWER_SECONDS = 10
#: What selects a card in CUDA_VISIBLE_DEVICES; any other value hides all cards.
_CHOICE = re.compile(r"\s*(\d|GPU-|MIG-)")
#: Where to find builds of torch that the default index does not have.
_SELECTOR = "pytorch.org/get-started"


@dataclass(frozen=True, slots=True)
class UnusableCard:
    """The ``name`` of a card, the ``reason`` why torch cannot use it, and how to fix that."""

    name: str
    reason: str
    remedy: str

    @property
    def problem(self) -> str:
        """What is wrong, as a clause."""
        return f"torch cannot use the {self.name}, because {self.reason}"


def unusable_card() -> UnusableCard | None:
    """Return the NVIDIA card that this machine has and torch cannot use; None if there is none.

    A card that is hidden by CUDA_VISIBLE_DEVICES does not count: it was hidden on purpose.
    """
    import torch

    if not _CHOICE.match(os.environ.get("CUDA_VISIBLE_DEVICES", "0")):
        return None
    if torch.cuda.is_available():
        return None if has_code_for(0) else _without_code()
    name = _find_card()
    if name is None:
        return None
    if torch.version.cuda is None:
        return UnusableCard(name, "this torch is built without CUDA", _reinstallation())
    refusal = _refusal()
    if "too old" in refusal:
        reason = f"its driver is too old for the CUDA {torch.version.cuda} of this torch"
        return UnusableCard(name, reason, _driver_update())
    remedy = "restart the machine if its driver was updated; nvidia-smi shows whether that works"
    return UnusableCard(name, f"CUDA does not start ({refusal})", remedy)


def has_code_for(number: int) -> bool:
    """Return whether torch was compiled for the card ``number``, which CUDA can use.

    New builds leave out old cards, and then fail with the first tensor. Code for a card runs on
    later ones of the same major version; an intermediate form (``compute``) on all later ones.
    """
    import torch

    if torch.version.cuda is None:  # ROCm has other names
        return True
    capability = torch.cuda.get_device_capability(number)
    return any(_runs_on(capability, name) for name in torch.cuda.get_arch_list())


def _runs_on(capability: tuple[int, int], architecture: str) -> bool:
    """Return whether code for ``architecture`` ("sm_86", "compute_120") runs on ``capability``."""
    match = re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", architecture)
    if match is None:
        return False
    compiled = int(match[2]), int(match[3])
    if match[4] == "a":  # for this one only
        return capability == compiled
    if match[1] == "compute" and not match[4]:
        return capability >= compiled
    return capability[0] == compiled[0] and capability >= compiled


def _without_code() -> UnusableCard:
    import torch

    major, minor = torch.cuda.get_device_capability(0)
    return UnusableCard(
        torch.cuda.get_device_name(0),
        f"this torch has no code for its compute capability {major}.{minor}",
        f"install a build of torch for an older CUDA, as {_SELECTOR} shows",
    )


def _find_card() -> str | None:
    """Return the name of the first card that has a driver and that this process may use."""
    if (program := shutil.which("nvidia-smi")) and (name := _first_listed(program)):
        return name
    if not Path("/dev/nvidia0").exists():
        return None  # what /proc shows in a container belongs to others
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        if match := re.search(r"^Model:\s*(.+)$", file.read_text(errors="replace"), re.MULTILINE):
            return match[1].strip()
    return "NVIDIA card"


def _first_listed(program: str) -> str | None:
    try:
        listed = subprocess.run(
            [program, "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"^GPU \d+: (.+?)(?: \(UUID: .*)?$", listed.stdout, re.MULTILINE)
    return match[1].strip() if match else None


def _refusal() -> str:
    """Return why CUDA does not start, in the first words of torch's error."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except RuntimeError as exc:
        return re.split(r"\. |\n| - ", str(exc))[0].rstrip(".")
    return "no reason is known"


def _reinstallation() -> str:
    """Return the command that replaces a torch without CUDA."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        # Elsewhere the index that pip uses has CPU-only builds.
        return f"run the command for CUDA that {_SELECTOR} shows, with --force-reinstall"
    python, packages = shlex.quote(sys.executable), f"{shlex.quote(_requirement())} torchaudio"
    if importlib.util.find_spec("pip") is None:  # as in the environments of uv
        return f"uv pip install --python {python} --reinstall {packages}"
    return f"{python} -m pip install --force-reinstall {packages}"


def _requirement() -> str:
    """Return torch, with the versions that this package works with where they are known."""
    try:
        required = importlib.metadata.requires("stemsplit") or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    return next((each for each in required if re.match(r"torch\b", each)), "torch")


def _driver_update() -> str:
    if shutil.which("ubuntu-drivers"):
        return "sudo ubuntu-drivers install"
    return "install a newer driver: nvidia.com/drivers"
