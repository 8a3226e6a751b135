"""Training of the background model and of the cohort's folds."""

import math
import os
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.em import run_em
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.gmm import GMM, GmmParams, accumulate_stats, estimate_ml
from gmmaudio.speaker.cohort import MAX_SPEAKERS, UNIT_FRAMES, Cohort
from gmmaudio.speaker.recordings import Progress, Recording, RecordingReader

COMPONENTS_PER_ROOT_FRAME = 0.5
"""A background model that is sized by its data has at most this many components times the square root of the number of
frames: 39 for a minute of speech, 300 for an hour. More fit better, but a short enrolment then reaches few of them."""

COMPONENTS_PER_SPEAKER = 6
"""And at most this many for each speaker: with more, components belong to speakers, and the model does not stand for
strangers any more."""

MIN_COMPONENTS, MAX_COMPONENTS = 16, 1024

N_FOLDS = 5
"""Parts that the cohort is divided into; each costs `FOLD_ITERATIONS` EM iterations on the other parts."""

FOLD_ITERATIONS = 5


def choose_n_components(n_frames: int, n_speakers: int) -> int:
    """Return the size of a background model for an amount of speech, a power of two."""
    wanted = min(COMPONENTS_PER_ROOT_FRAME * math.sqrt(n_frames), COMPONENTS_PER_SPEAKER * n_speakers)
    return int(min(max(2 ** round(math.log2(wanted)), MIN_COMPONENTS), MAX_COMPONENTS))


def read_speech(
    reader: RecordingReader, recordings: Sequence[Recording], speakers: Sequence[str] | None, *, progress: Progress
) -> dict[str, Float32Array]:
    """Return all frames of each speaker; without names, each recording is of another one."""
    if speakers is None:
        speakers = [f"recording {number}" for number in range(1, len(recordings) + 1)]
    if len(speakers) != len(recordings):
        raise ParameterError(f"speakers has {len(speakers)} names for {len(recordings)} recordings; give one for each")
    spoken: dict[str, list[Float32Array]] = {}
    for index, (name, recording) in enumerate(zip(speakers, recordings, strict=True)):
        progress("reading", index, len(recordings))
        spoken.setdefault(name, []).append(reader.frames(recording))
    progress("reading", len(recordings), len(recordings))
    return {name: np.concatenate(parts) for name, parts in spoken.items()}


def train_ubm(
    speech: Mapping[str, Float32Array],
    n_components: int | None,
    *,
    max_iter: int,
    random_state: int | None,
    progress: Progress,
    checkpoint: str | os.PathLike[str] | None = None,
) -> GMM:
    """Return the background model: a maximum-likelihood mixture of the frames of all speakers.

    With a checkpoint file, a training that was interrupted goes on where it was (see `GMM.fit`).
    """
    n_frames = sum(len(frames) for frames in speech.values())
    if n_frames < 2 * UNIT_FRAMES:
        raise GmmAudioError(
            f"the recordings hold only {n_frames} frames of speech, but a background model needs minutes; "
            "add recordings, or check that they are not silent"
        )
    size = choose_n_components(n_frames, len(speech)) if n_components is None else n_components
    ubm = GMM(size, max_iter=max_iter, tol=0.0, random_state=random_state)
    progress("background model", 0, max_iter)
    ubm.fit(
        list(speech.values()),
        callback=lambda iteration, *_: progress("background model", iteration, max_iter),
        checkpoint=checkpoint,
    )
    return ubm


def cross_fitted_cohort(
    ubm: GMM, speech: Mapping[str, Float32Array], *, relevance_factor: float, progress: Progress
) -> Cohort:
    """Return a cohort of the speakers that the background model was trained on, with folds that have not heard them.

    Parameters
    ----------
    ubm : GMM
        Fitted to the speech of all speakers.
    speech : dict of str to array, shape (n_frames, n_features)
        All frames of each speaker.
    """
    if len(speech) == 1:
        warnings.warn(
            "all training speech is of one speaker, so there are no strangers to calibrate with and far more of them "
            "will be accepted than stated; give a recording of each person, or say who speaks",
            GmmAudioWarning,
            stacklevel=3,
        )
    long_enough = [name for name, frames in speech.items() if len(frames) >= UNIT_FRAMES]
    spread = np.linspace(0, len(long_enough) - 1, min(len(long_enough), MAX_SPEAKERS)).astype(int)
    members = [long_enough[index] for index in spread]
    n_folds = min(N_FOLDS, len(members))
    folds = []
    for fold in range(n_folds):
        progress("cohort", fold, n_folds)
        heard = [frames for name, frames in speech.items() if name not in members[fold::n_folds]]
        folds.append(_refit(ubm, heard) if heard else ubm.params_)
    progress("cohort", n_folds, n_folds)
    fold_of = [index % n_folds for index in range(len(members))]
    return Cohort.build({name: speech[name] for name in members}, folds, fold_of, relevance_factor=relevance_factor)


def _refit(ubm: GMM, speech: Sequence[Float32Array]) -> GmmParams:
    """Return the model after a few EM iterations on other speech than it was trained on."""
    frames = np.concatenate(speech)
    result = run_em(
        ubm.params_,
        lambda params: accumulate_stats(params, frames),
        lambda stats: estimate_ml(stats, variance_floor=ubm.variance_floor_),
        max_iter=FOLD_ITERATIONS,
        tol=0.0,
        may_fall=lambda *_: True,
    )
    return result.params
