"""`pipeline mask`: try the rules on a text, and look for what they would mask in what is stored already."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from pipeline import settings as settings_table
from pipeline.cli.bars import progress_bar
from pipeline.cli.exit_codes import Exit
from pipeline.cli.options import act_as_owner, dir_option, json_option, places_of, shown
from pipeline.errors import NotRunningError
from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.cli.mask_search import Place
    from pipeline.privacy.masker import Masker

SHOWN_MAX: Final = 100
"""Places that are shown to a person. `--json` has more."""
JSON_MAX: Final = 100_000

_settings_option = click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Take the rules from this settings file.  [default: environment, else the usual ones]",
)
_strict_option = click.option("--strict", "is_strict", is_flag=True, help="With the strict preset.")

EPILOG: Final = """\b
Examples:
  $ env | pipeline mask test                 what of my environment would be masked?
  $ pipeline mask scan                       is anything stored that would be masked now?
"""
TEST_EPILOG: Final = """\b
Examples:
  $ pipeline mask test app.log               each line, or each object, of a file
  $ env | pipeline mask test                 what of my environment would be seen?
  $ pipeline mask test --strict < body.json  with everything on
"""
SCAN_EPILOG: Final = """\b
Examples:
  $ pipeline mask scan                       all day files and the fallback store
  $ pipeline mask scan --dir /var/log/app --json | jq .rules
"""


@click.group(name="mask", epilog=EPILOG)
def command() -> None:
    """Try the masking rules, and look for what they would mask in stored records."""


@command.command(name="test", epilog=TEST_EPILOG)
@click.argument("file", type=click.File("rb"), default="-")
@_settings_option
@_strict_option
@json_option("what would be masked")
def test(file: Any, settings_file: str | None, *, is_strict: bool, as_json: bool) -> None:
    """
    Show what would be masked in a text, and by which rule.

    FILE, standard input by default, is taken line by line; a line that is JSON is masked as JSON. Secrets
    themselves are never printed.
    """
    masker = _masker(settings_file, is_strict=is_strict)
    findings, lines = [], 0
    for lines, line in enumerate(file, 1):
        masked, found = _tried(masker, line)
        findings += [{"line": lines, "path": each.path, "rule": each.rule} for each in found]
        if found and not as_json:
            for each in found:
                click.echo(f"{lines}: {visible(each.path) or 'text'}: {each.rule}")
            click.echo(f"   {visible(masked)}")
    rules = dict(Counter(str(each["rule"]) for each in findings).most_common())
    if as_json:
        click.echo(
            json.dumps({"lines": lines, "masked": len(findings), "rules": rules, "findings": findings})
        )
    else:
        click.echo(f"{len(findings)} masked in {lines} lines")


def _tried(masker: Masker, line: bytes) -> tuple[str, list[Any]]:
    text = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    try:
        value = orjson.loads(text)
    except ValueError:
        value = text
    masked, found = masker.findings(value)
    return masked if isinstance(masked, str) else orjson.dumps(masked).decode(), found


@command.command(name="scan", epilog=SCAN_EPILOG)
@dir_option
@_settings_option
@_strict_option
@json_option("what was found")
@click.pass_context
def scan(
    ctx: click.Context, directory: str | None, settings_file: str | None, *, is_strict: bool, as_json: bool
) -> None:
    """
    Look in stored records for what the rules would mask now.

    Reads all day files, packed ones too, and the fallback store, and changes nothing: what is stored is
    covered by digests. Exit status 1 if anything is found, or if something cannot be read.
    """
    from pipeline.cli.mask_search import Search

    places = places_of(directory)
    act_as_owner(places.log_dir)
    if not places.log_dir.is_dir():
        raise NotRunningError(
            "no log directory", where=shown(places.log_dir), remedy="Try: pipeline mask scan --dir DIR"
        )
    search = Search(_masker(settings_file, is_strict=is_strict), JSON_MAX)
    with progress_bar("searching") as progress:
        search.look_into(places.log_dir, progress)
    if as_json:
        click.echo(json.dumps(search.as_dict()))
    else:
        _tell(search.places, search.rules, search.records, search.unread)
    ctx.exit(Exit.BAD_NEWS if search.rules or search.unread else Exit.DONE)


def _tell(places: list[Place], rules: Counter[str], records: int, unread: Iterable[str]) -> None:
    for place in places[:SHOWN_MAX]:
        click.echo(visible(f"{place.file}:{place.line}: {place.path}: {place.rule}"))
    if len(places) > SHOWN_MAX:
        click.echo("… and more; --json has them")
    for name in unread:
        click.echo(f"cannot be read: {visible(name)}", err=True)
    for rule, count in rules.most_common():
        click.echo(f"{count:>8}  {visible(rule)}")
    click.echo(f"{rules.total()} found in {records} records")


def _masker(settings_file: str | Path | None, *, is_strict: bool) -> Masker:
    from pipeline.privacy.from_settings import masker_of

    preset = {"mask_preset": "strict"} if is_strict else {}
    settings, complaints = settings_table.load(preset, settings_file)
    for complaint in complaints:
        click.echo(f"note: {visible(complaint)}", err=True)
    return masker_of(settings)
