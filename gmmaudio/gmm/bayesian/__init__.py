"""Variational Bayes for Gaussian mixtures."""
