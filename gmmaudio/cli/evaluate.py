"""`gmmaudio speaker evaluate`: how good a model is on recordings whose speakers are known."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gmmaudio.cli.arguments import (
    all_names,
    as_recording,
    channel_option,
    json_option,
    load_identifier,
    rate_option,
    read_list,
)
from gmmaudio.cli.console import print_json, print_table, progress_bars
from gmmaudio.speaker import UNKNOWN, closed_set, open_set
from gmmaudio.speaker.evaluation import ClosedSet, OpenSet, Proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--list",
    "list_file",
    required=True,
    type=click.Path(path_type=Path),
    help="File with one path a line and, after a tab, who speaks; a name that is not enrolled is a stranger's.",
)
@rate_option
@channel_option
@json_option
@click.option("--plots", type=click.Path(path_type=Path), help="Folder for det.png, scores.png and confusion.png.")
def evaluate(
    model: str,
    list_file: Path,
    false_accept_rate: float | None,
    channel: int | None,
    as_json: bool,
    plots: Path | None,
) -> None:
    """Print how often MODEL is right on recordings of known speakers, with 95 % intervals."""
    identifier = load_identifier(model)
    entries = read_list(list_file)
    truth = all_names(entries, list_file)
    results = []
    with progress_bars() as progress:
        for index, (file, _) in enumerate(entries):
            progress("recordings", index, len(entries))
            result = identifier.identify(as_recording(file), channel=channel, false_accept_rate=false_accept_rate)
            results.append(result)
        progress("recordings", len(entries), len(entries))
    known = [(result, name) for result, name in zip(results, truth, strict=True) if name in identifier.speakers]
    closed = None
    if len({name for result, name in known if result.closest}) >= 2:
        heard, names = zip(*known, strict=True)
        closed = closed_set([result.closest for result in heard], [result.scores for result in heard], names)
    opened = open_set([result.decision for result in results], truth, identifier.speakers)
    rate = identifier.false_accept_rate if false_accept_rate is None else false_accept_rate
    if plots is not None:
        _draw(closed, opened, plots)
    if as_json:
        print_json({"closed_set": _closed_values(closed), "open_set": _open_values(opened, rate)})
    else:
        print_table(("figure", "value [95 % interval]"), _rows(closed, opened, rate))


def _rows(closed: ClosedSet | None, opened: OpenSet, rate: float) -> list[tuple[str, str]]:
    """Return the figures for people."""
    if closed is None:
        rows = [("closed set", "needs recordings of two or more enrolled speakers")]
    else:
        rows = [
            ("closed set: right", str(closed.right)),
            ("closed set: EER", str(closed.eer)),
            ("closed set: minDCF", str(closed.min_dcf)),
        ]
    return [
        *rows,
        (f"false accepts of strangers, {rate:.1%} stated", str(opened.false_accepts)),
        ("misses of enrolled speakers", str(opened.misses)),
    ]


def _closed_values(closed: ClosedSet | None) -> dict[str, Any] | None:
    """Return the closed-set figures as JSON values."""
    if closed is None:
        return None
    return {"right": _proportion(closed.right), "eer": asdict(closed.eer), "min_dcf": asdict(closed.min_dcf)}


def _open_values(opened: OpenSet, rate: float) -> dict[str, Any]:
    """Return the open-set figures as JSON values."""
    return {
        "false_accept_rate": rate,
        "false_accepts": _proportion(opened.false_accepts),
        "misses": _proportion(opened.misses),
        "names": [*opened.names, UNKNOWN],
        "confusion": opened.confusion.tolist(),
    }


def _proportion(proportion: Proportion) -> dict[str, Any]:
    """Return a proportion as JSON values."""
    low, high = proportion.interval
    return {"count": proportion.count, "total": proportion.total, "low": low, "high": high}


def _draw(closed: ClosedSet | None, opened: OpenSet, folder: Path) -> None:
    """Write det.png and scores.png, if there are closed-set trials, and confusion.png."""
    # matplotlib takes longer to import than a decision takes.
    from gmmaudio.plotting import plot_confusion, plot_det, plot_scores

    folder.mkdir(parents=True, exist_ok=True)
    if closed is not None:
        _save(plot_det({"all trials": (closed.scores, closed.is_target)}), folder / "det.png")
        _save(plot_scores(closed.scores, closed.is_target), folder / "scores.png")
    rows, decisions = [*opened.names, "a stranger"], [*opened.names, UNKNOWN]
    _save(plot_confusion(opened.confusion, rows, decisions=decisions), folder / "confusion.png")


def _save(axes: "Axes", path: Path) -> None:
    """Write the figure of the axes."""
    figure: Any = axes.figure
    figure.savefig(path)
