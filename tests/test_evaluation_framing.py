"""Pieces of a stream."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.evaluation.framing import Framer


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    hop=st.integers(1, 17),
    before=st.integers(0, 20),
    after=st.integers(0, 20),
)
def test_pieces_cover_the_stream_once(sizes, hop, before, after):
    stream = np.arange(1.0, 1 + sum(sizes))
    framer, pieces = Framer(hop, before=before, after=after), []
    for start, end in pairwise(np.cumsum([0, *sizes])):
        pieces += framer.add(stream[None, start:end])
    pieces += framer.end()
    padded = np.pad(stream, (before, after + hop))
    for k, piece in enumerate(pieces):
        assert piece.start == k * hop
        np.testing.assert_array_equal(
            piece.samples[0], padded[k * hop : k * hop + before + hop + after]
        )
    assert sum(piece.valid for piece in pieces) == len(stream)
    assert all(piece.valid == hop for piece in pieces[:-1])
