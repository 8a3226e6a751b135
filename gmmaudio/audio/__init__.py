"""Audio in: any file that libsndfile reads, or raw samples from a pipe, as float32 mono blocks at the rate you ask for.

Conventions. A *signal* is float32, mono, of shape (n_samples,), with full scale at ±1; integers are divided by their
full scale (int16 by 32768). Several channels are never mixed or dropped silently. A file is read until nothing more
comes, whatever its header says, and the whole-file reader joins the blocks of the streaming one.
"""

from gmmaudio.audio.pcm import PcmFormat
from gmmaudio.audio.reading import AudioStream, read, stream_blocks
from gmmaudio.audio.resampling import Resampler
from gmmaudio.audio.signals import ClippingMeter, as_signal

__all__ = ["AudioStream", "ClippingMeter", "PcmFormat", "Resampler", "as_signal", "read", "stream_blocks"]
