import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, random_mixture
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GMM, from_sklearn, to_sklearn

RTOL = 1e-9  # both float64
FRAMES = np.random.default_rng(1).normal(size=(50, 3))


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
def test_scikit_learn_scores_as_we_do(name):
    ours = GMM.from_params(random_mixture(name, 0, n_components=4, n_features=3), precision="double")
    assert_allclose(to_sklearn(ours).score_samples(FRAMES), ours.score_samples(FRAMES), rtol=RTOL)


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_there_and_back_is_the_same_model(name, offset):
    params = random_mixture(name, 0, n_components=4, n_features=3, offset=offset)
    back = from_sklearn(to_sklearn(params)).params_
    np.testing.assert_array_equal(params.weights, back.weights)
    np.testing.assert_array_equal(params.means, back.means)
    np.testing.assert_array_equal(params.covariances.array, back.covariances.array)


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
def test_a_mixture_of_scikit_learn_scores_here_as_there(name):
    peer = GaussianMixture(3, covariance_type=name, random_state=0).fit(FRAMES)
    ours = from_sklearn(peer).set_params(precision="double")
    assert_allclose(ours.score_samples(FRAMES), peer.score_samples(FRAMES), rtol=RTOL)
    assert_allclose(ours.predict_proba(FRAMES), peer.predict_proba(FRAMES), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
def test_precisions_are_the_inverse_of_the_covariances(name):
    peer = GaussianMixture(3, covariance_type=name, random_state=0).fit(FRAMES)
    ours = to_sklearn(from_sklearn(peer))
    assert_allclose(ours.precisions_, peer.precisions_, rtol=RTOL, atol=1e-12)
    assert_allclose(ours.precisions_cholesky_, peer.precisions_cholesky_, rtol=RTOL, atol=1e-12)


def test_a_converted_mixture_goes_on_training_in_scikit_learn():
    peer = to_sklearn(GMM(2, random_state=0).fit(FRAMES)).set_params(max_iter=500)
    assert peer.fit(FRAMES).converged_


def test_what_training_left_is_kept():
    gmm = GMM(2, random_state=0).fit(FRAMES)
    peer = to_sklearn(gmm)
    assert (peer.n_iter_, peer.converged_, peer.lower_bound_) == (gmm.n_iter_, gmm.converged_, gmm.history_[-1])


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        (BayesianGaussianMixture(n_components=2), "a BayesianGaussianMixture cannot be converted"),
        (GaussianMixture(2), "is not fitted"),
    ],
)
def test_other_models_are_refused(peer, message):
    with pytest.raises(ParameterError, match=message):
        from_sklearn(peer)


def test_an_unfitted_mixture_is_refused():
    with pytest.raises(NotFittedError):
        to_sklearn(GMM(2))


def test_skl2onnx_writes_a_mixture_that_scores_as_we_do():
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    gmm = GMM(3, random_state=0).fit(FRAMES)
    model = skl2onnx.to_onnx(to_sklearn(gmm), FRAMES[:1].astype(np.float32), options={"score_samples": True})
    session = runtime.InferenceSession(model.SerializeToString())
    scores = session.run(["score_samples"], {"X": FRAMES.astype(np.float32)})[0]
    assert_allclose(scores.ravel(), gmm.score_samples(FRAMES), rtol=1e-4)  # ONNX in single precision


def test_emlearn_writes_a_mixture_as_c_that_predicts_as_we_do(tmp_path, monkeypatch):
    emlearn = pytest.importorskip("emlearn")
    monkeypatch.chdir(tmp_path)  # where it compiles
    gmm = GMM(3, random_state=0).fit(FRAMES)
    compiled = emlearn.convert(to_sklearn(gmm), method="inline")
    np.testing.assert_array_equal(compiled.predict(FRAMES), gmm.predict(FRAMES))
