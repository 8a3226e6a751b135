"""What speaks for one model against another: information criteria, and the likelihood of held-out recordings.

Conventions. Natural logs. Log-likelihoods are sums over all frames unless they are called means. Of the information
criteria the *least* is the best: they are on the scale of −2 log L. (mclust and the paper that proposed ICL have the
opposite sign, the paper half the scale as well.) All of them take frames for independent; neighbouring frames of a
recording are not, so that BIC, AIC and ICL then ask for too many components, the more the closer the frames are.
"""

import math

import numpy as np

from gmmaudio._typing import Float64Array


def bic(log_likelihood: float, n_parameters: int, n_frames: int) -> float:
    """Return the Bayesian information criterion ``−2 log L + n_parameters log n_frames`` (Schwarz 1978).

    Examples
    --------
    >>> round(bic(-100.0, 5, 100), 3)
    223.026
    """
    return -2.0 * log_likelihood + n_parameters * math.log(n_frames)


def aic(log_likelihood: float, n_parameters: int) -> float:
    """Return the Akaike information criterion ``−2 log L + 2 n_parameters`` (Akaike 1974).

    Examples
    --------
    >>> aic(-100.0, 5)
    210.0
    """
    return -2.0 * log_likelihood + 2.0 * n_parameters


def icl(log_likelihood: float, n_parameters: int, n_frames: int, entropy: float) -> float:
    """Return the integrated completed likelihood, ``BIC + 2 entropy`` (Biernacki, Celeux & Govaert 2000).

    "Assessing a mixture model for clustering with the integrated completed likelihood", IEEE PAMI 22. Where BIC counts
    the Gaussians that a density takes, ICL counts clusters: components that share frames are held against the model.
    This is the form with the entropy of the responsibilities (McLachlan & Peel 2000, sec. 6.10.3) and not that of the
    most likely assignment.

    Parameters
    ----------
    log_likelihood : float
    n_parameters, n_frames : int
    entropy : float
        Of all frames; see `assignment_entropy`.

    Examples
    --------
    >>> icl(-100.0, 5, 100, entropy=10.0) - bic(-100.0, 5, 100)
    20.0
    """
    return bic(log_likelihood, n_parameters, n_frames) + 2.0 * entropy


def assignment_entropy(responsibilities: Float64Array) -> float:
    """Return ``−Σ_t Σ_k γ_t(k) log γ_t(k)``: 0 where every frame belongs to one component for sure.

    Parameters
    ----------
    responsibilities : array, shape (n_frames, n_components)

    Examples
    --------
    >>> round(assignment_entropy(np.array([[0.5, 0.5], [1.0, 0.0]])), 4)
    0.6931
    """
    positive = responsibilities[responsibilities > 0]
    return -float((positive * np.log(positive)).sum())


def mean_with_error(sums: Float64Array, counts: Float64Array) -> tuple[float, float]:
    """Return the mean over all frames, and its standard error where whole groups of frames were drawn.

    The mean is the ratio ``Σ sums / Σ counts``; its error is that of a ratio of two sums over independent groups,
    ``√(G / (G − 1) Σ_g (sum_g − mean · count_g)²) / Σ counts`` (Cochran 1977, "Sampling Techniques", eq. 6.13). With
    groups of one frame it is the usual one, ``s / √n``.

    Parameters
    ----------
    sums, counts : array, shape (n_groups,)
        Sum over the frames of each group, and their number. At least two groups.

    Examples
    --------
    >>> mean_with_error(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4))
    (2.5, 0.6454972243679028)
    """
    mean = float(sums.sum() / counts.sum())
    squares = float(np.square(sums - mean * counts).sum())
    n_groups = len(sums)
    return mean, math.sqrt(n_groups / (n_groups - 1) * squares) / float(counts.sum())
