import numpy as np
import pytest

from gmmaudio.hmm import GMMHMM, Topology
from gmmaudio.hmm import initialization as start


def staircase(n_sequences, levels, *, n_features=2, seed=0):
    """Sequences that go through the levels, with parts of random length."""
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([rng.normal(level, 1.0, (int(rng.integers(6, 18)), n_features)) for level in levels])
        for _ in range(n_sequences)
    ]


def where_em_starts(data, n_states, n_components=1, **options):
    models = []
    GMMHMM(n_states, n_components, max_iter=1, tol=0.0, random_state=0, **options).fit(
        data, callback=lambda _, params, __: models.append(params)
    )
    return models[0]


def test_segmental_k_means_finds_the_parts_of_left_right_sequences():
    levels = (0.0, 6.0, 0.0, 12.0)
    params = where_em_starts(staircase(20, levels), 4, topology="left-right")
    np.testing.assert_allclose(params.emissions.pool.means[:, 0], levels, atol=0.3)


def test_an_ergodic_start_finds_the_levels_wherever_they_are():
    levels = (0.0, 12.0, 6.0)
    data = staircase(10, (*levels, *levels, 0.0))
    params = where_em_starts(data, 3)
    np.testing.assert_allclose(np.sort(params.emissions.pool.means[:, 0]), np.sort(levels), atol=0.5)


def test_one_pass_of_equal_parts_is_the_flat_start(monkeypatch):
    monkeypatch.setattr(start, "SEGMENTAL_PASSES", 1)
    monkeypatch.setattr(start, "best_path", start.along_states())
    frames = np.arange(8.0)[:, np.newaxis]
    params = where_em_starts([frames], 2, topology="left-right", precision="double")
    np.testing.assert_allclose(params.emissions.pool.means.ravel(), [1.5, 5.5])
    np.testing.assert_allclose(params.emissions.pool.variances.ravel(), 1.25)
    np.testing.assert_allclose(params.transition_matrix, [[0.75, 0.25], [0.0, 1.0]])


@pytest.mark.parametrize("n_components", [1, 2, 3, 5, [1, 4, 2]])
def test_components_are_split_until_there_are_enough(n_components):
    params = where_em_starts(staircase(10, (0.0, 6.0, 12.0)), 3, n_components, topology="left-right")
    numbers = [mixture.n_components for mixture in params.emissions.mixtures]
    assert numbers == (n_components if isinstance(n_components, list) else [n_components] * 3)


def test_splitting_raises_the_likelihood_of_a_bimodal_state():
    rng = np.random.default_rng(0)
    data = [rng.normal(rng.choice([-5.0, 5.0], 60), 1.0)[:, np.newaxis] for _ in range(5)]
    params = where_em_starts(data, 1, 2)
    np.testing.assert_allclose(np.sort(params.emissions.pool.means.ravel()), [-5, 5], atol=0.5)  # not the end yet


def test_a_codebook_starts_with_weights_that_tell_the_states_apart():
    data = staircase(10, (0.0, 12.0))
    weights = where_em_starts(data, 2, 4, topology="left-right", tied=True).emissions.weights
    assert np.abs(weights[0] - weights[1]).sum() > 1.5


def test_restarts_draw_other_boundaries():
    data = staircase(10, (0.0, 6.0, 12.0))
    source = GMMHMM(3, topology="left-right", n_init=4, max_iter=5, tol=0.0, random_state=0).fit(data)
    again = GMMHMM(3, topology="left-right", n_init=4, max_iter=5, tol=0.0, random_state=0).fit(data)
    assert source.history_ == again.history_


@pytest.mark.parametrize("topology", ["ergodic", "left-right", Topology.left_right(3, skips=1, forced_end=True)])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_a_start_keeps_the_zeros_of_the_topology(topology, missing):
    rng = np.random.default_rng(0)
    data = [np.where(rng.random(x.shape) < missing, np.nan, x) for x in staircase(6, (0.0, 6.0, 12.0))]
    hmm = GMMHMM(3, 2, topology=topology, max_iter=1, tol=0.0, random_state=0).fit(data)
    allowed = topology if isinstance(topology, Topology) else hmm.topology_
    assert not hmm.transition_matrix_[~allowed.transitions].any()
    assert not hmm.start_probs_[~allowed.start].any()


def test_sequences_shorter_than_the_states_are_no_obstacle():
    data = [np.random.default_rng(i).normal(size=(2, 1)) for i in range(10)]
    hmm = GMMHMM(5, topology="left-right", max_iter=2, tol=0.0).fit(data)
    assert np.isfinite(hmm.score(data))
