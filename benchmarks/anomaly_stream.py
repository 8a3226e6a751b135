"""Samples per second in blocks and as lines of JSON, time of a single update, memory over a long stream; 8 channels.

    python benchmarks/anomaly_stream.py [--soak N_SAMPLES]

The peer is one row of Gaussian log-density by scikit-learn, one call for each sample, which is what a stream of single
samples costs there before any calibration.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
from sklearn.mixture import GaussianMixture

from gmmaudio import AnomalyDetector
from gmmaudio.anomaly import AnomalyModel, Watcher

N_CHANNELS, N_TRAINING, BLOCK, N_UPDATES = 8, 5000, 4096, 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=int, default=1_000_000, help="samples of the long stream")
    n_soak = parser.parse_args().soak
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(N_CHANNELS, N_CHANNELS))
    training = rng.normal(size=(N_TRAINING, N_CHANNELS)) @ mixing
    block = rng.normal(size=(BLOCK, N_CHANNELS)) @ mixing
    gappy = np.where(rng.random(block.shape) < 0.2, np.nan, block)
    for adaptive in (False, True):
        detector = AnomalyDetector(adaptive=adaptive).fit(training)
        detector.process(block)
        print("adaptive" if adaptive else "frozen")
        for title, rows in ((f"blocks of {BLOCK}", block), ("a fifth missing", gappy)):
            seconds, processor = best_times(lambda d=detector, r=rows: d.process(r))
            print(f"  {title}: {BLOCK / seconds:,.0f} samples/s, {BLOCK / processor:,.0f} a second of processor")
        print_latency("single updates", detector.update, block)
        print_lines(Watcher(AnomalyModel(detector)), block)
        soak(detector, block, n_soak)
    mixture = GaussianMixture(1, random_state=0).fit(training)
    print_latency("scikit-learn, score_samples of one row", lambda row: mixture.score_samples(row[np.newaxis]), block)


def best_times(call, n_runs: int = 7) -> tuple[float, float]:
    """Return the shortest of several runs, in seconds on the clock and of the processor."""
    times, processor = [], []
    for _ in range(n_runs):
        start, used = time.perf_counter(), time.thread_time()
        call()
        processor.append(time.thread_time() - used)
        times.append(time.perf_counter() - start)
    return min(times), min(processor)


def print_latency(title: str, call, rows: np.ndarray) -> None:
    """Print median and 99th percentile of calls with one row each."""
    times, processor = [], []
    for number in range(N_UPDATES):
        start, used = time.perf_counter(), time.thread_time()
        call(rows[number % len(rows)])
        processor.append(time.thread_time() - used)
        times.append(time.perf_counter() - start)
    for name, values in ((title, times), ("  the same, processor time", processor)):
        median, late = np.quantile(values, [0.5, 0.99]) * 1e3
        print(f"  {name}: median {median:.3f} ms, 99th percentile {late:.3f} ms")


def print_lines(watcher: Watcher, rows: np.ndarray) -> None:
    """Print how many lines of JSON a second the watcher takes, one at a time, printing nothing."""
    names = watcher.model.detector.channels
    lines = [json.dumps({"time": i} | dict(zip(names, r, strict=True))) for i, r in enumerate(rows.tolist())]
    start, used = time.perf_counter(), time.thread_time()
    for line in lines:
        watcher.take(line)
    seconds, processor = time.perf_counter() - start, time.thread_time() - used
    print(
        f"  lines of JSON: {len(lines) / seconds:,.0f} lines/s, {1e3 * processor / len(lines):.3f} ms of processor each"
    )


def soak(detector: AnomalyDetector, block: np.ndarray, n_samples: int) -> None:
    """Print the memory in use before and after a long stream, and how much its peak grew."""
    before, peak = resident_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    for _ in range(n_samples // len(block)):
        detector.process(block)
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    state = sum(array.nbytes for array in detector.state_dict().values())
    print(f"  {n_samples:,} samples in {seconds:.0f} s: memory {before:.1f} MiB, then {resident_memory():.1f} MiB")
    print(f"    peak memory grew by {grown} KiB; the state has {state / 1024:.1f} KiB")


def resident_memory() -> float:
    """Return the memory that this process has in RAM, in MiB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
