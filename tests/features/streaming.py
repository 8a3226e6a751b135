"""Feeding a stage in pieces, for the tests of batch = stream."""

import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st


def cuttings(n_rows: int, max_cuts: int = 12) -> st.SearchStrategy[list[int]]:
    """Return a strategy of sorted cut positions; equal ones make empty blocks, neighbours blocks of one row."""
    near = st.integers(0, n_rows).flatmap(lambda cut: st.sampled_from([[cut], [cut, cut], [cut, min(cut + 1, n_rows)]]))
    return st.lists(near, max_size=max_cuts).map(lambda cuts: sorted(itertools.chain.from_iterable(cuts)))


def fed(stage, rows: np.ndarray, cuts: Sequence[int], resume_after: int | None = None) -> np.ndarray:
    """Return what a stage gives for rows that are cut; after block `resume_after` a new stage takes over the state."""
    edges = [0, *cuts, len(rows)]
    stage = stage.fresh()
    outputs = []
    for index, (start, stop) in enumerate(itertools.pairwise(edges)):
        outputs.append(stage.push(rows[start:stop]))
        if index == resume_after:
            state, stage = stage.state_dict(), stage.fresh()
            stage.load_state(state)
    return np.concatenate([*outputs, stage.flush()])
