"""The E-step against brute force and identities."""

import numpy as np
import pytest
from hmm.models import random_hmm, random_mixture, random_sequences

from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm import GmmParams, accumulate_stats
from gmmaudio.hmm import HmmParams, HmmStats, MixtureEmissions, expectation, forward_backward, sequences
from gmmaudio.hmm.alignment import along_states, baum_welch, best_path
from gmmaudio.hmm.expectation import accumulate_hmm_stats
from gmmaudio.hmm.sequences import SequenceSource

RTOL = 1e-9  # float64, sums over some hundred frames
RTOL_SINGLE = 1e-4  # densities in float32
LENGTHS = (40, 1, 2, 75, 33)
KINDS = [{}, {"tied": True}, {"left_right": True}, {"left_right": True, "ends": True}]


def lengths_of(kind):
    """A sequence of fewer frames than states never reaches a forced end."""
    return (40, 3, 4, 75, 33) if kind.get("ends") else LENGTHS


def stats_of(params, data, *, align=baum_welch, precision="double", n_threads=None, **options):
    source = SequenceSource(data, **options)
    return accumulate_hmm_stats(params, source, align=align, precision=precision, n_threads=n_threads)


def assert_same_stats(found, expected, *, rtol, atol=0.0):
    for name in ("start", "transitions", "ends", "codebook_use"):
        mine, its = getattr(found, name), getattr(expected, name)
        if its is not None:
            np.testing.assert_allclose(mine, its, rtol=rtol, atol=atol, err_msg=name)
    for name in ("zeroth", "first", "second"):
        mine, its = getattr(found.emissions, name), getattr(expected.emissions, name)
        np.testing.assert_allclose(mine, its, rtol=rtol, atol=atol + rtol * np.abs(its).max(), err_msg=name)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=rtol)
    np.testing.assert_allclose(found.n_frames, expected.n_frames, rtol=rtol)
    assert found.n_sequences == expected.n_sequences


def one_by_one(params, data):
    """Log-likelihood, state posteriors and transitions by the inference functions, sequence by sequence."""
    chain = params.start_probs, params.transition_matrix
    return [
        forward_backward(*chain, params.frame_log_likelihoods(frames, precision="double"), end_probs=params.end_probs)
        for frames in data
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_counts_of_the_chain_are_those_of_the_inference(kind, missing):
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, **kind), random_sequences(rng, lengths_of(kind), missing=missing)
    stats, results = stats_of(params, data), one_by_one(params, data)
    np.testing.assert_allclose(stats.log_likelihood, sum(r.log_likelihood for r in results), rtol=RTOL)
    np.testing.assert_allclose(stats.transitions, sum(r.expected_transitions for r in results), rtol=RTOL, atol=1e-12)
    np.testing.assert_allclose(stats.start, sum(r.state_posteriors[0] for r in results), rtol=RTOL, atol=1e-12)
    np.testing.assert_allclose(stats.ends, sum(r.state_posteriors[-1] for r in results), rtol=RTOL, atol=1e-12)


def test_emissions_are_the_gmm_statistics_with_posteriors_as_frame_weights():
    """The line to remember: a GMM-HMM's emission update is the GMM update called with frame weights."""
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, (1, 3, 2)), random_sequences(rng, LENGTHS)
    stats, results = stats_of(params, data), one_by_one(params, data)
    offsets, mixtures = params.emissions.offsets, params.emissions.mixtures
    for state, mixture in enumerate(mixtures):
        posteriors = np.concatenate([result.state_posteriors[:, state] for result in results])
        expected = accumulate_stats(mixture, np.concatenate(data), frame_weights=posteriors, precision="double")
        rows = slice(offsets[state], offsets[state + 1])
        shift = mixture.center - stats.emissions.center
        first = expected.first + expected.zeroth[:, None] * shift
        second = expected.second + 2 * expected.first * shift + expected.zeroth[:, None] * shift**2
        np.testing.assert_allclose(stats.emissions.zeroth[rows], expected.zeroth, rtol=RTOL)
        np.testing.assert_allclose(stats.emissions.first[rows], first, rtol=RTOL, atol=1e-9)
        np.testing.assert_allclose(stats.emissions.second[rows], second, rtol=RTOL)


def test_tied_emissions_are_those_of_equal_mixtures():
    """A codebook is the same as mixtures with equal Gaussians, whose statistics are added up over the states."""
    rng = np.random.default_rng(0)
    tied, data = random_hmm(rng, (4, 4), tied=True), random_sequences(rng, LENGTHS)
    book = tied.emissions.codebook
    mixtures = MixtureEmissions([GmmParams(row, book.means, book.variances) for row in tied.emissions.weights])
    untied = HmmParams(tied.start_probs, tied.transition_matrix, mixtures)
    found, expected = stats_of(tied, data), stats_of(untied, data)
    np.testing.assert_allclose(found.codebook_use, expected.emissions.zeroth.reshape(2, 4), rtol=RTOL)
    np.testing.assert_allclose(found.emissions.zeroth, expected.emissions.zeroth.reshape(2, 4).sum(axis=0), rtol=RTOL)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=RTOL)


