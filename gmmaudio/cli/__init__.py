"""The command line: each module parses, calls the library and prints.

Exit codes: 0 done; 1 rejected, or unknown where `--exit-code` asks for it; 2 bad input, with one sentence on standard
error; 130 interrupted.
"""

import sys
import warnings
from collections.abc import Sequence

import click

from gmmaudio import __version__
from gmmaudio.cli.console import show_warning
from gmmaudio.cli.demo import demo
from gmmaudio.cli.features import features
from gmmaudio.cli.info import info
from gmmaudio.cli.speaker import speaker
from gmmaudio.errors import GmmAudioError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gmmaudio")
def commands() -> None:
    """Audio and time series with Gaussian mixtures: from samples to a decision."""


for command in (speaker, features, info, demo):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; errors of ours and of the disk are one sentence, never a traceback."""
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        try:
            result = commands.main(arguments, prog_name="gmmaudio", standalone_mode=False)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            sys.exit(130)
        except BrokenPipeError:  # the reader of our output has seen enough
            sys.stderr.close()
            sys.exit(0)
        except (GmmAudioError, OSError) as error:
            click.echo(f"gmmaudio: {error}", err=True)
            sys.exit(2)
    sys.exit(result if isinstance(result, int) else 0)
