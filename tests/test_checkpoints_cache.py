"""The cache: what is in it is whole, whatever happened on the way there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk import limited_files
from loopback import Loopback
from registered import OwnRegistry, ensemble, pull, table

from stemsplit.checkpoints import cache, loading, registry
from stemsplit.checkpoints.entries import Model
from stemsplit.errors import CheckpointError, ResourceError
from stemsplit.types import Fetching, Noted, Warned

Register = Callable[..., Model]


@pytest.fixture
def register(server: Loopback, checkpoint: bytes, own_registry: OwnRegistry) -> Register:
    """Return a function that enters models ``names`` into an own registry; it returns the first.

    Their weights come from ``/NAME-0``, then ``/NAME-1`` and so on of the server; ``size`` is what
    the registry says. Only the last address has a file, unless a test puts one elsewhere.
    """

    def enter(*names: str, addresses: int = 1, size: int | None = None, more: str = "") -> Model:
        facts = f'sha256 = "{hashlib.sha256(checkpoint).hexdigest()}"'
        facts += "" if size is None else f", size = {size}"
        text = more
        for name in names:
            places = [f"{server.root}/{name}-{number}" for number in range(addresses)]
            sources = [f'address = "{place}", {facts}' for place in places]
            text += table(name, sources, f'licence_note = "{name}: for tests only"')
            server.serve(f"/{name}-{addresses - 1}", checkpoint)
        own_registry.write(text)
        return registry.resolve(names[0])

    return enter


def tree() -> list[str]:
    """What the cache holds, locks aside."""
    root = cache.cache_dir()
    paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return sorted(path for path in paths if not path.startswith("locks/"))


WHOLE = ["models/mine/origin.json", "models/mine/weights.safetensors"]


def test_a_model_is_pulled_once(register: Register, server: Loopback, checkpoint: bytes) -> None:
    model = register("mine")
    assert cache.find(model) is None
    assert cache.missing(model) == [model]
    events = pull(model)
    assert events[:2] == [
        Warned("mine: licence of the weights: MIT; commercial use: unclear"),
        Warned("mine: for tests only"),
    ]
    assert isinstance(events[-1], Fetching)
    assert events[-1].done == events[-1].total == len(checkpoint)
    assert cache.missing(model) == []
    assert tree() == WHOLE
    assert pull(model) == []
    assert len(server.requests) == 1
    cache.verify(model)


@pytest.mark.parametrize(
    ("commercial", "kind"), [("yes", Noted), ("no", Warned), ("unclear", Warned)]
)
def test_every_licence_is_shown_before_the_first_fetch(
    register: Register, own_registry: OwnRegistry, commercial: str, kind: type
) -> None:
    register("mine")
    terms = f'licence_source = "https://example.org"\ncommercial = "{commercial}"\n'
    own_registry.edit('licence_note = "mine: for tests only"\n', terms)
    events = pull(registry.resolve("mine"))
    assert events[0] == kind(
        f"mine: licence of the weights: MIT (https://example.org); commercial use: {commercial}"
    )
    assert all(isinstance(event, Fetching) for event in events[1:])
    assert pull(registry.resolve("mine")) == []


def test_the_origin_is_recorded(register: Register, server: Loopback) -> None:
    model = register("mine")
    pull(model)
    folder = cache.folder_of(model)
    origin = json.loads((folder / "origin.json").read_text())
    [file] = origin["files"]
    assert file["address"] == f"{server.root}/mine-0"
    assert file["sha256"] == model.sources[0].files[0].sha256
    assert origin["format"] == "safetensors"
    assert origin["weights"]["size"] == (folder / "weights.safetensors").stat().st_size


def test_a_mirror_serves_when_the_official_address_does_not(
    register: Register, server: Loopback
) -> None:
    model = register("mine", addresses=2)
    host = server.root.removeprefix("http://")
    events = pull(model)
    assert events[-1] == Warned(f"mine came from a mirror ({host}: HTTP 404 Not Found)")
    assert [path for path, _ in server.requests] == ["/mine-0", "/mine-1"]
    origin = json.loads((cache.folder_of(model) / "origin.json").read_text())
    assert origin["files"][0]["address"].endswith("/mine-1")


def test_the_failure_of_each_source_is_reported(register: Register, server: Loopback) -> None:
    model = register("mine", addresses=2)
    host = server.root.removeprefix("http://")
    server.serve("/mine-1", b"something else")
    with pytest.raises(CheckpointError) as caught:
        pull(model)
    assert str(caught.value).startswith(
        f"the weights of mine could not be fetched ({host}: HTTP 404 Not Found; "
        f"{host}: mine-1 has SHA-256 "
    )
    assert caught.value.exit_code == 4
    assert caught.value.hint is not None
    assert "stemsplit models pull mine" in caught.value.hint
    assert "-n FILE" in caught.value.hint
    assert tree() == []


def test_a_file_that_cannot_be_converted(
    register: Register, own_registry: OwnRegistry, server: Loopback
) -> None:
    digest = register("mine").sources[0].files[0].sha256
    server.serve("/mine-0", b"not safetensors")
    other = server.files["/mine-0"].sha256
    own_registry.edit(digest, other)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        pull(registry.resolve("mine"))
    assert not [path for path in tree() if path.startswith("models")]


def test_weights_of_another_network_are_refused(
    register: Register, own_registry: OwnRegistry
) -> None:
    register("mine")
    own_registry.edit('"drums", "bass"', '"bass", "drums"')
    with pytest.raises(CheckpointError, match="stems drums, bass, other, vocals, not") as caught:
        pull(registry.resolve("mine"))
    assert caught.value.exit_code == 4
    assert not [path for path in tree() if path.startswith("models")]


def test_settings_make_no_second_download(
    register: Register, own_registry: OwnRegistry, server: Loopback
) -> None:
    """Two entries of the same files: the settings of each count, and the files come once."""
    from stemsplit.checkpoints import loading

    register("mine")
    text = own_registry.path.read_text()
    other = text.replace('"mine"', '"other"').replace("segment = 44100", "segment = 22050")
    own_registry.write(text + other)
    mine, other_model = registry.resolve("mine"), registry.resolve("other")
    with pytest.raises(CheckpointError, match="not in the cache"):
        pull(other_model, offline=True)
    pull(mine)
    asked = list(server.requests)
    assert pull(other_model, offline=True) == []
    assert server.requests == asked
    cache.verify(other_model)
    networks = {name: loading.load(name) for name in ("mine", "other")}
    assert {name: network.segment for name, network in networks.items()} == {
        "mine": 44_100,
        "other": 22_050,
    }
    cache.remove(mine)
    assert cache.find(mine) is None and cache.find(other_model) is not None
    pull(mine, offline=True)
    assert loading.load("mine").segment == 44_100


def test_settings_have_to_fit_the_weights(register: Register, own_registry: OwnRegistry) -> None:
    register("mine")
    own_registry.edit("t_layers = 3", "t_layers = 1")
    with pytest.raises(CheckpointError, match="does not fit htdemucs:HTDemucs"):
        pull(registry.resolve("mine"))


def test_offline_opens_no_connection(register: Register, server: Loopback) -> None:
    model = register("mine")
    with pytest.raises(CheckpointError, match="the weights of mine are not in the cache") as caught:
        pull(model, offline=True)
    assert caught.value.exit_code == 4
    assert caught.value.hint == "run once while online: stemsplit models pull mine"
    assert server.requests == []
    pull(model)
    assert pull(model, offline=True) == []
    assert pull(registry.resolve("tiny.htdemucs"), offline=True) == []


def test_other_weights_in_the_registry_mean_another_pull(
    register: Register, own_registry: OwnRegistry, server: Loopback
) -> None:
    model = register("mine")
    pull(model)
    own_registry.edit(model.sources[0].files[0].sha256, "0" * 64)
    assert cache.find(registry.resolve("mine")) is None


@pytest.mark.parametrize("other", ["t_heads = 2", ""], ids=["changed", "left out"])
def test_another_configuration_in_the_registry_means_another_pull(
    register: Register, own_registry: OwnRegistry, other: str
) -> None:
    """The converted file holds the configuration of that time, and would be run with it."""
    model = register("mine")
    pull(model)
    own_registry.edit("t_heads = 4, ", f"{other}, " if other else "")
    assert cache.find(registry.resolve("mine")) is None


@pytest.mark.parametrize("harm", ["cut", "no origin", "empty origin", "no weights"])
def test_a_broken_entry_is_fetched_again(register: Register, harm: str) -> None:
    model = register("mine")
    pull(model)
    folder = cache.folder_of(model)
    weights, origin = folder / "weights.safetensors", folder / "origin.json"
    match harm:
        case "cut":
            os.truncate(weights, weights.stat().st_size - 1)
        case "no origin":
            origin.unlink()
        case "empty origin":
            origin.write_text("")
        case "no weights":
            weights.unlink()
    assert cache.find(model) is None
    pull(model)
    cache.verify(model)
    assert tree() == WHOLE


def test_a_flipped_bit_is_found_by_verify(register: Register) -> None:
    model = register("mine")
    with pytest.raises(CheckpointError, match="the weights of mine are not in the cache"):
        cache.verify(model)
    pull(model)
    path = cache.find(model)
    assert path is not None
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)[0]
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: damaged") as caught:
        cache.verify(model)
    assert caught.value.exit_code == 4
    assert "stemsplit models rm mine" in str(caught.value.hint)


def test_remove(register: Register) -> None:
    model = register("mine")
    assert cache.remove(model) == []
    pull(model)
    assert cache.remove(model) == [cache.folder_of(model)]
    assert tree() == []
    assert cache.find(model) is None


PAIR = ensemble(
    "pair",
    ["pair.a", "pair.b"],
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]],
    'licence_note = "pair: for tests only"',
)


def test_of_an_ensemble_only_what_the_stems_need_is_pulled(register: Register) -> None:
    register("pair.a", "pair.b", more=PAIR)
    pair = registry.resolve("pair")
    assert [each.name for each in cache.missing(pair)] == ["pair.a", "pair.b"]
    events = pull(pair, stems=["vocals"])
    assert [event for event in events if isinstance(event, Warned)] == [
        Warned("pair: licence of the weights: MIT; commercial use: unclear"),
        Warned("pair: for tests only"),
    ]
    assert [each.name for each in cache.missing(pair)] == ["pair.a"]
    assert cache.missing(pair, ["other"]) == []
    pull(pair)
    assert cache.missing(pair) == []
    cache.verify(pair)
    assert len(cache.remove(pair)) == 2
    assert tree() == []


def test_hints_about_a_member_name_the_ensemble(register: Register, server: Loopback) -> None:
    register("pair.a", "pair.b", more=PAIR)
    pair = registry.resolve("pair")
    with pytest.raises(CheckpointError) as caught:
        loading.load("pair", stems=["vocals"])
    assert caught.value.hint == "run: stemsplit models pull pair"
    server.serve("/pair.b-0", b"something else")
    with pytest.raises(CheckpointError, match=r"the weights of pair\.b could not") as caught:
        pull(pair, stems=["vocals"])
    folders = cache.folder_of(pair).with_name("{pair.a,pair.b}")
    assert f"stemsplit models pull pair; then copy {folders} here" in str(caught.value.hint)


# Accidents.

SCRIPT = """
import os, sys
from stemsplit.checkpoints import cache, loading, registry
from stemsplit.errors import StemsplitError
try:
    for event in cache.pull(registry.resolve("mine")):
        print(event, flush=True)
