"""Who is speaking: the whole way from recordings to a name, or to "unknown".

Conventions. Log-likelihood ratios (LLR) are means per frame of speech, natural logs, of a speaker's model against the
background model (UBM). Scores are LLRs normalised by the cohort (see `gmmaudio.speaker.cohort`); higher means more
alike. A stream and a batch go through the same code and give the same bits.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, Unpack

from gmmaudio.audio.signals import warn_narrow_band
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import FeaturePipeline, PipelineConfig
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.persistence import StoredModel
from gmmaudio.speaker.calibration import check_false_accept_rate
from gmmaudio.speaker.cohort import Cohort
from gmmaudio.speaker.decision import Judge
from gmmaudio.speaker.enrollment import check_name, check_relevance_factor, with_speech, without_speaker
from gmmaudio.speaker.recordings import (
    Opening,
    Progress,
    Recording,
    RecordingReader,
    Recordings,
    as_list,
    default_pipeline,
)
from gmmaudio.speaker.results import Identification, Verification
from gmmaudio.speaker.scoring import RecordingScorer
from gmmaudio.speaker.storage import pack, unpack
from gmmaudio.speaker.stream import IdentificationStream

if TYPE_CHECKING:
    from distributed import Client

_OPTIONS = ("n_components", "relevance_factor", "false_accept_rate", "max_iter", "random_state")


class SpeakerIdentifier:
    """Background model, enrolled speakers, and a decision with a stated false-accept rate.

    Wherever recordings are taken, one is a file, an array of samples of shape (n_samples,), an open `AudioStream`, or
    `Features` made by the same pipeline. And wherever they are, two more arguments say how to open them: `sample_rate`
    is that of arrays, in Hz; `channel` says what to do with several channels (see `gmmaudio.audio.stream_blocks`).

    Parameters
    ----------
    pipeline : FeaturePipeline, optional
        Front end; by default that of the training features if any are given, else `speaker_pipeline` at 16 kHz, or at
        8 kHz if a training recording has less than that.
    n_components : int, optional
        Size of the background model; by default a power of two that fits the amount of training speech and the number
        of its speakers.
    relevance_factor : float
        That of the MAP adaptation of the means (Reynolds et al. 2000, eq. 12). Lower than the 16 of that paper, which
        suits enrolments of minutes.
    false_accept_rate : float
        Fraction of recordings of unknown voices that may be taken for an enrolled one.
    max_iter : int
        EM iterations for the background model.
    random_state : int, optional
        Seed of the initialisation of the background model.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> def voice(pitch, seconds):  # a buzz that comes and goes, and some breath: not a person, but an example
    ...     t = np.arange(int(16000 * seconds)) / 16000
    ...     buzz = (1 + np.sin(2 * np.pi * 3 * t)) * np.sign(np.sin(2 * np.pi * pitch * t))
    ...     return 0.1 * buzz + 0.003 * rng.normal(size=t.size)
    >>> identifier = SpeakerIdentifier(n_components=16)
    >>> background = [voice(pitch, 4) for pitch in range(150, 350, 10)]
    >>> identifier.train(background, sample_rate=16000).enroll("low", voice(100, 12), sample_rate=16000).speakers
    ('low',)
    >>> identifier.identify(voice(100, 3), sample_rate=16000).decision
    'low'
    """

    def __init__(
        self,
        pipeline: FeaturePipeline | None = None,
        *,
        n_components: int | None = None,
        relevance_factor: float = 4.0,
        false_accept_rate: float = 0.01,
        max_iter: int = 20,
        random_state: int | None = 0,
    ) -> None:
        self.n_components = n_components
        self.relevance_factor = check_relevance_factor(relevance_factor)
        self.false_accept_rate = check_false_accept_rate(false_accept_rate)
        self.max_iter = max_iter
        self.random_state = random_state
        self._pipeline = pipeline
        self._judge: Judge | None = None

    @classmethod
    def from_ubm(cls, ubm: GmmParams, pipeline: FeaturePipeline, **options: Any) -> Self:
        """Return an identifier on a background model that exists already.

        There is no cohort then: thresholds come from the enrolled speakers, each a stranger to all others.

        Parameters
        ----------
        ubm : GmmParams
            Of a fitted `GMM`, its `params_`.
        pipeline : FeaturePipeline
            The front end that the model was trained behind.
        **options
            Parameters of the class.

        Raises
        ------
        ParameterError
            If the model does not have as many features as the pipeline.
        """
        if ubm.n_features != pipeline.n_features:
            raise ParameterError(
                f"the background model has {ubm.n_features} features but the pipeline makes {pipeline.n_features}; "
                "give the pipeline that the model was trained behind"
            )
        identifier = cls(pipeline, n_components=ubm.n_components, **options)
        nobody = Cohort.build({}, [ubm], [], relevance_factor=identifier.relevance_factor)
        identifier._judge = Judge(ubm, nobody, {}, pipeline.frame_shift, cohort_is_enrolled=True)
        return identifier

    @property
    def ubm(self) -> GmmParams:
        """The background model."""
        return self._trained.ubm

    @property
    def cohort(self) -> Cohort:
        """The strangers that thresholds come from."""
        return self._trained.cohort

    @property
    def pipeline(self) -> FeaturePipeline:
        """The front end."""
        if self._pipeline is None:
            raise GmmAudioError("the identifier has no pipeline before it is trained; call train first")
        return self._pipeline

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the enrolled speakers, in the order of enrolment."""
        return tuple(self._trained.enrolled)

    def train(
        self,
        recordings: Recordings,
        *,
        speakers: Sequence[str] | None = None,
        progress: Progress | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        work_folder: str | os.PathLike[str] | None = None,
        client: "Client | None" = None,
        **opening: Unpack[Opening],
    ) -> Self:
        """Train the background model and keep a cohort for calibration; enrolled speakers are forgotten.

        Parameters
        ----------
        recordings : one or several recordings
            Speech of many people, minutes in all; best a recording of each.
        speakers : sequence of str, optional
            Who speaks in each recording: needed where a person has several, or will be enrolled. By default each
            recording is of another stranger.
        progress : callable, optional
            Called with a step, how much of it is done, and how much there is to do.
        checkpoint : path-like, optional
            File that keeps the background model on the way; a training that was interrupted and is started again with
            the same arguments goes on from there, to the same bits.
        work_folder : path-like, optional
            Folder for the frames of the recordings, which otherwise are all in memory; it is left as it was.
        client : distributed.Client, optional
            Of a Dask cluster that does the EM iterations, with the same bits; its workers have to see the work folder
            under the same path. Reading the recordings and scoring the cohort are done here.
        **opening
            `sample_rate`, `channel`: see the class.

        Raises
        ------
        ParameterError
            If there is not a name for each recording, or a cluster comes without a work folder or with a checkpoint.
        GmmAudioError
            If a recording cannot be read, there is too little speech, or the cluster goes away.

        Warns
        -----
        GmmAudioWarning
            If all speech is under one name, so that there are no strangers to calibrate with.
        """
        # Training needs scikit-learn, which takes longer to import than a decision takes.
        from gmmaudio.speaker.training import TrainingOptions, train_judge
        from gmmaudio.speaker.workplace import Workplace

        workplace = Workplace(work_folder, client, checkpoint)
        listed = as_list(recordings)
        pipeline = self._pipeline or default_pipeline(listed, **opening)
        options = TrainingOptions(self.n_components, self.relevance_factor, self.max_iter, self.random_state)
        reader = RecordingReader(pipeline, **opening)
        self._judge = train_judge(reader, listed, speakers, options, workplace=workplace, progress=progress or _silent)
        self._pipeline = pipeline
        return self

    def enroll(self, name: str, recordings: Recordings, **opening: Unpack[Opening]) -> Self:
        """Enroll a speaker from one or several recordings, 10 s or more in all.

        Raises
        ------
        ParameterError
            If the name is taken, "unknown", or not one that a line of text can hold.
        GmmAudioError
            If a recording cannot be read, or there is no speech in it.

        Warns
        -----
        GmmAudioWarning
            If there is so little speech that the speaker will often be missed.
        """
        if name in self._trained.enrolled:
            raise ParameterError(
                f"a speaker named '{name}' is enrolled already; add recordings to that one, choose another name for "
                "another voice, or remove it first"
            )
        return self._learn(check_name(name), recordings, opening)

    def add_recordings(self, name: str, recordings: Recordings, **opening: Unpack[Opening]) -> Self:
        """Add recordings to an enrolled speaker: the same model as of an enrolment with all of them.

        Raises and warns as `enroll`.
        """
        self._check_enrolled(name)
        return self._learn(name, recordings, opening)

    def remove(self, name: str) -> Self:
        """Forget an enrolled speaker."""
        self._check_enrolled(name)
        self._judge = without_speaker(self._trained, name)
        return self

    def identify(
        self, recording: Recording, *, false_accept_rate: float | None = None, **opening: Unpack[Opening]
    ) -> Identification:
        """Say whose voice it is, or "unknown" (also, with an empty ranking, where there is no speech).

        Raises
        ------
        GmmAudioError
            If nobody is enrolled, the recording cannot be read, or there are too few strangers for a threshold.
        """
        rate = self._rate(false_accept_rate)
        return self._ready.identify(self._scored(recording, opening), rate)

    def verify(
        self, name: str, recording: Recording, *, false_accept_rate: float | None = None, **opening: Unpack[Opening]
    ) -> Verification:
        """Say whether a recording is of the person that it claims to be of.

        The false-accept rate is that of strangers who claim the name. Raises as `identify`.
        """
        self._check_enrolled(name)
        rate = self._rate(false_accept_rate)
        return self._ready.verify(name, self._scored(recording, opening), rate)

    def stream(self, *, sample_rate: int | None = None, false_accept_rate: float | None = None) -> IdentificationStream:
        """Return an identification that listens: `push` samples, ask for the `result` at any time.

        Parameters
        ----------
        sample_rate : int, optional
            Of the samples, in Hz; by default that of the pipeline.
        false_accept_rate : float, optional
            Instead of that of the identifier.
        """
        model_rate = self.pipeline.config.sample_rate
        source_rate = model_rate if sample_rate is None else sample_rate
        warn_narrow_band("the stream", source_rate, model_rate)
        return IdentificationStream(
            self.pipeline,
            self._ready,
            sample_rate=source_rate,
            false_accept_rate=self._rate(false_accept_rate),
        )

    def to_stored(self) -> StoredModel:
        """Return the model as it is written to a file."""
        models, arrays = pack(self._trained)
        options = {name: getattr(self, name) for name in _OPTIONS}
        config = {"options": options, "models": models}
        return StoredModel("speaker_identifier", config, arrays, self.pipeline.config.to_dict())

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model from what a file holds."""
        pipeline = FeaturePipeline(PipelineConfig.from_dict(stored.pipeline or {}))
        identifier = cls(pipeline, **{name: stored.config["options"][name] for name in _OPTIONS})
        identifier._judge = unpack(stored.config["models"], stored.arrays, frame_shift=pipeline.frame_shift)
        if identifier.ubm.n_features != pipeline.n_features:
            raise GmmAudioError("its background model does not have as many features as its pipeline makes")
        return identifier

    @property
    def _trained(self) -> Judge:
        """The models; an error before there are any."""
        if self._judge is None:
            raise GmmAudioError("the identifier has no background model yet; call train, or start with from_ubm")
        return self._judge

    @property
    def _ready(self) -> Judge:
        """The models; an error before anybody is enrolled."""
        if not self._trained.enrolled:
            raise GmmAudioError("nobody is enrolled; call enroll with a name and 10 s or more of that voice")
        return self._trained

    def _learn(self, name: str, recordings: Recordings, opening: Opening) -> Self:
        """Add recordings to those that there are under a name, if any."""
        judge, reader = self._trained, RecordingReader(self.pipeline, **opening)
        self._judge = with_speech(judge, name, [reader.frames(recording) for recording in as_list(recordings)])
        return self

    def _scored(self, recording: Recording, opening: Opening) -> RecordingScorer:
        """Return a scorer that has heard a recording."""
        scorer = self._ready.scorer()
        scorer.push(RecordingReader(self.pipeline, **opening).frames(recording))
        return scorer

    def _check_enrolled(self, name: str) -> None:
        """Raise if there is no such speaker."""
        if name not in self._trained.enrolled:
            known = ", ".join(self.speakers) or "nobody"
            raise ParameterError(f"no speaker named '{name}' is enrolled; enrolled are: {known}")

    def _rate(self, false_accept_rate: float | None) -> float:
        """Return the false-accept rate to decide with."""
        return self.false_accept_rate if false_accept_rate is None else check_false_accept_rate(false_accept_rate)


def _silent(step: str, done: int, total: int) -> None:
    """Report nothing."""
