"""Loading networks by name: from the cache, from a file, or built from their seed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stemsplit.checkpoints import cache, registry
from stemsplit.checkpoints.entries import Model, total_of
from stemsplit.checkpoints.folders import known_digest_of
from stemsplit.errors import CheckpointError, UsageError
from stemsplit.models.config import LONGEST_NAME
from stemsplit.types import Fetching, Noted, Warned, Window

if TYPE_CHECKING:
    from stemsplit.models.base import SeparationModel


#: How often the stems that a network produces have changed between versions of this program. Part
#: of the fingerprint, so that stems of an older version do not count as up to date.
REVISIONS: Mapping[str, int] = {
    # Songs are padded by reflection at their ends, as in the program that trained these networks.
    "bs_roformer:BSRoformer": 1,
    "mel_band_roformer:MelBandRoformer": 1,
    "mdx23c:MDX23C": 1,
    "scnet:SCNet": 1,
    # The end of a song is processed as in demucs, and DemucsV3 gets the audio around a segment.
    "demucs:DemucsV3": 1,
    "hdemucs:HDemucs": 1,
    # The last segment of a song no longer extends backwards to a whole one.
    "conv_tasnet:ConvTasNet": 1,
    "conv_tasnet:SpeechConvTasNet": 1,
    "demucs:Demucs": 1,
    "tasnet:TasNet": 1,
    "wave_unet:WaveUNet": 1,
    # Segments overlap less; in Open-Unmix, that and what is said above.
    "open_unmix:OpenUnmix": 2,
    "spleeter:Spleeter": 1,
}


def members(name: str) -> tuple[str, ...]:
    """Return the models or checkpoint files in ``name``, a comma-separated list.

    Models are returned by their names in the registry.
    """
    # A list may end like the name of a checkpoint file, or begin like a path.
    if "," not in name or os.path.isfile(name):
        return (registry.canonical(name),)
    parts = (part.strip() for part in name.split(","))
    return tuple(dict.fromkeys(registry.canonical(part) for part in parts if part))


def shares(name: str, stems: Sequence[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Return which of ``stems`` (None: all) each of the `members` of ``name`` produces.

    Members that produce none of them are left out. Raises ``UsageError`` for an unknown name, and
    for a stem that no member has.
    """
    given = {each: _stems_of_one(each) for each in members(name)}
    if stems is None:
        return given
    available = tuple(dict.fromkeys(stem for each in given.values() for stem in each))
    registry.require_stems(name, available, stems)
    chosen = {each: tuple(s for s in stems if s in own) for each, own in given.items()}
    return {each: own for each, own in chosen.items() if own}


def require_one_rate(name: str, stems: Sequence[str]) -> None:
    """Raise ``UsageError`` if the `members` that produce ``stems`` have different sample rates.

    Checkpoint files are skipped: their sample rates are only known once they are loaded.
    """
    named = [each for each in shares(name, stems) if registry.local_file(each) is None]
    rates = [registry.resolve(each).sample_rate for each in named]
    if len(set(rates)) > 1:
        listed = ", ".join(f"{rate} Hz" for rate in rates)
        raise UsageError(f"the models of an ensemble have different sample rates: {listed}")


def prepare(
    name: str,
    *,
    stems: Sequence[str] | None = None,
    offline: bool = False,
    allow_unverified: bool = False,
) -> Iterator[Fetching | Noted | Warned]:
    """Fetch the weights that are missing to `load` the `members` of ``name`` for ``stems``.

    Yields progress. Weights without a known SHA-256 are fetched only with ``allow_unverified``.
    Raises ``UsageError`` for an unknown name or stem, ``CheckpointError`` if the weights cannot be
    fetched, and ``ResourceError`` if they cannot be stored.
    """
    for each, own in shares(name, stems).items():
        if registry.local_file(each) is None:
            yield from cache.pull(
                registry.resolve(each),
                stems=own,
                offline=offline,
                allow_unverified=allow_unverified,
            )


def bytes_to_fetch(name: str, *, stems: Sequence[str] | None = None) -> int | None:
    """Return the bytes that `prepare` would transfer; None where that is not published."""
    return total_of(
        cache.bytes_to_fetch(registry.resolve(each), own)
        for each, own in shares(name, stems).items()
        if registry.local_file(each) is None
    )


def label(name: str) -> str:
    """Return a label for the `members` of ``name``, for use in file names."""
    paths = {each: registry.local_file(each) for each in members(name)}
    return "+".join(each if path is None else _label_of(path) for each, path in paths.items())


def _label_of(path: Path) -> str:
    # A folder has no extension, even with dots in its name.
    return path.resolve().name if os.path.isdir(path) else path.stem


def stems_of(name: str) -> tuple[str, ...]:
    """Return the stems, in order, that the `members` of ``name`` produce.

    Raises the same errors as `_stems_of_one`.
    """
    return tuple(dict.fromkeys(stem for own in shares(name).values() for stem in own))


def _stems_of_one(name: str) -> tuple[str, ...]:
    """Return the stems, in order, that the model or checkpoint file ``name`` produces.

    Converts a foreign file that has not been converted before. Raises ``UsageError`` for an unknown
    name and ``CheckpointError`` for a file that is not a checkpoint.
    """
    path = registry.local_file(name)
    if path is None:
        return registry.resolve(name).stems
    from stemsplit.checkpoints.weights import read_header

    names = read_header(_own_format(path)).config.get("sources")
    if not (
        isinstance(names, list)
        and names
        and all(isinstance(name, str) and name for name in names)
        and len(set(names)) == len(names)
    ):
        raise CheckpointError("its header lists no sources, or one of them twice", path=path)
    if any(len(os.fsencode(name)) > LONGEST_NAME for name in names):
        reason = f"its header has a source whose name is longer than {LONGEST_NAME} bytes"
        raise CheckpointError(reason, path=path)
    return tuple(names)


