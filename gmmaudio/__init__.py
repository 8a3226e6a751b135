"""Audio and time series with Gaussian mixtures: features, models, streaming and decisions.

Names are imported when they are first used, so that `import gmmaudio` stays fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from gmmaudio.anomaly import AnomalyDetector as AnomalyDetector
    from gmmaudio.errors import GmmAudioError as GmmAudioError
    from gmmaudio.errors import GmmAudioWarning as GmmAudioWarning
    from gmmaudio.errors import ParameterError as ParameterError
    from gmmaudio.features import MFCC as MFCC
    from gmmaudio.features import FeaturePipeline as FeaturePipeline
    from gmmaudio.gmm import GMM as GMM
    from gmmaudio.gmm import BayesianGMM as BayesianGMM
    from gmmaudio.gmm import StudentTMixture as StudentTMixture
    from gmmaudio.hmm import GMMHMM as GMMHMM
    from gmmaudio.hmm import HMMFilter as HMMFilter
    from gmmaudio.persistence import load as load
    from gmmaudio.persistence import save as save
    from gmmaudio.separation import Separator as Separator
    from gmmaudio.speaker import SpeakerIdentifier as SpeakerIdentifier
    from gmmaudio.words import WordRecognizer as WordRecognizer

_HOME = {
    "AnomalyDetector": "anomaly",
    "BayesianGMM": "gmm",
    "GMM": "gmm",
    "GMMHMM": "hmm",
    "GmmAudioError": "errors",
    "GmmAudioWarning": "errors",
    "ParameterError": "errors",
    "MFCC": "features",
    "FeaturePipeline": "features",
    "HMMFilter": "hmm",
    "Separator": "separation",
    "SpeakerIdentifier": "speaker",
    "StudentTMixture": "gmm",
    "WordRecognizer": "words",
    "load": "persistence",
    "save": "persistence",
}
_SUBPACKAGES = {
    "anomaly",
    "audio",
    "distributed",
    "em",
    "features",
    "gmm",
    "hmm",
    "metrics",
    "plotting",
    "separation",
    "speaker",
    "words",
}

__all__ = [*sorted(_HOME), "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name or subpackage when it is first used."""
    if name in _HOME:
        return getattr(importlib.import_module(f"gmmaudio.{_HOME[name]}"), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"gmmaudio.{name}")
    raise AttributeError(f"module 'gmmaudio' has no attribute '{name}'")


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*__all__, *_SUBPACKAGES})
