"""Importing torch without the parts that separating needs none of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stemsplit.separation.torch_import import LATE, loaded_late


def output_of(program: str) -> str:
    """Return what a new interpreter prints when it runs ``program``."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


IMPORT = "from stemsplit.separation.torch_import import *; import_torch_for_running()\n"
#: Prints those of `LATE` that have not been run.
WAITING = "import sys; print(*[n for n in LATE if '__getattr__' in vars(sys.modules[n])])\n"
DIGEST = """
import hashlib, torch
from stemsplit import Separator
torch.set_num_threads(1)
noise = torch.rand(2, 44_100, generator=torch.Generator().manual_seed(0)) - 0.5
for model in ("tiny.htdemucs", "tiny.bs_roformer", "tiny.open_unmix"):
    stems = Separator(model, device="cpu").separate(noise.numpy(), 44_100)
    for name in sorted(stems):
        print(hashlib.sha256(stems[name].tobytes()).hexdigest())
"""


def test_networks_run_without_the_late_parts_and_to_the_same_bits() -> None:
    *digests, waiting = output_of(IMPORT + DIGEST + WAITING).splitlines()
    assert waiting.split() == list(LATE)
    assert digests == output_of(DIGEST).splitlines()


def test_a_late_part_is_loaded_when_it_is_used() -> None:
    use = "import torch; print(torch.distributions.Normal(0.0, 1.0).variance.item())\n"
    value, waiting = output_of(IMPORT + use + WAITING).splitlines()
    assert value == "1.0"
    assert waiting.split() == [name for name in LATE if name != "torch.distributions"]


def test_every_late_part_can_be_loaded_after_all() -> None:
    use = "import importlib\nfor n in LATE: getattr(importlib.import_module(n), 'absent', 0)\n"
    end = "import torch; torch.Generator().manual_seed(0); print(torch.compile)\n"
    assert output_of(IMPORT + use + WAITING + end).startswith("\n<function compile")


def test_another_version_of_torch_is_imported_whole() -> None:
    program = "from stemsplit.separation import torch_import; torch_import.TESTED = ('0.',)\n"
    assert output_of(program + IMPORT + WAITING) == "\n"


def test_garbage_is_collected_again_after_the_import() -> None:
    program = "import gc; print(gc.isenabled(), gc.get_freeze_count() > 100_000)"
    assert output_of(IMPORT + program) == "True True\n"


def test_a_late_module_runs_at_the_first_use_of_an_attribute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_example.py").write_text("import late_log\nlate_log.append(1)\nanswer = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    log: list[int] = []
    monkeypatch.setitem(sys.modules, "late_log", log)  # type: ignore[arg-type]
    with loaded_late(["late_example"]):
        import late_example  # type: ignore[import-not-found]
    assert late_example.__file__ == str(tmp_path / "late_example.py")
    assert not hasattr(late_example, "__wrapped__")
    assert log == []
    assert (late_example.answer, late_example.answer) == (42, 42)
    assert log == [1]
    with pytest.raises(AttributeError, match="nothing"):
        _ = late_example.nothing
    monkeypatch.delitem(sys.modules, "late_example")