except StemsplitError as exc:
    print(exc)
    sys.exit(exc.exit_code)
"""


def start(script: str = SCRIPT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_kill_in_the_middle_leaves_no_entry_and_the_next_run_resumes(
    register: Register, server: Loopback, checkpoint: bytes
) -> None:
    model = register("mine")
    half = len(checkpoint) // 2
    server.serve("/mine-0", checkpoint, stall_after=half)
    process = start()
    assert process.stdout is not None
    for line in process.stdout:
        if f"done={half}," in line:
            break
    process.kill()
    process.communicate()
    assert cache.find(model) is None
    [left] = tree()
    assert left.startswith("partial/models-mine/")
    server.serve("/mine-0", checkpoint)
    server.requests.clear()
    pull(model)
    assert tree() == WHOLE
    [(_, asked)] = server.requests
    assert asked is not None
    assert int(asked.removeprefix("bytes=").removesuffix("-")) >= half - (1 << 20)
    cache.verify(model)


def test_leftovers_of_a_killed_conversion_are_swept(register: Register) -> None:
    model = register("mine")
    partial = cache.cache_dir() / "partial"
    for name in ("models-mine", "models-old", "models-young"):
        (partial / name / "new").mkdir(parents=True)
        (partial / name / "new" / "weights.safetensors").write_bytes(b"half")
    for path in (partial / "models-old").rglob("*"):
        os.utime(path, (1, 1))
    pull(model)
    # What is young may belong to a process that has not locked it yet, or be gone on with.
    assert tree() == [*WHOLE, "partial/models-young/new/weights.safetensors"]


def test_two_processes_fetch_once(register: Register, server: Loopback, checkpoint: bytes) -> None:
    model = register("mine")
    half = len(checkpoint) // 2
    server.serve("/mine-0", checkpoint, break_after=half, breaks=1)
    first, second = start(), start()
    outputs = [first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert tree() == WHOLE
    assert len(server.requests) == 2  # the beginning, and the rest after the break
    cache.verify(model)


def test_the_second_process_waits_and_says_so(
    register: Register, server: Loopback, checkpoint: bytes
) -> None:
    model = register("mine")
    server.serve("/mine-0", checkpoint, stall_after=1000)
    first = cache.pull(model)
    while not isinstance(event := next(first), Fetching) or not event.done:
        pass
    second = start()
    assert second.stdout is not None
    lines = [second.stdout.readline() for _ in range(3)]  # two of them show the licence
    assert "another process (waiting for it)" in lines[2], lines
    first.close()  # as Ctrl-C does
    server.serve("/mine-0", checkpoint)
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert cache.find(model) is not None


def test_a_full_disk_leaves_no_entry(register: Register) -> None:
    model = register("mine")
    message = r"the disk is full \(File too large\)"
    with limited_files(100_000), pytest.raises(ResourceError, match=message) as caught:
        pull(model)
    assert caught.value.exit_code == 5
    assert cache.find(model) is None
    pull(model)
    assert tree() == WHOLE


def test_too_little_space_is_reported_before_the_download(
    register: Register, server: Loopback
) -> None:
    model = register("mine", size=10**15)
    with pytest.raises(ResourceError, match="not enough space for mine: 2500000000 MB") as caught:
        pull(model)
    assert caught.value.exit_code == 5
    assert "STEMSPLIT_CACHE_DIR" in str(caught.value.hint)
    assert server.requests == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions of POSIX")
@pytest.mark.parametrize("used", [False, True])
def test_a_cache_that_cannot_be_written(
    register: Register, server: Loopback, monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    import filelock  # noqa: F401  # before this process loses the right to read it

    model = register("mine")
    root = Path(tempfile.mkdtemp())  # others may not even look into the folders of pytest
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(root))
    for name in ("locks", "models", "partial") if used else ():
        (root / name).mkdir()
    for folder in (root, *root.iterdir()):
        folder.chmod(0o555)
    as_root = os.geteuid() == 0
    if as_root:
        os.seteuid(65534)  # user nobody: permissions do not restrict root
    try:
        with pytest.raises(ResourceError, match="Permission denied") as caught:
            for _ in zip(range(9), cache.pull(model), strict=False):  # it could wait for ever
                pass
    finally:
        if as_root:
            os.seteuid(0)
        for folder in (root, *root.iterdir()):
            folder.chmod(0o755)
        shutil.rmtree(root)
    assert caught.value.exit_code == 5
    assert caught.value.hint == "set STEMSPLIT_CACHE_DIR to a folder that you can write to"
    assert server.requests == []


def test_a_cache_below_a_file(
    register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = register("mine")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.raises(ResourceError, match="the cache cannot be written: Not a directory"):
        pull(model)


def test_reading_writes_nothing(register: Register) -> None:
    from stemsplit.checkpoints import loading

    model = register("mine")
    pull(model)
    root = cache.cache_dir()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    time.sleep(0.02)
    assert pull(model, offline=True) == []
    loading.load("mine")
    cache.verify(model)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", "~/weights")
    assert cache.cache_dir() == Path.home() / "weights"
    monkeypatch.delenv("STEMSPLIT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    if sys.platform == "linux":
        assert cache.cache_dir() == tmp_path / "xdg" / "stemsplit"
