"""Hidden Markov models on streams: filter, fixed-lag smoother and online Viterbi.

Conventions. Each is a `Stage`: `push` takes any number of frames, zero included, and the results have the same bits
however the stream is cut; those of a whole recording are `push` and `flush` of it, and what has been given out never
changes. Frames go through `emissions`, an object with `frame_log_likelihoods(frames)` such as `HmmParams`, or a
function of frames; without it the rows that are pushed are log-likelihoods already, shape (n_frames, n_states).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.hmm import _path_kernels, _wide_kernels
from gmmaudio.hmm.chain import PathArcs, as_chain, log_probs
from gmmaudio.hmm.inference import WideRow, check_log_likelihoods, run_filter
from gmmaudio.stage import Stage

_FIRST_CAPACITY = 16
"""Frames that an online search has room for at first; it doubles when it must."""


class FilterStep(NamedTuple):
    """What `HMMFilter.step` returns for the frames that it got.

    Attributes
    ----------
    filtered_probs : array, shape (n_frames, n_states)
        ``p(state_t | x_1 … x_t)``; 0 from an impossible frame on.
    predictive_log_densities : array, shape (n_frames,)
        ``log p(x_t | x_1 … x_{t−1})``; −inf from an impossible frame on.
    """

    filtered_probs: Float64Array
    predictive_log_densities: Float64Array


class _ChainStage(Stage):
    """A stage that knows a chain and what its states emit."""

    def __init__(
        self, start_probs: npt.ArrayLike, transition_matrix: Any, *, end_probs: npt.ArrayLike | None, emissions: Any
    ) -> None:
        self._chain = as_chain(start_probs, transition_matrix, end_probs)
        function = getattr(emissions, "frame_log_likelihoods", emissions)
        if not (function is None or callable(function)):
            raise ParameterError(
                f"emissions is {emissions!r} but must be a function, or an object with frame_log_likelihoods"
            )
        self._emissions: Callable[[AnyArray], npt.ArrayLike] | None = function
        self.reset()

    def _log_likelihoods(self, rows: AnyArray) -> Float64Array:
        """Return the checked log-likelihoods of frames."""
        n_states = self._chain.n_states
        if self._emissions is not None:
            rows = np.asarray(self._emissions(rows)) if len(rows) else np.empty((0, n_states))
        return check_log_likelihoods(rows, n_states, least=0)


@dataclass
class _FilterState:
    last: WideRow | None = None
    log_likelihood: float = 0.0


class HMMFilter(_ChainStage):
    """State probabilities given the past, and how expected each frame is, in memory that does not grow.

    The numbers are those of `filter_states`. Rows of the transition matrix that sum to less than 1 count the chance
    that the sequence has ended as unexpected.

    Parameters
    ----------
    start_probs : array-like, shape (n_states,)
    transition_matrix : array-like or scipy.sparse array, shape (n_states, n_states)
    emissions : object or function, optional
        See the top of the module.

    Raises
    ------
    ParameterError
        If the probabilities are not usable (see `as_chain`).

    Examples
    --------
    >>> filter = HMMFilter([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]])
    >>> filter.step(np.log([[0.9, 0.2]])).filtered_probs.round(3)
    array([[0.818, 0.182]])
    >>> filter.step(np.log([[0.9, 0.2]])).filtered_probs.round(3)
    array([[0.883, 0.117]])
    """

    def __init__(self, start_probs: npt.ArrayLike, transition_matrix: Any, *, emissions: Any = None) -> None:
        super().__init__(start_probs, transition_matrix, end_probs=None, emissions=emissions)

    @property
    def lookahead(self) -> int:
        """Frames: none."""
        return 0

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of all frames of the stream so far."""
        return float(self._state.log_likelihood)

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _FilterState()

    def step(self, frames: AnyArray) -> FilterStep:
        """Take frames and return the state probabilities after each, and the log-density of each given the past."""
        state = self._state
        log_likelihoods = self._log_likelihoods(frames)
        forward = run_filter(self._chain, log_likelihoods, state.last)
        state.last = forward.last(state.last)
        for log_density in forward.log_densities.tolist():  # one by one: the sum is then the same however it is cut
            state.log_likelihood += log_density
        return FilterStep(forward.probs(), forward.log_densities)

    def push(self, rows: AnyArray) -> Float64Array:
        """Take frames and return the state probabilities after each, shape (n_frames, n_states)."""
        return self.step(rows).filtered_probs

    def flush(self) -> Float64Array:
        """Return nothing more, and start afresh."""
        self.reset()
        return np.empty((0, self._chain.n_states))


