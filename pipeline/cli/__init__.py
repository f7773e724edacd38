"""
The command `pipeline`.

A subcommand is a module of its name with a `command` in it, and is imported when it is called, so that
`pipeline --help` and a shell loop of small commands pay for what they use.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

import click

from pipeline.cli.exit_codes import Exit
from pipeline.errors import NotRunningError, PipelineError, QueryError, SettingsError
from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS: Final[dict[str, str]] = {
    "demo": "Show what it is: kill -9, an outage, recovery, proof.",
    "record": "Record standard input: JSON lines, or lines of text.",
    "run": "Run the pipeline as a service in the foreground.",
    "status": "Tell how the pipeline is.",
    "log": "Find records and show them.",
    "flush": "Wait until all that was emitted is on the disk.",
    "verify": "Prove that nothing is missing, twice, or out of order.",
    "account": "Tell where every emitted record is, and whether it adds up.",
    "replay-fallback": "Bring what is in the fallback store into the files.",
    "cleanup": "Pack old day files, and let go of those beyond the limits.",
    "mask": "Try the masking rules; search what is stored.",
    "repair": "Rebuild manifests and catalog from the files.",
    "reload": "Read the settings again and let the workers take them.",
    "config": "Show and check settings.",
    "schema": "Print what records of a type look like.",
    "stop": "Stop the pipeline; producers go on and their records wait.",
    "completion": "Print what makes a shell complete commands and options.",
}
"""The subcommands in the order of the help, each with its line there."""

EPILOG: Final = """\b
Examples:
  $ pipeline demo                              see it survive kill -9 and an outage, in 20 s
  $ journalctl -o json | pipeline record       record what another program prints
  $ pipeline log --since 15m --status error    what went wrong just now
  $ pipeline status --dir /var/log/app         how is the one of that application?
  $ pipeline verify && echo nothing is lost    prove it
"""


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a subcommand, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"pipeline.cli.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; for one that does not exist, say which one was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise _UnknownCommand(args[0], close[0] if close else "--help", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class _UnknownCommand(click.UsageError):
    def __init__(self, name: str, attempt: str, ctx: click.Context) -> None:
        super().__init__(f"there is no command '{name}'", ctx)
        self.attempt = attempt


def _print_version(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
    if value and not ctx.resilient_parsing:
        from pipeline.launch import VERSION

        click.echo(f"pipeline {VERSION}")
        ctx.exit()


@click.group(
    name="pipeline",
    cls=LazyGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def group() -> None:
    """
    Keep a flight recorder for Python applications.

    Any number of processes emit records; a supervised writer puts them into daily JSONL files, each once and
    in order, through a kill -9 of any of them. What the commands exit with: docs/reference/exit-codes.md.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    code = guarded(lambda: group.main(arguments, prog_name="pipeline", standalone_mode=False))
    if code == Exit.PIPE_CLOSED:
        _forget_stdout()
    sys.exit(code)


def log_command(text: str = "", *, log_dir: str | None = None, stream: TextIO | None = None) -> int:
    """
    Run `pipeline log` inside of a program that offers it to its user, and return its exit code.

        if line.startswith("/log"):
            log_command(line)

    `text` is what was typed, split as a shell would; a leading `/log` or `log` may stay in it. It is about
    `log_dir` (the usual one) unless `--dir` is in the text. Prints to `stream` (stdout); what is wrong is one
    line on stderr and an exit code other than 0. Never ends the program, takes no signals, changes no user.
    """
    import shlex

    from pipeline.cli.log import Hosted

    target = stream or sys.stdout

    def run() -> Any:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise click.UsageError(f"{error} in the line") from error
        arguments = words[1:] if words[:1] in (["/log"], ["log"]) else words
        if {"-h", "--help"}.intersection(arguments):
            target.write(_help_of("log") + "\n")
            return Exit.DONE
        hosted = Hosted(target, log_dir)
        return group.main(["log", *arguments], prog_name="pipeline", standalone_mode=False, obj=hosted)

    return guarded(run)


def _help_of(name: str) -> str:
    above = click.Context(group, info_name="pipeline", **group.context_settings)
    command = group.get_command(above, name)
    return command.get_help(click.Context(command, info_name=name, parent=above)) if command else ""


def guarded(action: Callable[[], Any]) -> int:
    """Run a command and return what to exit with; every error that has a reason is one clear line."""
    try:
        code = action()
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.UsageError as error:
        _complain(f"{error.format_message()}\nTry: {_attempt(error)}")
        return Exit.USAGE
    except click.ClickException as error:
        _complain(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return Exit.INTERRUPTED
    except PipelineError as error:
        _complain(str(error))
        return _code_of(error)
    except BrokenPipeError:
        return Exit.PIPE_CLOSED
    except SystemExit as end:  # 0: click has completed a word for the shell; else it has met a closed pipe
        return Exit.PIPE_CLOSED if end.code else Exit.DONE
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        _complain(f"{error.strerror or error}{place}")
        return Exit.NOT_POSSIBLE
    except Exception:  # noqa: BLE001 - the last line of the program: it says everything it knows
        import traceback

        traceback.print_exc()
        return Exit.DEFECT
    return code if isinstance(code, int) else Exit.DONE


def _attempt(error: click.UsageError) -> str:
    if isinstance(error, _UnknownCommand):
        return f"pipeline {error.attempt}"
    path = error.ctx.command_path if error.ctx else "pipeline"
    return f"{path} --help"


def _code_of(error: PipelineError) -> int:
    if isinstance(error, SettingsError | QueryError):
        return Exit.USAGE
    return Exit.NOT_RUNNING if isinstance(error, NotRunningError) else Exit.NOT_POSSIBLE


def _complain(message: str) -> None:
    # Arguments are repeated in messages, and may have been pasted from anywhere.
    harmless = "\n".join(map(visible, message.split("\n")))
    try:
        click.echo(f"Error: {harmless}", err=True)
    except OSError:
        return  # nobody reads stderr; the exit code says it


def _forget_stdout() -> None:
    """Keep the interpreter from flushing into the closed pipe once more, with a complaint, when it ends."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
