"""Hidden Markov models on the workers of a Dask cluster.

Conventions. A *chunk* is one or several whole sequences that one worker can hold. What `gmmaudio.distributed` says of
bits holds here too: they depend on the chunks, not on the workers.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.distributed.cluster import Chunk, Cluster, check_client, named_chunk
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.statistics import SUM_WIDTH
from gmmaudio.hmm import _options
from gmmaudio.hmm.alignment import Aligner
from gmmaudio.hmm.estimator import GMMHMM
from gmmaudio.hmm.expectation import accumulate_hmm_stats
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sequences import SequenceSource
from gmmaudio.hmm.statistics import HmmStats
from gmmaudio.hmm.training import FeatureMoments, LocalData, feature_moments

if TYPE_CHECKING:
    from distributed import Client

PATHS_PER_CHUNK = 64
"""Files that make one chunk."""


def fit_gmm_hmm(
    client: "Client",
    chunks: Iterable[Any],
    hmm: GMMHMM,
    *,
    keep_on_workers: bool = True,
    callback: Callable[[int, HmmParams, float], None] | None = None,
) -> GMMHMM:
    """Train a hidden Markov model on sequences that lie on the workers of a Dask cluster.

    What `GMMHMM.fit` does on all sequences at once, with the same statistics, added in an order that depends on the
    chunks alone. The client sees statistics and, for a start by clusters, a sample of frames.

    Parameters
    ----------
    client : distributed.Client
        Connected to a cluster whose workers and scheduler have this version of gmmaudio.
    chunks : iterable of paths, delayed objects or futures
        A ``.npy`` file that every worker can read is one sequence. A delayed object or a future gives one sequence or a
        list of them, shape (n_frames, n_features) each; NaN is a missing feature.
    hmm : GMMHMM
        The options; it is not changed.
    keep_on_workers : bool
        Whether sequences are read and checked once and kept in the memory of the workers, or in every iteration.
    callback : callable, optional
        For progress; see `gmmaudio.em.run_em`.

    Returns
    -------
    GMMHMM
        A fitted copy of `hmm`.

    Raises
    ------
    ParameterError
        If the client is closed, there are no chunks, a sequence cannot be used (the message names the chunk), or an
        option cannot be used.
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
    ...     hmm = fit_gmm_hmm(client, sorted(Path("words").glob("*.npy")), GMMHMM(8, 4, topology="left-right"))
    """
    if not isinstance(hmm, GMMHMM):
        raise ParameterError(f"hmm is {hmm!r} but must be an estimator that holds the options, such as GMMHMM(5, 8)")
    check_client(client)
    fitted: GMMHMM = clone(hmm)
    _options.check(fitted)
    data = ClusterSequences(client, chunks, keep_on_workers=keep_on_workers)
    return fitted._train(data, check_random_state(fitted.random_state), callback)


class _Facts(NamedTuple):
    """What the client knows of a chunk."""

    lengths: IntArray
    n_features: int
    moments: FeatureMoments


class ClusterSequences(Cluster):
    """Sequences on the workers, checked: as many features in each, none infinite, and at least one."""

    def __init__(self, client: "Client", chunks: Iterable[Any], *, keep_on_workers: bool) -> None:
        from dask import delayed

        super().__init__(client)
        named = _sequence_chunks(chunks)
        sources = [delayed(_source)(chunk.frames, chunk.name) for chunk in named]
        self._sources = client.persist(sources) if keep_on_workers else sources
        facts: list[_Facts] = self.results([delayed(_facts)(source) for source in self._sources])
        for fact, chunk in zip(facts, named, strict=True):
            if fact.n_features != facts[0].n_features:
                raise ParameterError(
                    f"{chunk.name} has {fact.n_features} columns but {named[0].name} has {facts[0].n_features}; "
                    "make all chunks with the same feature settings"
                )
        self.n_features = facts[0].n_features
        self.lengths: IntArray = np.concatenate([fact.lengths for fact in facts])
        self._n_frames = [int(fact.lengths.sum()) for fact in facts]
        self._moments = [fact.moments for fact in facts]
        threads = client.nthreads().values()
        self._n_threads = max(1, min(min(threads), sum(threads) // len(facts)))

    def accumulate(self, params: HmmParams, *, align: Aligner, precision: Precision) -> HmmStats:
        """Return the statistics of all sequences: of each chunk on its worker, added `SUM_WIDTH` at a time in order."""
        from dask import delayed

        # Parameters are part of the graph: scattered ones would be lost with the worker that holds them.
        shared = delayed(params, traverse=False)
        stats = [delayed(_stats)(source, shared, align, precision, self._n_threads) for source in self._sources]
        while len(stats) > 1:
            stats = [delayed(_sum)(stats[start : start + SUM_WIDTH]) for start in range(0, len(stats), SUM_WIDTH)]
        total: HmmStats = self.results(stats)[0]
        return total

    def moments(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance of what is observed of each feature."""
        return reduce(FeatureMoments.joined, self._moments).mean_and_variance()

    def sample(self, limit: int, random_state: np.random.RandomState) -> tuple[FloatArray, Float64Array]:
        """Return about so many frames, of each chunk its share, and their weights."""
        from dask import delayed

        total = sum(self._n_frames)
        seeds = random_state.randint(2**31, size=len(self._sources)).tolist()
        shares = [-(-limit * n_frames // total) for n_frames in self._n_frames]
        drawn = self.results(
            [delayed(_sample)(*task) for task in zip(self._sources, shares, seeds, strict=True)],
        )
        frames, weights = zip(*drawn, strict=True)
        return np.concatenate(frames), np.concatenate(weights)


def _sequence_chunks(chunks: Iterable[Any]) -> list[Chunk]:
    """Return the chunks with their names; consecutive paths are put together."""
    if isinstance(chunks, str | os.PathLike | np.ndarray):
        raise ParameterError(
            f"chunks is a {type(chunks).__name__} but a list of .npy paths, delayed objects or futures is needed; "
            "GMMHMM.fit takes arrays"
        )
    named: list[Chunk] = []
    for item in chunks:
        is_path = isinstance(item, str | os.PathLike)
        last = named[-1].frames if named else None
        if is_path and isinstance(last, list) and len(last) < PATHS_PER_CHUNK:
            last.append(os.path.abspath(item))
        elif is_path:
            named.append(Chunk([os.path.abspath(item)], f"chunk {len(named)} ({os.path.abspath(item)} and following)"))
        else:
            named.append(named_chunk(item, len(named)))
    if not named:
        raise ParameterError("chunks is empty; training needs at least one sequence")
    return named


# What follows runs on the workers, where Dask may repeat it: functions of their arguments alone.


def _source(sequences: Any, name: str) -> SequenceSource:
    """Return the sequences of a chunk, checked."""
    try:
        return SequenceSource(sequences)
    except GmmAudioError as error:
        raise type(error)(f"{name}: {error}") from error


def _facts(source: SequenceSource) -> _Facts:
    """Return what the client needs to know."""
    return _Facts(source.lengths, source.n_features, feature_moments(source))


def _sample(source: SequenceSource, limit: int, seed: int) -> tuple[FloatArray, Float64Array]:
    """Return some frames of a chunk."""
    return LocalData(source).sample(limit, np.random.RandomState(seed))


def _stats(source: SequenceSource, params: HmmParams, align: Aligner, precision: Precision, n_threads: int) -> HmmStats:
    """Return the statistics of a chunk."""
    return accumulate_hmm_stats(params, source, align=align, precision=precision, n_threads=n_threads)


def _sum(stats: Sequence[HmmStats]) -> HmmStats:
    """Return the sum, from the first to the last."""
    return reduce(add, stats)
