"""The doctor: what it finds here, and what it says of what is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from command import run

from stemsplit import __version__
from stemsplit.audio.ffmpeg import find_ffmpeg, list_encoders, version


def findings(tmp_path: Path) -> dict[str, dict[str, str]]:
    record = run("doctor", "--json", cwd=tmp_path).records[0]
    assert record["schema"] == 1
    return {finding["name"]: finding for finding in record["findings"]}


def test_all_that_splitting_needs_is_here(tmp_path: Path) -> None:
    done = run("doctor", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    assert not [line for line in done.lines if line.startswith("!")]
    found = findings(tmp_path)
    assert found["stemsplit"]["detail"].startswith(f"{__version__}, ")
    assert torch.__version__ in found["torch"]["detail"]
    assert found["ffmpeg"]["detail"] == f"{version()}, {find_ffmpeg()}"
    assert found["encoders"]["detail"] == "libmp3lame, aac, alac, libopus, libvorbis"
    assert found["cache"]["detail"] == f"{tmp_path / 'cache'}, 0 models, 0 MB"
    assert str(tmp_path) in found["this folder"]["detail"]
    for name, finding in found.items():
        assert any(name in line and finding["detail"] in line for line in done.lines)


def test_ffmpeg_tells_its_version_and_encoders() -> None:
    assert version()[0] in "0123456789nN"
    assert {"libmp3lame", "flac", "pcm_s16le"} <= list_encoders()
    assert "=" not in list_encoders()


def test_what_does_not_work_is_told_and_the_rest_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMSPLIT_FFMPEG", "no-such-ffmpeg")
    (tmp_path / "wrong.toml").write_text("x = [")
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(tmp_path / "wrong.toml"))
    done = run("doctor", cwd=tmp_path)
    assert (done.code, done.stderr) == (5, "")
    marked = [line.split()[1] for line in done.lines if line.startswith("!")]
    assert marked == ["ffmpeg", "settings"]
    assert "names no program: no-such-ffmpeg" in done.stdout
    assert "wrong.toml: is no TOML" in done.stdout
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
