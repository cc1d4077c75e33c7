"""Import torch in two thirds of the usual time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import version
from types import ModuleType
from typing import Any

#: The versions of torch for which leaving out `LATE` was tested: elsewhere, all of it is imported.
TESTED = ("2.13.",)
#: Packages that ``import torch`` loads but no network here uses, with all that they import: rules
#: for compiling networks (a fifth of the time), training and quantising.
LATE = (
    "torch._meta_registrations",
    "torch.distributed._meta_registrations",
    "torch.export",
    "torch.distributions",
    "torch.quantization",
    "torch.utils.data",
)


def import_torch_for_running() -> None:
    """Import torch, without `LATE` until an attribute of them is used, or garbage collection.

    The modules of torch create 170 000 objects that live as long as the process. Only for a
    process of stemsplit itself, as another program may use more of torch.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        if version("torch").startswith(TESTED):
            _import_without_late()
        else:
            import torch  # noqa: F401
    finally:
        if collects:
            gc.freeze()
            gc.enable()


def _import_without_late() -> None:
    with loaded_late(LATE):
        import torch
    from torch._opaque_base import OpaqueBaseMeta

    # One of the modules left out does this; without it, there would be no `torch.Generator`.
    torch._C._set_generator_metaclass(OpaqueBaseMeta)


@contextmanager
def loaded_late(names: Collection[str]) -> Iterator[None]:
    """Let imports of the modules ``names`` in the block run them when they are first used."""
    finder = _LateFinder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LateFinder(MetaPathFinder):
    """Finds the modules ``names``, to be run when they are first used."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    """Makes modules empty until one of their attributes is looked up.

    `importlib.util.LazyLoader` would run them for ``__file__`` too, for which `inspect` looks in
    every module.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def look_up(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            del vars(module)["__getattr__"]
            self._loader.exec_module(module)
            return getattr(module, name)

        vars(module)["__getattr__"] = look_up
