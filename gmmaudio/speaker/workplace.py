"""Where a model is trained: on this machine or on a Dask cluster, with the frames in memory or in a folder."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm import GMM, GmmParams
from gmmaudio.gmm.statistics import CHAPTER_FRAMES

if TYPE_CHECKING:
    from distributed import Client

Span = tuple[str, int, int]
"""A .npy file, and which of its rows: from the first up to the second number."""


@dataclass(frozen=True)
class Workplace:
    """What a training may use; the model has the same bits in every workplace.

    Parameters
    ----------
    folder : path-like, optional
        Where frames are kept while a model is trained, instead of in memory; removed in the end.
    client : distributed.Client, optional
        Of a Dask cluster that does the EM iterations. Its workers read the frames in `folder`, under the same path.
    checkpoint : path-like, optional
        See `GMM.fit`; not for a cluster.

    Raises
    ------
    ParameterError
        If a cluster is given without a folder, or with a checkpoint.
    """

    folder: str | os.PathLike[str] | None = None
    client: "Client | None" = None
    checkpoint: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.client is not None and self.folder is None:
            raise ParameterError("a cluster needs a work folder that all of its workers can read; name one")
        if self.client is not None and self.checkpoint is not None:
            raise ParameterError(
                "checkpoints are for training on this machine; leave out the checkpoint or the cluster"
            )

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path | None]:
        """Give a new folder for frames, and remove it in the end; None if they are to stay in memory."""
        if self.folder is None:
            yield None
        elif not Path(self.folder).is_dir():
            raise GmmAudioError(f"the work folder {self.folder} is not there; make it first")
        else:
            with tempfile.TemporaryDirectory(prefix="gmmaudio-", dir=Path(self.folder).absolute()) as folder:
                yield Path(folder)

    def fit(
        self,
        gmm: GMM,
        parts: Sequence[Any],
        *,
        callback: Callable[[int, GmmParams, float], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> GMM:
        """Return a mixture fitted to frames, which are all arrays or all files in the folder."""
        if self.client is None:
            return gmm.fit(list(parts), callback=callback, checkpoint=checkpoint)
        from dask import delayed

        from gmmaudio.distributed import fit_gmm

        chunks = [delayed(read_spans)(spans) for spans in chunk_spans(parts, CHAPTER_FRAMES)]
        # The system keeps the files in memory as far as there is room; the workers need not, too.
        return fit_gmm(self.client, chunks, gmm, keep_on_workers=False, callback=callback)


def chunk_spans(files: Sequence[Path], chunk_frames: int) -> list[list[Span]]:
    """Cut the frames of all files, one after another, into chunks of so many; the last one is shorter."""
    lengths = [len(np.load(file, mmap_mode="r")) for file in files]
    ends = np.cumsum(lengths).tolist()
    chunks: list[list[Span]] = [[] for _ in range(0, ends[-1], chunk_frames)]
    for file, length, end in zip(files, lengths, ends, strict=True):
        first = end - length
        for number in range(first // chunk_frames, -(-end // chunk_frames)):
            start, stop = number * chunk_frames, (number + 1) * chunk_frames
            chunks[number].append((str(file), max(start, first) - first, min(stop, end) - first))
    return chunks


def read_spans(spans: Sequence[Span]) -> Float32Array:
    """Return the frames of a chunk; runs on the workers."""
    try:
        return np.concatenate([np.load(file, mmap_mode="r")[start:stop] for file, start, stop in spans])
    except (OSError, ValueError) as error:
        raise GmmAudioError(
            f"a worker cannot read {spans[0][0]} ({error}); the work folder must be one that all workers see under the "
            "same path"
        ) from error
