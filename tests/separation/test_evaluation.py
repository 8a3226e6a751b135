"""Tables of separations: the controls are always there, and the figures are those of the measures."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import si_sdr
from gmmaudio.separation import SeparationEvaluation, StftConfig

STFT = StftConfig(8000, 0.032)


def pair(seed: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).standard_normal((2, 4000)).cumsum(axis=1))


def evaluated(n_mixtures: int = 3) -> SeparationEvaluation:
    """Estimates with a tenth of the other source in them."""
    evaluation = SeparationEvaluation(STFT)
    for seed in range(n_mixtures):
        one, other = pair(seed)
        evaluation.add([one, other], {"ours": [one + 0.1 * other, other + 0.1 * one]})
    return evaluation


def test_the_controls_stand_around_the_systems():
    assert [scores.system for scores in evaluated().result()] == [
        "mixture",
        "ours",
        "oracle, binary mask",
        "oracle, ratio mask",
    ]


def test_the_mixture_improves_nothing_and_the_oracle_is_all_of_the_oracle():
    mixture, _, _, oracle = evaluated().result()
    assert_allclose(mixture.improvement, 0.0, atol=1e-12)
    assert oracle.share_of_oracle == 1.0


def test_the_improvement_is_that_of_the_measure():
    one, other = pair(0)
    mixed = one + other
    expected = np.mean(
        [
            si_sdr(one, one + 0.1 * other) - si_sdr(one, mixed),
            si_sdr(other, other + 0.1 * one) - si_sdr(other, mixed),
        ]
    )
    assert_allclose(evaluated().result()[1].improvement[0], expected, rtol=1e-9)


def test_the_interval_holds_the_mean_and_is_a_point_for_one_mixture():
    low, high = evaluated().result()[1].interval
    assert low < evaluated().result()[1].improvement.mean() < high
    low, high = evaluated(1).result()[1].interval
    assert low == high


def test_other_systems_in_the_middle_are_refused():
    with pytest.raises(ParameterError, match="the same each time"):
        evaluated().add(pair(5), {"others": pair(5)})


def test_nothing_measured_is_one_clear_error():
    with pytest.raises(ParameterError, match="nothing has been measured"):
        SeparationEvaluation(STFT).result()
