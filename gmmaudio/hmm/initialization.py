"""Where the training of a hidden Markov model starts, from nothing but sequences and a topology.

A flat start gives each state one Gaussian: where time goes one way (left-right), each sequence is cut into equal parts,
one per state (Kaldi's and HTK's flat start); elsewhere k-means finds as many clusters as there are states. A few passes
of segmental k-means (Rabiner, Wilpon & Juang 1986: best path, re-estimation) follow. Then components are split until
there are enough, at most doubled in a round, with EM passes between the rounds (HTK book, section 10.6).
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.em import run_em
from gmmaudio.gmm.estimation import split_heaviest
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.initialization import initial_params
from gmmaudio.gmm.starts.subsample import subsample_limit
from gmmaudio.hmm.alignment import Aligner, along_states, best_path, by_another_model
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions
from gmmaudio.hmm.estimation import ALL
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.training import EmSteps

Initialization = Literal["alignment", "clusters"]

SEGMENTAL_PASSES = 5
"""Best-path passes with one Gaussian per state; boundaries hardly move after that."""

SPLIT_PASSES = 4
"""EM passes after each round of splits."""

RESTART_PASSES = 5
"""EM passes after which restarts are compared: the best start is seldom another one later (Biernacki et al. 2003)."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What all starts have in common.

    Attributes
    ----------
    start_probs, transition_matrix, end_probs : array
        The chain before any data was seen.
    n_components : array, shape (n_states,)
        Of each state; of the codebook, repeated, for tied emissions.
    tied : bool
    init : {"alignment", "clusters"}
    mean, variance : array, shape (n_features,)
        Of all frames.
    steps : EmSteps
        How EM passes are made between the rounds.
    """

    start_probs: Float64Array
    transition_matrix: Float64Array
    end_probs: Float64Array | None
    n_components: IntArray
    tied: bool
    init: Initialization
    mean: Float64Array
    variance: Float64Array
    steps: EmSteps

    def model(self, emissions: MixtureEmissions | TiedEmissions) -> HmmParams:
        """Return a model with the chain of the plan."""
        return HmmParams(self.start_probs, self.transition_matrix, emissions, self.end_probs)


def initial_hmm(plan: Plan, *, n_init: int, random_state: np.random.RandomState) -> HmmParams:
    """Return parameters from which training can start: the best of `n_init` starts after a few EM passes.

    The first start by alignment cuts sequences into equal parts, further ones at random; k-means draws anew for each.
    Which is best is decided by the likelihood after `RESTART_PASSES` passes.
    """
    starts = []
    for number in range(n_init):
        single = _single_gaussians(plan, random_state, at_random=number > 0)
        start = _codebook(plan, single, random_state) if plan.tied else _by_splitting(plan, single)
        if n_init == 1:
            return start
        start = _passes(plan, start, RESTART_PASSES)
        starts.append((plan.steps.accumulate(start).log_likelihood, -number, start))
    return max(starts, key=lambda entry: entry[:2])[2]


def _single_gaussians(plan: Plan, random_state: np.random.RandomState, *, at_random: bool) -> HmmParams:
    """Return a model with one Gaussian per state, after some passes of segmental k-means."""
    n_states = len(plan.start_probs)
    if plan.init == "alignment":
        flat = GmmParams([1.0], plan.mean[np.newaxis], np.maximum(plan.variance, plan.steps.variance_floor)[np.newaxis])
        model = plan.model(MixtureEmissions([flat] * n_states))
        seed = int(random_state.randint(2**31)) if at_random else None
        model = _passes(plan, model, 1, align=along_states(seed))
    else:
        clusters = _clusters(plan, n_states, random_state)
        gaussians = [
            GmmParams([1.0], mean[np.newaxis], variance[np.newaxis])
            for mean, variance in zip(clusters.means, clusters.variances, strict=True)
        ]
        model = plan.model(MixtureEmissions(gaussians))
    return _passes(plan, model, SEGMENTAL_PASSES, align=best_path)


def _passes(plan: Plan, model: HmmParams, n_passes: int, *, align: Aligner | None = None) -> HmmParams:
    """Return the model after some EM passes, without a prior."""
    steps = replace(plan.steps, align=align or plan.steps.align, prior=None, updates=ALL)
    return run_em(
        model, steps.accumulate, steps.estimate, max_iter=n_passes, tol=0.0, may_fall=lambda _, stats: True
    ).params


def _by_splitting(plan: Plan, model: HmmParams) -> HmmParams:
    """Return the model with as many components as planned, split and trained in rounds."""
    spread = np.where(plan.variance > plan.steps.variance_floor, plan.variance, np.inf)  # not along a constant feature
    while True:
        emissions = model.emissions
        assert isinstance(emissions, MixtureEmissions)
        numbers = [mixture.n_components for mixture in emissions.mixtures]
        if numbers == plan.n_components.tolist():
            return model
        grown = [
            _grown(mixture, min(2 * number, int(target)), spread, plan.steps.variance_floor)
            for mixture, number, target in zip(emissions.mixtures, numbers, plan.n_components, strict=True)
        ]
        model = HmmParams(model.start_probs, model.transition_matrix, MixtureEmissions(grown), model.end_probs)
        model = _passes(plan, model, SPLIT_PASSES)


def _grown(mixture: GmmParams, n_components: int, spread: Float64Array, variance_floor: Float64Array) -> GmmParams:
    """Return the mixture with its heaviest components split until there are so many."""
    if mixture.n_components == n_components:
        return mixture
    grown = split_heaviest(mixture, n_components - mixture.n_components, spread=spread)
    return GmmParams(grown.weights, grown.means, np.maximum(grown.variances, variance_floor))


def _codebook(plan: Plan, single: HmmParams, random_state: np.random.RandomState) -> HmmParams:
    """Return a model with a shared codebook, its weights from the alignment that single Gaussians give."""
    codebook = _clusters(plan, int(plan.n_components[0]), random_state)
    uniform = TiedEmissions(codebook, np.tile(codebook.weights, (single.n_states, 1)))
    model = HmmParams(single.start_probs, single.transition_matrix, uniform, single.end_probs)
    return _passes(plan, model, 1, align=by_another_model(single))


def _clusters(plan: Plan, n_clusters: int, random_state: np.random.RandomState) -> GmmParams:
    """Return a mixture of all frames by k-means; a missing feature takes the mean of its feature."""
    frames, weights = plan.steps.data.sample(subsample_limit(n_clusters), random_state)
    return initial_params(
        np.where(np.isnan(frames), plan.mean, frames),
        n_clusters,
        init="kmeans++",
        variance_floor=plan.steps.variance_floor,
        frame_weights=weights,
        random_state=random_state,
    )
