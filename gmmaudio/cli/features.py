"""`gmmaudio features`: frames of recordings, to look at or to score later."""

from collections.abc import Sequence
from pathlib import Path

import click

from gmmaudio.cli.arguments import channel_option, load_identifier
from gmmaudio.cli.console import print_table, progress_bars
from gmmaudio.errors import ParameterError
from gmmaudio.features import Features
from gmmaudio.persistence import save
from gmmaudio.speaker.recordings import RecordingReader, common_rate, speaker_pipeline


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder for the feature files.")
@click.option("--model", type=click.Path(), help="Make the features that this model needs.")
@click.option("--sample-rate", type=int, help="Hz; default: 16000, or 8000 if a file has less.")
@channel_option
def features(
    files: Sequence[str], output: Path, model: str | None, sample_rate: int | None, channel: int | None
) -> None:
    """Write the frames of each file to OUTPUT/NAME.features, which other commands take in place of the recording."""
    if model is not None:
        pipeline = load_identifier(model).pipeline
    else:
        rate = sample_rate or common_rate(files, sample_rate=None, channel=channel)
        pipeline = speaker_pipeline(rate)
    targets = [output / f"{Path(file).stem}.features" for file in files]
    if len(set(targets)) < len(targets):
        raise ParameterError("two of the files have the same name; write them to different folders")
    if output.exists() and not output.is_dir():
        raise ParameterError(f"{output} is a file, but a folder is needed for the feature files; give another name")
    output.mkdir(parents=True, exist_ok=True)
    reader = RecordingReader(pipeline, sample_rate=None, channel=channel)
    rows = []
    with progress_bars() as progress:
        for index, (file, target) in enumerate(zip(files, targets, strict=True)):
            progress("features", index, len(files))
            made = Features(reader.frames(file), pipeline.config)
            save(made, target)
            rows.append((str(target), *map(str, made.frames.shape)))
        progress("features", len(files), len(files))
    print_table(("file", "frames", "features"), rows)
