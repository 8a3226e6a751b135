import numpy as np
import pytest
from hmm.models import random_sequences

from gmmaudio.errors import ParameterError
from gmmaudio.hmm import GMMHMM, select_hmm


@pytest.fixture(scope="module", name="data")
def two_levels():
    """Two states, the second a mixture of two."""
    rng = np.random.default_rng(0)

    def part(means, n_frames):
        return rng.normal(rng.choice(means, n_frames), 1.0)

    levels = [[0.0], [12.0, 20.0]]
    return [np.concatenate([part(levels[i % 2], 40) for i in range(6)])[:, np.newaxis] for _ in range(5)]


@pytest.mark.parametrize("criterion", ["bic", "aic"])
def test_the_candidate_with_the_least_criterion_is_chosen(data, criterion):
    found = select_hmm(data, n_states=(1, 2), n_components=(1, 2), criterion=criterion, random_state=0)
    values = [getattr(candidate, criterion) for candidate in found.candidates]
    best = found.candidates[int(np.argmin(values))]
    assert (found.model.n_states, found.model.n_components) == (best.n_states, best.n_components)


def test_finds_the_states_and_components_that_made_the_data(data):
    found = select_hmm(data, n_states=(1, 2, 3), n_components=(1, 2, 3), random_state=0, max_iter=200)
    assert found.model.n_parameters <= 13  # two states of two components, or three of one


def test_candidates_are_what_training_each_gives(data):
    found = select_hmm(data, n_states=(2,), n_components=(1,), random_state=0)
    alone = GMMHMM(2, 1, random_state=0).fit(data)
    assert found.candidates[0].bic == alone.bic(data)
    assert found.candidates[0].n_parameters == alone.n_parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [({"criterion": "icl"}, "criterion is 'icl'"), ({"n_states": ()}, "the grid is empty")],
)
def test_impossible_searches_are_refused(options, message):
    data = random_sequences(np.random.default_rng(0), [20])
    with pytest.raises(ParameterError, match=message):
        select_hmm(data, **{"n_states": (1,), "n_components": (1,), **options})
