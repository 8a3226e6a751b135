"""Mixtures on pictures: segment by local features; take noise away and fill holes by what patches look like.

    python recipes/image_segmentation/run.py [--folder FOLDER]

Prints how good each is beside simpler ways, and draws pictures into FOLDER. What to expect stands in README.md.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from pictures import Picture
from restoration import denoising_panels, denoising_table, inpainting_panels, inpainting_table, kinds
from rich.console import Console
from segmentation import segmentation_table, segmented

NOISES = (0.05, 0.1, 0.2)
SEEDS = range(20, 25)


def draw(path: Path, rows: list[dict[str, Picture]]) -> None:
    """Draw rows of pictures with their names."""
    n_columns = max(map(len, rows))
    figure = Figure(figsize=(1.5 * n_columns, 1.7 * len(rows)), dpi=80, layout="constrained")
    for in_row, panels in zip(figure.subplots(len(rows), n_columns, squeeze=False), rows, strict=True):
        for axes, (name, picture) in zip(in_row, panels.items(), strict=True):
            axes.imshow(np.clip(picture, 0, 1), cmap="gray", vmin=0, vmax=1)
            axes.set_title(name, fontsize=7)
            axes.axis("off")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "out", help="where the pictures go")
    arguments = parser.parse_args()
    console = Console(width=100)
    console.print(segmentation_table(NOISES, SEEDS))
    draw(arguments.folder / "segmentation.png", [segmented(0.1, seed) for seed in SEEDS[:2]])
    found = kinds()
    for name, kind in found.items():
        console.print(denoising_table(name, kind))
        console.print(inpainting_table(name, kind))
    draw(arguments.folder / "denoising.png", [denoising_panels(kind) for kind in found.values()])
    draw(arguments.folder / "inpainting.png", [inpainting_panels(kind) for kind in found.values()])


if __name__ == "__main__":
    main()
