"""The ways in which a recording is heard in training."""

import numpy as np
from words.tones import RATE, tone

from gmmaudio.features import FeaturePipeline
from gmmaudio.words import SILENCE
from gmmaudio.words.examples import RENDITIONS, training_examples
from gmmaudio.words.recordings import no_progress, speech_span
from gmmaudio.words.training import TrainingOptions, n_states_for, words_config

CONFIG = words_config(RATE)
WORDS = ["low", "low", "up"]
SIGNALS = [tone(word, n) for n, word in enumerate(WORDS)]


def heard() -> dict[str, list[np.ndarray]]:
    return training_examples(SIGNALS, WORDS, CONFIG, rng=np.random.default_rng(0), progress=no_progress)


def test_each_recording_is_heard_as_it_is_and_in_every_rendition():
    assert {label: len(own) for label, own in heard().items() if label != SILENCE} == {
        "low": 2 * (1 + len(RENDITIONS)),
        "up": 1 + len(RENDITIONS),
    }


def test_the_first_example_is_the_recording_itself():
    assert np.array_equal(heard()["low"][0], FeaturePipeline(CONFIG).transform(SIGNALS[0]))


def test_there_are_pauses_even_where_the_recordings_have_none():
    assert len(heard()[SILENCE]) >= 2


def test_silence_around_a_word_is_found_and_a_short_edge_is_left():
    silent, padded = round(0.3 * RATE), tone("up", 9, silence=0.3)
    start, end = speech_span(padded, CONFIG.mfcc)
    assert 0 < start <= silent
    assert len(padded) - silent <= end < len(padded)
    short = tone("up", 9, silence=0.05)
    assert speech_span(short, CONFIG.mfcc) == (0, len(short))


def test_longer_words_have_more_states_and_most_examples_reach_the_last():
    options = TrainingOptions()
    assert n_states_for([80] * 9, options) == 20
    assert n_states_for([40] * 9, options) == 10
    assert n_states_for([3] + [40] * 9, options) <= 20
    assert n_states_for([1], options) == 1
