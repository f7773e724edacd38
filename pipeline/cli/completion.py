"""`pipeline completion`: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from pipeline.errors import PipelineError

COMPLETE_VARIABLE: Final = "_PIPELINE_COMPLETE"
"""Set by the shell's function when it asks; the name is click's, made of the program's."""
SHELLS: Final = ("bash", "zsh", "fish")

EPILOG: Final = """\b
Examples:
  $ pipeline completion bash >> ~/.bashrc
  $ pipeline completion zsh >> ~/.zshrc
  $ pipeline completion fish > ~/.config/fish/completions/pipeline.fish
  $ source <(pipeline completion bash)         for this shell alone
"""


@click.command(name="completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete `pipeline`: commands, options, days, types, sessions."""
    found = get_completion_class(shell)
    if found is None:
        raise PipelineError("click knows no such shell", where=shell)
    click.echo(found(ctx.find_root().command, {}, "pipeline", COMPLETE_VARIABLE).source())
