"""The command line: each module parses, calls the library and prints.

Exit codes: 0 done; 1 rejected, or unknown where `--exit-code` asks for it; 2 bad input, with one sentence on standard
error; 130 interrupted. Where one of several files to identify cannot be read, the others are identified all the same
and the exit code is 2 in the end; training, enrolment and evaluation stop at the first such file and change nothing.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

import click

from gmmaudio import __version__
from gmmaudio.cli.console import show_error, show_warning
from gmmaudio.errors import GmmAudioError, GmmAudioWarning

COMMANDS = ("speaker", "words", "separate", "anomaly", "features", "select", "info", "demo")
"""Each stands under its name in the module of that name."""


class CommandGroup(click.Group):
    """Imports a command when it is asked for, so that none waits for the libraries of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gmmaudio.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gmmaudio")
def commands() -> None:
    """Audio and time series with Gaussian mixtures: from samples to a decision."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; errors of ours and of the disk are one sentence, never a traceback."""
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        warnings.simplefilter("always", GmmAudioWarning)
        sys.exit(_exit_code(arguments))


def _exit_code(arguments: Sequence[str] | None) -> int:
    """Run the command line and return the exit code."""
    try:
        result = commands.main(arguments, prog_name="gmmaudio", standalone_mode=False)
    except click.UsageError as error:
        _show_usage_error(error)
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except SystemExit:  # click's answer to a reader of our output that has seen enough
        return 0
    except (GmmAudioError, OSError) as error:
        show_error(error)
        return 2
    return result if isinstance(result, int) else 0


def _show_usage_error(error: click.UsageError) -> None:
    """Print in one line what is wrong with the arguments, or the help if there are none."""
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
    else:
        command = error.ctx.command_path if error.ctx else "gmmaudio"
        click.echo(f"gmmaudio: {error.format_message().rstrip('.')}; see: {command} --help", err=True)
