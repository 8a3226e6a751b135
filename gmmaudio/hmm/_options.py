"""The options of `GMMHMM`: checked, turned into what training needs, and stored."""

from typing import Any, NamedTuple

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.em import EmResult
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.survey import array_digest
from gmmaudio.hmm.emissions import Emissions, MixtureEmissions, TiedEmissions
from gmmaudio.hmm.initialization import Initialization
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.topology import Topology, as_topology
from gmmaudio.persistence import StoredModel

_PLAIN = (
    "n_states",
    "n_components",
    "covariance_type",
    "tied",
    "max_iter",
    "tol",
    "variance_floor",
    "min_occupancy",
    "training",
    "init",
    "n_init",
    "relevance_factor",
    "update_start",
    "update_transitions",
    "update_weights",
    "update_means",
    "update_covariances",
    "precision",
    "random_state",
)
_ARRAYS = (
    "start_probs_init",
    "transition_matrix_init",
    "end_probs_init",
    "weights_init",
    "means_init",
    "covariances_init",
)


class Chain(NamedTuple):
    """Where the chain starts, and so what it may do: a probability of 0 stays 0."""

    start_probs: Float64Array
    transition_matrix: Float64Array
    end_probs: Float64Array | None


def check(hmm: Any) -> None:
    """Raise unless the options can be used."""
    choices = {
        "covariance_type": ("diag",),
        "training": ("baum-welch", "viterbi"),
        "init": (None, "alignment", "clusters"),
        "precision": ("single", "double"),
    }
    for name, allowed in choices.items():
        if getattr(hmm, name) not in allowed:
            raise ParameterError(f"{name} is {getattr(hmm, name)!r} but must be one of {', '.join(map(repr, allowed))}")
    for name in ("n_states", "n_init", "max_iter"):
        if not _is_count(getattr(hmm, name)):
            raise ParameterError(f"{name} is {getattr(hmm, name)!r} but must be a whole number, 1 or more")
    if not hmm.variance_floor > 0:
        raise ParameterError(f"variance_floor is {hmm.variance_floor} but must be positive; 1e-3 is usual")
    if not hmm.min_occupancy >= 0:
        raise ParameterError(f"min_occupancy is {hmm.min_occupancy} but must be 0 or more frames")
    if hmm.prior is not None and not isinstance(hmm.prior, HmmParams):
        raise ParameterError(f"prior is a {type(hmm.prior).__name__} but must be HmmParams; give params_ of a model")
    numbers_of_components(hmm)


def numbers_of_components(hmm: Any) -> IntArray:
    """Return the number of components of each state."""
    numbers = np.asarray(hmm.n_components)
    wanted = () if hmm.tied or numbers.ndim == 0 else (hmm.n_states,)
    if numbers.dtype.kind not in "iu" or numbers.shape != wanted or (numbers < 1).any():
        per_state = "" if hmm.tied else f", or {hmm.n_states} of them, one per state"
        raise ParameterError(f"n_components is {hmm.n_components!r} but must be a whole number, 1 or more{per_state}")
    return np.broadcast_to(numbers, (hmm.n_states,))


def chain(hmm: Any) -> Chain:
    """Return the chain that training starts with: as given, as in the prior, or uniform where the topology allows."""
    topology = as_topology(hmm.topology, hmm.n_states)
    start, transitions, ends = topology.uniform_probs() if hmm.prior is None else _chain_of_prior(hmm, topology)
    matrix = _given(hmm, "transition_matrix_init", (hmm.n_states, hmm.n_states), topology.transitions)
    given_ends = _given(hmm, "end_probs_init", (hmm.n_states,), topology.end)
    if given_ends is not None:
        ends = given_ends
        transitions = _rescaled(transitions, ends)
    if matrix is not None:
        transitions = matrix
        if ends is not None and given_ends is None:
            ends = np.maximum(1.0 - matrix.sum(axis=1), 0.0)  # what the rows leave
    given_start = _given(hmm, "start_probs_init", (hmm.n_states,), topology.start)
    found = Chain(start if given_start is None else given_start, transitions, ends)
    allowed_by_chain(found)  # an unreachable state or a row of zeros is reported here
    return found


