"""`GMM` in a model file."""

import numpy as np
import pytest

import gmmaudio
from gmmaudio.errors import ParameterError
from gmmaudio.persistence import load, save


@pytest.fixture
def gmm():
    return gmmaudio.GMM(3, tol=0.0, max_iter=4, random_state=0).fit(np.random.default_rng(0).normal(size=(200, 2)))


def test_a_loaded_estimator_scores_with_the_same_bits(gmm, tmp_path):
    save(gmm, tmp_path / "model.gmm")
    frames = np.random.default_rng(1).normal(size=(50, 2))
    assert np.array_equal(load(tmp_path / "model.gmm").score_samples(frames), gmm.score_samples(frames))


def test_options_and_history_are_kept(gmm, tmp_path):
    save(gmm, tmp_path / "model.gmm")
    loaded = load(tmp_path / "model.gmm")
    assert loaded.get_params() == gmm.get_params()
    assert (loaded.history_, loaded.n_iter_, loaded.converged_) == (gmm.history_, gmm.n_iter_, gmm.converged_)


def test_a_loaded_estimator_goes_on_with_partial_fit(gmm, tmp_path):
    save(gmm, tmp_path / "model.gmm")
    frames = np.random.default_rng(2).normal(size=(60, 2))
    again = load(tmp_path / "model.gmm").partial_fit(frames)
    assert np.array_equal(again.means_, gmm.partial_fit(frames).means_)


def test_an_estimator_that_is_not_fitted_has_nothing_to_save(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        save(gmmaudio.GMM(2), tmp_path / "model.gmm")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"n_components": 5}, "3 components"), ({"covariance_type": "round"}, "covariance_type")],
)
def test_options_that_do_not_fit_are_refused(gmm, change, message):
    stored = gmm.to_stored()
    stored.config["options"].update(change)
    with pytest.raises(ParameterError, match=message):
        gmmaudio.GMM.from_stored(stored)


def test_options_may_be_numbers_of_numpy(tmp_path):
    gmm = gmmaudio.GMM(np.int64(2), tol=np.float64(0.1), random_state=np.int32(3)).fit(np.arange(20.0).reshape(10, 2))
    save(gmm, tmp_path / "model.gmm")
    assert load(tmp_path / "model.gmm").random_state == 3
