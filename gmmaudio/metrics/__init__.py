"""Measures of decisions, in the conventions of their field."""

from gmmaudio.metrics.detection import (
    NAB_COSTS,
    EventResult,
    detection_controls,
    evaluate_events,
    nab_best_threshold,
    nab_probation,
    nab_score,
    realised_rates,
)
from gmmaudio.metrics.intervals import bootstrap_interval, proportion_interval
from gmmaudio.metrics.verification import (
    VerificationResult,
    act_dcf,
    cllr,
    det_curve,
    eer,
    evaluate,
    min_cllr,
    min_dcf,
    validate,
)

__all__ = [
    "NAB_COSTS",
    "EventResult",
    "VerificationResult",
    "act_dcf",
    "bootstrap_interval",
    "cllr",
    "det_curve",
    "detection_controls",
    "eer",
    "evaluate",
    "evaluate_events",
    "min_cllr",
    "min_dcf",
    "nab_best_threshold",
    "nab_probation",
    "nab_score",
    "proportion_interval",
    "realised_rates",
    "validate",
]
