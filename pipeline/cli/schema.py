"""`pipeline schema`: the types of records, and the JSON Schema of each."""

from __future__ import annotations

import difflib
import json

import click

from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import json_option

EPILOG = """\b
Examples:
  $ pipeline schema                            the types, one a line
  $ pipeline schema tool_call                  what a tool_call looks like
  $ pipeline schema --all > records.json       one schema for every line of a day file
  $ check-jsonschema --schemafile records.json line.json
"""


@click.command(name="schema", epilog=EPILOG)
@click.argument("action_type", metavar="[TYPE]", required=False)
@click.option("--all", "as_one", is_flag=True, help="Print one schema for records of every type.")
@json_option("the list of types")
@click.pass_context
def command(ctx: click.Context, action_type: str | None, *, as_one: bool, as_json: bool) -> None:
    """
    Print the JSON Schema of a type of records, or the list of types.

    These are the types that the library knows; records of any other type are as welcome.
    """
    from pipeline.records import catalogue  # msgspec is paid for by who asks

    if as_one:
        _print(catalogue.schema_of_all())
    elif action_type is None:
        _list({name: about["description"] for name, about in catalogue.schemas().items()}, as_json=as_json)
    elif action_type in catalogue.TYPES:
        _print(catalogue.schema(action_type))
    else:
        close = difflib.get_close_matches(action_type, catalogue.TYPES, n=1)
        meant = f" Did you mean {close[0]}?" if close else " `pipeline schema` lists those that there are."
        raise click.UsageError(f"the library knows no type '{action_type}'.{meant}", ctx)
    ctx.exit(Exit.DONE)


def _list(types: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        _print(types)
        return
    width = max(map(len, types))
    for name, meaning in types.items():
        click.echo(f"{name:<{width}}  {meaning}")


def _print(document: object) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))
