"""Models of scikit-learn: from them and to them.

Libraries that turn a `GaussianMixture` into another form take what `to_sklearn` returns:

    skl2onnx.to_onnx(to_sklearn(gmm), frames[:1].astype("float32"), options={"score_samples": True})  # ONNX
    emlearn.convert(to_sklearn(gmm), method="inline").save(file="gmm.h", name="gmm")  # plain C
"""

from typing import Any

import numpy as np
from sklearn.mixture import GaussianMixture

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances import Covariances, structure_of
from gmmaudio.gmm.estimator import GMM
from gmmaudio.gmm.parameters import GmmParams


def to_sklearn(gmm: GMM | GmmParams) -> Any:
    """Return a mixture as a fitted `sklearn.mixture.GaussianMixture` that scores and predicts as it does.

    Parameters
    ----------
    gmm : GMM or GmmParams
        Fitted; covariances of every structure.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> params = GmmParams([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]])
    >>> to_sklearn(params).predict_proba([[0.0]])
    array([[0.5, 0.5]])
    """
    estimator = GMM.from_params(gmm) if isinstance(gmm, GmmParams) else gmm
    weights, means = estimator.weights_.copy(), estimator.means_.copy()
    covariances = estimator.params_.covariances
    peer = GaussianMixture(len(weights), covariance_type=covariances.name)
    peer.weights_, peer.means_, peer.covariances_ = weights, means, covariances.array.copy()
    peer.precisions_cholesky_ = _precision_factors(covariances)
    peer.precisions_ = _precisions(covariances, peer.precisions_cholesky_)
    peer.n_iter_, peer.converged_ = estimator.n_iter_, estimator.converged_
    peer.lower_bound_ = estimator.history_[-1] if estimator.history_ else -np.inf
    peer.n_features_in_ = means.shape[1]
    return peer


def from_sklearn(peer: Any) -> GMM:
    """Return a fitted `sklearn.mixture.GaussianMixture` as a `GMM` that scores, streams and is saved as any other.

    Raises
    ------
    ParameterError
        If it is another kind of model, or is not fitted.

    Examples
    --------
    >>> peer = GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(200, 3)))
    >>> from_sklearn(peer).covariance_type
    'full'
    """
    if not isinstance(peer, GaussianMixture):
        raise ParameterError(f"a {type(peer).__name__} cannot be converted; a GaussianMixture of scikit-learn can")
    if not hasattr(peer, "means_"):
        raise ParameterError("the GaussianMixture is not fitted: it has no means_; fit it first")
    covariances = structure_of(peer.covariance_type)(peer.covariances_)
    return GMM.from_params(GmmParams(peer.weights_, peer.means_, covariances))


def _precision_factors(covariances: Covariances) -> Float64Array:
    """Return what scikit-learn calls `precisions_cholesky_`: P with ``P Pᵀ`` the inverse of the covariance."""
    if covariances.axis_aligned:
        return np.asarray(1.0 / np.sqrt(covariances.array))
    return np.ascontiguousarray(np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances.array)), -1, -2))


def _precisions(covariances: Covariances, factors: Float64Array) -> Float64Array:
    """Return the inverse of the covariances, in their shape."""
    if covariances.axis_aligned:
        return np.asarray(np.square(factors))
    return np.asarray(factors @ np.swapaxes(factors, -1, -2))
