"""Speed and memory of separating two sources, on one core.

The sources are synthetic (speed does not depend on what is heard). The limit beside each figure is the two matrix
products of a block of frames alone, without anything else. The long mixture is a file on disk that is separated by the
command line in a process of its own, which reports the most memory that it ever had resident.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import soundfile
from paired import time_in_turns
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from gmmaudio import Separator, save
from gmmaudio.separation import SeparationConfig
from gmmaudio.separation.joint import BLOCK_FRAMES

SAMPLE_RATES = (8000, 16000)
NAMES = ("first", "second")
SECONDS = 30
SLOW_SECONDS = 5

SEPARATION = """
import json, resource, sys, time
from gmmaudio.cli import main
started, processor = time.perf_counter(), time.process_time()
try:
    main(["separate", "run", *sys.argv[1:]])
except SystemExit as ended:
    code = ended.code
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"code": code, "peak_megabytes": peak / 1e6, "seconds": time.perf_counter() - started,
                  "processor_seconds": time.process_time() - processor}))
"""


def sound(seconds: float, sample_rate: int, seed: int) -> np.ndarray:
    """Return coloured noise that changes its colour and level four times a second."""
    rng = np.random.default_rng(seed)
    n_part = sample_rate // 4
    parts = []
    for _ in range(round(4 * seconds)):
        envelope = np.exp(rng.normal(0, 1.5, 16)).repeat(-(-(n_part // 2 + 1) // 16))[: n_part // 2 + 1]
        parts.append(np.fft.irfft(envelope * np.fft.rfft(rng.standard_normal(n_part)), n_part))
    signal = np.concatenate(parts)
    return (0.1 * signal / signal.std()).astype(np.float32)


def trained(sample_rate: int, n_components: int) -> Separator:
    """Return a separator that knows two sources."""
    separator = Separator(n_components, sample_rate)
    for seed, name in enumerate(NAMES):
        separator.train_source(name, sound(60, sample_rate, seed))
    return separator


def products_alone(separator: Separator, n_frames: int) -> None:
    """Do the two products of each block of frames, and nothing else."""
    n_pairs, n_bins = separator.n_components**2, separator.stft.n_bins
    table, block = np.ones((n_pairs, n_bins), np.float32), np.ones((n_bins, BLOCK_FRAMES), np.float32)
    posteriors = np.ones((n_pairs, BLOCK_FRAMES), np.float32)
    for _ in range(-(-n_frames // BLOCK_FRAMES)):
        table @ block
        table.T @ posteriors


def measure(separator: Separator, n_rounds: int) -> list[tuple[str, float, float]]:
    """Return each way to separate, how many times faster than real time it is, and its time over that of the limit."""
    rate = separator.sample_rate
    mixture = sound(SECONDS, rate, 10) + sound(SECONDS, rate, 11)
    short = mixture[: SLOW_SECONDS * rate]
    levels = separator.estimate_levels(mixture, NAMES)
    one = separator.with_config(SeparationConfig(spectra="one"))
    hmm = separator.with_config(SeparationConfig(dynamics="hmm"))
    mixmax = separator.with_config(SeparationConfig(likelihood="mixmax"))
    n_frames = len(mixture) // separator.stft.shift_samples
    contestants = {
        "products alone": lambda: products_alone(separator, n_frames),
        "levels given": lambda: separator.separate(mixture, NAMES, levels=levels),
        "levels given, one spectrum at a time": lambda: one.separate(mixture, NAMES, levels=levels),
        "levels estimated": lambda: separator.separate(mixture, NAMES),
        "levels tracked": lambda: separator.stream(NAMES).transform(mixture),
        "factorial HMM": lambda: hmm.separate(short, NAMES, levels=levels),
        "MIXMAX": lambda: mixmax.separate(short, NAMES, levels=levels),
    }
    with threadpool_limits(1):
        timings = time_in_turns(contestants, n_rounds=n_rounds)
    rows = []
    for name in contestants:
        seconds = SLOW_SECONDS if name in ("factorial HMM", "MIXMAX") else SECONDS
        ratio = timings.ratio(name, "products alone", of="processor")[0] * SECONDS / seconds
        rows.append((name, seconds / float(np.median(timings.processor[name])), ratio))
    return rows


def separate_long_file(hours: float, n_components: int) -> dict[str, float]:
    """Return what a process reports that separates a file of so many hours at 16 kHz."""
    separator = trained(16000, n_components)
    minute = (sound(60, 16000, 10) + sound(60, 16000, 11)) / 2
    with tempfile.TemporaryDirectory() as folder:
        save(separator, Path(folder) / "m.gmm")
        with soundfile.SoundFile(Path(folder) / "long.wav", "w", 16000, 1, "PCM_16") as file:
            for _ in range(round(60 * hours)):
                file.write(minute)
        arguments = [f"{folder}/m.gmm", f"{folder}/long.wav", "-d", f"{folder}/out"]
        sources = [part for name in NAMES for part in ("--source", name)]
        command = [sys.executable, "-c", SEPARATION, *arguments, *sources]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    report: dict[str, float] = json.loads(printed.splitlines()[-1])
    return report


@click.command()
@click.option("--components", "n_components", type=int, default=64, show_default=True)
@click.option("--rounds", "n_rounds", type=int, default=5, show_default=True)
@click.option("--hours", type=float, default=1.0, show_default=True, help="Of the long file; 0 leaves it out.")
def main(n_components: int, n_rounds: int, hours: float) -> None:
    """Print how many times faster than real time separation is, and the peak memory of a long file."""
    table = Table(title=f"Two sources of {n_components} components, 64 ms windows, processor time of one thread")
    for header in ("sample rate", "", "times real time", "time over products alone"):
        table.add_column(header, justify="right")
    for sample_rate in SAMPLE_RATES:
        for name, speed, ratio in measure(trained(sample_rate, n_components), n_rounds):
            table.add_row(str(sample_rate), name, f"{speed:.0f}", f"{ratio:.1f}")
    Console().print(table)
    if hours:
        report = separate_long_file(hours, n_components)
        speed = 3600 * hours / report["processor_seconds"]
        print(f"{hours:g} h at 16 kHz: peak {report['peak_megabytes']:.0f} MB, {speed:.0f} times real time")


if __name__ == "__main__":
    main()
