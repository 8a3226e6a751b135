import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import eer, min_dcf
from gmmaudio.speaker import UNKNOWN, closed_set, open_set
from gmmaudio.speaker.evaluation import Proportion

NAMES = ["anna", "bruno", "clara"]


def scores_of(n_recordings: int = 30) -> tuple[list[dict[str, float]], list[str]]:
    rng = np.random.default_rng(0)
    truth = [NAMES[index % 3] for index in range(n_recordings)]
    return [{name: rng.normal() + 2 * (name == own) for name in NAMES} for own in truth], truth


def figures_of(scores, truth):
    return closed_set([max(own, key=own.get) if own else None for own in scores], scores, truth)


def test_right_counts_the_recordings_whose_best_candidate_is_the_true_one():
    scores, truth = scores_of()
    expected = sum(own[name] == max(own.values()) for own, name in zip(scores, truth, strict=True))
    assert figures_of(scores, truth).right == Proportion(expected, 30)


def test_every_recording_is_tried_against_every_name():
    scores, truth = scores_of()
    result = figures_of(scores, truth)
    trials = [(own[name], name == true) for own, true in zip(scores, truth, strict=True) for name in NAMES]
    np.testing.assert_array_equal(result.scores, [score for score, _ in trials])
    assert result.eer.value == eer(*map(np.array, zip(*trials, strict=True)))
    assert result.min_dcf.value == min_dcf(*map(np.array, zip(*trials, strict=True)))


def test_intervals_hold_the_value():
    result = figures_of(*scores_of())
    assert result.eer.low <= result.eer.value <= result.eer.high
    assert result.eer.low < result.eer.high


def test_a_recording_without_speech_counts_as_wrong():
    scores, truth = scores_of(6)
    before = figures_of(scores, truth).right
    assert figures_of([*scores, {}], [*truth, "anna"]).right == Proportion(before.count, before.total + 1)


@pytest.mark.parametrize("truth", [["anna", "anna"], ["anna", "bruno"]])
def test_one_speaker_is_not_enough_for_closed_set_figures(truth):
    scores = [{"anna": 1.0, "bruno": 0.0}, {} if "bruno" in truth else {"anna": 1.0, "bruno": 0.0}]
    with pytest.raises(ParameterError, match="at least two enrolled speakers but there are 1"):
        figures_of(scores, truth)


def test_confusion_counts_who_spoke_against_who_was_named():
    decisions = ["anna", UNKNOWN, "bruno", "anna", UNKNOWN]
    truth = ["anna", "anna", "clara", "zoe", "zoe"]
    result = open_set(decisions, truth, NAMES)
    np.testing.assert_array_equal(result.confusion, [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1]])


def test_a_wrong_name_is_a_miss_and_a_stranger_with_a_name_a_false_accept():
    result = open_set(["bruno", "anna", "anna"], ["anna", "anna", "zoe"], NAMES)
    assert (result.misses, result.false_accepts) == (Proportion(1, 2), Proportion(1, 1))


def test_lengths_must_agree():
    scores, truth = scores_of()
    with pytest.raises(ParameterError, match="there are 1 results for 30 recordings"):
        closed_set(["anna"], scores, truth)
    with pytest.raises(ParameterError, match="there are 1 results for 2 recordings"):
        open_set(["anna"], ["anna", "anna"], NAMES)


def test_a_proportion_of_nothing_is_none_and_could_be_anything():
    assert (str(Proportion(0, 0)), Proportion(0, 0).interval) == ("none", (0.0, 1.0))


def test_a_proportion_is_printed_with_its_interval():
    assert str(Proportion(1, 2)) == "50.0% (1/2) [9.5%, 90.5%]"
