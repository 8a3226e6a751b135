"""Measures of decisions, in the conventions of their field."""

from gmmaudio.metrics.controls import detection_controls
from gmmaudio.metrics.detection import (
    NAB_COSTS,
    EventResult,
    evaluate_events,
    nab_best_threshold,
    nab_probation,
    nab_score,
    realised_rates,
)
from gmmaudio.metrics.intervals import bootstrap_interval, mean_interval, proportion_interval
from gmmaudio.metrics.recognition import WordErrors, word_error_rate_interval, word_errors
from gmmaudio.metrics.separation import SourceMeasures, best_order, bss_eval, sar, sdr, si_sdr, sir
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
from gmmaudio.metrics.volumes import vus_pr

__all__ = [
    "NAB_COSTS",
    "EventResult",
    "SourceMeasures",
    "VerificationResult",
    "WordErrors",
    "act_dcf",
    "best_order",
    "bootstrap_interval",
    "bss_eval",
    "cllr",
    "det_curve",
    "detection_controls",
    "eer",
    "evaluate",
    "evaluate_events",
    "mean_interval",
    "min_cllr",
    "min_dcf",
    "nab_best_threshold",
    "nab_probation",
    "nab_score",
    "proportion_interval",
    "realised_rates",
    "sar",
    "sdr",
    "si_sdr",
    "sir",
    "validate",
    "vus_pr",
    "word_error_rate_interval",
    "word_errors",
]
