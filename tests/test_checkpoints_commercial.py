"""Commercial use: which models are refused, and which are named instead."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from command import TINY, run
from registered import OwnRegistry, table

import stemsplit
from stemsplit.checkpoints.commercial import require_commercial
from stemsplit.errors import UsageError

FOUR = ("drums", "bass", "other", "vocals")


def refusal(name: str, stems: tuple[str, ...] = FOUR) -> UsageError:
    with pytest.raises(UsageError) as caught:
        require_commercial(name, stems)
    return caught.value


@pytest.mark.parametrize("name", [TINY, "scnet", "tiny.htdemucs_ft", "scnet,scnet.large", "hpss"])
def test_what_its_licence_allows_is_not_refused(name: str) -> None:
    require_commercial(name, FOUR)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("htdemucs", "the licence of htdemucs does not allow commercial use: for scientific"),
        ("bs_roformer.sw", "the licence of bs_roformer.sw is not known to allow commercial use"),
        ("scnet,htdemucs", "the licence of htdemucs does not allow"),
        ("htdemucs_ft", "the licence of htdemucs_ft does not allow"),
    ],
)
def test_what_is_not_known_to_be_allowed_is_refused(name: str, reason: str) -> None:
    error = refusal(name)
    assert str(error).startswith(reason)
    assert "best first: scnet.large, scnet, spleeter_4stems, " in str(error.hint)
    assert "models list --stem drums,bass,other,vocals --commercial --sort sdr" in str(error.hint)


def test_the_hint_is_about_the_stems_that_are_wanted() -> None:
    assert "best first: mel_band_roformer.kim, scnet.large" in str(
        refusal("htdemucs", ("vocals",)).hint
    )
    hint = "no model with guitar is known to allow it"
    assert refusal("htdemucs_6s", ("guitar",)).hint == hint


def test_an_ensemble_counts_as_its_strictest_member(own_registry: OwnRegistry) -> None:
    facts = ['address = "https://example.org/w"']
    ensemble = table("both", []).replace("architecture", "#").replace("config", "#")
    ensemble += 'commercial = "yes"\nmembers = ["free", "odd"]\n'
    ensemble += "weights = [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]\n"
    free = table("free", facts, 'commercial = "yes"')
    odd = table("odd", facts, 'commercial = "unclear"').replace('"MIT"', '"ask me"')
    own_registry.write(free + odd + ensemble)
    error = str(refusal("both"))
    assert error == "the licence of both is not known to allow commercial use: MIT; ask me"
    own_registry.edit('commercial = "unclear"', 'commercial = "yes"')
    require_commercial("both", FOUR)


def test_a_file_counts_as_the_model_whose_digest_it_has(
    own_registry: OwnRegistry, tmp_path: Path, checkpoint: bytes
) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(checkpoint)
    error = refusal(str(file))
    assert "own.safetensors: the licence of this checkpoint is unknown" in str(error)
    assert 'STEMSPLIT_REGISTRY with commercial = "yes"' in str(error.hint)
    digest = hashlib.sha256(checkpoint).hexdigest()
    facts = [f'address = "{file.as_uri()}", sha256 = "{digest}"']
    own_registry.write(table("mine", facts, 'commercial = "yes"'))
    require_commercial(str(file), FOUR)
    own_registry.edit('commercial = "yes"', 'commercial = "no"')
    assert "the licence of mine does not allow" in str(refusal(str(file)))


def test_the_command_refuses_before_anything_is_read_or_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an option, a variable and a setting; the song need not even be audio."""
    (tmp_path / "song.wav").write_bytes(b"")
    refused = run("song.wav", "--commercial", "--stems", "vocals", cwd=tmp_path)
    assert (refused.code, refused.stdout) == (2, "")
    assert "best first: mel_band_roformer.kim" in refused.stderr
    assert run("song.wav", "--commercial", "--dry-run", cwd=tmp_path).code == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEMSPLIT_COMMERCIAL", "1")
        assert run("song.wav", "--dry-run", cwd=tmp_path).code == 2
    config = tmp_path / "config.toml"
    config.write_text("commercial = true\n")
    monkeypatch.setenv("STEMSPLIT_CONFIG", str(config))
    assert run("song.wav", "--dry-run", cwd=tmp_path).code == 2
    assert run("watch", ".", cwd=tmp_path).code == 2
    assert run("song.wav", "--dry-run", "-n", TINY, cwd=tmp_path).code == 3  # it holds no audio


def test_python_refuses_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not allow commercial use"):
        stemsplit.Separator("htdemucs", commercial=True)
    with pytest.raises(UsageError, match="does not allow commercial use"):
        list(stemsplit.split_files(["song.wav"], commercial=True))
    assert stemsplit.Separator(TINY, commercial=True).stems == FOUR
