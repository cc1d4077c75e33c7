"""On which device and in which precision a network runs. Imports torch only when needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from stemsplit.errors import MemoryShortage, MissingDevice, UsageError
from stemsplit.types import Precision

if TYPE_CHECKING:
    import ctypes

    import torch

#: Kinds of device a model can run on; ``cuda`` may have a number (``cuda:1``), ``auto`` is the
#: best one available.
DEVICES = ("auto", "cuda", "mps", "cpu")


def parse_device(name: str) -> tuple[str, int]:
    """Return kind and number of a device: ``auto``, ``cuda``, ``cuda:N``, ``mps`` or ``cpu``.

    Raises ``UsageError`` for an unknown name.
    """
    kind, colon, number = name.lower().partition(":")
    if kind not in DEVICES or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(
            f"unknown device {name!r}", hint="the devices are: auto, cuda, cuda:N, mps, cpu"
        )
    return kind, int(number or 0)


def parse_devices(names: str) -> tuple[str, ...]:
    """Return the devices in the comma-separated list ``names``, in lower case.

    Raises ``UsageError`` for an unknown name.
    """
    devices = tuple(name.strip().lower() for name in names.split(","))
    for name in devices:
        parse_device(name)
    return devices


def needs_check(names: str) -> bool:
    """Return whether one of the devices in ``names`` may be missing: all have a CPU."""
    return any(parse_device(name)[0] not in ("auto", "cpu") for name in parse_devices(names))


def require_devices(names: str) -> None:
    """Raise ``MissingDevice`` unless all devices in ``names``, with commas between, are here."""
    for name in parse_devices(names):
        resolve_device(name)


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name`` on this machine; ``auto`` is the best one available.

    Raises ``UsageError`` for an unknown name, and ``MissingDevice`` for a device that this machine
    does not have.
    """
    import torch

    from stemsplit.separation.nvidia import has_code_for, unusable_card

    kind, number = parse_device(name)
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    available = {
        "cuda": number < cards and has_code_for(number),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if kind == "auto":
        return torch.device(next(kind for kind, usable in available.items() if usable))
    if available[kind]:
        return torch.device(name)
    if kind == "cuda" and (card := unusable_card()) is not None:
        raise MissingDevice(f"device {name!r}: {card.problem}", hint=card.remedy)
    raise MissingDevice(
        f"no device {name!r} on this machine",
        hint="--device auto picks the best available one, --device cpu works everywhere",
    )


def resolve_precision(name: Precision, device: torch.device) -> torch.dtype:
    """Return the data type for the network: fp16 on CUDA and fp32 elsewhere, unless chosen.

    Raises ``UsageError`` for fp16 on a CPU, which has no fast fp16 arithmetic.
    """
    import torch

    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise UsageError(
            "--precision fp16 does not work on a CPU",
            hint="use fp32 (exact) or bf16 (fast on processors with AVX512-BF16 or AMX)",
        )
    return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]


#: How the libraries below torch report lack of memory, in errors without a specific type.
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "ALLOC_FAILED")


@contextmanager
def memory_explained(device: torch.device) -> Iterator[None]:
    """Turn the various errors for lack of memory on ``device`` into a ``MemoryShortage``."""
    import torch

    try:
        yield
    except (MemoryError, RuntimeError) as exc:
        typed = isinstance(exc, MemoryError | torch.OutOfMemoryError)
        if not typed and not any(words in str(exc) for words in _OUT_OF_MEMORY):
            raise
        remedy = "close other programs" if device.type == "cpu" else "use --device cpu"
        raise MemoryShortage(
            f"out of memory on {device}", hint=f"use a smaller --batch, or {remedy}"
        ) from exc


def keep_freed_memory() -> None:
    """Make the C library keep freed memory instead of returning it to the kernel.

    glibc maps new memory for every large tensor, and the page faults take a sixth of HTDemucs'
    time on a CPU, more with other networks. This affects the whole process, so only the command
    line calls it, before torch allocates. Does nothing without glibc.
    """
    if (glibc := _glibc()) is not None:
        # The numbers are from glibc's malloc.h.
        m_trim_threshold, m_mmap_max = -1, -4
        glibc.mallopt(m_mmap_max, 0)
        glibc.mallopt(m_trim_threshold, 2**31 - 4097)


def return_freed_memory() -> None:
    """Return freed memory to the kernel after all.

    Memory that is kept gets fragmented over time: called occasionally, this costs little and keeps
    the peak from growing. Does nothing without glibc.
    """
    if (glibc := _glibc()) is not None:
        glibc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes  # imported late: only runs that load a network need it

    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
