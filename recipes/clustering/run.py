"""Which points belong together, and how many groups are there? Mixtures beside k-means and density clustering.

    python recipes/clustering/run.py [--seeds 10] [--picture FILE]

What to expect stands in README.md.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from data_sets import DATA_SETS, Points
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.cluster import DBSCAN, HDBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.neighbors import NearestNeighbors

from gmmaudio.gmm import BayesianGMM, select

MOST_CLUSTERS = 8
COVARIANCE_TYPES = ("spherical", "diag", "tied", "full")
DISTANCE_QUANTILE = 0.95  # of the distance to the neighbour that makes a point a core point, for DBSCAN
PICTURED = ("k-means, number given", "DBSCAN", "GMM, BIC", "BayesianGMM")


def kmeans(points: Points, n_clusters: int, seed: int) -> np.ndarray:
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(points.X)


def kmeans_by_silhouette(points: Points, seed: int) -> np.ndarray:
    """k-means with the number of clusters that has the greatest mean silhouette (Rousseeuw 1987)."""
    found = [kmeans(points, number, seed) for number in range(2, MOST_CLUSTERS + 1)]
    return max(found, key=lambda labels: silhouette_score(points.X, labels))


def dbscan(points: Points, quantile: float) -> np.ndarray:
    """DBSCAN with 2 D neighbours (Sander et al. 1998) and a radius that so many points have them within."""
    n_neighbours = 2 * points.X.shape[1]
    distances, _ = NearestNeighbors(n_neighbors=n_neighbours).fit(points.X).kneighbors()
    return DBSCAN(eps=np.quantile(distances[:, -1], quantile), min_samples=n_neighbours).fit_predict(points.X)


def all_labels(points: Points, seed: int) -> dict[str, np.ndarray]:
    """Return the cluster of each point by each method; what is told the truth says so in its name."""
    search = select(points.X, range(1, MOST_CLUSTERS + 1), covariance_types=COVARIANCE_TYPES, random_state=seed)
    by = {name: min(search.candidates, key=lambda c: getattr(c, name)) for name in ("bic", "icl")}
    right = [candidate for candidate in search.candidates if candidate.n_components == points.n_clusters]
    bayesian = BayesianGMM(12, covariance_type="full", random_state=seed).fit(points.X)
    radii = [dbscan(points, quantile) for quantile in np.linspace(0.05, 1.0, 20)]
    return {
        "k-means, number given": kmeans(points, points.n_clusters, seed),
        "k-means, silhouette": kmeans_by_silhouette(points, seed),
        "DBSCAN": dbscan(points, DISTANCE_QUANTILE),
        "DBSCAN, best radius given": max(radii, key=lambda labels: agreement(points, labels)),
        "HDBSCAN": HDBSCAN(min_cluster_size=len(points.X) // 100, copy=True).fit_predict(points.X),
        "GMM, number given": min(right, key=lambda candidate: candidate.bic).model.predict(points.X),
        "GMM, BIC": by["bic"].model.predict(points.X),
        "GMM, ICL": by["icl"].model.predict(points.X),
        "BayesianGMM": bayesian.predict(points.X),
    }


def agreement(points: Points, labels: np.ndarray) -> float:
    """Return the adjusted Rand index (Hubert & Arabie 1985) of the points that belong to a cluster."""
    clustered = points.truth >= 0
    return float(adjusted_rand_score(points.truth[clustered], labels[clustered]))


def n_found(labels: np.ndarray) -> int:
    """Return the number of clusters with at least one point in a hundred."""
    return int((np.bincount(labels[labels >= 0]) >= 0.01 * len(labels)).sum())


def table(title: str, cells: dict[str, dict[str, str]]) -> Table:
    """Return a table with a row for each method and a column for each data set."""
    columns = Table("", *next(iter(cells.values())), title=title)
    for method, row in cells.items():
        columns.add_row(method, *row.values())
    return columns


def draw(path: Path, examples: dict[str, tuple[Points, dict[str, np.ndarray]]]) -> None:
    """Write a picture: a row for each data set, a column for each method; grey is noise."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    colours = np.vstack([colormaps["tab20"].colors, [[0.75] * 3]])
    figure = Figure(figsize=(2 * len(PICTURED) + 2, 1.8 * len(examples)), dpi=60, layout="constrained")
    grid = figure.subplots(len(examples), len(PICTURED) + 1, squeeze=False)
    for axes_row, (name, (points, labels)) in zip(grid, examples.items(), strict=True):
        shown = {"truth": points.truth} | {method: labels[method] for method in PICTURED}
        for axes, (method, colour) in zip(axes_row, shown.items(), strict=True):
            axes.scatter(*points.X[:, :2].T, s=2, c=colours[np.where(colour < 0, -1, colour % 20)], linewidths=0)
            axes.set(xticks=[], yticks=[], title=method if axes in grid[0] else "")
        axes_row[0].set_ylabel(name)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many draws of each data set (default: 10)")
    parser.add_argument("--only", nargs="+", choices=DATA_SETS, default=list(DATA_SETS), help="data sets to look at")
    parser.add_argument("--picture", type=Path, help="draw the first draw of each data set into this file")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    rand: dict[str, dict[str, str]] = {}
    numbers: dict[str, dict[str, str]] = {}
    examples = {}
    for name in options.only:
        draws = [DATA_SETS[name](np.random.default_rng(seed)) for seed in range(options.seeds)]
        found = [all_labels(points, seed) for seed, points in enumerate(track(draws, name))]
        examples[name] = draws[0], found[0]
        for method in found[0]:
            scores = [agreement(points, labels[method]) for points, labels in zip(draws, found, strict=True)]
            counts = [n_found(labels[method]) for labels in found]
            right = sum(count == points.n_clusters for count, points in zip(counts, draws, strict=True))
            rand.setdefault(method, {})[name] = f"{np.mean(scores):.2f} ±{np.std(scores):.2f}"
            numbers.setdefault(method, {})[name] = f"{np.mean(counts):.1f} ({right})"
    console = Console(width=160)
    console.print(table(f"adjusted Rand index, mean and standard deviation of {options.seeds} draws", rand))
    console.print(table("clusters found, mean (and in how many draws the true number)", numbers))
    if options.picture:
        draw(options.picture, examples)


if __name__ == "__main__":
    main()
