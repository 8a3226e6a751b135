"""Peak memory of training on frames on disk, for amounts that differ by a factor of ten.

The frames are noise around a mean that changes every `CHUNK_FRAMES`, so that no part of a file stands for all. Each
training runs in a process of its own, which reports the most memory that it ever had resident: libraries, code and
the pages of the file that it had mapped included.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

N_FEATURES = 60
CHUNK_FRAMES = 2**16

TRAINING = """
import json, resource, sys, time
from gmmaudio import GMM
path, n_components, n_iterations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
started = time.perf_counter()
gmm = GMM(n_components, init="random", max_iter=n_iterations, tol=0.0, random_state=0).fit([path])
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "peak_megabytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6,
    "seconds": time.perf_counter() - started,
    "n_frames": gmm.n_frames_seen_,
}))
"""


def write_frames(path: Path, gigabytes: float) -> None:
    """Write float32 frames to a .npy file, piece by piece.

    Not through a memory map: Linux counts what a process had resident when it started another one as the other's too.
    """
    n_frames = int(gigabytes * 1e9 / (4 * N_FEATURES))
    random = np.random.default_rng(0)
    noise = random.standard_normal((CHUNK_FRAMES, N_FEATURES), dtype=np.float32)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_frames, N_FEATURES)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, n_frames, CHUNK_FRAMES):
            mean = random.normal(0.0, 3.0, N_FEATURES).astype(np.float32)
            file.write((noise[: n_frames - start] + mean).tobytes())


def measure(folder: Path, gigabytes: float, n_components: int, n_iterations: int) -> dict[str, float]:
    """Train on so many gigabytes in a new process and return what it reports."""
    path = folder / "frames.npy"
    write_frames(path, gigabytes)
    command = [sys.executable, "-c", TRAINING, str(path), str(n_components), str(n_iterations)]
    started = time.perf_counter()
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    path.unlink()
    return report | {"gigabytes": gigabytes, "seconds_of_process": time.perf_counter() - started}


@click.command()
@click.option("--gigabytes", "sizes", type=float, multiple=True, default=(1.0, 10.0), show_default=True)
@click.option("--components", "n_components", type=int, default=32, show_default=True)
@click.option("--iterations", "n_iterations", type=int, default=2, show_default=True)
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="Where the frames are written.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file for the figures.")
def main(
    sizes: tuple[float, ...], n_components: int, n_iterations: int, folder: str | None, output: Path | None
) -> None:
    """Make frames on disk, train on them in a process of its own, and print its peak memory; the frames are deleted."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        free = shutil.disk_usage(temporary).free / 1e9
        if free < 1.1 * max(sizes):
            raise click.ClickException(
                f"{max(sizes):g} GB of frames are wanted but only {free:.0f} GB of disk are free"
            )
        reports = [measure(Path(temporary), size, n_components, n_iterations) for size in sizes]
    table = Table(title=f"Peak resident memory, {n_components} components, D = {N_FEATURES}, {n_iterations} iterations")
    for header in ("on disk GB", "frames", "peak MB", "training s"):
        table.add_column(header, justify="right")
    for report in reports:
        cells = (f"{report['n_frames']:.0f}", f"{report['peak_megabytes']:.0f}", f"{report['seconds']:.1f}")
        table.add_row(f"{report['gigabytes']:g}", *cells)
    Console().print(table)
    peaks = [report["peak_megabytes"] for report in reports]
    print(f"largest peak {max(peaks):.0f} MB; largest over smallest {max(peaks) / min(peaks):.3f}")
    if output is not None:
        output.write_text(json.dumps(reports, indent=2))


if __name__ == "__main__":
    main()
