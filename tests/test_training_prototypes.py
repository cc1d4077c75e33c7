"""A network of clusters learns in a run which cluster is which source."""

from __future__ import annotations

from pathlib import Path

import torch
from training import SOURCES, files_of, interrupt, options, run_whole, write_songs

from stemsplit.checkpoints.safetensors_file import read_tensors
from stemsplit.models import build
from stemsplit.training.network import TrainedNetwork, freeze, learn_prototypes, set_to_train

NETWORK = {
    "sources": list(SOURCES),
    "sample_rate": 8000,
    "segment": 4000,
    "hidden": 8,
    "layers": 1,
    "embedding": 4,
}
LOSS = [{"name": "deep_clustering"}]
SETTINGS = (
    "architecture=deep_clustering:DeepClustering",
    'network={sources=["vocals", "accompaniment"], sample_rate=8000, segment=4000, hidden=8, '
    "layers=1, embedding=4}",
    "loss=[{name='deep_clustering'}]",
    "steps=4",
)


def test_a_run_moves_the_prototypes_to_the_embeddings(tmp_path: Path) -> None:
    songs = write_songs(tmp_path / "songs")
    run_whole(options(tmp_path / "whole", songs, *SETTINGS))
    new = build("deep_clustering:DeepClustering", NETWORK).state_dict()["prototypes"]
    learnt = read_tensors(tmp_path / "whole/run/last.safetensors")["prototypes"]
    assert float((learnt - new).norm()) > 0.01
    assert torch.allclose(learnt.norm(dim=1), torch.ones(2))
    interrupt(options(tmp_path / "parts", songs, *SETTINGS), 4)
    run_whole(options(tmp_path / "parts", songs, *SETTINGS))
    assert files_of(tmp_path / "whole/run") == files_of(tmp_path / "parts/run")


def test_frozen_modules_stay_as_they_are() -> None:
    network = TrainedNetwork(build("deep_clustering:DeepClustering", NETWORK), LOSS)
    freeze(network.model, ["embedding.*"])
    set_to_train(network)
    modes = [module.training for module in network.modules()]
    learn_prototypes(network, torch.randn(1, 1, 4000), torch.randn(1, 2, 1, 4000))
    assert [module.training for module in network.modules()] == modes
    assert not all(modes)
