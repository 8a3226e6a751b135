"""New handwritten digits from a Gaussian mixture, and the lower half of a digit from its upper half.

    python recipes/image_generation/run.py [--folder FOLDER]

Prints how likely held-out digits are, how good the new ones are, and how well halves are completed; draws both into
FOLDER. What to expect stands in README.md.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

from gmmaudio.gmm import GMM, ConditionalMixture, marginal, select
from gmmaudio.gmm.selection import Candidate
from gmmaudio.metrics import proportion_interval

SIZE = 8
UPPER, LOWER = np.split(np.arange(SIZE**2), 2)
N_LEVELS = 17
N_TRAIN = 1200
BLOCK = 50  # images that follow each other may be by the same hand: they are never split between folds
GRID = (
    ("diag", 0.0, (1, 4, 16, 32, 64)),
    ("full", 0.0, (1, 2, 4)),
    ("full", 0.2, (4, 8)),
    ("full", 0.4, (4, 8, 16)),
    ("full", 0.6, (8, 16, 32)),
)
QUICK_GRID = (("diag", 0.0, (1,)), ("full", 0.6, (1, 4)))
TOL = 1e-2
PER_CLASS = 2  # components of a mixture of one digit; not tuned

Images = NDArray[np.float64]
Grid = tuple[tuple[str, float, tuple[int, ...]], ...]


class Digits(NamedTuple):
    """Images as rows of grey levels 0 to 17, made continuous, and which digits they are."""

    images: Images
    labels: NDArray[np.int64]


def split_digits(seed: int) -> tuple[Digits, Digits]:
    """Return digits to train on and, by other hands for the most part, to test on.

    The level n becomes a number between n and n + 1, so that densities are bounds of probabilities (Theis et al. 2016).
    """
    bunch = load_digits()
    images = bunch.data + np.random.default_rng(seed).uniform(size=bunch.data.shape)
    return Digits(images[:N_TRAIN], bunch.target[:N_TRAIN]), Digits(images[N_TRAIN:], bunch.target[N_TRAIN:])


def compare(images: Images, grid: Grid, seed: int) -> list[tuple[float, Candidate]]:
    """Return every model of the grid with its shrinkage, with the likelihood of blocks that it has not seen."""
    blocks = np.arange(len(images)) // BLOCK
    found = []
    for covariance_type, shrinkage, numbers in grid:
        selection = select(
            images,
            numbers,
            covariance_types=(covariance_type,),
            criterion="held_out",
            groups=blocks,
            n_init=1,
            random_state=seed,
            tol=TOL,
            shrinkage=shrinkage,
        )
        found += [(shrinkage, candidate) for candidate in selection.candidates]
    return found


def as_levels(frames: Images) -> Images:
    """Return frames as grey levels that a picture can have."""
    return np.clip(np.floor(frames), 0, N_LEVELS - 1)


def drawn(model: GMM, n_images: int) -> Images:
    """Return new images, in an order that has nothing to do with the components."""
    images = as_levels(model.sample(n_images)[0])
    return images[np.random.default_rng(0).permutation(n_images)]


def distances(images: Images, to: Images) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how far the nearest of some images is from each, and which it is."""
    far, which = NearestNeighbors(n_neighbors=1).fit(as_levels(to)).kneighbors(as_levels(images))
    return far[:, 0], which[:, 0]


def likelihood_table(compared: list[tuple[float, Candidate]], best: Candidate, test: Images) -> Table:
    """Return the grid with held-out and test likelihoods in nats per pixel."""
    n_pixels = test.shape[1]
    table = Table("covariances", "shrinkage", "components", "parameters", "train", "held out", "test")
    for shrinkage, candidate in compared:
        cells = [candidate.covariance_type, f"{shrinkage:g}", f"{candidate.n_components}", f"{candidate.n_parameters}"]
        held_out = f"{candidate.held_out / n_pixels:.3f} ± {candidate.held_out_error / n_pixels:.3f}"
        figures = [
            f"{candidate.log_likelihood / n_pixels:.3f}",
            held_out,
            f"{candidate.model.score(test) / n_pixels:.3f}",
        ]
        table.add_row(*cells, *figures, style="bold" if candidate is best else None)
    table.title = f"Log-likelihood in nats per pixel (all grey levels alike: {-np.log(N_LEVELS):.3f})"
    return table


