"""`pipeline log`: find records and show them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from pipeline.cli.exit_codes import Exit
from pipeline.cli.listing.request import EXPORTS, FORMATS, TAIL_DEFAULT, Request
from pipeline.cli.options import Command, dir_option, places_of
from pipeline.cli.standstill import timeout_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

EPILOG: Final = """\b
Examples:
  $ pipeline log                                   the last 50 of today
  $ pipeline log --date 2025-11-21 --action-type tool_error --tool-name bash
  $ pipeline log --since 15m --status error        what went wrong just now
  $ pipeline log --follow --level ERROR            and what goes wrong from now on
  $ pipeline log --date-range 2025-11-15:2025-11-21 --format summary
  $ pipeline log --where 'duration_ms > 500 and not (tool_name = bash)' --all
  $ pipeline log --since 1d --format chart         when, and how long it takes
  $ pipeline log --session-id s-1 --all --format jsonl | jq .content
  $ pipeline log --date yesterday --export csv --output yesterday.csv
  $ pipeline log --since 7d --sql 'select action_type, count(*) from records group by 1'

\b
Moments are 15m, 2h, 1d or 1w ago, today, yesterday, 14:30, 2025-11-21, 2025-11-21T14:30 in the zone of
--timezone, or any RFC 3339 time. Names may be given once with commas between, or again and again: any of
them is enough, while different options narrow each other. Without a day it is about today.
Characters that a terminal would obey are shown as escapes; JSON for a file or a pipe is as it is stored.
"""


class Hosted(NamedTuple):
    """Where the answer of a command goes that a program of somebody else runs in itself."""

    stream: Any
    log_dir: str | None


def _words(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _completing(name: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    def complete(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
        from pipeline.cli.listing import completion

        return completion.complete(name, ctx.params.get("directory"), begun)

    return complete


def _names(option: str, metavar: str, meaning: str) -> Callable[[Command], Command]:
    """Return an option that takes several names, with commas between or again and again."""
    return click.option(
        option,
        metavar=metavar,
        multiple=True,
        callback=_words,
        shell_complete=_completing(option.removeprefix("--")),
        help=meaning,
    )


def _texts(option: str, metavar: str, meaning: str) -> Callable[[Command], Command]:
    """Return an option that may be given several times, each as it is."""
    complete = _completing(option.removeprefix("--"))
    return click.option(option, metavar=metavar, multiple=True, shell_complete=complete, help=meaning)


def _day(option: str, metavar: str, meaning: str) -> Callable[[Command], Command]:
    return click.option(option, metavar=metavar, shell_complete=_completing("date"), help=meaning)


_COUNT: Final = click.IntRange(min=1)


@click.command(name="log", epilog=EPILOG)
@dir_option
@timeout_option
@_day("--date", "DAY", "Records of this day: 2025-11-21, today, yesterday.")
@_day("--date-range", "FIRST:LAST", "Records of these days, both included; either may be left out.")
@_day("--since", "WHEN", "Records from this moment on: 15m (ago), 14:30, 2025-11-21T14:30.")
@_day("--until", "WHEN", "Records before this moment; a day is included.")
@_names("--action-type", "TYPES", "Of these types, as tool_call,tool_error.")
@_texts("--session-id", "ID", "Of this session.")
@_names("--status", "STATUSES", "With this status: error, warning, success, pending, quota_exceeded.")
@_names("--tool-name", "TOOLS", "Of these tools, results and errors too.")
@_names("--level", "LEVELS", "With this level, as ERROR,CRITICAL.")
@_texts("--trace-id", "ID", "Of this trace.")
@_names("--producer", "IDS", "Of these producers.")
@_texts("--keyword", "TEXT", "With this text anywhere in the record.")
@_texts("--content-match", "REGEX", "With a text value in which this regular expression is found.")
@_texts("--where", "EXPRESSION", "For which this holds, as 'duration_ms > 500 and status = error'.")
@click.option("--limit", type=_COUNT, metavar="N", help="The first N.")
@click.option(
    "--tail",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The last N.  [default: {TAIL_DEFAULT} for table, json and jsonl, else all]",
)
@click.option("--all", "shows_all", is_flag=True, help="All of them.")
@click.option("--follow", "-f", is_flag=True, help="Go on with those that come, until Ctrl+C.")
@click.option("--unwritten", is_flag=True, help="Also what is in the fallback store or the queue.")
@click.option(
    "--format",
    "format",
    type=click.Choice(FORMATS),
    help="How they are shown; summary is statistics, chart is over time.  [default: table]",
)
@_names("--fields", "FIELDS", "Only these fields, as timestamp,args.command.")
@click.option(
    "--sql", metavar="SELECT", help="Rows of a select from the table `records`; needs the extra `query`."
)
@click.option(
    "--export", type=click.Choice(EXPORTS), help="All of them for other programs; parquet needs `query`."
)
@click.option(
    "--output", "-o", type=click.Path(), metavar="FILE", help="Where it goes, as a whole or not at all."
)
@click.option(
    "--timezone",
    metavar="ZONE",
    shell_complete=_completing("timezone"),
    help="Of days and shown times: Europe/Berlin, local.  [default: the setting `timezone`, UTC]",
)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colours by status; auto is for a terminal without NO_COLOR.",
)
@click.option("--no-pager", is_flag=True, help="Do not show long answers in $PAGER.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """
    Find records and show them: the last 50 of today, or what the options ask for.

    Reads the files of all days as they are, packed ones too, while the pipeline runs or not, and changes
    none of them.
    """
    request = Request(**options)
    hosted = ctx.find_object(Hosted)
    if hosted is None:
        places, stream = places_of(request.directory), sys.stdout
    else:
        from pipeline.paths import find_places, resolve_log_dir

        # Never acts as the owner of the directory: the process is somebody else's.
        places, stream = find_places(resolve_log_dir(request.directory or hosted.log_dir)), hosted.stream
    from pipeline.cli.listing import call

    try:
        code = call.answer(request, places, stream)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED  # the way out of --follow, and of anything that takes too long
    ctx.exit(code)
