"""The parameters of a hidden Markov model: an immutable value.

Conventions. Row = from, column = to. `end_probs[i]` is the probability that a sequence ends after state i, so that a
row of the transition matrix and its end sum to 1; without `end_probs` a sequence may end anywhere, at no cost.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import Precision
from gmmaudio.hmm.chain import Chain, as_chain
from gmmaudio.hmm.emissions import Emissions, MixtureEmissions, TiedEmissions
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import read_only_array

SUM_TOLERANCE = 1e-5
"""How far probabilities may be from a sum of 1: other programs write them with six digits."""


@dataclass(frozen=True, eq=False, init=False)
class HmmParams:
    """Start, transition and end probabilities, and the emissions of each state.

    Parameters
    ----------
    start_probs : array-like, shape (n_states,)
        Sum to 1.
    transition_matrix : array-like, shape (n_states, n_states)
        Rows sum to 1, together with `end_probs` where those are given.
    emissions : MixtureEmissions or TiedEmissions
    end_probs : array-like, shape (n_states,), optional

    Raises
    ------
    ParameterError
        If shapes do not match, or probabilities are negative, not finite, or do not sum to 1.

    Examples
    --------
    >>> from gmmaudio.gmm import GmmParams
    >>> quiet, loud = (GmmParams(weights=[1.0], means=[[m]], covariances=[[1.0]]) for m in (0.0, 5.0))
    >>> params = HmmParams([1.0, 0.0], [[0.5, 0.5], [0.0, 1.0]], MixtureEmissions([quiet, loud]))
    >>> params.n_states, params.n_features
    (2, 1)
    """

    start_probs: Float64Array
    transition_matrix: Float64Array
    emissions: Emissions
    end_probs: Float64Array | None

    def __init__(
        self,
        start_probs: npt.ArrayLike,
        transition_matrix: npt.ArrayLike,
        emissions: Emissions,
        end_probs: npt.ArrayLike | None = None,
    ) -> None:
        n_states = emissions.n_states
        start = read_only_array(start_probs, name="start_probs", shape=(n_states,))
        transitions = read_only_array(transition_matrix, name="transition_matrix", shape=(n_states, n_states))
        ends = None if end_probs is None else read_only_array(end_probs, name="end_probs", shape=(n_states,))
        _check_distribution(start, float(start.sum()), "start_probs")
        for state, row in enumerate(transitions):
            end = 0.0 if ends is None else float(ends[state])
            parts = row if ends is None else np.append(row, end)
            ending = "" if ends is None else " with its end probability"
            _check_distribution(parts, float(parts.sum()), f"row {state} of transition_matrix{ending}")
        object.__setattr__(self, "start_probs", start)
        object.__setattr__(self, "transition_matrix", transitions)
        object.__setattr__(self, "emissions", emissions)
        object.__setattr__(self, "end_probs", ends)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.start_probs, self.transition_matrix, self.emissions, self.end_probs)

    @cached_property
    def chain(self) -> Chain:
        """The chain in the form in which the recursions take it."""
        return as_chain(self.start_probs, self.transition_matrix, self.end_probs)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.start_probs)

    @property
    def n_features(self) -> int:
        """Number of features of a frame."""
        return self.emissions.pool.n_features

    def frame_log_likelihoods(self, frames: npt.ArrayLike, *, precision: Precision = "single") -> Float64Array:
        """Return the log-likelihood of each frame in each state, shape (n_frames, n_states)."""
        return self.emissions.frame_log_likelihoods(frames, precision=precision)

    def to_stored(self) -> StoredModel:
        """Return the model as it is written to a file."""
        arrays = {"start_probs": self.start_probs, "transition_matrix": self.transition_matrix}
        if self.end_probs is not None:
            arrays["end_probs"] = self.end_probs
        kind = "tied" if isinstance(self.emissions, TiedEmissions) else "mixtures"
        return StoredModel("hmm_params", {"emissions": kind}, arrays | self.emissions.to_arrays())

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model from what a file holds."""
        arrays = stored.arrays
        gaussians = arrays["weights"], arrays["means"], arrays["variances"]
        kind = stored.config["emissions"]
        if kind not in ("tied", "mixtures"):
            raise ParameterError(f"emissions is {kind!r} but must be 'tied' or 'mixtures'")
        emissions: Emissions
        if kind == "tied":
            emissions = TiedEmissions.from_arrays(*gaussians)
        else:
            emissions = MixtureEmissions.from_pool(arrays["n_components"], *gaussians)
        return cls(arrays["start_probs"], arrays["transition_matrix"], emissions, arrays.get("end_probs"))


def _check_distribution(values: Float64Array, total: float, name: str) -> None:
    """Raise unless the values are probabilities that sum to 1."""
    if (values < 0).any() or abs(total - 1.0) > SUM_TOLERANCE:
        raise ParameterError(
            f"{name} must not hold negative values and must sum to 1; the smallest is {values.min()}, the sum {total}; "
            "divide by the sum"
        )
