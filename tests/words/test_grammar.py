"""Grammars: what the text means, against an enumeration of all its sentences, and what is refused."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.words.acceptor import GARBAGE
from gmmaudio.words.expressions import Alternatives, Repeated, Sequence, Word, to_acceptor
from gmmaudio.words.grammar import parse_grammar

LONGEST = 4
ROUNDING = 1e-9
EMPTY_TURNS = 60  # 2^-60 is below the rounding of a sum of probabilities


def sentences_of(expression) -> dict[tuple[str, ...], float]:
    """Sentences of up to LONGEST words and their probabilities, by running through all choices."""
    if isinstance(expression, Word):
        return {(expression.label,): 1.0}
    if isinstance(expression, Sequence):
        whole = {(): 1.0}
        for part in expression.parts:
            whole = joined(whole, sentences_of(part))
        return whole
    if isinstance(expression, Alternatives):
        total: dict[tuple[str, ...], float] = {}
        for choice, prob in zip(expression.choices, expression.probs, strict=True):
            for words, share in sentences_of(choice).items():
                total[words] = total.get(words, 0.0) + prob * share
        return total
    turn = sentences_of(expression.part)
    so_far = turn if expression.at_least_once else {(): 1.0}
    total = {}
    for _ in range(EMPTY_TURNS):
        for words, share in so_far.items():
            total[words] = total.get(words, 0.0) + 0.5 * share
        so_far = {words: 0.5 * share for words, share in joined(so_far, turn).items()}
    return total


def joined(first, second):
    total: dict[tuple[str, ...], float] = {}
    for (left, p), (right, q) in itertools.product(first.items(), second.items()):
        if len(left + right) <= LONGEST:
            total[left + right] = total.get(left + right, 0.0) + p * q
    return total


def alternatives(choices, weights):
    weights = weights[: len(choices)]
    return Alternatives(tuple(choices), tuple(weight / sum(weights) for weight in weights))


EXPRESSIONS = st.recursive(
    st.sampled_from([Word("a"), Word("b"), Sequence(())]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: Sequence(tuple(parts))),
        st.builds(alternatives, st.lists(inner, min_size=1, max_size=3), st.lists(st.integers(1, 3), min_size=3)),
        st.builds(Repeated, inner, st.booleans()),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_acceptor_gives_every_sentence_the_probability_of_the_choices_that_say_it(expression):
    acceptor, expected = to_acceptor(expression), sentences_of(expression)
    for length in range(LONGEST + 1):
        for words in itertools.product("ab", repeat=length):
            found = math.exp(acceptor.sentence_log_probability(words))
            np.testing.assert_allclose(found, expected.get(words, 0.0), rtol=ROUNDING, atol=ROUNDING)


def probabilities(text: str) -> dict[str, float]:
    """Sentences of a finite grammar over a, b, c with their probabilities."""
    acceptor = parse_grammar(text)
    strings = itertools.chain.from_iterable(itertools.product("abc", repeat=n) for n in range(4))
    found = {" ".join(words): math.exp(acceptor.sentence_log_probability(words)) for words in strings}
    return {words: round(prob, 9) for words, prob in found.items() if prob > 0.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", {"a": 1.0}),
        ("a b c", {"a b c": 1.0}),
        ("a | b", {"a": 0.5, "b": 0.5}),
        ("a b | c", {"a b": 0.5, "c": 0.5}),
        ("a (b | c)", {"a b": 0.5, "a c": 0.5}),
        ("/3/ a | b", {"a": 0.75, "b": 0.25}),
        ("/ 0.5 / a | /1.5/ b", {"a": 0.25, "b": 0.75}),
        ("/0/ a | b", {"b": 1.0}),
        ("[a] b", {"a b": 0.5, "b": 0.5}),
        ("[a]", {"": 0.5, "a": 0.5}),
        ("a+", {"a": 0.5, "a a": 0.25, "a a a": 0.125}),
        ("a*", {"": 0.5, "a": 0.25, "a a": 0.125, "a a a": 0.0625}),
        ("a b* c", {"a c": 0.5, "a b c": 0.25}),
        ("(a | b)+ c", {"a c": 0.25, "b c": 0.25, "a a c": 0.0625, "a b c": 0.0625, "b a c": 0.0625, "b b c": 0.0625}),
        ("a; ", {"a": 1.0}),
        ("public <s> = a;", {"a": 1.0}),
        ("<s> = a <t>; <t> = b;", {"a b": 1.0}),
        ("<t> = b | c; public <s> = a <t>;", {"a b": 0.5, "a c": 0.5}),
        ("public <s> = a; public <t> = b;", {"a": 0.5, "b": 0.5}),
        ("#JSGF V1.0 UTF-8 en;\ngrammar letters;\npublic <s> = a; // b\n/* c; */", {"a": 1.0}),
        ('"a" "b"', {"a b": 1.0}),
    ],
)
def test_grammar_text_means_these_sentences(text, expected):
    assert probabilities(text) == expected


def test_quoted_words_hold_blanks_signs_and_escapes():
    assert parse_grammar(r'"New York" | "a|b" | "say \"x\"" | Zürich | 零').vocabulary == (
        "New York",
        "Zürich",
        "a|b",
        'say "x"',
        "零",
    )


def test_garbage_can_be_named_in_a_grammar():
    acceptor = parse_grammar("<GARBAGE>* stop", vocabulary=["stop"])
    assert acceptor.accepts([GARBAGE, "stop"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the grammar is empty"),
        ("  // nothing\n", "the grammar is empty"),
        ("#JSGF V1.0; grammar x;", "no rule"),
        ("a |", "a word is missing before the end"),
        ("a\n | | b", "a word is missing before '|' at line 2, column 4"),
        ("<a> = ;", "a word is missing before the end at line 1, column 7"),
        ("()", "a word is missing before '\\)'"),
        ("(a", "the '\\(' at line 1, column 1 needs a '\\)', but there is the end"),
        ("[a)", "needs a '\\]', but there is '\\)' at line 1, column 3"),
        ("a ] b", "a '\\]' too many at line 1, column 3"),
        ("a /2/ b", "'/2/' at line 1, column 3"),
        ("/x/ a", "the weight /x/ at line 1, column 1"),
        ("/-1/ a | b", "the weight /-1/"),
        ("/inf/ a | b", "the weight /inf/"),
        ("/0/ a | /0/ b", "all weights are 0"),
        ("* a", "'\\*' at line 1, column 1"),
        ("a {tag}", "'{' at line 1, column 3, which cannot be read"),
        ('"a', "cannot be read"),
        ("a <b>", "the rule <b> at line 1, column 3 is not defined"),
        ("<a> = b", "has no ';'"),
        ("<a> = b; b c;", "a rule is needed at line 1, column 10"),
        ("import <x>; <a> = b;", "a rule is needed at line 1, column 1"),
        ("<a> = b; <a> = c;", "already defined"),
        ("<GARBAGE> = b;", "already defined"),
        ("<a> = <a> b | b;", "leads back to itself \\(<a> -> <a>\\)"),
        ("<a> = <b>; <b> = c <a>;", "leads back to itself \\(<a> -> <b> -> <a>\\)"),
        ("(" * 60 + "a" + ")" * 60, "nested more than 50 levels"),
    ],
)
def test_bad_grammar_is_refused_with_its_place(text, message):
    with pytest.raises(ParameterError, match=message):
        parse_grammar(text)


def test_words_without_a_model_are_named_with_their_places():
    with pytest.raises(ParameterError, match=r"'two' \(line 1, column 7\), 'ten' \(line 2, column 1\); known are one"):
        parse_grammar("one | two |\nten two", vocabulary=["one"])


def test_grammars_that_multiply_beyond_any_memory_are_refused():
    any_words = " | ".join(f"w{i}" for i in range(3000))
    with pytest.raises(ParameterError, match="more than 5000000 steps"):
        parse_grammar(f"({any_words})+")
    doubling = ";".join(f"<r{i}> = <r{i + 1}> <r{i + 1}>" for i in range(40))
    with pytest.raises(ParameterError, match="more than 20000 places"):
        parse_grammar(f"{doubling}; <r40> = x;")


def test_common_beginnings_and_endings_become_one_place():
    acceptor = parse_grammar("turn the light on | turn the light off | dim the light")
    assert sorted(acceptor.labels) == ["dim", "light", "light", "off", "on", "the", "the", "turn"]


@given(st.text(alphabet='ab|()[]*+/<>=;2" \n', max_size=25))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_grammar_or_a_clear_refusal(text):
    try:
        acceptor = parse_grammar(text)
    except ParameterError as error:
        assert "grammar" in str(error) or "rule" in str(error) or "at line" in str(error) or "the end" in str(error)  # noqa: PT017
    else:
        assert acceptor.n_places >= 1
