"""`gmmaudio info`: what a model file holds."""

import textwrap
from typing import Any

import click

from gmmaudio.cli.arguments import json_option
from gmmaudio.cli.console import print_json, print_table
from gmmaudio.cli.summary import Summary, summary_of
from gmmaudio.features import PipelineConfig
from gmmaudio.persistence import load, read_stored

MAX_ITEMS = 8
"""Items of a long list that are printed."""


@click.command()
@click.argument("model", type=click.Path())
@click.option("--arrays", "show_arrays", is_flag=True, help="Print the names, types and shapes of all arrays, too.")
@json_option
def info(model: str, show_arrays: bool, as_json: bool) -> None:
    """Print what a model is, how it was trained and how it is used, after checking its file."""
    stored = read_stored(model)
    summary = summary_of(stored.kind, load(model))
    arrays = {name: f"{array.dtype} {list(array.shape)}" for name, array in stored.arrays.items()}
    if as_json:
        print_json(
            {
                "kind": stored.kind,
                "library_version": stored.library_version,
                "summary": summary,
                "config": stored.config,
                "pipeline": stored.pipeline,
                "arrays": arrays,
            }
        )
        return
    click.echo(f"{model}: {summary.pop('model', stored.kind)}, made by gmmaudio {stored.library_version}")
    _print_summary(summary)
    if stored.pipeline is not None:
        click.echo(f"front end:\n{textwrap.indent(PipelineConfig.from_dict(stored.pipeline).describe(), '  ')}")
    print_table(("setting", "value"), _flattened(dict(stored.config)))
    if show_arrays:
        print_table(("array", "type and shape"), list(arrays.items()))


def _print_summary(summary: Summary) -> None:
    """Print single values one a line, then the tables."""
    tables = {name: value for name, value in summary.items() if _is_table(value)}
    for name, value in summary.items():
        if name not in tables:
            click.echo(f"  {name}: {_shown(value)}")
    for name, rows in tables.items():
        print_table(list(rows[0]), [[_shown(value) for value in row.values()] for row in rows], title=name)


def _is_table(value: Any) -> bool:
    """Return whether a value is a list of objects."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _flattened(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as rows; a list of objects has one row for each."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flattened(value, f"{prefix}{name}.")
        elif _is_table(value):
            rows += [(f"{prefix}{name}", ", ".join(f"{key} {_shown(item[key])}" for key in item)) for item in value]
        else:
            rows.append((prefix + name, _shown(value)))
    return rows


def _shown(value: Any) -> str:
    """Return a value for people: short floats, the first items of long lists."""
    if isinstance(value, list):
        rest = f", … ({len(value)} in all)" if len(value) > MAX_ITEMS else ""
        return (", ".join(_shown(item) for item in value[:MAX_ITEMS]) or "none") + rest
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)
