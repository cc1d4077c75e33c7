"""The Python interface: tensors and files."""

from __future__ import annotations

import io
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from command import TINY

import stemsplit
from stemsplit import InputError, OutputError, Separator, UsageError, separate
from stemsplit.audio.decode import read
from stemsplit.separation import tensor_resample as resampling
from stemsplit.separation.tensor_resample import resample_tensor

STEMS = ("drums", "bass", "other", "vocals")


@pytest.fixture(scope="module")
def separator() -> Separator:
    return Separator(TINY, device="cpu")


@pytest.fixture
def mix(mixture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mixture)


def test_the_public_names() -> None:
    assert all(hasattr(stemsplit, name) for name in stemsplit.__all__)
    assert "htdemucs" in [model.name for model in stemsplit.list_models()]
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = stemsplit.nosuch


def test_a_tensor_gives_tensors_of_its_shape(separator: Separator, mix: torch.Tensor) -> None:
    before = mix.clone()
    stems = separator.separate(mix)
    assert tuple(stems) == STEMS == separator.stems
    assert all(stem.shape == mix.shape and stem.dtype == torch.float32 for stem in stems.values())
    assert torch.equal(mix, before)


def test_a_tensor_and_a_file_give_the_same(
    separator: Separator, mix: torch.Tensor, song: Path, tmp_path: Path
) -> None:
    tensors = separator.separate(mix, sample_rate=44_100)
    files = separator.separate_file(song, tmp_path / "out")
    assert files == {stem: tmp_path / "out" / "song" / f"{stem}.wav" for stem in STEMS}
    for stem, path in files.items():
        assert np.abs(read(path) - tensors[stem].numpy()).max() < 1e-6


def test_a_batch_is_its_songs_one_by_one(separator: Separator, mix: torch.Tensor) -> None:
    songs = torch.stack([mix, mix.flip(-1) * 0.5])
    together = separator.separate(songs)
    alone = separator.separate(songs[1])
    for stem in STEMS:
        assert together[stem].shape == songs.shape
        assert torch.equal(together[stem][1], alone[stem])


def test_songs_of_a_batch_share_runs_of_the_network(mix: torch.Tensor) -> None:
    separator = Separator(TINY, batch=3)
    runs: list[int] = []
    network = separator._engines.engine.model  # type: ignore[union-attr]
    network.register_forward_pre_hook(lambda _, inputs: runs.append(len(inputs[0])))
    songs = torch.stack([mix[:, :20_000] * gain for gain in (1.0, 0.5, 0.1)])
    separator.separate(songs)
    assert runs == [3]


def test_mono_stays_mono(separator: Separator, mix: torch.Tensor) -> None:
    assert separator.separate(mix[:1])["bass"].shape == (1, mix.shape[-1])


def test_the_rest_is_the_mix_without_the_stem(mix: torch.Tensor) -> None:
    stems = Separator(TINY, two_stems="vocals").separate(mix)
    assert tuple(stems) == ("vocals", "no_vocals")
    assert (stems["vocals"] + stems["no_vocals"] - mix).abs().max() < 1e-6


@pytest.mark.parametrize("sample_rate", [22_050, 48_000])
def test_other_rates_come_back_at_their_length(
    separator: Separator, mix: torch.Tensor, sample_rate: int
) -> None:
    stems = separator.separate(mix[:, :50_001], sample_rate)
    assert all(stem.shape == (2, 50_001) for stem in stems.values())


def swept(sample_rate: int) -> torch.Tensor:
    """A second of sines below 9 kHz, faded at both ends."""
    time = torch.arange(sample_rate, dtype=torch.float64) / sample_rate
    wave = sum(torch.sin(2 * torch.pi * hertz * time) for hertz in (50, 997, 4_999, 8_999))
    return (0.2 * wave * torch.hann_window(sample_rate, dtype=torch.float64)).float()[None]


def check_resampling() -> None:
    """What comes out must be the same sines, sampled at the other rate: no shift, no alias."""
    for from_rate, to_rate in [(44_100, 48_000), (48_000, 44_100), (96_000, 44_100)]:
        resampled = resample_tensor(swept(from_rate), from_rate, to_rate)[:, :to_rate]
        difference = resampled - swept(to_rate)[:, : resampled.shape[-1]]
        assert difference.abs().max() < 1e-4
        assert abs(resampled.shape[-1] - to_rate) <= 2


def test_resampling_by_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    assert resampling._torchaudio_functional() is None
    check_resampling()


