"""Streams against batches, bit for bit, however they are cut."""

import numpy as np
import pytest
from hmm.oracles import Problem, random_chain, recursions
from hmm.test_inference import EXACT, assert_exact, band, gapped_problem, random_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from gmmaudio.errors import ParameterError
from gmmaudio.hmm import FixedLagSmoother, HMMFilter, OnlineViterbi, filter_states, forward_backward, viterbi

ONE, WHOLE = 1, 10_000
"""Frames of a push."""

CUTS = ([ONE], [WHOLE], [0, 1, 0, 7], [3, 0, 40, 1, 1])
"""Sizes of successive pushes, repeated."""


def stream(stage, frames, sizes):
    """Push the frames in pieces of the sizes, over and over, and flush."""
    results, first, number = [], 0, 0
    while first < len(frames):
        size = sizes[number % len(sizes)]
        results.append(stage.push(frames[first : first + size]))
        first, number = first + size, number + 1
    return np.concatenate([*results, stage.flush()])


def hard_problem(seed=21, n_frames=120, ending=True):
    """Left-right with skips, and gaps far beyond what float64 can hold."""
    return gapped_problem(seed, band(5, 2), 900.0, n_frames=n_frames, ending=ending)


def easy_problem(seed=22, n_frames=150):
    return gapped_problem(seed, np.ones((4, 4), bool), 3.0, n_frames=n_frames)


PROBLEMS = {"hard": hard_problem(), "easy": easy_problem()}
each_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
each_cut = pytest.mark.parametrize("sizes", CUTS, ids=["one", "whole", "0-1-0-7", "3-0-40-1-1"])

STAGES = {
    "filter": lambda problem: HMMFilter(problem.start, problem.transitions),
    "smoother": lambda problem: FixedLagSmoother(problem.start, problem.transitions, 6, end_probs=problem.end),
    "smoother of lag 0": lambda problem: FixedLagSmoother(problem.start, problem.transitions, 0, end_probs=problem.end),
    "search": lambda problem: OnlineViterbi(problem.start, problem.transitions, end_probs=problem.end),
    "search of bounded lag": lambda problem: OnlineViterbi(problem.start, problem.transitions, max_lag=4),
}
each_stage = pytest.mark.parametrize("make", STAGES.values(), ids=STAGES.keys())


@each_problem
@each_stage
@each_cut
def test_cuts_do_not_change_a_bit(problem, make, sizes):
    assert np.array_equal(stream(make(problem), problem.frames, sizes), make(problem).transform(problem.frames))


@each_problem
@each_stage
@pytest.mark.parametrize("moment", [0, 1, 37])
def test_saved_stream_goes_on_with_the_same_bits(problem, make, moment):
    stage, other = make(problem), make(problem)
    before = stage.push(problem.frames[:moment])
    saved = stage.state_dict()
    stage.push(problem.frames[:20])  # must not reach the saved state
    other.load_state(saved)
    after = np.concatenate([other.push(problem.frames[moment:]), other.flush()])
    assert np.array_equal(np.concatenate([before, after]), make(problem).transform(problem.frames))


@each_problem
@each_stage
def test_future_does_not_change_what_was_given_out(problem, make):
    stage, other = make(problem), make(problem)
    past = problem.frames[:60]
    future = np.random.default_rng(0).normal(scale=500.0, size=(40, past.shape[1]))
    given_out = stage.push(past)
    longer = other.push(np.concatenate([past, future]))
    assert np.array_equal(longer[: len(given_out)], given_out)


@each_stage
def test_flush_starts_afresh(make):
    problem = PROBLEMS["hard"]
    stage = make(problem)
    first = stream(stage, problem.frames, [WHOLE])
    assert np.array_equal(stream(stage, problem.frames, [WHOLE]), first)


@each_stage
def test_no_frames_give_no_rows(make):
    stage = make(PROBLEMS["hard"])
    assert len(stage.push(np.empty((0, 5)))) == 0
    assert len(stage.flush()) == 0


@each_stage
def test_state_of_another_kind_of_stage_is_refused(make):
    with pytest.raises(ParameterError, match="kind of stage"):
        make(PROBLEMS["hard"]).load_state({"mean": 0.0})


# Filter -------------------------------------------------------------------------------------------------------------


@each_problem
@each_cut
def test_filter_gives_the_numbers_of_the_batch(problem, sizes):
    batch = filter_states(*problem.arguments)
    step = HMMFilter(problem.start, problem.transitions).step(problem.frames)
    assert np.array_equal(step.filtered_probs, batch.filtered_probs)
    assert np.array_equal(step.predictive_log_densities, batch.predictive_log_densities)
    assert np.array_equal(stream(HMMFilter(problem.start, problem.transitions), problem.frames, sizes), step[0])


