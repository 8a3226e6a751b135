"""What the detector is compared with on the machine: rules without a model, and two detectors of other libraries."""

import importlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from gmmaudio.anomaly import TailCalibration
from gmmaudio.metrics import detection_controls

ALARM = 10.0
"""−log10 p that stands for an alarm of a rule that knows alarm and none only."""


@dataclass(frozen=True, eq=False)
class Scores:
    """−log10 p of each row, and the parts of the channels where a rule has them."""

    scores: NDArray[np.float64]
    contributions: NDArray[np.float64] | None = None


def control_scores(sound: NDArray[np.float64], rows: NDArray[np.float64]) -> dict[str, Scores]:
    """Return the rules without a model; those that look back have seen the sound days before."""
    n = len(rows)
    blind = detection_controls(rows[:, 0])
    columns = [detection_controls(column) for column in np.concatenate([sound, rows]).T]
    ranges, gaussian = (
        np.stack([column[name][-n:] for column in columns], axis=1) for name in ("running range", "windowed Gaussian")
    )
    return {
        "flag all": Scores(ALARM * blind["flag all"]),
        "random": Scores(-np.log10(1.0 - blind["random"])),
        "clock": Scores(ALARM * blind["clock"]),
        "running range": Scores(ALARM * ranges.max(axis=1), ranges),
        "windowed Gaussian": Scores(np.maximum(gaussian.max(axis=1) - np.log10(rows.shape[1]), 0.0), gaussian),
    }


def library_scores(sound: NDArray[np.float64], rows: NDArray[np.float64]) -> dict[str, Scores | None]:
    """Return other libraries' detectors, None for one that is not installed.

    They look at one row at a time. Four fifths of the sound days are learnt from and the last fifth calibrates.
    """
    cut = 4 * len(sound) // 5
    forest = IsolationForest(random_state=0).fit(sound[:cut])
    found: dict[str, Scores | None] = {
        "IsolationForest": _calibrated(-forest.score_samples(sound[cut:]), -forest.score_samples(rows)),
        "PyOD GMM": None,
    }
    try:
        gmm = importlib.import_module("pyod.models.gmm")
    except ImportError:
        return found
    mixture = gmm.GMM(n_components=3, random_state=0).fit(sound[:cut])
    found["PyOD GMM"] = _calibrated(mixture.decision_function(sound[cut:]), mixture.decision_function(rows))
    return found


def _calibrated(normal: NDArray[np.float64], scores: NDArray[np.float64]) -> Scores:
    """Return scores as −log10 p by the calibration that the detector uses itself."""
    return Scores(TailCalibration.fit(normal).apply(scores))
