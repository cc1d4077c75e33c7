"""Stems and mixes of them: what is asked for, and the sums that come out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsplit.errors import UsageError
from stemsplit.outputs.selection import as_stem_file, parse_mix, select_stems

STEMS = ("drums", "bass", "other", "vocals")
SONG = np.arange(8, dtype=np.float32).reshape(2, 4)
PARTS = {name: SONG * factor for name, factor in zip(STEMS, (1, 2, 4, 8), strict=True)}


@pytest.mark.parametrize(
    ("words", "wanted", "needed"),
    [
        ({}, STEMS, STEMS),
        ({"stems": ["vocals", "bass", "vocals"]}, ("vocals", "bass"), ("bass", "vocals")),
        ({"two_stems": "bass"}, ("bass", "no_bass"), ("bass",)),
        ({"mixes": ["quiet=0.5*mix-drums"]}, (*STEMS, "quiet"), STEMS),
        ({"stems": ["none"], "mixes": ["k=mix-vocals"]}, ("k",), ("vocals",)),
        ({"stems": ["other"], "sum_to_mix": "other"}, ("other",), ("drums", "bass", "vocals")),
        ({"stems": ["bass"], "sum_to_mix": "other"}, ("bass",), ("bass",)),
        ({"stems": ["bass"], "sum_to_mix": "spread"}, ("bass",), STEMS),
        ({"stems": ["Instrumental"]}, ("instrumental",), ("vocals",)),
        ({"stems": ["instrumental", "bass"]}, ("instrumental", "bass"), ("bass", "vocals")),
    ],
)
def test_only_the_stems_that_count_are_needed(
    words: dict[str, object], wanted: tuple[str, ...], needed: tuple[str, ...]
) -> None:
    selection = select_stems(STEMS, **words)  # type: ignore[arg-type]
    assert (selection.wanted, selection.needed) == (wanted, needed)


@pytest.mark.parametrize(
    ("mix", "factor"),
    [
        ("a=drums+bass+other", 7),
        ("a=mix-0.9*vocals", 1 - 7.2),
        (" a = - drums + 2*bass - .5 * other ", 1),
        ("a=mix+mix-vocals+vocals+bass", 4),
        ("a=3.*drums", 3),
    ],
)
def test_a_mix_is_the_sum_that_it_says(mix: str, factor: float) -> None:
    selection = select_stems(STEMS, ["none"], mixes=[mix])
    made = selection.combine(PARTS, SONG, ["a"])["a"]
    np.testing.assert_allclose(made, SONG * factor, rtol=1e-6)
    assert selection.needs_mix(["a"]) == ("mix" in selection.outputs["a"])


def test_the_instrumental_is_the_song_without_the_vocals() -> None:
    selection = select_stems(STEMS, ["vocals", "instrumental"])
    made = selection.combine(PARTS, SONG, selection.wanted)
    np.testing.assert_array_equal(made["instrumental"], SONG - PARTS["vocals"])
    whole = select_stems(STEMS, ["instrumental"], sum_to_mix="vocals")
    made = whole.combine(PARTS, SONG, whole.wanted)
    np.testing.assert_array_equal(made["instrumental"], SONG * 7)


def test_a_stem_of_the_model_that_is_called_instrumental_is_itself() -> None:
    selection = select_stems(("vocals", "instrumental"), ["instrumental"])
    assert selection.outputs == {"instrumental": {"instrumental": 1}}
    both = select_stems(("vocals", "instrumental"), two_stems="instrumental")
    assert both.wanted == ("instrumental", "no_instrumental")


def test_an_instrumental_needs_a_model_with_vocals_and_stems() -> None:
    with pytest.raises(UsageError, match="no stem 'instrumental'"):
        select_stems(("drums", "bass"), ["instrumental"])
    for name in ("instrumental", "karaoke"):
        with pytest.raises(UsageError, match="of its own") as caught:
            select_stems(STEMS, two_stems=name)
        assert caught.value.hint == "--two-stems vocals, or --stems vocals,instrumental"


def test_the_song_is_needed_for_what_it_is_part_of() -> None:
    selection = select_stems(STEMS, two_stems="vocals")
    assert not selection.needs_mix(["vocals"])
    assert selection.needs_mix(["no_vocals"])
    assert as_stem_file(select_stems(STEMS)).needs_mix(["stems"])


def test_a_stem_file_of_a_model_with_two_stems() -> None:
    with pytest.raises(UsageError, match=r"a stem\.mp4 has 4 stems, not 2") as caught:
        as_stem_file(select_stems(("vocals", "rest")))
    assert str(caught.value.hint).startswith("use a model with more stems, such as htdemucs")
    with pytest.raises(UsageError) as caught:
        as_stem_file(select_stems(STEMS, ["drums"]))
    assert str(caught.value.hint).startswith("choose 4 with --stems")


@settings(deadline=None)
@given(st.sampled_from([*STEMS, "spread"]), st.randoms())
def test_stems_that_sum_to_the_mix_do(target: str, random: object) -> None:
    generator = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    stems = {name: generator.standard_normal((2, 100)).astype(np.float32) for name in STEMS}
    song = generator.standard_normal((2, 100)).astype(np.float32)
    selection = select_stems(STEMS, sum_to_mix=target, mixes=["all=drums+bass+other+vocals"])
    made = selection.combine(stems, song, selection.wanted)
    residual = song - sum(made[name] for name in STEMS)
    assert 20 * np.log10(np.abs(residual).max()) < -90
    for name in STEMS:
        assert (made[name] is stems[name]) == (target not in (name, "spread"))
    missing = song - sum(stems.values())
    if target == "spread":
        np.testing.assert_allclose(made["bass"], stems["bass"] + missing / 4, atol=1e-5)
    assert np.abs(made["all"] - song).max() < 1e-5


def test_the_rest_is_the_song_without_the_stem_even_if_that_sums_to_the_mix() -> None:
    selection = select_stems(STEMS, two_stems="other", sum_to_mix="other")
    made = selection.combine(PARTS, SONG, selection.wanted)
    np.testing.assert_array_equal(made["other"] + made["no_other"], SONG)
    np.testing.assert_array_equal(made["no_other"], 11 * SONG)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"stems": ["choir"]}, "has no stem 'choir'"),
        ({"stems": []}, "--stems is empty"),
        ({"stems": ["none"]}, "--stems none needs at least one --mix"),
        ({"two_stems": "choir"}, "has no stem 'choir'"),
        ({"sum_to_mix": "choir"}, "has no stem 'choir'"),
        ({"mixes": ["bass=drums"]}, "two outputs are called bass"),
        ({"mixes": ["a=drums", "a=bass"]}, "two outputs are called a"),
        ({"mixes": ["a=choir"]}, "has no stem 'choir'"),
        ({"mixes": ["drums+bass"]}, r"invalid mix 'drums\+bass'"),
        ({"mixes": ["a="]}, "invalid mix 'a='"),
        ({"mixes": ["=drums"]}, "invalid mix '=drums'"),
        ({"mixes": ["a=drums bass"]}, "invalid sum of stems 'bass'"),
        ({"mixes": ["a=drums+"]}, r"invalid sum of stems '\+'"),
        ({"mixes": ["a=drums*2"]}, r"invalid sum of stems '\*2'"),
        ({"mixes": ["a=2x*drums"]}, "has no stem '2x'"),
        ({"mixes": ["a=drums-drums"]}, "nothing is left of a"),
        ({"mixes": [f"a={'9' * 400}*drums"]}, "the gain of drums is too large: 999"),
        ({"mixes": ["a=0*mix"]}, "nothing is left of a"),
        ({"stems": ["none"], "mixes": ["a=mix"]}, "contains a stem"),
        ({"stems": ["none"], "mixes": ["a=mix-drums+drums"]}, "contains a stem"),
    ],
)
def test_impossible_selections_are_refused(words: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        select_stems(STEMS, **words)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.sampled_from([*STEMS, "mix"]), st.integers(-999, 999).map(lambda n: n / 100)),
        min_size=1,
    )
)
def test_what_is_written_is_read(terms: list[tuple[str, float]]) -> None:
    text = "".join(f"{factor:+}*{name}" for name, factor in terms)
    assert parse_mix(f"name={text}", STEMS) == ("name", terms)
