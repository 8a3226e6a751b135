"""Many models adapted from one background, arranged so that they are scored together.

Conventions. The models have the weights and variances of the background and differ in the means, as
`estimate_map` makes them by default. With offsets δ_k of the means, the log of the ratio of one component's density to
that of the background is linear in the frame: ``g_k(x) = (δ_k / σ_k²) · (x − μ_k) − ½ Σ δ_k² / σ_k²``.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Self, overload

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.parameters import GmmParams

BLOCK_MODELS = 64
"""Models of one block: a component of all of them (64 × 64 coefficients of 4 bytes) fits into the first cache."""

COEFFICIENT_MULTIPLE = 4
"""Coefficients are padded to a multiple of this: so many are multiplied in one step."""

MAX_LENGTHS = 2.5e8
"""Largest product of the squared Mahalanobis lengths of a mean (from the center) and of its offset: the terms of g are
as large as its root, and float32 errs by 6e-8 of that, 0.001 nats. On read speech the largest product is about 800,
with a component for digital silence in the background."""


class AdaptedModels(Sequence[GmmParams]):
    """Models with the weights and variances of the background, ready for fast scoring.

    A sequence of the models, which any scoring function takes as its `models`; what is arranged for speed is made
    once, when it is first needed, and takes 4 bytes per mean (250 MB for 1,000 models of 1,024 components and 60
    features).

    Parameters
    ----------
    models : sequence of GmmParams
    ubm : GmmParams

    Raises
    ------
    ParameterError
        If a model has other weights or variances than the background, or means that float32 cannot bear.

    Examples
    --------
    >>> ubm = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> speakers = AdaptedModels([GmmParams([1.0], [[1.0]], [[1.0]])], ubm)
    >>> len(speakers), speakers[0].means
    (1, array([[1.]]))
    """

    def __init__(self, models: Sequence[GmmParams], ubm: GmmParams) -> None:
        for number, model in enumerate(models):
            if not is_mean_adapted(model, ubm):
                raise ParameterError(
                    f"model {number} was not made from the background by adapting means alone and moderately; "
                    "score such models with log_likelihood_ratio"
                )
        self._models = tuple(models)
        self._ubm = ubm

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self  # nothing in it changes

    @property
    def ubm(self) -> GmmParams:
        """The background."""
        return self._ubm

    @overload
    def __getitem__(self, index: int) -> GmmParams: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[GmmParams, ...]: ...

    def __getitem__(self, index: int | slice) -> GmmParams | tuple[GmmParams, ...]:
        return self._models[index]

    def __len__(self) -> int:
        return len(self._models)

    def __iter__(self) -> Iterator[GmmParams]:
        return iter(self._models)

    @cached_property
    def coefficients(self) -> Float32Array:
        """Coefficients of g, shape (n_blocks, n_components, n_coefficients, BLOCK_MODELS), padded with zeros.

        A row ``[z, 1, 0…]`` of the frame in the units of the background, z = (x − center) / scale, times the
        coefficients of a component is g of each model of the block.
        """
        ubm, width = self._ubm, n_coefficients(self._ubm)
        n_blocks = -(-len(self) // BLOCK_MODELS)
        all_blocks = np.zeros((n_blocks, ubm.n_components, width, BLOCK_MODELS), np.float32)
        block = np.zeros((BLOCK_MODELS, ubm.n_components, width), np.float32)
        for number in range(n_blocks):
            block[:] = 0.0
            for place, model in enumerate(self._models[number * BLOCK_MODELS : (number + 1) * BLOCK_MODELS]):
                slopes, constants = _linear_form(model, ubm)
                block[place, :, : ubm.n_features] = slopes
                block[place, :, ubm.n_features] = constants
            all_blocks[number] = block.transpose(1, 2, 0)
        all_blocks.flags.writeable = False
        return all_blocks


def n_coefficients(ubm: GmmParams) -> int:
    """Return the length of a padded row ``[z, 1, 0…]``."""
    return -(-(ubm.n_features + 1) // COEFFICIENT_MULTIPLE) * COEFFICIENT_MULTIPLE


def is_mean_adapted(model: GmmParams, ubm: GmmParams) -> bool:
    """Return whether a model differs from the background in its means alone, and so little that float32 bears it."""
    if model.means.shape != ubm.means.shape:
        return False
    if not (np.array_equal(model.weights, ubm.weights) and np.array_equal(model.variances, ubm.variances)):
        return False
    offset_lengths = (np.square(model.means - ubm.means) / ubm.variances).sum(axis=1)
    mean_lengths = (np.square(ubm.means - ubm.center) / ubm.variances).sum(axis=1)
    return bool((offset_lengths * np.maximum(mean_lengths, offset_lengths)).max() <= MAX_LENGTHS)


def as_adapted(models: Sequence[GmmParams], ubm: GmmParams) -> AdaptedModels:
    """Return the models as they are if they are arranged for this background already, or arrange them."""
    if isinstance(models, AdaptedModels) and models.ubm is ubm:
        return models
    return AdaptedModels(models, ubm)


def _linear_form(model: GmmParams, ubm: GmmParams) -> tuple[Float64Array, Float64Array]:
    """Return slopes (n_components, n_features) and constants (n_components,) of g in standardised units."""
    slopes = (model.means - ubm.means) / ubm.variances * ubm.scale
    middles = (0.5 * (model.means + ubm.means) - ubm.center) / ubm.scale
    return slopes, -(slopes * middles).sum(axis=1)
