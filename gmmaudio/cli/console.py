"""What the commands share: progress on standard error, tables and JSON on standard output, lists of files."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gmmaudio.errors import GmmAudioError, GmmAudioWarning


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
        table.add_row(*row)
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def print_json(value: Any) -> None:
    """Print one JSON value on one line and pass it on at once, for programs that wait for it."""
    click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))
    sys.stdout.flush()


def read_list(path: Path) -> list[tuple[str, str | None]]:
    """Return the lines of a list file: an audio file and, after a tab, a speaker's name.

    Empty lines and lines that begin with # are skipped. Paths are relative to the current folder.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GmmAudioError(f"cannot read the list {path}: {getattr(error, 'strerror', None) or error}") from error
    entries: list[tuple[str, str | None]] = []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            file, _, name = line.partition("\t")
            entries.append((file.strip(), name.strip() or None))
    if not entries:
        raise GmmAudioError(f"the list {path} names no files; write one path a line")
    return entries


def parse_channel(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    """Return a channel policy from its text."""
    if value is None or value == "mix":
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither 'mix' nor the number of a channel, counted from 0")
    return int(value)


channel_option = click.option(
    "--channel", callback=parse_channel, metavar="N|mix", help="Which channel of files with several, or their mean."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
