"""The doctor: what it finds here, and what it says of what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command import TINY, run

from stemsplit.audio import ffmpeg_facts
from stemsplit.audio.ffmpeg import find_ffmpeg
from stemsplit.audio.ffmpeg_facts import encoders_of, version_of
from stemsplit.cli.doctor import _without_password
from stemsplit.separation.execution import choose_execution
from stemsplit.version import __version__


def findings(tmp_path: Path) -> dict[str, dict[str, str]]:
    record = run("doctor", "--json", cwd=tmp_path).records[0]
    assert record["schema"] == 1
    return {finding["name"]: finding for finding in record["findings"]}


def test_all_requirements_are_met(tmp_path: Path) -> None:
    done = run("doctor", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert not [line for line in done.lines if line.startswith("!")]
    found = findings(tmp_path)
    assert found["stemsplit"]["detail"].startswith(f"{__version__}, ")
    assert torch.__version__ in found["torch"]["detail"]
    assert found["networks run"]["detail"] == str(choose_execution("auto", "auto", None))
    assert (
        found["ffmpeg"]["detail"] == f"{version_of(find_ffmpeg())} (5 to 9 work), {find_ffmpeg()}"
    )
    assert found["encoders"]["detail"] == "alac, libmp3lame, aac, libopus, libvorbis"
    assert found["cache"]["detail"] == f"{tmp_path / 'cache'}, 0 models, 0 MB"
    assert str(tmp_path) in found["this folder"]["detail"]
    for name, finding in found.items():
        assert any(name in line and finding["detail"] in line for line in done.lines)


def test_ffmpeg_reports_its_version_and_encoders() -> None:
    assert version_of(find_ffmpeg())[0] in "0123456789nN"
    assert {"libmp3lame", "flac", "pcm_s16le"} <= encoders_of(find_ffmpeg())
    assert "=" not in encoders_of(find_ffmpeg())


def test_failures_are_reported_and_the_other_checks_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_FFMPEG", "no-such-ffmpeg")
    (tmp_path / "wrong.toml").write_text("x = [")
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "wrong.toml"))
    done = run("doctor", cwd=tmp_path)
    assert (done.code, done.stderr) == (5, "")
    marked = [line.split()[1] for line in done.lines if line.startswith("!")]
    assert marked == ["ffmpeg", "settings"]
    assert "does not name a program: no-such-ffmpeg" in done.stdout
    assert "wrong.toml: invalid TOML" in done.stdout
    assert "hint: set it to the path of ffmpeg" in done.stdout
    assert findings(tmp_path)["proxy"]["status"] == "ok"


def test_an_ffmpeg_that_lacks_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "ffmpeg"
    small.write_text(
        "#!/bin/sh\n"
        f'if [ "$2" = -encoders ]; then "{find_ffmpeg()}" "$@" | grep -av libopus; exit; fi\n'
        f'exec "{find_ffmpeg()}" "$@"\n'
    )
    small.chmod(0o755)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(small))
    finding = findings(tmp_path)["encoders"]
    assert (finding["status"], finding["detail"]) == ("note", "missing: libopus (opus)")


def test_passwords_of_proxies_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    assert findings(tmp_path)["proxy"]["detail"] == "none"
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@studio:3128")
    monkeypatch.setenv("no_proxy", "localhost")
    detail = findings(tmp_path)["proxy"]["detail"]
    assert detail == "HTTPS_PROXY=http://…@studio:3128, no_proxy=localhost"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("me:secret@studio:3128", "…@studio:3128"),
        ("http://me:sec/re@t@studio:3128/", "http://…@studio:3128/"),
        ("socks5h://token@studio", "socks5h://…@studio"),
        ("http://studio:3128/?key=secret", "http://studio:3128/"),
        ("http://[me:secret@studio", "http://…@studio"),
        ("studio:3128", "studio:3128"),
    ],
)
def test_an_address_is_shown_without_secrets(address: str, shown: str) -> None:
    assert _without_password(address) == shown


def test_a_torch_that_cannot_be_loaded_is_a_finding_and_a_resource_error(
    song: Path, tmp_path: Path
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise ImportError('libfoo.so: no such file')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    told, split = (
        subprocess.run(
            [sys.executable, "-m", "stemsplit", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        for arguments in (["doctor"], ["-n", TINY, str(song)])
    )
    assert (told.returncode, told.stderr) == (5, "")
    marked = [line for line in told.stdout.splitlines() if line.startswith("!")]
    assert marked == ["! torch        cannot be imported: libfoo.so: no such file"]
    assert "\n  proxy " in told.stdout
    assert (split.returncode, split.stdout) == (5, "")
    assert "a library cannot be loaded: libfoo.so: no such file" in split.stderr
    assert "stemsplit doctor" in split.stderr


def test_an_ffmpeg_that_hangs_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nsleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("STEMSPLIT_FFMPEG", str(slow))
    monkeypatch.setattr(ffmpeg_facts, "ANSWER_SECONDS", 0.5)
    start = time.monotonic()
    finding = findings(tmp_path)["ffmpeg"]
    assert time.monotonic() - start < 20
    assert finding["status"] == "missing"
    assert finding["detail"] == f"{slow}: ffmpeg does not work: no answer in 0.5 s"


def test_a_cache_that_cannot_be_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEMSPLIT_CACHE_DIR", str(tmp_path / "file/cache"))
    found = findings(tmp_path)["cache disk"]
    assert found["status"] == "missing"
    assert found["detail"].endswith(f"cannot be created, {tmp_path / 'file'} is not a folder")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo = 1", "unknown setting: foo"),
        ("[watch]\nfoo = 1", "unknown setting: [watch] foo"),
        ('format = "wave"', "'wave' is not one of 'wav'"),
        ('model = "nosuch"', "no model 'nosuch'"),
        ('ensemble = ","', "--ensemble is empty: name at least one model"),
        ('ensemble = "htdemucs,nosuch"', "no model 'nosuch'"),
        ('model = "gone.th"', "gone.th: no such checkpoint file"),
    ],
)
def test_settings_that_no_split_would_take_are_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "wrong.toml"))
    finding = findings(tmp_path)["settings"]
    assert (finding["status"], reason in finding["detail"]) == ("missing", True)


def test_valid_settings_are_not_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.th").touch()
    (tmp_path / "good.toml").write_text('ensemble = ["htdemucs", "my.th"]\n[demo]\nseed = 2\n')
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "good.toml"))
    finding = findings(tmp_path)["settings"]
    assert finding["status"] == "ok"
    assert finding["detail"] == f"{tmp_path / 'good.toml'}: ensemble, demo"


def test_an_invalid_variable_is_shown_but_values_of_unknown_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_JOBS", "many")
    monkeypatch.setenv("STEMSPLIT_TOKEN", "secret")
    done = run("doctor", cwd=tmp_path)
    assert done.code == 5
    assert "! settings     STEMSPLIT_JOBS: Invalid value for '--jobs'" in done.stdout
    assert "STEMSPLIT_JOBS=many" in done.stdout
    assert "- environment  unknown variables: STEMSPLIT_TOKEN" in done.stdout
    assert "secret" not in done.stdout


def test_the_threads_that_a_split_uses_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert findings(tmp_path)["threads"]["detail"] == f"{own} (torch's choice)"
    monkeypatch.setenv("OMP_NUM_THREADS", str(own))
    assert findings(tmp_path)["threads"]["detail"] == f"{own} (OMP_NUM_THREADS)"
    (tmp_path / "mine.toml").write_text("threads = 5\n")
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "mine.toml"))
    assert findings(tmp_path)["threads"]["detail"] == f"5 ({tmp_path / 'mine.toml'})"
    monkeypatch.setenv("STEMSPLIT_THREADS", "6")
    assert findings(tmp_path)["threads"]["detail"] == "6 (STEMSPLIT_THREADS)"
    monkeypatch.setenv("STEMSPLIT_THREADS", "many")
    assert findings(tmp_path)["threads"]["detail"] == f"{own} (OMP_NUM_THREADS)"
