"""Sets of stems side by side: values, the best ones, differences, wins."""

from __future__ import annotations

import csv
import io
import math

import pytest
from song_scores import NAN, song_scores, stem_scores

from stemsplit.evaluation.report.stem_sets import (
    ComparedSong,
    average_row,
    compare_sets,
    letter,
    to_set_csv,
)

INF = math.inf


def compared(song: str, **values: tuple[float, ...]) -> ComparedSong:
    """Return a song whose sets have these global SDR (and ten times as large an L1) by stem."""
    sets = {
        name: song_scores(
            *(
                stem_scores(stem, global_sdr=value, l1=10 * value)
                for stem, value in zip(("vocals", "bass"), of, strict=False)
            ),
            song=song,
        )
        for name, of in values.items()
    }
    return ComparedSong(name=song, sets=sets)


def test_the_values_are_means_and_the_differences_medians_over_songs() -> None:
    songs = [
        compared("x", a=(1.0,), b=(2.0,)),
        compared("y", a=(1.0,), b=(4.0,)),
        compared("z", a=(4.0,), b=(3.0,)),
    ]
    [row] = compare_sets(songs, "global_sdr")
    assert row.stem == "vocals"
    assert row.values == {"a": 2.0, "b": 3.0}
    assert row.best == ("b",)
    difference = row.differences["b"]
    assert (difference.median, difference.wins, difference.losses) == (1.0, 2, 1)


def test_of_distances_less_is_better() -> None:
    [row] = compare_sets([compared("x", a=(1.0,), b=(2.0,))], "l1")
    assert row.best == ("a",)
    difference = row.differences["b"]
    assert (difference.median, difference.wins, difference.losses) == (10.0, 0, 1)


@pytest.mark.parametrize(
    ("a", "b", "best", "median", "counts"),
    [
        (5.0, 5.0, (), 0.0, (0, 0)),
        (INF, INF, (), 0.0, (0, 0)),
        (5.0, INF, ("b",), INF, (1, 0)),
        (NAN, 5.0, (), NAN, (0, 0)),  # one answer has nothing to be better than
        (NAN, NAN, (), NAN, (0, 0)),
    ],
)
def test_ties_infinities_and_no_answer(
    a: float, b: float, best: tuple[str, ...], median: float, counts: tuple[int, int]
) -> None:
    [row] = compare_sets([compared("x", a=(a,), b=(b,))], "global_sdr")
    difference = row.differences["b"]
    assert row.best == best
    assert difference.median == pytest.approx(median, nan_ok=True)
    assert (difference.wins, difference.losses) == counts


def test_every_set_is_compared_with_the_first() -> None:
    [row] = compare_sets([compared("x", a=(1.0,), b=(3.0,), c=(3.0,))], "global_sdr")
    assert row.best == ("b", "c")
    assert {name: of.median for name, of in row.differences.items()} == {"b": 2.0, "c": 2.0}


def test_a_song_that_lacks_a_stem_does_not_count_for_it() -> None:
    songs = [compared("x", a=(1.0, 2.0), b=(2.0, 4.0)), compared("y", a=(1.0,), b=(0.0,))]
    vocals, bass = compare_sets(songs, "global_sdr")
    assert (vocals.differences["b"].wins, vocals.differences["b"].losses) == (1, 1)
    assert (bass.differences["b"].wins, bass.differences["b"].losses) == (1, 0)
    assert bass.values == {"a": 2.0, "b": 4.0}


def test_the_average_is_over_stems_and_sums_wins() -> None:
    rows = compare_sets([compared("x", a=(1.0, 2.0), b=(2.0, 5.0))], "global_sdr")
    row = average_row(rows, "global_sdr")
    assert (row.values, row.best) == ({"a": 1.5, "b": 3.5}, ("b",))
    difference = row.differences["b"]
    assert (difference.median, difference.wins, difference.losses) == (2.0, 2, 0)


def test_csv_names_the_set_and_no_name_is_a_formula() -> None:
    song = ComparedSong(name="=1+1", sets={"@x": song_scores(stem_scores("vocals"))})
    [row] = csv.DictReader(io.StringIO(to_set_csv([song])))
    assert (row["song"], row["stem"], row["set"]) == ("'=1+1", "vocals", "'@x")
    assert float(row["global_sdr"]) == 9.25


def test_letters_go_on_after_z() -> None:
    assert [letter(number) for number in (0, 25, 26, 27, 52)] == ["A", "Z", "AA", "AB", "BA"]
