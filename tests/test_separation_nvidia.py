"""Cards that torch cannot use. A stand-in for ``nvidia-smi`` lists one."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from command import TINY, run

from stemsplit.errors import ResourceError
from stemsplit.separation import nvidia
from stemsplit.separation.device import resolve_device
from stemsplit.separation.nvidia import unusable_card

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use a card here")

CARD = "NVIDIA GeForce RTX 3060"
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the command is that for Linux")


def install_tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    install_tool(tmp_path / "bin", monkeypatch, f'echo "GPU 0: {CARD} (UUID: GPU-1d4b)"')


@ON_LINUX
def test_a_torch_without_cuda_is_replaced_by_one_command(card: None) -> None:
    found = unusable_card()
    assert found is not None
    assert found.problem == f"torch cannot use the {CARD}, because this torch is built without CUDA"
    python, *words = shlex.split(found.remedy)
    assert python == sys.executable
    assert words[:4] == ["-m", "pip", "install", "--force-reinstall"]
    assert re.match(r"torch\b", words[4])
    assert words[5:] == ["torchaudio"]


@ON_LINUX
def test_where_there_is_no_pip_uv_does_it(card: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia.importlib.util, "find_spec", lambda name: None)
    found = unusable_card()
    assert found is not None
    assert found.remedy.startswith(f"uv pip install --python {shlex.quote(sys.executable)} ")


def test_where_pip_has_no_cuda_build_the_user_chooses_one(
    card: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia.platform, "machine", lambda: "aarch64")
    found = unusable_card()
    assert found is not None
    assert "pytorch.org/get-started" in found.remedy


@pytest.mark.parametrize(
    ("refusal", "reason", "remedy"),
    [
        (
            "The NVIDIA driver on your system is too old (found version 11040). Please update your "
            "GPU driver.",
            "its driver is too old for the CUDA 13.0 of this torch",
            "driver",
        ),
        (
            "CUDA unknown error - this may be due to an incorrectly set up environment.",
            "CUDA does not start (CUDA unknown error)",
            "restart the machine",
        ),
    ],
)
def test_a_broken_driver_is_not_blamed_on_torch(
    card: None, monkeypatch: pytest.MonkeyPatch, refusal: str, reason: str, remedy: str
) -> None:
    def refuse() -> None:
        raise RuntimeError(refusal)

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", refuse)
    found = unusable_card()
    assert found is not None
    assert found.reason == reason
    assert remedy in found.remedy
    assert "pip" not in found.remedy


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_a_hidden_card_is_hidden_on_purpose(
    card: None, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert unusable_card() is None


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="a card is here")
@pytest.mark.parametrize(
    "script", ["echo 'NVIDIA-SMI has failed'; exit 9", "echo 'No devices were found'", "exit 127"]
)
def test_nvidia_smi_without_a_card_means_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install_tool(tmp_path / "bin", monkeypatch, script)
    assert unusable_card() is None


@pytest.mark.parametrize(
    ("capability", "architecture", "runs"),
    [
        ((8, 6), "sm_86", True),
        ((8, 9), "sm_86", True),
        ((8, 0), "sm_86", False),
        ((6, 1), "sm_75", False),
        ((9, 0), "sm_90a", True),
        ((12, 0), "sm_120", True),
        ((12, 1), "sm_120", True),
        ((10, 3), "sm_100a", False),
        ((10, 3), "sm_100f", True),
        ((12, 0), "compute_90", True),
        ((7, 5), "compute_90", False),
        ((10, 3), "compute_100f", True),
        ((12, 0), "compute_100f", False),
        ((9, 0), "gfx942", False),
    ],
)
def test_code_for_one_card_runs_on_some_others(
    capability: tuple[int, int], architecture: str, runs: bool
) -> None:
    assert nvidia._runs_on(capability, architecture) is runs


def test_a_device_that_torch_cannot_use_is_refused_with_the_remedy(card: None) -> None:
    with pytest.raises(ResourceError, match=f"device 'cuda': torch cannot use the {CARD}") as info:
        resolve_device("cuda")
    found = unusable_card()
    assert found is not None
    assert info.value.hint == found.remedy
    assert resolve_device("auto").type != "cuda"


def test_a_card_that_this_torch_has_no_code_for_is_not_used(
    card: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for name, value in {
        "is_available": True,
        "device_count": 1,
        "get_device_capability": (6, 1),
        "get_device_name": CARD,
        "get_arch_list": ["sm_75", "sm_120"],
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    found = unusable_card()
    assert found is not None
    assert found.reason == "this torch has no code for its compute capability 6.1"
    assert resolve_device("auto").type != "cuda"
    with pytest.raises(ResourceError, match="no code for its compute capability"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_60", "sm_75"])
    assert unusable_card() is None
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")


def test_a_run_says_it_once(song: Path, tmp_path: Path, card: None) -> None:
    (song.parent / "second.wav").write_bytes(song.read_bytes())

    def warnings(*arguments: object) -> list[str]:
        done = run(song.parent, "-n", TINY, "-f", *arguments, cwd=tmp_path)
        assert done.code == 0
        return [line for line in done.stderr.splitlines() if "warning" in line]

    (line,) = warnings()
    found = unusable_card()
    assert found is not None
    assert line == f"stemsplit: warning: {found.problem}; to use it: {found.remedy}"
    assert warnings("-q") == [line]
    assert warnings("-qq") == []
    assert warnings("--device", "cpu") == []


def test_the_doctor_says_it_too(tmp_path: Path, card: None) -> None:
    (record,) = run("doctor", "--json", cwd=tmp_path).records
    (finding,) = [each for each in record["findings"] if each["name"] == "cuda"]
    found = unusable_card()
    assert found is not None
    assert (finding["status"], finding["detail"]) == ("note", found.problem)
    assert finding["hint"] == found.remedy
