"""How many states and components: training over a grid, compared by an information criterion."""

import itertools
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy.typing as npt

from gmmaudio.errors import ParameterError
from gmmaudio.gmm.selection import candidate_table
from gmmaudio.hmm._sequence_forms import Sequences
from gmmaudio.hmm.estimator import GMMHMM

Criterion = Literal["bic", "aic"]


class Candidate(NamedTuple):
    """One model of the grid and what the criteria say of it."""

    n_states: int
    n_components: int
    n_parameters: int
    bic: float
    aic: float
    model: GMMHMM


class Selection(NamedTuple):
    """What `select_hmm` returns: the best model, and all candidates in the order of the grid; `print` shows a table."""

    model: GMMHMM
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        """Return the table, with an asterisk at the candidate that was chosen."""
        return candidate_table(
            self.candidates, Candidate._fields[:-1], chosen=[c.model is self.model for c in self.candidates]
        )


def select_hmm(
    X: Sequences,
    lengths: npt.ArrayLike | None = None,
    *,
    n_states: Iterable[int],
    n_components: Iterable[int],
    criterion: Criterion = "bic",
    **options: Any,
) -> Selection:
    """Train a `GMMHMM` for each number of states and components, and return the one with the least criterion.

    Parameters
    ----------
    X, lengths
        As in `GMMHMM.fit`.
    n_states, n_components : iterable of int
        The grid.
    criterion : {"bic", "aic"}
        Schwarz 1978 or Akaike 1974, with the free parameters that the topology leaves.
    **options
        Of `GMMHMM`, for all candidates.

    Raises
    ------
    ParameterError
        If the criterion is unknown, the grid is empty, or as `GMMHMM.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = [np.concatenate([rng.normal(m, 1, (40, 1)) for m in (0, 8, 0, 8)]) for _ in range(4)]
    >>> found = select_hmm(X, n_states=(1, 2, 3), n_components=(1, 2), random_state=0)
    >>> found.model.n_states, found.model.n_components
    (2, 1)
    >>> print(select_hmm(X, n_states=(1, 2), n_components=(1,), random_state=0))
       n_states  n_components  n_parameters     bic     aic
              1             1             2  3636.7  3627.8
    *         2             1             7  1976.6  1945.4
    """
    if criterion not in ("bic", "aic"):
        raise ParameterError(f"criterion is {criterion!r} but must be 'bic' or 'aic'")
    grid = list(itertools.product(n_states, n_components))
    if not grid:
        raise ParameterError("the grid is empty; give at least one number of states and one of components")
    candidates = []
    for states, components in grid:
        model = GMMHMM(states, components, **options).fit(X, lengths)
        bic, aic = model.bic(X, lengths), model.aic(X, lengths)
        candidates.append(Candidate(states, components, model.n_parameters, bic, aic, model))
    best = min(candidates, key=lambda candidate: float(getattr(candidate, criterion)))
    return Selection(best.model, tuple(candidates))
