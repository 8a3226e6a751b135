"""`gmmaudio separate evaluate`: how good a model is on sources whose recordings are known."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio import read
from gmmaudio.cli.arguments import channel_option, json_option
from gmmaudio.cli.console import print_json, print_table, progress_bars
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import load
from gmmaudio.separation import SeparationEvaluation, Separator, SystemScores


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--list",
    "list_file",
    required=True,
    type=click.Path(path_type=Path),
    help="File with one mixture a line: NAME=FILE for each source, with tabs between; they are added up.",
)
@channel_option
@json_option
def evaluate(model: str, list_file: Path, channel: int | None, as_json: bool) -> None:
    """Print how far MODEL takes mixtures of known recordings apart, beside the mixture and the masks of an oracle."""
    separator = load_separator(model)
    mixtures = _read_mixtures(list_file)
    evaluation = SeparationEvaluation(separator.stft)
    n_found = 0
    with progress_bars() as progress:
        for number, files in enumerate(mixtures):
            progress("mixtures", number, len(mixtures))
            references = _references(files, separator.sample_rate, channel)
            mixture = np.sum(list(references.values()), axis=0)
            estimates = separator.separate(mixture, tuple(references))
            evaluation.add(list(references.values()), {"gmmaudio": list(estimates.values())})
            n_found += set(separator.rank_sources(mixture)[0].sources) == set(references)
        progress("mixtures", len(mixtures), len(mixtures))
    scores = evaluation.result()
    if as_json:
        print_json({"systems": [_values(one) for one in scores], "pairs_found": n_found, "mixtures": len(mixtures)})
        return
    columns = ("system", "SI-SDR improvement [95 %]", "SDR", "SIR", "SAR", "% of oracle")
    print_table(columns, [_row(one) for one in scores], title=f"{len(mixtures)} mixtures, means in dB")
    click.echo(f"sources found from the mixture alone: {n_found} of {len(mixtures)}")


def load_separator(path: str) -> Separator:
    """Return the separator in a model file."""
    separator: Separator = load(path, kind="separator")
    return separator


def _read_mixtures(path: Path) -> list[dict[str, str]]:
    """Return the file of each source of each mixture of a list."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GmmAudioError(f"cannot read the list {path}: {getattr(error, 'strerror', None) or 'not text'}") from error
    mixtures = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.partition("=") for part in line.split("\t")]
        files = {name.strip(): file.strip() for name, _, file in parts}
        if len(files) < 2 or not all(files.values()):
            raise ParameterError(f"the line {line!r} of {path} is not NAME=FILE for two sources, with a tab between")
        mixtures.append(files)
    if not mixtures:
        raise GmmAudioError(f"the list {path} names no mixtures; write one a line: NAME=FILE, a tab, NAME=FILE")
    return mixtures


def _references(files: dict[str, str], sample_rate: int, channel: int | None) -> dict[str, Float32Array]:
    """Return the sources of a mixture, cut to the shortest."""
    signals = {name: read(file, sample_rate=sample_rate, channel=channel)[0] for name, file in files.items()}
    shortest = min(map(len, signals.values()))
    return {name: signal[:shortest] for name, signal in signals.items()}


def _values(scores: SystemScores) -> dict[str, Any]:
    """Return the scores of a system as JSON values; infinite ones as null."""
    means = {name: float(values.mean()) for name, values in scores.values.items()}
    return {
        "system": scores.system,
        "si_sdr_improvement": float(scores.improvement.mean()),
        "interval": list(scores.interval),
        **{name: value if np.isfinite(value) else None for name, value in means.items()},
        "share_of_oracle": scores.share_of_oracle,
    }


def _row(scores: SystemScores) -> tuple[str, ...]:
    """Return the scores of a system for people."""
    low, high = scores.interval
    means = [f"{scores.values[name].mean():.1f}" for name in ("sdr", "sir", "sar")]
    improvement = f"{scores.improvement.mean():.2f} [{low:.2f}, {high:.2f}]"
    return scores.system, improvement, *means, f"{100 * scores.share_of_oracle:.0f}"
