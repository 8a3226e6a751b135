"""What a fitted `GMMHMM` says about sequences: likelihoods, states, samples, information criteria."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm.criteria import aic, bic
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.frame_source import is_one_array
from gmmaudio.hmm._long import long_log_likelihood
from gmmaudio.hmm._sequence_forms import Sequences, each_sequence
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions
from gmmaudio.hmm.inference import batch_posteriors, batch_viterbi, run_filter
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sampling import sample_sequence
from gmmaudio.hmm.sequences import LONG_FRAMES
from gmmaudio.hmm.topology import Topology


class HmmScoring:
    """Scoring and decoding of an estimator that has `params_` and `topology_`.

    Wherever sequences are taken: X is one array of shape (n_frames, n_features) with the `lengths` of its sequences
    (one by default), or one item per sequence, as in `GMMHMM.fit`. What is said of each frame comes as one array, the
    sequences one after another. NaN is a missing feature.
    """

    params_: HmmParams
    topology_: Topology
    precision: Precision
    random_state: Any

    @property
    def start_probs_(self) -> Float64Array:
        """Probability of each state to be the first, shape (n_states,)."""
        return self._fitted_params().start_probs

    @property
    def transition_matrix_(self) -> Float64Array:
        """Transition probabilities, shape (n_states, n_states), row = from."""
        return self._fitted_params().transition_matrix

    @property
    def end_probs_(self) -> Float64Array | None:
        """Probability that a sequence ends after each state, shape (n_states,), or None."""
        return self._fitted_params().end_probs

    @property
    def weights_(self) -> Any:
        """Weights of the components of each state."""
        emissions = self._fitted_params().emissions
        if isinstance(emissions, TiedEmissions):
            return emissions.weights
        return _of_states(emissions, "weights")

    @property
    def means_(self) -> Any:
        """Means of the components of each state, or of the codebook."""
        emissions = self._fitted_params().emissions
        return emissions.codebook.means if isinstance(emissions, TiedEmissions) else _of_states(emissions, "means")

    @property
    def covariances_(self) -> Any:
        """Variances of the components of each state, or of the codebook."""
        emissions = self._fitted_params().emissions
        if isinstance(emissions, TiedEmissions):
            return emissions.codebook.variances
        return _of_states(emissions, "variances")

    def score(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> float:
        """Return the log-likelihood of all sequences together; −inf if one of them is impossible."""
        return math.fsum(self.score_sequences(X, lengths))  # whatever their order

    def score_sequences(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> Float64Array:
        """Return the log-likelihood of each sequence, shape (n_sequences,)."""
        return np.array([self._log_likelihood(frames) for frames in self._sequences(X, lengths)])

    def score_samples(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> Float64Array:
        """Return the predictive log-density of each frame, ``log p(x_t | x_1 … x_{t−1})``, shape (n_frames,).

        It looks at no later frame; the sum over a sequence is its log-likelihood, apart from the end probability.
        """
        chain = self._fitted_params().chain
        parts = [run_filter(chain, table).log_densities for table in self._frame_log_likelihoods(X, lengths)]
        return np.concatenate(parts)

    def decode(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> tuple[float, IntArray]:
        """Return the log-probability of the best paths of all sequences together, and their states, shape (n_frames,).

        Raises
        ------
        GmmAudioError
            If a sequence is impossible under the model.
        """
        chain, total, paths = self._fitted_params().chain, 0.0, []
        for number, table in enumerate(self._frame_log_likelihoods(X, lengths)):
            path, log_probability = batch_viterbi(chain, table, np.array([0, len(table)]))
            if not np.isfinite(log_probability[0]):
                raise GmmAudioError(f"sequence {number} is impossible under the model: no path has a probability")
            total += float(log_probability[0])
            paths.append(path)
        return total, np.concatenate(paths)

    def predict(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> IntArray:
        """Return the states of the best paths, shape (n_frames,)."""
        return self.decode(X, lengths)[1]

    def predict_proba(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> Float64Array:
        """Return the posterior probability of each state given its whole sequence, shape (n_frames, n_states).

        Rows of a sequence that is impossible under the model are 0.
        """
        chain = self._fitted_params().chain
        found = (
            batch_posteriors(chain, table, np.array([0, len(table)]), tails=True)
            for table in self._frame_log_likelihoods(X, lengths)
        )
        return np.concatenate([result.state_posteriors for result in found])

    def sample(self, n_samples: int = 1) -> tuple[Float64Array, IntArray]:
        """Draw one sequence; return its frames, shape (n_frames, n_features), and their states, shape (n_frames,).

        Where the model has end probabilities the sequence may end before `n_samples` frames.
        """
        if n_samples < 1:
            raise ParameterError(f"n_samples is {n_samples} but at least 1 frame must be drawn")
        return sample_sequence(self._fitted_params(), n_samples, check_random_state(self.random_state))

    def bic(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion; see `gmmaudio.gmm.criteria.bic`."""
        n_frames, scores = 0, []
        for frames in self._sequences(X, lengths):
            n_frames += len(frames)
            scores.append(self._log_likelihood(frames))
        return bic(math.fsum(scores), self.n_parameters, n_frames)

    def aic(self, X: Sequences, lengths: npt.ArrayLike | None = None) -> float:
        """Return the Akaike information criterion; see `gmmaudio.gmm.criteria.aic`."""
        return aic(self.score(X, lengths), self.n_parameters)

    @property
    def n_parameters(self) -> int:
        """Number of free parameters: what the topology forbids and what follows from a sum of 1 is not counted."""
        return self.topology_.n_parameters + self._fitted_params().emissions.n_parameters

    def _fitted_params(self) -> HmmParams:
        """Return the parameters, or say that there are none yet."""
        check_is_fitted(self)
        return self.params_

    def _validated(self, X: Any, *, reset: bool) -> Any:
        """Return X; what is one array in memory has been through scikit-learn's checks, which allow NaN."""
        if not is_one_array(X):
            return X
        return validate_data(self, X, dtype="numeric", ensure_all_finite="allow-nan", reset=reset)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: NaN is a missing feature."""
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.allow_nan = True
        return tags

    def _log_likelihood(self, frames: FloatArray) -> float:
        """Return the log-likelihood of a sequence; a long one is gone through in blocks."""
        params = self._fitted_params()
        n_blocks = -(-len(frames) // LONG_FRAMES)

        def block_likelihoods(number: int) -> Float64Array:
            block = frames[number * LONG_FRAMES : (number + 1) * LONG_FRAMES]
            return params.frame_log_likelihoods(block, precision=self.precision)

        return long_log_likelihood(params.chain, block_likelihoods, n_blocks)[0]

    def _sequences(self, X: Sequences, lengths: npt.ArrayLike | None) -> Iterator[FloatArray]:
        """Yield the sequences, checked against the model."""
        n_features = self._fitted_params().n_features
        yield from each_sequence(self._validated(X, reset=False), lengths, n_features=n_features)

    def _frame_log_likelihoods(self, X: Sequences, lengths: npt.ArrayLike | None) -> Iterator[Float64Array]:
        """Yield the log-likelihoods of the frames in the states, sequence by sequence."""
        params = self._fitted_params()
        for frames in self._sequences(X, lengths):
            yield params.frame_log_likelihoods(frames, precision=self.precision)


def _of_states(emissions: Any, name: str) -> Any:
    """Return an array of all mixtures stacked, or a tuple of them where their numbers of components differ."""
    assert isinstance(emissions, MixtureEmissions)
    arrays = tuple(getattr(mixture, name) for mixture in emissions.mixtures)
    return np.stack(arrays) if len({len(array) for array in arrays}) == 1 else arrays
