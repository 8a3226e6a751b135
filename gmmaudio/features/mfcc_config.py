"""What an MFCC is: every choice in which the conventions differ, and three named sets of choices.

Conventions. `kaldi` is `compute-mfcc-feats` without dither; `htk` is HTK's MFCC_0 (HTK Book, ch. 5, with frames of
25 ms and 20 filters, 12 cepstra and then C0); `librosa` is
`librosa.feature.mfcc` without the clipping relative to the loudest moment of the clip, which makes the features of a
frame depend on the rest of the recording. Signals are ±1; `signal_scale` brings them to the unit of the preset.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self

from gmmaudio.errors import ParameterError
from gmmaudio.features.config import Config, check_names, check_range
from gmmaudio.features.framing import Padding
from gmmaudio.features.mel import CosineNorm, MelBankName, WindowName

LONGEST_FRAME = 1 << 16
"""Samples; keeps the tables of a configuration from an untrusted file small."""


@dataclasses.dataclass(frozen=True)
class MfccConfig(Config):
    """Configuration of `MFCC`; the defaults are the `kaldi` preset at 16 kHz.

    Attributes
    ----------
    sample_rate : int, default 16000
        Hz. The filter bank and the frame lengths in samples follow from it.
    frame_length : float, default 0.025
        Seconds. Two or three pitch periods, short enough for speech to be steady.
    frame_shift : float, default 0.010
        Seconds. 100 frames a second follow the fastest articulations.
    padding : {"none", "zero", "reflect"}, default "none"
        What happens at the ends of the signal; see `gmmaudio.features.framing`.
    dither : float, default 0.0
        Standard deviation of added white noise, in steps of 16-bit audio (1/32768 of full scale). 1.0 hides digital
        silence; off by default, because features should be a function of the signal.
    dither_seed : int, default 0
        Chooses the noise. The noise of a sample depends on the seed and the sample's position only.
    signal_scale : float, default 32768.0
        The signal in ±1 is multiplied by it: 32768 for the 16-bit units of Kaldi and HTK, 1 for librosa.
    remove_dc : bool, default True
        Subtract the mean of each frame, against the offset of cheap sound cards.
    preemphasis : float, default 0.97
        Coefficient k of x[n] − k·x[n−1] within the frame (x[0] is multiplied by 1 − k); lifts the high formants.
    window : {"povey", "hamming", "hann", "rectangular"}, default "povey"
        See `gmmaudio.features.mel.window`.
    n_fft : int or None, default None
        Length of the Fourier transform in samples; None is the next power of two of the frame length.
    spectrum : {"power", "magnitude"}, default "power"
        What the filters add up: |X|² (Kaldi, librosa) or |X| (HTK).
    mel_bank : {"htk", "slaney"}, default "htk"
        See `gmmaudio.features.mel.mel_bank`; Kaldi's bank is the `htk` one.
    n_mels : int, default 23
        Number of filters; must leave at least one spectral line to each.
    fmin : float, default 20.0
        Hz, lower edge of the first filter; keeps hum and offset out.
    fmax : float or None, default None
        Hz, upper edge of the last filter; None is half the sample rate.
    log : {"natural", "decibel"}, default "natural"
        ln e, or 10 log10 e (librosa).
    log_floor : float, default 1.1920929e-07
        Smallest filter output that enters the logarithm, absolute, in the unit of the scaled spectrum.
    n_mfcc : int, default 13
        Number of coefficients, the zeroth counted even if it is left out; at most n_mels.
    cosine_norm : {"ortho", "htk"}, default "ortho"
        Scale of the zeroth coefficient: orthonormal, or √2 times that (HTK).
    lifter : float, default 22.0
        Sinusoidal lifter L, which evens out the variances of the coefficients; 0 is none.
    zeroth : {"log_energy", "c0", "none"}, default "log_energy"
        The coefficient 0 is ln Σx² of the frame before pre-emphasis and window (Kaldi), or the cosine transform's, or
        left out, which makes the features independent of the recording level.
    zeroth_position : {"first", "last"}, default "first"
        Column of coefficient 0; HTK puts it last.
    """

    sample_rate: int = 16000
    frame_length: float = 0.025
    frame_shift: float = 0.010
    padding: Padding = "none"
    dither: float = 0.0
    dither_seed: int = 0
    signal_scale: float = 32768.0
    remove_dc: bool = True
    preemphasis: float = 0.97
    window: WindowName = "povey"
    n_fft: int | None = None
    spectrum: Literal["power", "magnitude"] = "power"
    mel_bank: MelBankName = "htk"
    n_mels: int = 23
    fmin: float = 20.0
    fmax: float | None = None
    log: Literal["natural", "decibel"] = "natural"
    log_floor: float = 1.1920929e-07
    n_mfcc: int = 13
    cosine_norm: CosineNorm = "ortho"
    lifter: float = 22.0
    zeroth: Literal["log_energy", "c0", "none"] = "log_energy"
    zeroth_position: Literal["first", "last"] = "first"

    @classmethod
    def from_preset(cls, name: str, *, sample_rate: int, **overrides: Any) -> Self:
        """Return a named configuration with some fields replaced.

        Raises
        ------
        ParameterError
            If the preset or a field is unknown, or a value cannot be used.

        Examples
        --------
        >>> config = MfccConfig.from_preset("htk", sample_rate=8000, n_mels=24)
        >>> config.window, config.n_mels, config.frame_length_samples
        ('hamming', 24, 200)
        """
        if name not in PRESETS:
            raise ParameterError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}")
        check_names(overrides, [field.name for field in dataclasses.fields(cls)], "MfccConfig")
        values = dict(PRESETS[name]) | {"sample_rate": sample_rate}
        if name == "librosa" and isinstance(sample_rate, int) and sample_rate > 0:
            # librosa's lengths are fixed in samples, whatever the rate.
            values |= {"frame_length": 2048 / sample_rate, "frame_shift": 512 / sample_rate}
        return cls(**(values | overrides))

    @property
    def n_features(self) -> int:
        """Number of coefficients that come out: `n_mfcc`, less the zeroth if that is left out."""
        return self.n_mfcc - (self.zeroth == "none")

    @property
    def frame_length_samples(self) -> int:
        """Length of a frame in samples."""
        return round(self.frame_length * self.sample_rate)

    @property
    def frame_shift_samples(self) -> int:
        """Samples from the start of a frame to the start of the next."""
        return round(self.frame_shift * self.sample_rate)

    @property
    def fft_length(self) -> int:
        """Length of the Fourier transform in samples."""
        return 1 << (self.frame_length_samples - 1).bit_length() if self.n_fft is None else self.n_fft

    @property
    def upper_edge(self) -> float:
        """Upper edge of the last filter in Hz."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    def _check_values(self) -> None:
        check_range("sample_rate", self.sample_rate, 1000, 1_000_000)
        check_range("frame_length", self.frame_length, 2 / self.sample_rate, LONGEST_FRAME / self.sample_rate)
        check_range("frame_shift", self.frame_shift, 1 / self.sample_rate, self.frame_length)
        check_range("n_fft", self.fft_length, self.frame_length_samples, LONGEST_FRAME)
        if self.fft_length % 2:
            raise ParameterError(f"n_fft is {self.n_fft}; it must be even")
        check_range("dither", self.dither, 0, 32768)
        check_range("dither_seed", self.dither_seed, 0, 2**64 - 1)
        check_range("signal_scale", self.signal_scale, 1e-6, 1e6)
        check_range("preemphasis", self.preemphasis, 0, 1)
        check_range("n_mels", self.n_mels, 1, self.fft_length // 2)
        check_range("n_mfcc", self.n_mfcc, 2 if self.zeroth == "none" else 1, self.n_mels)
        check_range("log_floor", self.log_floor, 1e-30, 1e30)
        check_range("lifter", self.lifter, 0, 1e6)
        if not 0 <= self.fmin < self.upper_edge <= self.sample_rate / 2:
            raise ParameterError(
                f"fmin={self.fmin:g} and fmax={self.upper_edge:g} Hz at sample_rate={self.sample_rate}; "
                "0 <= fmin < fmax <= sample_rate / 2 is needed"
            )


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "kaldi": {},
    "htk": {
        "remove_dc": False,
        "window": "hamming",
        "spectrum": "magnitude",
        "n_mels": 20,
        "fmin": 0.0,
        "log_floor": 1.0,
        "cosine_norm": "htk",
        "zeroth": "c0",
        "zeroth_position": "last",
    },
    "librosa": {
        "padding": "zero",
        "signal_scale": 1.0,
        "remove_dc": False,
        "preemphasis": 0.0,
        "window": "hann",
        "mel_bank": "slaney",
        "n_mels": 128,
        "fmin": 0.0,
        "log": "decibel",
        "log_floor": 1e-10,
        "n_mfcc": 20,
        "lifter": 0.0,
        "zeroth": "c0",
    },
}
"""What each preset changes from the defaults."""
