"""The diagonal-covariance Gaussian mixture: parameters, statistics, estimation, adaptation, scoring.

Names are imported when they are first used: only `GMM` needs scikit-learn, which is slow to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gmmaudio.gmm.bayesian.estimator import BayesianGMM as BayesianGMM
    from gmmaudio.gmm.conditional.measurement import with_measurement as with_measurement
    from gmmaudio.gmm.conditional.mixture import ConditionalMixture as ConditionalMixture
    from gmmaudio.gmm.conditional.mixture import condition as condition
    from gmmaudio.gmm.conditional.mixture import marginal as marginal
    from gmmaudio.gmm.conditional.regressor import GaussianMixtureRegressor as GaussianMixtureRegressor
    from gmmaudio.gmm.density import component_log_densities as component_log_densities
    from gmmaudio.gmm.density import frame_log_likelihoods as frame_log_likelihoods
    from gmmaudio.gmm.density import most_likely_components as most_likely_components
    from gmmaudio.gmm.density import responsibilities as responsibilities
    from gmmaudio.gmm.estimation import estimate_map as estimate_map
    from gmmaudio.gmm.estimation import estimate_ml as estimate_ml
    from gmmaudio.gmm.estimator import GMM as GMM
    from gmmaudio.gmm.interop.kaldi import read_kaldi as read_kaldi
    from gmmaudio.gmm.interop.kaldi import write_kaldi as write_kaldi
    from gmmaudio.gmm.interop.scikit_learn import from_sklearn as from_sklearn
    from gmmaudio.gmm.interop.scikit_learn import to_sklearn as to_sklearn
    from gmmaudio.gmm.parameters import GmmParams as GmmParams
    from gmmaudio.gmm.scoring.adapted_models import AdaptedModels as AdaptedModels
    from gmmaudio.gmm.scoring.linear_scoring import linear_log_likelihood_ratios as linear_log_likelihood_ratios
    from gmmaudio.gmm.scoring.ratios import frame_log_likelihood_ratios as frame_log_likelihood_ratios
    from gmmaudio.gmm.scoring.ratios import log_likelihood_ratio as log_likelihood_ratio
    from gmmaudio.gmm.scoring.trials import score_trials as score_trials
    from gmmaudio.gmm.selection import select as select
    from gmmaudio.gmm.statistics import GmmStats as GmmStats
    from gmmaudio.gmm.statistics import StatsAccumulator as StatsAccumulator
    from gmmaudio.gmm.statistics import accumulate_stats as accumulate_stats
    from gmmaudio.gmm.student.estimator import StudentTMixture as StudentTMixture

_MODULE_OF = {
    "AdaptedModels": "scoring.adapted_models",
    "BayesianGMM": "bayesian.estimator",
    "ConditionalMixture": "conditional.mixture",
    "GMM": "estimator",
    "GaussianMixtureRegressor": "conditional.regressor",
    "GmmParams": "parameters",
    "GmmStats": "statistics",
    "StatsAccumulator": "statistics",
    "StudentTMixture": "student.estimator",
    "accumulate_stats": "statistics",
    "component_log_densities": "density",
    "condition": "conditional.mixture",
    "estimate_map": "estimation",
    "estimate_ml": "estimation",
    "frame_log_likelihood_ratios": "scoring.ratios",
    "frame_log_likelihoods": "density",
    "from_sklearn": "interop.scikit_learn",
    "linear_log_likelihood_ratios": "scoring.linear_scoring",
    "log_likelihood_ratio": "scoring.ratios",
    "marginal": "conditional.mixture",
    "most_likely_components": "density",
    "read_kaldi": "interop.kaldi",
    "responsibilities": "density",
    "score_trials": "scoring.trials",
    "select": "selection",
    "to_sklearn": "interop.scikit_learn",
    "write_kaldi": "interop.kaldi",
    "with_measurement": "conditional.measurement",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
