"""The network against every sentence tried one by one, and what cannot be joined."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp
from words.toys import GRAMMARS, all_sentences, by_label, plain_word, toy

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions
from gmmaudio.hmm.inference import forward_backward
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.words.acceptor import GARBAGE, SILENCE, WordAcceptor, one_of, sentence, word_loop, word_strings
from gmmaudio.words.network import NetworkOptions, build_network

ROUNDING = 1e-10
SINGLE = 1e-4  # nats; the pool and a single model are evaluated in float32 about different origins


@pytest.mark.parametrize("silence", [False, True])
@pytest.mark.parametrize("grammar", GRAMMARS)
@pytest.mark.parametrize("seed", range(3))
def test_likelihood_of_the_network_is_the_sum_over_all_sentences(grammar, seed, silence):
    acceptor = GRAMMARS[grammar]
    models, frames = toy(seed, silence=silence)
    network = build_network(acceptor, models, NetworkOptions(silence_prob=0.3, word_penalty=0.7))
    log_likelihoods = network.emission_log_likelihoods(frames)
    used = {label: models[label] for label in network.column_labels}
    own = by_label(network, log_likelihoods)
    totals = [each.total for each in all_sentences(acceptor, used, own, silence_prob=0.3, word_penalty=0.7)]
    states = network.state_log_likelihoods(log_likelihoods)
    found = forward_backward(network.start_probs, network.transition_matrix, states, end_probs=network.end_probs)
    np.testing.assert_allclose(found.log_likelihood, logsumexp(totals) if totals else -np.inf, rtol=ROUNDING)


@pytest.mark.parametrize("silence", [False, True])
@pytest.mark.parametrize("grammar", GRAMMARS)
def test_every_state_goes_on_or_ends_with_probability_one(grammar, silence):
    network = build_network(GRAMMARS[grammar], toy(0, silence=silence)[0])
    np.testing.assert_allclose(network.transition_matrix.sum(axis=1) + network.end_probs, 1.0, rtol=ROUNDING)
    np.testing.assert_allclose(network.start_probs.sum(), 1.0, rtol=ROUNDING)


def test_columns_are_the_log_likelihoods_of_each_model_once():
    models, frames = toy(1)
    network = build_network(word_strings(["a", "b"], 1, 3), models)
    assert network.n_columns == sum(models[label].n_states for label in ("a", "b", SILENCE))
    for label, columns in by_label(network, network.emission_log_likelihoods(frames)).items():
        np.testing.assert_allclose(columns, models[label].frame_log_likelihoods(frames), atol=SINGLE, rtol=0)


@pytest.mark.parametrize("shared", [True, False])
def test_tied_models_are_joined_whether_or_not_they_share_the_codebook(shared):
    rng = np.random.default_rng(0)
    books = [GmmParams([0.5, 0.5], rng.normal(size=(2, 3)), np.ones((2, 3))) for _ in range(2)]
    books = [books[0]] * 2 if shared else books
    models = {
        word: HmmParams([1.0], [[0.5]], TiedEmissions(book, [[0.3, 0.7]]), end_probs=[0.5])
        for word, book in zip("ab", books, strict=True)
    }
    frames = rng.normal(size=(4, 3))
    network = build_network(one_of(["a", "b"]), models)
    expected = np.hstack([models[word].frame_log_likelihoods(frames) for word in "ab"])
    np.testing.assert_allclose(network.emission_log_likelihoods(frames), expected, atol=SINGLE, rtol=0)


def test_garbage_penalty_is_taken_from_each_frame_of_garbage_only():
    models, frames = toy(2)
    acceptor = one_of(["a"]).with_garbage()
    plain, penalized = (
        build_network(acceptor, models, NetworkOptions(garbage_penalty=penalty)) for penalty in (0.0, 2.5)
    )
    difference = plain.emission_log_likelihoods(frames) - penalized.emission_log_likelihoods(frames)
    expected = np.where(np.array(plain.column_labels, dtype=object) == GARBAGE, 2.5, 0.0)
    np.testing.assert_allclose(difference, np.tile(expected, (len(frames), 1)), atol=ROUNDING)


def test_one_pause_serves_all_words_of_a_loop():
    network = build_network(word_loop(["a", "b"]), toy(0)[0])
    assert sorted(network.labels).count(SILENCE) == 2  # before the first word, and after any


def test_shortest_utterance_takes_the_shortest_way_through_each_word():
    models = {"a": plain_word(0, 1, 2), "b": plain_word(0, 1)}
    assert build_network(sentence(["a", "b", "a"]), models).min_frames == 8
    assert build_network(one_of(["a", "b"]), models).min_frames == 2


def test_models_written_with_six_digits_are_joined():
    rough = HmmParams([1.0], [[0.333337]], plain_word(0).emissions, end_probs=[0.666667])
    network = build_network(word_loop(["a"]), {"a": rough})
    np.testing.assert_allclose(network.transition_matrix.sum(axis=1) + network.end_probs, 1.0, rtol=ROUNDING)


def test_log_likelihoods_of_the_wrong_shape_are_refused():
    network = build_network(one_of(["a"]), {"a": plain_word(0, 1)})
    for wrong in (np.zeros((3, 5)), np.zeros(2), np.full((3, 2), np.nan)):
        with pytest.raises(ParameterError, match="needs 2 columns without NaN"):
            network.state_log_likelihoods(wrong)


def test_words_that_no_sentence_uses_need_no_model():
    unused = WordAcceptor(("a", "dead"), np.array([0.5, 0.5]), sp.csr_array((2, 2)), np.array([1.0, 0.0]))
    assert build_network(unused, {"a": plain_word(0)}).labels == ("a",)


def test_words_without_models_are_named():
    with pytest.raises(ParameterError, match="no model of 'b', 'c'; the models are of a"):
        build_network(one_of(["a", "b", "c"]), {"a": plain_word(0)})


def test_models_without_ends_are_named():
    endless = HmmParams([1.0], [[1.0]], plain_word(0).emissions)
    with pytest.raises(ParameterError, match="the models of 'b' have no end_probs"):
        build_network(one_of(["a", "b"]), {"a": plain_word(0), "b": endless})


def test_models_whose_end_cannot_be_reached_are_refused():
    stuck = HmmParams([1.0, 0.0], [[1.0, 0.0], [0.0, 0.5]], plain_word(0, 1).emissions, end_probs=[0.0, 0.5])
    with pytest.raises(ParameterError, match="no sentence can be completed"):
        build_network(one_of(["a"]), {"a": stuck})


def test_models_of_different_features_are_refused():
    wide = HmmParams([1.0], [[0.5]], MixtureEmissions([GmmParams([1.0], [[0.0, 0.0]], [[1.0, 1.0]])]), end_probs=[0.5])
    with pytest.raises(ParameterError, match=r"\[1, 2\] features"):
        build_network(one_of(["a", "b"]), {"a": plain_word(0), "b": wide})


@pytest.mark.parametrize(
    "options",
    [
        {"silence_prob": 0.0},
        {"silence_prob": 1.0},
        {"word_penalty": -1.0},
        {"word_penalty": 1e4},
        {"garbage_penalty": np.nan},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ParameterError, match=f"{next(iter(options))} is"):
        NetworkOptions(**options)