def test_tied_states_hundreds_of_nats_behind_the_best_gaussian_are_exact():
    codebook = GmmParams([0.5, 0.5], [[0.0], [100.0]], [[1.0], [1.0]])
    mixtures = [GmmParams([1.0], [[mean]], [[1.0]]) for mean in (0.0, 100.0)]
    chain = [1.0, 0.0], [[0.0, 1.0], [0.0, 1.0]]
    from gmmaudio.hmm import TiedEmissions

    tied = stats_of(HmmParams(*chain, TiedEmissions(codebook, np.eye(2))), [np.zeros((2, 1))])
    untied = stats_of(HmmParams(*chain, MixtureEmissions(mixtures)), [np.zeros((2, 1))])
    np.testing.assert_allclose(tied.log_likelihood, untied.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(tied.emissions.zeroth, [1.0, 1.0], rtol=1e-12)


@pytest.mark.parametrize("align", [baum_welch, best_path])
@pytest.mark.parametrize("kind", KINDS)
def test_single_and_double_precision_agree(kind, align):
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, (5, 5, 5), 7, **kind), random_sequences(rng, lengths_of(kind), 7)
    single, double = (stats_of(params, data, align=align, precision=name) for name in ("single", "double"))
    assert_same_stats(single, double, rtol=RTOL_SINGLE, atol=RTOL_SINGLE)


@pytest.mark.parametrize("n_narrow", [1, 20])
def test_single_precision_bears_narrow_gaussians_far_away(n_narrow):
    """Digital silence: one Gaussian of 40 is calculated apart, in float64; with 20 of them everything is."""
    rng = np.random.default_rng(0)
    mixtures = [random_mixture(rng, 20, 5), random_mixture(rng, 20, 5)]
    means, variances = mixtures[1].means.copy(), mixtures[1].variances.copy()
    means[:n_narrow] += 30.0
    variances[:n_narrow] = 1e-7
    mixtures[1] = GmmParams(mixtures[1].weights, means, variances)
    params = HmmParams([0.5, 0.5], np.full((2, 2), 0.5), MixtureEmissions(mixtures))
    data = random_sequences(rng, [200, 300], 5)
    data[0][50:100] = means[0] + rng.normal(0, 3e-4, (50, 5))
    assert not params.emissions.pool.bears_single
    single, double = (stats_of(params, data, precision=name) for name in ("single", "double"))
    assert_same_stats(single, double, rtol=RTOL_SINGLE, atol=RTOL_SINGLE)


@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_number_of_threads_changes_no_bit(precision, missing):
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, (16,) * 3, 20), random_sequences(rng, [300] * 60, 20, missing=missing)
    one, four = (stats_of(params, data, precision=precision, n_threads=n) for n in (1, 4))
    np.testing.assert_array_equal(one.emissions.second, four.emissions.second)
    np.testing.assert_array_equal(one.transitions, four.transitions)
    assert one.log_likelihood == four.log_likelihood


@pytest.mark.parametrize("precision", ["single", "double"])
def test_the_order_of_the_sequences_changes_no_bit(precision):
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng), random_sequences(rng, [30] * 40 + [7, 8, 1])
    shuffled = [data[i] for i in rng.permutation(len(data))]
    first, second = (stats_of(params, order, precision=precision) for order in (data, shuffled))
    np.testing.assert_array_equal(first.emissions.first, second.emissions.first)
    assert first.log_likelihood == second.log_likelihood


@pytest.mark.parametrize(("precision", "rtol"), [("double", 1e-12), ("single", 1e-6)])
def test_the_order_of_an_iterable_changes_roundings_only(precision, rtol):
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, (8,) * 5, 13), random_sequences(rng, rng.integers(20, 200, 50), 13)
    orders = [data, [data[i] for i in rng.permutation(50)]]
    first, second = (stats_of(params, lambda order=order: iter(order), precision=precision) for order in orders)
    assert_same_stats(first, second, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("align", [baum_welch, best_path])
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_a_long_sequence_in_blocks_has_the_same_statistics(monkeypatch, kind, align, missing):
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, **kind), random_sequences(rng, [500, 30], missing=missing)
    weights = rng.uniform(0, 2, 530)
    whole = stats_of(params, data, align=align, sample_weight=weights)
    for module in (sequences, expectation):
        monkeypatch.setattr(module, "LONG_FRAMES", 97)
    assert_same_stats(stats_of(params, data, align=align, sample_weight=weights), whole, rtol=RTOL, atol=1e-10)


def test_a_long_sequence_with_a_forced_end_a_thousand_nats_away_is_exact(monkeypatch):
    """Every checkpoint must keep states that float64 could not hold as ordinary numbers."""
    mixtures = MixtureEmissions([GmmParams([1.0], [[mean]], [[1.0]]) for mean in (0.0, 20.0)])
    params = HmmParams([1.0, 0.0], [[0.9, 0.1], [0.0, 0.9]], mixtures, [0.0, 0.1])
    data = [np.zeros((60, 1))]  # the second state is 200 nats behind in each frame, but the path must end there
    whole = stats_of(params, data)
    for module in (sequences, expectation):
        monkeypatch.setattr(module, "LONG_FRAMES", 7)
    assert_same_stats(stats_of(params, data), whole, rtol=RTOL)