@each_problem
def test_filter_knows_the_log_likelihood_so_far_whatever_the_cuts(problem):
    by_frame, at_once = (HMMFilter(problem.start, problem.transitions) for _ in range(2))
    for row in problem.frames:
        by_frame.push(row[np.newaxis])
    at_once.push(problem.frames)
    assert by_frame.log_likelihood == at_once.log_likelihood
    assert at_once.log_likelihood == pytest.approx(forward_backward(*problem.arguments).log_likelihood, rel=1e-12)


def test_filter_finds_a_state_again_that_was_far_behind():
    # 5,000 nats behind for 100 frames, then the only one that is possible: nothing may be lost in between.
    frames = np.array([[0.0, -50.0]] * 100 + [[-np.inf, 0.0]])
    filter = HMMFilter([0.5, 0.5], np.eye(2))
    step = filter.step(frames)
    assert step.filtered_probs[-1].tolist() == [0.0, 1.0]
    assert filter.log_likelihood == pytest.approx(np.log(0.5) - 5000.0, rel=1e-13)


# Fixed lag ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_smoother_gives_the_posteriors_of_the_frames_up_to_the_lag(lag):
    problem = hard_problem(n_frames=12)
    smoothed = FixedLagSmoother(problem.start, problem.transitions, lag).push(problem.frames)
    assert len(smoothed) == 12 - lag
    for t, row in enumerate(smoothed):
        beginning = Problem(problem.start, problem.transitions, problem.frames[: t + lag + 1])
        assert_exact(row, recursions(beginning)[1][t])


@each_problem
def test_smoother_of_a_lag_beyond_the_end_is_forward_backward(problem):
    smoother = FixedLagSmoother(problem.start, problem.transitions, WHOLE, end_probs=problem.end)
    expected = forward_backward(*problem.arguments, end_probs=problem.end).state_posteriors
    assert_allclose(smoother.transform(problem.frames), expected, rtol=EXACT, atol=1e-300)


@each_problem
def test_smoother_of_lag_0_is_the_filter(problem):
    smoothed = FixedLagSmoother(problem.start, problem.transitions, 0).push(problem.frames)
    assert_allclose(smoothed, filter_states(*problem.arguments).filtered_probs, rtol=1e-13, atol=1e-300)


def test_smoother_keeps_no_more_than_its_lag():
    problem = easy_problem()
    smoother = FixedLagSmoother(problem.start, problem.transitions, 6)
    smoother.push(problem.frames)
    assert [len(smoother.state_dict()[name]) for name in ("log_likelihoods", "mantissas", "exponents")] == [6, 6, 6]


# Online Viterbi -----------------------------------------------------------------------------------------------------


@each_problem
@each_cut
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array], ids=["dense", "sparse"])
def test_online_path_is_the_batch_path(problem, sizes, form):
    search = OnlineViterbi(problem.start, form(problem.transitions), end_probs=problem.end)
    path, log_probability = viterbi(*problem.arguments, end_probs=problem.end)
    pieces = [search.push(piece) for piece in np.array_split(problem.frames, 9)]
    assert search.log_probability == log_probability
    assert np.array_equal(np.concatenate([*pieces, search.flush()]), path)
    assert np.array_equal(stream(search, problem.frames, sizes), path)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_states=st.integers(1, 6),
    n_frames=st.integers(1, 80),
    scale=st.sampled_from([0.0, 1.0, 30.0, 2000.0]),
    ending=st.booleans(),
    rounding=st.booleans(),
)
def test_online_path_is_the_batch_path_ties_and_impossible_ends_included(
    seed, n_states, n_frames, scale, ending, rounding
):
    rng = np.random.default_rng(seed)
    start, transitions, end = random_chain(rng, random_mask(seed, n_states), ending=ending)
    frames = rng.normal(scale=scale, size=(n_frames, n_states))
    frames = np.round(frames) if rounding else frames
    if rounding:  # equal scores everywhere
        transitions = (transitions > 0) / n_states
    path, log_probability = viterbi(start, transitions, frames, end_probs=end)
    search = OnlineViterbi(start, transitions, end_probs=end)
    pieces = [search.push(piece) for piece in np.array_split(frames, rng.integers(1, 10))]
    assert search.log_probability == log_probability
    if log_probability > -np.inf:
        assert np.array_equal(np.concatenate([*pieces, search.flush()]), path)


def survivors(problem, n_frames):
    """Return the best path into each state, by batch searches that must end there."""
    paths = []
    for state in range(len(problem.start)):
        end = np.eye(len(problem.start))[state]
        path, log_probability = viterbi(problem.start, problem.transitions, problem.frames[:n_frames], end_probs=end)
        if log_probability > -np.inf:
            paths.append(path)
    return np.array(paths)


