"""How a mixture of Student distributions is trained: what outliers must not spoil before EM starts, and the run itself.

Conventions. The estimator is read for its options only. What the start and the floor follow from are medians and
quartiles of a sample, on which outliers have no influence.
"""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.em import EmResult, run_em, warn_unconverged
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances import structure_of
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import absolute_variance_floor
from gmmaudio.gmm.frame_source import FrameSource
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.initialization import Initialization
from gmmaudio.gmm.starts.subsample import Subsample, subsample_limit
from gmmaudio.gmm.starts.trimming import TRIMMED_SHARE, robust_spread
from gmmaudio.gmm.student.estimation import FIRST_DEGREES, dead_students, estimate_student, relaxed_student
from gmmaudio.gmm.student.parameters import StudentParams, UniformNoise
from gmmaudio.gmm.student.statistics import StudentStats, accumulate_blocks
from gmmaudio.gmm.survey import Survey, survey
from gmmaudio.gmm.training import check_n_components, empty_sample, starting_params

if TYPE_CHECKING:
    from gmmaudio.gmm.student.estimator import StudentTMixture

STARTING_ITERATIONS = 10
"""Iterations on a sample after which the likelier of two starts is chosen."""

CONSTANT_WIDTH = float(np.sqrt(12.0))
"""Width of the box of noise in a constant feature: that of a uniform distribution of unit variance."""


def train_student(
    model: "StudentTMixture", source: FrameSource, random_state: np.random.RandomState, *, callback: Any = None
) -> tuple[EmResult[StudentParams], Float64Array]:
    """Return what EM leaves, and the variance floor; warn the caller's caller if the iteration limit ended it."""
    sample = Subsample(subsample_limit(model.n_components), random_state)
    surveyed = survey(source, sample)
    if source.has_missing:
        raise ParameterError("X holds NaN, which StudentTMixture cannot use; GMM can, and impute fills it in")
    floor = robust_floor(surveyed, sample, fraction=model.variance_floor)
    degrees = None if model.degrees_of_freedom is None else float(model.degrees_of_freedom)
    noise = noise_of(source.blocks(), volume=model.noise_volume) if model.noise else None
    is_given = empty_sample(model, random_state) is None
    if is_given or model.init is not None or model.n_components == 1:
        components = _start(model, model.init or "trimmed", surveyed, None if is_given else sample, floor, random_state)
    else:
        components = _likelier_start(model, surveyed, sample, floor, random_state)
    beyond = partial(relaxed_student, variance_floor=floor, degrees_of_freedom=degrees)
    result = run_em(
        StudentParams(components, FIRST_DEGREES if degrees is None else degrees, noise),
        partial(accumulate_student_source, source=source, precision=model.precision),
        partial(estimate_student, variance_floor=floor, degrees_of_freedom=degrees, noise=noise),
        max_iter=model.max_iter,
        tol=model.tol,
        may_fall=partial(_may_fall, floor=floor),
        relax=None if model.tol == 0 or is_given else beyond,
        callback=callback,
    )
    warn_unconverged(result, max_iter=model.max_iter, tol=model.tol)
    return result, floor


def _start(
    model: "StudentTMixture",
    init: Initialization,
    surveyed: Survey,
    sample: Subsample | None,
    floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return where EM starts with an initialiser."""
    return starting_params(clone(model).set_params(init=init), surveyed, sample, floor, random_state)


def _likelier_start(
    model: "StudentTMixture",
    surveyed: Survey,
    sample: Subsample,
    floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return a start among clusters, whether what lies far out are outliers or one of them.

    Trimmed and plain k-means go through a few iterations of Gaussians and noise, and the likelier mixture is returned.
    Noise is what makes them comparable: without it, a component that covers outliers is likelier than clusters are.
    """
    frames = sample.result()
    noise = noise_of([frames], volume=None)

    def run(init: Initialization) -> EmResult[StudentParams]:
        return run_em(
            StudentParams(_start(model, init, surveyed, sample, floor, random_state), np.inf, noise),
            lambda params: accumulate_blocks(params, [frames], precision=model.precision),
            partial(estimate_student, variance_floor=floor, degrees_of_freedom=np.inf, noise=noise),
            max_iter=STARTING_ITERATIONS,
            tol=0.0,
            may_fall=partial(_may_fall, floor=floor),
        )

    return max(run("trimmed"), run("kmeans++"), key=lambda result: result.history[-1]).params.components


def accumulate_student_source(params: StudentParams, *, source: FrameSource, precision: Precision) -> StudentStats:
    """Return the statistics of all frames."""
    return accumulate_blocks(params, source.blocks(), precision=precision)


def robust_floor(surveyed: Survey, sample: Subsample, *, fraction: float) -> Float64Array:
    """Return a fraction of the variance that most frames have, shape (n_features,).

    That of a normal distribution with the same quartiles, or of all frames if it is less or if half of the values of a
    feature are equal: outliers can make the latter as large as they like.
    """
    middle, spread = robust_spread(*sample.result())
    variance = np.where(spread > 0, np.minimum(np.square(spread), surveyed.variance), surveyed.variance)
    return absolute_variance_floor(middle, variance, fraction=fraction)


def noise_of(blocks: Iterable[tuple[FloatArray, Float64Array]], *, volume: float | None) -> UniformNoise:
    """Return noise in the smallest box that holds all frames of positive weight, stretched to a volume if one is given.

    A feature that is constant has a width of `CONSTANT_WIDTH`. The weight, where EM starts, is that of the frames that
    trimmed clusters leave out.
    """
    low, high = np.asarray(np.inf), np.asarray(-np.inf)
    for frames, weights in blocks:
        counting = frames[weights > 0]
        if len(counting):
            low, high = np.minimum(low, counting.min(axis=0)), np.maximum(high, counting.max(axis=0))
    middle, width = 0.5 * low + 0.5 * high, np.asarray(high - low, dtype=np.float64)
    width = np.where(width > 10.0 * np.finfo(np.float64).eps * np.abs(middle), width, CONSTANT_WIDTH)
    if volume is not None:
        width = width * np.exp((np.log(volume) - np.log(width).sum()) / len(width))
    return UniformNoise(TRIMMED_SHARE, middle - 0.5 * width, middle + 0.5 * width)


def check_student_options(model: "StudentTMixture") -> None:
    """Raise for options that no later check covers."""
    check_n_components(model.n_components)
    structure_of(model.covariance_type)
    if not 0 < model.variance_floor < np.inf:
        raise ParameterError(f"variance_floor is {model.variance_floor} but must be a positive fraction of the spread")
    if model.degrees_of_freedom is not None and not model.degrees_of_freedom > 0:
        raise ParameterError(
            f"degrees_of_freedom is {model.degrees_of_freedom} but must be positive; None estimates them, and "
            "infinite ones make Gaussians"
        )
    if model.noise_volume is not None and not (model.noise and 0 < model.noise_volume < np.inf):
        raise ParameterError(
            f"noise_volume is {model.noise_volume} with noise={model.noise} but must be positive and needs noise=True"
        )


def _may_fall(params: StudentParams, stats: StudentStats, *, floor: Float64Array) -> bool:
    """Say whether the update from these statistics may be less likely: a repair, or a start below the floor."""
    components = params.components
    below = (components.covariances.marginal_variances(*components.means.shape) < floor).any()
    return bool(dead_students(stats).any() or below)
