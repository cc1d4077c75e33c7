"""Other programs' files, whether listed in the registry or provided by the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemsplit.checkpoints.entries import Model, RemoteFile
from stemsplit.checkpoints.folders import known_digest_of
from stemsplit.checkpoints.registry import list_models
from stemsplit.errors import CheckpointError

if TYPE_CHECKING:
    from stemsplit.checkpoints.weights import Weights


def read_listed(model: Model, format: str, files: Sequence[Path]) -> Weights:
    """Return the weights of ``model`` in ``files``, with the configuration from the registry.

    Raises ``CheckpointError`` for files with other content.
    """
    from stemsplit.checkpoints.convert import BARE, convert, reconfigure

    facts = {"sources": list(model.stems), "sample_rate": model.sample_rate}
    known = model.config if format in BARE else facts | dict(model.config)
    weights = convert(format, files, architecture=model.architecture, config=known, listed=True)
    stems = tuple(weights.config.get("sources", ()))
    if weights.architecture != model.architecture or stems != model.stems:
        raise CheckpointError(
            f"contains {weights.architecture} with the stems {', '.join(stems)}, "
            f"not {model.architecture} with {', '.join(model.stems)}"
        )
    segment = {"segment": model.segment} if "segment" in weights.config else {}
    return reconfigure(weights, segment | dict(model.config), files[0])


def read_foreign(path: Path, format: str, settings: Mapping[str, Any] | None = None) -> Weights:
    """Return the weights in the file at ``path``, which has ``format``.

    A file that the registry lists, recognised by its SHA-256, is read as that model. For any other
    file, ``settings`` must provide what the file lacks, by the names of its network's
    configuration. Raises the same errors as `convert`.
    """
    from stemsplit.checkpoints.convert import convert

    model = None if settings else find_listed(path, format)
    if model is not None:
        return read_listed(model, format, [path])
    return convert(format, [path], config=settings)


def find_listed(path: Path, format: str) -> Model | None:
    """Return the first model of the registry whose source is the single file at ``path``."""
    digest = known_digest_of(path)
    for model in list_models():
        for source in model.sources:
            alone = source.format == format and len(source.files) == 1
            if alone and _has_digest(source.files[0], digest):
                return model
    return None


def _has_digest(file: RemoteFile, digest: str) -> bool:
    if file.sha256 is not None:
        return file.sha256 == digest
    return file.sha256_prefix is not None and digest.startswith(file.sha256_prefix)
