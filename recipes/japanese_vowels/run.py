"""Who of nine people says two vowels: a hidden Markov model for each, `GMMHMM` itself without any word recogniser.

    python recipes/japanese_vowels/run.py FOLDER

FOLDER holds JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts. What to expect stands in README.md.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

import hmmlearn.hmm
import numpy as np
from rich.console import Console
from rich.table import Table

from gmmaudio.features import Deltas
from gmmaudio.hmm import GMMHMM
from gmmaudio.metrics import proportion_interval

N_STATES = 5  # chosen with the number of components on the training file alone; see README.md


def read_ts(path: Path) -> list[tuple[np.ndarray, str]]:
    """Return the sequences of a .ts file, each of shape (n_frames, 12), with their speakers."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.lower().startswith("@data")) + 1
    rows = [line.split(":") for line in lines[start:] if line]
    return [(np.array([column.split(",") for column in columns], dtype=float).T, who) for *columns, who in rows]


def with_deltas(sequences: list[tuple[np.ndarray, str]]) -> list[tuple[np.ndarray, str]]:
    """Return the sequences with the differences of their coefficients over time."""
    deltas = Deltas(sequences[0][0].shape[1])
    return [(deltas.transform(frames), who) for frames, who in sequences]


def gmmaudio_model(own: list[np.ndarray]) -> GMMHMM:
    """Train on the sequences of one speaker."""
    return GMMHMM(N_STATES, topology="left-right", variance_floor=0.1, max_iter=10, tol=0.0).fit(own)


def hmmlearn_model(own: list[np.ndarray]) -> hmmlearn.hmm.GMMHMM:
    """Train hmmlearn's model of the same shape."""
    # Transitions stay as they are: a last state that no sequence stays in would get a row of zeros, and no score.
    model = hmmlearn.hmm.GMMHMM(N_STATES, 1, n_iter=10, init_params="mcw", params="mcw", random_state=0)
    model.startprob_ = np.eye(N_STATES)[0]
    model.transmat_ = 0.5 * (np.eye(N_STATES) + np.eye(N_STATES, k=1))
    model.transmat_[-1, -1] = 1.0
    return model.fit(np.concatenate(own), [len(frames) for frames in own])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the Japanese Vowels data set")
    folder = parser.parse_args().folder
    warnings.filterwarnings("ignore", module="hmmlearn|sklearn")
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    train, test = (with_deltas(read_ts(folder / f"JapaneseVowels_{part}.ts")) for part in ("TRAIN", "TEST"))
    table = Table("system", "right", "time", title=f"Japanese Vowels: {len(train)} to train, {len(test)} to test")
    for name, fit in (("gmmaudio", gmmaudio_model), ("hmmlearn", hmmlearn_model)):
        started = time.perf_counter()
        models = {who: fit([x for x, own in train if own == who]) for who in sorted({own for _, own in train})}
        count = sum(max(models, key=lambda m: models[m].score(frames)) == who for frames, who in test)
        low, high = proportion_interval(count, len(test))
        right = f"{count / len(test):.1%} ({count}/{len(test)}) [{low:.1%}, {high:.1%}]"
        table.add_row(name, right, f"{time.perf_counter() - started:.1f} s")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
