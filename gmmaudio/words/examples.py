"""From labelled recordings to the frames that word models are trained on: heard as they are, and in other ways.

Conventions. Each recording is one *example* of its word. Few people and few rooms are heard in training, many later, so
each example is also heard spoken faster and slower, which moves the formants as another vocal tract does (Ko et al.
2015, "Audio augmentation for speech recognition"), and in noise (Lippmann, Martin & Paul 1987, "Multi-style
training"). Joined to strings with short pauses, as in connected speech, they give the pauses that train the model of
silence. All of it is drawn from one seed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio import Resampler
from gmmaudio.features import FeaturePipeline, PipelineConfig
from gmmaudio.words.acceptor import SILENCE
from gmmaudio.words.recordings import Progress, speech_span

RENDITIONS = ((100, True), (92, False), (108, True))
"""How each recording is heard beside as it is: speed in per cent, and whether in noise."""

NOISE_SNR_DB = (10.0, 30.0)
"""dB below the speech: the range of the noise that is added."""

PAUSE = (0.05, 0.25)
"""Seconds: shortest and longest pause between joined words."""

WORDS_IN_STRING = 5
"""Number of examples that are joined to one string."""

SHORTEST_PAUSE_FRAMES = 3
"""Pauses of fewer frames do not train the model of silence."""


@dataclass(frozen=True)
class _Part:
    """A stretch of a signal and its label."""

    label: str
    samples: Float32Array


def training_examples(
    signals: Sequence[Float32Array],
    words: Sequence[str],
    config: PipelineConfig,
    *,
    rng: np.random.Generator,
    progress: Progress,
) -> dict[str, list[Float32Array]]:
    """Return the frames of all examples by label, in every way in which they are heard; pauses under `SILENCE`.

    Parameters
    ----------
    signals : sequence of array, each of shape (n_samples,)
    words : sequence of str
        What is said in each.
    config : PipelineConfig
    rng : Generator
    progress : Progress
    """
    pipeline = FeaturePipeline(config)
    examples: dict[str, list[Float32Array]] = {}
    heard = [_parts(signal, word, config) for signal, word in zip(signals, words, strict=True)]
    utterances = list(heard)
    for speed, is_noisy in RENDITIONS:
        played = [[_Part(part.label, _played(part.samples, speed)) for part in parts] for parts in heard]
        utterances += [_in_noise(parts, rng) for parts in played] if is_noisy else played
    strings = _strings(heard, config.sample_rate, rng)
    for number, parts in enumerate([*utterances, *strings]):
        progress("listening", number, len(utterances) + len(strings))
        for label, frames in _cut(parts, pipeline):
            # Of strings the pauses only: their words follow others, which the normalization remembers for a while, and
            # most words are said first.
            if label == SILENCE or number < len(utterances):
                examples.setdefault(label, []).append(frames)
    progress("listening", len(utterances) + len(strings), len(utterances) + len(strings))
    return examples


def _parts(signal: Float32Array, word: str, config: PipelineConfig) -> list[_Part]:
    """Return the pause before a word, the word, and the pause after it."""
    start, end = speech_span(signal, config.mfcc)
    cuts = (signal[:start], signal[start:end], signal[end:])
    parts = [_Part(label, cut) for label, cut in zip((SILENCE, word, SILENCE), cuts, strict=True)]
    return [part for part in parts if len(part.samples)]


def _played(samples: Float32Array, speed: int) -> Float32Array:
    """Return samples played at a speed in per cent, pitch and formants with it."""
    return samples if speed == 100 else Resampler(100 * speed, 100 * 100).transform(samples)


def _strings(utterances: list[list[_Part]], sample_rate: int, rng: np.random.Generator) -> list[list[_Part]]:
    """Return the utterances joined in random order, with silence before, between and after; every other in noise."""
    strings: list[list[_Part]] = []
    order = rng.permutation(len(utterances))
    for first in range(0, len(order), WORDS_IN_STRING):
        string = [_pause(sample_rate, rng)]
        for index in order[first : first + WORDS_IN_STRING]:
            string += [*utterances[index], _pause(sample_rate, rng)]
        strings.append(_in_noise(string, rng) if len(strings) % 2 else string)
    return strings


def _pause(sample_rate: int, rng: np.random.Generator) -> _Part:
    """Return a pause of random length, without a sound."""
    return _Part(SILENCE, np.zeros(round(rng.uniform(*PAUSE) * sample_rate), np.float32))


def _in_noise(parts: list[_Part], rng: np.random.Generator) -> list[_Part]:
    """Return parts with white noise all through."""
    power = np.mean([np.square(part.samples).mean() for part in parts if part.label != SILENCE])
    level = np.float32(np.sqrt(power) * 10 ** (-rng.uniform(*NOISE_SNR_DB) / 20))
    return [
        _Part(part.label, part.samples + level * rng.standard_normal(len(part.samples), dtype=np.float32))
        for part in parts
    ]


def _cut(parts: list[_Part], pipeline: FeaturePipeline) -> Iterator[tuple[str, Float32Array]]:
    """Yield labels and frames of the parts of an utterance; a frame belongs to the part in which its middle lies."""
    frames = pipeline.transform(np.concatenate([part.samples for part in parts]))
    config = pipeline.config.mfcc
    bounds = np.cumsum([0, *(len(part.samples) for part in parts)])
    middles = np.arange(len(frames)) * config.frame_shift_samples + config.frame_length_samples // 2
    cuts = np.searchsorted(middles, bounds)
    for part, start, end in zip(parts, cuts[:-1], cuts[1:], strict=True):
        if end - start >= (SHORTEST_PAUSE_FRAMES if part.label == SILENCE else 1):
            yield part.label, frames[start:end]
