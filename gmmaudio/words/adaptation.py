"""Adaptation to a speaker by a linear transform of the frames: feature-space MLLR, also called constrained MLLR.

Conventions. A transform turns a frame x into A x + b. Its density gains the factor |det A|, which is the same for every
model and so changes no decision, only likelihoods. Statistics are additive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float32Array, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import component_log_densities
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions
from gmmaudio.validation import read_only_array
from gmmaudio.words.decoding import decode
from gmmaudio.words.network import WordNetwork

ADAPTATION_PASSES = 3
ADAPTATION_PRIOR_FRAMES = 500.0
"""Pseudo-frames of the unadapted model: five seconds of speech count as much as the prior."""

N_SWEEPS = 20
"""Passes over the rows; each raises the likelihood, and after ten to twenty nothing moves."""


@dataclass(frozen=True, eq=False, init=False)
class FrameTransform:
    """A linear transform of frames.

    Parameters
    ----------
    matrix : array-like, shape (n_features, n_features)
        Invertible.
    offset : array-like, shape (n_features,)

    Raises
    ------
    ParameterError
        If the shapes do not match, a value is not finite, or the matrix is singular.

    Examples
    --------
    >>> FrameTransform([[2.0]], [1.0]).apply([[3.0]])
    array([[7.]], dtype=float32)
    """

    matrix: Float64Array
    offset: Float64Array

    def __init__(self, matrix: npt.ArrayLike, offset: npt.ArrayLike) -> None:
        offset = read_only_array(offset, name="offset", shape=(None,))
        matrix = read_only_array(matrix, name="matrix", shape=(len(offset), len(offset)))
        if not np.isfinite(np.linalg.slogdet(matrix)[1]):
            raise ParameterError("matrix is singular; a transform of frames must be invertible")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "offset", offset)

    def apply(self, frames: npt.ArrayLike) -> Float32Array:
        """Return the transformed frames, shape (n_frames, n_features).

        The bits of a frame do not depend on its neighbours: columns are added up one by one, without a BLAS product.
        """
        rows = np.asarray(frames, dtype=np.float64)
        total = np.tile(self.offset, (len(rows), 1))
        for column, weights in enumerate(self.matrix.T):
            total += rows[:, column, np.newaxis] * weights
        return total.astype(np.float32)


@dataclass(frozen=True, eq=False)
class TransformStats:
    """What the estimation of a transform needs to know of the frames.

    Attributes
    ----------
    quadratic : array, shape (n_features, n_features + 1, n_features + 1)
        ``G_i = Σ γ ζ ζᵀ / σ²_i`` with ζ = (x, 1).
    linear : array, shape (n_features, n_features + 1)
        ``k_i = Σ γ μ_i ζ / σ²_i``.
    occupancy : float
        ``β = Σ γ``, frames.
    """

    quadratic: Float64Array
    linear: Float64Array
    occupancy: float

    def __add__(self, other: Self) -> "TransformStats":
        return TransformStats(
            self.quadratic + other.quadratic, self.linear + other.linear, self.occupancy + other.occupancy
        )


def accumulate_transform_stats(
    pool: GmmParams, owners: IntArray, frames: Float32Array, heard: Float32Array, states: IntArray
) -> TransformStats:
    """Return the statistics of frames whose states are known.

    Gales 1998, "Maximum likelihood linear transformations for HMM-based speech recognition", eq. 23 and 24.

    Parameters
    ----------
    pool : GmmParams
        The Gaussians of all states.
    owners : int array, shape (n_components,)
        The state that each of them belongs to.
    frames : array, shape (n_frames, n_features)
        As they come, before any transform.
    heard : array, shape (n_frames, n_features)
        As the model hears them now, for the posteriors of the Gaussians.
    states : int array, shape (n_frames,)
        The state of each frame.
    """
    log_densities = component_log_densities(pool, heard, precision="double")
    log_densities[owners != states[:, np.newaxis]] = -np.inf
    posteriors = np.exp(log_densities - log_densities.max(axis=1, keepdims=True))
    posteriors /= posteriors.sum(axis=1, keepdims=True)
    precisions = posteriors @ (1.0 / pool.variances)
    pulls = posteriors @ (pool.means / pool.variances)
    extended = np.column_stack([frames.astype(np.float64), np.ones(len(frames))])
    quadratic = np.stack([(extended * weights[:, np.newaxis]).T @ extended for weights in precisions.T])
    return TransformStats(quadratic, pulls.T @ extended, float(len(frames)))


def prior_transform_stats(pool: GmmParams, n_frames: float) -> TransformStats:
    """Return the statistics of pseudo-frames that the model itself has drawn: alone, they give the identity.

    With them, little speech changes little: maximum a posteriori estimation, in the way of `estimate_map`.

    Parameters
    ----------
    pool : GmmParams
    n_frames : float
        Number of pseudo-frames.
    """
    counts = n_frames * pool.weights / pool.weights.sum()
    extended = np.column_stack([pool.means, np.ones(pool.n_components)])
    quadratic = np.empty((pool.n_features, pool.n_features + 1, pool.n_features + 1))
    linear = np.empty((pool.n_features, pool.n_features + 1))
    for feature in range(pool.n_features):
        weights = counts / pool.variances[:, feature]
        quadratic[feature] = (extended * weights[:, np.newaxis]).T @ extended
        quadratic[feature][np.diag_indices(pool.n_features)] += weights @ pool.variances
        linear[feature] = (weights * pool.means[:, feature]) @ extended
    return TransformStats(quadratic, linear, n_frames)


def estimate_transform(stats: TransformStats) -> FrameTransform:
    """Return the transform of maximum likelihood, row by row from the identity.

    Gales 1998, eq. 25 to 31: with the other rows held, row i is ``w = (α p + k_i) G_i⁻¹`` where p is the row of
    cofactors and α the root of ``α² p G⁻¹ pᵀ + α p G⁻¹ kᵀ − β = 0`` that is better.

    Raises
    ------
    ParameterError
        If there are too few frames for the number of features.
    """
    n_features = len(stats.quadratic)
    try:
        inverses = np.linalg.inv(stats.quadratic)
    except np.linalg.LinAlgError:
        raise ParameterError(
            f"{stats.occupancy:.0f} frames are too few for a transform of {n_features} features; add speech or a prior"
        ) from None
    rows = np.eye(n_features, n_features + 1)
    for _ in range(N_SWEEPS):
        for i, (inverse, linear) in enumerate(zip(inverses, stats.linear, strict=True)):
            # The cofactors up to their common factor, the determinant, which α takes in.
            cofactors = np.append(np.linalg.inv(rows[:, :n_features])[:, i], 0.0)
            rows[i] = _best_row(cofactors, linear, inverse, stats.occupancy)
    return FrameTransform(rows[:, :n_features], rows[:, n_features])


def _best_row(cofactors: Float64Array, linear: Float64Array, inverse: Float64Array, occupancy: float) -> Float64Array:
    """Return the row that maximises ``β log|p wᵀ| − w G wᵀ / 2 + w kᵀ``."""
    square, mixed = cofactors @ inverse @ cofactors, cofactors @ inverse @ linear
    roots = (-mixed + np.array([1.0, -1.0]) * np.sqrt(mixed**2 + 4.0 * occupancy * square)) / (2.0 * square)
    gains = occupancy * np.log(np.abs(roots * square + mixed)) - 0.5 * roots**2 * square
    return np.asarray((roots[gains.argmax()] * cofactors + linear) @ inverse)


def adapted_transform(
    network: WordNetwork, recordings: Sequence[Float32Array], start: FrameTransform | None
) -> FrameTransform:
    """Return the transform of a speaker from recordings of whose words nothing is known.

    What is recognised is taken for true, the transform estimated, and so on, some times over.

    Parameters
    ----------
    network : WordNetwork
        What may be said.
    recordings : sequence of array, each of shape (n_frames, n_features)
        Frames as they come, before any transform.
    start : FrameTransform or None
        The transform so far.
    """
    emissions = network.emissions
    assert isinstance(emissions, MixtureEmissions)
    owners = np.repeat(np.arange(emissions.n_states), np.diff(emissions.offsets))
    transform = start
    for _ in range(ADAPTATION_PASSES):
        stats = prior_transform_stats(emissions.pool, ADAPTATION_PRIOR_FRAMES)
        for frames in recordings:
            heard = frames if transform is None else transform.apply(frames)
            states = _states_of_best_path(network, heard)
            if len(states):
                stats += accumulate_transform_stats(emissions.pool, owners, frames, heard, states)
        transform = estimate_transform(stats)
    assert transform is not None
    return transform


def _states_of_best_path(network: WordNetwork, frames: Float32Array) -> IntArray:
    """Return the emission state of each frame on the best path; none if nothing is recognised."""
    found = decode(network, network.emission_log_likelihoods(frames))
    first = {label: network.column_labels.index(label) for label in set(network.column_labels)}
    return np.array(
        [first[part.label] + span.position for part in found.segments for span in part.states
         for _ in range(span.start_frame, span.end_frame)], dtype=np.intp,
    )  # fmt: skip
