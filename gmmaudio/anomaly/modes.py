"""How a machine behaves in the mode of operation that it is in.

A hidden Markov model whose states are the modes, sticky because its transitions are learnt from the stream. The score
of a sample is how improbable it is given all earlier ones, −log p(x_t | x_1 … x_{t−1}) from the forward filter (Rabiner
1989, eq. 19-20), never the likelihood of the whole stream, which only falls. Taken from it is what is expected of such
a sample, the entropy of the present channels in the modes that the filter now believes in, so that noisy modes and
missing channels do not count.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.anomaly.heads import Block, HeadConfig
from gmmaudio.hmm import GMMHMM, HmmParams
from gmmaudio.hmm.inference import run_filter

N_COMPONENTS = 2
"""Gaussians of each mode."""

MAX_ITER = 50


class ModeHead:
    """Whether the sample is one of the mode that the machine is in, by a hidden Markov model that `train` learns.

    Attributes
    ----------
    modes : ndarray of int, shape (n_samples,)
        The most probable mode at each row of the last run; −1 where no channel gave a number.
    """

    def __init__(self, config: HeadConfig, hmm: HmmParams | None = None) -> None:
        self.config = config
        self._moments = np.empty((2, config.n_modes, config.n_channels))
        self.hmm = hmm
        self.modes: IntArray = np.empty(0, dtype=np.int64)
        self.learned: dict[str, AnyArray] = {}
        self.recent: dict[str, AnyArray] = {
            "mantissas": np.zeros(config.n_modes),
            "exponents": np.zeros(config.n_modes),
            "count": np.zeros(1, dtype=np.int64),
        }

    @property
    def hmm(self) -> HmmParams | None:
        """The modes, once they are learnt."""
        return self._hmm

    @hmm.setter
    def hmm(self, hmm: HmmParams | None) -> None:
        self._hmm = hmm
        if hmm is not None:
            self._moments = np.stack(mode_moments(hmm))

    def train(self, sequences: Sequence[Float64Array]) -> None:
        """Learn the modes from standardised rows of one or more stretches; what was learnt before is forgotten."""
        hmm = GMMHMM(self.config.n_modes, N_COMPONENTS, max_iter=MAX_ITER, precision="double", random_state=0)
        with warnings.catch_warnings():
            # The p-values come from rows that were not trained on, whether the likelihood still rose or not.
            warnings.simplefilter("ignore", ConvergenceWarning)
            hmm.fit([rows for rows in sequences if len(rows)])
        self.hmm = hmm.params_

    def forget_stream(self) -> None:
        """Start in no mode."""
        self.recent["count"][0] = 0

    def learner(self) -> "ModeHead":
        """Return a head with the same modes."""
        return ModeHead(self.config, self.hmm)

    def discount(self, n_samples: float) -> None:
        """Keep the modes."""

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return the surprise of each row and squared standard scores in the probable modes; nothing is learnt."""
        Z = block.standard
        if self.hmm is None or not len(Z):
            self.modes = np.full(len(Z), -1)
            return np.full(len(Z), np.nan), np.zeros(Z.shape)
        from gmmaudio.anomaly import _mode_kernels

        log_likelihoods = self.hmm.frame_log_likelihoods(Z, precision="double")
        recent = self.recent
        before = (recent["mantissas"].copy(), recent["exponents"].copy()) if recent["count"][0] else None
        forward = run_filter(self.hmm.chain, log_likelihoods, before)
        last = forward.last(before)
        if last is not None:
            recent["mantissas"][:], recent["exponents"][:] = last
        recent["count"] += len(Z)
        probs, expected, shares = forward.probs(), np.empty(len(Z)), np.empty(Z.shape)
        mean, variance = self._moments
        _mode_kernels.expect(Z, probs, mean, variance, expected, shares)
        some = ~np.isnan(Z).all(axis=1)
        self.modes = np.where(some, probs.argmax(axis=1), -1)
        return np.where(some, -forward.log_densities - expected, np.nan), shares


def mode_moments(hmm: HmmParams) -> tuple[Float64Array, Float64Array]:
    """Return mean and variance of each channel in each mode, over its Gaussians, shapes (n_modes, n_channels)."""
    pool = hmm.emissions.pool
    shape = (hmm.n_states, -1, hmm.n_features)
    weights = pool.weights.reshape(hmm.n_states, -1, 1) * hmm.n_states
    means = pool.means.reshape(shape)
    mean = (weights * means).sum(axis=1)
    second = (weights * (pool.covariances.array.reshape(shape) + means**2)).sum(axis=1)
    return mean, second - mean**2
