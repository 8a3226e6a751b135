"""Samples per second in blocks, time of a single update, and memory over a long stream of eight channels.

    python benchmarks/anomaly_stream.py [--soak N_SAMPLES]

The peer is one row of Gaussian log-density by scikit-learn, one call for each sample, which is what a stream of single
samples costs there before any calibration.
"""

import argparse
import resource
import time

import numpy as np
from sklearn.mixture import GaussianMixture

from gmmaudio import AnomalyDetector

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
        print(f"  blocks of {BLOCK}: {BLOCK / best_time(lambda d=detector: d.process(block)):,.0f} samples/s")
        print(f"  a fifth missing: {BLOCK / best_time(lambda d=detector: d.process(gappy)):,.0f} samples/s")
        print_latency("single updates", detector.update, block)
        soak(detector, block, n_soak)
    mixture = GaussianMixture(1, random_state=0).fit(training)
    print_latency("scikit-learn, score_samples of one row", lambda row: mixture.score_samples(row[np.newaxis]), block)


def best_time(call, n_runs: int = 7) -> float:
    """Return the shortest of several runs, in seconds."""
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def print_latency(title: str, call, rows: np.ndarray) -> None:
    """Print median and 99th percentile of calls with one row each."""
    times = []
    for number in range(N_UPDATES):
        start = time.perf_counter()
        call(rows[number % len(rows)])
        times.append(time.perf_counter() - start)
    median, late = np.quantile(times, [0.5, 0.99]) * 1e3
    print(f"  {title}: median {median:.3f} ms, 99th percentile {late:.3f} ms")


def soak(detector: AnomalyDetector, block: np.ndarray, n_samples: int) -> None:
    """Print how much the peak memory grew over a long stream."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(n_samples // len(block)):
        detector.process(block)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    state = sum(array.nbytes for array in detector.state_dict().values())
    print(f"  {n_samples:,} samples: peak memory grew by {grown} KiB; state {state / 1024:.1f} KiB")


if __name__ == "__main__":
    main()
