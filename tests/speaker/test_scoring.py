import numpy as np
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st
from speaker.voices import SimulatedPeople

from gmmaudio.gmm import GmmParams, frame_log_likelihoods
from gmmaudio.speaker.scoring import RecordingScorer

RATIO_ATOL = 1e-5  # float32 densities of some tens of nats
PEOPLE = SimulatedPeople(0)
UBM, *MODELS = (GmmParams(np.full(8, 0.125), PEOPLE.person(), np.ones((8, 6))) for _ in range(4))
FRAMES = PEOPLE.frames(PEOPLE.person(), 100)


def test_the_ratio_is_the_mean_of_the_difference_of_the_log_likelihoods():
    scorer = RecordingScorer(MODELS, UBM)
    scorer.push(FRAMES)
    background = frame_log_likelihoods(UBM, FRAMES, precision="double")
    expected = [(frame_log_likelihoods(model, FRAMES, precision="double") - background).mean() for model in MODELS]
    np.testing.assert_allclose(scorer.llrs, expected, atol=RATIO_ATOL, rtol=0)


@settings(max_examples=25, deadline=None)
@given(cuts=cuttings(len(FRAMES)), resume_after=st.integers(0, 12))
def test_cut_anywhere_the_means_have_the_same_bits(cuts, resume_after):
    scorer = RecordingScorer(MODELS, UBM)
    assert np.array_equal(fed(scorer, FRAMES, cuts, resume_after), scorer.transform(FRAMES))


def test_the_last_mean_is_that_of_the_recording():
    scorer = RecordingScorer(MODELS, UBM)
    means = scorer.push(FRAMES)
    np.testing.assert_array_equal(means[-1], scorer.llrs)
    assert scorer.n_frames == len(FRAMES)


def test_before_the_first_frame_there_is_no_evidence():
    np.testing.assert_array_equal(RecordingScorer(MODELS, UBM).llrs, np.zeros(3))
