"""Small word models, and recognition with them by trying every sentence."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from gmmaudio.gmm import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.words.acceptor import GARBAGE, SILENCE, one_of, sentence, word_loop, word_strings
from gmmaudio.words.grammar import parse_grammar

N_FEATURES = 2

GRAMMARS = {
    "one of": one_of(["a", "b"]),
    "loop": word_loop(["a", "b"]),
    "strings": word_strings(["a", "b"], 2, 3),
    "sentence": sentence(["a", "b", "a"]),
    "rules": parse_grammar("a [b] | /2/ b+ a"),
    "with garbage": word_loop(["a", "b"]).with_garbage(0.25),
}


def left_right(rng: np.random.Generator, n_states: int) -> HmmParams:
    """Random left-right model with skips, several entries and exits, and mixtures of one or two components."""
    steps = np.triu(rng.uniform(0.1, 1.0, (n_states, n_states))) * (
        np.arange(n_states) - np.arange(n_states)[:, None] < 3
    )
    ends = rng.uniform(0.1, 1.0, n_states) * (np.arange(n_states) >= n_states - 2)
    sums = steps.sum(axis=1) + ends
    starts = np.zeros(n_states)
    starts[:2] = rng.uniform(0.1, 1.0, min(2, n_states))
    mixtures = [mixture(rng, rng.normal(scale=3.0, size=N_FEATURES)) for _ in range(n_states)]
    return HmmParams(starts / starts.sum(), steps / sums[:, None], MixtureEmissions(mixtures), ends / sums)


def mixture(rng: np.random.Generator, center: np.ndarray) -> GmmParams:
    """One or two components around a point."""
    n_components = int(rng.integers(1, 3))
    means = center + rng.normal(scale=0.5, size=(n_components, len(center)))
    return GmmParams(np.full(n_components, 1.0 / n_components), means, rng.uniform(0.5, 2.0, means.shape))


def plain_word(*means: float, stay: float = 0.5) -> HmmParams:
    """Model that goes through states with these means, of one feature and variance 1, one after the other."""
    n_states = len(means)
    steps = stay * np.eye(n_states) + (1.0 - stay) * np.eye(n_states, k=1)
    ends = np.zeros(n_states)
    ends[-1] = 1.0 - stay
    states = [GmmParams(weights=[1.0], means=[[mean]], covariances=[[1.0]]) for mean in means]
    return HmmParams(np.eye(n_states)[0], steps, MixtureEmissions(states), end_probs=ends)


@dataclass
class Sentence:
    """A string of words; the logs of its best path, of all its paths, and of the best with each label at a frame."""

    words: tuple[str, ...]
    best: float
    total: float
    label_bests: dict[str, np.ndarray]

    def with_prior(self, log_prior: float) -> "Sentence":
        """The same, less probable."""
        bests = {label: values + log_prior for label, values in self.label_bests.items()}
        return Sentence(self.words, self.best + log_prior, self.total + log_prior, bests)


def all_sentences(acceptor, models, log_likelihoods, *, silence_prob=0.5, word_penalty=0.0) -> list[Sentence]:
    """Every sentence that fits, the best one first.

    `log_likelihoods` maps each label to an array (n_frames, n_states of its model).
    """
    n_frames = len(next(iter(log_likelihoods.values())))
    strings = (words for n in range(n_frames + 1) for words in itertools.product(acceptor.vocabulary, repeat=n))
    found = []
    for words in strings:
        grammar = acceptor.sentence_log_probability(words) - word_penalty * sum(word != GARBAGE for word in words)
        variants = with_pauses(words, silence_prob) if SILENCE in models else [(words, 0.0)]
        fitting = [(labels, pauses) for labels, pauses in variants if 0 < len(labels) <= n_frames]
        if grammar > -math.inf and fitting:
            runs = [run(labels, models, log_likelihoods).with_prior(grammar + pauses) for labels, pauses in fitting]
            found.append(
                Sentence(
                    words,
                    max(each.best for each in runs),
                    logsumexp([each.total for each in runs]),
                    {label: np.max([each.label_bests[label] for each in runs], axis=0) for label in models},
                )
            )
    return sorted((each for each in found if each.best > -math.inf), key=lambda each: -each.best)


def with_pauses(words, silence_prob):
    """All ways to put pauses around and between words, with their log-probabilities."""
    for pauses in itertools.product([False, True], repeat=len(words) + 1):
        labels = [SILENCE] * pauses[0]
        for word, pause in zip(words, pauses[1:], strict=True):
            labels += [word] + [SILENCE] * pause
        yield tuple(labels), sum(math.log(silence_prob if pause else 1.0 - silence_prob) for pause in pauses)


def run(labels, models, log_likelihoods):
    """Models one after the other, by plain recursions over all their states."""
    states = [(k, i) for k, label in enumerate(labels) for i in range(models[label].n_states)]
    n_frames = len(next(iter(log_likelihoods.values())))
    with np.errstate(divide="ignore"):
        step = np.full((len(states), len(states)), -np.inf)
        start, end = np.full(len(states), -np.inf), np.full(len(states), -np.inf)
        for a, (k, i) in enumerate(states):
            model = models[labels[k]]
            start[a] = np.log(model.start_probs[i]) if k == 0 else -np.inf
            end[a] = np.log(model.end_probs[i]) if k == len(labels) - 1 else -np.inf
            for b, (m, j) in enumerate(states):
                if m == k:
                    step[a, b] = np.log(model.transition_matrix[i, j])
                elif m == k + 1:
                    step[a, b] = np.log(model.end_probs[i] * models[labels[m]].start_probs[j])
    emit = np.array([[log_likelihoods[labels[k]][t, i] for k, i in states] for t in range(n_frames)])
    total, before, after = start + emit[0], [start + emit[0]], [end]
    for t in range(1, n_frames):
        total = logsumexp(total[:, None] + step, axis=0) + emit[t]
        before.append((before[-1][:, None] + step).max(axis=0) + emit[t])
    for t in range(n_frames - 1, 0, -1):
        after.insert(0, (step + (emit[t] + after[0])[None, :]).max(axis=1))
    through = np.array(before) + np.array(after)
    label_bests = {
        label: np.where([labels[k] == label for k, _ in states], through, -np.inf).max(axis=1) for label in models
    }
    return Sentence(labels, float(through[-1].max()), float(logsumexp(total + end)), label_bests)


def toy(seed, *, silence=True, n_frames=4):
    """Models of four labels, of one to three states, and log-likelihoods of a few frames."""
    rng = np.random.default_rng(seed)
    labels = ["a", "b", GARBAGE, *([SILENCE] if silence else [])]
    models = {label: left_right(rng, int(rng.integers(1, 4))) for label in labels}
    return models, rng.normal(scale=3.0, size=(n_frames, N_FEATURES))


def by_label(network, log_likelihoods):
    """Columns of each label."""
    labels = np.array(network.column_labels, dtype=object)
    return {label: log_likelihoods[:, labels == label] for label in set(network.column_labels)}
