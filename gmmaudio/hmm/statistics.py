"""Baum-Welch statistics of sequences under a hidden Markov model: all that the M-step needs; an additive value."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.hmm.emissions import TiedEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.validation import read_only_array


@dataclass(frozen=True, eq=False)
class HmmStats:
    """Expected counts of the chain, and the statistics of the emissions (Rabiner 1989, eq. 40 and 54).

    Attributes
    ----------
    start : array, shape (n_states,)
        Expected number of sequences that begin in each state.
    transitions : array, shape (n_states, n_states)
        Expected number of transitions, row = from.
    ends : array, shape (n_states,)
        Expected number of sequences that end in each state.
    emissions : GmmStats
        Of all Gaussians, in the order of the states (`Emissions.pool`), each frame weighted by the posterior of the
        state. Its own log-likelihood is 0.
    codebook_use : array, shape (n_states, n_components), or None
        For tied emissions, the occupancy of each Gaussian of the codebook in each state.
    log_likelihood : float
        Of all sequences.
    n_frames : float
        Number of frames, or the sum of their weights.
    n_sequences : int

    Raises
    ------
    ParameterError
        If shapes do not match, or a count is negative or not finite.
    """

    start: Float64Array
    transitions: Float64Array
    ends: Float64Array
    emissions: GmmStats
    codebook_use: Float64Array | None
    log_likelihood: float
    n_frames: float
    n_sequences: int

    def __post_init__(self) -> None:
        start = read_only_array(self.start, name="start", shape=(None,))
        n_states = len(start)
        arrays = {
            "start": start,
            "transitions": read_only_array(self.transitions, name="transitions", shape=(n_states, n_states)),
            "ends": read_only_array(self.ends, name="ends", shape=(n_states,)),
        }
        if self.codebook_use is not None:
            shape = (n_states, len(self.emissions.zeroth))
            arrays["codebook_use"] = read_only_array(self.codebook_use, name="codebook_use", shape=shape)
        for name, array in arrays.items():
            if (array < 0).any():
                raise ParameterError(f"{name} holds a negative value, but it is an expected count, 0 or more")
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        counts = self.log_likelihood, self.n_frames, self.n_sequences
        return type(self), (self.start, self.transitions, self.ends, self.emissions, self.codebook_use, *counts)

    @classmethod
    def zeros_like(cls, params: HmmParams) -> Self:
        """Return the statistics of no sequences under a model: the neutral element of `+`."""
        n_states = params.n_states
        tied = isinstance(params.emissions, TiedEmissions)
        use = np.zeros((n_states, params.emissions.pool.n_components)) if tied else None
        stats = GmmStats.zeros_like(params.emissions.pool)
        return cls(np.zeros(n_states), np.zeros((n_states, n_states)), np.zeros(n_states), stats, use, 0.0, 0.0, 0)

    def __add__(self, other: "HmmStats") -> "HmmStats":
        """Return the statistics of both sets of sequences; neither operand changes."""
        if not isinstance(other, HmmStats):
            return NotImplemented
        if self.start.shape != other.start.shape or (self.codebook_use is None) != (other.codebook_use is None):
            raise ParameterError(
                f"cannot add statistics of {len(self.start)} and {len(other.start)} states, or of tied and of "
                "separate mixtures: accumulate both with the same parameters"
            )
        emissions = self.emissions + other.emissions
        use = None
        if self.codebook_use is not None and other.codebook_use is not None:
            use = self.codebook_use + other.codebook_use
        return HmmStats(
            self.start + other.start,
            self.transitions + other.transitions,
            self.ends + other.ends,
            emissions,
            use,
            self.log_likelihood + other.log_likelihood,
            self.n_frames + other.n_frames,
            self.n_sequences + other.n_sequences,
        )