def test_resampling_by_torchaudio() -> None:
    if resampling._torchaudio_functional() is None:
        pytest.skip("torchaudio does not load beside this torch")
    check_resampling()


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(10),
        torch.zeros(3, 10),
        torch.zeros(2, 0),
        torch.zeros(0, 2, 10),
        torch.full((2, 9), float("nan")),
        torch.zeros(2, 10, dtype=torch.int16),
        torch.zeros(2, 10, dtype=torch.complex64),
        np.zeros((2, 10), np.int16),
        np.zeros(10),
        "song.wav",
    ],
    ids=lambda wrong: f"{type(wrong).__name__} {getattr(wrong, 'dtype', '')}",
)
def test_wrong_tensors_are_refused(separator: Separator, wrong: torch.Tensor) -> None:
    with pytest.raises(UsageError) as caught:
        separator.separate(wrong)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("sample_rate", "reason"),
    [
        ("44100", "a whole number of Hz, not '44100'"),
        (44_100.5, "a whole number of Hz, not 44100.5"),
        (999, "at least 1000 Hz, not 999"),
        (999_999_999, "10 frames at 999999999 Hz are too short"),
    ],
)
def test_wrong_sample_rates_are_refused(
    separator: Separator, sample_rate: Any, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        separator.separate(torch.zeros(2, 10), sample_rate)


def test_an_array_may_be_read_only(separator: Separator, mixture: np.ndarray) -> None:
    mixture = mixture.copy()
    mixture.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stems = separator.separate(mixture)
    assert all(stem.flags.writeable for stem in stems.values())


def test_no_stem_is_the_memory_of_the_mix(mix: torch.Tensor) -> None:
    separator = Separator(TINY, mixes=["all=mix"], device="cpu")
    for song in (mix, mix.numpy()):
        before = song[0, 0].item()
        copy = separator.separate(song)["all"]
        assert copy[0, 0].item() == before
        copy[0, 0] += 1
        assert song[0, 0].item() == before


def test_errors_of_files(separator: Separator, song: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        separator.separate_file(tmp_path / "missing.wav", tmp_path)
    files = separator.separate_file(song, tmp_path)
    before = files["vocals"].stat().st_mtime_ns
    assert separator.separate_file(song, tmp_path)["vocals"].stat().st_mtime_ns == before
    with pytest.raises(OutputError, match=r"were made with tiny\.htdemucs, whole song, depth 32f"):
        separator.separate_file(song, tmp_path, depth="16")
    separator.separate_file(song, tmp_path, force=True)


def test_wrong_names_are_refused() -> None:
    with pytest.raises(UsageError, match="no model"):
        Separator("nosuch")
    with pytest.raises(UsageError, match="no stem 'kazoo'"):
        Separator(TINY, stems=["kazoo"])
    with pytest.raises(UsageError, match="unknown device"):
        Separator(TINY, device="tpu")


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp8"},
        {"overlap": 1.0},
        {"batch": 0},
        {"stems": "vocals"},
        {"format": "xyz"},
        {"depth": "8"},
        {"sample_rate": 48_000},
    ],
    ids=str,
)
def test_wrong_options_are_refused(options: dict[str, Any], song: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        separate(song, TINY, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("options", [{"out": "x"}, {"force": True}, {"sample_rate": 0}], ids=str)
def test_wrong_options_of_tensors_are_refused(options: dict[str, Any], mix: torch.Tensor) -> None:
    with pytest.raises(UsageError):
        separate(mix, TINY, **options)


def test_a_song_is_never_overwritten_by_its_stems(
    separator: Separator, mix: torch.Tensor, tmp_path: Path
) -> None:
    song = tmp_path / "vocals.wav"
    soundfile.write(song, mix.numpy().T, 44_100)
    before = song.read_bytes()
    with pytest.raises(UsageError, match="would overwrite the input"):
        separator.separate_file(song, tmp_path, filename="{stem}.{ext}", force=True)
    assert song.read_bytes() == before


def test_separate_takes_the_options_of_files(song: Path, tmp_path: Path) -> None:
    for _ in range(2):
        files = separate(
            song,
            TINY,
            stems=["bass"],
            out=tmp_path,
            filename="{stem}.{ext}",
            format="flac",
            force=True,
        )
    assert files == {"bass": tmp_path / "bass.flac"}


def test_separate_takes_files_and_tensors(mix: torch.Tensor, song: Path, tmp_path: Path) -> None:
    tensors = separate(mix, TINY, stems=["vocals"])
    files = separate(song, TINY, stems=["vocals"], out=tmp_path / "out")
    assert tensors["vocals"].shape == mix.shape
    assert files == {"vocals": tmp_path / "out/song/vocals.wav"}
    assert soundfile.info(files["vocals"]).frames == mix.shape[-1]


def test_the_generator_of_random_numbers_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Separator(TINY)
    assert torch.equal(torch.rand(3), expected)


def test_nothing_is_printed(mix: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    Separator(TINY).separate(mix[:, :1000])
    assert [stream.getvalue() for stream in streams] == ["", ""]