@dataclass
class _SmootherState:
    log_likelihoods: Float64Array
    mantissas: Float64Array
    exponents: Float64Array
    last: WideRow | None = None


class FixedLagSmoother(_ChainStage):
    """State probabilities given the past and the next `lag` frames: ``p(state_t | x_1 … x_{t + lag})``.

    A backward pass over the lag for each frame, so the work grows with the lag, and the memory is that of `lag` frames.
    What `flush` returns is given all frames, and the ends: as in `forward_backward`.

    Parameters
    ----------
    start_probs : array-like, shape (n_states,)
    transition_matrix : array-like or scipy.sparse array, shape (n_states, n_states)
    lag : int
        Frames of the future that are waited for; 0 is the filter.
    end_probs : array-like, shape (n_states,), optional
    emissions : object or function, optional
        See the top of the module.

    Raises
    ------
    ParameterError
        If the probabilities are not usable (see `as_chain`), or the lag is not a whole number of at least 0.

    Examples
    --------
    >>> smoother = FixedLagSmoother([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], lag=1)
    >>> smoother.push(np.log([[0.9, 0.2], [0.9, 0.2]])).round(3)
    array([[0.883, 0.117]])
    >>> smoother.flush().round(3)
    array([[0.883, 0.117]])
    """

    def __init__(
        self,
        start_probs: npt.ArrayLike,
        transition_matrix: Any,
        lag: int,
        *,
        end_probs: npt.ArrayLike | None = None,
        emissions: Any = None,
    ) -> None:
        self._lag = _whole(lag, "lag")
        super().__init__(start_probs, transition_matrix, end_probs=end_probs, emissions=emissions)

    @property
    def lookahead(self) -> int:
        """Frames: the lag."""
        return self._lag

    def reset(self) -> None:
        """Forget the stream."""
        none = np.empty((0, self._chain.n_states))
        self._state = _SmootherState(none, none, none)

    def push(self, rows: AnyArray) -> Float64Array:
        """Take frames and return the state probabilities that have become final, shape (n_frames, n_states)."""
        state = self._state
        log_likelihoods = self._log_likelihoods(rows)
        forward = run_filter(self._chain, log_likelihoods, state.last)
        state.log_likelihoods = np.concatenate([state.log_likelihoods, log_likelihoods])
        state.mantissas = np.concatenate([state.mantissas, forward.mantissas])
        state.exponents = np.concatenate([state.exponents, forward.exponents])
        state.last = forward.last(state.last)
        posteriors = np.empty((max(len(state.mantissas) - self._lag, 0), self._chain.n_states))
        window = state.log_likelihoods, state.mantissas, state.exponents
        _wide_kernels.smooth_frames(self._chain, *window, self._lag, posteriors)
        for name in ("log_likelihoods", "mantissas", "exponents"):
            setattr(state, name, getattr(state, name)[len(posteriors) :].copy())
        return posteriors

    def flush(self) -> Float64Array:
        """Return the state probabilities of the last frames given everything, and start afresh."""
        state = self._state
        posteriors = np.empty(state.mantissas.shape)
        window = state.log_likelihoods, state.mantissas, state.exponents
        _wide_kernels.wide_backward(self._chain, *window, True, posteriors, np.empty(0))
        self.reset()
        return posteriors


@dataclass
class _SearchState:
    scores: Float64Array
    origins: IntArray
    pointers: IntArray
    n_pending: int = 0
    n_frames: int = 0
    log_probability: float = 0.0
    is_exact: bool = True


