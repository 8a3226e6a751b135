"""Pictures for the recipe: shapes, textures, gradients and noise, made from a seed; photographs of scikit-image.

Pictures are arrays of shape (height, width), black 0 and white 1.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Picture = NDArray[np.float64]
Labels = NDArray[np.int64]

REGIONS = ("plain", "bright", "stripes", "blotches")


def painted(seed: int, size: int = 96) -> tuple[Picture, Labels]:
    """Return a picture without noise, and which of `REGIONS` each pixel belongs to.

    Stripes and blotches have the same mean intensity, and light falls in from one side.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    labels = np.zeros((size, size), dtype=np.int64)
    for region, (y, x) in zip((1, 2, 3), rng.permutation([(0.28, 0.28), (0.3, 0.72), (0.72, 0.5)]), strict=True):
        y, x = y + rng.uniform(-0.04, 0.04), x + rng.uniform(-0.04, 0.04)
        height, width = rng.uniform(0.17, 0.24, 2)
        power = rng.choice([1, 2, 6])  # a diamond, an ellipse, nearly a rectangle
        labels[np.abs((rows - y) / height) ** power + np.abs((columns - x) / width) ** power < 1] = region
    angle = rng.uniform(0, np.pi)
    stripes = np.sin(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) * size / rng.uniform(4.5, 6.5))
    blotches = ndimage.gaussian_filter(rng.standard_normal((size, size)), 2.0, mode="wrap")
    surfaces = np.array(
        [
            np.full_like(rows, 0.35),
            np.full_like(rows, 0.75),
            0.52 + 0.18 * stripes,
            0.52 + 0.13 * blotches / blotches.std(),
        ]
    )
    light = rng.uniform(-0.5, 0.5, 2) @ np.array([rows - 0.5, columns - 0.5]).reshape(2, -1)
    picture = np.take_along_axis(surfaces, labels[np.newaxis], axis=0)[0] + 0.2 * light.reshape(size, size)
    return np.clip(picture, 0.0, 1.0), labels


def noisy(picture: Picture, noise: float, seed: int) -> Picture:
    """Return the picture with Gaussian noise of this standard deviation."""
    return picture + noise * np.random.default_rng(1000 + seed).standard_normal(picture.shape)


def photographs() -> tuple[list[Picture], Picture] | None:
    """Return four photographs of scikit-image to learn from and one to test on, at half size; None without it."""
    try:
        from skimage import data
    except ImportError:
        return None
    training = [gray(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea", "rocket")]
    return training, gray(data.camera())[30:126, 70:166]


def gray(image: NDArray[np.uint8]) -> Picture:
    """Return a photograph in grey, every two by two pixels as one."""
    picture = (image.mean(axis=2) if image.ndim == 3 else image) / 255.0
    height, width = (length // 2 * 2 for length in picture.shape)
    return picture[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def local_features(picture: Picture, *, position: bool = False) -> NDArray[np.float64]:
    """Return a row for each pixel: smoothed intensity and the logs of how much it varies down, across and in spots."""
    smooth = ndimage.gaussian_filter(picture, 1.5)
    variations = [
        ndimage.gaussian_filter(picture, 1.0, order=(1, 0)),
        ndimage.gaussian_filter(picture, 1.0, order=(0, 1)),
        ndimage.gaussian_laplace(picture, 1.0),
    ]
    energies = [np.log(ndimage.gaussian_filter(np.square(part), 3.0) + 1e-6) for part in variations]
    columns = [smooth, *energies, *(np.indices(picture.shape) if position else ())]
    return np.stack([column.ravel() for column in columns], axis=1)


def patches(picture: Picture, size: int, step: int = 1) -> NDArray[np.float64]:
    """Return the square patches as rows, one at every `step` pixels and along the borders."""
    return np.stack([picture[where].ravel() for where in places(picture.shape, size, step)])


def assembled(rows: NDArray[np.float64], shape: tuple[int, int], size: int, step: int = 1) -> Picture:
    """Return the picture made of patches that overlap: the mean of what they say of each pixel."""
    total, count = np.zeros(shape), np.zeros(shape)
    for row, where in zip(rows, places(shape, size, step), strict=True):
        total[where] += row.reshape(size, size)
        count[where] += 1
    return total / count


def places(shape: tuple[int, int], size: int, step: int) -> Iterator[tuple[slice, slice]]:
    """Yield where the patches of a picture are."""
    tops, lefts = (sorted({*range(0, length - size, step), length - size}) for length in shape)
    for top in tops:
        for left in lefts:
            yield slice(top, top + size), slice(left, left + size)
