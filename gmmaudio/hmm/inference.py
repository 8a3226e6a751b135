"""Inference in hidden Markov models: arrays in, named tuples out.

Conventions. Row = from, column = to. Log-likelihoods are natural logarithms of densities; −inf is allowed, NaN and
+inf are not. `end_probs[i]` is a factor for paths that end in state i; without it every state may be the last. A
sequence that no path can produce has log-likelihood −inf and posteriors of 0; that is a result, not an error.
Legend: alpha forward, beta backward, gamma state posteriors, xi transition posteriors (Rabiner 1989).

Accuracy. Log-likelihoods, posteriors and expected transitions are within 1e-10 relative, also those of 1e-300: a small
posterior has as many digits as a large one, whatever the gaps between the states (see `_kernels`).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.hmm import _kernels, _path_kernels, _wide_kernels
from gmmaudio.hmm.chain import Chain, PathArcs, as_chain, log_probs


class ForwardBackward(NamedTuple):
    """What `forward_backward` returns.

    Attributes
    ----------
    log_likelihood : float
        Of the whole sequence; −inf if it is impossible.
    state_posteriors : array, shape (n_frames, n_states)
        Rows sum to 1, or are 0 if the sequence is impossible.
    expected_transitions : array or scipy.sparse.csr_array, shape (n_states, n_states)
        Expected number of each transition; sparse if the transition matrix was.
    """

    log_likelihood: float
    state_posteriors: Float64Array
    expected_transitions: Any


class FilterResult(NamedTuple):
    """What `filter_states` returns.

    Attributes
    ----------
    log_likelihood : float
        Of the whole sequence, `end_probs` included.
    filtered_probs : array, shape (n_frames, n_states)
        ``p(state_t | x_1 … x_t)``; rows sum to 1, and are 0 from an impossible frame on.
    predictive_log_densities : array, shape (n_frames,)
        ``log p(x_t | x_1 … x_{t−1})``; −inf from an impossible frame on.
    """

    log_likelihood: float
    filtered_probs: Float64Array
    predictive_log_densities: Float64Array


class ViterbiResult(NamedTuple):
    """What `viterbi` returns.

    Attributes
    ----------
    path : array, shape (n_frames,), int32
        Most probable states; all −1 if the sequence is impossible.
    log_probability : float
        Logarithm of the joint density of the path and the frames; −inf if the sequence is impossible.
    """

    path: IntArray
    log_probability: float


WideRow = tuple[Float64Array, Float64Array]
"""Mantissas and exponents of the forward values of one frame."""


class Forward(NamedTuple):
    """Forward values in wide numbers (see `_wide_kernels`) and the predictive log-densities of their frames."""

    mantissas: Float64Array
    exponents: Float64Array
    log_densities: Float64Array

    def last(self, before: WideRow | None) -> WideRow | None:
        """Return the forward values after the last frame, those before the first if there are no frames."""
        return (self.mantissas[-1].copy(), self.exponents[-1].copy()) if len(self.mantissas) else before

    def probs(self) -> Float64Array:
        """Return the filtered probabilities as ordinary numbers, shape (n_frames, n_states)."""
        return np.asarray(np.ldexp(self.mantissas, np.maximum(self.exponents, -1100.0).astype(np.int32)))


class BatchPosteriors(NamedTuple):
    """Posteriors of many sequences; the counts are sums over the sequences that are possible."""

    log_likelihoods: Float64Array
    state_posteriors: Float64Array
    start: Float64Array
    arc_counts: Float64Array
    end: Float64Array


def forward_backward(
    start_probs: npt.ArrayLike,
    transition_matrix: Any,
    frame_log_likelihoods: npt.ArrayLike,
    *,
    end_probs: npt.ArrayLike | None = None,
) -> ForwardBackward:
    """Return the log-likelihood of a sequence and the posteriors of its states and transitions.

    Rabiner 1989, eq. 27, 37 and 38. Memory: three arrays of the shape of the posteriors, six where gaps are wide.

    Parameters
    ----------
    start_probs : array-like, shape (n_states,)
    transition_matrix : array-like or scipy.sparse array, shape (n_states, n_states)
    frame_log_likelihoods : array-like, shape (n_frames, n_states)
        At least one frame.
    end_probs : array-like, shape (n_states,), optional

    Returns
    -------
    ForwardBackward

    Raises
    ------
    ParameterError
        If shapes do not match, or values are not probabilities or log-likelihoods.

    Examples
    --------
    >>> result = forward_backward([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], np.log([[0.9, 0.2], [0.9, 0.2]]))
    >>> result.state_posteriors.round(3)
    array([[0.883, 0.117],
           [0.883, 0.117]])
    """
    chain = as_chain(start_probs, transition_matrix, end_probs)
    log_likelihoods = check_log_likelihoods(frame_log_likelihoods, chain.n_states)
    found = batch_posteriors(chain, log_likelihoods, np.array([0, len(log_likelihoods)]), tails=True)
    counts = chain.arc_matrix(found.arc_counts)
    transitions = counts if hasattr(transition_matrix, "tocsr") else counts.toarray()
    return ForwardBackward(float(found.log_likelihoods[0]), found.state_posteriors, transitions)


def filter_states(
    start_probs: npt.ArrayLike,
    transition_matrix: Any,
    frame_log_likelihoods: npt.ArrayLike,
    *,
    end_probs: npt.ArrayLike | None = None,
) -> FilterResult:
    """Return for each frame what the frames up to it say: state probabilities, and how expected the frame was.

    The forward recursion (Rabiner 1989, eq. 19–20); the same numbers, to the bit, as `streaming.HMMFilter`. A row of
    the transition matrix that sums to less than 1 (a sequence may end there) makes the density that of "the sequence
    goes on, and then x_t"; `end_probs` enters `log_likelihood` only.

    Parameters
    ----------
    start_probs, transition_matrix, frame_log_likelihoods, end_probs
        As in `forward_backward`; zero frames are allowed.

    Returns
    -------
    FilterResult

    Raises
    ------
    ParameterError
        If shapes do not match, or values are not probabilities or log-likelihoods.

    Examples
    --------
    >>> result = filter_states([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], np.log([[0.9, 0.2], [0.9, 0.2]]))
    >>> result.filtered_probs.round(3)
    array([[0.818, 0.182],
           [0.883, 0.117]])
    """
    chain = as_chain(start_probs, transition_matrix, end_probs)
    log_likelihoods = check_log_likelihoods(frame_log_likelihoods, chain.n_states, least=0)
    forward = run_filter(chain, log_likelihoods)
    log_likelihood = float(forward.log_densities.sum())
    if end_probs is not None and len(log_likelihoods):
        last = log_likelihoods[-1:], forward.mantissas[-1:], forward.exponents[-1:]
        log_likelihood += _wide_kernels.wide_backward(chain, *last, True, np.empty((0, chain.n_states)), np.empty(0))
    return FilterResult(log_likelihood, forward.probs(), forward.log_densities)


def viterbi(
    start_probs: npt.ArrayLike,
    transition_matrix: Any,
    frame_log_likelihoods: npt.ArrayLike,
    *,
    end_probs: npt.ArrayLike | None = None,
) -> ViterbiResult:
    """Return the most probable path of states (Rabiner 1989, eq. 32–35).

    Among equally probable ways to reach a state at a frame, the one from the state of the lowest index is taken, and
    the lowest among equal last states. Memory: four bytes for each frame and state.

    Parameters
    ----------
    start_probs, transition_matrix, frame_log_likelihoods, end_probs
        As in `forward_backward`.

    Returns
    -------
    ViterbiResult

    Raises
    ------
    ParameterError
        If shapes do not match, or values are not probabilities or log-likelihoods.

    Examples
    --------
    >>> emission_probs = [[0.5, 0.1], [0.4, 0.3], [0.1, 0.6]]
    >>> path, log_probability = viterbi([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], np.log(emission_probs))
    >>> path.tolist(), round(float(np.exp(log_probability)), 5)
    ([0, 0, 1], 0.01512)
    """
    chain = as_chain(start_probs, transition_matrix, end_probs)
    log_likelihoods = check_log_likelihoods(frame_log_likelihoods, chain.n_states)
    paths, log_probabilities = batch_viterbi(chain, log_likelihoods, np.array([0, len(log_likelihoods)]))
    return ViterbiResult(paths, float(log_probabilities[0]))


def batch_viterbi(chain: Chain, log_likelihoods: Float64Array, offsets: IntArray) -> tuple[IntArray, Float64Array]:
    """Return the most probable paths of sequences that lie one after the other, and their log-probabilities.

    As `viterbi`; nothing is checked. Memory: four bytes for each frame and state of the longest sequence.
    """
    paths = np.empty(len(log_likelihoods), dtype=np.int32)
    totals = np.empty(len(offsets) - 1)
    _path_kernels.best_paths(
        PathArcs.from_chain(chain),
        log_probs(chain.start),
        log_probs(chain.end),
        np.ascontiguousarray(log_likelihoods, dtype=np.float64),
        np.asarray(offsets, dtype=np.int64),
        paths,
        totals,
    )
    return paths, totals


def batch_posteriors(
    chain: Chain, log_likelihoods: Float64Array, offsets: IntArray, *, tails: bool = False
) -> BatchPosteriors:
    """Run forward-backward over sequences that lie one after the other; nothing is checked.

    Parameters
    ----------
    chain : Chain
    log_likelihoods : array, shape (n_frames, n_states)
    offsets : array, shape (n_sequences + 1,)
        Sequence q is the rows from ``offsets[q]`` to ``offsets[q + 1]``, at least one.
    tails : bool
        Whether posteriors far below 1e-20 matter too.
    """
    n_states = chain.n_states
    log_likelihoods = np.ascontiguousarray(log_likelihoods, dtype=np.float64)
    posteriors = np.empty((len(log_likelihoods), n_states))
    totals = np.empty(len(offsets) - 1)
    start, end, counts = np.zeros(n_states), np.zeros(n_states), np.zeros(len(chain.outgoing.probs))
    _kernels.plain_posteriors(
        chain,
        log_likelihoods,
        np.asarray(offsets, dtype=np.int64),
        tails,
        posteriors,
        totals,
        counts,
        start,
        end,
    )
    for q in np.flatnonzero(np.isnan(totals)):
        rows = slice(offsets[q], offsets[q + 1])
        totals[q] = wide_posteriors(chain, log_likelihoods[rows], posteriors[rows], counts)
        start += posteriors[rows][0]
        end += posteriors[rows][-1]
    return BatchPosteriors(totals, posteriors, start, counts, end)


def wide_posteriors(
    chain: Chain, log_likelihoods: Float64Array, posteriors: Float64Array, arc_counts: Float64Array
) -> float:
    """Write the posteriors of one sequence, add its expected transitions, and return its log-likelihood.

    The version in wide numbers, for sequences that the plain one cannot answer for (see `_kernels`); nothing is
    checked. A sequence that is impossible adds nothing.
    """
    forward = run_filter(chain, log_likelihoods)
    log_end = _wide_kernels.wide_backward(
        chain, log_likelihoods, forward.mantissas, forward.exponents, True, posteriors, arc_counts
    )
    return float(forward.log_densities.sum() + log_end)


def run_filter(chain: Chain, log_likelihoods: Float64Array, previous: WideRow | None = None) -> Forward:
    """Run the filter over frames that follow a row of wide numbers, or begin a sequence."""
    shape = log_likelihoods.shape
    forward = Forward(np.empty(shape), np.empty(shape), np.empty(len(log_likelihoods)))
    before = (chain.start_mantissas, chain.start_exponents) if previous is None else previous
    _wide_kernels.filter_frames(chain, log_likelihoods, previous is None, *before, *forward)
    return forward


def check_log_likelihoods(frame_log_likelihoods: npt.ArrayLike, n_states: int, *, least: int = 1) -> Float64Array:
    """Return log-likelihoods as a C-ordered float64 array of at least so many frames, without NaN or +inf."""
    try:
        array = np.ascontiguousarray(frame_log_likelihoods, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"frame_log_likelihoods is not an array of numbers ({error})") from error
    if array.ndim != 2 or array.shape[1] != n_states or len(array) < least:
        raise ParameterError(
            f"frame_log_likelihoods has shape {np.shape(frame_log_likelihoods)} but {n_states} states need "
            f"(n_frames, {n_states}) with at least {least} frames"
        )
    if not (array < np.inf).all():
        row = int(np.flatnonzero(~(array < np.inf).all(axis=1))[0])
        raise ParameterError(
            f"frame_log_likelihoods holds NaN or +inf, first in row {row}; −inf is the only infinity that has a meaning"
        )
    return array
