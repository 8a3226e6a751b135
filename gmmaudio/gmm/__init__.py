"""The diagonal-covariance Gaussian mixture: parameters, statistics, estimation, adaptation, scoring."""
