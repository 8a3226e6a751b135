import numpy as np
import pytest
from hmm.models import random_hmm, random_sequences
from hmmlearn import hmm as peers

from gmmaudio.errors import ParameterError
from gmmaudio.hmm import GMMHMM, from_hmmlearn, to_hmmlearn

RTOL = 1e-9  # both float64


@pytest.fixture(name="data")
def ragged():
    return random_sequences(np.random.default_rng(1), [40, 30, 2])


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # hmmlearn takes the logarithm of zeros
@pytest.mark.parametrize(
    "kind", [{}, {"n_components": (1, 3, 2)}, {"n_components": (4, 4), "tied": True}, {"left_right": True}]
)
def test_hmmlearn_scores_and_decodes_as_we_do(kind, data):
    hmm = GMMHMM.from_params(random_hmm(np.random.default_rng(0), **kind), precision="double")
    peer, lengths = to_hmmlearn(hmm), [40, 30, 2]
    np.testing.assert_allclose(peer.score(np.concatenate(data), lengths), hmm.score(data), rtol=RTOL)
    np.testing.assert_array_equal(peer.predict(np.concatenate(data), lengths), hmm.predict(data))
    np.testing.assert_allclose(peer.predict_proba(np.concatenate(data), lengths), hmm.predict_proba(data), atol=1e-9)


def test_there_and_back_is_the_same_model(data):
    hmm = GMMHMM.from_params(random_hmm(np.random.default_rng(0)), precision="double")
    assert from_hmmlearn(to_hmmlearn(hmm)).set_params(precision="double").score(data) == hmm.score(data)


@pytest.mark.parametrize("covariance_type", ["diag", "spherical"])
@pytest.mark.parametrize("peer_class", [peers.GaussianHMM, peers.GMMHMM])
def test_models_of_hmmlearn_score_as_there(peer_class, covariance_type, data):
    peer = peer_class(2, covariance_type=covariance_type, random_state=0).fit(np.concatenate(data), [40, 30, 2])
    hmm = from_hmmlearn(peer).set_params(precision="double")
    np.testing.assert_allclose(hmm.score(data), peer.score(np.concatenate(data), [40, 30, 2]), rtol=RTOL)


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        (peers.CategoricalHMM(2), "a CategoricalHMM cannot be converted"),
        (peers.GaussianHMM(2, covariance_type="full"), "covariance_type 'full'"),
        (peers.GaussianHMM(2), "is not fitted"),
    ],
)
def test_other_models_are_refused(peer, message):
    with pytest.raises(ParameterError, match=message):
        from_hmmlearn(peer)


def test_end_probabilities_have_no_place_there():
    hmm = GMMHMM.from_params(random_hmm(np.random.default_rng(0), left_right=True, ends=True))
    with pytest.raises(ParameterError, match="no end probabilities"):
        to_hmmlearn(hmm)
