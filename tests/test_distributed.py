"""Training on a Dask cluster of real worker processes, some of which are killed."""

import logging
import os
import pickle
import signal
import time
from functools import reduce
from operator import add

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from gmmaudio.distributed import cluster as module
from gmmaudio.distributed import fit_gmm
from gmmaudio.em import run_em
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm import GMM, GmmParams, accumulate_stats, estimate_ml
from gmmaudio.gmm.statistics import CHAPTER_FRAMES, SUM_WIDTH

REASON = "Dask is not installed; it comes with the extra 'distributed'"
distributed = pytest.importorskip("distributed", reason=REASON)
dask = pytest.importorskip("dask", reason=REASON)
da = pytest.importorskip("dask.array", reason=REASON)

PATIENCE = 120.0
"""Seconds for a worker to start on a machine that does other things too."""

DOUBLE_PRECISION = 1e-10
"""Sums of float64 in another order, after some EM iterations that multiply their differences."""

SINGLE_PRECISION = 1e-3
"""Sums of float32 over tiles that begin at other frames (1e-7 each), after some EM iterations."""

N_FRAMES, N_FEATURES, CHUNK_FRAMES = 10_700, 3, 900
"""More frames than an initialiser looks at; 12 chunks, more than one level of the tree; the last one is shorter."""


