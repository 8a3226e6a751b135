"""Two hidden Markov models at once: exact inference in the product of their states.

The states of both sources move independently, only what they emit adds up (Ghahramani & Jordan 1997, "Factorial hidden
Markov models", Machine Learning 29). With the transition matrices A and B of the sources the step from one frame to
the next is two matrix products, ``Aᵀ α B``, and not one with the n² × n² matrix of the product space. The
recursions are those of Rabiner 1989, eq. 19-25, scaled in each frame, in float64.
"""

from typing import NamedTuple

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array

SMALLEST = 1e-290
"""Probability, relative to the likeliest state of a frame, that any state has: the forward mass never vanishes."""


class FactorialPosteriors(NamedTuple):
    """What forward-backward gives.

    Attributes
    ----------
    posteriors : array, shape (n_frames, n_first, n_second)
        Probability of each pair of states given all frames.
    log_likelihood : float
        Log-likelihood of the frames.
    forward : array, shape (n_frames, n_first, n_second)
        Probability of each pair given the frames up to this one.
    """

    posteriors: Float64Array
    log_likelihood: float
    forward: Float64Array


def factorial_forward_backward(
    start_probs: Float64Array,
    transition_matrices: tuple[Float64Array, Float64Array],
    frame_log_likelihoods: AnyArray,
) -> FactorialPosteriors:
    """Return the posteriors of the pairs of states of two independent chains that are observed together.

    Parameters
    ----------
    start_probs : array, shape (n_first, n_second)
        Probability of each pair in the first frame.
    transition_matrices : pair of arrays, shapes (n_first, n_first) and (n_second, n_second)
        Row = from.
    frame_log_likelihoods : array, shape (n_frames, n_first, n_second)

    Examples
    --------
    >>> stay = np.array([[0.9, 0.1], [0.1, 0.9]])
    >>> log_likelihoods = np.log(np.array([[[0.9, 0.1], [0.1, 0.1]], [[0.5, 0.5], [0.5, 0.5]]]))
    >>> result = factorial_forward_backward(np.full((2, 2), 0.25), (stay, stay), log_likelihoods)
    >>> result.posteriors[1].round(3)
    array([[0.623, 0.143],
           [0.143, 0.09 ]])
    """
    first, second = transition_matrices
    maxima = frame_log_likelihoods.max(axis=(1, 2), keepdims=True)
    likelihoods = np.maximum(np.exp(frame_log_likelihoods - maxima, dtype=np.float64), SMALLEST)
    forward, log_scales = np.empty_like(likelihoods), np.empty(len(likelihoods))
    expected = start_probs
    for frame, likelihood in enumerate(likelihoods):
        joint = expected * likelihood
        scale = joint.sum()
        forward[frame] = joint / scale
        log_scales[frame] = np.log(scale)
        expected = predict(forward[frame], transition_matrices)
    posteriors = np.empty_like(likelihoods)
    backward = np.ones_like(start_probs)
    for frame in range(len(likelihoods) - 1, -1, -1):
        joint = forward[frame] * backward
        posteriors[frame] = joint / joint.sum()
        backward = first @ (likelihoods[frame] * backward) @ second.T
        backward /= backward.sum()
    return FactorialPosteriors(posteriors, float(log_scales.sum() + maxima.sum()), forward)


def predict(probs: Float64Array, transition_matrices: tuple[Float64Array, Float64Array]) -> Float64Array:
    """Return the probabilities of the pairs of states one frame later, shape (n_first, n_second)."""
    first, second = transition_matrices
    return np.asarray(first.T @ probs @ second)
