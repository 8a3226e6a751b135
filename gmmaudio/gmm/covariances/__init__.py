"""What covariances of a mixture may look like: each structure is one object, and nothing else asks which one it is.

A structure knows how its covariances follow from second moments (the M-step), what moments they would give
(pseudo-frames), how they are floored, halved and extrapolated, and which design turns frames into densities.
"""

import numpy as np
import numpy.typing as npt

from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances.independent import Diagonal, Spherical
from gmmaudio.gmm.covariances.matrices import Full, Tied
from gmmaudio.gmm.covariances.structure import Covariances

__all__ = ["STRUCTURES", "Covariances", "Diagonal", "Full", "Spherical", "Tied", "as_covariances", "structure_of"]

STRUCTURES: dict[str, type[Covariances]] = {cls.name: cls for cls in (Diagonal, Full, Tied, Spherical)}
"""The structures by the names that `covariance_type` has in scikit-learn."""


def structure_of(covariance_type: str) -> type[Covariances]:
    """Return the structure that a `covariance_type` names.

    Raises
    ------
    ParameterError
        If it names none.
    """
    if covariance_type not in STRUCTURES:
        raise ParameterError(f"covariance_type is {covariance_type!r} but must be one of {sorted(STRUCTURES)}")
    return STRUCTURES[covariance_type]


def as_covariances(value: "npt.ArrayLike | Covariances") -> Covariances:
    """Return covariances; an array holds the variances of diagonal ones."""
    return value if isinstance(value, Covariances) else Diagonal(np.asarray(value))
