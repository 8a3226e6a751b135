"""Files with the times of words, in the format that their name asks for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gmmaudio.cli.arguments import check_output
from gmmaudio.errors import ParameterError
from gmmaudio.words import Alignment, write_ctm, write_json, write_textgrid


def check_alignment_output(output: str | None, paths: Sequence[str]) -> None:
    """Raise before the long work if the times cannot be written."""
    if output is None or Path(output).is_dir():
        return
    check_output(output)
    if Path(output).suffix not in _WRITERS:
        raise ParameterError(f"{output} must end in {', '.join(_WRITERS)}, or be a folder")
    if Path(output).suffix == ".TextGrid" and len(paths) > 1:
        raise ParameterError(f"a TextGrid holds one recording and {len(paths)} were given; name a folder for them")


def write_alignments(alignments: Mapping[str, Alignment], output: str | None) -> None:
    """Write the times of words in the format that the name of the file asks for."""
    if output is None or not alignments:
        return
    if Path(output).is_dir():
        for path, alignment in alignments.items():
            write_textgrid(alignment, Path(output) / f"{Path(path).stem}.TextGrid")
    else:
        _WRITERS[Path(output).suffix](alignments, output)


def _write_one_textgrid(alignments: Mapping[str, Alignment], output: str) -> None:
    """Write the TextGrid of the only recording."""
    write_textgrid(next(iter(alignments.values())), output)


def _write_ctm_by_name(alignments: Mapping[str, Alignment], output: str) -> None:
    """Write a CTM file, in which recordings are named by their files without the ending."""
    write_ctm({Path(path).stem: alignment for path, alignment in alignments.items()}, output)


_WRITERS: dict[str, Callable[[Mapping[str, Alignment], str], None]] = {
    ".TextGrid": _write_one_textgrid,
    ".ctm": _write_ctm_by_name,
    ".json": write_json,
}
