"""Score an hour of speech against 1,000 adapted models: in full, by the top components, and linearly.

The models are adapted by their means from segments of the first half of each speaker's speech; test segments come from
the second half. The background is trained on all of it, so error rates compare the methods and are not results.
Scoring in full is measured on a sub-sample of models and frames and scaled up; everything else is measured as it is,
and the arrangement of the models apart.
"""

import csv
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import soundfile
from data import TILING_NOISE
from em_iteration import machine
from paired import time_in_turns
from rich.console import Console
from rich.table import Table

from gmmaudio.features import DeltasConfig, FeaturePipeline, MfccConfig
from gmmaudio.gmm import GMM, AdaptedModels, GmmParams, accumulate_stats, estimate_map, score_trials
from gmmaudio.metrics.verification import eer

FULL, LINEAR = "full", "linear"
ALL_N_TOP = (5, 10, 20, 50)
FRAMES_PER_SECOND = 100
ENROL_FRAMES = 500
TEST_FRAMES = 150
FULL_MODELS, FULL_FRAMES = 8, 8192
TRIAL_MODELS, TRIAL_TESTS = 200, 180


@dataclass(frozen=True)
class Row:
    """One method; seconds are medians and quartiles of paired rounds."""

    method: str
    seconds: tuple[float, float, float]
    full_by_this: tuple[float, float, float]
    full_by_this_processor: tuple[float, float, float]
    trials_per_second: float
    eer: float
    eer_relative_to_full: float
    rms_error: float
    largest_error: float


def frames_of_speakers(folder: Path) -> dict[str, np.ndarray]:
    """Return float32 MFCCs (60 with differences) of each speaker, by the `manifest.csv` of the folder."""
    frames: dict[str, list[np.ndarray]] = {}
    with open(folder / "manifest.csv", newline="") as manifest:
        for row in csv.DictReader(manifest):
            signal, sample_rate = soundfile.read(folder / row["path"], dtype="float32")
            mfcc = MfccConfig(sample_rate=sample_rate, n_mfcc=20, n_mels=23)
            pipeline = FeaturePipeline(mfcc=mfcc, deltas=DeltasConfig(order=2))
            frames.setdefault(row["speaker"], []).append(pipeline.transform(signal))
    return {speaker: np.concatenate(parts).astype(np.float32) for speaker, parts in frames.items()}


