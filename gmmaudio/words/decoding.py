"""The best sentences of an utterance, and how certain each of their words is.

Conventions. All functions take a network and ``network.emission_log_likelihoods(frames)``, which is computed once. An
utterance into which no sentence fits (too few frames, or impossible ones) is not an error: nothing is recognised.
"""

from typing import NamedTuple

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.hmm.inference import batch_posteriors, batch_viterbi
from gmmaudio.words.hypotheses import NOTHING, Hypothesis, Segment, path_segments, with_confidences
from gmmaudio.words.network import WordNetwork

ACOUSTIC_SCALE = 0.1
"""Frames 10 ms apart, each with its deltas, are far from independent; about ten of them are worth one."""


class LabelPosteriors(NamedTuple):
    """How probable each label is at each frame.

    Attributes
    ----------
    labels : tuple of str
        Words, `SILENCE` and `GARBAGE`, as far as the network has them.
    probs : array, shape (n_frames, n_labels)
        Rows sum to 1, or are 0 if nothing can be recognised.
    """

    labels: tuple[str, ...]
    probs: Float64Array


def decode(network: WordNetwork, log_likelihoods: Float64Array) -> Hypothesis:
    """Return the most probable path through the network.

    Parameters
    ----------
    network : WordNetwork
    log_likelihoods : array, shape (n_frames, n_columns)
        From `WordNetwork.emission_log_likelihoods`.

    Returns
    -------
    Hypothesis
        Without segments, and of log-probability −inf, if no sentence fits.
    """
    states = network.state_log_likelihoods(log_likelihoods)
    if not len(states):
        return NOTHING
    path, log_probabilities = batch_viterbi(network.chain, states, np.array([0, len(states)]))
    if log_probabilities[0] == -np.inf:
        return NOTHING
    path_log_likelihoods = states[np.arange(len(path)), path]
    segments = path_segments(network, path, path_log_likelihoods, is_complete=True)
    return Hypothesis(segments, float(log_probabilities[0]))


def label_posteriors(
    network: WordNetwork, log_likelihoods: Float64Array, *, acoustic_scale: float = ACOUSTIC_SCALE
) -> LabelPosteriors:
    """Return the probability of each label at each frame, by forward-backward over the network.

    Parameters
    ----------
    network : WordNetwork
    log_likelihoods : array, shape (n_frames, n_columns)
    acoustic_scale : float
        Factor of the emission log-likelihoods; at 1 the posteriors are those of the model, which believes that all
        frames are independent and is therefore far too certain.

    Raises
    ------
    ParameterError
        If `acoustic_scale` is not positive.
    """
    if not 0.0 < acoustic_scale < np.inf:
        raise ParameterError(f"acoustic_scale is {acoustic_scale} but must be positive and finite")
    states = acoustic_scale * network.state_log_likelihoods(log_likelihoods)
    labels = tuple(dict.fromkeys(network.labels))
    numbers = np.array([labels.index(label) for label in network.labels])[network.places]
    if not len(states):
        return LabelPosteriors(labels, np.zeros((0, len(labels))))
    found = batch_posteriors(network.chain, states, np.array([0, len(states)]))
    probs = np.zeros((len(states), len(labels)))
    np.add.at(probs.T, numbers, found.state_posteriors.T)
    return LabelPosteriors(labels, probs)


def with_confidence(hypothesis: Hypothesis, posteriors: LabelPosteriors) -> Hypothesis:
    """Return the hypothesis with the confidence of each segment: the mean posterior of its label over its frames.

    Wessel, Schlüter, Macherey & Ney 2001, "Confidence measures for large vocabulary continuous speech recognition",
    eq. 9–10: the posterior of a word at a time adds up all paths that say the word then, wherever it begins and ends.
    """
    numbers = {label: n for n, label in enumerate(posteriors.labels)}

    def confidence(part: Segment) -> float:
        """Return the mean posterior of a label over its frames."""
        return min(1.0, float(posteriors.probs[part.start_frame : part.end_frame, numbers[part.label]].mean()))

    return with_confidences(hypothesis, [confidence(part) for part in hypothesis.segments])
