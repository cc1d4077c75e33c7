"""YAML files of plain values, read without trusting them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stemsplit.errors import UsageError
from stemsplit.small_files import read_small, refuse_deep

#: The largest file that is read, in bytes. Published ones have a few thousand; 100 kB take 1 s.
LARGEST = 200_000


def read_yaml(path: Path) -> object:
    """Return the values in the YAML file at ``path``; the file cannot run any code.

    Raises ``UsageError`` for a file that cannot be read, or is not plain YAML.
    """
    import yaml

    try:
        data = read_small(path, LARGEST)
    except OSError as exc:
        raise UsageError(f"cannot be read: {exc.strerror or exc}", path=path) from exc
    # Ten times as fast, but without a way to refuse aliases, which need an asterisk.
    fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(yaml.SafeLoader if b"*" in data else fast):  # type: ignore[misc]
        """Loads plain values, and the tuples that MSST writes with a Python tag.

        Refuses aliases: a few lines of them can expand to billions of values.
        """

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                problem = f"an alias (*{event.anchor:.50}); replace it with its value"
                raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
            return super().compose_node(parent, index)

    def read_tuple(loader: yaml.SafeLoader, node: yaml.nodes.SequenceNode) -> list[Any]:
        return list(loader.construct_sequence(node))

    Loader.add_constructor("tag:yaml.org,2002:python/tuple", read_tuple)
    try:
        document = yaml.load(data.decode(), Loader)
        refuse_deep(document)
        return document
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, TypeError) as exc:
        problem = getattr(exc, "problem", None) or type(exc).__name__
        mark = getattr(exc, "problem_mark", None)
        place = f" (line {mark.line + 1})" if mark else ""
        raise UsageError(f"not plain YAML: {problem}{place}", path=path) from exc