def enrolled_models(speech: dict[str, np.ndarray], ubm: GmmParams, n_models: int) -> tuple[list[GmmParams], np.ndarray]:
    """Return models of segments of the first halves, the speakers in turn, and whose they are."""
    rng = np.random.default_rng(0)
    models, owners = [], []
    for number in range(n_models):
        speaker = number % len(speech)
        half = list(speech.values())[speaker]
        half = half[: len(half) // 2]
        start = rng.integers(0, max(1, len(half) - ENROL_FRAMES + 1))
        models.append(estimate_map(accumulate_stats(ubm, half[start : start + ENROL_FRAMES]), ubm))
        owners.append(speaker)
    return models, np.array(owners)


def test_segments(speech: dict[str, np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return segments of the second halves, one of each speaker after the other, and whose they are."""
    segments = []
    for speaker, frames in enumerate(speech.values()):
        for turn, start in enumerate(range(len(frames) // 2, len(frames) - TEST_FRAMES + 1, TEST_FRAMES)):
            segments.append((turn, speaker, frames[start : start + TEST_FRAMES]))
    segments.sort(key=lambda segment: segment[:2])
    chosen = segments[:TRIAL_TESTS]
    return [frames for _, _, frames in chosen], np.array([speaker for _, speaker, _ in chosen])


def one_hour(speech: dict[str, np.ndarray], seconds: int) -> np.ndarray:
    """Return all frames, repeated with a little noise."""
    frames = np.concatenate(list(speech.values()))
    repeated = np.resize(frames, (seconds * FRAMES_PER_SECOND, frames.shape[1]))
    noise = np.random.default_rng(1).standard_normal(repeated.shape, dtype=np.float32)
    return repeated + np.float32(TILING_NOISE) * frames.std(axis=0) * noise


def contestants(models: AdaptedModels, hour: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return one call for each method; that of FULL does a sub-sample."""
    ubm, sample = models.ubm, hour[:FULL_FRAMES]
    calls: dict[str, Callable[[], object]] = {
        FULL: lambda: score_trials(models[:FULL_MODELS], ubm, [sample], method="full"),
        LINEAR: lambda: score_trials(models, ubm, [hour], method="linear"),
    }
    for n_top in ALL_N_TOP:
        calls[top(n_top)] = lambda n_top=n_top: score_trials(models, ubm, [hour], n_top=n_top)
    return calls


def top(n_top: int) -> str:
    return f"top {n_top}"


def measure(
    models: AdaptedModels, hour: np.ndarray, scores: dict[str, np.ndarray], is_target: np.ndarray, n_rounds: int
) -> list[Row]:
    timings = time_in_turns(contestants(models, hour), n_rounds=n_rounds)
    # In full, the background is scored beside the models: one model more, in the sample and in the whole.
    scale = len(hour) / min(FULL_FRAMES, len(hour)) * (len(models) + 1) / (min(FULL_MODELS, len(models)) + 1)
    rows = []
    for method in (FULL, *map(top, ALL_N_TOP), LINEAR):
        factor = scale if method == FULL else 1.0
        seconds = factor * np.quantile(timings.wall[method], [0.5, 0.25, 0.75])
        ratios = [
            tuple(scale / factor * value for value in timings.ratio(FULL, method, of=of))
            for of in ("wall", "processor")
        ]
        error = scores[method] - scores[FULL]
        rate, reference = (eer(scores[name].ravel(), is_target.ravel()) for name in (method, FULL))
        n_trials = len(models) * len(hour) / TEST_FRAMES
        rows.append(
            Row(
                method,
                tuple(map(float, seconds)),
                *ratios,
                trials_per_second=n_trials / float(seconds[0]),
                eer=rate,
                eer_relative_to_full=rate / reference - 1.0,
                rms_error=float(np.sqrt(np.square(error).mean())),
                largest_error=float(np.abs(error).max()),
            )
        )
    return rows


def enrolment_ms(ubm: GmmParams, frames: np.ndarray, *, n_repetitions: int = 51) -> tuple[float, float, float]:
    """Return median and quartiles of the time to adapt a model to frames, warm."""
    milliseconds = []
    for _ in range(n_repetitions + 3):
        started = time.perf_counter()
        estimate_map(accumulate_stats(ubm, frames), ubm)
        milliseconds.append(1e3 * (time.perf_counter() - started))
    return tuple(map(float, np.quantile(milliseconds[3:], [0.5, 0.25, 0.75])))


def print_table(rows: list[Row], *, title: str, caption: str) -> None:
    table = Table(title=title, caption=caption)
    headers = ("method", "seconds", "full / this", "same, processor time", "trials / s", "EER", "to full", "rms error")
    for header in (*headers, "largest"):
        table.add_column(header, justify="right")
    for row in rows:
        table.add_row(
            row.method,
            *(f"{a:.3g} ({b:.3g}–{c:.3g})" for a, b, c in (row.seconds, row.full_by_this, row.full_by_this_processor)),
            f"{row.trials_per_second:,.0f}",
            f"{row.eer:.2%}",
            f"{row.eer_relative_to_full:+.1%}",
            f"{row.rms_error:.4f}",
            f"{row.largest_error:.4f}",
        )
    Console(width=150).print(table)


def draw(rows: list[Row], path: Path) -> None:
    """Draw seconds against the root mean square error."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for row in rows:
        axes.plot(row.seconds[0], max(row.rms_error, 1e-6), "o")
        axes.annotate(f" {row.method}, EER {row.eer:.1%}", (row.seconds[0], max(row.rms_error, 1e-6)))
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel="rms difference to the full score (nats per frame)")
    figure.savefig(path, dpi=150)
    plt.close(figure)


@click.command()
@click.argument("speakers", type=click.Path(file_okay=False, path_type=Path))
@click.option("--components", "n_components", type=int, default=1024, show_default=True)
@click.option("--models", "n_models", type=int, default=1000, show_default=True)
@click.option("--seconds", type=int, default=3600, show_default=True, help="Length of the speech to score.")
@click.option("--rounds", "n_rounds", type=int, default=3, show_default=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for scoring.json and .png.")
def main(speakers: Path, n_components: int, n_models: int, seconds: int, n_rounds: int, output: Path | None) -> None:
    """Compare ways to score on the recordings listed in SPEAKERS/manifest.csv (columns path and speaker)."""
    if not (speakers / "manifest.csv").is_file():
        click.echo(f"skipped: there is no {speakers / 'manifest.csv'} with recordings to score")
        return
    speech = frames_of_speakers(speakers)
    frames = np.concatenate(list(speech.values()))
    ubm = GMM(n_components, max_iter=5, tol=0.0, random_state=0).fit(frames).params_
    enrolment = enrolment_ms(GMM(512, max_iter=5, tol=0.0, random_state=0).fit(frames).params_, frames[:1000])
    models, owners = enrolled_models(speech, ubm, n_models)
    tests, test_speakers = test_segments(speech)
    few = models[:TRIAL_MODELS]
    is_target = test_speakers[:, np.newaxis] == owners[: len(few)]
    scores = {method: score_trials(few, ubm, tests, method=method) for method in (FULL, LINEAR)}
    scores |= {top(n_top): score_trials(few, ubm, tests, n_top=n_top) for n_top in ALL_N_TOP}
    started = time.perf_counter()
    adapted = AdaptedModels(models, ubm)
    megabytes = adapted.coefficients.nbytes / 1e6
    arranging = time.perf_counter() - started
    rows = measure(adapted, one_hour(speech, seconds), scores, is_target, n_rounds)
    low, high = enrolment[1:]
    print_table(
        rows,
        title=f"{seconds} s of speech, {n_models} models, K = {n_components}, D = {frames.shape[1]}, "
        f"medians (quartiles) of {n_rounds} paired rounds",
        caption=f"full: scaled up from {FULL_MODELS} models and {FULL_FRAMES} frames; a trial is {TEST_FRAMES} frames; "
        f"EER of {is_target.sum()} target trials of {is_target.size}; arranging the models (once): {arranging:.1f} s, "
        f"{megabytes:.0f} MB; enrolment of 10 s at K = 512: {enrolment[0]:.1f} ms ({low:.1f}–{high:.1f})",
    )
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        report = {
            "machine": machine(),
            "n_threads": os.cpu_count(),
            "arranging_seconds": arranging,
            "arranged_megabytes": megabytes,
            "enrolment_ms": enrolment,
            "n_targets": int(is_target.sum()),
            "n_trials": is_target.size,
            "rows": [asdict(row) for row in rows],
        }
        (output / "scoring.json").write_text(json.dumps(report, indent=2))
        draw(rows, output / "scoring.png")


if __name__ == "__main__":
    main()
