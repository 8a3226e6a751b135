"""The recipe `neural_hybrid`, its functions on a few of the bundled digits."""

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gmmaudio import audio
from gmmaudio.hmm import forward_backward

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("one", "six")
VOICES = ("anna", "bruno", "clara", "david", "emma")


@pytest.fixture(scope="module", name="recipe")
def recipe_module():
    spec = importlib.util.spec_from_file_location("hybrid", ROOT / "recipes" / "neural_hybrid" / "hybrid.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["hybrid"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hybrid"]


@pytest.fixture(scope="module", name="trained")
def trained_systems(recipe):
    settings = recipe.Settings(n_states=4, n_components=1, n_neighbours=2, hidden=16, epochs=40, posterior_components=4)
    files = [ROOT / "audio_samples" / "digits" / voice / f"{word}.flac" for voice in VOICES for word in WORDS]
    signals = [audio.read(file)[0] for file in files]
    words = list(WORDS) * len(VOICES)
    transform = recipe.front_end(signals, 16000, settings).transform
    frames = [transform(signal) for signal in signals]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        models = recipe.WordModels(frames, words, settings)
        hybrid = recipe.Hybrid(frames, words, models, settings, 0)
        voting = recipe.Voting(frames, words, settings, 0)
    return frames, words, models, hybrid, voting


def test_targets_of_a_word_go_through_its_states_from_left_to_right(trained):
    frames, words, models, _, _ = trained
    for x, word in zip(frames, words, strict=True):
        targets = models.align(x, word) - 4 * WORDS.index(word)
        np.testing.assert_array_equal(np.unique(targets), np.arange(4))
        assert (np.diff(targets) >= 0).all()


def test_a_recording_shorter_than_its_word_has_no_targets(trained):
    frames, _, models, _, _ = trained
    assert models.align(frames[0][:3], "one").tolist() == [-1, -1, -1]


def test_what_stands_in_for_log_likelihoods_differs_from_posteriors_over_priors_by_nothing(trained):
    frames, _, _, hybrid, _ = trained
    found = hybrid.frame_log_likelihoods(frames[0])
    expected = np.log(hybrid.network.posteriors(frames[0]) / hybrid.network.priors)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_every_system_knows_the_words_that_it_was_trained_on(recipe, trained):
    frames, words, models, hybrid, voting = trained
    assert [recipe.best(models.log_likelihoods(x)) for x in frames] == words
    assert [recipe.best(hybrid.log_likelihoods(x)) for x in frames] == words
    assert [voting(x) for x in frames] == words


def test_the_hybrid_scores_by_the_chain_of_the_word(trained):
    frames, _, models, hybrid, _ = trained
    model = models.models["six"]
    table = hybrid.frame_log_likelihoods(frames[0])[:, 4:]
    expected = forward_backward(model.start_probs, model.transition_matrix, table, end_probs=model.end_probs)
    assert hybrid.log_likelihoods(frames[0])["six"] == expected.log_likelihood
