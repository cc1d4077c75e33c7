"""Guards against songs that are in the training data as well as in that for validation."""

from __future__ import annotations

from stemsplit.data.store import SongStore
from stemsplit.errors import UsageError


def refuse_leaks(train: SongStore, valid: SongStore) -> None:
    """Raise ``UsageError`` if a song of ``valid`` is in ``train`` by name."""
    same = {song.name for song in train.songs} & {song.name for song in valid.songs}
    if same:
        raise UsageError(f"the same song is in the training and the validation data: {min(same)}")