class OnlineViterbi(_ChainStage):
    """The most probable path, given out as far as it can no longer change.

    A state is final as soon as the best paths into all states go through it (the common prefix of the survivors). What
    all pushes and `flush` return together is the path of `viterbi`, exactly, ties included. How long a frame stays
    pending depends on the model; memory is four bytes for each state and pending frame. An impossible sequence gives −1
    for every frame that was pending when it turned out, and for those after it.

    Parameters
    ----------
    start_probs : array-like, shape (n_states,)
    transition_matrix : array-like or scipy.sparse array, shape (n_states, n_states)
    end_probs : array-like, shape (n_states,), optional
    emissions : object or function, optional
        See the top of the module.
    max_lag : int, optional
        Bounds memory and delay: when more frames than this are pending, the oldest one is decided by the path that is
        best then, and the paths that disagree are given up. The result may then differ from `viterbi`; `is_exact`
        tells.

    Raises
    ------
    ParameterError
        If the probabilities are not usable (see `as_chain`), or `max_lag` is not a whole number of at least 0.

    Examples
    --------
    >>> search = OnlineViterbi([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]])
    >>> search.push(np.log([[0.5, 0.1], [0.4, 0.3], [0.1, 0.6]]))
    array([0, 0], dtype=int32)
    >>> search.flush()
    array([1], dtype=int32)
    """

    def __init__(
        self,
        start_probs: npt.ArrayLike,
        transition_matrix: Any,
        *,
        end_probs: npt.ArrayLike | None = None,
        emissions: Any = None,
        max_lag: int | None = None,
    ) -> None:
        self._max_lag = -1 if max_lag is None else _whole(max_lag, "max_lag")
        super().__init__(start_probs, transition_matrix, end_probs=end_probs, emissions=emissions)
        self._arcs = PathArcs.from_chain(self._chain)
        self._log_start, self._log_end = log_probs(self._chain.start), log_probs(self._chain.end)

    @property
    def lookahead(self) -> int:
        """Frames: `max_lag`; without it there is no bound, and this raises."""
        if self._max_lag < 0:
            raise ParameterError("the delay of an exact online search has no bound; give max_lag if you need one")
        return self._max_lag

    @property
    def is_exact(self) -> bool:
        """Whether no path was given up because of `max_lag`."""
        return bool(self._state.is_exact)

    @property
    def n_pending(self) -> int:
        """Number of frames whose states are not final."""
        return int(self._state.n_pending)

    @property
    def log_probability(self) -> float:
        """Log-probability of the best path if the sequence ended here; −inf if it is impossible."""
        state = self._state
        last = _path_kernels.best_state(state.scores, self._log_end)
        if state.n_frames == 0 or last < 0:
            return 0.0 if state.n_frames == 0 else -math.inf
        return float(state.log_probability + (state.scores[last] + self._log_end[last]))

    def reset(self) -> None:
        """Forget the stream."""
        n_states = self._chain.n_states
        pointers = np.empty((_FIRST_CAPACITY, n_states), dtype=np.int32)
        self._state = _SearchState(np.zeros(n_states), np.zeros(n_states, dtype=np.int32), pointers)

    def push(self, rows: AnyArray) -> IntArray:
        """Take frames and return the states that have become final, shape (n_frames,), int32."""
        state = self._state
        log_likelihoods = self._log_likelihoods(rows)
        self._make_room(state.n_pending + len(log_likelihoods))
        states = np.empty(state.n_pending + len(log_likelihoods), dtype=np.int32)
        n_written, state.n_pending, state.log_probability, is_exact = _path_kernels.push_scores(
            self._arcs,
            self._log_start,
            log_likelihoods,
            state.n_frames == 0,
            self._max_lag,
            state.scores,
            state.origins,
            state.pointers,
            state.n_pending,
            state.log_probability,
            states,
        )
        state.n_frames += len(log_likelihoods)
        state.is_exact = state.is_exact and is_exact
        return states[:n_written].copy()

    def pending_states(self) -> IntArray:
        """Return the best path through the pending frames if the sequence ended here; later frames may change it."""
        state = self._state
        states = np.full(state.n_pending, -1, dtype=np.int32)
        last = _path_kernels.best_state(state.scores, self._log_end)
        if state.n_pending and last >= 0:
            _path_kernels.trace(state.pointers, last, states)
        return states

    def flush(self) -> IntArray:
        """Return the states of the last frames, and start afresh."""
        states = self.pending_states()
        self.reset()
        return states

    def _make_room(self, n_frames: int) -> None:
        """Give the pointers room for so many pending frames."""
        state = self._state
        if n_frames > len(state.pointers):
            larger = np.empty((max(n_frames, 2 * len(state.pointers)), self._chain.n_states), dtype=np.int32)
            larger[: state.n_pending] = state.pointers[: state.n_pending]
            state.pointers = larger


def _whole(value: int, name: str) -> int:
    """Return a whole number of at least 0."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
        raise ParameterError(f"{name} is {value!r} but must be a whole number of frames, 0 or more")
    return int(value)
