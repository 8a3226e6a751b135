"""Word errors against every way to edit, tried one by one."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio import ParameterError
from gmmaudio.metrics import WordErrors, word_error_rate_interval, word_errors

STRINGS = st.lists(st.sampled_from("abc"), max_size=6).map(tuple)


def least_edits(reference: tuple[str, ...], heard: tuple[str, ...]) -> int:
    """The definition: the shortest of all ways."""

    @functools.cache
    def least(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(least(i - 1, j) + 1, least(i, j - 1) + 1, least(i - 1, j - 1) + (reference[i - 1] != heard[j - 1]))

    return least(len(reference), len(heard))


@settings(max_examples=60, deadline=None)
@given(STRINGS, STRINGS)
def test_errors_are_the_least_number_of_edits_and_balance_the_lengths(reference, heard):
    errors = word_errors(reference, heard)
    assert errors.n_errors == least_edits(reference, heard)
    assert errors.insertions - errors.deletions == len(heard) - len(reference)


def test_errors_of_recordings_add_up():
    total = sum((word_errors("ab", "a"), word_errors("ab", "cb")), WordErrors())
    assert total == WordErrors(substitutions=1, deletions=1, insertions=0, n_words=4)
    assert total.rate == 0.5


def test_a_rate_without_words_is_refused():
    with pytest.raises(ParameterError, match="no words"):
        _ = WordErrors().rate


def test_the_interval_of_equal_recordings_is_their_rate():
    assert word_error_rate_interval([WordErrors(1, 0, 0, 4)] * 5, random_state=0) == (0.25, 0.25)


def test_an_interval_needs_recordings_with_words():
    with pytest.raises(ParameterError, match="at least one word"):
        word_error_rate_interval([])
