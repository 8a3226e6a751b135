"""From samples to frames: every stage streams, and the batch call is the stream fed at once."""

from gmmaudio.features.context import stack_context
from gmmaudio.features.deltas import Deltas, DeltasConfig
from gmmaudio.features.framing import Framer
from gmmaudio.features.mfcc import MFCC
from gmmaudio.features.mfcc_config import MfccConfig
from gmmaudio.features.normalization import GlobalCmvn, GlobalCmvnConfig, UtteranceCmvn, UtteranceCmvnConfig
from gmmaudio.features.pipeline import FeaturePipeline, PipelineConfig, check_same_pipeline
from gmmaudio.features.sliding_normalization import OnlineCmvn, OnlineCmvnConfig, SlidingCmvn, SlidingCmvnConfig
from gmmaudio.features.stored import Features
from gmmaudio.features.voice_activity import EnergyVad, EnergyVadConfig
from gmmaudio.features.warping import FeatureWarping, FeatureWarpingConfig

__all__ = [
    "MFCC",
    "Deltas",
    "DeltasConfig",
    "EnergyVad",
    "EnergyVadConfig",
    "FeaturePipeline",
    "FeatureWarping",
    "FeatureWarpingConfig",
    "Features",
    "Framer",
    "GlobalCmvn",
    "GlobalCmvnConfig",
    "MfccConfig",
    "OnlineCmvn",
    "OnlineCmvnConfig",
    "PipelineConfig",
    "SlidingCmvn",
    "SlidingCmvnConfig",
    "UtteranceCmvn",
    "UtteranceCmvnConfig",
    "check_same_pipeline",
    "stack_context",
]