@each_problem
def test_states_are_given_out_exactly_when_all_survivors_share_them(problem):
    search, n_given = OnlineViterbi(problem.start, problem.transitions), 0
    for n_frames in range(1, 60):
        n_given += len(search.push(problem.frames[n_frames - 1 : n_frames]))
        paths = survivors(problem, n_frames)
        shared = int(np.logical_and.accumulate((paths == paths[0]).all(axis=0)).sum())
        assert (n_given, search.n_pending) == (shared, n_frames - shared)


def test_pending_states_are_the_end_of_the_best_path_so_far():
    problem = easy_problem()
    search = OnlineViterbi(problem.start, problem.transitions)
    given_out = search.push(problem.frames[:40])
    path = viterbi(problem.start, problem.transitions, problem.frames[:40]).path
    assert np.array_equal(np.concatenate([given_out, search.pending_states()]), path)


def test_chain_that_never_meets_keeps_everything_until_the_end():
    search = OnlineViterbi([0.5, 0.5], np.eye(2))
    assert len(search.push(np.zeros((100, 2)))) == 0
    assert search.n_pending == 100
    assert search.flush().tolist() == [0] * 100


def test_bounded_lag_keeps_no_more_frames_and_says_that_it_gave_up_paths():
    search = OnlineViterbi([0.5, 0.5], np.eye(2), max_lag=5)
    assert len(search.push(np.zeros((100, 2)))) >= 95
    assert search.n_pending <= 5
    assert not search.is_exact
    assert search.lookahead == 5


def test_bounded_lag_that_suffices_is_exact():
    problem = easy_problem()
    search = OnlineViterbi(problem.start, problem.transitions, max_lag=100)
    given_out = search.push(problem.frames)
    assert search.is_exact
    assert np.array_equal(np.concatenate([given_out, search.flush()]), viterbi(*problem.arguments).path)


def test_path_of_bounded_lag_makes_no_forbidden_transition():
    problem = hard_problem(ending=False)
    path = OnlineViterbi(problem.start, problem.transitions, max_lag=2).transform(problem.frames)
    assert (problem.transitions[path[:-1], path[1:]] > 0).all()


def test_impossible_frame_gives_minus_1_from_the_pending_frames_on():
    frames = np.zeros((6, 2))
    frames[3] = -np.inf
    search = OnlineViterbi([0.5, 0.5], np.eye(2))
    assert search.push(frames).tolist() == [-1] * 6
    assert search.log_probability == -np.inf


def test_long_stream_keeps_its_digits():
    # Scores of 1e8 and more would hide differences of 1e-9 between paths, were they not kept relative.
    frames = np.full((2000, 2), -1e9)
    frames[1000:1005, 1] += 1e-6
    search = OnlineViterbi([0.5, 0.5], np.full((2, 2), 0.5))
    assert np.flatnonzero(search.transform(frames)).tolist() == [1000, 1001, 1002, 1003, 1004]


# Emissions and bad input --------------------------------------------------------------------------------------------


def densities(frames):
    """Log-densities of two states up to a constant."""
    return -0.5 * (frames - np.array([0.0, 3.0])) ** 2


class Model:
    """Something that has emissions, as `HmmParams` does."""

    frame_log_likelihoods = staticmethod(densities)


@pytest.mark.parametrize("emissions", [densities, Model()], ids=["function", "object"])
def test_frames_go_through_the_emissions(emissions):
    frames = np.random.default_rng(4).normal(size=(50, 1))
    chain = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.1, 0.9]])
    expected = filter_states(*chain, densities(frames)).filtered_probs
    assert np.array_equal(stream(HMMFilter(*chain, emissions=emissions), frames, [0, 3]), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HMMFilter([1.0], [[1.0]], emissions="gaussian"), "emissions is 'gaussian'"),
        (lambda: FixedLagSmoother([1.0], [[1.0]], -1), "lag is -1"),
        (lambda: FixedLagSmoother([1.0], [[1.0]], 1.5), "lag is 1.5"),
        (lambda: OnlineViterbi([1.0], [[1.0]], max_lag=-2), "max_lag is -2"),
        (lambda: OnlineViterbi([1.0], [[2.0]]), "row 0 of transition_matrix sums to 2"),
        (lambda: OnlineViterbi([1.0], [[1.0]]).lookahead, "no bound"),
        (lambda: HMMFilter([1.0], [[1.0]]).push(np.zeros((2, 3))), "1 states need"),
        (lambda: HMMFilter([1.0], [[1.0]]).push(np.full((2, 1), np.nan)), "NaN"),
    ],
)
def test_bad_input_gives_one_clear_error(make, message):
    with pytest.raises(ParameterError, match=message):
        make()
