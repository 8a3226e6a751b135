"""How far do outliers drag the means of clusters? Gaussian mixtures beside Student distributions and uniform noise.

    python recipes/clustering/outliers.py [--seeds 20]

What to expect stands in README.md.
"""

import argparse

import numpy as np
from data_sets import noisy
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.covariance import MinCovDet
from sklearn.metrics import adjusted_rand_score

from gmmaudio.gmm import GMM, StudentTMixture

PROBLEMS = {"one cluster": [[0.0, 0.0]], "two clusters": [[-4.0, 0.0], [4.0, 0.0]]}
POINTS_PER_CLUSTER, OUTLIER_SHARE, BOX_WIDTH, BOX_DISTANCE = 2000, 0.1, 20.0, 5.0
TRAINING = {"max_iter": 500, "tol": 1e-5, "precision": "double"}


def draw(centers: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points of clusters with σ = 1, some replaced by points of a box to the right of them, and which."""
    rng = np.random.default_rng(seed)
    n_points = POINTS_PER_CLUSTER * len(centers)
    X = centers[rng.integers(len(centers), size=n_points)] + rng.standard_normal((n_points, 2))
    is_outlier = rng.random(n_points) < OUTLIER_SHARE
    corner = np.array([centers[:, 0].max() + BOX_DISTANCE, -0.5 * BOX_WIDTH])
    X[is_outlier] = rng.uniform(corner, corner + BOX_WIDTH, (is_outlier.sum(), 2))
    return X, is_outlier


def all_means(X: np.ndarray, is_outlier: np.ndarray, n_clusters: int, seed: int) -> dict[str, np.ndarray]:
    """Return the means by each method; what is told the truth says so in its name."""
    models = {
        "GMM": GMM(n_clusters, random_state=seed, **TRAINING),
        "GMM, trimmed start": GMM(n_clusters, init="trimmed", random_state=seed, **TRAINING),
        "Student": StudentTMixture(n_clusters, random_state=seed),
        "Student, 3 degrees of freedom": StudentTMixture(n_clusters, degrees_of_freedom=3.0, random_state=seed),
        "Gaussians and noise": StudentTMixture(n_clusters, degrees_of_freedom=np.inf, noise=True, random_state=seed),
        "Student and noise": StudentTMixture(n_clusters, noise=True, random_state=seed),
    }
    means = {name: model.fit(X).means_ for name, model in models.items()}
    if n_clusters == 1:
        means["minimum covariance determinant"] = MinCovDet(random_state=seed).fit(X).location_[np.newaxis]
    told = GMM(n_clusters, random_state=seed, **TRAINING).fit(X[~is_outlier])
    return means | {"GMM, told the outliers": told.means_}


def clusters_with_noise(n_seeds: int) -> Table:
    """Return how many clusters of the data set `noisy` are found, and how well, by the least BIC of 1 to 8."""
    columns = Table("noisy", "adjusted Rand index", "clusters found", "true number", "noise found", "taken for noise")
    methods = {
        "GMM, BIC": lambda number, seed: GMM(number, covariance_type="full", random_state=seed),
        "Gaussians and noise, BIC": lambda number, seed: StudentTMixture(
            number, covariance_type="full", degrees_of_freedom=np.inf, noise=True, tol=1e-4, random_state=seed
        ),
    }
    for method, make in methods.items():
        rows = []
        for seed in track(range(n_seeds), method):
            points = noisy(np.random.default_rng(seed))
            models = [make(number, seed).fit(points.X) for number in range(1, 9)]
            best = min(models, key=lambda model: model.bic(points.X))
            labels, clustered = best.predict(points.X), points.truth >= 0
            rand = adjusted_rand_score(points.truth[clustered], labels[clustered])
            is_noise = labels == -1
            number = best.n_components
            rows.append(
                (rand, number, number == points.n_clusters, is_noise[~clustered].mean(), is_noise[clustered].mean())
            )
        rand, number, right, found, lost = np.array(rows).T
        columns.add_row(
            method,
            f"{rand.mean():.2f} ±{rand.std():.2f}",
            f"{number.mean():.1f}",
            f"{int(right.sum())} of {n_seeds}",
            f"{found.mean():.0%}",
            f"{lost.mean():.1%}",
        )
    return columns


def largest_error(means: np.ndarray, centers: np.ndarray) -> float:
    """Return the largest error of any coordinate of any mean, in σ; both in the order of the first coordinate."""
    return float(np.abs(means[means[:, 0].argsort()] - centers).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many draws of each problem (default: 20)")
    options = parser.parse_args()
    for problem, positions in PROBLEMS.items():
        centers = np.asarray(positions)
        errors: dict[str, list[float]] = {}
        for seed in track(range(options.seeds), problem):
            for method, means in all_means(*draw(centers, seed), len(centers), seed).items():
                errors.setdefault(method, []).append(largest_error(means, centers))
        columns = Table(
            problem, "median", "largest", "above 0.1", title=f"error of the means in σ, {options.seeds} draws"
        )
        for method, of_method in errors.items():
            above = sum(error > 0.1 for error in of_method)
            columns.add_row(method, f"{np.median(of_method):.3f}", f"{max(of_method):.3f}", str(above))
        Console(width=100).print(columns)
    Console(width=120).print(clusters_with_noise(min(options.seeds, 10)))


if __name__ == "__main__":
    main()
