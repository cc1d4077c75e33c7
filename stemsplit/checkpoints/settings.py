"""Settings of a network that the tensors in its file do not show.

In a file of bare tensors, the shapes show the sizes of a network, and the names its layers. But
they do not show the names of the stems, the sample rate, or the activation of a mask. Each reader
lists the settings that its files lack. The registry has them for the files that it lists; for any
other file the user must provide them, because a network with a wrong setting runs but sounds bad.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemsplit.errors import CheckpointError, UsageError
from stemsplit.models import architecture as find_architecture
from stemsplit.models import demucs_layers, hdemucs

#: Arguments of the published classes for which our network supports a single value.
ONE_WAY: Mapping[str, Any] = {
    "stride": hdemucs.STRIDE,
    "freq_emb": demucs_layers.FREQUENCY_EMBEDDING_WEIGHT,
    "emb_scale": demucs_layers.FREQUENCY_EMBEDDING_SCALE,
    "normalize": False,
    "norm_type": "gLN",
    "causal": False,
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a network that are known in addition to its file.

    ``values`` are fields of its configuration, or keys of `ONE_WAY`. ``as_published`` means that
    all others have the published value, as for the files that the registry lists.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    as_published: bool = False

    def require(self, path: Path, architecture: str, names: Iterable[str]) -> dict[str, Any]:
        """Return the fields among ``names``, the settings that the file at ``path`` lacks.

        A field that is not returned has its published value. Raises ``CheckpointError`` if one of
        ``names`` is unknown, or has a value that our network does not support, and ``UsageError``
        for a value of the wrong type.
        """
        defaults = _defaults(architecture)
        missing = [] if self.as_published else [n for n in names if n not in self.values]
        if missing:
            options = " ".join(f"--set {n}={_placeholder(n, defaults)}" for n in missing)
            raise CheckpointError(
                f"its tensors do not show {', '.join(missing)}",
                path=path,
                hint=f"specify how it was trained: stemsplit models convert {path} {options}",
            )
        for name, value in self.values.items():
            if name in defaults:
                _check_type(name, value, defaults[name])
        found = {name: self.values[name] for name in names if name in self.values}
        for name, value in found.items():
            if name not in defaults and value != ONE_WAY[name]:
                reason = f"{name} is {value!r}, which is not supported: only {ONE_WAY[name]!r} is"
                raise CheckpointError(reason, path=path)
        return {name: value for name, value in found.items() if name in defaults}

    def merge(self, architecture: str, config: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Return ``config``, the configuration from the file at ``path``, with these settings.

        ``segment`` may differ from the file, because it does not change the network. Raises
        ``CheckpointError`` if another setting contradicts the file, and ``UsageError`` for a
        setting that the network does not have, or one of the wrong type.
        """
        defaults = _defaults(architecture)
        for name, value in self.values.items():
            if name not in defaults and name not in ONE_WAY:
                raise UsageError(f"{architecture} has no setting {name!r}", path=path)
            if name in defaults:
                _check_type(name, value, defaults[name])
            in_file = config.get(name, value)
            if in_file != value and name != "segment":
                reason = f"{name} is {in_file!r} according to the file, not {value!r}"
                raise CheckpointError(reason, path=path)
        return {**config, **{n: v for n, v in self.values.items() if n in defaults}}


def check_stems(sources: object, count: int, path: Path) -> None:
    """Raise ``CheckpointError`` unless ``sources``, if known, has ``count`` names."""
    if isinstance(sources, list) and len(sources) != count:
        raise CheckpointError(f"produces {count} stems, not {len(sources)}", path=path)


def _defaults(architecture: str) -> dict[str, Any]:
    """Return the fields of the configuration of ``architecture``, with their published values."""
    config = find_architecture(architecture).Config()
    return {each.name: getattr(config, each.name) for each in dataclasses.fields(config)}


def _placeholder(name: str, defaults: Mapping[str, Any]) -> str:
    """Return the placeholder for a value in a hint, or the value if only one is supported."""
    if name in defaults:
        return name.upper()
    return str(ONE_WAY[name]).lower() if isinstance(ONE_WAY[name], bool) else str(ONE_WAY[name])


def _check_type(name: str, value: object, published: object) -> None:
    """Raise ``UsageError`` unless ``value`` has the type of the ``published`` one."""
    kinds: dict[type, tuple[type, ...]] = {tuple: (list, tuple), float: (int, float)}
    kind = type(published)
    if not isinstance(value, kinds.get(kind, (kind,))) or isinstance(value, bool) != (kind is bool):
        expected = {tuple: "a list", bool: "true or false", int: "a whole number"}
        expected_kind = expected.get(kind, "a number or a word")
        raise UsageError(f"{name} must be {expected_kind}, not {value!r}")
