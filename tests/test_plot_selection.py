import numpy as np
import pytest
from numpy.testing import assert_array_equal

from gmmaudio.gmm import select
from gmmaudio.plotting import plot_selection


@pytest.mark.parametrize("criterion", ["bic", "held_out"])
def test_the_line_is_the_criterion_of_the_candidates(criterion):
    frames = np.random.default_rng(0).normal(size=(100, 2))
    found = select(frames, (1, 3, 2), criterion=criterion, n_folds=2, n_init=1, random_state=0)
    line = plot_selection(found).get_lines()[0]
    by_number = sorted(found.candidates, key=lambda candidate: candidate.n_components)
    assert_array_equal(line.get_xdata(), [1, 2, 3])
    assert_array_equal(line.get_ydata(), [getattr(candidate, criterion) for candidate in by_number])
