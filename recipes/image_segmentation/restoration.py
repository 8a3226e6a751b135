"""What was the picture, under the noise or where pixels are missing? A mixture of patches says what is likely."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from pictures import Picture, assembled, noisy, painted, patches, photographs
from rich.table import Table
from scipy import ndimage
from scipy.interpolate import griddata

from gmmaudio.gmm import GMM, ConditionalMixture, with_measurement

PATCH = 8
PATCH_PIXELS = np.arange(PATCH**2)
N_PATCHES = 12_000
N_COMPONENTS = 20
STEP_INPAINTING = 3  # pixels between patches: each misses other pixels, so every one needs its own regressions
PAINTED_SEEDS = range(100, 106)
TEST_SEEDS = range(20, 23)
MIXTURE = "mixture"

Filter = Callable[[Picture], Picture]


def prior(pictures: Sequence[Picture], n_components: int) -> GMM:
    """Return a mixture of the patches of clean pictures."""
    rows = np.vstack([patches(picture, PATCH, 2) for picture in pictures])
    chosen = np.random.default_rng(0).permutation(len(rows))[:N_PATCHES]
    # A floor of 1 % of the contrast; patches of 64 pixels have 180 nats, of which EM gains no tenth any more.
    options = {"covariance_type": "full", "variance_floor": 1e-4, "tol": 0.1, "random_state": 0}
    return GMM(n_components, **options).fit(rows[chosen])


class Kind(NamedTuple):
    """Pictures of one kind to learn from and to test on, with mixtures of its own patches and of another kind's."""

    training: list[Picture]
    tests: list[Picture]
    models: dict[str, GMM]
    foreign: dict[str, GMM]


def kinds() -> dict[str, Kind]:
    """Return paintings and, where scikit-image is installed, photographs."""
    pictures = {"painting": ([painted(seed)[0] for seed in PAINTED_SEEDS], [painted(seed)[0] for seed in TEST_SEEDS])}
    photos = photographs()
    if photos is not None:
        pictures["photograph"] = (photos[0], [photos[1]])
    mixtures = {kind: prior(training, N_COMPONENTS) for kind, (training, _) in pictures.items()}
    found = {}
    for kind, (training, tests) in pictures.items():
        models = {"one Gaussian": prior(training, 1), MIXTURE: mixtures[kind]}
        foreign = {f"mixture of {other}s": model for other, model in mixtures.items() if other != kind}
        found[kind] = Kind(training, tests, models, foreign)
    return found


def denoised(shown: Picture, model: GMM, noise: float) -> Picture:
    """Return the expectation of every patch given the noisy one, averaged where patches overlap."""
    mixture = ConditionalMixture(with_measurement(model.params_, noise**2), given=len(PATCH_PIXELS) + PATCH_PIXELS)
    return assembled(mixture.means(patches(shown, PATCH)), shown.shape, PATCH)


def filters(noise: float) -> dict[str, dict[str, Filter]]:
    """Return what others do, each with the settings to choose from."""
    found: dict[str, dict[str, Filter]] = {
        "Gaussian filter": {
            f"{width}": lambda shown, width=width: ndimage.gaussian_filter(shown, width)
            for width in (0.5, 0.7, 0.9, 1.2, 1.5, 2.0)
        },
        "median filter": {f"{size}": lambda shown, size=size: ndimage.median_filter(shown, size) for size in (3, 5)},
    }
    try:
        from skimage import restoration
    except ImportError:
        return found
    found["total variation"] = {
        f"{weight}": lambda shown, weight=weight: restoration.denoise_tv_chambolle(shown, weight=weight * noise)
        for weight in (0.5, 0.75, 1.0, 1.5)
    }
    nl_means = {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "sigma": noise}
    found["non-local means"] = {
        f"{height}": lambda shown, height=height: restoration.denoise_nl_means(shown, h=height * noise, **nl_means)
        for height in (0.6, 0.8, 1.0)
    }
    return found


def chosen_filters(training: Sequence[Picture], noise: float) -> dict[str, Filter]:
    """Return the others with the settings that do best on two of the pictures to learn from."""
    examples = [(picture, noisy(picture, noise, seed)) for seed, picture in enumerate(training[:2])]

    def quality(way: Filter) -> float:
        return float(np.mean([psnr(picture, way(shown)) for picture, shown in examples]))

    return {name: max(settings.values(), key=quality) for name, settings in filters(noise).items()}


