"""Anomalies in streams: a machine that does not exist, or the Numenta Anomaly Benchmark (see README.md)."""

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import CHANNELS, FAULTS, SAMPLE_PERIOD, Fault, normal_course, with_dropouts, with_faults
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from gmmaudio import AnomalyDetector
from gmmaudio.anomaly import Event, EventRule, TailCalibration, alarm_probability, find_events, running_peaks
from gmmaudio.metrics import (
    NAB_COSTS,
    EventResult,
    detection_controls,
    evaluate_events,
    nab_best_threshold,
    nab_probation,
    nab_score,
)

DAY = 1440
REFRACTORY = 100
Series = tuple[NDArray[np.datetime64], NDArray[np.float64], list[tuple[int, int]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nab", type=Path, help="folder of the benchmark, with data/ and labels/")
    parser.add_argument("--seed", type=int, default=0, help="another course of the machine and other faults")
    arguments = parser.parse_args()
    if arguments.nab is None:
        run_machine(arguments.seed)
    else:
        run_nab(arguments.nab)


def run_machine(seed: int) -> None:
    """Train on ten sound days, check the p-values on ten others, find 64 faults in thirty."""
    stamps = SAMPLE_PERIOD * np.arange(30 * DAY)
    training, sound, course, faulty, missing = range(5 * seed, 5 * seed + 5)
    rule = EventRule(alarm_p=alarm_probability(0.5, SAMPLE_PERIOD), leave_p=0.03, min_duration=3, merge_gap=30)
    detector = AnomalyDetector(rule=rule).fit(normal_course(10 * DAY, seed=training), stamps[: 10 * DAY])
    print("False-alarm rates on ten sound days that were not trained on")
    print(detector.calibration_report(normal_course(10 * DAY, seed=sound), stamps[: 10 * DAY]))
    rows, faults = with_faults(normal_course(30 * DAY, seed=course), n_faults=64, seed=faulty)
    for title, data in (("all values", rows), ("a fifth missing", with_dropouts(rows, share=0.2, seed=missing))):
        detector.reset()
        print(f"\n{len(faults)} faults of one sensor each in 30 days, {title}")
        block = detector.process(data, stamps)
        print_events(find_events(block.scores, rule, contributions=block.contributions), faults, len(rows))
    print("\nAll values, scikit-learn's IsolationForest, at the alarm level that serves it best in hindsight")
    forest = forest_scores(rows, normal_course(10 * DAY, seed=training))
    print_events(best_events(forest, faults), faults, len(rows))


def best_events(scores: NDArray[np.float64], faults: tuple[Fault, ...]) -> tuple[Event, ...]:
    """Return the events at whichever of some alarm levels gives the highest event F1."""
    true = [(fault.first, fault.last) for fault in faults]
    found = [
        find_events(scores, EventRule(alarm_p=p, leave_p=max(p, 0.03), min_duration=3, merge_gap=30))
        for p in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)
    ]
    return max(found, key=lambda events: event_result(true, events, len(scores)).f1)


def event_result(true: list[tuple[int, int]], events: tuple[Event, ...], n_samples: int) -> EventResult:
    """Return how well events meet the true ones."""
    spans = [(event.start, event.end) for event in events]
    return evaluate_events(true, spans, n_samples=n_samples, sample_period=SAMPLE_PERIOD)


def forest_scores(rows: NDArray[np.float64], sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return −log10 p of an isolation forest: eight of the training days to learn from, two to calibrate on."""
    forest = IsolationForest(random_state=0).fit(sound[: 8 * DAY])
    calibration = TailCalibration.fit(-forest.score_samples(sound[8 * DAY :]))
    return calibration.apply(-forest.score_samples(rows))


def print_events(events: tuple[Event, ...], faults: tuple[Fault, ...], n_samples: int) -> None:
    """Print how well the events meet the faults, and how often they name the sensor."""
    result = event_result([(f.first, f.last) for f in faults], events, n_samples)
    print(
        f"event F1 {result.f1:.3f}  precision {result.precision:.3f}  recall {result.recall:.3f}  "
        f"median delay {result.median_delay / 60:.0f} min  false alarms a day {result.false_alarms_per_day:.2f}"
    )
    first: dict[Fault, Event] = {}
    for fault in faults:
        touching = [event for event in events if event.start <= fault.last and fault.first <= event.end]
        if touching:
            first[fault] = touching[0]
    right = {fault for fault, event in first.items() if event.channels[:1] == (fault.channel,)}
    if any(event.channels for event in events):
        print(f"faulty sensor named first: {len(right)} of {len(first)} found faults")
    for kind in FAULTS:
        of_kind = [fault for fault in faults if fault.kind == kind]
        found = [fault for fault in of_kind if fault in first]
        wrong = sorted({CHANNELS[fault.channel] for fault in found if fault not in right and first[fault].channels})
        note = f", another sensor named for {', '.join(wrong)}" if wrong else ""
        print(f"  {kind:5} {len(found)} of {len(of_kind)} found{note}")


def run_nab(folder: Path) -> None:
    """Score every series with one setting; the threshold comes from the artificial series and the tweets only."""
    series = load_nab(folder)
    rules: dict[str, Callable[[Series], NDArray[np.float64]]] = {
        name: lambda one, name=name: detection_controls(one[1])[name]
        for name in ("null", "flag all", "random", "clock", "running range")
    }
    rules["gmmaudio"] = detector_scores
    print(f"{len(series)} series; standard / reward low FP / reward low FN; thresholds from the tuning series")
    print(f"{'':14}{'tuning':>22}{'the rest':>22}{'all':>22}")
    for name, rule in rules.items():
        scores = {key: rule(one) for key, one in series.items()}
        print(f"{name:14}" + "".join(f"{text:>22}" for text in nab_row(scores, series)))


def nab_row(scores: dict[str, NDArray[np.float64]], series: dict[str, Series]) -> list[str]:
    """Return the three profiles on the tuning series, the rest and all, as text."""
    tuning = [key for key in series if key.startswith(("artificial", "realTweets"))]
    rest = [key for key in series if key not in tuning]
    thresholds = {
        profile: nab_best_threshold([scores[k] for k in tuning], [series[k][2] for k in tuning], profile=profile)[1]
        for profile in NAB_COSTS
    }
    return [
        " / ".join(
            f"{nab_score([scores[k] for k in keys], [series[k][2] for k in keys], limit, profile=profile):.1f}"
            for profile, limit in thresholds.items()
        )
        for keys in (tuning, rest, list(series))
    ]


def detector_scores(series: Series) -> NDArray[np.float64]:
    """Return −log10 p of one series; the unscored start is what the detector begins with."""
    stamps, values, _ = series
    start = nab_probation(len(values))
    detector = AnomalyDetector(adaptive=True).fit(values[:start], stamps[:start])
    scores = detector.process(values[start:], stamps[start:]).scores
    return np.concatenate([np.zeros(start), running_peaks(scores, REFRACTORY)])


def load_nab(folder: Path) -> dict[str, Series]:
    """Return time stamps, values and windows of every series."""
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
        series[name] = (stamps, np.array([float(row["value"]) for row in rows]), spans)
    return series


if __name__ == "__main__":
    main()
