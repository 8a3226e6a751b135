"""The separator: learn sources from recordings of each alone, then take mixtures of them apart."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import StoredModel
from gmmaudio.separation.colours import MAX_FRAMES, band_starts, estimate_colours
from gmmaudio.separation.gains import MAX_FRAMES as MAX_GAIN_FRAMES
from gmmaudio.separation.gains import estimate_gains, evenly_spread, level_of
from gmmaudio.separation.levels import SourceLevels, gains_of_levels, levels_of_gains
from gmmaudio.separation.masking import Dynamics, Likelihood, Mask, MaskMaker, SeparationConfig, Spectra
from gmmaudio.separation.ranking import RankedPair, rank_pairs
from gmmaudio.separation.recordings import Recording, count_channels, sample_blocks
from gmmaudio.separation.stft import Analysis, StftConfig, power_of
from gmmaudio.separation.storage import pack, unpack
from gmmaudio.separation.stream import SeparationStream
from gmmaudio.separation.training import SourceModel, adapt_source_model, train_source_model

BACKGROUND = "background"
"""Name of the source that stands for everything else, and that others are adapted from."""

QUIETEST_LEVEL = -300.0
"""Level of digital silence in dB: of power 1e-30."""


class Separator:
    """Separate the sounds of known sources.

    Parameters
    ----------
    n_components : int, default 64
        Spectra that a source is made of; time grows with the square for two sources.
    sample_rate : int, default 16000
        Sample rate that models work at, in Hz; recordings at another are converted.
    frame_length : float, default 0.064
        Window in seconds; the latency of a stream.
    likelihood : {"wiener", "mixmax"}
    dynamics : {"independent", "hmm"}
    mask : {"soft", "binary"}
    spectra : {"both", "one", "sum"}
        See `SeparationConfig`.
    random_state : int, default 0
        Seed of the initialisation.

    Raises
    ------
    ParameterError
        If one of them cannot be.

    Examples
    --------
    >>> rng, time = np.random.default_rng(0), np.arange(16000) / 8000
    >>> hum, hiss = np.sin(2 * np.pi * 200 * time), np.diff(rng.normal(size=16001))
    >>> separator = Separator(n_components=4, sample_rate=8000)
    >>> separator = separator.train_source("hum", [hum]).train_source("hiss", [hiss])
    >>> estimates = separator.separate(hum + hiss, sources=["hum", "hiss"])
    >>> bool(np.corrcoef(estimates["hum"], hum)[0, 1] > 0.99)
    True
    """

    def __init__(
        self,
        n_components: int = 64,
        sample_rate: int = 16000,
        frame_length: float = 0.064,
        *,
        likelihood: Likelihood = "wiener",
        dynamics: Dynamics = "independent",
        mask: Mask = "soft",
        spectra: Spectra = "both",
        random_state: int = 0,
    ) -> None:
        if n_components < 1:
            raise ParameterError(f"n_components is {n_components} but must be at least 1; 64 is usual")
        self.n_components = n_components
        self.stft = StftConfig(sample_rate, frame_length)
        self.config = SeparationConfig(likelihood, dynamics, mask, spectra)
        self.random_state = random_state
        self._models: dict[str, SourceModel] = {}

    @property
    def sample_rate(self) -> int:
        """Sample rate of the models and the estimates, in Hz."""
        return self.stft.sample_rate

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that have been learnt."""
        return tuple(self._models)

    def train_source(
        self,
        name: str,
        recordings: Recording | Iterable[Recording],
        *,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
        adapt: bool = False,
        relevance_factor: float = 16.0,
    ) -> Self:
        """Learn a source from recordings of it alone; a minute or more of a voice.

        Parameters
        ----------
        name : str
            `BACKGROUND` ("background") is everything else: recordings of many sources.
        recordings : path or array of samples, or several
            Each channel of a file counts as a recording. Every recording is brought to the same level.
        sample_rate : int, optional
            Of arrays, in Hz, if it is not that of the models.
        channel : int or "mix", optional
            Of files with several.
        adapt : bool, default False
            Adapt the background model (maximum a posteriori) instead of training from nothing: for seconds of sound.
        relevance_factor : float, default 16.0
            Frames of the source that count as much as the background model; for `adapt`.

        Raises
        ------
        ParameterError
            If the name is empty, or there is no background to adapt.
        GmmAudioError
            If a recording cannot be read, or all are digital silence.
        """
        if not name.strip():
            raise ParameterError("the name of a source is empty; give it one")
        if adapt and (name == BACKGROUND or BACKGROUND not in self._models):
            raise ParameterError(f"adapt=True adapts the source '{BACKGROUND}'; train that first, on many sources")
        power = list(self._training_power(_as_list(recordings), sample_rate, channel))
        if not power:
            raise GmmAudioError(f"the recordings of '{name}' are digital silence; record it again")
        if adapt:
            self._models[name] = adapt_source_model(self._models[BACKGROUND], power, relevance_factor=relevance_factor)
        else:
            random_state = np.random.RandomState(self.random_state)
            self._models[name] = train_source_model(power, self.n_components, random_state=random_state)
        return self

    def with_config(self, config: SeparationConfig) -> Self:
        """Return a separator with the same sources and another kind of inference; nothing is trained again."""
        other = copy.copy(self)
        other.config = config
        other._models = dict(self._models)
        return other

    def separate(
        self,
        mixture: Recording,
        sources: Sequence[str] | None = None,
        *,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
        levels: Mapping[str, float] | None = None,
    ) -> dict[str, Float32Array]:
        """Return the estimate of each source at the sample rate of the models; they add up to the mixture.

        The levels of the sources in the recording are found first, unless they are given; then it is masked block by
        block. `separate_blocks` gives the same without holding a long recording in memory.

        Parameters
        ----------
        mixture : path or array of samples, (n_samples,) or (n_samples, n_channels)
            The masks of several channels are the same.
        sources : sequence of str, optional
            One name is separated from the background. Without names: the likeliest pair (`rank_sources`).
        sample_rate : int, optional
            Of an array, in Hz, if it is not that of the models.
        channel : int or "mix", optional
            Of a file with several; None takes all.
        levels : mapping of str to float, optional
            Level of each source in dB, as `estimate_levels` gives them; plain numbers keep the colours of the training.

        Returns
        -------
        estimates : dict of str to array, shape of the mixture

        Raises
        ------
        ParameterError
            If a source is unknown or given twice, two sources have the same model (nothing could tell them apart),
            or levels are missing.
        GmmAudioError
            If the mixture cannot be read.
        """
        names = self._chosen(sources, mixture, sample_rate, channel)
        blocks = self.separate_blocks(mixture, names, sample_rate=sample_rate, channel=channel, levels=levels)
        parts: list[list[Float32Array]] = [[] for _ in names]
        for block in blocks:
            for index, part in enumerate(parts):
                part.append(block[:, index].copy())
        return {name: np.concatenate(parts.pop(0)) for name in names}

    def separate_blocks(
        self,
        mixture: Recording,
        sources: Sequence[str],
        *,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
        levels: Mapping[str, float] | None = None,
    ) -> Iterator[Float32Array]:
        """Yield what `separate` returns, in blocks (n_samples, n_sources) or (n_samples, n_sources, n_channels).

        A file is read twice, once for the levels; memory does not grow with its length.
        """
        names = self._checked(sources)
        if levels is None:
            levels = self.estimate_levels(mixture, names, sample_rate=sample_rate, channel=channel)
        n_channels = count_channels(mixture, channel)
        stream = self.stream(names, levels=levels, n_channels=n_channels)
        for block in self._blocks(mixture, sample_rate, channel):
            yield stream.push(block)
        yield stream.flush()

    def estimate_levels(
        self,
        mixture: Recording,
        sources: Sequence[str],
        *,
        sample_rate: int | None = None,
        channel: ChannelPolicy = None,
    ) -> SourceLevels:
        """Return the level of each source in a mixture in dB, of maximum likelihood, and its colour.

        0 dB is a mean square of 1. A source that is not there comes out 25 to 30 dB below the mixture. What is returned
        is a mapping of names to numbers; it holds the colours, too, that its use as `levels` has in `separate`.
        """
        names = self._checked(sources)
        power = self._sampled_power(mixture, sample_rate, channel)
        if not power.any():
            return SourceLevels(dict.fromkeys(names, QUIETEST_LEVEL))
        spectral = [self._models[name].spectral for name in names]
        gains, _ = estimate_gains(spectral, evenly_spread(power, MAX_GAIN_FRAMES))
        gains, colours = estimate_colours(spectral, gains, power, band_starts(self.stft))
        return levels_of_gains(names, gains, colours, self.stft)

    def rank_sources(
        self, mixture: Recording, *, sample_rate: int | None = None, channel: ChannelPolicy = None
    ) -> list[RankedPair]:
        """Return the pairs of sources that may be in a mixture, best first.

        Raises
        ------
        ParameterError
            If fewer than two sources (the background does not count) have been learnt.
        GmmAudioError
            If the mixture cannot be read, or is digital silence.
        """
        models = {name: model.spectral for name, model in self._models.items() if name != BACKGROUND}
        if len(models) < 2:
            raise ParameterError(
                f"{len(models)} sources have been learnt but a pair needs two; train_source them first"
            )
        power = self._sampled_power(mixture, sample_rate, channel)
        if not power.any():
            raise GmmAudioError("the mixture is digital silence, which says nothing about who is in it")
        return rank_pairs(models, power)

    def stream(
        self, sources: Sequence[str], *, levels: Mapping[str, float] | None = None, n_channels: int = 1
    ) -> SeparationStream:
        """Return a stage that separates a mixture while it goes on, with a latency of one window.

        Parameters
        ----------
        sources : sequence of str
            One name is separated from the background.
        levels : mapping of str to float, optional
            Level of each source in dB; tracked if not given.
        n_channels : int
        """
        names = self._checked(sources)
        maker = MaskMaker([self._models[name] for name in names], self.config)
        known = None if levels is None else gains_of_levels(names, levels, self.stft)
        return SeparationStream(maker, self.stft, levels=known, n_channels=n_channels)

    def to_stored(self) -> StoredModel:
        """Return what a model file holds."""
        return pack(self.n_components, self.stft, self.config, self.random_state, self._models)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build it from what a model file holds; raise `GmmAudioError` for what cannot be a model."""
        arguments, models = unpack(stored)
        separator = cls(**arguments)
        for name, model in models.items():
            if model.spectral.n_bins != separator.stft.n_bins:
                raise GmmAudioError(f"the source '{name}' does not have the frequencies of the window")
        separator._models = models
        return separator

    def _checked(self, sources: Sequence[str]) -> tuple[str, ...]:
        """Return the names of two or more sources that can be told apart; the background joins a single one."""
        names = (sources,) if isinstance(sources, str) else tuple(sources)
        if len(names) == 1 and BACKGROUND in self._models and names[0] != BACKGROUND:
            names = (*names, BACKGROUND)
        if len(names) < 2:
            raise ParameterError(
                f"sources names {len(names)} but separation needs two or more; to separate one from everything else, "
                f"train '{BACKGROUND}' on other sounds"
            )
        for name in names:
            if name not in self._models:
                known = ", ".join(self._models) or "none"
                raise ParameterError(f"the source {name!r} is not known; known are: {known}")
        for index, name in enumerate(names):
            for other in names[:index]:
                if name == other or self._models[name].same_as(self._models[other]):
                    raise ParameterError(
                        f"the sources '{other}' and '{name}' have the same model, so nothing tells them apart and each "
                        "would be half of the mixture; train each on recordings of its own"
                    )
        return names

    def _chosen(
        self, sources: Sequence[str] | None, mixture: Recording, sample_rate: int | None, channel: ChannelPolicy
    ) -> tuple[str, ...]:
        """Return the sources asked for, or those found in the mixture."""
        if sources is not None:
            return self._checked(sources)
        return self._checked(self.rank_sources(mixture, sample_rate=sample_rate, channel=channel)[0].sources)

    def _blocks(self, recording: Recording, sample_rate: int | None, channel: ChannelPolicy) -> Iterator[Float32Array]:
        """Yield the samples of a recording at the rate of the models."""
        return sample_blocks(recording, target_rate=self.sample_rate, sample_rate=sample_rate, channel=channel)

    def _power(self, recording: Recording, sample_rate: int | None, channel: ChannelPolicy) -> Iterator[Float32Array]:
        """Yield the power spectra of a recording, averaged over its channels, block by block."""
        analysis = Analysis(self.stft, count_channels(recording, channel))
        for block in self._blocks(recording, sample_rate, channel):
            yield power_of(analysis.push(block))
        yield power_of(analysis.flush())

    def _sampled_power(self, mixture: Recording, sample_rate: int | None, channel: ChannelPolicy) -> Float32Array:
        """Return frames that are spread evenly over a mixture of any length."""
        kept, step, n_seen = [], 1, 0
        for power in self._power(mixture, sample_rate, channel):
            kept.append(power[-n_seen % step :: step])
            n_seen += len(power)
            if sum(map(len, kept)) >= 4 * MAX_FRAMES:
                kept, step = [np.concatenate(kept)[::2]], 2 * step
        return evenly_spread(np.concatenate(kept), MAX_FRAMES)

    def _training_power(
        self, recordings: Sequence[Recording], sample_rate: int | None, channel: ChannelPolicy
    ) -> Iterator[Float32Array]:
        """Yield the power spectra of each channel of each recording that is not silent, at a mean of 1."""
        for recording in recordings:
            analysis = Analysis(self.stft, count_channels(recording, channel))
            blocks = self._blocks(recording, sample_rate, channel)
            spectra = np.concatenate([*map(analysis.push, blocks), analysis.flush()])
            for index in range(spectra.shape[1]):
                power = power_of(spectra[:, index : index + 1])
                if power.any():
                    yield power / np.float32(level_of(power))


def _as_list(recordings: Recording | Iterable[Recording]) -> list[Recording]:
    """Return one recording or several as a list."""
    if isinstance(recordings, str | np.ndarray) or hasattr(recordings, "__fspath__"):
        return [recordings]  # type: ignore[list-item]
    listed = list(recordings)
    if not listed:
        raise ParameterError("no recordings were given; name at least one")
    return listed
