"""Training on the workers of a Dask cluster: the same statistics, summed in a tree.

Conventions. A *chunk* is an array of frames that one worker can hold: a ``.npy`` file that every worker can read, a
delayed array, a future, or a block of rows of a Dask array. The order of the chunks is the order of the frames. Frames
stay on the workers; statistics and, for the start, a sample of frames travel.

Bits. The statistics of a chunk depend on the chunk and the parameters alone, and they are added in an order that
depends on the number of chunks alone. So any number of workers gives the same bits, and so does a run in which workers
die and Dask repeats their work (on processors of one kind: matrix products differ by roundings between kinds). Chunks
of `gmmaudio.gmm.statistics.CHAPTER_FRAMES` (the last one may be shorter) give the bits of `GMM.fit` on all frames at
once; another cutting differs by the rounding of the arithmetic.
"""

from gmmaudio.distributed.mixtures import fit_gmm
from gmmaudio.distributed.sequences import fit_gmm_hmm

__all__ = ["fit_gmm", "fit_gmm_hmm"]