def fingerprint(name: str, *, stems: Sequence[str] | None = None) -> str:
    """Return a SHA-256, in hex, of everything that determines the `members`' output for ``stems``.

    That is the networks, their configurations and their weights, which must be in the cache. The
    bytes of cached weights are not read again; those of a checkpoint file are read once. Raises as
    `load` does.
    """
    parts = [_fingerprint_of_one(each, own) for each, own in shares(name, stems).items()]
    return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _fingerprint_of_one(name: str, stems: Sequence[str]) -> str:
    path = registry.local_file(name)
    if path is not None:
        return _fingerprint_of_file(path)
    model = registry.resolve(name)
    parts = [f"{model.stems} {model.overlap} {model.window} {model.weights}"]
    for network in cache.networks(model, stems):
        parts.append(f"{network.architecture} {dict(network.config)} {network.seed}")
        if network is not model and (network.overlap, network.window) != (None, None):
            parts.append(f"member {network.overlap} {network.window}")
        if network.sources:
            parts.append(cache.weights_digest(network))
        if network.architecture in REVISIONS:
            parts.append(f"revision {REVISIONS[network.architecture]}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _fingerprint_of_file(path: Path) -> str:
    from stemsplit.checkpoints.weights import read_header

    digest = known_digest_of(path)
    revision = REVISIONS.get(read_header(_own_format(path)).architecture)
    if revision is None:
        return digest
    return hashlib.sha256(f"{digest}\nrevision {revision}".encode()).hexdigest()


def load(name: str, *, stems: Sequence[str] | None = None) -> SeparationModel:
    """Return the network ``name`` (a model, or a checkpoint file), ready to separate, on the CPU.

    Of an ensemble, only the members that contribute to ``stems`` are loaded, and ``sources`` of the
    returned network lists the stems that these can produce. Nothing is fetched: call `prepare`
    first. Raises ``UsageError`` for an unknown name or stem and ``CheckpointError`` for weights
    that are missing or do not fit.
    """
    path = registry.local_file(name)
    if path is not None:
        network = _load_weights(_own_format(path))
        registry.require_stems(name, network.sources, stems or ())
        return network
    model = registry.resolve(name)
    registry.check_stems(model, stems or ())
    return _load_ensemble(model, stems) if model.members else _load_network(model)


def conventions(model: Model) -> tuple[float, Window]:
    """Return the overlap (fraction of a segment) and window that ``model`` has once it is loaded.

    They come from the registry, else from the header of the cached weights (overlap only), else
    from the architecture, which is imported for this. Raises ``CheckpointError`` for damaged
    weights.
    """
    from stemsplit.checkpoints.weights import read_header
    from stemsplit.models import architecture

    overlap, window = model.overlap, model.window
    if model.members:  # they agree, or the ensemble decides
        of_members = conventions(registry.resolve(model.members[0]))
        return of_members[0] if overlap is None else overlap, window or of_members[1]
    network = architecture(model.architecture)
    if overlap is None and (path := cache.find(model)) is not None:
        overlap = read_header(path).overlap
    return network.overlap if overlap is None else overlap, window or network.window


def _load_network(model: Model) -> SeparationModel:
    if not model.sources:
        return _run_as(model, _build_from_seed(model, model.seed or 0))
    path = cache.find(model)
    if path is None:
        raise cache.not_cached(model)
    return _run_as(model, _load_weights(path))


def _run_as(model: Model, network: SeparationModel) -> SeparationModel:
    """Return ``network`` with the overlap and the window that the registry has for ``model``."""
    if model.overlap is not None:
        network.overlap = model.overlap
    network.window = model.window or network.window
    return network


def _load_ensemble(model: Model, stems: Sequence[str] | None) -> SeparationModel:
    """Return the ensemble of the members that contribute to ``stems``, with the stems they cover.

    It has a stem only if all members that contribute to it are loaded.
    """
    from stemsplit.models.weighted_mean import WeightedMean, WeightedMeanConfig

    if cache.missing(model, stems):
        raise cache.not_cached(model)
    chosen = registry.members_for(model, stems)
    covered = [
        column
        for column, stem in enumerate(model.stems)
        if set(registry.members_for(model, [stem])) <= set(chosen)
    ]
    config = WeightedMeanConfig(
        sources=tuple(model.stems[column] for column in covered),
        weights=tuple(tuple(model.weights[row][column] for column in covered) for row in chosen),
    )
    members = [
        _run_as(model, _load_network(registry.resolve(model.members[row]))) for row in chosen
    ]
    try:
        return WeightedMean(config, members).eval()
    except ValueError as exc:
        hint = "overlap and window can be set for the ensemble as a whole"
        raise CheckpointError(f"{model.name}: {exc}", hint=hint) from exc


def _own_format(path: Path) -> Path:
    """Return ``path`` if it is in our own format, else the path of its converted weights."""
    from stemsplit.checkpoints.convert import sniff

    format = sniff(path)
    return path if format == "safetensors" else cache.adopt(path, format=format)


def _load_weights(path: Path) -> SeparationModel:
    from stemsplit.checkpoints import weights

    return weights.load(path)


def _build_from_seed(model: Model, seed: int) -> SeparationModel:
    """Return a network with random weights, which are the same every time."""
    import torch

    from stemsplit.models import build

    # Only the CPU's generator is used, and its state is restored afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build(model.architecture, model.config)
    return network.eval().requires_grad_(False)