def quality_table(models: dict[str, GMM], train: Digits, test: Digits) -> Table:
    """Return how near new images are to those that were trained on, and what a classifier learns from them."""
    table = Table("images", "to the nearest training image", "test digits named after these")
    real = quartiles(distances(test.images, train.images)[0])
    table.add_row("real ones", real, accuracy(train.images, train.labels, test))
    for name, model in models.items():
        far = quartiles(distances(drawn(model, len(test.images)), train.images)[0])
        n_components = 1 if model.n_components == 1 else PER_CLASS
        new = [
            drawn(trained_like(model, train.images[train.labels == digit], n_components), N_TRAIN // 10)
            for digit in range(10)
        ]
        table.add_row(f"drawn: {name}", far, accuracy(np.vstack(new), np.repeat(range(10), N_TRAIN // 10), test))
    return table


def trained_like(model: GMM, images: Images, n_components: int) -> GMM:
    """Return a mixture with the options of another, trained on some images."""
    options = model.get_params() | {"n_components": n_components}
    return GMM(**options).fit(images)


def accuracy(images: Images, labels: NDArray[np.int64], test: Digits) -> str:
    """Return the share of test digits that a classifier of some images names right, with its interval."""
    found = SVC().fit(as_levels(images), labels).predict(as_levels(test.images))
    n_right = int((found == test.labels).sum())
    low, high = proportion_interval(n_right, len(found))
    return f"{n_right / len(found):.1%} [{low:.1%}, {high:.1%}]"


def quartiles(values: NDArray[np.float64]) -> str:
    """Return the quartiles as text."""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{median:.1f} [{low:.1f}, {high:.1f}]"


def completion_table(models: dict[str, GMM], train: Images, test: Images) -> Table:
    """Return how well the lower halves of test digits are told from the upper ones."""
    table = Table("lower half from", "error (grey levels)", "nats per pixel", "without the upper half")

    def add_row(name: str, guess: Images, *likelihoods: float) -> None:
        error = np.sqrt(np.square(guess - test[:, LOWER]).mean())
        table.add_row(name, f"{error:.2f}", *(f"{likelihood / len(LOWER):.3f}" for likelihood in likelihoods))

    add_row("the mean of all digits", train[:, LOWER].mean(axis=0))
    _, nearest = NearestNeighbors(n_neighbors=1).fit(train[:, UPPER]).kneighbors(test[:, UPPER])
    add_row("the most similar upper half", train[nearest[:, 0]][:, LOWER])
    for name, model in models.items():
        mixture = ConditionalMixture(model.params_, UPPER)
        given = mixture.log_likelihoods(test[:, UPPER], test[:, LOWER]).mean()
        alone = GMM.from_params(marginal(model.params_, LOWER)).score(test[:, LOWER])
        add_row(name, mixture.means(test[:, UPPER]), given, alone)
    return table


def draw_samples(path: Path, models: dict[str, GMM], train: Images, n_images: int = 16) -> None:
    """Draw new images of each model, and under those of the mixture the training images that they are nearest to."""
    rows = {name: drawn(model, n_images) for name, model in models.items()}
    rows["nearest to these"] = train[distances(rows["mixture"], train)[1]]
    draw_rows(path, rows)


def draw_completions(path: Path, model: GMM, test: Images, n_images: int = 16) -> None:
    """Draw test digits with their lower halves as they are, as expected, and as drawn."""
    chosen, upper = test[:n_images], test[:n_images, UPPER]
    mixture = ConditionalMixture(model.params_, UPPER)
    lower = {"upper half": np.zeros(upper.shape), "expected": mixture.means(upper)}
    for number in range(3):
        lower[f"drawn {number + 1}"] = mixture.sample(upper, np.random.RandomState(number))
    draw_rows(path, {"digit": chosen} | {name: np.hstack([upper, half]) for name, half in lower.items()})


def draw_rows(path: Path, rows: dict[str, Images]) -> None:
    """Draw rows of images with their names."""
    framed = [
        np.hstack([np.pad(as_levels(image).reshape(SIZE, SIZE), 1, constant_values=N_LEVELS / 4) for image in images])
        for images in rows.values()
    ]
    mosaic = np.vstack(framed)
    height, width = mosaic.shape
    figure = Figure(figsize=(width / 20 + 2.0, height / 20), dpi=80, layout="constrained")
    axes = figure.subplots()
    axes.imshow(mosaic, cmap="gray_r", vmin=0, vmax=N_LEVELS - 1)
    axes.set(xticks=[], yticks=np.arange(len(rows)) * (SIZE + 2) + SIZE / 2 + 0.5, yticklabels=list(rows))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "out", help="where the pictures go")
    parser.add_argument("--seed", type=int, default=0, help="of the starts of EM, and of the noise")
    parser.add_argument("--quick", action="store_true", help="compare three models only")
    arguments = parser.parse_args()
    train, test = split_digits(arguments.seed)
    compared = compare(train.images, QUICK_GRID if arguments.quick else GRID, arguments.seed)
    best = max((candidate for _, candidate in compared), key=lambda candidate: candidate.held_out)
    models = {
        "independent pixels": next(c.model for _, c in compared if c.n_components == 1),
        "one Gaussian": next(c.model for _, c in compared if c.covariance_type == "full"),
        "mixture": best.model,
    }
    console = Console(width=120)
    console.print(likelihood_table(compared, best, test.images))
    console.print(quality_table(models, train, test))
    console.print(completion_table(models, train.images, test.images))
    draw_samples(arguments.folder / "samples.png", models, train.images)
    draw_completions(arguments.folder / "completions.png", best.model, test.images)


if __name__ == "__main__":
    main()
