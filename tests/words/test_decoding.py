"""Decoding, the N best, posteriors and rejection, against every sentence tried one by one."""

import itertools

import numpy as np
import pytest
from scipy.special import softmax
from words.toys import GRAMMARS, all_sentences, by_label, plain_word, toy

from gmmaudio.errors import ParameterError
from gmmaudio.words.acceptor import GARBAGE, SILENCE, one_of, word_loop
from gmmaudio.words.decoding import decode, label_posteriors, with_confidence
from gmmaudio.words.hypotheses import NOTHING
from gmmaudio.words.nbest import decode_n_best
from gmmaudio.words.network import NetworkOptions, build_network

ROUNDING = 1e-10
POSTERIOR_ROUNDING = 1e-9  # of sums of probabilities
TIE = 1e-6  # nats between sentences that are too close to tell which one is first

UNAMBIGUOUS = ["one of", "loop", "strings", "sentence", "with garbage"]


def long_case(seed, n_frames=60):
    """A network and log-likelihoods of random frames."""
    models, frames = toy(seed, n_frames=n_frames)
    network = build_network(word_loop(["a", "b"]), models)
    return network, network.emission_log_likelihoods(frames)


def case(grammar, seed, *, silence=True):
    """A network, log-likelihoods of a few random frames, and all sentences that fit."""
    models, frames = toy(seed, silence=silence)
    network = build_network(GRAMMARS[grammar], models, NetworkOptions(silence_prob=0.3, word_penalty=0.7))
    log_likelihoods = network.emission_log_likelihoods(frames)
    used = {label: models[label] for label in network.column_labels}
    own = by_label(network, log_likelihoods)
    return network, log_likelihoods, all_sentences(GRAMMARS[grammar], used, own, silence_prob=0.3, word_penalty=0.7)


def said(hypothesis):
    """The words, garbage included."""
    return tuple(part.label for part in hypothesis.segments if part.label != SILENCE)


@pytest.mark.parametrize("silence", [False, True])
@pytest.mark.parametrize(("grammar", "seed"), list(itertools.product(UNAMBIGUOUS, range(4))))
def test_best_path_is_that_of_the_best_of_all_sentences(grammar, seed, silence):
    network, log_likelihoods, sentences = case(grammar, seed, silence=silence)
    found = decode(network, log_likelihoods)
    if not sentences:
        assert found == NOTHING
        return
    np.testing.assert_allclose(found.log_probability, sentences[0].best, rtol=ROUNDING)
    shares = sum(part.log_likelihood for part in found.segments)  # computed from the path, so the path is the best one
    np.testing.assert_allclose(shares, sentences[0].best, rtol=ROUNDING)
    if len(sentences) == 1 or sentences[1].best < sentences[0].best - TIE:
        assert said(found) == sentences[0].words


@pytest.mark.parametrize("n_best", [1, 2, 5, 200])
@pytest.mark.parametrize(("grammar", "seed"), list(itertools.product(UNAMBIGUOUS, range(3))))
def test_n_best_are_the_best_of_all_sentences_in_order(grammar, seed, n_best):
    network, log_likelihoods, sentences = case(grammar, seed)
    found = decode_n_best(network, log_likelihoods, n_best)
    assert len(found) == min(n_best, len(sentences))
    scores = [each.best for each in sentences[:n_best]]
    np.testing.assert_allclose([each.log_probability for each in found], scores, rtol=ROUNDING)
    by_words = {each.words: each.best for each in sentences}
    assert len({said(each) for each in found}) == len(found)
    for each in found:
        np.testing.assert_allclose(each.log_probability, by_words[said(each)], rtol=ROUNDING)


@pytest.mark.parametrize("seed", range(5))
def test_first_of_the_n_best_has_the_segments_of_the_best_path(seed):
    network, log_likelihoods = long_case(seed)
    best, (first, *_) = decode(network, log_likelihoods), decode_n_best(network, log_likelihoods, 3)
    assert [(p.label, p.start_frame, p.end_frame) for p in first.segments] == [
        (p.label, p.start_frame, p.end_frame) for p in best.segments
    ]
    np.testing.assert_allclose(
        [p.log_likelihood for p in first.segments], [p.log_likelihood for p in best.segments], rtol=ROUNDING
    )


def test_many_strings_of_words_are_told_apart():
    # 3^7 strings: the table of strings is enlarged on the way, and every one must still be found once
    models = {word: plain_word(mean) for word, mean in zip("abc", (0.0, 0.1, 0.2), strict=True)}
    network = build_network(word_loop(list("abc")), models)
    log_likelihoods = network.emission_log_likelihoods(np.random.default_rng(0).normal(size=(7, 1)))
    found = decode_n_best(network, log_likelihoods, 3**7 * 2)
    assert len({said(each) for each in found}) == len(found) == sum(3**n for n in range(1, 8))


