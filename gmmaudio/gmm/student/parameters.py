"""The parameters of a mixture of Student distributions, with or without uniform noise: an immutable value.

Conventions. Scale matrices take the place of covariances: the covariance of a component is ``ν / (ν − 2)`` times its
scale matrix if it has ν > 2 degrees of freedom, and infinite otherwise. Infinite degrees of freedom make a Gaussian.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import read_only_array


@dataclass(frozen=True, eq=False)
class UniformNoise:
    """Noise that may be anywhere in a box: the density is 1 / volume, inside of it and outside.

    Banfield & Raftery 1993. That it does not end at the box keeps a frame from outside among the noise; the mixture is
    then no longer a density that integrates to 1.

    Parameters
    ----------
    weight : float
        Probability of noise, from 0 to 1.
    low, high : array-like, shape (n_features,)
        Corners of the box.

    Raises
    ------
    ParameterError
        If the weight is not a probability or the box is empty.

    Examples
    --------
    >>> round(UniformNoise(weight=0.1, low=[0.0, 0.0], high=[2.0, 5.0]).log_volume, 4)
    2.3026
    """

    weight: float
    low: Float64Array
    high: Float64Array

    def __post_init__(self) -> None:
        low = read_only_array(self.low, name="low", shape=(None,))
        high = read_only_array(self.high, name="high", shape=low.shape)
        if not 0 <= self.weight <= 1:
            raise ParameterError(f"the weight of noise is {self.weight} but must be a probability")
        if not (high > low).all():
            raise ParameterError("the box of noise must be wider than 0 in every feature; is one of them constant?")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.weight, self.low, self.high)

    @property
    def log_volume(self) -> float:
        """Log of the volume of the box."""
        return float(np.log(self.high - self.low).sum())


@dataclass(frozen=True, eq=False, init=False)
class StudentParams:
    """Weights, locations, scale matrices and degrees of freedom of a mixture of Student distributions.

    Parameters
    ----------
    components : GmmParams
        Weights among what is not noise, locations as means, and scale matrices as covariances.
    degrees_of_freedom : array-like, shape (n_components,) or scalar
        Positive; may be infinite.
    noise : UniformNoise, optional

    Raises
    ------
    ParameterError
        If shapes do not match or degrees of freedom are not positive.

    Examples
    --------
    >>> params = StudentParams(GmmParams([1.0], [[0.0]], [[1.0]]), 3.0)
    >>> params.degrees_of_freedom
    array([3.])
    """

    components: GmmParams
    degrees_of_freedom: Float64Array
    noise: UniformNoise | None

    def __init__(
        self, components: GmmParams, degrees_of_freedom: npt.ArrayLike, noise: UniformNoise | None = None
    ) -> None:
        degrees = np.array(degrees_of_freedom, dtype=np.float64)
        if degrees.shape not in ((), (components.n_components,)) or not (degrees > 0).all():
            raise ParameterError(
                f"degrees_of_freedom is {degrees_of_freedom!r} but must be one positive number, or one for each of "
                f"{components.n_components} components; infinite ones make a Gaussian"
            )
        if noise is not None and noise.low.shape != (components.n_features,):
            raise ParameterError(
                f"the box of noise has {len(noise.low)} features but the means have {components.n_features}"
            )
        degrees = np.broadcast_to(degrees, components.n_components).copy()
        degrees.flags.writeable = False
        object.__setattr__(self, "components", components)
        object.__setattr__(self, "degrees_of_freedom", degrees)
        object.__setattr__(self, "noise", noise)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the array writeable.
        return type(self), (self.components, self.degrees_of_freedom, self.noise)

    def to_stored(self) -> StoredModel:
        """Return the model as it is written to a file."""
        stored = self.components.to_stored()
        arrays = {**stored.arrays, "degrees_of_freedom": self.degrees_of_freedom}
        if self.noise is None:
            return StoredModel("student_params", {**stored.config, "noise_weight": None}, arrays)
        box = {"noise_low": self.noise.low, "noise_high": self.noise.high}
        return StoredModel("student_params", {**stored.config, "noise_weight": self.noise.weight}, arrays | box)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model from what a file holds."""
        weight, arrays = stored.config["noise_weight"], stored.arrays
        noise = None if weight is None else UniformNoise(float(weight), arrays["noise_low"], arrays["noise_high"])
        return cls(GmmParams.from_stored(stored), arrays["degrees_of_freedom"], noise)

    @property
    def n_components(self) -> int:
        """Number of components; noise is none of them."""
        return self.components.n_components

    @property
    def n_features(self) -> int:
        """Number of features of a frame."""
        return self.components.n_features

    @property
    def noise_weight(self) -> float:
        """Probability of noise, 0 if there is none."""
        return 0.0 if self.noise is None else self.noise.weight

    @property
    def weights(self) -> Float64Array:
        """Probabilities of the components, which with that of noise have the sum 1, shape (n_components,)."""
        return (1.0 - self.noise_weight) * self.components.weights

    @property
    def n_free(self) -> int:
        """Number of free parameters apart from the degrees of freedom."""
        return self.components.n_free + (self.noise is not None)

    @cached_property
    def geometry(self) -> GmmParams:
        """Gaussians of the same locations and scale matrices: their densities tell distances.

        The wider one is, the less it weighs, so that the center, where distances keep most digits, is among those that
        need the digits, and not near a component that outliers have taken.
        """
        means, covariances = self.components.means, self.components.covariances
        variances = covariances.marginal_variances(*means.shape)
        closeness = 1.0 / (variances / variances.min(axis=0)).max(axis=1)
        return GmmParams(closeness / closeness.sum(), means, covariances)