def _given(hmm: Any, name: str, shape: tuple[int, ...], allowed: BoolArray | None) -> Float64Array | None:
    """Return given probabilities, which must be 0 where the topology forbids something; None if there are none."""
    if getattr(hmm, name) is None:
        return None
    array = np.asarray(getattr(hmm, name), dtype=np.float64)
    if array.shape != shape:
        raise ParameterError(f"{name} has shape {array.shape} but needs {shape}")
    if allowed is not None and (array[~allowed] != 0).any():
        place = [int(axis[0]) for axis in np.nonzero(~allowed & (array != 0))]
        raise ParameterError(f"{name} is positive at {place}, which the topology forbids; change one of them")
    return array


def _chain_of_prior(hmm: Any, topology: Topology) -> Chain:
    """Return the chain of the prior, which must fit the other options."""
    prior = hmm.prior
    if prior.n_states != hmm.n_states:
        raise ParameterError(f"the prior model has {prior.n_states} states but n_states is {hmm.n_states}")
    forbidden = [prior.start_probs[~topology.start], prior.transition_matrix[~topology.transitions]]
    if topology.end is not None and prior.end_probs is not None:
        forbidden.append(prior.end_probs[~topology.end])
    if np.concatenate(forbidden).any() or (topology.end is not None and prior.end_probs is None):
        raise ParameterError("the prior model does what the topology forbids; leave topology out to take the prior's")
    return Chain(prior.start_probs, prior.transition_matrix, prior.end_probs)


def allowed_by_chain(chain: Chain) -> Topology:
    """Return the topology of what is possible; this checks it."""
    ends = None if chain.end_probs is None else chain.end_probs > 0
    return Topology(chain.start_probs > 0, chain.transition_matrix > 0, ends)


def allowed_by(params: HmmParams) -> Topology:
    """Return what a model may do."""
    return allowed_by_chain(Chain(params.start_probs, params.transition_matrix, params.end_probs))


def default_init(chain: Chain) -> Initialization:
    """Return how training starts by default: "alignment" where time goes one way."""
    n_states = len(chain.start_probs)
    goes_on = n_states > 1 and not np.tril(chain.transition_matrix, -1).any()
    return "alignment" if goes_on and chain.start_probs[0] > 0 else "clusters"


def completed_start(hmm: Any, chain: Chain, found: HmmParams | None, n_features: int) -> HmmParams:
    """Return the parameters that EM starts from: what is given, and what was found for the rest."""
    emissions = None if found is None else found.emissions
    arrays = {} if emissions is None else {name: _rows(emissions, name) for name in ("weights", "means", "variances")}
    for name, option in (("weights", "weights_init"), ("means", "means_init"), ("variances", "covariances_init")):
        given = getattr(hmm, option)
        if given is not None:
            arrays[name] = _stacked(given, option, hmm, tied_weights=name == "weights")
    wanted = numbers_of_components(hmm)
    n_rows = int(wanted[0] if hmm.tied else wanted.sum())
    if np.shape(arrays["means"]) != (n_rows, n_features):
        raise ParameterError(
            f"the start has means of shape {np.shape(arrays['means'])} (all states together) but n_states, "
            f"n_components and the data need {(n_rows, n_features)}"
        )
    model: Emissions
    if hmm.tied:
        model = TiedEmissions.from_arrays(arrays["weights"], arrays["means"], arrays["variances"])
    else:
        model = MixtureEmissions.from_pool(wanted, arrays["weights"], arrays["means"], arrays["variances"])
    if found is not None:
        if hmm.start_probs_init is None:
            chain = chain._replace(start_probs=found.start_probs)
        if hmm.transition_matrix_init is None and hmm.end_probs_init is None:
            chain = chain._replace(transition_matrix=found.transition_matrix, end_probs=found.end_probs)
    return HmmParams(chain.start_probs, chain.transition_matrix, model, chain.end_probs)


def of_params(params: HmmParams) -> dict[str, Any]:
    """Return the options that describe a model."""
    emissions = params.emissions
    if isinstance(emissions, TiedEmissions):
        return {"n_components": emissions.codebook.n_components, "tied": True, "topology": allowed_by(params)}
    assert isinstance(emissions, MixtureEmissions)
    numbers = [mixture.n_components for mixture in emissions.mixtures]
    return {"n_components": numbers[0] if len(set(numbers)) == 1 else numbers, "topology": allowed_by(params)}


def check_lengths(chain: Chain, lengths: IntArray) -> None:
    """Raise if a sequence is shorter than the shortest way from a start to an end."""
    if chain.end_probs is None:
        return
    needed = 1
    reached: BoolArray = chain.start_probs > 0
    while not chain.end_probs[reached].any():
        reached, needed = np.asarray(chain.transition_matrix[reached].any(axis=0)), needed + 1
    shortest = int(lengths.argmin())
    if lengths[shortest] < needed:
        raise ParameterError(
            f"sequence {shortest} has {lengths[shortest]} frames but the shortest way to an end of the topology "
            f"takes {needed}; leave it out, or use fewer states"
        )


