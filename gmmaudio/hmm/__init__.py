"""Hidden Markov models: inference on arrays, topologies, streaming, and training of Gaussian mixture emissions.

Names are imported when they are first used: the compiler and scikit-learn are slow to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmmaudio.hmm.emissions import MixtureEmissions as MixtureEmissions
    from gmmaudio.hmm.emissions import TiedEmissions as TiedEmissions
    from gmmaudio.hmm.estimation import estimate_hmm as estimate_hmm
    from gmmaudio.hmm.estimator import GMMHMM as GMMHMM
    from gmmaudio.hmm.htk import read_htk as read_htk
    from gmmaudio.hmm.hybrid import scaled_log_likelihoods as scaled_log_likelihoods
    from gmmaudio.hmm.inference import FilterResult as FilterResult
    from gmmaudio.hmm.inference import ForwardBackward as ForwardBackward
    from gmmaudio.hmm.inference import ViterbiResult as ViterbiResult
    from gmmaudio.hmm.inference import filter_states as filter_states
    from gmmaudio.hmm.inference import forward_backward as forward_backward
    from gmmaudio.hmm.inference import viterbi as viterbi
    from gmmaudio.hmm.interop import from_hmmlearn as from_hmmlearn
    from gmmaudio.hmm.interop import to_hmmlearn as to_hmmlearn
    from gmmaudio.hmm.parameters import HmmParams as HmmParams
    from gmmaudio.hmm.prior import Prior as Prior
    from gmmaudio.hmm.selection import select_hmm as select_hmm
    from gmmaudio.hmm.statistics import HmmStats as HmmStats
    from gmmaudio.hmm.streaming import FilterStep as FilterStep
    from gmmaudio.hmm.streaming import FixedLagSmoother as FixedLagSmoother
    from gmmaudio.hmm.streaming import HMMFilter as HMMFilter
    from gmmaudio.hmm.streaming import OnlineViterbi as OnlineViterbi
    from gmmaudio.hmm.topology import Topology as Topology
    from gmmaudio.hmm.topology import as_topology as as_topology

_MODULE_OF = {
    "FilterResult": "inference",
    "FilterStep": "streaming",
    "FixedLagSmoother": "streaming",
    "ForwardBackward": "inference",
    "GMMHMM": "estimator",
    "HMMFilter": "streaming",
    "HmmParams": "parameters",
    "HmmStats": "statistics",
    "MixtureEmissions": "emissions",
    "OnlineViterbi": "streaming",
    "Prior": "prior",
    "TiedEmissions": "emissions",
    "Topology": "topology",
    "ViterbiResult": "inference",
    "as_topology": "topology",
    "estimate_hmm": "estimation",
    "filter_states": "inference",
    "forward_backward": "inference",
    "from_hmmlearn": "interop",
    "read_htk": "htk",
    "scaled_log_likelihoods": "hybrid",
    "select_hmm": "selection",
    "to_hmmlearn": "interop",
    "viterbi": "inference",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
