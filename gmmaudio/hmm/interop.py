"""Models of hmmlearn: from them and to them (extra `interop`)."""

from typing import Any

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions
from gmmaudio.hmm.estimator import GMMHMM
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sampling import mixtures_of


def to_hmmlearn(hmm: GMMHMM) -> Any:
    """Return a fitted model as an `hmmlearn.hmm.GMMHMM` with diagonal covariances.

    States with fewer components than others get copies of weight 0; a shared codebook is repeated in every state.

    Raises
    ------
    ParameterError
        If the model has end probabilities, for which hmmlearn has no place.
    GmmAudioError
        If hmmlearn is not installed.
    """
    peer_module = _hmmlearn()
    params = hmm.params_
    if params.end_probs is not None:
        raise ParameterError(
            "hmmlearn has no end probabilities; train with a topology without ends to convert the model"
        )
    mixtures = mixtures_of(params)
    n_components = max(mixture.n_components for mixture in mixtures)
    peer = peer_module.GMMHMM(params.n_states, n_components, covariance_type="diag", init_params="")
    peer.startprob_, peer.transmat_ = params.start_probs.copy(), params.transition_matrix.copy()
    peer.weights_ = np.stack([_padded(mixture.weights, n_components, fill=0.0) for mixture in mixtures])
    peer.means_ = np.stack([_padded(mixture.means, n_components) for mixture in mixtures])
    peer.covars_ = np.stack([_padded(mixture.variances, n_components) for mixture in mixtures])
    peer.n_features = params.n_features
    return peer


def from_hmmlearn(peer: Any) -> GMMHMM:
    """Return a fitted `hmmlearn.hmm.GMMHMM` or `GaussianHMM` with diagonal or spherical covariances as a `GMMHMM`.

    Raises
    ------
    ParameterError
        If it is another kind of model, is not fitted, or has full or tied covariances.
    GmmAudioError
        If hmmlearn is not installed.
    """
    peer_module = _hmmlearn()
    if not isinstance(peer, peer_module.GMMHMM | peer_module.GaussianHMM):
        raise ParameterError(f"a {type(peer).__name__} cannot be converted; GMMHMM and GaussianHMM of hmmlearn can")
    if peer.covariance_type not in ("diag", "spherical"):
        raise ParameterError(
            f"the model has covariance_type {peer.covariance_type!r}; only 'diag' and 'spherical' can be converted"
        )
    if not hasattr(peer, "means_"):
        raise ParameterError("the model is not fitted: it has no means_; fit it first")
    means = np.asarray(peer.means_, dtype=np.float64)
    if isinstance(peer, peer_module.GaussianHMM):
        # Not covars_, which are full matrices even for diagonals, and of n_states · n_features states for spheres.
        variances = np.reshape(peer._covars_, (len(means), 1, -1))
        weights, means = np.ones((len(means), 1)), means[:, np.newaxis]
    else:
        weights, variances = peer.weights_, np.asarray(peer.covars_)
        variances = variances if variances.ndim == 3 else variances[..., np.newaxis]
    variances = np.broadcast_to(variances, means.shape)
    mixtures = [GmmParams(*arrays) for arrays in zip(weights, means, variances, strict=True)]
    return GMMHMM.from_params(HmmParams(peer.startprob_, peer.transmat_, MixtureEmissions(mixtures)))


def _padded(array: Float64Array, n_rows: int, *, fill: float | None = None) -> Float64Array:
    """Return the array with copies of its first row, or a value, up to so many rows."""
    row = array[:1] if fill is None else np.full_like(array[:1], fill)
    return np.concatenate([array, np.repeat(row, n_rows - len(array), axis=0)])


def _hmmlearn() -> Any:
    """Return the module of hmmlearn, or say how to install it."""
    try:
        from hmmlearn import hmm
    except ImportError as error:
        raise GmmAudioError("hmmlearn is not installed; pip install gmmaudio[interop]") from error
    return hmm
