"""Audio and time series with Gaussian mixtures: features, models, streaming and decisions.

Names are imported when they are first used, so that `import gmmaudio` stays fast.
"""

__version__ = "0.1.0.dev0"
