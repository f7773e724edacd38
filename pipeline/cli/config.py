"""`pipeline config`: which settings are in force, whether a file can be used, and a file to begin from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline import launch, settings as settings_table
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import dir_option, json_option, places_of, shown
from pipeline.errors import SettingsError
from pipeline.host import files
from pipeline.settings import SETTINGS, Reading, settings_file as settings_files, template
from pipeline.settings.documents import printable
from pipeline.settings.findings import Findings
from pipeline.settings.table import SECRET

if TYPE_CHECKING:
    from pipeline.settings import Setting

_HIDDEN: Final = "(not shown)"
EPILOG: Final = """\b
Examples:
  $ pipeline config show                  what is in force, and where each value came from
  $ pipeline config check pipeline.toml   can this file be used?
  $ pipeline config init pipeline.toml    a file with every setting, to begin from
"""
SHOW_EPILOG: Final = """\b
Examples:
  $ pipeline config show --dir /var/log/app         of the pipeline that runs there
  $ pipeline config show --changed                  what is not at its default
  $ pipeline config show queue_max_mb lanes         these alone
  $ pipeline config show --settings-file new.toml   what this file would bring
  $ pipeline config show --json | jq -r '.settings.queue_max_mb.value'
"""
CHECK_EPILOG: Final = """\b
Examples:
  $ pipeline config check pipeline.toml           exit status 1 when something cannot be used
  $ pipeline config check ~/.app/settings.json    the block `logging` of an application's file
  $ pipeline config check                         what an application here would find, environment included
"""
INIT_EPILOG: Final = """\b
Examples:
  $ pipeline config init                 ~/.pipeline/settings.toml, which is found without being named
  $ pipeline config init pipeline.yaml   in YAML
  $ pipeline config init -               to standard output, in TOML
"""
_FOUND: Final = f"{settings_files.FOUND_IN}/settings.toml"


@click.group(name="config", epilog=EPILOG)
def command() -> None:
    """Show and check settings."""


@command.command(name="show", epilog=SHOW_EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@dir_option
@click.option(
    "--settings-file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Show what this file and the environment would bring, whatever runs.",
)
@click.option("--changed", is_flag=True, help="Show only what is not at its default.")
@json_option("the settings with their sources")
def show(
    names: tuple[str, ...], directory: str | None, settings_file: str | None, *, changed: bool, as_json: bool
) -> None:
    """
    Show the settings in force, and where each value came from.

    Those of the pipeline that runs over the log directory; when none runs, those that one would have.
    """
    running, reading = _in_force(directory, settings_file)
    rows = [row for row in _rows(names) if not changed or _value(row, reading) != _plain(row.default)]
    if as_json:
        click.echo(json.dumps(_document(rows, reading, is_running=running), ensure_ascii=False))
        return
    for line in _table(rows, reading):
        click.echo(line)
    for complaint in reading.complaints:
        click.echo(f"Warning: {complaint}", err=True)


@command.command(name="check", epilog=CHECK_EPILOG)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@json_option("the findings")
@click.pass_context
def check(ctx: click.Context, file: str | None, *, as_json: bool) -> None:
    """
    Check a settings file; exit status 1 when something in it cannot be used.

    Without FILE: the environment, and the file that is found. Keys that are known and have no effect yet, and
    blocks of another program, are listed and are no findings.
    """
    found = Findings.of_file(file) if file else Findings.of_environment()
    if as_json:
        click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        for line in found.lines():
            click.echo(line)
    ctx.exit(Exit.BAD_NEWS if found.complaints else Exit.DONE)


@command.command(name="init", epilog=INIT_EPILOG)
@click.argument("file", default=_FOUND, type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(file: str, *, force: bool) -> None:
    """
    Write a file with every setting in it, each a comment with its default.

    In TOML or YAML, by the end of the name.  [default: ~/.pipeline/settings.toml]
    """
    if file == "-":
        click.echo(template.commented(".toml"), nl=False)
        return
    path = Path(file).expanduser()
    suffix = path.suffix.lower()
    if suffix not in template.SUFFIXES:
        raise SettingsError(
            "a file of this kind has no comments",
            where=shown(path),
            remedy="Try: a name that ends in " + " or ".join(template.SUFFIXES),
        )
    if not force and os.path.lexists(path):
        raise SettingsError(
            "the file is there already", where=shown(path), remedy="Try: another name, or --force"
        )
    files.make_private(path.absolute().parent)
    files.replace(path, template.commented(suffix).encode(), durable=True)
    click.echo(f"written: {shown(path)}")


def _in_force(directory: str | None, settings_file: str | None) -> tuple[bool, Reading]:
    """Return whether a pipeline runs, and its settings or those that one would have."""
    if settings_file:
        return False, settings_table.read({"log_dir": directory} if directory else {}, settings_file)
    places = places_of(directory)
    published = launch.published_settings(places)
    is_running = launch.supervisor_pid(places) is not None
    if published is not None:
        return is_running, published
    return False, settings_table.read({"log_dir": directory} if directory else {})


def _rows(names: tuple[str, ...]) -> list[Setting]:
    known = {row.name: row for row in SETTINGS}
    for name in names:
        if name not in known:
            from pipeline.settings.nearest import hint

            raise SettingsError("no such setting", where=printable(name), remedy=hint(name, known).strip())
    return [known[name] for name in names] if names else list(SETTINGS)


def _table(rows: list[Setting], reading: Reading) -> list[str]:
    cells = [(row.name, _text(row, reading), _source(row, reading)) for row in rows]
    widths = [max((len(cell[column]) for cell in cells), default=0) for column in (0, 1)]
    return [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in cells]


def _text(row: Setting, reading: Reading) -> str:
    value = _value(row, reading)
    text = value if isinstance(value, str) and value.isprintable() and value else json.dumps(value)
    return f"{value:04o}" if row.unit == "mode" else text


def _source(row: Setting, reading: Reading) -> str:
    source = reading.sources.get(row.name)
    if source is None:
        return "default"
    return source.kind if source.kind == "keyword" else f"{source.kind} {shown(source.where)}"


def _document(rows: list[Setting], reading: Reading, *, is_running: bool) -> dict[str, Any]:
    return {
        "running": is_running,
        "file": reading.origin.file if reading.origin else "",
        "settings": {row.name: _entry(row, reading) for row in rows},
        "complaints": reading.complaints,
        "without_effect": reading.without_effect,
        "ignored": reading.ignored,
    }


def _entry(row: Setting, reading: Reading) -> dict[str, Any]:
    source = reading.sources.get(row.name)
    return {
        "value": _value(row, reading),
        "default": _plain(row.default),
        "source": source.kind if source else "default",
        "where": source.where if source else "",
        "unit": row.unit,
        "taken_at": row.at,
    }


def _value(row: Setting, reading: Reading) -> Any:
    value = getattr(reading.settings, row.name)
    return _HIDDEN if value and row.unit == SECRET else _plain(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
