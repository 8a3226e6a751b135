"""The systems of the recipe: a neural classifier of frames, GMM-HMMs of words, and both together."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.neural_network import MLPClassifier

from gmmaudio import GMM, GMMHMM
from gmmaudio.features import DeltasConfig, FeaturePipeline, MfccConfig, OnlineCmvnConfig, PipelineConfig, stack_context
from gmmaudio.hmm import HmmParams, Topology, forward_backward, scaled_log_likelihoods, viterbi

Frames = np.ndarray
"""Frames of a recording, (n_frames, n_features)."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What was chosen, once for all systems; README.md says on which recordings."""

    n_states: int = 8
    n_components: int = 3
    variance_floor: float = 0.3
    prior_frames: int = 100
    n_neighbours: int = 5
    hidden: int = 256
    epochs: int = 2
    posterior_components: int = 64
    mixture_share: float = 0.2


def front_end(signals: Sequence[np.ndarray], sample_rate: int, settings: Settings) -> FeaturePipeline:
    """Return MFCCs with two orders of deltas, less a mean that follows the recording from that of the training on."""
    config = PipelineConfig(MfccConfig(sample_rate=sample_rate, dither=1.0), DeltasConfig(order=2, window=3))
    frames = (FeaturePipeline(config).transform(signal) for signal in signals)
    cmvn = OnlineCmvnConfig.from_frames(frames, prior_frames=settings.prior_frames, normalize_variance=False)
    return FeaturePipeline(dataclasses.replace(config, normalization=cmvn))


class WordModels:
    """A left-right GMM-HMM for each word."""

    def __init__(self, clips: Sequence[Frames], words: Sequence[str], settings: Settings) -> None:
        self.n_states = settings.n_states
        self.models: dict[str, HmmParams] = {}
        for word in dict.fromkeys(words):
            own = [x for x, said in zip(clips, words, strict=True) if said == word and len(x) >= settings.n_states]
            hmm = GMMHMM(
                settings.n_states,
                settings.n_components,
                topology=Topology.left_right(settings.n_states, forced_end=True),
                variance_floor=settings.variance_floor,
                max_iter=8,
                tol=0.0,
            )
            self.models[word] = hmm.fit(own).params_

    def log_likelihoods(self, frames: Frames) -> dict[str, float]:
        """Return the log-likelihood of the frames under each word."""
        return {word: score(model, model.frame_log_likelihoods(frames)) for word, model in self.models.items()}

    def align(self, frames: Frames, word: str) -> np.ndarray:
        """Return the state of each frame in the best path through a word, as a number among the states of all words.

        A recording of fewer frames than states has no path, and −1 everywhere.
        """
        model = self.models[word]
        path = viterbi(*chain(model), model.frame_log_likelihoods(frames), end_probs=model.end_probs).path
        return np.where(path < 0, -1, list(self.models).index(word) * self.n_states + path)


def chain(model: HmmParams) -> tuple[np.ndarray, np.ndarray]:
    """Return start and transition probabilities."""
    return model.start_probs, model.transition_matrix


def score(model: HmmParams, frame_log_likelihoods: np.ndarray) -> float:
    """Return the log-likelihood of a recording that begins in the first and ends in the last state of a word."""
    return forward_backward(*chain(model), frame_log_likelihoods, end_probs=model.end_probs).log_likelihood


class FrameNetwork:
    """scikit-learn's MLP on frames with their neighbours, scaled by the standard deviations of the training.

    With a mixture, its responsibilities for the frame stand beside them.
    """

    def __init__(
        self,
        clips: Sequence[Frames],
        targets: Sequence[np.ndarray],
        settings: Settings,
        seed: int,
        mixture: GMM | None = None,
    ) -> None:
        self.settings, self.mixture = settings, mixture
        self.scale = np.concatenate(clips).std(axis=0)
        labels = np.concatenate(targets)
        known = labels >= 0
        self.network = MLPClassifier(
            (settings.hidden,),
            batch_size=256,
            max_iter=settings.epochs,
            n_iter_no_change=settings.epochs,
            alpha=1e-3,
            random_state=seed,
        ).fit(np.concatenate([self.inputs(x) for x in clips])[known], labels[known])
        self.classes = self.network.classes_
        counts = np.bincount(labels[known])[self.classes]
        self.priors = counts / counts.sum()

    def inputs(self, frames: Frames) -> np.ndarray:
        """Return the rows that the network sees."""
        stacked = stack_context((frames / self.scale).astype(np.float32), self.settings.n_neighbours)
        if self.mixture is None:
            return stacked
        return np.hstack([stacked, self.mixture.predict_proba(frames)]).astype(np.float32)

    def posteriors(self, frames: Frames) -> np.ndarray:
        """Return the posterior probability of each class in each frame."""
        return self.network.predict_proba(self.inputs(frames)).astype(np.float64)


class Voting:
    """Frames are classified by the word, and the sum of their log-posteriors decides."""

    def __init__(
        self, clips: Sequence[Frames], words: Sequence[str], settings: Settings, seed: int, mixture: GMM | None = None
    ) -> None:
        self.words = list(dict.fromkeys(words))
        targets = [np.full(len(x), self.words.index(word)) for x, word in zip(clips, words, strict=True)]
        self.network = FrameNetwork(clips, targets, settings, seed, mixture)

    def __call__(self, frames: Frames) -> str:
        """Return the word."""
        votes = log_votes(self.network.posteriors(frames))
        return self.words[int(self.network.classes[votes.argmax()])]


def log_votes(posteriors: np.ndarray) -> np.ndarray:
    """Return the sum of log-posteriors over frames; one frame alone cannot rule anything out."""
    return np.log(np.maximum(posteriors, 1e-30)).sum(axis=0)


class Hybrid:
    """Frames are classified by the states of the words; the posteriors, over their priors, drive the word models.

    Bourlard & Morgan 1994: the targets are the alignment of the GMM-HMMs, whose mixtures are not needed afterwards.
    """

    def __init__(
        self, clips: Sequence[Frames], words: Sequence[str], models: WordModels, settings: Settings, seed: int
    ) -> None:
        self.models = models
        targets = [models.align(x, word) for x, word in zip(clips, words, strict=True)]
        self.network = FrameNetwork(clips, targets, settings, seed)

    def frame_log_likelihoods(self, frames: Frames) -> np.ndarray:
        """Return what stands in for the log-likelihoods of the states of all words, (n_frames, n_words · n_states)."""
        table = np.full((len(frames), len(self.models.models) * self.models.n_states), -np.inf)
        table[:, self.network.classes] = scaled_log_likelihoods(self.network.posteriors(frames), self.network.priors)
        return table

    def votes(self, frames: Frames) -> Mapping[str, float]:
        """Return the sum of the log-posteriors of each word, all its states together, as if there were no order."""
        posteriors = np.zeros((len(frames), len(self.models.models) * self.models.n_states))
        posteriors[:, self.network.classes] = self.network.posteriors(frames)
        of_words = posteriors.reshape(len(frames), len(self.models.models), -1).sum(axis=2)
        return dict(zip(self.models.models, log_votes(of_words), strict=True))

    def log_likelihoods(self, frames: Frames) -> Mapping[str, float]:
        """Return the score of each word."""
        table = self.frame_log_likelihoods(frames)
        parts = np.split(table, len(self.models.models), axis=1)
        return {word: score(model, part) for (word, model), part in zip(self.models.models.items(), parts, strict=True)}


def best(scores: Mapping[str, float]) -> str:
    """Return the word of the highest score."""
    return max(scores, key=lambda word: scores[word])