def identity(hmm: Any, random_state: np.random.RandomState) -> dict[str, Any]:
    """Return the options that a training depends on; arrays, models and states of generators as digests."""
    found = _plain(hmm)
    if not isinstance(found["n_components"], int):
        found["n_components"] = str(found["n_components"])
    topology = as_topology(hmm.topology, hmm.n_states)
    masks = [topology.start, topology.transitions, *([] if topology.end is None else [topology.end])]
    found["topology"] = array_digest(*masks)
    for name in _ARRAYS:
        given = getattr(hmm, name)
        rows = [] if given is None else [np.asarray(row, dtype=np.float64) for row in given]
        found[name] = None if given is None else array_digest(*rows)
    found["prior"] = None if hmm.prior is None else array_digest(*hmm.prior.to_stored().arrays.values())
    if isinstance(hmm.random_state, np.random.RandomState):
        found["random_state"] = array_digest(*map(np.asarray, tuple(random_state.get_state(legacy=True))[1:]))
    del found["max_iter"]
    return found


def to_stored(hmm: Any) -> StoredModel:
    """Return a fitted estimator as it is written to a file."""
    stored, topology = hmm._fitted_params().to_stored(), hmm.topology_
    options = _plain(hmm)
    if isinstance(hmm.random_state, np.random.RandomState):
        options["random_state"] = None  # the state of a generator is no number
    fitted = {"history": list(hmm.history_), "converged": hmm.converged_, "emissions": stored.config["emissions"]}
    masks = {"topology_start": topology.start, "topology_transitions": topology.transitions}
    if topology.end is not None:
        masks["topology_end"] = topology.end
    return StoredModel("gmm_hmm", {"options": options, "fitted": fitted}, {**stored.arrays, **masks})


def from_stored(stored: StoredModel) -> tuple[dict[str, Any], Topology, EmResult[HmmParams]]:
    """Return options, topology and result of training from what a file holds."""
    arrays, fitted = stored.arrays, stored.config["fitted"]
    params = HmmParams.from_stored(StoredModel("hmm_params", {"emissions": fitted["emissions"]}, arrays))
    topology = Topology(arrays["topology_start"], arrays["topology_transitions"], arrays.get("topology_end"))
    options = {name: stored.config["options"][name] for name in _PLAIN} | {"topology": topology}
    if options["n_states"] != params.n_states:
        raise ParameterError(f"n_states is {options['n_states']} but there are {params.n_states} states")
    history = tuple(float(value) for value in fitted["history"])
    return options, topology, EmResult(params, history, len(history), bool(fitted["converged"]))


def _plain(hmm: Any) -> dict[str, Any]:
    """Return the options that are no arrays, NumPy's numbers as Python's."""
    found = {name: getattr(hmm, name) for name in _PLAIN}
    found["n_components"] = np.asarray(hmm.n_components).tolist()
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}


def _is_count(value: Any) -> bool:
    """Say whether a value is a whole number of at least 1."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _rescaled(matrix: Float64Array, ends: Float64Array) -> Float64Array:
    """Return a transition matrix with its rows scaled to what the end probabilities leave."""
    sums = matrix.sum(axis=1, keepdims=True)
    return np.where(sums > 0, matrix / np.where(sums > 0, sums, 1.0), 0.0) * (1.0 - ends)[:, np.newaxis]


def _rows(emissions: Emissions, name: str) -> Float64Array:
    """Return an array of all Gaussians, in the order of the states."""
    array: Float64Array = emissions.to_arrays()[name]
    return array


def _stacked(given: Any, name: str, hmm: Any, *, tied_weights: bool) -> Any:
    """Return a given array of all states as one row per Gaussian."""
    if hmm.tied:
        return given
    numbers = numbers_of_components(hmm)
    try:
        rows = [np.asarray(row, dtype=np.float64) for row in given]
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} must hold one array of numbers per state ({error})") from error
    if [len(row) if row.ndim else 0 for row in rows] != numbers.tolist():
        raise ParameterError(
            f"{name} has {[len(row) if row.ndim else 0 for row in rows]} components in its states but n_states and "
            f"n_components need {numbers.tolist()}"
        )
    return np.concatenate(rows)
