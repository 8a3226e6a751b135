"""`gmmaudio demo`: the whole way from recordings to names, on the voices that come with the package."""

import csv
import time
from pathlib import Path

import click

import gmmaudio
from gmmaudio.cli.console import print_table, progress_bars
from gmmaudio.errors import GmmAudioError
from gmmaudio.speaker import UNKNOWN, SpeakerIdentifier


@click.command()
@click.option("--samples", type=click.Path(path_type=Path), help="Another folder with a manifest.csv of the same form.")
def demo(samples: Path | None) -> int:
    """Train, enroll and identify on the bundled synthetic voices; exit with 1 if a decision is not as it should be."""
    folder = samples or bundled_samples()
    clips = read_manifest(folder)
    started = time.perf_counter()
    background = [clip for clip in clips if clip["split"] == "background"]
    identifier = SpeakerIdentifier(false_accept_rate=0.05)
    with progress_bars() as progress:
        identifier.train(
            [folder / clip["path"] for clip in background],
            speakers=[clip["voice"] for clip in background],
            progress=progress,
        )
    for voice in dict.fromkeys(clip["voice"] for clip in clips if clip["split"] == "enroll"):
        own = [folder / clip["path"] for clip in clips if clip["split"] == "enroll" and clip["voice"] == voice]
        identifier.enroll(voice, own)
    click.echo(
        f"background model: {identifier.ubm.n_components} components from {len(background)} clips; "
        f"enrolled: {', '.join(identifier.speakers)}\n"
    )
    rows, n_right = [], 0
    tests = [clip for clip in clips if clip["split"] in ("test", "unknown", "not_speech")]
    for clip in tests:
        result = identifier.identify(folder / clip["path"])
        expected = clip["voice"] if clip["split"] == "test" else UNKNOWN
        n_right += result.decision == expected
        best = result.ranking[0][0] if result.ranking else "no speech"
        score = f"{result.score:.1f}" if result.ranking else ""
        verdict = "right" if result.decision == expected else f"WRONG, is {expected}"
        rows.append((clip["path"], result.decision, verdict, best, score, f"{result.threshold:.1f}"))
    print_table(("clip", "decision", "", "closest", "score", "needed"), rows)
    seconds = time.perf_counter() - started
    click.echo(f"{n_right} of {len(tests)} decisions right, in {seconds:.1f} s. The voices are synthetic and easy;")
    click.echo("recipes/speaker_id measures people. Next: gmmaudio speaker --help")
    return int(n_right < len(tests))


def bundled_samples() -> Path:
    """Return the folder of the bundled clips, in an installed package or in a checkout."""
    package = Path(gmmaudio.__file__).parent
    for folder in (package / "_audio_samples", package.parent / "audio_samples"):
        if (folder / "manifest.csv").is_file():
            return folder
    raise GmmAudioError("the bundled audio samples are not there; name a folder with --samples")


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Return the clips that a folder's manifest.csv lists."""
    try:
        with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise GmmAudioError(
            f"cannot read {folder / 'manifest.csv'}: {error.strerror}; leave --samples out for the bundled clips"
        ) from error
