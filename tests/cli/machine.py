"""A machine of two channels, as rows and as lines of JSON, for the tests of `gmmaudio anomaly`."""

import json

import numpy as np

NAMES = ("speed", "load")


def normal(n, seed=0):
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n)
    return np.column_stack([load + 0.5 * rng.normal(size=n), load])


def as_json(rows):
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows.tolist())


def with_fault(n=200):
    rows = normal(n, seed=1)
    rows[120:130, 1] += 12.0
    return rows
