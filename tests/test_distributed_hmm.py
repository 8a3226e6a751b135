"""Hidden Markov models on a Dask cluster of real worker processes, one of which is killed."""

import logging
import os
import signal

import numpy as np
import pytest
from hmm.models import random_sequences
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from gmmaudio.distributed import fit_gmm_hmm
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.hmm import GMMHMM, Topology

REASON = "Dask is not installed; it comes with the extra 'distributed'"
distributed = pytest.importorskip("distributed", reason=REASON)
dask = pytest.importorskip("dask", reason=REASON)

PATIENCE = 120.0  # seconds for a worker to start on a machine that does other things too
DOUBLE_PRECISION = 1e-9  # sums of float64 in another order, after some EM iterations
OPTIONS = {"n_states": 3, "n_components": 2, "max_iter": 4, "tol": 0.0, "random_state": 0, "precision": "double"}


@pytest.fixture(scope="module", name="data")
def ragged():
    return random_sequences(np.random.default_rng(0), [30 + 7 * i % 40 for i in range(20)], 3, missing=0.1)


@pytest.fixture(scope="module", name="paths")
def files(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    names = [folder / f"{number:03d}.npy" for number in range(len(data))]
    for name, frames in zip(names, data, strict=True):
        np.save(name, frames)
    return names


@pytest.fixture(scope="module", name="cluster")
def two_workers(tmp_path_factory, data):
    GMMHMM(**OPTIONS, topology="left-right").fit(data)  # compiles here, once, what the workers then find compiled
    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0", "processes": True}
    with distributed.LocalCluster(
        n_workers=2, silence_logs=logging.CRITICAL, local_directory=str(tmp_path_factory.mktemp("dask")), **options
    ) as cluster:
        yield cluster


@pytest.fixture(name="client")
def connected(cluster):
    with distributed.Client(cluster.scheduler_address) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        yield client


def delayed_chunks(data, n_chunks=5):
    return [dask.delayed(lambda part: part)(data[start::n_chunks]) for start in range(n_chunks)]


@pytest.mark.parametrize("topology", ["left-right", Topology.left_right(3, forced_end=True)])
@pytest.mark.parametrize("training", ["baum-welch", "viterbi"])
def test_the_cluster_gives_the_model_of_one_machine(client, data, topology, training):
    hmm = GMMHMM(**OPTIONS, topology=topology, training=training)
    found, expected = fit_gmm_hmm(client, delayed_chunks(data), hmm), hmm.fit(data)
    assert_allclose(found.means_, expected.means_, rtol=DOUBLE_PRECISION)
    assert_allclose(found.transition_matrix_, expected.transition_matrix_, rtol=DOUBLE_PRECISION)
    assert_allclose(found.history_, expected.history_, rtol=DOUBLE_PRECISION)


def test_files_give_the_same_bits_however_often_they_are_read(client, paths):
    hmm = GMMHMM(**OPTIONS)
    kept, read_anew = (fit_gmm_hmm(client, paths, hmm, keep_on_workers=keep) for keep in (True, False))
    assert kept.history_ == read_anew.history_
    assert_array_equal(kept.means_, read_anew.means_)


def test_a_worker_killed_between_iterations_costs_no_bit(client, data):
    hmm = GMMHMM(**OPTIONS, topology="left-right")
    undisturbed = fit_gmm_hmm(client, delayed_chunks(data), hmm)
    pids = client.run(os.getpid)

    def kill_one(iteration, params, mean_log_likelihood):
        if iteration == 2:
            os.kill(next(iter(pids.values())), signal.SIGKILL)

    assert fit_gmm_hmm(client, delayed_chunks(data), hmm, callback=kill_one).history_ == undisturbed.history_


def test_a_start_by_clusters_finds_the_states(client):
    rng = np.random.default_rng(0)
    data = [rng.normal(np.repeat(rng.permutation([0.0, 8.0, 16.0]), 20), 1.0)[:, np.newaxis] for _ in range(20)]
    hmm = fit_gmm_hmm(client, delayed_chunks(data), GMMHMM(3, random_state=0))
    assert_allclose(np.sort(hmm.means_.ravel()), [0.0, 8.0, 16.0], atol=0.3)


def test_the_estimator_that_holds_the_options_stays_unfitted(client, paths):
    hmm = GMMHMM(2, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        fit_gmm_hmm(client, paths, hmm)
    assert not hasattr(hmm, "params_")


def test_a_chunk_with_a_bad_sequence_is_named(client, data):
    with pytest.raises(ParameterError, match=r"chunk 1: X\[0\] holds infinity"):
        fit_gmm_hmm(client, [dask.delayed(data), dask.delayed([np.full((3, 3), np.inf)])], GMMHMM(2))


def test_a_chunk_of_another_width_is_named(client, data):
    with pytest.raises(ParameterError, match="chunk 1 has 2 columns but chunk 0 has 3"):
        fit_gmm_hmm(client, [dask.delayed(data), dask.delayed([np.zeros((4, 2))])], GMMHMM(2))


def test_a_file_that_workers_cannot_read_is_named(client, paths, tmp_path):
    with pytest.raises(GmmAudioError, match=r"chunk 0 .*missing\.npy"):
        fit_gmm_hmm(client, [paths[0], tmp_path / "missing.npy"], GMMHMM(2))


@pytest.mark.parametrize(
    ("chunks", "hmm", "message"),
    [
        ([], GMMHMM(2), "chunks is empty"),
        (np.ones((5, 3)), GMMHMM(2), "chunks is a ndarray"),
        ([np.ones((5, 3))], GMMHMM(2), "chunk 0 is a ndarray"),
        (["x.npy"], 3, "hmm is 3 but must be an estimator"),
        (["x.npy"], GMMHMM(0), "n_states is 0"),
    ],
)
def test_what_cannot_be_used_is_refused(client, chunks, hmm, message):
    with pytest.raises(ParameterError, match=message):
        fit_gmm_hmm(client, chunks, hmm)
