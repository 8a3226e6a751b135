"""Gaussian mixtures on the workers of a Dask cluster."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.utils import check_random_state

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.distributed.cluster import CHUNKS_NEEDED, Chunk, Cluster, check_client, named_chunk, task_of
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimator import GMM
from gmmaudio.gmm.frame_moments import STEP_FRAMES, Moments, step_moments
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.subsample import Subsample
from gmmaudio.gmm.statistics import SUM_WIDTH, GmmStats, accumulate_stats, sum_of
from gmmaudio.gmm.survey import Survey
from gmmaudio.gmm.training import check_options, empty_sample, train
from gmmaudio.validation import check_frames

if TYPE_CHECKING:
    from distributed import Client


def fit_gmm(
    client: "Client",
    chunks: Iterable[Any],
    gmm: GMM,
    *,
    keep_on_workers: bool = True,
    callback: Callable[[int, GmmParams, float], None] | None = None,
) -> GMM:
    """Train a mixture, or a universal background model, on frames that lie on the workers of a Dask cluster.

    What `GMM.fit` does on all frames at once. A worker that dies costs the time to repeat its work. The client sees
    the statistics of all frames together and, unless `gmm` has a full set of ``*_init`` parameters, a sample of
    ``max(100 n_components, 10000)`` frames to start from, drawn by their number in the whole with the `random_state`.

    Parameters
    ----------
    client : distributed.Client
        Connected to a cluster whose workers and scheduler have this version of gmmaudio.
    chunks : dask.array.Array, or iterable of delayed arrays, futures or paths
        Frames, shape (n_frames, n_features) each. Chunks of some 100,000 frames, and several per thread of the
        cluster, keep it busy. Delayed chunks must give the same frames whenever they are computed.
    gmm : GMM
        The options; it is not changed.
    keep_on_workers : bool
        Whether delayed chunks are computed once and kept in the memory of the workers (Dask puts on disk what does not
        fit), or computed again in every iteration. Files are mapped in every iteration.
    callback : callable, optional
        For progress and checkpoints; see `gmmaudio.em.run_em`.

    Returns
    -------
    GMM
        A fitted copy of `gmm`.

    Raises
    ------
    ParameterError
        If the client is closed, there are no chunks or no frames, the chunks differ in width, a chunk holds NaN or is
        not an array of frames, or an option cannot be used. The message names the chunk.
    GmmAudioError
        If a file cannot be read, workers lack this version of gmmaudio, or the cluster goes away.

    Warns
    -----
    ConvergenceWarning
        If the iteration limit ends the training.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> with Client("tcp://scheduler:8786") as client:  # doctest: +SKIP
    ...     ubm = fit_gmm(client, sorted(Path("features").glob("*.npy")), GMM(512, random_state=0))
    """
    if not isinstance(gmm, GMM):
        raise ParameterError(f"gmm is {gmm!r} but must be an estimator that holds the options, such as GMM(512)")
    check_client(client)
    fitted: GMM = clone(gmm)
    check_options(fitted)
    frames = ClusterFrames(client, chunks, keep_on_workers=keep_on_workers)
    mean, variance = frames.global_moments()
    surveyed = Survey(frames.n_frames, frames.n_features, float(frames.n_frames), mean, variance, digest="")
    random_state = check_random_state(fitted.random_state)
    result, fitted.variance_floor_ = train(
        fitted,
        lambda params: frames.accumulate(params, precision=gmm.precision),
        surveyed,
        _sample(fitted, frames, random_state),
        random_state,
        callback=callback,
    )
    fitted.n_features_in_ = frames.n_features
    fitted._publish(result.params, result.history, result.converged, surveyed.total_weight)
    return fitted


def _sample(gmm: GMM, frames: "ClusterFrames", random_state: np.random.RandomState) -> Subsample | None:
    """Return the frames that `GMM.fit` would choose to start from; none if the options give the start in full."""
    numbers = empty_sample(gmm, random_state)  # chooses by the place in the stream, so it can do so without the frames
    sample = empty_sample(gmm, random_state)
    if numbers is None or sample is None:
        return None
    for start in range(0, frames.n_frames, STEP_FRAMES):
        rows = np.arange(start, min(start + STEP_FRAMES, frames.n_frames), dtype=np.float64)
        numbers.push(rows[:, np.newaxis], np.ones(len(rows)))
    chosen = frames.take(numbers.result()[0][:, 0].astype(np.intp))
    sample.push(chosen, np.ones(len(chosen)))
    return sample


class ClusterFrames(Cluster):
    """Chunks of frames on the workers, checked: as many columns in each, all finite, and at least one row in all."""

    def __init__(self, client: "Client", chunks: Iterable[Any], *, keep_on_workers: bool) -> None:
        super().__init__(client)
        self._chunks = _chunk_list(chunks)
        if keep_on_workers:
            self._chunks = _kept(client, self._chunks)
        shapes = self.results([task_of(_checked_shape, chunk) for chunk in self._chunks])
        self.n_features = _common_width(shapes, self._chunks)
        self._ends = np.cumsum([n_frames for n_frames, _ in shapes])
        self.n_frames = int(self._ends[-1])
        if not self.n_frames:
            raise ParameterError(f"there are no frames in any of the {len(shapes)} chunks; training needs at least one")
        # Dask runs a task on each thread of a worker at once; only fewer chunks than that leave threads to a task.
        threads = client.nthreads().values()
        self._n_threads = max(1, min(min(threads), sum(threads) // len(shapes)))

    def accumulate(self, params: GmmParams, *, precision: Precision) -> GmmStats:
        """Return the statistics of all chunks: each on its worker, added `SUM_WIDTH` at a time in their order."""
        from dask import delayed

        # Parameters are part of the graph: scattered ones would be lost with the worker that holds them.
        shared = delayed(params, traverse=False)
        stats = [task_of(_stats, chunk, shared, precision, self._n_threads) for chunk in self._chunks]
        while len(stats) > 1:
            stats = [delayed(sum_of)(stats[start : start + SUM_WIDTH]) for start in range(0, len(stats), SUM_WIDTH)]
        total: GmmStats = self.results(stats)[0]
        return total

    def global_moments(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance of all frames; if chunks are whole steps, with the bits of `Moments` of them all."""
        first = self._chunks[int(np.flatnonzero(self._ends)[0])]  # that is not empty
        origin = self.results([task_of(_take, first, np.zeros(1, np.intp))])[0][0].astype(np.float64)
        moments = Moments(origin)
        for steps in self.results([task_of(_moments, chunk, origin) for chunk in self._chunks]):
            for step in steps:
                moments.join(step)
        return moments.result()

    def take(self, rows: IntArray) -> FloatArray:
        """Return the frames with these numbers, in ascending order, to the client."""
        starts = np.concatenate([[0], self._ends[:-1]])
        parts = np.split(rows, np.searchsorted(rows, self._ends[:-1]))
        wanted = zip(self._chunks, starts, parts, strict=True)
        tasks = [task_of(_take, chunk, part - start) for chunk, start, part in wanted if len(part)]
        return check_frames(np.concatenate(self.results(tasks)))


