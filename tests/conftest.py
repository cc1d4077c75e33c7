"""What the tests share: a song, and a cache of their own."""

from __future__ import annotations

import os

# One thread each: the networks are small, and tests run side by side. Set before torch is loaded,
# and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hashlib
import importlib
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np
import pytest
import soundfile
from loopback import Loopback
from registered import OwnRegistry

from stemsplit.data.synthetic import render

# A shell that runs the tests in the background has them ignore Ctrl-C, and nohup a hang-up; some of
# them send these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

#: What a test file imports, or calls, that runs ffmpeg: it is tested with several versions.
TOUCHES_FFMPEG = re.compile(
    r"\b(?:run_ffmpeg|find_ffmpeg|stem_files|tagged_files)\b|\bstore(?:_film|_stem_file)?\("
    r"|^from stemsplit\.audio(?: |\.(?!blocks|chunks|atomic|quantise|splice|writable)\w)",
    re.MULTILINE,
)

SECONDS = 2.0
SAMPLE_RATE = 44_100

#: Weights that were fetched once serve all runs of the tests that ask for them.
FETCHED = os.environ.get("STEMSPLIT_CACHE_DIR")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of every file that touches ffmpeg."""
    touching = {
        path: TOUCHES_FFMPEG.search(path.read_text()) is not None
        for path in {item.path for item in items}
    }
    for item in items:
        if touching[item.path]:
            item.add_marker("ffmpeg")


@pytest.fixture(autouse=True)
def _own_environment(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """No test sees the settings of the person who runs it, or writes to the real cache."""
    for name in os.environ:
        if name.startswith("STEMSPLIT_") and name != "STEMSPLIT_FFMPEG":
            monkeypatch.delenv(name)
    monkeypatch.setenv("STEMSPLIT_CONFIG", os.devnull)
    if request.node.get_closest_marker("weights"):
        if FETCHED:
            monkeypatch.setenv("STEMSPLIT_CACHE_DIR", FETCHED)
    else:
        monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(tmp_path / "cache"))
        # Bytes are compared, and every test has an empty cache: not measured each time.
        monkeypatch.setenv("STEMSPLIT_OPERATORS", "torch")
    yield


@pytest.fixture(scope="session")
def true_stems() -> dict[str, np.ndarray]:
    """The stems ``(C, T)`` of a short song, by name."""
    return render(seed=1, seconds=SECONDS, sample_rate=SAMPLE_RATE)


@pytest.fixture(scope="session")
def mixture(true_stems: dict[str, np.ndarray]) -> np.ndarray:
    """The short song ``(C, T)``."""
    return np.sum(list(true_stems.values()), axis=0)


@pytest.fixture
def song(mixture: np.ndarray, tmp_path: Path) -> Path:
    """The short song as a float32 WAV file, alone in its folder."""
    path = tmp_path / "music" / "song.wav"
    path.parent.mkdir()
    soundfile.write(path, mixture.T, SAMPLE_RATE, subtype="FLOAT")
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of weights as it may lie on a server: that of the tiny HTDemucs."""
    from command import TINY

    from stemsplit.checkpoints import loading, weights

    network = loading.load(TINY)
    path = tmp_path_factory.mktemp("made") / "w.safetensors"
    state = dict(network.state_dict())
    weights.save(weights.Weights("htdemucs:HTDemucs", network.config, state, "test"), path)
    return path.read_bytes()


@pytest.fixture
def own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnRegistry:
    """A registry of this test's own, with nothing in it."""
    return OwnRegistry(tmp_path, monkeypatch)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose SHA-256 is taken while a test runs, one entry each time."""
    found: list[Path] = []
    original = hashlib.file_digest

    def file_digest(file: BinaryIO, name: str) -> object:
        found.append(Path(file.name))
        return original(file, name)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server on this machine that is reached without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback() as server:
        yield server


@pytest.fixture(scope="session")
def oracles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages of others that compute the same metrics."""
    import museval_package

    return museval_package.install(tmp_path_factory.mktemp("oracles"))


@pytest.fixture(scope="session")
def release_v2(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ModuleType]:
    """Return a function that imports a module of demucs 2.0.3 under a separate name."""
    from demucs.states import capture_init
    from demucs.utils import center_trim

    folder = tmp_path_factory.mktemp("demucs")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    wanted = ["--no-binary", ":all:", "--dest", str(folder), "demucs==2.0.3"]
    subprocess.run([*pip, *wanted], check=True, capture_output=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    package = ModuleType("demucs_v2")
    package.__path__ = [str(next(folder.glob("demucs-*/demucs")))]
    helpers = ModuleType("demucs_v2.utils")  # its own one wants packages for training
    helpers.__dict__.update(capture_init=capture_init, center_trim=center_trim)
    sys.modules |= {"demucs_v2": package, "demucs_v2.utils": helpers}
    return lambda name: importlib.import_module(f"demucs_v2.{name}")
