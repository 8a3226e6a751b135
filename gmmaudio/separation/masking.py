"""From power spectra and gains to masks, by the kind of inference that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.separation.factorial import factorial_forward_backward, predict
from gmmaudio.separation.joint import JointModel, WienerPair, blocks_of_frames, independent_masks, set_masks
from gmmaudio.separation.mixmax import MixmaxPair
from gmmaudio.separation.several import SeveralSources
from gmmaudio.separation.sums import SpectralSums
from gmmaudio.separation.training import SourceModel

Likelihood = Literal["wiener", "mixmax"]
Dynamics = Literal["independent", "hmm"]
Mask = Literal["soft", "binary"]
Spectra = Literal["both", "one", "sum"]

CHOICES = {
    "likelihood": ("wiener", "mixmax"),
    "dynamics": ("independent", "hmm"),
    "mask": ("soft", "binary"),
    "spectra": ("both", "one", "sum"),
}


@dataclass(frozen=True)
class SeparationConfig:
    """How masks are made.

    Attributes
    ----------
    likelihood : {"wiener", "mixmax"}
        Sources add up in power, or the louder one is all that is heard. MIXMAX takes ten times as long.
    dynamics : {"independent", "hmm"}
        Whether frames are independent of each other, or the components follow each other as in training, exactly for
        two sources (a factorial hidden Markov model) up to a look-ahead of half a second.
    mask : {"soft", "binary"}
        Whether a bin is shared or goes to the source that has the larger share.
    spectra : {"both", "one", "sum"}
        Whether a source sounds with one of its spectra at a time, by the posterior of the joint states, with a sum of
        them (`gmmaudio.separation.sums`, which knows neither MIXMAX nor dynamics), or masks are the mean of both.
    """

    likelihood: Likelihood = "wiener"
    dynamics: Dynamics = "independent"
    mask: Mask = "soft"
    spectra: Spectra = "both"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ParameterError(f"{name} is {value!r} but must be one of {', '.join(choices)}")
        if self.spectra == "sum" and (self.likelihood, self.dynamics) != ("wiener", "independent"):
            raise ParameterError(
                f"spectra='sum' has no states, so likelihood={self.likelihood!r} with dynamics={self.dynamics!r} would "
                "change nothing; use 'wiener' and 'independent', or spectra='both'"
            )

    def check_n_sources(self, n_sources: int) -> None:
        """Raise if this kind of inference does not exist for so many sources."""
        if n_sources > 2 and (self.likelihood, self.dynamics) != ("wiener", "independent"):
            raise ParameterError(
                f"{n_sources} sources were asked for, but likelihood={self.likelihood!r} with "
                f"dynamics={self.dynamics!r} is for two; use 'wiener' and 'independent', or separate two at a time"
            )


class MaskMaker:
    """Masks of the sources for power spectra, frame by frame or by a factorial hidden Markov model.

    Parameters
    ----------
    sources : sequence of SourceModel
        Two or more.
    config : SeparationConfig
    """

    def __init__(self, sources: Sequence[SourceModel], config: SeparationConfig) -> None:
        config.check_n_sources(len(sources))
        self.sources = tuple(sources)
        self.config = config
        self._place = np.zeros((len(sources), 0))
        self._models: tuple[JointModel | SeveralSources, SpectralSums] | None = None

    @property
    def start(self) -> Float64Array:
        """Probability of each pair of components before the first frame; empty where frames are independent."""
        if self.config.dynamics == "independent":
            return np.zeros((0, 0))
        return np.outer(*(source.spectral.weights for source in self.sources))

    def masks(
        self,
        power: Float32Array,
        gains: Float64Array,
        colours: Float64Array,
        expected: Float64Array,
        *,
        n_final: int,
    ) -> tuple[Float32Array, Float64Array]:
        """Return the masks of the first `n_final` frames, (n_final, n_sources, n_bins), and what to expect after them.

        Parameters
        ----------
        power : array, shape (n_frames, n_bins)
            Relative to the level of the mixture; the frames after `n_final` are the look-ahead.
        gains : array, shape (n_sources,)
            Relative to that level, too.
        colours : array, shape (n_sources, n_bins)
            Power gains relative to the training.
        expected : array
            What the last call has returned, or `start`.
        """
        joint, sums = self._models_at(gains, colours)
        spectra = self.config.spectra
        if spectra == "sum":
            masks = sums.masks(power[:n_final])
        else:
            masks, expected = self._joint_masks(joint, power, expected, n_final)
            if spectra == "both":
                masks += sums.masks(power[:n_final])
                masks *= np.float32(0.5)
        return (_binary(masks) if self.config.mask == "binary" else masks), expected

    def _models_at(
        self, gains: Float64Array, colours: Float64Array
    ) -> tuple[JointModel | SeveralSources, SpectralSums]:
        """Return the joint states and the sums of spectra at the given gains and colours, made when these change."""
        place = np.column_stack([gains, colours])
        if self._models is None or not np.array_equal(place, self._place):
            self._place = place
            coloured = [own.coloured(colour) for own, colour in zip(self.sources, colours, strict=True)]
            sums = SpectralSums([own.spectral for own in coloured], gains)
            self._models = self._joint_model(coloured, gains), sums
        return self._models

    def _joint_masks(
        self, model: JointModel | SeveralSources, power: Float32Array, expected: Float64Array, n_final: int
    ) -> tuple[Float32Array, Float64Array]:
        """Return the masks of the joint states of the first frames, and what to expect after them."""
        if isinstance(model, SeveralSources):
            return model.masks(power[:n_final]), expected
        if self.config.dynamics == "independent":
            return independent_masks(model, power[:n_final]), expected
        return self._smoothed_masks(model, power, expected, n_final)

    def _joint_model(self, sources: Sequence[SourceModel], gains: Float64Array) -> JointModel | SeveralSources:
        """Return the joint states of sources of the right colour at the given gains."""
        if len(sources) > 2:
            return SeveralSources([source.spectral for source in sources], gains)
        first, second = sources
        of_both = (float(gains[0]), float(gains[1]))
        if self.config.likelihood == "mixmax":
            return MixmaxPair(first.log_spectral, second.log_spectral, of_both)
        return WienerPair(first.spectral, second.spectral, of_both)

    @one_blas_thread
    def _smoothed_masks(
        self, model: JointModel, power: Float32Array, expected: Float64Array, n_final: int
    ) -> tuple[Float32Array, Float64Array]:
        """Return the masks of the first frames given all, and the prediction for the frame after the last of them."""
        blocks = list(blocks_of_frames(power))
        log_likelihoods = np.concatenate(
            [model.log_likelihoods(block)[:, : rows.stop - rows.start].T for rows, block in blocks]
        ).reshape(-1, *model.shape)
        transitions = self.sources[0].transition_matrix, self.sources[1].transition_matrix
        result = factorial_forward_backward(expected, transitions, log_likelihoods)
        masks = np.empty((n_final, 2, power.shape[1]), np.float32)
        for rows, block in blocks:
            posteriors = np.zeros((len(model.log_prior), block.shape[1]), np.float32)
            posteriors[:, : rows.stop - rows.start] = result.posteriors[rows].reshape(rows.stop - rows.start, -1).T
            if rows.start < n_final:
                set_masks(masks[rows], model.first_mask(block, posteriors))
        return masks, predict(result.forward[n_final - 1], transitions)


def _binary(masks: Float32Array) -> Float32Array:
    """Return 1 for the source with the largest share in each bin, and 0 for the others."""
    largest = masks.argmax(axis=1)
    return np.asarray(largest[:, np.newaxis] == np.arange(masks.shape[1])[:, np.newaxis], np.float32)
