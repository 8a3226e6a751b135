"""The diagonal-covariance Gaussian mixture: parameters, statistics, estimation, adaptation, scoring.

Names are imported when they are first used: only `GMM` needs scikit-learn, which is slow to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmmaudio.gmm.adapted_models import AdaptedModels as AdaptedModels
    from gmmaudio.gmm.bayesian import BayesianGMM as BayesianGMM
    from gmmaudio.gmm.conditional import ConditionalMixture as ConditionalMixture
    from gmmaudio.gmm.conditional import condition as condition
    from gmmaudio.gmm.conditional import marginal as marginal
    from gmmaudio.gmm.density import component_log_densities as component_log_densities
    from gmmaudio.gmm.density import frame_log_likelihoods as frame_log_likelihoods
    from gmmaudio.gmm.density import most_likely_components as most_likely_components
    from gmmaudio.gmm.density import responsibilities as responsibilities
    from gmmaudio.gmm.estimation import estimate_map as estimate_map
    from gmmaudio.gmm.estimation import estimate_ml as estimate_ml
    from gmmaudio.gmm.estimator import GMM as GMM
    from gmmaudio.gmm.interop import from_sklearn as from_sklearn
    from gmmaudio.gmm.interop import to_sklearn as to_sklearn
    from gmmaudio.gmm.kaldi import read_kaldi as read_kaldi
    from gmmaudio.gmm.kaldi import write_kaldi as write_kaldi
    from gmmaudio.gmm.linear_scoring import linear_log_likelihood_ratios as linear_log_likelihood_ratios
    from gmmaudio.gmm.measurement import with_measurement as with_measurement
    from gmmaudio.gmm.parameters import GmmParams as GmmParams
    from gmmaudio.gmm.regressor import GaussianMixtureRegressor as GaussianMixtureRegressor
    from gmmaudio.gmm.scoring import frame_log_likelihood_ratios as frame_log_likelihood_ratios
    from gmmaudio.gmm.scoring import log_likelihood_ratio as log_likelihood_ratio
    from gmmaudio.gmm.selection import select as select
    from gmmaudio.gmm.statistics import GmmStats as GmmStats
    from gmmaudio.gmm.statistics import StatsAccumulator as StatsAccumulator
    from gmmaudio.gmm.statistics import accumulate_stats as accumulate_stats
    from gmmaudio.gmm.student.estimator import StudentTMixture as StudentTMixture
    from gmmaudio.gmm.trials import score_trials as score_trials

_MODULE_OF = {
    "AdaptedModels": "adapted_models",
    "BayesianGMM": "bayesian",
    "ConditionalMixture": "conditional",
    "GMM": "estimator",
    "GaussianMixtureRegressor": "regressor",
    "GmmParams": "parameters",
    "GmmStats": "statistics",
    "StatsAccumulator": "statistics",
    "StudentTMixture": "student.estimator",
    "accumulate_stats": "statistics",
    "component_log_densities": "density",
    "condition": "conditional",
    "estimate_map": "estimation",
    "estimate_ml": "estimation",
    "frame_log_likelihood_ratios": "scoring",
    "frame_log_likelihoods": "density",
    "from_sklearn": "interop",
    "linear_log_likelihood_ratios": "linear_scoring",
    "log_likelihood_ratio": "scoring",
    "marginal": "conditional",
    "most_likely_components": "density",
    "read_kaldi": "kaldi",
    "responsibilities": "density",
    "score_trials": "trials",
    "select": "selection",
    "to_sklearn": "interop",
    "write_kaldi": "kaldi",
    "with_measurement": "measurement",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
