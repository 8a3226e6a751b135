"""A fitted `GMM` as a model file holds it."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gmmaudio.errors import ParameterError
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.training import plain_options
from gmmaudio.persistence import StoredModel

if TYPE_CHECKING:
    from gmmaudio.gmm.estimator import GMM

_OPTIONS = (
    "n_components",
    "covariance_type",
    "max_iter",
    "tol",
    "variance_floor",
    "shrinkage",
    "init",
    "precision",
    "random_state",
    "memory_frames",
)


class Fitted(NamedTuple):
    """What training has left."""

    params: GmmParams
    history: tuple[float, ...]
    converged: bool
    n_frames_seen: float


def pack(gmm: "GMM", params: GmmParams) -> StoredModel:
    """Return the fitted model as it is written to a file; the `*_init` parameters are left behind."""
    plain = plain_options(gmm)
    if isinstance(gmm.random_state, np.random.RandomState):
        plain["random_state"] = None  # the state of a generator is no number
    options = {name: plain[name] for name in _OPTIONS}
    fitted = {"history": list(gmm.history_), "converged": gmm.converged_, "n_frames_seen": gmm.n_frames_seen_}
    stored = params.to_stored()
    return StoredModel("gmm", {"options": options, "fitted": fitted, "params": stored.config}, stored.arrays)


def unpack(stored: StoredModel) -> tuple[dict[str, Any], Fitted]:
    """Return the options, by their names, and what the training has left."""
    options = stored.config["options"]
    params = GmmParams.from_stored(StoredModel("gmm_params", stored.config["params"], stored.arrays))
    if params.n_components != options["n_components"]:
        raise ParameterError(
            f"n_components is {options['n_components']} but there are {params.n_components} components"
        )
    fitted = stored.config["fitted"]
    history = tuple(float(value) for value in fitted["history"])
    return {name: options[name] for name in _OPTIONS}, Fitted(
        params, history, bool(fitted["converged"]), float(fitted["n_frames_seen"])
    )
