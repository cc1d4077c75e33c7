"""The house: which room may import which, no circles, and what the command must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import soundfile

from stemsplit.cli.commands import COMMANDS

PACKAGE = Path(__file__).parent.parent / "stemsplit"

GROUND = {
    *("declarations", "errors", "git_lfs", "options", "plain_yaml", "signals", "small_files"),
    *("stall_timeout", "stem_names", "types", "user_folders", "version"),
}
#: Room -> the rooms that it may import from. ``stemsplit`` is the package's own file, its face.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "stall_timeout": set(),
    "small_files": set(),
    "stem_names": set(),
    "types": set(),
    "user_folders": set(),
    "version": set(),
    "signals": {"errors"},
    "declarations": {"errors"},
    "git_lfs": {"errors", "small_files"},
    "plain_yaml": {"errors", "small_files"},
    "options": {"declarations", "errors", "types"},
    "audio": GROUND,
    "models": GROUND,
    "checkpoints": GROUND | {"models"},
    "handoff": GROUND | {"audio"},
    "separation": GROUND | {"audio", "models", "checkpoints"},
}
ALLOWED["outputs"] = GROUND | {"audio", "checkpoints", "handoff", "separation"}
ALLOWED["data"] = GROUND | {"audio"}
ALLOWED["evaluation"] = GROUND | {"audio", "checkpoints", "data"}
ALLOWED["batch"] = ALLOWED["separation"] | {
    *("data", "evaluation", "handoff", "outputs", "separation"),
}
ALLOWED["training"] = ALLOWED["separation"] | {"data", "evaluation", "separation"}
ALLOWED["cli"] = ALLOWED["batch"] | {"batch", "training"}
ALLOWED["docgen"] = ALLOWED["cli"] | {"cli"}
ALLOWED["stemsplit"] = {"batch", "checkpoints", "errors", "version"}
ALLOWED["__main__"] = {"cli"}
#: A model that is another one's extension, or is made of others, may import it.
MODEL_EDGES = {
    "branches",
    "base",
    "classical",
    "config",
    "layers",
    "mel",
    "demucs_layers",
    "mmdensenet",
    "lstm",
    "operators",
    "pieces",
    "recurrent",
    "roformer",
    "spectrograms",
    "wiener",
}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    """Return the dotted name of the module in the file ``path``."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in files()}


