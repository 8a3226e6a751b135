"""Forced alignment against every sentence, and times in seconds."""

import itertools

import numpy as np
import pytest
from words.toys import all_sentences, by_label, plain_word, toy

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.words.acceptor import SILENCE, sentence, word_loop
from gmmaudio.words.alignment import align
from gmmaudio.words.hypotheses import NOTHING, Hypothesis, Segment, StateSpan, to_alignment
from gmmaudio.words.network import NetworkOptions, build_network

ROUNDING = 1e-10
SINGLE = 1e-4  # nats; the emissions of two networks are evaluated in float32 about different origins


@pytest.mark.parametrize("silence", [False, True])
@pytest.mark.parametrize("words", [("a",), ("a", "b"), ("b", "b")])
@pytest.mark.parametrize("seed", range(3))
def test_alignment_is_the_best_path_of_the_sentence(seed, words, silence):
    models, frames = toy(seed, silence=silence)
    network = build_network(sentence(words), models)
    own = by_label(network, network.emission_log_likelihoods(frames))
    (expected,) = all_sentences(sentence(words), {label: models[label] for label in own}, own)
    found = align(words, models, frames)
    assert found.words == words
    np.testing.assert_allclose(found.log_probability, expected.best, rtol=ROUNDING)


def test_alignment_under_a_grammar_has_the_probability_of_that_sentence_there():
    models, frames = toy(5, n_frames=12)
    acceptor = word_loop(["a", "b"])
    free, ruled = align(["b", "a"], models, frames), align(["b", "a"], models, frames, grammar=acceptor)
    expected = free.log_probability + acceptor.sentence_log_probability(["b", "a"])
    np.testing.assert_allclose(ruled.log_probability, expected, atol=SINGLE, rtol=0)


def test_words_pauses_and_states_are_found_where_they_were_said():
    models = {"up": plain_word(0.0, 5.0), "down": plain_word(5.0, 0.0), SILENCE: plain_word(-20.0)}
    frames = np.array([-20, -20, 0, 0, 0, 5, -20, 5, 5, 0, -20.0])[:, np.newaxis]
    found = align(["up", "down"], models, frames)
    assert [(part.label, part.start_frame, part.end_frame) for part in found.segments] == [
        (SILENCE, 0, 2),
        ("up", 2, 6),
        (SILENCE, 6, 7),
        ("down", 7, 10),
        (SILENCE, 10, 11),
    ]
    assert found.segments[1].states == (StateSpan(0, 2, 5), StateSpan(1, 5, 6))


def test_options_reach_the_network():
    models, frames = {"a": plain_word(0.0)}, np.zeros((3, 1))
    plain, penalized = (
        align(["a"], models, frames, options=NetworkOptions(word_penalty=penalty)).log_probability
        for penalty in (0.0, 3.0)
    )
    np.testing.assert_allclose(plain - penalized, 3.0, rtol=ROUNDING)


def test_too_few_frames_for_the_words_say_how_many_are_needed():
    with pytest.raises(GmmAudioError, match="the words 'a a' need at least 6 frames but there are 5"):
        align(["a", "a"], {"a": plain_word(0.0, 1.0, 2.0)}, np.zeros((5, 1)))


def test_words_without_a_model_and_words_outside_of_the_grammar_are_refused():
    with pytest.raises(ParameterError, match="no model of 'b'"):
        align(["a", "b"], {"a": plain_word(0.0)}, np.zeros((5, 1)))
    with pytest.raises(ParameterError, match="does not accept"):
        align(["a"], {"a": plain_word(0.0)}, np.zeros((5, 1)), grammar=sentence(["b"]))


def made(*parts: tuple[str, int]) -> Hypothesis:
    """Hypothesis of labels and their numbers of frames."""
    ends = list(itertools.accumulate(length for _, length in parts))
    segments = tuple(
        Segment(
            label, end - length, end, -1.0, states=(StateSpan(0, end - length, end - 1), StateSpan(1, end - 1, end))
        )
        for (label, length), end in zip(parts, ends, strict=True)
    )
    return Hypothesis(segments, -1.0 * len(parts))


def test_times_are_those_of_the_frames():
    found = to_alignment(made(("a", 2), (SILENCE, 3), ("b", 2)), frame_shift=0.01)
    times = [(word.label, word.start, word.end) for word in found.words]
    assert [label for label, *_ in times] == ["a", SILENCE, "b"]
    np.testing.assert_allclose([pair[1:] for pair in times], [(0.0, 0.02), (0.02, 0.05), (0.05, 0.07)], rtol=ROUNDING)
    np.testing.assert_allclose(found.duration, 0.07, rtol=ROUNDING)


def test_first_and_last_word_reach_to_the_ends_of_the_recording():
    found = to_alignment(made(("a", 2), ("b", 2)), frame_shift=0.01, offset=0.0075, duration=0.063)
    bounds = [(word.start, word.end) for word in found.words]
    np.testing.assert_allclose(bounds, [(0.0, 0.0275), (0.0275, 0.063)], rtol=ROUNDING)


def test_states_of_the_words_are_given_where_asked_for():
    found = to_alignment(made(("a", 3), (SILENCE, 3), ("b", 2)), frame_shift=1.0, states=True)
    assert [(state.label, state.start, state.end) for state in found.states] == [
        ("0", 0.0, 2.0),
        ("1", 2.0, 3.0),
        ("0", 6.0, 7.0),
        ("1", 7.0, 8.0),
    ]


def test_nothing_recognised_is_an_alignment_without_words():
    assert to_alignment(NOTHING, frame_shift=0.01, duration=0.4).words == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"frame_shift": 0.0}, "frame_shift is 0.0"), ({"frame_shift": 0.01, "duration": 0.01}, "within the duration")],
)
def test_times_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        to_alignment(made(("a", 2), ("b", 2)), **arguments)
