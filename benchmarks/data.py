"""Frames to measure with: MFCCs of real speech, and hard dense data."""

from pathlib import Path

import numpy as np
import soundfile

from gmmaudio.features import DeltasConfig, FeaturePipeline, MfccConfig
from gmmaudio.gmm import GMM, GmmParams

N_MFCC = {13: 13, 20: 20, 39: 13, 60: 20}
"""Coefficients for each number of features; with first and second differences, for 39 and 60."""

TILING_NOISE = 0.01
"""Standard deviation of the noise on repeated frames, relative to that of each feature."""


def speech_frames(recordings: Path, *, n_features: int, n_frames: int | None) -> np.ndarray:
    """Return float32 MFCCs of all WAV files in a folder, repeated with a little noise if more are wanted."""
    frames = np.concatenate(recording_frames(recordings, n_features=n_features))
    if n_frames is None or n_frames <= len(frames):
        return frames[:n_frames]
    rng = np.random.default_rng(0)
    repeated = np.resize(frames, (n_frames, n_features))
    noise = rng.standard_normal(repeated.shape, dtype=np.float32)
    return repeated + np.float32(TILING_NOISE) * frames.std(axis=0) * noise


def recording_frames(recordings: Path, *, n_features: int) -> list[np.ndarray]:
    """Return float32 MFCCs of each WAV file in a folder, in the order of their names."""
    paths = sorted(recordings.glob("*.wav"))
    sample_rate = soundfile.info(paths[0]).samplerate
    pipeline = FeaturePipeline(
        mfcc=MfccConfig(sample_rate=sample_rate, n_mfcc=N_MFCC[n_features], n_mels=23),
        deltas=None if n_features == N_MFCC[n_features] else DeltasConfig(order=2),
    )
    return [pipeline.transform(soundfile.read(path, dtype="float32")[0]) for path in paths]


def dense_frames(*, n_features: int, n_frames: int) -> np.ndarray:
    """Return float32 frames of one Gaussian: the components of a mixture overlap, and hundreds are alive per frame."""
    return np.random.default_rng(0).standard_normal((n_frames, n_features), dtype=np.float32)


def speech_model(frames: np.ndarray, n_components: int) -> GmmParams:
    """Return a mixture after a few EM iterations: what most iterations of a training work with."""
    return GMM(n_components, max_iter=5, tol=0.0, random_state=0).fit(frames).params_


def dense_model(frames: np.ndarray, n_components: int) -> GmmParams:
    """Return equally likely wide components around the center."""
    n_features = frames.shape[1]
    means = 0.1 * np.random.default_rng(1).standard_normal((n_components, n_features))
    return GmmParams(np.full(n_components, 1.0 / n_components), means, np.ones_like(means))


def alive_components(params: GmmParams, frames: np.ndarray, *, span: float) -> float:
    """Return the mean number of components within `span` nats of the best, over a sample of frames."""
    from gmmaudio.gmm import component_log_densities

    table = component_log_densities(params, frames[:: max(1, len(frames) // 2000)])
    return float((table > table.max(axis=1, keepdims=True) - span).sum(axis=1).mean())
