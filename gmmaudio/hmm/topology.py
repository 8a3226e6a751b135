"""Which starts, transitions and ends a hidden Markov model may have.

Conventions. Row = from, column = to. What a topology forbids stays at probability 0 in training. Without `end` a
sequence may stop in any state, at no cost; with it, it must stop in one of the marked states.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array
from gmmaudio.errors import ParameterError


@dataclass(frozen=True, eq=False, init=False)
class Topology:
    """The starts, transitions and ends that are allowed.

    Parameters
    ----------
    start : array-like of bool, shape (n_states,)
    transitions : array-like of bool, shape (n_states, n_states)
    end : array-like of bool, shape (n_states,), optional

    Raises
    ------
    ParameterError
        If shapes do not match, nothing can start, a state has no way on, cannot be reached from a start, or cannot
        reach an end.

    Examples
    --------
    >>> Topology.left_right(3, forced_end=True).transitions.astype(int)
    array([[1, 1, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """

    start: BoolArray
    transitions: BoolArray
    end: BoolArray | None

    def __init__(self, start: npt.ArrayLike, transitions: npt.ArrayLike, end: npt.ArrayLike | None = None) -> None:
        moves = _mask(transitions, "transitions", ndim=2)
        n_states = len(moves)
        if moves.shape != (n_states, n_states) or n_states == 0:
            raise ParameterError(f"transitions has shape {moves.shape} but needs (n_states, n_states)")
        object.__setattr__(self, "transitions", moves)
        object.__setattr__(self, "start", _state_mask(start, "start", n_states))
        object.__setattr__(self, "end", None if end is None else _state_mask(end, "end", n_states))
        self._check_ways()

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.start, self.transitions, self.end)

    @classmethod
    def ergodic(cls, n_states: int) -> Self:
        """Return the topology in which every state may follow every other, and be the first and the last."""
        _check_n_states(n_states)
        return cls(np.ones(n_states), np.ones((n_states, n_states)))

    @classmethod
    def left_right(cls, n_states: int, *, skips: int = 0, forced_end: bool = False) -> Self:
        """Return a Bakis topology: start in state 0, then stay, go one state on, or skip up to so many states.

        Parameters
        ----------
        n_states : int
        skips : int
            How many states one transition may leave out.
        forced_end : bool
            Whether a sequence must end in the last state.
        """
        _check_n_states(n_states)
        if not isinstance(skips, (int, np.integer)) or isinstance(skips, bool) or skips < 0:
            raise ParameterError(f"skips is {skips!r} but must be a whole number, 0 or more")
        transitions = np.triu(np.tri(n_states, k=1 + int(skips)))
        states = np.arange(n_states)
        return cls(states == 0, transitions, states == n_states - 1 if forced_end else None)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.start)

    @property
    def n_parameters(self) -> int:
        """Number of free probabilities: one less than are allowed, for the start and for each state's ways on."""
        ways_on = self.transitions.sum(axis=1) + (0 if self.end is None else self.end)
        return int(self.start.sum() - 1 + (ways_on - 1).sum())

    def uniform_probs(self) -> tuple[Float64Array, Float64Array, Float64Array | None]:
        """Return start, transition and end probabilities in which all that is allowed is equally probable."""
        ways_on = self.transitions.sum(axis=1) + (0 if self.end is None else self.end)
        end = None if self.end is None else self.end / ways_on
        return self.start / self.start.sum(), self.transitions / ways_on[:, np.newaxis], end

    def _check_ways(self) -> None:
        """Raise if a state is of no use."""
        end = np.zeros(self.n_states, dtype=np.bool_) if self.end is None else self.end
        stuck = ~self.transitions.any(axis=1) & ~end
        if stuck.any():
            raise ParameterError(
                f"state {int(stuck.argmax())} has no way on; allow it a transition, at least to itself, or an end"
            )
        unreached = ~_reachable(self.start, self.transitions)
        if unreached.any():
            raise ParameterError(
                f"state {int(unreached.argmax())} cannot be reached from a start; allow a transition into it, "
                "or leave it out"
            )
        endless = ~_reachable(end, self.transitions.T)
        if self.end is not None and endless.any():
            raise ParameterError(
                f"state {int(endless.argmax())} cannot reach an end; allow a transition towards one, or leave it out"
            )


def as_topology(topology: Any, n_states: int) -> Topology:
    """Return a topology from its name, a mask, or itself.

    Parameters
    ----------
    topology : {"ergodic", "left-right"}, array-like of bool of shape (n_states, n_states), or Topology
        With a mask, a sequence may start in every state and stop in every state.
    n_states : int

    Raises
    ------
    ParameterError
        If it is none of these, or is of another number of states.

    Examples
    --------
    >>> as_topology("left-right", 2).uniform_probs()
    (array([1., 0.]), array([[0.5, 0.5], [0. , 1. ]]), None)
    """
    if isinstance(topology, str):
        named = {"ergodic": Topology.ergodic, "left-right": Topology.left_right}
        if topology not in named:
            raise ParameterError(f"topology is {topology!r} but must be 'ergodic', 'left-right', a mask or a Topology")
        return named[topology](n_states)
    if isinstance(topology, Topology):
        found: Topology = topology
    else:
        mask = _mask(topology, "topology", ndim=2)
        found = Topology(np.ones(len(mask)), mask)
    if found.n_states != n_states:
        raise ParameterError(f"the topology has {found.n_states} states but the model has {n_states}")
    return found


def _reachable(start: BoolArray, transitions: BoolArray) -> BoolArray:
    """Return which states can be reached from a set of states, itself included."""
    reached = start
    while (larger := reached | transitions[reached].any(axis=0)).sum() > reached.sum():
        reached = larger
    return reached


def _mask(mask: npt.ArrayLike, name: str, ndim: int) -> BoolArray:
    """Return a read-only copy of a mask."""
    array = np.asarray(mask)
    if array.dtype.kind not in "biuf" or array.ndim != ndim or not ((array == 0) | (array == 1)).all():
        raise ParameterError(f"{name} must be a mask of {ndim} axes with True (or 1) where something is allowed")
    copy = array.astype(np.bool_)
    copy.flags.writeable = False
    return copy


def _state_mask(mask: npt.ArrayLike, name: str, n_states: int) -> BoolArray:
    """Return a mask of states that allows at least one."""
    array = _mask(mask, name, ndim=1)
    if array.shape != (n_states,):
        raise ParameterError(f"{name} has shape {array.shape} but transitions is of {n_states} states")
    if not array.any():
        raise ParameterError(f"{name} allows no state; at least one must be allowed")
    return array


def _check_n_states(n_states: int) -> None:
    """Raise unless the number of states is a whole number of at least 1."""
    if not isinstance(n_states, (int, np.integer)) or isinstance(n_states, bool) or n_states < 1:
        raise ParameterError(f"n_states is {n_states!r} but must be a whole number, 1 or more")