def _chunk_list(chunks: Iterable[Any]) -> list[Chunk]:
    """Return the chunks with their names."""
    from dask.array import Array
    from dask.delayed import Delayed

    if isinstance(chunks, Array):
        if chunks.ndim != 2:
            raise ParameterError(f"the Dask array has shape {chunks.shape} but needs (n_frames, n_features)")
        chunks = chunks.rechunk({1: -1}).to_delayed().ravel().tolist()
    if isinstance(chunks, str | os.PathLike | Delayed | np.ndarray):
        raise ParameterError(f"chunks is a {type(chunks).__name__} but {CHUNKS_NEEDED}")
    named = [named_chunk(chunk, number) for number, chunk in enumerate(chunks)]
    if not named:
        raise ParameterError("chunks is empty; training needs at least one chunk")
    return named


def _kept(client: "Client", chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks with the delayed ones under way to the memory of the workers, in one order to the cluster."""
    from dask.delayed import Delayed

    lazy = [chunk for chunk in chunks if isinstance(chunk.frames, Delayed)]
    kept = client.persist([chunk.frames for chunk in lazy]) if lazy else []
    kept_by_name = {chunk.name: frames for chunk, frames in zip(lazy, kept, strict=True)}
    return [chunk._replace(frames=kept_by_name.get(chunk.name, chunk.frames)) for chunk in chunks]


def _common_width(shapes: Sequence[tuple[int, int]], chunks: Sequence[Chunk]) -> int:
    """Return the number of columns, which all chunks must share."""
    width = shapes[0][1]
    for (_, n_features), chunk in zip(shapes, chunks, strict=True):
        if n_features != width:
            raise ParameterError(
                f"{chunk.name} has {n_features} columns but {chunks[0].name} has {width}; "
                "make all chunks with the same feature settings"
            )
    return width


# What follows runs on the workers, where Dask may repeat it: functions of their arguments alone.


def _opened(frames: npt.ArrayLike, name: str) -> npt.ArrayLike:
    """Return the frames of a chunk; a file is mapped, so that the system keeps in memory what there is room for."""
    if not isinstance(frames, str):
        return frames
    try:
        array: FloatArray = np.load(frames, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise GmmAudioError(
            f"{name} cannot be read by a worker ({error}); chunks are .npy files on a disk that all workers share"
        ) from error
    return array


def _checked_shape(frames: npt.ArrayLike, name: str) -> tuple[int, ...]:
    """Return the shape of a chunk whose values have been looked at."""
    return check_frames(_opened(frames, name), name=name).shape


def _moments(frames: npt.ArrayLike, name: str, origin: Float64Array) -> Float64Array:
    """Return the moments of the steps of a chunk, a row each."""
    array: FloatArray = np.asarray(_opened(frames, name))
    steps = (array[start : start + STEP_FRAMES] for start in range(0, len(array), STEP_FRAMES))
    rows = [step_moments(step, np.ones(len(step)), origin) for step in steps]
    return np.reshape(rows, (-1, 1 + 3 * len(origin)))


def _take(frames: npt.ArrayLike, name: str, rows: IntArray) -> FloatArray:
    """Return some rows of a chunk."""
    array: FloatArray = np.asarray(_opened(frames, name))[rows]
    return array


def _stats(frames: npt.ArrayLike, name: str, params: GmmParams, precision: Precision, n_threads: int) -> GmmStats:
    """Return the statistics of a chunk."""
    return accumulate_stats(params, _opened(frames, name), precision=precision, n_threads=n_threads)
