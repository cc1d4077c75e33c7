"""The house: which room may know which, and what the command line may not pay for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "stemsplit"

#: Room -> the rooms that it may import from. ``stemsplit`` is the package's own file.
ALLOWED = {
    "errors": set(),
    "types": set(),
    "audio": {"errors", "types"},
    "handoff": {"stemsplit", "errors", "types", "audio"},
    "models": {"errors", "types"},
    "checkpoints": {"stemsplit", "errors", "types", "models"},
    "separation": {"stemsplit", "errors", "types", "models", "checkpoints", "audio", "handoff"},
    "evaluation": {"stemsplit", "errors", "types", "audio", "checkpoints"},
    "cli": {
        "stemsplit",
        "errors",
        "types",
        "audio",
        "checkpoints",
        "handoff",
        "separation",
        "evaluation",
    },
    "stemsplit": {"errors", "checkpoints", "separation"},
    "__main__": {"cli"},
}
#: A model that is another one's extension, or is made of others, may import it.
MODEL_EDGES = {
    "base",
    "classical",
    "config",
    "layers",
    "mel",
    "demucs_layers",
    "mmdensenet",
    "recurrent",
    "roformer",
    "wiener",
}


def imported(path: Path) -> set[str]:
    """Return the dotted names below ``stemsplit`` that the file at ``path`` imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
            assert node.level == 0, f"{path}: relative import"
    return {name for name in found if name.split(".")[0] == "stemsplit"}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "stemsplit" if parts == ("__init__",) else parts[0]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    for name in imported(path):
        target = name.split(".")[1]
        if not (PACKAGE / target).is_dir() and not (PACKAGE / f"{target}.py").is_file():
            target = "stemsplit"  # a name of the package itself
        assert target == room(path) or target in ALLOWED[room(path)], f"{path} imports {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in files() if path.parent.name == "models" and path.stem != "__init__"],
    ids=lambda path: path.stem,
)
def test_no_model_imports_another(path: Path) -> None:
    for name in imported(path):
        if name.startswith("stemsplit.models."):
            assert name.split(".")[2] in MODEL_EDGES, f"{path} imports {name}"


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a new interpreter has loaded after ``code``."""
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {name.split(".")[0] for name in out.split()}


@pytest.mark.parametrize(
    "code",
    [
        "import stemsplit, stemsplit.cli",
        "import stemsplit.cli.split, stemsplit.cli.models, stemsplit.cli.demo",
        "import stemsplit.checkpoints.registry, stemsplit.checkpoints.cache",
        "import stemsplit; stemsplit.list_models()",
        "from stemsplit.cli import main; main(['--version'])",
        "from stemsplit.cli import main; main(['models', 'list'])",
    ],
)
def test_what_needs_no_tensor_loads_none(code: str) -> None:
    assert not {"torch", "numpy", "rich", "onnx"} & modules_after(code)


@pytest.mark.parametrize("arguments", [["song.mp3", "-n", "nosuch"], ["missing.mp3"]])
def test_a_typo_does_not_load_torch(arguments: list[str]) -> None:
    loaded = modules_after(f"from stemsplit.cli import main; assert main({arguments}) in (2, 3)")
    assert "torch" not in loaded
