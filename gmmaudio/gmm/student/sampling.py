"""Frames drawn from a mixture of Student distributions."""

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.student.parameters import StudentParams


def sample_students(
    params: StudentParams, n_frames: int, random_state: np.random.RandomState
) -> tuple[Float64Array, IntArray]:
    """Return frames, shape (n_frames, n_features), and the component of each, in the order of components.

    ``x = μ + √(ν / χ²_ν) L z`` with ``L Lᵀ = Σ`` and z standard normal. Noise is uniform in its box, as component −1.

    Raises
    ------
    ParameterError
        If fewer than one frame is asked for.
    """
    if n_frames < 1:
        raise ParameterError(f"n_samples is {n_frames} but at least 1 frame must be drawn")
    shares = np.append(params.weights, params.noise_weight)
    counts = random_state.multinomial(n_frames, shares / shares.sum())
    components = np.repeat(np.arange(params.n_components), counts[:-1])
    normal = random_state.standard_normal((len(components), params.n_features))
    frames = params.components.means[components] + params.components.covariances.noise(components, normal) / np.sqrt(
        _scales(params.degrees_of_freedom[components], random_state)[:, np.newaxis]
    )
    if params.noise is None:
        return frames, components
    noise = random_state.uniform(params.noise.low, params.noise.high, (counts[-1], params.n_features))
    return np.concatenate([frames, noise]), np.concatenate([components, np.full(len(noise), -1)])


def _scales(degrees: Float64Array, random_state: np.random.RandomState) -> Float64Array:
    """Return ``χ²_ν / ν`` for each degree of freedom; 1 where it is infinite."""
    finite = np.isfinite(degrees)
    scales = np.ones(len(degrees))
    scales[finite] = random_state.chisquare(degrees[finite]) / degrees[finite]
    return scales
