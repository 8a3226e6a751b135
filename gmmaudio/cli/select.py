"""`gmmaudio select`: how many components a mixture of stored frames should have."""

import re
from collections.abc import Sequence

import click

from gmmaudio.cli.arguments import check_output
from gmmaudio.cli.console import print_table, progress_bars
from gmmaudio.gmm import select as search
from gmmaudio.gmm.covariances import STRUCTURES
from gmmaudio.gmm.selection import CRITERIA, Criterion, as_text
from gmmaudio.persistence import save


def parse_numbers(_context: click.Context, _parameter: click.Parameter, value: str) -> list[int]:
    """Return the numbers of a text such as 1-8,16."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value):
        raise click.BadParameter(f"{value!r} is no list of numbers; write 1-8 or 4,8,16")
    ranges = [list(map(int, part.split("-"))) for part in value.split(",")]
    if any(ends[0] > ends[-1] or ends[0] < 1 for ends in ranges):
        raise click.BadParameter(f"{value!r} must count up from at least 1; write 1-8 or 4,8,16")
    return [number for ends in ranges for number in range(ends[0], ends[-1] + 1)]


@click.command("select")
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--components", default="1-10", callback=parse_numbers, metavar="N-M|N,M,…", show_default=True)
@click.option("--covariances", multiple=True, default=["diag"], type=click.Choice(list(STRUCTURES)), show_default=True)
@click.option("--criterion", type=click.Choice(CRITERIA), default="held_out", show_default=True)
@click.option("--folds", default=5, show_default=True, help="Parts that the files are dealt into, to hold out in turn.")
@click.option("--seed", default=0, show_default=True, help="Of the starts of training.")
@click.option("-o", "--output", type=click.Path(), help="Write the chosen mixture to this file.")
def select(
    files: Sequence[str],
    components: list[int],
    covariances: Sequence[str],
    criterion: Criterion,
    folds: int,
    seed: int,
    output: str | None,
) -> None:
    """Compare mixtures of the frames in FILES (.features or .npy), each of them a recording, and mark the best."""
    if output is not None:
        check_output(output)
    with progress_bars() as progress:
        found = search(
            list(files),
            components,
            covariance_types=covariances,
            criterion=criterion,
            n_folds=folds,
            random_state=seed,
            callback=lambda done, total, _: progress("candidates", done, total),
        )
    names = found.shown
    rows = [[as_text(getattr(candidate, name)) for name in names] for candidate in found.candidates]
    marks = ["*" if candidate is found.best else "" for candidate in found.candidates]
    print_table(["", *names], [[mark, *row] for mark, row in zip(marks, rows, strict=True)])
    if output is not None:
        save(found.model, output)