@pytest.mark.parametrize("n_frames", [4, 80])
@pytest.mark.parametrize("seed", range(3))
def test_segments_fill_the_frames_and_add_up_to_the_path(seed, n_frames):
    network, log_likelihoods = long_case(seed, n_frames)
    found = decode(network, log_likelihoods)
    bounds = [(part.start_frame, part.end_frame) for part in found.segments]
    spans = [(span.start_frame, span.end_frame) for part in found.segments for span in part.states]
    for edges in (bounds, spans):
        assert edges[0][0] == 0
        assert edges[-1][1] == n_frames
        assert all(before[1] == after[0] for before, after in itertools.pairwise(edges))
    np.testing.assert_allclose(
        sum(part.log_likelihood for part in found.segments), found.log_probability, rtol=ROUNDING
    )


@pytest.mark.parametrize(("grammar", "seed"), list(itertools.product(UNAMBIGUOUS, range(3))))
def test_label_posteriors_weigh_the_best_sentences_with_each_label_at_a_frame(grammar, seed):
    network, log_likelihoods, sentences = case(grammar, seed)
    found = label_posteriors(network, log_likelihoods, scale=0.3)
    if not sentences:
        assert not found.probs.any()
        return
    bests = np.array([np.max([each.label_bests[label] for each in sentences], axis=0) for label in found.labels])
    np.testing.assert_allclose(found.probs.T, softmax(0.3 * bests, axis=0), atol=POSTERIOR_ROUNDING, rtol=0)


def test_confidence_is_the_mean_posterior_of_the_label():
    network, log_likelihoods = long_case(0)
    posteriors = label_posteriors(network, log_likelihoods)
    found = with_confidence(decode(network, log_likelihoods), posteriors)
    for part in found.segments:
        column = posteriors.probs[part.start_frame : part.end_frame, posteriors.labels.index(part.label)]
        np.testing.assert_allclose(part.confidence, column.mean(), rtol=ROUNDING)


def test_smaller_scale_makes_less_certain():
    network = build_network(one_of(["a", "b"]), {"a": plain_word(0.0), "b": plain_word(1.0)})
    log_likelihoods = network.emission_log_likelihoods(np.zeros((10, 1)))
    certain, cautious = (label_posteriors(network, log_likelihoods, scale=scale).probs[0, 0] for scale in (1.0, 0.1))
    assert 0.5 < cautious < certain


def test_word_outside_of_the_vocabulary_is_recognised_as_garbage():
    models = {"a": plain_word(0.0, 5.0), "b": plain_word(5.0, 0.0), GARBAGE: plain_word(9.0)}
    network = build_network(one_of(["a", "b"]).with_garbage(), models)
    for frames, expected in (([[0.1], [0.0], [5.1]], ("a",)), ([[9.1], [8.7], [9.0]], (GARBAGE,))):
        assert said(decode(network, network.emission_log_likelihoods(frames))) == expected


def test_garbage_penalty_moves_the_border_between_a_word_and_garbage():
    models = {"a": plain_word(0.0), GARBAGE: plain_word(2.0)}
    frames = np.full((5, 1), 1.2)  # nearer to garbage by 0.4 nats in each frame
    for penalty, expected in ((0.3, (GARBAGE,)), (0.5, ("a",))):
        network = build_network(one_of(["a"]).with_garbage(), models, NetworkOptions(garbage_penalty=penalty))
        assert said(decode(network, network.emission_log_likelihoods(frames))) == expected


def test_word_said_twice_by_a_model_of_one_state_is_two_segments():
    models = {"a": plain_word(0.0, stay=0.01)}
    network = build_network(word_loop(["a"]), models)
    found = decode(network, network.emission_log_likelihoods(np.zeros((3, 1))))
    assert found.words == ("a", "a", "a")


def test_words_leave_out_pauses_and_garbage():
    models = {"a": plain_word(0.0), GARBAGE: plain_word(9.0), SILENCE: plain_word(-9.0)}
    network = build_network(word_loop(["a", GARBAGE]), models)
    found = decode(network, network.emission_log_likelihoods([[-9.0], [0.0], [9.0], [0.0], [-9.0]]))
    assert [part.label for part in found.segments] == [SILENCE, "a", GARBAGE, "a", SILENCE]
    assert found.words == ("a", "a")


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_utterance_too_short_for_any_sentence_recognises_nothing(n_frames):
    network = build_network(one_of(["a"]), {"a": plain_word(0.0, 1.0, 2.0)})
    log_likelihoods = np.zeros((n_frames, network.n_columns))
    assert decode(network, log_likelihoods) == NOTHING
    assert decode_n_best(network, log_likelihoods, 2) == ()
    assert label_posteriors(network, log_likelihoods).probs.sum() == 0.0


def test_impossible_frames_recognise_nothing():
    network = build_network(one_of(["a"]), {"a": plain_word(0.0)})
    log_likelihoods = np.array([[0.0], [-np.inf], [0.0]])
    assert decode(network, log_likelihoods) == NOTHING
    assert decode_n_best(network, log_likelihoods, 2) == ()
    assert label_posteriors(network, log_likelihoods).probs.sum() == 0.0


def test_bad_arguments_are_refused():
    network = build_network(one_of(["a"]), {"a": plain_word(0.0)})
    with pytest.raises(ParameterError, match="n_best is 0"):
        decode_n_best(network, np.zeros((2, 1)), 0)
    with pytest.raises(ParameterError, match="scale is 0"):
        label_posteriors(network, np.zeros((2, 1)), scale=0.0)
