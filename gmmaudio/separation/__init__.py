"""Separation of known sources: spectral mixtures, joint states of two, masks, gains, who is in a mixture."""

from gmmaudio.separation.evaluation import SeparationEvaluation, SystemScores
from gmmaudio.separation.levels import SourceLevels
from gmmaudio.separation.masking import SeparationConfig
from gmmaudio.separation.oracle import oracle_estimates
from gmmaudio.separation.ranking import RankedPair
from gmmaudio.separation.separator import BACKGROUND, Separator
from gmmaudio.separation.spectral import (
    SpectralParams,
    SpectralStats,
    accumulate_spectral_stats,
    estimate_spectral_map,
    estimate_spectral_ml,
)
from gmmaudio.separation.stft import Analysis, StftConfig, Synthesis
from gmmaudio.separation.stream import SeparationStream

__all__ = [
    "BACKGROUND",
    "Analysis",
    "RankedPair",
    "SeparationConfig",
    "SeparationEvaluation",
    "SeparationStream",
    "Separator",
    "SourceLevels",
    "SpectralParams",
    "SpectralStats",
    "StftConfig",
    "Synthesis",
    "SystemScores",
    "accumulate_spectral_stats",
    "estimate_spectral_map",
    "estimate_spectral_ml",
    "oracle_estimates",
]