@pytest.fixture(scope="module")
def frames():
    """Ordered data: clusters come one after the other, so that the chunks differ."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0.0, 4.0, (6, N_FEATURES))
    labels = np.sort(rng.integers(6, size=N_FRAMES))
    return centers[labels] + rng.standard_normal((N_FRAMES, N_FEATURES))


@pytest.fixture(scope="module")
def pieces(frames):
    return [frames[start : start + CHUNK_FRAMES] for start in range(0, N_FRAMES, CHUNK_FRAMES)]


@pytest.fixture(scope="module")
def paths(pieces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chunks")
    names = [folder / f"{number:03d}.npy" for number in range(len(pieces))]
    for name, piece in zip(names, pieces, strict=True):
        np.save(name, piece)
    return names


@pytest.fixture(scope="module")
def start(frames):
    """Enough components for the path of the E-step that selects them, and iterations enough to be interrupted."""
    rows = np.random.default_rng(1).choice(N_FRAMES, 40, replace=False)
    initial = {
        "weights_init": np.full(40, 1 / 40),
        "means_init": frames[rows],
        "covariances_init": np.tile(frames.var(axis=0) / 10, (40, 1)),
    }
    gmm = GMM(40, max_iter=5, tol=0.0, **initial)
    gmm.fit(frames)  # compiles here, once, what the workers then find compiled
    return GMM(40, max_iter=5, tol=0.0, **initial)


def local_cluster(**options):
    """A quiet cluster on this machine, with no port that another may hold."""
    quiet = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    return distributed.LocalCluster(threads_per_worker=1, memory_limit=0, **quiet, **options)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, start):
    with (
        dask.config.set(
            {"distributed.deploy.lost-worker-timeout": PATIENCE, "distributed.comm.timeouts.connect": 10.0}
        ),
        local_cluster(n_workers=2, processes=True, local_directory=str(tmp_path_factory.mktemp("dask"))) as cluster,
    ):
        yield cluster


def connect(cluster):
    """A client that knows the address only: given the cluster, it can confuse it when a worker has just died."""
    return distributed.Client(cluster.scheduler_address)


@pytest.fixture
def client(cluster):
    """Two workers, alive, whatever the test before has done to them."""
    with connect(cluster) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
        yield client


@pytest.fixture(scope="module")
def undisturbed(cluster, paths, start):
    with connect(cluster) as client:
        return fit_gmm(client, paths, start)


def assert_same_bits(fitted, expected):
    assert fitted.history_ == expected.history_
    for name in ("weights_", "means_", "covariances_", "variance_floor_"):
        assert_array_equal(getattr(fitted, name), getattr(expected, name), err_msg=name)


def assert_close(fitted, expected, rtol):
    for name in ("weights_", "means_", "covariances_", "variance_floor_", "history_"):
        assert_allclose(getattr(fitted, name), getattr(expected, name), rtol=rtol, err_msg=name)


def delayed_chunks(pieces):
    return [dask.delayed(lambda piece: piece)(piece) for piece in pieces]


def sum_in_tree(stats):
    while len(stats) > 1:
        stats = [reduce(add, stats[i : i + SUM_WIDTH]) for i in range(0, len(stats), SUM_WIDTH)]
    return stats[0]


def test_one_and_four_workers_give_the_bits_of_two(client, cluster, undisturbed, paths, start):
    try:
        for n_workers in (1, 4):
            cluster.scale(n_workers)
            deadline = time.monotonic() + PATIENCE
            while len(client.nthreads()) != n_workers and time.monotonic() < deadline:
                time.sleep(0.1)
            assert_same_bits(fit_gmm(client, paths, start), undisturbed)
    finally:
        cluster.scale(2)


def test_the_cluster_gives_the_bits_of_the_same_sums_in_one_process(undisturbed, pieces, start):
    floor = undisturbed.variance_floor_
    result = run_em(
        GmmParams(start.weights_init, start.means_init, start.covariances_init),
        lambda params: sum_in_tree([accumulate_stats(params, piece) for piece in pieces]),
        lambda stats: estimate_ml(stats, variance_floor=floor),
        max_iter=start.max_iter,
        tol=0.0,
    )
    assert_array_equal(undisturbed.means_, result.params.means)
    assert_array_equal(undisturbed.covariances_, result.params.variances)
    assert undisturbed.history_ == result.history


def test_every_kind_of_chunk_gives_the_same_bits(client, undisturbed, frames, pieces, paths, start):
    kinds = {
        "Dask array cut across its columns too": da.from_array(frames, chunks=(CHUNK_FRAMES, 2)),
        "delayed": delayed_chunks(pieces),
        "futures": client.scatter(pieces),
        "a mixture": [*paths[:4], *delayed_chunks(pieces[4:])],
    }
    for chunks in kinds.values():
        assert_same_bits(fit_gmm(client, chunks, start), undisturbed)


def test_in_double_precision_the_result_is_that_of_one_machine_with_its_initialisation(client, frames, paths):
    gmm = GMM(6, precision="double", random_state=3, max_iter=5, tol=0.0)
    assert_close(fit_gmm(client, paths, gmm), gmm.fit(frames), rtol=DOUBLE_PRECISION)


def test_one_chunk_gives_the_bits_of_one_machine_with_its_lengthened_steps(client, frames):
    gmm = GMM(12, random_state=3, tol=1e-3)
    fitted, expected = fit_gmm(client, delayed_chunks([frames]), gmm), gmm.fit(frames)
    plain = GMM(12, random_state=3, tol=0.0, max_iter=expected.n_iter_).fit(frames)
    assert fitted.history_ == expected.history_ != plain.history_
    assert_array_equal(fitted.means_, expected.means_)


def test_chunks_of_a_chapter_give_the_bits_of_one_machine(client):
    rng = np.random.default_rng(0)
    n_frames = 9 * CHAPTER_FRAMES + 5000  # more than one level of the tree, and a rest that is no whole step
    frames = np.cumsum(rng.normal(scale=0.1, size=(n_frames, 2)), axis=0, dtype=np.float32)
    gmm = GMM(33, random_state=3, max_iter=2, tol=0.0)
    chunks = da.from_array(frames, chunks=(CHAPTER_FRAMES, -1))
    assert_same_bits(fit_gmm(client, chunks, gmm), gmm.fit(frames))


def test_in_single_precision_the_result_is_that_of_one_machine(undisturbed, frames, start):
    assert_close(undisturbed, GMM(**start.get_params()).fit(frames), rtol=SINGLE_PRECISION)


def test_the_sample_that_training_starts_from_does_not_depend_on_the_cutting(client, frames):
    gmm = GMM(6, precision="double", random_state=3, max_iter=1, tol=0.0)
    coarse, fine = (fit_gmm(client, da.from_array(frames, chunks=(size, -1)), gmm) for size in (5000, 1111))
    assert_close(coarse, fine, rtol=DOUBLE_PRECISION)


def test_frames_far_from_zero_keep_their_variance(client, pieces, start):
    offset = 1e6
    far = start.get_params() | {"means_init": start.means_init + offset, "precision": "double"}
    near = start.get_params() | {"precision": "double"}
    fitted = fit_gmm(client, delayed_chunks([piece + offset for piece in pieces]), GMM(**far))
    expected = fit_gmm(client, delayed_chunks(pieces), GMM(**near))
    assert_allclose(fitted.variance_floor_, expected.variance_floor_, rtol=1e-8)  # the frames have lost 1e-10
    assert_allclose(fitted.covariances_, expected.covariances_, rtol=1e-6)


def test_a_worker_killed_between_iterations_with_the_frames_it_keeps_costs_no_bit(client, undisturbed, frames, start):
    pids = client.run(os.getpid)

    def kill_one(iteration, params, mean_log_likelihood):
        if iteration == 2:
            os.kill(next(iter(pids.values())), signal.SIGKILL)

    chunks = da.from_array(frames, chunks=(CHUNK_FRAMES, -1))
    assert_same_bits(fit_gmm(client, chunks, start, callback=kill_one), undisturbed)
    assert set(client.run(os.getpid).values()) != set(pids.values())


def test_a_worker_killed_at_work_on_a_chunk_costs_no_bit(client, undisturbed, pieces, start, tmp_path):
    trap = tmp_path / "trap"

    def load(piece):
        try:
            trap.unlink()
        except FileNotFoundError:
            return piece
        os.kill(os.getpid(), signal.SIGKILL)

    def set_trap(iteration, params, mean_log_likelihood):
        if iteration == 2:
            trap.touch()

    chunks = [dask.delayed(load)(piece) for piece in pieces]
    fitted = fit_gmm(client, chunks, start, keep_on_workers=False, callback=set_trap)
    assert not trap.exists()
    assert_same_bits(fitted, undisturbed)


def test_statistics_travel_and_frames_do_not(client, frames, pieces, start, monkeypatch):
    received = []

    def gather(futures):
        results = type(client).gather(client, futures)
        received.append(len(pickle.dumps(results)))
        return results

    monkeypatch.setattr(client, "gather", gather)
    fit_gmm(client, delayed_chunks(pieces), start)
    statistics = 8 * 40 * (2 * N_FEATURES + 1)
    assert 0 < max(received) < 2 * statistics < frames.nbytes / 10


def test_the_callback_follows_the_iterations(client, paths, start):
    seen = []
    fitted = fit_gmm(client, paths, start, callback=lambda *step: seen.append(step))
    assert [iteration for iteration, _, _ in seen] == [1, 2, 3, 4, 5]
    assert tuple(mean for _, _, mean in seen) == fitted.history_


def test_the_estimator_that_holds_the_options_stays_unfitted(client, paths):
    options = GMM(2, random_state=0, max_iter=1, tol=0.0)
    fit_gmm(client, paths, options)
    assert not hasattr(options, "params_")


def test_the_iteration_limit_is_reported(client, paths):
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        fit_gmm(client, paths, GMM(2, random_state=0, max_iter=1))


def test_chunks_without_frames_are_allowed(client, undisturbed, pieces, start):
    chunks = [np.empty((0, N_FEATURES)), *pieces]
    fitted = fit_gmm(client, delayed_chunks(chunks), start)
    assert_close(fitted, undisturbed, rtol=SINGLE_PRECISION)


def test_a_chunk_with_nan_is_named(client, pieces, start):
    broken = pieces[5].copy()
    broken[17, 1] = np.nan
    with pytest.raises(ParameterError, match=r"chunk 5 holds NaN.*row 17"):
        fit_gmm(client, delayed_chunks([*pieces[:5], broken, *pieces[6:]]), start)


def test_a_chunk_of_another_width_is_named(client, pieces, start):
    with pytest.raises(ParameterError, match="chunk 2 has 2 columns but chunk 0 has 3"):
        fit_gmm(client, delayed_chunks([*pieces[:2], pieces[2][:, :2]]), start)


def test_a_file_that_workers_cannot_read_is_named(client, paths, start, tmp_path):
    with pytest.raises(GmmAudioError, match=r"chunk 1 .*missing\.npy\) cannot be read by a worker"):
        fit_gmm(client, [paths[0], tmp_path / "missing.npy"], start)


def test_an_error_of_the_callers_own_loader_comes_through(client, pieces, start):
    def load():
        raise OSError("the tape is torn")

    with pytest.raises(OSError, match="the tape is torn"):
        fit_gmm(client, [dask.delayed(load)()], start)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([], "chunks is empty"),
        (np.ones((5, 3)), "chunks is a ndarray"),
        ("frames.npy", "chunks is a str"),
        ([np.ones((5, 3))], "chunk 0 is a ndarray"),
        (da.ones(5, chunks=5), r"shape \(5,\)"),
        (da.ones((0, 3), chunks=5), "no frames in any of the 1 chunks"),
    ],
)
def test_chunks_that_cannot_be_used_are_refused(client, start, chunks, message):
    with pytest.raises(ParameterError, match=message):
        fit_gmm(client, chunks, start)


def test_a_number_of_components_is_no_estimator(client, paths):
    with pytest.raises(ParameterError, match=r"gmm is 8 but must be an estimator"):
        fit_gmm(client, paths, 8)


def test_an_address_is_no_client(paths, start):
    with pytest.raises(ParameterError, match=r"must be a distributed\.Client"):
        fit_gmm("tcp://127.0.0.1:8786", paths, start)


def test_a_closed_client_is_refused(cluster, paths, start):
    client = connect(cluster)
    client.close()
    with pytest.raises(ParameterError, match="the client is closed"):
        fit_gmm(client, paths, start)


def test_a_client_that_is_not_the_default_one_does(cluster, undisturbed, paths, start):
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        assert_same_bits(fit_gmm(client, paths, start), undisturbed)


def test_a_client_that_closes_on_the_way_ends_the_training(cluster, paths, start):
    client = connect(cluster)
    with pytest.raises(GmmAudioError, match="cluster has gone away"):
        fit_gmm(client, paths, start, callback=lambda *step: client.close())


def test_workers_of_another_version_are_refused(client, paths, start, monkeypatch):
    monkeypatch.setattr(module, "__version__", "99.0")
    with pytest.raises(GmmAudioError, match=r"tcp://.* has .* but the client has gmmaudio 99\.0"):
        fit_gmm(client, paths, start)


def test_workers_without_the_package_are_refused(client, paths, start):
    def hide():
        import sys

        hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "gmmaudio"}
        sys.modules["gmmaudio"] = None
        sys.hidden = hidden

    def show():
        import sys

        del sys.modules["gmmaudio"]
        sys.modules.update(sys.hidden)

    client.run(hide)
    try:
        with pytest.raises(GmmAudioError, match=r"cannot import gmmaudio \(.*install the same version"):
            fit_gmm(client, paths, start)
    finally:
        client.run(show)


def test_a_cluster_without_workers_is_not_waited_for_for_ever(paths, start, monkeypatch):
    monkeypatch.setattr(module, "WORKERS_TIMEOUT", 0.5)
    with (
        local_cluster(n_workers=0) as empty,
        distributed.Client(empty) as client,
        pytest.raises(GmmAudioError, match="has no workers"),
    ):
        fit_gmm(client, paths, start)


@pytest.mark.parametrize("leave", ["scale", "close"])
def test_a_cluster_that_goes_away_on_the_way_ends_the_training(pieces, start, monkeypatch, leave):
    monkeypatch.setattr(module, "WORKERS_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "POLL_INTERVAL", 0.1)
    with local_cluster(n_workers=1, processes=False) as leaving, distributed.Client(leaving) as client:
        go = {"scale": lambda: leaving.scale(0), "close": leaving.close}[leave]
        with pytest.raises(GmmAudioError, match="cluster has gone away"):
            fit_gmm(client, delayed_chunks(pieces), start, callback=lambda *step: go())
