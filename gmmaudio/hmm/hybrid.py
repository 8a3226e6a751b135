"""What a classifier of states emits in a hidden Markov model in place of mixtures."""

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.validation import read_only_array

SUM_TOLERANCE = 1e-5
"""How far posteriors and priors may be from a sum of 1: classifiers work in single precision."""


def scaled_log_likelihoods(state_posteriors: npt.ArrayLike, state_priors: npt.ArrayLike) -> Float64Array:
    """Return ``log p(state | x_t) − log p(state)``, which is ``log p(x_t | state)`` up to a number of each frame.

    Bourlard & Morgan 1994, "Connectionist Speech Recognition", chapter 7. The number, ``log p(x_t)``, is the same for
    all states, so it matters to no posterior, no best path and no comparison of models that share the classifier; the
    result takes the place of `frame_log_likelihoods` in `forward_backward`, `viterbi` and `filter_states`.

    Parameters
    ----------
    state_posteriors : array-like, shape (n_frames, n_states)
        What a classifier says of each frame; rows sum to 1.
    state_priors : array-like, shape (n_states,)
        How often each state was among the targets that it was trained on, as shares that sum to 1.

    Returns
    -------
    array, shape (n_frames, n_states)
        −inf where the posterior is 0, and for states that never were a target.

    Raises
    ------
    ParameterError
        If shapes do not match, or values are no probabilities that sum to 1.

    Examples
    --------
    >>> scaled_log_likelihoods([[0.5, 0.5], [0.9, 0.1]], [0.8, 0.2]).round(3)
    array([[-0.47 ,  0.916],
           [ 0.118, -0.693]])
    """
    posteriors = read_only_array(state_posteriors, name="state_posteriors", shape=(None, None))
    priors = read_only_array(state_priors, name="state_priors", shape=posteriors.shape[1:])
    for name, values in (("state_posteriors", posteriors), ("state_priors", priors)):
        if (values < 0).any() or (np.abs(values.sum(axis=-1) - 1.0) > SUM_TOLERANCE).any():
            raise ParameterError(f"{name} must not be negative and must sum to 1; the smallest is {values.min()}")
    with np.errstate(divide="ignore"):  # impossible is −inf
        logs = np.log(posteriors) - np.where(priors > 0, np.log(priors), np.inf)
    return np.asarray(logs)
