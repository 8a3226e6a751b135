"""`WordRecognizer`: from recordings of words to a recogniser of words; all mathematics is elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.errors import ParameterError
from gmmaudio.features import FeaturePipeline, PipelineConfig
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.persistence import StoredModel
from gmmaudio.words import storage
from gmmaudio.words.acceptor import GARBAGE, SILENCE, WordAcceptor, one_of
from gmmaudio.words.adaptation import FrameTransform, adapted_transform
from gmmaudio.words.alignment import align
from gmmaudio.words.decoding import decode, label_posteriors, with_confidence
from gmmaudio.words.examples import training_examples
from gmmaudio.words.formats import Alignment
from gmmaudio.words.grammar import parse_grammar
from gmmaudio.words.hypotheses import to_alignment
from gmmaudio.words.nbest import decode_n_best
from gmmaudio.words.network import NetworkOptions, WordNetwork, build_network
from gmmaudio.words.recordings import (
    Progress,
    Recording,
    check_length,
    checked_labels,
    common_rate,
    no_progress,
    read_signal,
    warn_of_few_examples,
)
from gmmaudio.words.results import Recognition, as_recognition
from gmmaudio.words.stream import RecognitionStream
from gmmaudio.words.training import TrainingOptions, normalized_config, train_models, words_config

UNTRAINED = "the recogniser knows no words yet; call train with recordings of some first"


class WordRecognizer:
    """Recognise words that were recorded before: isolated ones, and strings of them under a grammar.

    Each word has a left-right hidden Markov model of its own, with Gaussian mixtures on cepstra; there are models of
    silence and of other speech ("garbage"), too. The front end is causal, so that a live stream gives the same result
    as the recording of it.

    Parameters
    ----------
    training : TrainingOptions, optional
    network : NetworkOptions, optional
        How words, pauses and other speech are weighed against each other.
    random_state : int
        Seed of what is random in training: noise, pauses and their places.

    Attributes
    ----------
    words : tuple of str
        What can be recognised, sorted.
    models : mapping of str to HmmParams
        By word, with `SILENCE` and `GARBAGE`.
    config : PipelineConfig
        The front end.
    transform : FrameTransform or None
        What adaptation to a speaker has found.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> time = np.arange(4000) / 8000
    >>> def tone(hertz):
    ...     return 0.1 * np.sin(2 * np.pi * hertz * time) + 0.001 * rng.standard_normal(len(time))
    >>> recordings = [tone(hertz) for hertz in (300, 310, 320, 330, 340, 900, 920, 940, 960, 980)]
    >>> recognizer = WordRecognizer().train(recordings, ["low"] * 5 + ["high"] * 5, sample_rate=8000)
    >>> recognizer.recognize(tone(950), sample_rate=8000).text
    'high'
    """

    def __init__(
        self,
        *,
        training: TrainingOptions | None = None,
        network: NetworkOptions | None = None,
        random_state: int = 0,
    ) -> None:
        self.training = training or TrainingOptions()
        self.network = network or NetworkOptions()
        self.random_state = random_state
        self.models: Mapping[str, HmmParams] = {}
        self.config: PipelineConfig | None = None
        self.transform: FrameTransform | None = None
        self._last_network: tuple[str | WordAcceptor | None, bool, WordNetwork] | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """What can be recognised, sorted."""
        return tuple(sorted(set(self.models) - {SILENCE, GARBAGE}))

    def train(
        self,
        recordings: Sequence[Recording],
        words: Sequence[str],
        *,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
        progress: Progress = no_progress,
    ) -> Self:
        """Learn words from recordings of one word each; silence around them is found and left out.

        Parameters
        ----------
        recordings : sequence of path, array or AudioStream
        words : sequence of str
            What is said in each; a phrase is a word with blanks.
        sample_rate : int, optional
            Of arrays, in Hz.
        channel : int or "mix", optional
            Which channel of files with several.
        progress : callable, optional
            Called with a step, how much of it is done, and how much there is to do.

        Raises
        ------
        ParameterError
            If the numbers of recordings and words differ, or a word is empty or reserved.
        GmmAudioError
            If a file cannot be read, or a recording is too short for a word.

        Warns
        -----
        GmmAudioWarning
            If there are few examples of a word.
        """
        labels = checked_labels(recordings, words)
        rate = common_rate(recordings, sample_rate=sample_rate)
        signals = []
        for number, (recording, label) in enumerate(zip(recordings, labels, strict=True)):
            progress("reading", number, len(labels))
            signals.append(read_signal(recording, rate, sample_rate=sample_rate, channel=channel))
            check_length(signals[-1], rate, recording, number, label)
        progress("reading", len(labels), len(labels))
        warn_of_few_examples(labels)
        config = normalized_config(signals, words_config(rate))
        rng = np.random.default_rng(self.random_state)
        examples = training_examples(signals, labels, config, rng=rng, progress=progress)
        self.models = train_models(examples, self.training, progress=progress)
        self.config, self.transform, self._last_network = config, None, None
        return self

    def recognize(
        self,
        recording: Recording,
        grammar: str | WordAcceptor | None = None,
        *,
        n_best: int = 1,
        reject: bool = False,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
    ) -> Recognition:
        """Return what is said in a recording.

        Parameters
        ----------
        recording : path, array or AudioStream
        grammar : str or WordAcceptor, optional
            What may be said: the text of a grammar (see `gmmaudio.words.grammar`) or an acceptor. One word by default.
        n_best : int
            How many different strings of words are wanted, at most.
        reject : bool
            Whether it may also be none of all this, in which case there are no words in the result.
        sample_rate : int, optional
            Of arrays, in Hz.
        channel : int or "mix", optional

        Raises
        ------
        ParameterError
            If the recogniser was not trained, or the grammar names unknown words or cannot be read.
        GmmAudioError
            If the file cannot be read.
        """
        network = self._network(grammar, reject)
        signal = self._read(recording, sample_rate, channel)
        frames = self._frames(signal)
        log_likelihoods = network.emission_log_likelihoods(frames)
        found = decode(network, log_likelihoods)
        if found.segments:
            found = with_confidence(found, label_posteriors(network, log_likelihoods))
        others = decode_n_best(network, log_likelihoods, n_best) if n_best > 1 else (found,) if found.segments else ()
        duration = len(signal) / self._config.sample_rate
        return as_recognition(found, others, self._config.mfcc, n_frames=len(frames), duration=duration)

    def align(
        self,
        recording: Recording,
        words: Sequence[str],
        *,
        states: bool = False,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
    ) -> Alignment:
        """Return when each of the words that are known to be said is said.

        Parameters
        ----------
        recording : path, array or AudioStream
        words : sequence of str
        states : bool
            Whether the times of the states of the words are wanted, too.
        sample_rate, channel
            As for `recognize`.

        Raises
        ------
        ParameterError
            If a word is unknown.
        GmmAudioError
            If the file cannot be read, or is too short for the words.
        """
        mfcc = self._config.mfcc
        signal = self._read(recording, sample_rate, channel)
        found = align(words, self.models, self._frames(signal), options=self.network)
        offset, duration = (mfcc.frame_length - mfcc.frame_shift) / 2, len(signal) / mfcc.sample_rate
        return to_alignment(found, frame_shift=mfcc.frame_shift, offset=offset, duration=duration, states=states)

    def adapt(
        self,
        recordings: Sequence[Recording],
        grammar: str | WordAcceptor | None = None,
        *,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
    ) -> "WordRecognizer":
        """Return a recogniser that is adapted to the speaker of some recordings, of which nobody says the words.

        What is recognised in them is taken for true, and frames are transformed linearly so that it becomes more
        probable (feature-space MLLR, Gales 1998), some times over. A few words already help; the more, the better.

        Parameters
        ----------
        recordings : sequence of path, array or AudioStream
            Of one speaker, through one microphone.
        grammar : str or WordAcceptor, optional
            What may be said in them.
        sample_rate, channel
            As for `recognize`.

        Raises
        ------
        ParameterError, GmmAudioError
            As `recognize`.
        """
        network = self._network(grammar, reject=False)
        heard = [self._pipeline.transform(self._read(item, sample_rate, channel)) for item in recordings]
        transform = adapted_transform(network, heard, self.transform)
        adapted = WordRecognizer(training=self.training, network=self.network, random_state=self.random_state)
        adapted.models, adapted.config, adapted.transform = self.models, self.config, transform
        return adapted

    def stream(
        self, sample_rate: int, grammar: str | WordAcceptor | None = None, *, reject: bool = False
    ) -> RecognitionStream:
        """Return a recogniser of a voice that is still speaking; arguments are those of `recognize`."""
        return RecognitionStream(
            self._pipeline, self.transform, self._network(grammar, reject), sample_rate=sample_rate
        )

    def to_stored(self) -> StoredModel:
        """Return the recogniser as it is written to a file."""
        config, arrays = storage.pack(self.models, self.training, self.network, self.transform)
        return StoredModel("word_recognizer", config, arrays, self._config.to_dict())

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the recogniser from what a file holds."""
        parts = storage.unpack(stored.config, stored.arrays)
        recognizer = cls(training=parts.training, network=parts.network)
        recognizer.config = PipelineConfig.from_dict(stored.pipeline or {})
        recognizer.models, recognizer.transform = parts.models, parts.transform
        storage.check_features(recognizer.models, recognizer.transform, recognizer.config)
        return recognizer

    @property
    def _config(self) -> PipelineConfig:
        """The front end; an error if there is none yet."""
        if self.config is None:
            raise ParameterError(UNTRAINED)
        return self.config

    @property
    def _pipeline(self) -> FeaturePipeline:
        """The front end as a stage."""
        return FeaturePipeline(self._config)

    def _network(self, grammar: str | WordAcceptor | None, reject: bool) -> WordNetwork:
        """Return the network of a grammar; the last one is kept, because many recordings share one."""
        last = self._last_network
        if last is None or last[0] is not grammar or last[1] != reject:
            last = self._last_network = (grammar, reject, self._built_network(grammar, reject))
        return last[2]

    def _built_network(self, grammar: str | WordAcceptor | None, reject: bool) -> WordNetwork:
        """Return a new network of a grammar."""
        if self.config is None:
            raise ParameterError(UNTRAINED)
        if grammar is None:
            grammar = one_of(self.words)
        elif isinstance(grammar, str):
            grammar = parse_grammar(grammar, vocabulary=self.words)
        return build_network(grammar.with_garbage() if reject else grammar, self.models, self.network)

    def _read(self, recording: Recording, sample_rate: int | None, channel: ChannelPolicy) -> Float32Array:
        """Return the samples of a recording at the rate of the model."""
        return read_signal(recording, self._config.sample_rate, sample_rate=sample_rate, channel=channel)

    def _frames(self, signal: Float32Array) -> Float32Array:
        """Return the frames as the models hear them."""
        frames = self._pipeline.transform(signal)
        return frames if self.transform is None else self.transform.apply(frames)