def psnr(picture: Picture, found: Picture) -> float:
    """Return the peak signal-to-noise ratio in dB, for a peak of 1."""
    return float(-10.0 * np.log10(np.square(found - picture).mean()))


def denoising_table(name: str, kind: Kind) -> Table:
    """Return the quality of denoised pictures at three levels of noise."""
    noises = (0.05, 0.1, 0.2)
    table = Table(f"{name}s, PSNR in dB", *(f"noise {noise:g}" for noise in noises))
    found: dict[str, list[str]] = {}
    for noise in noises:
        ways = {"as it is": lambda shown: shown} | chosen_filters(kind.training, noise)
        ways |= {
            of: lambda shown, model=model, noise=noise: denoised(shown, model, noise)
            for of, model in (kind.models | kind.foreign).items()
        }
        for of, way in ways.items():
            values = [psnr(picture, way(noisy(picture, noise, seed))) for seed, picture in enumerate(kind.tests)]
            found.setdefault(of, []).append(f"{np.mean(values):.1f}")
    for of, cells in found.items():
        table.add_row(of, *cells)
    return table


def with_holes(picture: Picture, share: float) -> Picture:
    """Return the picture with NaN for a share of its pixels, taken at random."""
    return np.where(np.random.default_rng(5).random(picture.shape) < share, np.nan, picture)


def inpainted(holed: Picture, model: GMM) -> Picture:
    """Return the expectation of the missing pixels given the others of their patches."""
    completed = model.impute(patches(holed, PATCH, STEP_INPAINTING))
    return np.where(np.isnan(holed), assembled(completed, holed.shape, PATCH, STEP_INPAINTING), holed)


def interpolators() -> dict[str, Filter]:
    """Return what others do with missing pixels."""
    found: dict[str, Filter] = {
        f"{name} interpolation": lambda holed, method=method: interpolated(holed, method)
        for name, method in (("nearest", "nearest"), ("linear", "linear"), ("cubic", "cubic"))
    }
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        return found
    found["biharmonic"] = lambda holed: inpaint_biharmonic(np.nan_to_num(holed), np.isnan(holed))
    return found


def interpolated(holed: Picture, method: str) -> Picture:
    """Return what SciPy's `griddata` makes of the pixels that are there; the nearest of them outside their hull."""
    there = np.nonzero(~np.isnan(holed))
    everywhere = tuple(np.indices(holed.shape))
    guess, nearest = (griddata(there, holed[there], everywhere, method=way) for way in (method, "nearest"))
    return np.where(np.isnan(guess), nearest, guess)


def inpainting_table(name: str, kind: Kind) -> Table:
    """Return the quality of one picture after half or most of its pixels were missing."""
    shares = (0.5, 0.8)
    table = Table(f"{name}, PSNR in dB", *(f"{share:.0%} missing" for share in shares))
    ways = interpolators()
    ways |= {of: lambda holed, model=model: inpainted(holed, model) for of, model in kind.models.items()}
    for of, way in ways.items():
        table.add_row(of, *(f"{psnr(kind.tests[0], way(with_holes(kind.tests[0], share))):.1f}" for share in shares))
    return table


def denoising_panels(kind: Kind, noise: float = 0.1) -> dict[str, Picture]:
    """Return a picture, the same with noise, and what two ways make of it."""
    shown = noisy(kind.tests[0], noise, 0)
    others = chosen_filters(kind.training, noise)
    name = "non-local means" if "non-local means" in others else "Gaussian filter"
    restored = {name: others[name](shown), MIXTURE: denoised(shown, kind.models[MIXTURE], noise)}
    return {"picture": kind.tests[0], f"noise {noise:g}": shown} | restored


def inpainting_panels(kind: Kind, share: float = 0.8) -> dict[str, Picture]:
    """Return a picture, the same with most pixels missing, and what two ways make of it."""
    holed = with_holes(kind.tests[0], share)
    completed = {"cubic": interpolated(holed, "cubic"), MIXTURE: inpainted(holed, kind.models[MIXTURE])}
    return {"picture": kind.tests[0], f"{share:.0%} missing": np.nan_to_num(holed)} | completed
