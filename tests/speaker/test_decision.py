import numpy as np
import pytest
from speaker.voices import FRAMES_PIPELINE, SimulatedPeople

from gmmaudio.speaker import SpeakerIdentifier
from gmmaudio.speaker.calibration import TailModel
from gmmaudio.speaker.decision import Judge

PEOPLE = SimulatedPeople(0, spread=1.0)
VOICES = [PEOPLE.person() for _ in range(13)]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Three of the background's speakers are enrolled, and a stranger to it."""
    background = [PEOPLE.recording(voice, 300) for voice in VOICES[:12]]
    labels = [f"s{number}" for number in range(12)]
    identifier = SpeakerIdentifier(FRAMES_PIPELINE, n_components=8, max_iter=3).train(background, speakers=labels)
    for name, voice in [("s1", VOICES[1]), ("s4", VOICES[4]), ("s7", VOICES[7]), ("new", VOICES[12])]:
        identifier.enroll(name, PEOPLE.recording(voice, 1000))
    return identifier._judge


def heard(judge: Judge, voice: int):
    scorer = judge.scorer()
    scorer.push(PEOPLE.frames(VOICES[voice], 200))
    return scorer


def test_tails_are_fitted_to_loops_over_the_pieces_of_strangers(judge):
    best_of, all_of = {}, {}
    for length, pieces in judge._pieces.items():
        best_of[length], all_of[length] = [], []
        for piece in range(pieces.llrs.shape[1]):
            candidates = [row for row in range(4) if pieces.by_stranger[row, piece]]
            best = max(candidates, key=lambda row: pieces.llrs[row, piece])
            best_of[length].append(pieces.scores[best, piece])
            all_of[length].extend(pieces.scores[row, piece] for row in candidates)
    expected = TailModel.fit({length: np.array(scores) for length, scores in best_of.items()})
    assert judge.identification_tail == expected
    # The order of the scores is another one, and so is the rounding of their mean.
    expected = TailModel.fit({length: np.array(scores) for length, scores in all_of.items()})
    np.testing.assert_allclose(judge.verification_tail.level, expected.level, rtol=1e-9)
    np.testing.assert_allclose(judge.verification_tail.scale, expected.scale, rtol=1e-9)


def test_a_recording_is_normalised_by_all_cohort_speakers_but_the_candidate(judge):
    scorer = heard(judge, 4)
    llrs, against = scorer.llrs[:4], scorer.llrs[4:]
    result = judge.identify(scorer, 0.05)
    for index, name in enumerate(judge.enrolled):
        others = against[[speaker != name for speaker in judge.cohort.speakers]]
        expected = (llrs[index] - others.mean()) / others.std(ddof=1)
        np.testing.assert_allclose(result.scores[name], expected, rtol=1e-9)


def test_the_best_candidate_is_that_of_the_best_ratio(judge):
    scorer = heard(judge, 7)
    result = judge.identify(scorer, 0.05)
    assert result.closest == list(judge.enrolled)[int(np.argmax(scorer.llrs[:4]))] == "s7"


def test_a_candidate_worse_than_the_background_is_never_accepted(judge):
    scorer = heard(judge, 7)
    scorer._state.llr_sums[:] -= 1e6
    result = judge.identify(scorer, 0.2)
    assert result.score >= result.threshold
    assert not result.is_known
    assert not judge.verify("s7", scorer, 0.2).accepted


def test_verification_and_identification_give_a_candidate_the_same_score(judge):
    scorer = heard(judge, 1)
    assert judge.verify("s1", scorer, 0.05).score == judge.identify(scorer, 0.05).scores["s1"]


def test_the_probability_of_a_score_at_the_threshold_is_the_false_accept_rate(judge):
    result = judge.identify(heard(judge, 12), 0.05)
    probability = judge.identification_tail.exceedance_probability(result.threshold, 200)
    assert probability == pytest.approx(0.05)