def imported(path: Path, *, for_types: bool = True) -> set[str]:
    """Return the modules of the package that ``path`` imports, anywhere in it.

    Without ``for_types``, imports for the type checker alone do not count.
    """
    found = set()
    for node in walk(ast.parse(path.read_text()), for_types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
    return {name for name in found if name.split(".")[0] == "stemsplit"}


def walk(node: ast.AST, for_types: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            if for_types:
                yield from walk(child, for_types)
            continue
        yield child
        yield from walk(child, for_types)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "stemsplit"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = room(module_of(path))
    assert here in ALLOWED, f"{here} is a new room: add it to ALLOWED, with the rooms below it"
    for name in imported(path):
        assert room(name) == here or room(name) in ALLOWED[here], f"{path} imports {name}"


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_imports_the_package_itself(path: Path) -> None:
    assert "stemsplit" not in imported(path), f"{path}: import from the file that defines the name"


def test_no_two_files_import_each_other_in_a_circle() -> None:
    graph = {module_of(path): imported(path, for_types=False) for path in files()}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(f"a circle: {' -> '.join(error.args[1])}") from error
    assert order.index("stemsplit.errors") < order.index("stemsplit.cli.app")


@pytest.mark.parametrize(
    "path",
    [path for path in files() if path.parent.name == "models" and path.stem != "__init__"],
    ids=lambda path: path.stem,
)
def test_no_model_imports_another(path: Path) -> None:
    for name in imported(path):
        if name.startswith("stemsplit.models."):
            assert name.split(".")[2] in MODEL_EDGES, f"{path} imports {name}"


def test_the_batch_engine_can_be_read() -> None:
    """It was one file that one got lost in: functions of 40 lines at most, files of 300."""
    for path in sorted((PACKAGE / "batch").glob("*.py")):
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 40, f"{path}: {node.name}"


def test_every_command_has_a_row() -> None:
    for path in sorted((PACKAGE / "cli").glob("*.py")):
        names = {
            target.id
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if "app" in names:
            reason = f"cli/{path.name} defines a command: add a row for it to cli/commands.py"
            assert path.stem in COMMANDS, reason
        elif path.stem in COMMANDS:
            raise AssertionError(f"cli/{path.name} must define ``app``: it has a row in COMMANDS")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_has_a_command(name: str) -> None:
    assert (PACKAGE / "cli" / f"{name}.py").is_file(), f"COMMANDS names {name}: add cli/{name}.py"
    loaded = modules_after(f"import stemsplit.cli.{name}")
    heavy = loaded & {"torch", "numpy", "rich", "soundfile"}
    assert not heavy, f"cli/{name}.py imports {heavy}: import it in the function that needs it"


def modules_after(code: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after ``code``."""
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {*out.split(), *(name.split(".")[0] for name in out.split())}


@pytest.mark.parametrize(
    "code",
    [
        "import stemsplit, stemsplit.cli",
        "import stemsplit.checkpoints.registry, stemsplit.checkpoints.cache",
        "import stemsplit; stemsplit.list_models()",
        "from stemsplit.cli import main; main(['--version'])",
        "from stemsplit.cli import main; main(['models', 'list'])",
    ],
)
def test_what_needs_no_tensor_loads_none(code: str) -> None:
    heavy = {"torch", "numpy", "rich", "onnx", "pydantic"}
    assert not heavy & modules_after(code)


def test_reading_training_data_loads_no_torch() -> None:
    """Workers that read songs start fast, and share no threads with torch."""
    code = "import stemsplit.data.store, stemsplit.data.leakage, stemsplit.data.whitening"
    assert "torch" not in modules_after(code)


@pytest.mark.parametrize("arguments", [["song.mp3", "-n", "nosuch"], ["missing.mp3"]])
def test_a_typo_loads_nothing_that_only_a_split_needs(arguments: list[str]) -> None:
    loaded = modules_after(f"from stemsplit.cli import main; assert main({arguments}) in (2, 3)")
    heavy = {"torch", "numpy", "pydantic", "http", "filelock", "zipfile", "ffmpeg"}
    assert not (heavy | {"stemsplit.audio.probe"}) & loaded


def test_a_dry_run_loads_no_numpy(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, [0.0] * 100, 8000)
    arguments = ["--dry-run", "-n", "tiny.htdemucs", str(song)]
    loaded = modules_after(f"from stemsplit.cli import main; assert main({arguments}) == 0")
    assert not {"torch", "numpy", "pydantic", "http", "soundfile"} & loaded


def test_the_generator_of_pages_is_not_loaded_at_run_time() -> None:
    code = "from stemsplit.cli import main; main(['doctor']); main(['split', '--help'])"
    assert "stemsplit.docgen" not in modules_after(code)


def test_separating_never_imports_what_trains(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    soundfile.write(song, [0.0] * 100, 8000)
    arguments = ["-n", "tiny.htdemucs", str(song), "-o", str(tmp_path)]
    loaded = modules_after(f"from stemsplit.cli import main; assert main({arguments}) == 0")
    assert "torch" in loaded
    assert not any(name.startswith("stemsplit.training") for name in loaded)


def test_workers_of_training_load_no_torch() -> None:
    assert "torch" not in modules_after("import stemsplit.training.loader")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["unet", "--data", "missing", "--out", "run"],
        ["unet", "--out", "run"],
        ["unet", "--set", "optimizer.rl=1", "--data", "."],
        ["recipes"],
    ],
)
def test_a_typo_in_training_loads_no_torch(arguments: list[str]) -> None:
    code = f"from stemsplit.cli import main; assert main({['train', *arguments]}) in (0, 2, 3)"
    assert "torch" not in modules_after(code)
