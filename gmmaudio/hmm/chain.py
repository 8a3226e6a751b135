"""The Markov chain in the form in which the compiled recursions want it, checked once.

Conventions. An *arc* is a transition of probability above 0. Arcs are kept twice: grouped by their target
(`incoming`, other end: the source) for forward recursions, and by their source (`outgoing`, other end: the target) for
backward ones; within a group the other ends ascend. A matrix with few zeros is kept as a matrix as well.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.hmm._kernels import FLOOR

SUM_TOLERANCE = 1e-5
"""How far a sum of probabilities may be above 1: other programs write them with six digits."""

DENSE_SHARE = 0.4
"""Share of arcs among all pairs of states from which on loops over the whole matrix are faster than over arcs."""


class Arcs(NamedTuple):
    """Arcs grouped by one of their ends.

    Attributes
    ----------
    firsts : int64 array, shape (n_states + 1,)
        The arcs of state i are those from ``firsts[i]`` to ``firsts[i + 1]``.
    others : int32 array, shape (n_arcs,)
        States at the other end.
    probs, raised_probs : array, shape (n_arcs,)
        Probabilities, and the same not below `_kernels.FLOOR`.
    mantissas, exponents : array, shape (n_arcs,)
        Probabilities as ``mantissa · 2 ** exponent``.
    matrix : array, shape (n_states, n_states) or (0, 0)
        The raised probabilities, row = other end; empty when the chain is sparse.
    """

    firsts: IntArray
    others: IntArray
    probs: Float64Array
    raised_probs: Float64Array
    mantissas: Float64Array
    exponents: Float64Array
    matrix: Float64Array

    @classmethod
    def from_csr(cls, matrix: Any, *, is_dense: bool) -> "Arcs":
        """Build the arcs from a CSR matrix whose rows are the groups."""
        probs = np.ascontiguousarray(matrix.data, dtype=np.float64)
        raised = np.maximum(probs, FLOOR)
        table = np.zeros((0, 0))
        if is_dense:
            table = np.zeros(matrix.shape)
            table[matrix.indices, np.repeat(np.arange(len(table)), np.diff(matrix.indptr))] = raised
        firsts = matrix.indptr.astype(np.int64)
        return cls(firsts, matrix.indices.astype(np.int32), probs, raised, *split(probs), table)


class Chain(NamedTuple):
    """Start, transitions and ends of a hidden Markov model.

    Attributes
    ----------
    incoming, outgoing : Arcs
        Grouped by target and by source.
    start, end : array, shape (n_states,)
        Probabilities; ends are 1 where a sequence may end anywhere.
    raised_start, raised_end : array, shape (n_states,)
        The same with the small ones raised.
    start_mantissas, start_exponents, end_mantissas, end_exponents : array, shape (n_states,)
        The same as mantissas and exponents.
    is_raised : bool
        Whether any probability was raised.
    """

    incoming: Arcs
    outgoing: Arcs
    start: Float64Array
    end: Float64Array
    raised_start: Float64Array
    raised_end: Float64Array
    start_mantissas: Float64Array
    start_exponents: Float64Array
    end_mantissas: Float64Array
    end_exponents: Float64Array
    is_raised: bool

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.start)

    def arc_matrix(self, values: Float64Array) -> Any:
        """Return values of the outgoing arcs as a sparse array, shape (n_states, n_states)."""
        shape = (self.n_states, self.n_states)
        return sparse.csr_array((values, self.outgoing.others.copy(), self.outgoing.firsts.copy()), shape=shape)


class PathArcs(NamedTuple):
    """Arcs grouped by target with the logarithms of their probabilities, for best paths.

    Attributes
    ----------
    firsts, others : array
        As in `Arcs`.
    log_probs : array, shape (n_arcs,)
    log_matrix : array, shape (n_states, n_states) or (0, 0)
        The same, row = source, −inf where there is no arc; empty when the chain is sparse.
    """

    firsts: IntArray
    others: IntArray
    log_probs: Float64Array
    log_matrix: Float64Array

    @classmethod
    def from_chain(cls, chain: Chain) -> "PathArcs":
        """Take the logarithms of the arcs of a chain."""
        arcs = chain.incoming
        log_probs = np.log(arcs.probs)
        table = np.full(arcs.matrix.shape, -np.inf)
        if table.size:
            table[arcs.others, np.repeat(np.arange(len(table)), np.diff(arcs.firsts))] = log_probs
        return cls(arcs.firsts, arcs.others, log_probs, table)


def as_chain(start_probs: npt.ArrayLike, transition_matrix: Any, end_probs: npt.ArrayLike | None = None) -> Chain:
    """Check the probabilities and return the chain.

    Parameters
    ----------
    start_probs : array-like, shape (n_states,)
        Sum to at most 1.
    transition_matrix : array-like or scipy.sparse array, shape (n_states, n_states)
        Row = from. Rows sum to at most 1.
    end_probs : array-like, shape (n_states,), optional
        Factor for a path by its last state, from 0 to 1; 1 for all states if not given. A proper distribution over
        sequences has rows that sum to 1 together with it; a 1 for the allowed last states and 0 for others forces ends.

    Raises
    ------
    ParameterError
        If shapes do not match, a probability is negative or not finite, a sum is above 1, nothing can start, or a
        state has neither a transition nor an end.
    """
    arcs = _checked_matrix(transition_matrix)
    n_states = arcs.shape[0]
    start = _checked_probs(start_probs, "start_probs", n_states)
    end = np.ones(n_states) if end_probs is None else _checked_probs(end_probs, "end_probs", n_states)
    _check_sums(start, np.asarray(arcs.sum(axis=1)).ravel(), None if end_probs is None else end)
    is_dense = arcs.nnz > DENSE_SHARE * n_states**2
    incoming, outgoing = (Arcs.from_csr(matrix, is_dense=is_dense) for matrix in (_by_target(arcs), arcs))
    raised_start, raised_end = _raised(start), _raised(end)
    is_raised = bool((outgoing.probs < FLOOR).any() or (raised_start != start).any() or (raised_end != end).any())
    return Chain(incoming, outgoing, start, end, raised_start, raised_end, *split(start), *split(end), is_raised)


def split(probs: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return mantissas and exponents (whole numbers, −inf for 0) of numbers."""
    mantissas, exponents = np.frexp(probs)
    return mantissas, np.where(probs > 0, exponents, -np.inf)


