import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.speaker.workplace import Workplace, chunk_spans, read_spans


@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=8), chunk_frames=st.integers(1, 30))
def test_chunks_are_the_frames_of_the_files_in_pieces_of_one_size(tmp_path_factory, lengths, chunk_frames):
    frames = np.arange(sum(lengths), dtype=np.float32)[:, np.newaxis]
    folder = tmp_path_factory.mktemp("parts")
    files = [folder / f"{number}.npy" for number in range(len(lengths))]
    for file, part in zip(files, np.split(frames, np.cumsum(lengths)[:-1]), strict=True):
        np.save(file, part)
    chunks = [read_spans(spans) for spans in chunk_spans(files, chunk_frames)]
    np.testing.assert_array_equal(np.concatenate(chunks), frames)
    assert {len(chunk) for chunk in chunks[:-1]} <= {chunk_frames}
    assert 0 < len(chunks[-1]) <= chunk_frames


def test_a_worker_that_does_not_see_the_work_folder_says_so(tmp_path):
    with pytest.raises(GmmAudioError, match=r"a worker cannot read .*000\.npy .*all workers see under the same path"):
        read_spans([(str(tmp_path / "000.npy"), 0, 1)])


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({}, "a cluster needs a work folder"),
        ({"folder": ".", "checkpoint": "kept"}, "checkpoints are for training on this machine"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(places, message):
    with pytest.raises(ParameterError, match=message):
        Workplace(client=object(), **places)
