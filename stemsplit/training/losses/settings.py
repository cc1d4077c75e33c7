"""Settings of a term, read from a table of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from stemsplit.errors import UsageError
from stemsplit.models.config import CheckedConfig, Rule

NotNegative = Annotated[float, Rule(lambda value: value >= 0, "be at least 0")]
Above0 = Annotated[float, Rule(lambda value: value > 0, "be above 0")]
UpTo1 = Annotated[float, Rule(lambda value: 0 < value <= 1, "be above 0 and at most 1")]
Given = Annotated[str, Rule(bool, "be given")]
Some = Annotated[tuple[str, ...], Rule(bool, "name at least one")]
Counts = Annotated[
    tuple[int, ...],
    Rule(lambda counts: bool(counts) and min(counts) > 0, "have positive numbers"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TermConfig(CheckedConfig):
    """Settings that every term of a loss has."""

    #: Factor of this term in the sum.
    weight: NotNegative = 1.0
    #: Weights of the sources in the term; those that it does not name count 0. Empty: all count 1.
    stems: Mapping[str, float] = field(default_factory=dict)

    def validate(self) -> None:
        """Raise ``ValueError`` for weights of stems that are negative, or all 0."""
        weights = self.stems.values()
        if self.stems and not (all(weight >= 0 for weight in weights) and any(weights)):
            raise ValueError("stems must have weights of at least 0, and one above 0")


Config = TypeVar("Config", bound=CheckedConfig)


def read_settings(config: type[Config], table: Mapping[str, Any], place: str) -> Config:
    """Return the ``config`` that ``table`` describes.

    Raises ``UsageError`` that names ``place`` for unknown keys, missing keys, values of the wrong
    type, and values that the configuration refuses.
    """
    hints = get_type_hints(config, include_extras=True)
    for key in table:
        if key not in hints:
            known = ", ".join(sorted(hints))
            raise UsageError(f"{place}: unknown key {key!r}", hint=f"its keys are {known}")
    for each in fields(config):
        if each.default is each.default_factory is MISSING and each.name not in table:
            raise UsageError(f"{place}: {each.name} is missing")
    try:
        return config(**{key: _value(hints[key], key, value) for key, value in table.items()})
    except (TypeError, ValueError) as exc:
        raise UsageError(f"{place}: {exc}") from exc


def _value(hint: Any, key: str, value: Any) -> Any:
    """Return ``value`` of ``key`` as the type in ``hint``; raises ``ValueError`` for another."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    kind = get_origin(hint) or hint
    if kind is Literal:
        return value
    if kind is tuple:
        item = get_args(hint)[0]
        if isinstance(value, list | tuple):
            return tuple(_value(item, key, each) for each in value)
    elif kind is Mapping:
        if isinstance(value, Mapping):
            return {name: _value(float, f"{key}.{name}", each) for name, each in value.items()}
    elif kind is bool or isinstance(value, bool):
        if kind is bool and isinstance(value, bool):
            return value
    elif kind is float and isinstance(value, int | float):
        return float(value)
    elif isinstance(value, kind):
        return value
    raise ValueError(f"{key} must be {_KINDS[kind]}, not {value!r:.100}")


_KINDS: Mapping[Any, str] = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "text",
    tuple: "a list",
    Mapping: "a table",
}
