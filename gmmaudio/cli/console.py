"""What the commands print: tables and JSON on standard output; progress, warnings and errors on standard error."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gmmaudio.errors import GmmAudioWarning

WIDTH_OF_FILES = 160
"""Columns of a table that is not printed on a terminal."""


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print our own warnings as one line on standard error, and nobody else's."""
    if issubclass(category, GmmAudioWarning):
        click.echo(f"gmmaudio: warning: {message}", err=True)


def show_error(error: Exception) -> None:
    """Print an error as one line on standard error."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{click.format_filename(error.filename)}: " if error.filename else ""
        click.echo(f"gmmaudio: {where}{error.strerror}", err=True)
    else:
        click.echo(f"gmmaudio: {error}", err=True)


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callback `(step, done, total)` that draws a bar for each step; silent unless on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield report


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table; numbers, recognised by their first character, are aligned to the right."""
    table = Table(title=title, title_justify="left")
    for index, name in enumerate(columns):
        numeric = bool(rows) and all(row[index][:1] in "0123456789-−∞" for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # As Text, because brackets in a file's name are not markup; names that are not UTF-8 must be printable, too.
        table.add_row(*(Text(click.format_filename(cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_OF_FILES)
    console.print(table)


def print_json(value: Any) -> None:
    """Print one JSON value on one line of ASCII and pass it on at once, for programs that wait for it."""
    click.echo(json.dumps(value, allow_nan=False))
    sys.stdout.flush()
