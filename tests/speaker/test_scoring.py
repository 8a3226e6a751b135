import numpy as np
import pytest
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st
from speaker.voices import SimulatedPeople

from gmmaudio.gmm import AdaptedModels, GmmParams, frame_log_likelihood_ratios, frame_log_likelihoods
from gmmaudio.speaker.scoring import RecordingScorer, arranged, frame_llrs

RATIO_ATOL = 1e-5  # float32 densities of some tens of nats
PEOPLE = SimulatedPeople(0)
UBM, *MODELS = (GmmParams(np.full(8, 0.125), PEOPLE.person(), np.ones((8, 6))) for _ in range(4))
FRAMES = PEOPLE.frames(PEOPLE.person(), 100)
RNG = np.random.default_rng(0)
LARGE_UBM = GmmParams(np.full(64, 1 / 64), RNG.normal(scale=2.0, size=(64, 6)), np.ones((64, 6)))
ADAPTED = [
    GmmParams(LARGE_UBM.weights, LARGE_UBM.means + RNG.normal(scale=0.3, size=(64, 6)), LARGE_UBM.variances)
    for _ in range(3)
]
SETS = {"in full": (MODELS, UBM), "by top components": (arranged(ADAPTED, LARGE_UBM), LARGE_UBM)}


def test_the_ratio_is_the_mean_of_the_difference_of_the_log_likelihoods():
    scorer = RecordingScorer(MODELS, UBM)
    scorer.push(FRAMES)
    background = frame_log_likelihoods(UBM, FRAMES, precision="double")
    expected = [(frame_log_likelihoods(model, FRAMES, precision="double") - background).mean() for model in MODELS]
    np.testing.assert_allclose(scorer.llrs, expected, atol=RATIO_ATOL, rtol=0)


def test_a_large_background_is_scored_by_ten_components_and_a_small_one_in_full():
    top = frame_log_likelihood_ratios(ADAPTED, LARGE_UBM, FRAMES, n_top=10)
    full = frame_log_likelihood_ratios(MODELS, UBM, FRAMES)
    np.testing.assert_array_equal(frame_llrs(arranged(ADAPTED, LARGE_UBM), LARGE_UBM, FRAMES), top)
    np.testing.assert_array_equal(frame_llrs(arranged(MODELS, UBM), UBM, FRAMES), full)


def test_models_of_a_large_background_are_arranged_once():
    models = arranged(ADAPTED, LARGE_UBM)
    assert isinstance(models, AdaptedModels)
    assert models.coefficients is models.coefficients


def test_a_ratio_does_not_depend_on_how_many_are_enrolled():
    alone, together = (frame_llrs(arranged(models, LARGE_UBM), LARGE_UBM, FRAMES) for models in (ADAPTED[:1], ADAPTED))
    np.testing.assert_array_equal(alone[:, 0], together[:, 0])


@pytest.mark.parametrize("kind", SETS)
@settings(max_examples=25, deadline=None)
@given(cuts=cuttings(len(FRAMES)), resume_after=st.integers(0, 12))
def test_cut_anywhere_the_means_have_the_same_bits(kind, cuts, resume_after):
    scorer = RecordingScorer(*SETS[kind])
    assert np.array_equal(fed(scorer, FRAMES, cuts, resume_after), scorer.transform(FRAMES))


def test_the_last_mean_is_that_of_the_recording():
    scorer = RecordingScorer(MODELS, UBM)
    means = scorer.push(FRAMES)
    np.testing.assert_array_equal(means[-1], scorer.llrs)
    assert scorer.n_frames == len(FRAMES)


def test_before_the_first_frame_there_is_no_evidence():
    np.testing.assert_array_equal(RecordingScorer(MODELS, UBM).llrs, np.zeros(3))
