"""The synthetic instruments."""

from stemsplit.data.instruments import HISSES, SYLLABLES, VOWELS


def test_syllables_are_made_of_known_sounds() -> None:
    for onset, first, last in SYLLABLES:
        assert onset in HISSES or onset in VOWELS or onset == ""
        assert first in VOWELS and last in VOWELS