def test_a_frame_of_weight_zero_counts_as_missing():
    rng = np.random.default_rng(0)
    params, (frames,) = random_hmm(rng), random_sequences(rng, [50])
    weights = (rng.random(50) > 0.3).astype(float)
    gone = np.where(weights[:, None] > 0, frames, np.nan)
    found, expected = stats_of(params, [frames], sample_weight=weights), stats_of(params, [gone])
    np.testing.assert_allclose(found.transitions, expected.transitions, rtol=RTOL)
    np.testing.assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=RTOL)


def test_weights_of_one_change_nothing():
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng), random_sequences(rng, LENGTHS)
    assert_same_stats(stats_of(params, data, sample_weight=np.ones(sum(LENGTHS))), stats_of(params, data), rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_add_up(kind):
    """hmmlearn #410: several sequences did not."""
    rng = np.random.default_rng(0)
    params, data = random_hmm(rng, **kind), random_sequences(rng, lengths_of(kind))
    total = sum((stats_of(params, [frames]) for frames in data), start=HmmStats.zeros_like(params))
    assert_same_stats(stats_of(params, data), total, rtol=RTOL, atol=1e-12)


def test_one_state_has_the_statistics_of_the_mixture():
    mixture = random_mixture(np.random.default_rng(0), 4, 2)
    data = random_sequences(np.random.default_rng(1), LENGTHS)
    stats = stats_of(HmmParams([1.0], [[1.0]], MixtureEmissions([mixture])), data)
    expected = accumulate_stats(mixture, np.concatenate(data), precision="double")
    np.testing.assert_allclose(stats.emissions.second, expected.second, rtol=RTOL)
    np.testing.assert_allclose(stats.log_likelihood, expected.log_likelihood, rtol=RTOL)


def test_the_best_path_is_counted_as_if_it_were_known():
    rng = np.random.default_rng(0)
    params, (frames,) = random_hmm(rng), random_sequences(rng, [50])
    from gmmaudio.hmm import viterbi

    path, score = viterbi(
        params.start_probs, params.transition_matrix, params.frame_log_likelihoods(frames, precision="double")
    )
    stats = stats_of(params, [frames], align=best_path)
    moves = np.zeros((3, 3))
    np.add.at(moves, (path[:-1], path[1:]), 1.0)
    np.testing.assert_array_equal(stats.transitions, moves)
    np.testing.assert_allclose(stats.log_likelihood, score, rtol=RTOL)
    np.testing.assert_allclose(
        stats.emissions.zeroth.reshape(3, 2).sum(axis=1), np.bincount(path, minlength=3), rtol=RTOL
    )


def test_cutting_in_equal_parts_gives_each_state_its_share():
    params = random_hmm(np.random.default_rng(0), left_right=True)
    stats = stats_of(params, [np.zeros((9, 2)), np.zeros((6, 2))], align=along_states())
    np.testing.assert_allclose(stats.emissions.zeroth.reshape(3, 2).sum(axis=1), [5.0, 5.0, 5.0], rtol=RTOL)
    np.testing.assert_array_equal(stats.transitions, [[3, 2, 0], [0, 3, 2], [0, 0, 3]])


def test_cutting_sequences_shorter_than_the_states_makes_nothing_possible_that_was_not():
    params = random_hmm(np.random.default_rng(0), (1,) * 5, left_right=True)
    stats = stats_of(params, [np.zeros((2, 2))], align=along_states())
    assert not stats.transitions[params.transition_matrix == 0].any()
    assert not stats.start[params.start_probs == 0].any()


def test_an_impossible_sequence_is_named():
    params = random_hmm(np.random.default_rng(0), (1, 1, 1), left_right=True, ends=True)
    with pytest.raises(GmmAudioError, match="sequence 1 has probability 0"):
        stats_of(params, [np.zeros((5, 2)), np.zeros((2, 2))])


def test_counts_are_complete():
    """Every frame is in one state, every sequence has one start and one end."""
    rng = np.random.default_rng(0)
    stats = stats_of(random_hmm(rng), random_sequences(rng, LENGTHS, missing=0.2))
    np.testing.assert_allclose(stats.start.sum(), len(LENGTHS), rtol=RTOL)
    np.testing.assert_allclose(stats.ends.sum(), len(LENGTHS), rtol=RTOL)
    np.testing.assert_allclose(stats.transitions.sum(), sum(LENGTHS) - len(LENGTHS), rtol=RTOL)
    np.testing.assert_allclose(stats.emissions.zeroth.sum(), sum(LENGTHS), rtol=RTOL)


def test_statistics_of_other_models_do_not_add_up():
    rng = np.random.default_rng(0)
    with pytest.raises(GmmAudioError, match="cannot add statistics"):
        HmmStats.zeros_like(random_hmm(rng)) + HmmStats.zeros_like(random_hmm(rng, (1, 1)))
