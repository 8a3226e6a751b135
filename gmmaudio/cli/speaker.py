"""`gmmaudio speaker`: train, enroll, remove, verify; identify and evaluate are in modules of their own."""

from collections.abc import Sequence
from pathlib import Path

import click

from gmmaudio.cli.arguments import (
    all_names,
    as_recording,
    channel_option,
    check_output,
    files_argument,
    json_option,
    list_entries,
    list_option,
    load_identifier,
    rate_option,
)
from gmmaudio.cli.cluster import connected, scheduler_option, work_folder_option
from gmmaudio.cli.console import print_json, progress_bars
from gmmaudio.cli.evaluate import evaluate
from gmmaudio.cli.identify import identify
from gmmaudio.persistence import save
from gmmaudio.speaker import SpeakerIdentifier


@click.group()
def speaker() -> None:
    """Who is speaking: train, enroll, identify, verify, evaluate."""


@speaker.command()
@files_argument
@click.option(
    "--list",
    "list_file",
    type=click.Path(path_type=Path),
    help="File with one path a line; after a tab, who speaks (needed where one person has several files).",
)
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@click.option("--components", type=int, help="Size of the background model; default: chosen by the amount of speech.")
@click.option("--false-accept-rate", type=float, default=0.01, show_default=True, help="Default of the model.")
@click.option(
    "--checkpoint", type=click.Path(), help="File to keep the model in on the way; run the same again to go on."
)
@scheduler_option
@work_folder_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of the initialisation.")
@channel_option
def train(
    files: Sequence[str],
    list_file: Path | None,
    output: str,
    components: int | None,
    false_accept_rate: float,
    checkpoint: str | None,
    scheduler: str | None,
    work_folder: str | None,
    seed: int,
    channel: int | None,
) -> None:
    """Train a background model on speech of many people, minutes in all."""
    check_output(output)
    if scheduler is not None and work_folder is None:
        work_folder = str(Path(output).absolute().parent)
    entries = list_entries(files, list_file)
    names = all_names(entries, list_file) if any(name for _, name in entries) else None
    identifier = SpeakerIdentifier(n_components=components, false_accept_rate=false_accept_rate, random_state=seed)
    with connected(scheduler) as client, progress_bars() as progress:
        identifier.train(
            [as_recording(file) for file, _ in entries],
            speakers=names,
            channel=channel,
            progress=progress,
            checkpoint=checkpoint,
            work_folder=work_folder,
            client=client,
        )
    save(identifier, output)
    click.echo(
        f"{output}: {identifier.ubm.n_components} components from {len(entries)} recordings, "
        f"a cohort of {len(identifier.cohort.speakers)}; enroll speakers next",
        err=True,
    )


@speaker.command()
@click.argument("model", type=click.Path())
@click.argument("name")
@files_argument
@list_option
@click.option("--add", is_flag=True, help="Add to the recordings of a speaker who is enrolled.")
@channel_option
def enroll(model: str, name: str, files: Sequence[str], list_file: Path | None, add: bool, channel: int | None) -> None:
    """Enroll a speaker NAME in MODEL from one or more recordings, 10 s or more in all."""
    identifier = load_identifier(model)
    recordings = [as_recording(file) for file, _ in list_entries(files, list_file)]
    learn = identifier.add_recordings if add else identifier.enroll
    learn(name, recordings, channel=channel)
    save(identifier, model)
    click.echo(f"{model}: enrolled are {', '.join(identifier.speakers)}", err=True)


@speaker.command()
@click.argument("model", type=click.Path())
@click.argument("name")
def remove(model: str, name: str) -> None:
    """Remove the speaker NAME from MODEL."""
    save(load_identifier(model).remove(name), model)


@speaker.command()
@click.argument("model", type=click.Path())
@click.argument("name")
@click.argument("file", type=click.Path())
@rate_option
@channel_option
@json_option
def verify(
    model: str, name: str, file: str, false_accept_rate: float | None, channel: int | None, as_json: bool
) -> int:
    """Say whether FILE is the voice of NAME; exit with 1 if it is not."""
    identifier = load_identifier(model)
    result = identifier.verify(name, as_recording(file), channel=channel, false_accept_rate=false_accept_rate)
    if as_json:
        print_json({"file": file, **result.to_dict()})
    else:
        verdict = "accepted" if result.accepted else "rejected"
        compared = f"score {result.score:.2f}, needed {result.threshold:.2f}"
        click.echo(f"{verdict}: {click.format_filename(file)} as {name} ({compared})")
    return int(not result.accepted)


speaker.add_command(identify)
speaker.add_command(evaluate)
