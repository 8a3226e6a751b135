"""What `GMM.fit` and training on a cluster share: the check of the options, where EM starts, and the run itself.

Conventions. The estimator is read for its options only; wherever the frames are, a survey and a subsample stand for
them, and a function gives their statistics.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.checkpoint import CheckpointFile
from gmmaudio.em import EmResult, run_em, warn_unconverged
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances import structure_of
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import dead_components, estimate_ml, over_relaxed
from gmmaudio.gmm.frame_source import FrameSource
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.initialization import Initialization, initial_params
from gmmaudio.gmm.starts.subsample import COMPLETE_PER_COMPONENT, Subsample, subsample_limit
from gmmaudio.gmm.statistics import GmmStats, StatsAccumulator
from gmmaudio.gmm.survey import Survey, array_digest

if TYPE_CHECKING:
    from gmmaudio.gmm.estimator import GMM
    from gmmaudio.gmm.mixture_estimator import MixtureEstimator


class Starts(Protocol):
    """The options of an estimator that say where it starts."""

    n_components: int
    covariance_type: str
    init: Initialization
    weights_init: npt.ArrayLike | None
    means_init: npt.ArrayLike | None
    covariances_init: npt.ArrayLike | None


_STARTS = ("weights_init", "means_init", "covariances_init")


def train(
    gmm: "GMM",
    accumulate: Callable[[GmmParams], GmmStats],
    surveyed: Survey,
    sample: Subsample | None,
    random_state: np.random.RandomState,
    *,
    callback: Callable[[int, GmmParams, float], None] | None,
    kept: CheckpointFile | None = None,
) -> tuple[EmResult[GmmParams], Float64Array]:
    """Return what EM leaves, and the variance floor; warn the caller's caller if the iteration limit ended it.

    Steps are over-relaxed where EM is slow, but not in a training that must be plain EM: a fixed number of iterations,
    or one from a start that was given in full (`sample` is None then).
    """
    floor = surveyed.variance_floor(gmm.variance_floor)
    resume = None if kept is None else kept.state
    result = run_em(
        starting_params(gmm, surveyed, sample, floor, random_state) if resume is None else resume.params,
        accumulate,
        partial(estimate_ml, variance_floor=floor, shrinkage=gmm.shrinkage),
        max_iter=gmm.max_iter,
        tol=gmm.tol,
        may_fall=partial(_may_fall, floor=floor, shrinkage=gmm.shrinkage),
        relax=None if gmm.tol == 0 or sample is None or gmm.shrinkage else partial(over_relaxed, variance_floor=floor),
        callback=callback,
        resume=resume,
        on_update=None if kept is None else kept.keep,
    )
    warn_unconverged(result, max_iter=gmm.max_iter, tol=gmm.tol)
    return result, floor


def _may_fall(params: GmmParams, stats: GmmStats, *, floor: Float64Array, shrinkage: float) -> bool:
    """Say whether the update from these statistics may be less likely: a repair, a start below the floor, shrinkage."""
    below = (params.covariances.marginal_variances(*params.means.shape) < floor).any()
    return bool(shrinkage > 0 or dead_components(stats).any() or below)


def accumulate_source(params: GmmParams, *, source: FrameSource, precision: Precision) -> GmmStats:
    """Return the statistics of all frames."""
    accumulator = StatsAccumulator(params, precision=precision)
    for frames, weights in source.blocks():
        accumulator.push(frames, weights)
    return accumulator.result()


def empty_sample(gmm: Starts, random_state: np.random.RandomState) -> Subsample | None:
    """Return what will hold the frames to start from; None where the start is given in full."""
    if all(getattr(gmm, name) is not None for name in _STARTS):
        return None
    return Subsample(subsample_limit(gmm.n_components), random_state)


def starting_params(
    gmm: Starts, surveyed: Survey, sample: Subsample | None, floor: Float64Array, random_state: np.random.RandomState
) -> GmmParams:
    """Return where EM starts: the given parameters, completed by the initialiser where some are missing."""
    structure = structure_of(gmm.covariance_type)
    start: list[Any] = [getattr(gmm, name) for name in _STARTS]
    if sample is not None:
        frames, weights = sample.without_gaps(surveyed.mean, COMPLETE_PER_COMPONENT * gmm.n_components)
        found = initial_params(
            frames,
            gmm.n_components,
            init=gmm.init,
            variance_floor=floor,
            frame_weights=weights,
            random_state=random_state,
        )
        completing = (found.weights, found.means, structure.from_variances(found.variances).array)
        start = [other if given is None else given for given, other in zip(start, completing, strict=True)]
    weights, means, covariances = start
    params = GmmParams(weights, means, structure(covariances))
    if params.means.shape != (gmm.n_components, surveyed.n_features):
        raise ParameterError(
            f"the *_init parameters have shape {params.means.shape} but n_components and the data "
            f"need {(gmm.n_components, surveyed.n_features)}"
        )
    return params


def check_options(gmm: "GMM") -> None:
    """Raise for options that no later check covers."""
    structure_of(gmm.covariance_type)
    check_n_components(gmm.n_components)
    if not 0 < gmm.variance_floor < np.inf:
        raise ParameterError(
            f"variance_floor is {gmm.variance_floor} but must be a positive fraction of the global variance"
        )
    if not 0 <= gmm.shrinkage <= 1:
        raise ParameterError(f"shrinkage is {gmm.shrinkage} but must be from 0 (none) to 1 (no correlations)")
    if gmm.memory_frames is not None and not 0 < gmm.memory_frames < np.inf:
        raise ParameterError(
            f"memory_frames is {gmm.memory_frames} but must be a positive number of frames; None forgets nothing"
        )


def check_n_components(n_components: object) -> None:
    """Raise unless it is a number of components."""
    if not isinstance(n_components, int | np.integer) or n_components < 1:
        raise ParameterError(f"n_components is {n_components!r} but must be a whole number of at least 1")


def plain_options(gmm: "MixtureEstimator") -> dict[str, Any]:
    """Return the options, NumPy's numbers as Python's."""
    given = gmm.get_params()
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}


def identity(gmm: "GMM", random_state: np.random.RandomState) -> dict[str, Any]:
    """Return the options that the result depends on; arrays and states of generators as digests."""
    options = plain_options(gmm)
    for name in _STARTS:
        if options[name] is not None:
            options[name] = array_digest(np.asarray(options[name], dtype=np.float64))
    if isinstance(gmm.random_state, np.random.RandomState):
        state = tuple(random_state.get_state(legacy=True))
        options["random_state"] = array_digest(*map(np.asarray, state[1:]))
    del options["max_iter"], options["memory_frames"]
    return options