def log_probs(probs: Float64Array) -> Float64Array:
    """Return logarithms, −inf for 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(probs))


def _raised(probs: Float64Array) -> Float64Array:
    """Return probabilities that, where they are not 0, are at least `FLOOR` times the largest."""
    return np.where(probs > 0, np.maximum(probs, FLOOR * probs.max()), 0.0)


def _by_target(arcs: Any) -> Any:
    """Return the transpose in CSR form, other ends ascending."""
    transposed = sparse.csr_array(arcs.T)
    transposed.sort_indices()
    return transposed


def _checked_matrix(transition_matrix: Any) -> Any:
    """Return the transition matrix as a CSR array of its positive entries."""
    try:
        matrix = transition_matrix if sparse.issparse(transition_matrix) else np.asarray(transition_matrix, np.float64)
        arcs = sparse.csr_array(matrix, dtype=np.float64, copy=True)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"transition_matrix is not a matrix of numbers ({error})") from error
    if arcs.ndim != 2 or arcs.shape[0] != arcs.shape[1] or arcs.shape[0] == 0:
        raise ParameterError(f"transition_matrix has shape {arcs.shape} but needs (n_states, n_states)")
    if not (np.isfinite(arcs.data).all() and (arcs.data >= 0).all()):
        raise ParameterError("transition_matrix holds negative or non-finite values; they are probabilities")
    arcs.sum_duplicates()
    arcs.eliminate_zeros()
    return arcs


def _checked_probs(probs: npt.ArrayLike, name: str, n_states: int) -> Float64Array:
    """Return probabilities, one per state, at least one of them above 0."""
    try:
        array = np.array(probs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} is not an array of numbers ({error})") from error
    if array.shape != (n_states,):
        raise ParameterError(f"{name} has shape {array.shape} but transition_matrix is of {n_states} states")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ParameterError(f"{name} holds negative or non-finite values; they are probabilities")
    if not array.any():
        raise ParameterError(f"{name} is 0 for every state; at least one must be above 0")
    return array


def _check_sums(start: Float64Array, row_sums: Float64Array, end: Float64Array | None) -> None:
    """Raise if probabilities sum to more than 1, or a state has no way on."""
    if start.sum() > 1.0 + SUM_TOLERANCE:
        raise ParameterError(f"start_probs sum to {start.sum()}, which is above 1; divide them by their sum")
    if row_sums.max() > 1.0 + SUM_TOLERANCE:
        state = int(row_sums.argmax())
        raise ParameterError(
            f"row {state} of transition_matrix sums to {row_sums[state]}, which is above 1; divide it by its sum"
        )
    if end is not None and end.max() > 1.0 + SUM_TOLERANCE:
        raise ParameterError(f"end_probs holds {end.max()}, which is above 1; they are probabilities")
    stuck = row_sums == 0.0 if end is None else row_sums + end == 0.0
    if stuck.any():
        state = int(stuck.argmax())
        raise ParameterError(
            f"row {state} of transition_matrix is 0 throughout: state {state} has no way on; "
            "give it a transition to itself, or an end probability"
        )
