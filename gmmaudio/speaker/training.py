"""Training of the background model and of the cohort's folds."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio.errors import GmmAudioError, GmmAudioWarning
from gmmaudio.gmm import GMM, GmmParams
from gmmaudio.speaker.cohort import MAX_SPEAKERS, UNIT_FRAMES, Cohort, excerpt
from gmmaudio.speaker.decision import Judge
from gmmaudio.speaker.recordings import Progress, Recording, RecordingReader
from gmmaudio.speaker.speech import Part, Speech, read_speech
from gmmaudio.speaker.workplace import Workplace

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


@dataclass(frozen=True)
class TrainingOptions:
    """The parameters of `SpeakerIdentifier` that its training needs."""

    n_components: int | None
    relevance_factor: float
    max_iter: int
    random_state: int | None


def train_judge(
    reader: RecordingReader,
    recordings: Sequence[Recording],
    speakers: Sequence[str] | None,
    options: TrainingOptions,
    *,
    workplace: Workplace,
    progress: Progress,
) -> Judge:
    """Return the background model and the cohort of the speech in recordings, with nobody enrolled."""
    with workplace.scratch() as folder:
        speech = read_speech(reader, recordings, speakers, folder=folder, progress=progress)
        ubm = train_ubm(speech, options, workplace=workplace, progress=progress)
        cohort = cross_fitted_cohort(ubm, speech, options, workplace=workplace, progress=progress)
    return Judge(ubm, cohort, {}, reader.pipeline.frame_shift)


def train_ubm(speech: Speech, options: TrainingOptions, *, workplace: Workplace, progress: Progress) -> GmmParams:
    """Return the background model: a maximum-likelihood mixture of the frames of all speakers."""
    n_frames = speech.n_frames(speech.speakers)
    if n_frames < 2 * UNIT_FRAMES:
        raise GmmAudioError(
            f"the recordings hold only {n_frames} frames of speech, but a background model needs minutes; "
            "add recordings, or check that they are not silent"
        )
    size = options.n_components
    if size is None:
        size = choose_n_components(n_frames, len(speech.speakers))
    progress("background model", 0, options.max_iter)
    fitted = workplace.fit(
        GMM(size, max_iter=options.max_iter, tol=0.0, random_state=options.random_state),
        speech.parts(speech.speakers),
        callback=lambda iteration, *_: progress("background model", iteration, options.max_iter),
        checkpoint=workplace.checkpoint,
    )
    return fitted.params_


def cross_fitted_cohort(
    ubm: GmmParams, speech: Speech, options: TrainingOptions, *, workplace: Workplace, progress: Progress
) -> Cohort:
    """Return a cohort of the speakers that the background model was trained on, with folds that have not heard them."""
    if len(speech.speakers) == 1:
        warnings.warn(
            "all training speech is of one speaker, so there are no strangers to calibrate with and far more of them "
            "will be accepted than stated; give a recording of each person, or say who speaks",
            GmmAudioWarning,
            stacklevel=4,  # the caller of SpeakerIdentifier.train
        )
    long_enough = [name for name in speech.speakers if speech.n_frames([name]) >= UNIT_FRAMES]
    spread = np.linspace(0, len(long_enough) - 1, min(len(long_enough), MAX_SPEAKERS)).astype(int)
    members = [long_enough[index] for index in spread]
    n_folds = min(N_FOLDS, len(members))
    folds = []
    for fold in range(n_folds):
        progress("cohort", fold, n_folds)
        heard = [name for name in speech.speakers if name not in members[fold::n_folds]]
        folds.append(_refit(ubm, speech.parts(heard), workplace) if heard else ubm)
    progress("cohort", n_folds, n_folds)
    fold_of = [index % n_folds for index in range(len(members))]
    excerpts = {name: excerpt(speech.frames(name)) for name in members}
    return Cohort.build(excerpts, folds, fold_of, relevance_factor=options.relevance_factor)


def _refit(ubm: GmmParams, parts: list[Part], workplace: Workplace) -> GmmParams:
    """Return the model after a few EM iterations on other speech than it was trained on."""
    gmm = GMM(
        ubm.n_components,
        max_iter=FOLD_ITERATIONS,
        tol=0.0,
        weights_init=ubm.weights,
        means_init=ubm.means,
        covariances_init=ubm.variances,
    )
    return workplace.fit(gmm, parts).params_
