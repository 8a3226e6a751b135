"""Measures of decisions, in the conventions of their field."""

from gmmaudio.metrics.intervals import bootstrap_interval, proportion_interval
from gmmaudio.metrics.recognition import WordErrors, word_error_rate_interval, word_errors
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
    "VerificationResult",
    "WordErrors",
    "act_dcf",
    "bootstrap_interval",
    "cllr",
    "det_curve",
    "eer",
    "evaluate",
    "min_cllr",
    "min_dcf",
    "proportion_interval",
    "validate",
    "word_error_rate_interval",
    "word_errors",
]
