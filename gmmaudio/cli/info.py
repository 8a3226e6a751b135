"""`gmmaudio info`: what a model file holds."""

import textwrap
from typing import Any

import click

from gmmaudio.cli.arguments import json_option
from gmmaudio.cli.console import print_json, print_table
from gmmaudio.features import PipelineConfig
from gmmaudio.persistence import load, read_stored


@click.command()
@click.argument("model", type=click.Path())
@json_option
def info(model: str, as_json: bool) -> None:
    """Print what a model file holds, after checking it."""
    stored = read_stored(model)
    load(model)
    arrays = {name: f"{array.dtype} {list(array.shape)}" for name, array in stored.arrays.items()}
    if as_json:
        print_json(
            {
                "kind": stored.kind,
                "library_version": stored.library_version,
                "config": stored.config,
                "pipeline": stored.pipeline,
                "arrays": arrays,
            }
        )
        return
    click.echo(f"{model}: {stored.kind}, made by gmmaudio {stored.library_version}")
    if stored.pipeline is not None:
        click.echo(f"front end:\n{textwrap.indent(PipelineConfig.from_dict(stored.pipeline).describe(), '  ')}")
    print_table(("setting", "value"), _flattened(dict(stored.config)))
    print_table(("array", "type and shape"), list(arrays.items()))


def _flattened(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as rows; a list of objects has one row for each."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows += [(f"{prefix}{name}", ", ".join(f"{key} {_shown(item[key])}" for key in item)) for item in value]
        else:
            rows.append((prefix + name, _shown(value)))
    return rows


def _shown(value: Any) -> str:
    """Return a value for people: short floats, the first items of long lists."""
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value[:8]) + (f", … ({len(value)} in all)" if len(value) > 8 else "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
