"""Putting bytes into a file: as a slice of bytes."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.audio import splice as splicing
from stemsplit.audio.splice import splice


@settings(max_examples=100, deadline=None)
@given(
    before=st.binary(max_size=50), start=st.integers(0, 50), removed=st.integers(0, 50),
    data=st.binary(max_size=60), piece=st.integers(1, 20),
)  # fmt: skip
def test_splice_is_slicing(tmp_path_factory, before, start, removed, data, piece):
    start = min(start, len(before))
    removed = min(removed, len(before) - start)
    path = Path(tmp_path_factory.getbasetemp()) / "spliced"
    path.write_bytes(before)
    with pytest.MonkeyPatch.context() as patch, path.open("r+b") as file:
        patch.setattr(splicing, "PIECE", piece)
        splice(file, start, removed, data)
    assert path.read_bytes() == before[:start] + data + before[start + removed :]
