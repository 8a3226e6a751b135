"""Training of word models: one left-right hidden Markov model for each word, one for silence, one for other speech."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.errors import ParameterError
from gmmaudio.features import DeltasConfig, FeaturePipeline, MfccConfig, OnlineCmvnConfig, PipelineConfig
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.topology import Topology
from gmmaudio.words.acceptor import GARBAGE, SILENCE
from gmmaudio.words.recordings import Progress

CMVN_PRIOR_FRAMES = 100
"""How many frames the mean of the training counts for in that of a recording: one second."""

MAX_STATES = 30
SHORT_QUANTILE = 0.05
"""Fraction of the examples of a word that may be too short for its model."""

FRAMES_PER_COMPONENT = 30
"""Frames of training that each Gaussian of a state needs at least."""

SOUNDS = {SILENCE: 8, GARBAGE: 16}
"""What is no word has a model of one state with so many Gaussians."""

SOUND_VARIANCE_FLOOR = 0.01
"""Silence must not be a wide Gaussian that weak sounds fit, too."""

MAX_GARBAGE_EXAMPLES = 1000
"""Garbage is the sound of speech in general, of which a thousand words give a picture."""


@dataclass(frozen=True)
class TrainingOptions:
    """How word models are made.

    Attributes
    ----------
    n_components : int
        Gaussians of each state, at most; fewer where a word has little training speech.
    frames_per_state : float
        Frames of the median example of a word for each state of its model.
    variance_floor : float
        Smallest variance, as a fraction of the variance of all training speech. Much larger than for other purposes: a
        narrow Gaussian describes the people of the training, and not the next one.
    max_iter : int
        EM iterations after the last split.
    """

    n_components: int = 6
    frames_per_state: float = 4.0
    variance_floor: float = 0.3
    max_iter: int = 6

    def __post_init__(self) -> None:
        for name in ("n_components", "max_iter"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name} is {getattr(self, name)} but must be at least 1")
        for name in ("frames_per_state", "variance_floor"):
            if not 0.0 < getattr(self, name) < np.inf:
                raise ParameterError(f"{name} is {getattr(self, name)} but must be positive")


def words_config(sample_rate: int) -> PipelineConfig:
    """Return the front end of words at a sample rate in Hz, before normalization.

    Thirteen coefficients with the log energy, and two orders of deltas over ±30 ms. Dither of one step of 16-bit audio
    makes digital silence a sound like any other.
    """
    return PipelineConfig(MfccConfig(sample_rate=sample_rate, dither=1.0), DeltasConfig(order=2, window=3))


def normalized_config(signals: Sequence[Float32Array], config: PipelineConfig) -> PipelineConfig:
    """Return the front end with the means of the training speech."""
    pipeline = FeaturePipeline(config)
    frames = (pipeline.transform(signal) for signal in signals)
    cmvn = OnlineCmvnConfig.from_frames(frames, prior_frames=CMVN_PRIOR_FRAMES, normalize_variance=False)
    return dataclasses.replace(config, normalization=cmvn)


def train_models(
    examples: Mapping[str, Sequence[Float32Array]], options: TrainingOptions, *, progress: Progress
) -> dict[str, HmmParams]:
    """Return a model for each label: the words, `SILENCE` and `GARBAGE`.

    Parameters
    ----------
    examples : mapping of str to sequence of array, each of shape (n_frames, n_features)
        Words, and pauses under `SILENCE`.
    options : TrainingOptions
    progress : Progress
    """
    heard = dict(examples)
    words = [frames for label, own in examples.items() if label != SILENCE for frames in own]
    heard[GARBAGE] = words[:: -(-len(words) // MAX_GARBAGE_EXAMPLES)]
    models = {}
    for number, (label, frames) in enumerate(heard.items()):
        progress("models", number, len(heard))
        models[label] = _trained(label, frames, options)
    progress("models", len(heard), len(heard))
    return models


def n_states_for(lengths: Sequence[int], options: TrainingOptions) -> int:
    """Return the number of states of a word whose examples have so many frames; most examples reach the last one."""
    wanted = round(float(np.median(lengths)) / options.frames_per_state)
    return int(np.clip(min(wanted, int(np.quantile(lengths, SHORT_QUANTILE))), 1, MAX_STATES))


def _trained(label: str, examples: Sequence[Float32Array], options: TrainingOptions) -> HmmParams:
    """Return the model of one label."""
    from gmmaudio.hmm.estimator import GMMHMM  # here, because scikit-learn takes longer to import than all the rest

    if label in SOUNDS:
        n_states, most = 1, SOUNDS[label]
    else:
        n_states, most = n_states_for([len(frames) for frames in examples], options), options.n_components
    usable = [frames for frames in examples if len(frames) >= n_states]
    n_frames = sum(len(frames) for frames in usable)
    hmm = GMMHMM(
        n_states,
        int(np.clip(n_frames // (n_states * FRAMES_PER_COMPONENT), 1, most)),
        topology=Topology.left_right(n_states, forced_end=True),
        variance_floor=SOUND_VARIANCE_FLOOR if label in SOUNDS else options.variance_floor,
        max_iter=options.max_iter,
        tol=0.0,
    )
    return hmm.fit(usable).params_
