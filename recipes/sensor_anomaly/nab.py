"""The Numenta Anomaly Benchmark by its protocol, beside rules without a model, and p-values on its clean stretches."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmmaudio import AnomalyDetector
from gmmaudio.anomaly import running_peaks
from gmmaudio.metrics import NAB_COSTS, detection_controls, nab_best_threshold, nab_probation, nab_score

REFRACTORY = 100
TUNING = ("artificial", "realTweets")
"""Folders on whose files thresholds are chosen."""

N_STRETCHES = 3


class Series(NamedTuple):
    """Time stamps, values and anomaly windows of one file."""

    stamps: NDArray[np.datetime64]
    values: NDArray[np.float64]
    windows: list[tuple[int, int]]


def run_nab(folder: Path) -> None:
    """Score every series with one setting; the threshold comes from the artificial series and the tweets only."""
    series = load_nab(folder)
    names = ("null", "flag all", "random", "clock", "running range", "windowed Gaussian")
    rules: dict[str, Callable[[Series], NDArray[np.float64]]] = {
        name: lambda one, name=name: detection_controls(one.values)[name] for name in names
    }
    rules["gmmaudio"] = detector_scores
    print(f"{len(series)} series; standard / reward low FP / reward low FN; thresholds from the tuning series")
    print(f"{'':18}{'tuning':>22}{'the rest':>22}{'all':>22}")
    for name, rule in rules.items():
        scores = {key: rule(one) for key, one in series.items()}
        print(f"{name:18}" + "".join(f"{text:>22}" for text in nab_row(scores, series)))
    print("\nFalse-alarm rates on clean stretches: the first half is learnt from, the second half scored")
    for name, first, end in clean_stretches(series):
        one = series[name]
        middle = (first + end) // 2
        for adaptive in (False, True):
            detector = AnomalyDetector(adaptive=adaptive).fit(one.values[first:middle], one.stamps[first:middle])
            print(f"{name}, samples {first} to {end - 1}, {'adaptive' if adaptive else 'frozen'}")
            print(detector.calibration_report(one.values[middle:end], one.stamps[middle:end]))


def clean_stretches(series: dict[str, Series]) -> list[tuple[str, int, int]]:
    """Return the longest stretches (name, first, end) of real series without a window, one from each folder.

    The rule was written before any was scored: of every series that is not artificial, the longest run of samples
    outside all windows; the longest of each folder; of these the three longest.
    """
    longest: dict[str, tuple[int, str, int, int]] = {}
    for name, one in series.items():
        kind = name.partition("/")[0]
        if kind.startswith("artificial"):
            continue
        edges = [0, *(edge for first, last in one.windows for edge in (first, last + 1)), len(one.values)]
        length, first, end = max((end - first, first, end) for first, end in zip(edges[::2], edges[1::2], strict=True))
        longest[kind] = max(longest.get(kind, (0, "", 0, 0)), (length, name, first, end))
    return [(name, first, end) for _, name, first, end in sorted(longest.values(), reverse=True)[:N_STRETCHES]]


def nab_row(scores: dict[str, NDArray[np.float64]], series: dict[str, Series]) -> list[str]:
    """Return the three profiles on the tuning series, the rest and all, as text."""
    tuning = [key for key in series if key.startswith(TUNING)]
    rest = [key for key in series if key not in tuning]
    thresholds = {
        profile: nab_best_threshold([scores[k] for k in tuning], [series[k].windows for k in tuning], profile=profile)[
            1
        ]
        for profile in NAB_COSTS
    }
    return [
        " / ".join(
            f"{nab_score([scores[k] for k in keys], [series[k].windows for k in keys], limit, profile=profile):.1f}"
            for profile, limit in thresholds.items()
        )
        for keys in (tuning, rest, list(series))
    ]


def detector_scores(series: Series) -> NDArray[np.float64]:
    """Return −log10 p of one series; the unscored start is what the detector begins with."""
    stamps, values, _ = series
    start = nab_probation(len(values))
    detector = AnomalyDetector(adaptive=True, guarded=False).fit(values[:start], stamps[:start])
    scores = detector.process(values[start:], stamps[start:]).scores
    return np.concatenate([np.zeros(start), running_peaks(scores, REFRACTORY)])


def load_nab(folder: Path) -> dict[str, Series]:
    """Return every series."""
    windows = json.loads((folder / "labels" / "combined_windows.json").read_text(encoding="utf-8"))
    series = {}
    for name, marked in windows.items():
        with (folder / "data" / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        stamps = np.array([row["timestamp"].replace(" ", "T") for row in rows], dtype="datetime64[us]")
        edges = np.array([[edge.replace(" ", "T") for edge in pair] for pair in marked], dtype="datetime64[us]")
        first, end = (
            np.searchsorted(stamps, edges.reshape(-1, 2)[:, side], side=("left", "right")[side]) for side in (0, 1)
        )
        spans = [(int(a), int(b) - 1) for a, b in zip(first, end, strict=True)]
        series[name] = Series(stamps, np.array([float(row["value"]) for row in rows]), spans)
    return series
