"""Acceptors: helpers against enumeration, intersection with a word string, reduction."""

import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.words.acceptor import GARBAGE, WordAcceptor, one_of, sentence, trimmed, word_loop, word_strings
from gmmaudio.words.reduction import reduced

ROUNDING = 1e-12
REDUCTION_ROUNDING = 1e-9  # probabilities are compared in twelve decimal digits before they are merged


def strings(alphabet: str, longest: int):
    """All strings of up to this many words."""
    return list(itertools.chain.from_iterable(itertools.product(alphabet, repeat=n) for n in range(longest + 1)))


def random_acceptor(rng: np.random.Generator, n_places: int, alphabet: str = "ab") -> WordAcceptor:
    """Acceptor of few different probabilities, some of them 0, so that places are often alike."""
    follow = rng.integers(0, 2, (n_places, n_places)).astype(float)
    ends = rng.integers(0, 2, n_places).astype(float)
    ends[-1] = 1.0
    sums = follow.sum(axis=1) + ends
    sums[sums == 0] = 1.0
    start = np.ones(n_places) / n_places
    labels = tuple(rng.choice(list(alphabet), n_places).tolist())
    return WordAcceptor(labels, start, sp.csr_array(follow / sums[:, np.newaxis]), ends / sums)


def test_one_of_accepts_each_word_alone_with_equal_probability():
    acceptor = one_of(["a", "b"])
    found = {words: acceptor.sentence_log_probability(words) for words in strings("ab", 2) if acceptor.accepts(words)}
    assert found == {("a",): math.log(0.5), ("b",): math.log(0.5)}


def test_word_loop_continues_with_its_probability():
    acceptor = word_loop(["a", "b"], continue_prob=0.25)
    np.testing.assert_allclose(
        acceptor.sentence_log_probability("aba"), math.log(0.5**3 * 0.25**2 * 0.75), rtol=ROUNDING
    )


@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (1, 3), (2, 3), (3, 3)])
def test_word_strings_of_a_range_of_lengths_have_equally_probable_lengths(shortest, longest):
    acceptor = word_strings(["a", "b"], shortest, longest)
    n_lengths = longest - shortest + 1
    for words in strings("ab", 4):
        expected = 1.0 / n_lengths / 2 ** len(words) if shortest <= len(words) <= longest else 0.0
        np.testing.assert_allclose(math.exp(acceptor.sentence_log_probability(words)), expected, rtol=ROUNDING)


def test_sentence_accepts_exactly_its_words():
    acceptor = sentence(["a", "b", "a"])
    assert [words for words in strings("ab", 4) if acceptor.accepts(words)] == [("a", "b", "a")]


@given(st.integers(0, 2**31), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_reduced_acceptor_keeps_all_probabilities_and_has_no_more_places(seed, n_places):
    acceptor = random_acceptor(np.random.default_rng(seed), n_places)
    smaller = reduced(acceptor)
    assert smaller.n_places <= n_places
    for words in strings("ab", 4):
        before, after = (math.exp(each.sentence_log_probability(words)) for each in (acceptor, smaller))
        np.testing.assert_allclose(after, before, rtol=REDUCTION_ROUNDING, atol=REDUCTION_ROUNDING)


@given(st.integers(0, 2**31), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_restricted_acceptor_says_one_string_with_its_probability(seed, n_places):
    acceptor = random_acceptor(np.random.default_rng(seed), n_places)
    accepted = [words for words in strings("ab", 3) if words and acceptor.accepts(words)]
    for words in accepted:
        restricted = acceptor.restricted_to(words)
        for other in strings("ab", 3):
            expected = acceptor.sentence_log_probability(words) if other == words else -math.inf
            np.testing.assert_allclose(restricted.sentence_log_probability(other), expected, rtol=ROUNDING)


def test_strings_too_long_for_a_probability_are_accepted():
    words = ["a", "b"] * 1000
    acceptor = word_loop(["a", "b"])
    np.testing.assert_allclose(acceptor.sentence_log_probability(words), 2000 * math.log(0.25), rtol=ROUNDING)
    assert acceptor.restricted_to(words).labels == tuple(words)


def test_restriction_to_words_that_are_not_accepted_is_refused():
    with pytest.raises(ParameterError, match="does not accept the words 'b a'"):
        sentence(["a", "b"]).restricted_to(["b", "a"])


def test_grammar_with_garbage_shares_the_probability():
    acceptor = one_of(["a"]).with_garbage(0.2)
    np.testing.assert_allclose(math.exp(acceptor.sentence_log_probability(["a"])), 0.8, rtol=ROUNDING)
    np.testing.assert_allclose(math.exp(acceptor.sentence_log_probability([GARBAGE])), 0.2, rtol=ROUNDING)


def test_trimmed_acceptor_has_only_places_on_the_way_to_an_end():
    follow = sp.csr_array(np.array([[0.0, 0.5, 0.5, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0.5, 0, 0]]))
    acceptor = WordAcceptor(("a", "end", "dead", "unreached"), np.eye(4)[0], follow, np.eye(4)[1])
    assert trimmed(acceptor).labels == ("a", "end")


def test_acceptor_that_accepts_nothing_is_refused():
    with pytest.raises(ParameterError, match="accepts nothing"):
        WordAcceptor(("a",), np.ones(1), sp.csr_array((1, 1)), np.zeros(1))


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [([1.0], [1.5], "sum to more than 1"), ([-0.5], [1.0], "must not be negative"), ([1.0, 0.0], [1.0], "shapes")],
)
def test_acceptor_of_values_that_are_no_probabilities_is_refused(start, end, message):
    with pytest.raises(ParameterError, match=message):
        WordAcceptor(("a",), np.array(start), sp.csr_array((1, 1)), np.array(end))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_of([]), "words is empty"),
        (lambda: one_of("yes"), "give a list of words"),
        (lambda: one_of(["a", "b", "a"]), r"\['a'\] are given more than once"),
        (lambda: sentence([]), "a list of at least one word"),
        (lambda: sentence("one"), "a list of at least one word"),
        (lambda: word_strings(["a"], 2, 1), "1 <= min <= max"),
        (lambda: word_strings(["a"], 0, 1), "1 <= min <= max"),
        (lambda: word_loop(["a"], continue_prob=1.0), "continue_prob"),
        (lambda: one_of(["a"]).with_garbage(1.0), "probability is 1.0"),
    ],
)
def test_bad_arguments_of_helpers_are_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
