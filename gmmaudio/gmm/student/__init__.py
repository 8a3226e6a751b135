"""Mixtures that outliers do not drag away: Student distributions in place of Gaussians, and a component for noise.

Peel & McLachlan 2000, "Robust mixture modelling using the t distribution", Statistics and Computing 10; uniform noise
as in Banfield & Raftery 1993, "Model-based Gaussian and non-Gaussian clustering", Biometrics 49.
"""
