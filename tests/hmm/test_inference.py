"""Inference against every path, summed with 50 digits, and against what the literature and other programs claim."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import mpmath
import numpy as np
import pytest
from hmm.oracles import Problem, log_joint, random_chain, recursions
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from gmmaudio.errors import ParameterError
from gmmaudio.hmm import _kernels, filter_states, forward_backward, viterbi
from gmmaudio.hmm.chain import as_chain
from gmmaudio.hmm.inference import batch_posteriors, batch_viterbi

EXACT = 1e-10
"""Relative to the exact value: of a probability however small, and of a log-likelihood (or of 1 nat, if larger)."""

SMALLEST = 1e-300
"""Below this, float64 itself has no 1e-10: the result must then be below it as well."""

GAPS = (0.0, 25.0, 45.0, 200.0, 900.0)
"""Nats by which frames prefer one state to another."""


def band(n_states, width=1):
    """Allow each state itself and the next few."""
    return np.triu(np.tri(n_states, k=width)).astype(bool)


def gapped_problem(seed, mask, gap, *, n_frames=5, ending=False, forbidden=0.0):
    """Frames that each prefer a random state to the others by the gap, whether or not the chain can go there."""
    rng = np.random.default_rng(seed)
    n_states = len(mask)
    frames = rng.normal(scale=3.0, size=(n_frames, n_states)) - 60.0
    frames -= gap * (np.arange(n_states) != rng.integers(n_states, size=(n_frames, 1)))
    frames[:, :-1][rng.random((n_frames, n_states - 1)) < forbidden] = -np.inf
    start, transitions, end = random_chain(rng, mask, ending=ending)
    return Problem(start, transitions, frames, end)


def random_mask(seed, n_states):
    """Random transitions beside those to the state itself."""
    return np.random.default_rng(seed).random((n_states, n_states)) < 0.5 + np.eye(n_states)


def special_problems():
    """Cases that a random draw would not hit."""
    bakis = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    first, last = np.eye(3)[0], np.eye(3)[2]
    falling = np.array([[0.0, -900.0, -1800.0]] * 3 + [[-900.0, 0.0, -1800.0]] * 2)
    np.array([[-900.0, -900.0, 0.0], [-900.0, 0.0, -900.0], [0.0, -900.0, -900.0]])
    np.array([[-1.0, -2.0, -3.0], [-np.inf, -9.0, -np.inf], [0.0, 0.0, 0.0]])
    alternating = np.array([[0.0, -2000.0], [-2000.0, 0.0]] * 4)
    half, any_start = np.full((2, 2), 0.5), np.full(2, 0.5)
    tiny = np.array([[1.0 - 1e-250, 1e-250], [1e-12, 1.0 - 1e-12]])
    return {
        "one frame": gapped_problem(1, np.ones((3, 3), bool), 45.0, n_frames=1),
        "one frame, forced end": gapped_problem(2, np.ones((3, 3), bool), 900.0, n_frames=1, ending=True),
        "two frames": gapped_problem(3, band(3), 900.0, n_frames=2),
        "two frames, forced end of two states": gapped_problem(4, band(2), 900.0, n_frames=2, ending=True),
        "one state": Problem(np.ones(1), np.ones((1, 1)), np.array([[-3.0], [-700.0], [5.0]])),
        "forced end against every frame": Problem(first, bakis, falling, last),
        "only the last frame speaks for the end": Problem(first, bakis, np.r_[falling[:4], [[-900.0, -900.0, 0.0]]]),
        "left-right, backwards": Problem(
            first, bakis, np.array([[-900.0, -900.0, 0.0], [-900.0, 0, -900], [0, -900, -900]])
        ),
        "both passes would drop the best path": Problem(
            np.full(2, 0.5), np.eye(2), np.array([[0.0, -800.0]] + [[-640.0, 0.0]] * 5 + [[0.0, -800.0]])
        ),
        "transition of 1e-250": Problem(
            np.array([1.0, 0.0]), tiny, np.array([[0.0, 0.0], [-600.0, 0.0], [-20.0, 0.0]])
        ),
        "denormal start": Problem(np.array([1.0, 5e-324]), np.full((2, 2), 0.5), np.array([[-900.0, 0.0], [0.0, 0.0]])),
        "tiny ends": Problem(np.full(2, 0.5), np.full((2, 2), 0.5), np.zeros((3, 2)), np.array([1e-200, 1e-320])),
        "a frame forbids all but one": Problem(
            first, bakis, np.array([[-1.0, -2.0, -3.0], [-np.inf, -9, -np.inf], [0, 0, 0]])
        ),
        "log-likelihoods above 0": Problem(first, bakis, 800.0 + falling),
        "log-likelihoods of −1e6": Problem(first, bakis, falling * 1000.0 - 1e6),
        "rows below 1": Problem(first, 0.25 * bakis, falling),
        "ergodic, gap at every frame": Problem(any_start, half, alternating),
    }


def impossible_problems():
    """Sequences that no path produces."""
    bakis, first, last = np.triu(np.tri(3, k=1)) / 2.0, np.eye(3)[0], np.eye(3)[2]
    forbidden = np.zeros((3, 3))
    forbidden[1] = -np.inf
    return {
        "too short for the forced end": Problem(first, bakis, np.zeros((2, 3)), last),
        "a frame of −inf": Problem(first, bakis, forbidden),
        "start forbidden by the frame": Problem(first, bakis, np.array([[-np.inf, 0.0, 0.0]])),
        "end forbidden by the frame": Problem(first, bakis, np.array([[0.0] * 3] * 3 + [[0.0, 0.0, -np.inf]]), last),
    }


def all_problems():
    problems, everything = special_problems(), np.ones((3, 3), bool)
    for number, gap in enumerate(GAPS):
        seed = 100 + 10 * number
        problems |= {
            f"ergodic, {gap:g}": gapped_problem(seed, everything, gap),
            f"left-right, {gap:g}": gapped_problem(seed + 1, band(3), gap, n_frames=6),
            f"left-right, forced end, {gap:g}": gapped_problem(seed + 2, band(3), gap, n_frames=6, ending=True),
            f"left-right, skips, {gap:g}": gapped_problem(seed + 3, band(4, 2), gap, ending=number % 2 == 0),
            f"random mask, {gap:g}": gapped_problem(seed + 4, random_mask(seed, 4), gap),
            f"forbidden frames, {gap:g}": gapped_problem(
                seed + 7, np.ones((3, 3), bool), gap, forbidden=0.2, ending=True
            ),
        }
    return problems


PROBLEMS = all_problems()
IMPOSSIBLE = impossible_problems()
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
every_impossible_problem = pytest.mark.parametrize("problem", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
both_forms = pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])


def assert_exact(actual, exact):
    """Every value within `EXACT` of its own size, or below `SMALLEST` like the exact one."""
    for got, want in zip(np.ravel(actual).tolist(), np.ravel(exact), strict=True):
        assert abs(got - want) <= EXACT * want or max(got, want) < SMALLEST, f"{got} instead of {mpmath.nstr(want, 15)}"


def assert_exact_log(actual, exact):
    """Within `EXACT` of its own size, or of 1 nat: near 0 it is the likelihood that has a relative accuracy."""
    assert abs(actual - exact) <= EXACT * max(1, abs(exact)), f"{actual} instead of {mpmath.nstr(exact, 15)}"


def test_there_are_at_least_thirty_problems_of_every_gap():
    assert len(PROBLEMS) >= 30
    assert all(any(name.endswith(f"forced end, {gap:g}") for name in PROBLEMS) for gap in GAPS)


@every_problem
def test_log_likelihood_is_the_sum_over_all_paths(problem):
    assert_exact_log(
        forward_backward(*problem.arguments, end_probs=problem.end).log_likelihood, problem.exact.log_likelihood
    )


@every_problem
@both_forms
def test_posteriors_are_the_sums_over_all_paths(problem, form):
    start, transitions, frames = problem.arguments
    result = forward_backward(start, form(transitions), frames, end_probs=problem.end)
    assert_exact(result.state_posteriors, problem.exact.posteriors)


@every_problem
@both_forms
def test_expected_transitions_are_the_sums_over_all_paths(problem, form):
    start, transitions, frames = problem.arguments
    result = forward_backward(start, form(transitions), frames, end_probs=problem.end).expected_transitions
    assert_exact(result.toarray() if sparse.issparse(result) else result, problem.exact.transitions)


@every_problem
def test_filter_gives_the_log_likelihood_of_every_beginning(problem):
    result = filter_states(*problem.arguments)
    sums = np.cumsum(result.predictive_log_densities)
    for n_frames in range(1, len(problem.frames) + 1):
        beginning = Problem(problem.start, problem.transitions, problem.frames[:n_frames])
        assert_exact_log(sums[n_frames - 1], recursions(beginning)[0])


@every_problem
def test_filtered_probs_are_the_last_posteriors_of_every_beginning(problem):
    filtered = filter_states(*problem.arguments).filtered_probs
    for n_frames in range(1, len(problem.frames) + 1):
        beginning = Problem(problem.start, problem.transitions, problem.frames[:n_frames])
        assert_exact(filtered[n_frames - 1], recursions(beginning)[1][-1])


@every_problem
def test_filter_with_ends_gives_the_log_likelihood(problem):
    assert_exact_log(
        filter_states(*problem.arguments, end_probs=problem.end).log_likelihood, problem.exact.log_likelihood
    )


@every_problem
@both_forms
def test_best_path_is_the_best_of_all_paths(problem, form):
    start, transitions, frames = problem.arguments
    result = viterbi(start, form(transitions), frames, end_probs=problem.end)
    assert_exact_log(result.log_probability, problem.exact.log_best)
    assert_exact_log(log_joint(problem, result.path), problem.exact.log_best)


@every_problem
def test_plain_numbers_are_within_1e_minus_20_of_exact_or_decline(problem):
    chain = as_chain(problem.start, problem.transitions, problem.end)
    found = plain(chain, problem.frames)
    if not np.isnan(found[0]):
        assert_exact_log(found[0], problem.exact.log_likelihood)
        exact = np.array(problem.exact.posteriors, dtype=np.float64)
        assert_allclose(found[1], exact, rtol=EXACT, atol=1e-20)


def plain(chain, frames):
    """Run the plain version alone on one sequence."""
    posteriors, totals = np.empty(frames.shape), np.empty(1)
    sums = np.zeros(len(chain.outgoing.probs)), np.zeros(chain.n_states), np.zeros(chain.n_states)
    _kernels.plain_posteriors(chain, frames, np.array([0, len(frames)]), False, posteriors, totals, *sums)
    return totals[0], posteriors


@every_impossible_problem
def test_impossible_sequence_has_log_likelihood_minus_infinity(problem):
    result = forward_backward(*problem.arguments, end_probs=problem.end)
    assert result.log_likelihood == -np.inf
    assert not result.state_posteriors.any()
    assert not result.expected_transitions.any()


@every_impossible_problem
def test_impossible_sequence_has_no_best_path(problem):
    path, log_probability = viterbi(*problem.arguments, end_probs=problem.end)
    assert log_probability == -np.inf
    assert (path == -1).all()


@every_impossible_problem
def test_filter_of_impossible_sequence_has_log_likelihood_minus_infinity(problem):
    assert filter_states(*problem.arguments, end_probs=problem.end).log_likelihood == -np.inf


def test_filter_stays_at_zero_after_an_impossible_frame():
    frames = np.zeros((4, 2))
    frames[1] = -np.inf
    result = filter_states([0.5, 0.5], np.full((2, 2), 0.5), frames)
    assert result.filtered_probs.sum(axis=1).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert (result.predictive_log_densities[1:] == -np.inf).all()


@pytest.mark.parametrize("n_steps", [1, 8], ids=["at once", "in steps"])
def test_path_that_both_passes_would_drop_is_found(n_steps):
    # State 0 is 800 nats ahead at both ends, so that either pass alone loses state 1 for good and both agree; but it
    # is 10,000 nats behind in between, at 100 nats a frame: no single frame there is alarming.
    lead = [[0.0, -800.0 / n_steps]] * n_steps
    frames = np.array(lead + [[-100.0, 0.0]] * 100 + lead)
    found = batch_posteriors(as_chain([0.5, 0.5], np.eye(2)), frames, np.array([0, len(frames)]))
    assert found.log_likelihoods[0] == pytest.approx(np.log(0.5) - 1600.0, rel=1e-14)
    assert_allclose(found.state_posteriors[:, 1], 1.0, rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_states=st.integers(1, 5),
    n_frames=st.integers(1, 30),
    gap=st.floats(0.0, 2500.0),
    ending=st.booleans(),
    kind=st.sampled_from(["ergodic", "band", "mask"]),
)
def test_long_random_problems_are_exact_with_and_without_tails(seed, n_states, n_frames, gap, ending, kind):
    masks = {"ergodic": np.ones((n_states,) * 2, bool), "band": band(n_states), "mask": random_mask(seed, n_states)}
    problem = gapped_problem(seed, masks[kind], gap, n_frames=n_frames, ending=ending, forbidden=0.05)
    log_likelihood, posteriors, transitions = recursions(problem)
    chain = as_chain(problem.start, problem.transitions, problem.end)
    result = forward_backward(*problem.arguments, end_probs=problem.end)
    if log_likelihood == -mpmath.inf:
        assert result.log_likelihood == -np.inf
        return
    assert_exact_log(result.log_likelihood, log_likelihood)
    assert_exact(result.state_posteriors, posteriors)
    assert_exact(result.expected_transitions, transitions)
    fast = batch_posteriors(chain, problem.frames, np.array([0, n_frames]))
    assert_exact_log(fast.log_likelihoods[0], log_likelihood)
    assert_allclose(fast.state_posteriors, np.array(posteriors, dtype=np.float64), rtol=EXACT, atol=1e-20)
    counts = chain.arc_matrix(fast.arc_counts).toarray()
    assert_allclose(counts, np.array(transitions, dtype=np.float64), rtol=EXACT, atol=1e-20)


def test_ordinary_gaps_need_no_wide_numbers():
    rng = np.random.default_rng(5)
    states = np.sort(rng.integers(0, 5, size=300))
    frames = -150.0 - 60.0 * (states[:, np.newaxis] != np.arange(5)) * rng.gamma(1.0, size=(300, 5))
    start, transitions, end = random_chain(rng, band(5), ending=True)
    assert np.isfinite(plain(as_chain(start, transitions, end), frames)[0])


def test_gap_that_float64_cannot_hold_needs_no_wide_numbers_where_nothing_depends_on_it():
    frames = np.array([[0.0, -5000.0], [-5000.0, 0.0]] * 20)
    chain = as_chain([0.5, 0.5], np.full((2, 2), 0.5))
    assert plain(chain, frames)[0] == pytest.approx(40 * np.log(0.5), rel=1e-14)


# Batches ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ragged():
    """Sequences of length 1, 2 and more, among them one of wide gaps and an impossible one."""
    rng = np.random.default_rng(9)
    lengths = [5, 1, 2, 40, 3, 17]
    frames = rng.normal(scale=20.0, size=(sum(lengths), 3))
    frames[8:48] *= 40.0
    frames[49] = -np.inf
    return as_chain(*random_chain(rng, band(3), ending=False)), frames, np.concatenate([[0], np.cumsum(lengths)])


def test_batch_is_the_same_as_sequence_by_sequence(ragged):
    chain, frames, offsets = ragged
    batch = batch_posteriors(chain, frames, offsets)
    for q, (first, last) in enumerate(itertools.pairwise(offsets)):
        alone = batch_posteriors(chain, frames[first:last], np.array([0, last - first]))
        assert batch.log_likelihoods[q] == alone.log_likelihoods[0]
        assert np.array_equal(batch.state_posteriors[first:last], alone.state_posteriors)


def test_counts_of_a_batch_are_the_sums_over_its_sequences(ragged):
    chain, frames, offsets = ragged
    batch = batch_posteriors(chain, frames, offsets)
    parts = [
        batch_posteriors(chain, frames[first:last], np.array([0, last - first]))
        for first, last in itertools.pairwise(offsets)
    ]
    for name in ("start", "arc_counts", "end"):
        assert_allclose(getattr(batch, name), sum(getattr(part, name) for part in parts), rtol=1e-14, atol=1e-300)


def test_two_threads_at_once_give_the_same_bits(ragged):
    chain, frames, offsets = ragged
    alone = batch_posteriors(chain, frames, offsets)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda _: batch_posteriors(chain, frames, offsets), range(20)):
            assert all(np.array_equal(mine, its) for mine, its in zip(found, alone, strict=True))


def test_impossible_sequence_adds_nothing_to_a_batch(ragged):
    chain, frames, offsets = ragged
    batch = batch_posteriors(chain, frames, offsets)
    assert batch.log_likelihoods[4] == -np.inf
    assert batch.start.sum() == pytest.approx(5.0, rel=1e-14)
    assert batch.end.sum() == pytest.approx(5.0, rel=1e-14)


def test_paths_of_a_batch_are_those_of_its_sequences(ragged):
    chain, frames, offsets = ragged
    paths, log_probabilities = batch_viterbi(chain, frames, offsets)
    for q, (first, last) in enumerate(itertools.pairwise(offsets)):
        path, log_probability = batch_viterbi(chain, frames[first:last], np.array([0, last - first]))
        assert np.array_equal(paths[first:last], path)
        assert log_probabilities[q] == log_probability[0]


# Identities ---------------------------------------------------------------------------------------------------------


def test_expected_transitions_sum_to_the_number_of_steps():
    problem = gapped_problem(7, np.ones((4, 4), bool), 30.0, n_frames=200)
    assert forward_backward(*problem.arguments).expected_transitions.sum() == pytest.approx(199.0, rel=1e-13)


def test_rows_and_columns_of_expected_transitions_are_the_posteriors_without_last_and_first():
    problem = gapped_problem(8, np.ones((4, 4), bool), 30.0, n_frames=50)
    result = forward_backward(*problem.arguments)
    assert_allclose(result.expected_transitions.sum(axis=1), result.state_posteriors[:-1].sum(axis=0), rtol=1e-12)
    assert_allclose(result.expected_transitions.sum(axis=0), result.state_posteriors[1:].sum(axis=0), rtol=1e-12)


def test_equal_rows_make_frames_independent():
    rng = np.random.default_rng(3)
    weights, frames = rng.dirichlet(np.ones(3)), rng.normal(size=(20, 3))
    joint = weights * np.exp(frames)
    result = forward_backward(weights, np.tile(weights, (3, 1)), frames)
    assert_allclose(result.state_posteriors, joint / joint.sum(axis=1, keepdims=True), rtol=1e-13)
    assert result.log_likelihood == pytest.approx(np.log(joint.sum(axis=1)).sum(), rel=1e-13)


def test_permuted_states_give_permuted_posteriors():
    problem = gapped_problem(11, random_mask(11, 5), 200.0, n_frames=30)
    order = np.random.default_rng(0).permutation(5)
    plainly = forward_backward(*problem.arguments)
    permuted = forward_backward(
        problem.start[order], problem.transitions[np.ix_(order, order)], problem.frames[:, order]
    )
    assert_allclose(permuted.state_posteriors, plainly.state_posteriors[:, order], rtol=1e-11)


def test_no_path_is_more_probable_than_the_best_nor_the_best_than_all():
    problem = gapped_problem(12, np.ones((6, 6), bool), 3.0, n_frames=300)
    path, log_probability = viterbi(*problem.arguments)
    result = forward_backward(*problem.arguments)
    greedy = result.state_posteriors.argmax(axis=1)
    assert log_joint(problem, greedy) <= log_probability + EXACT < result.log_likelihood
    assert_exact_log(log_probability, log_joint(problem, path))


def test_many_frames_stay_accurate():
    # A chain that stays with probability 1 sums the frames of each state: the exact result is known.
    rng = np.random.default_rng(1)
    frames = rng.normal(scale=5.0, size=(100_000, 2)) - 150.0
    result = forward_backward([0.5, 0.5], np.eye(2), frames)
    with mpmath.workdps(50):
        sums = [mpmath.fsum(mpmath.mpf(x) for x in column) for column in frames.T.tolist()]
        exact = mpmath.log(mpmath.exp(sums[0]) / 2 + mpmath.exp(sums[1]) / 2)
    assert_exact_log(result.log_likelihood, exact)


@pytest.mark.parametrize("gap", [5.0, 900.0])
def test_posteriors_of_thousands_of_frames_stay_accurate(gap):
    problem = gapped_problem(31, np.ones((3, 3), bool), gap, n_frames=3000)
    log_likelihood, posteriors, transitions = recursions(problem)
    result = forward_backward(*problem.arguments)
    assert_exact_log(result.log_likelihood, log_likelihood)
    assert_exact(result.state_posteriors, posteriors)
    assert_exact(result.expected_transitions, transitions)


@both_forms
def test_ties_go_to_the_lowest_state(form):
    assert viterbi(np.full(3, 1 / 3), form(np.full((3, 3), 1 / 3)), np.zeros((4, 3))).path.tolist() == [0, 0, 0, 0]


def test_network_of_thousands_of_states_gives_the_same_as_its_active_part():
    n_states = 3000
    transitions = sparse.diags_array([np.full(n_states, 0.5), np.full(n_states - 1, 0.5)], offsets=[0, 1], format="csr")
    frames = np.random.default_rng(2).normal(scale=10.0, size=(30, n_states))
    start = np.eye(1, n_states)[0]
    part = slice(0, 30)
    small = forward_backward(start[part], transitions.toarray()[part, part], frames[:, part])
    assert forward_backward(start, transitions, frames).log_likelihood == pytest.approx(small.log_likelihood, rel=1e-14)
    assert viterbi(start, transitions, frames).path.max() < 30


# What others publish ------------------------------------------------------------------------------------------------


def test_umbrella_world():
    # Russell & Norvig, as worked out in Wikipedia's article on the forward-backward algorithm.
    frames = np.log([[0.9, 0.2], [0.9, 0.2], [0.1, 0.8], [0.9, 0.2], [0.9, 0.2]])
    result = forward_backward([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], frames)
    published = [0.8673, 0.8204, 0.3075, 0.8204, 0.8673]
    assert_allclose(result.state_posteriors[:, 0], published, atol=5e-5)
    assert result.log_likelihood == pytest.approx(-3.3725, abs=5e-5)
    path, log_probability = viterbi([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], frames)
    assert path.tolist() == [0, 0, 1, 0, 0]
    assert log_probability == pytest.approx(-4.4590, abs=5e-5)


def test_sick_villagers():
    # Wikipedia's article on the Viterbi algorithm.
    frames = np.log([[0.5, 0.1], [0.4, 0.3], [0.1, 0.6]])
    path, log_probability = viterbi([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], frames)
    assert path.tolist() == [0, 0, 1]
    assert np.exp(log_probability) == pytest.approx(0.01512, rel=1e-12)


def test_forced_end_100_nats_a_frame_behind():
    # Twelve states, left to right, every frame 100 nats better in state 0: scaled recursions of float64 give 0.
    n_states = 12
    transitions = 0.5 * band(n_states).astype(float)
    frames = -100.0 * np.tile(np.arange(n_states) > 0, (n_states, 1))
    result = forward_backward(np.eye(n_states)[0], transitions, frames, end_probs=0.5 * np.eye(n_states)[-1])
    assert result.log_likelihood == pytest.approx(-1100.0 + 12 * np.log(0.5), rel=1e-14)


# Bad input ----------------------------------------------------------------------------------------------------------

HALF = np.full((2, 2), 0.5)
GOOD = {"start_probs": [0.5, 0.5], "transition_matrix": HALF, "frame_log_likelihoods": np.zeros((3, 2))}


@pytest.mark.parametrize("function", [forward_backward, viterbi, filter_states])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_probs": [0.5, 0.6]}, "start_probs sum to 1.1"),
        ({"start_probs": [0.0, 0.0]}, "start_probs is 0 for every state"),
        ({"start_probs": [1.5, -0.5]}, "start_probs holds negative"),
        ({"start_probs": [1.0]}, "start_probs has shape"),
        ({"start_probs": ["a", "b"]}, "start_probs is not an array of numbers"),
        ({"transition_matrix": [[0.5, 0.6], [0.5, 0.5]]}, "row 0 of transition_matrix sums to 1.1"),
        ({"transition_matrix": [[0.5, 0.5], [0.0, 0.0]]}, "state 1 has no way on"),
        ({"transition_matrix": [[0.5, np.nan], [0.5, 0.5]]}, "negative or non-finite"),
        ({"transition_matrix": [[1.5, -0.5], [0.5, 0.5]]}, "negative or non-finite"),
        ({"transition_matrix": np.ones((2, 3))}, r"transition_matrix has shape \(2, 3\)"),
        ({"transition_matrix": np.ones(2)}, "transition_matrix has shape"),
        ({"transition_matrix": "ergodic"}, "transition_matrix is not a matrix of numbers"),
        ({"end_probs": [0.6, 1.5]}, "end_probs holds 1.5"),
        ({"end_probs": [0.0, 0.0]}, "end_probs is 0 for every state"),
        ({"frame_log_likelihoods": np.zeros((3, 4))}, "2 states need"),
        ({"frame_log_likelihoods": np.zeros(2)}, "2 states need"),
        ({"frame_log_likelihoods": [[0.0, np.nan]]}, "NaN or .inf, first in row 0"),
        ({"frame_log_likelihoods": [[0.0, 0.0], [0.0, np.inf]]}, "NaN or .inf, first in row 1"),
        ({"frame_log_likelihoods": [["a", "b"]]}, "frame_log_likelihoods is not an array of numbers"),
    ],
)
def test_bad_input_gives_one_clear_error(function, change, message):
    with pytest.raises(ParameterError, match=message):
        function(**(GOOD | change))


@pytest.mark.parametrize("function", [forward_backward, viterbi])
def test_empty_sequence_gives_one_clear_error(function):
    with pytest.raises(ParameterError, match="at least 1 frames"):
        function(**(GOOD | {"frame_log_likelihoods": np.zeros((0, 2))}))
