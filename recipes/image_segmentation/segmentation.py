"""Which region does a pixel belong to? Mixtures on local features, without labels and with them."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pictures import REGIONS, Labels, Picture, local_features, noisy, painted
from rich.table import Table
from scipy import ndimage
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from gmmaudio.gmm import GMM, GmmParams, responsibilities, select
from gmmaudio.gmm.covariances import Full

TRAINING_SEEDS = (100, 101, 102)
N_INIT = 3

Segmenter = Callable[[Picture], Labels]


def by_thresholds(picture: Picture) -> Labels:
    """Cut the smoothed intensity at the thresholds of Otsu (scikit-image)."""
    from skimage.filters import threshold_multiotsu

    smooth = ndimage.gaussian_filter(picture, 1.5)
    return np.digitize(smooth, threshold_multiotsu(smooth, len(REGIONS)))


def by_kmeans(picture: Picture, n_features: int | None = None) -> Labels:
    """Cluster standardised features, or the first few of them."""
    features = StandardScaler().fit_transform(local_features(picture)[:, :n_features])
    return KMeans(len(REGIONS), n_init=N_INIT, random_state=0).fit_predict(features).reshape(picture.shape)


def by_mixture(picture: Picture, covariance_type: str, *, position: bool = False) -> Labels:
    """Cluster features by a mixture with a component for each region."""
    features = local_features(picture, position=position)
    found = select(features, [len(REGIONS)], covariance_types=[covariance_type], n_init=N_INIT, random_state=0)
    return found.model.predict(features).reshape(picture.shape)


def unsupervised() -> dict[str, Segmenter]:
    """Return what needs no labels."""
    segmenters: dict[str, Segmenter] = {"thresholds of Otsu": by_thresholds}
    try:
        import skimage  # noqa: F401
    except ImportError:
        segmenters = {}
    segmenters["k-means, intensity"] = lambda picture: by_kmeans(picture, 1)
    segmenters["k-means, features"] = by_kmeans
    for covariance_type in ("diag", "full", "tied"):
        segmenters[f"mixture, {covariance_type}"] = lambda picture, kind=covariance_type: by_mixture(picture, kind)
    segmenters["mixture, full, with position"] = lambda picture: by_mixture(picture, "full", position=True)
    return segmenters


def learned(noise: float) -> dict[str, Segmenter]:
    """Return what learns from labelled pictures with the same noise."""
    examples = [painted(seed) for seed in TRAINING_SEEDS]
    features = np.vstack(
        [
            local_features(noisy(picture, noise, seed))
            for (picture, _), seed in zip(examples, TRAINING_SEEDS, strict=True)
        ]
    )
    labels = np.concatenate([labels.ravel() for _, labels in examples])
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=0).fit(features, labels)
    segmenters: dict[str, Segmenter] = {
        "labelled, random forest": lambda picture: forest.predict(local_features(picture)).reshape(picture.shape)
    }
    for n_components in (1, 8):
        params = labelled_mixture(features, labels, n_components)
        segmenters[f"labelled, mixture of {n_components} each"] = lambda picture, params=params: by_label(
            picture, params
        )
    return segmenters


def labelled_mixture(features: NDArray[np.float64], labels: NDArray[np.int64], n_components: int) -> GmmParams:
    """Return one mixture, so many components of which were trained on each region, in order."""
    parts = [
        GMM(n_components, covariance_type="full", random_state=0).fit(features[labels == region]).params_
        for region in range(len(REGIONS))
    ]
    shares = np.bincount(labels) / len(labels)
    return GmmParams(
        np.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)]),
        np.vstack([part.means for part in parts]),
        Full(np.vstack([part.covariances.array for part in parts])),
    )


def by_label(picture: Picture, params: GmmParams) -> Labels:
    """Return the region whose components together are the most likely."""
    shares = responsibilities(params, local_features(picture))
    return shares.reshape(*picture.shape, len(REGIONS), -1).sum(axis=3).argmax(axis=2)


def segmentation_table(noises: tuple[float, ...], seeds: range) -> Table:
    """Return the adjusted Rand index of each way, over pictures that no setting was chosen on."""
    table = Table("", *(f"noise {noise:g}" for noise in noises), title="Adjusted Rand index")
    found: dict[str, list[str]] = {}
    for noise in noises:
        for name, segmenter in (unsupervised() | learned(noise)).items():
            pictures = [painted(seed) for seed in seeds]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                scores = [
                    adjusted_rand_score(labels.ravel(), segmenter(noisy(picture, noise, seed)).ravel())
                    for (picture, labels), seed in zip(pictures, seeds, strict=True)
                ]
            found.setdefault(name, []).append(f"{np.mean(scores):.2f} ± {np.std(scores):.2f}")
    for name, cells in found.items():
        table.add_row(name, *cells)
    return table


def segmented(noise: float, seed: int) -> dict[str, Picture]:
    """Return a picture, its regions, and what some of the ways make of it."""
    picture, labels = painted(seed)
    shown = noisy(picture, noise, seed)
    ways = unsupervised() | learned(noise)
    names = ("k-means, intensity", "k-means, features", "mixture, full", "mixture, tied", "labelled, mixture of 8 each")
    panels = {"picture": shown, "regions": matched(labels, labels)}
    return panels | {name: matched(ways[name](shown), labels) for name in names}


def matched(found: Labels, labels: Labels) -> Picture:
    """Return the regions in the greys of the true ones that they cover most of, lighter for later ones."""
    names = [
        np.bincount(labels[found == cluster], minlength=len(REGIONS)).argmax() for cluster in range(found.max() + 1)
    ]
    return np.asarray(names)[found] / (len(REGIONS) - 1)
