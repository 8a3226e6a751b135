"""The two error classes of the package; everything it raises on purpose is one of them.

A message says what was got, what is needed and what to try. scikit-learn's `NotFittedError` and
`ConvergenceWarning` are used where its users expect them.
"""


class GmmAudioError(Exception):
    """Base of every error that the package raises on purpose: bad files, bad audio, not enough data."""


class ParameterError(GmmAudioError, ValueError):
    """An argument has a value that cannot be used."""


class GmmAudioWarning(UserWarning):
    """The result is usable, but less trustworthy than the caller may think (clipping, very little speech)."""
