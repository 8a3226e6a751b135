"""Mixtures that outliers do not drag away: Student distributions in place of Gaussians, and a component for noise.

Peel & McLachlan 2000, "Robust mixture modelling using the t distribution", Statistics and Computing 10. Degrees of
freedom are estimated as by Liu & Rubin 1995, "ML estimation of the t distribution using EM and its extensions, ECM and
ECME", Statistica Sinica 5. Uniform noise as in Banfield & Raftery 1993, "Model-based Gaussian and non-Gaussian
clustering", Biometrics 49.

With a tenth of outliers 5 to 25 σ to one side of clusters of 2000 frames, the largest error of the means has a median
of 0.04 to 0.05 σ for `StudentTMixture`, 0.03 to 0.04 σ with noise, and of 1.5 to 15 σ for `GMM`
(`recipes/clustering/outliers.py` has the table).
"""
