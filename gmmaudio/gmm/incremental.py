"""One EM step on one more batch of frames, for streams; what is old may be forgotten.

Conventions. The past is what the model stands for: a number of frames that are distributed as it says. Ages are counted
in frames, or sums of their weights.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import absolute_variance_floor, estimate_ml, global_moments
from gmmaudio.gmm.frame_source import FrameSource
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats, StatsAccumulator


class IncrementalStep(NamedTuple):
    """What a batch has made of a model: `mean_log_likelihood` is that of the batch under the model before."""

    params: GmmParams
    mean_log_likelihood: float
    n_frames_seen: float
    variance_floor: Float64Array


def incremental_step(
    params: GmmParams,
    source: FrameSource,
    n_frames_seen: float,
    *,
    floor_fraction: float,
    shrinkage: float,
    memory_frames: float | None,
    precision: Precision,
) -> IncrementalStep:
    """Return the model after one more batch (incremental EM, Neal & Hinton 1998).

    The statistics of the batch under the present model are added to those of the frames that the model stands for, and
    the sum is re-estimated. With `memory_frames` a frame counts the less the older it is, within the batch too.
    """
    total_weight = sum(float(weights.sum()) for _, weights in source.blocks())
    accumulator = StatsAccumulator(params, precision=precision)
    passed = 0.0
    for frames, weights in source.blocks():
        ages = np.maximum(total_weight - passed - weights.cumsum(), 0.0)  # rounding makes the last a little < 0
        accumulator.push(frames, weights * _remembered(ages, memory_frames))
        passed += float(weights.sum())
    batch = accumulator.result()
    past = _remembered(np.array(total_weight), memory_frames) * n_frames_seen
    total = batch + GmmStats.expected(params, past * params.weights)
    floor = absolute_variance_floor(*global_moments(total), fraction=floor_fraction)
    updated = estimate_ml(total, variance_floor=floor, shrinkage=shrinkage)
    return IncrementalStep(updated, batch.log_likelihood / batch.n_frames, total.n_frames, floor)


def _remembered(ages: npt.NDArray[np.float64], memory_frames: float | None) -> Float64Array:
    """Return how much frames of some age count."""
    return np.ones_like(ages) if memory_frames is None else np.exp(-ages / memory_frames)
