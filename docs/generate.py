"""
Write the reference pages from the objects in the code that they are about.

    python docs/generate.py            write the pages that are out of date
    python docs/generate.py --check    write nothing; exit 1 and name the pages that are out of date

What a setting means, what a command takes and what an operator reads in health is said once, in the code,
beside what does it. The pages are committed, so that they can be read without running anything.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

REFERENCE: Final = Path(__file__).parent / "reference"
HELP_WIDTH: Final = 96
"""Fixed, since click would otherwise wrap the help at the width of whoever's terminal it is."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    escaped = ([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *escaped]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def code(text: object) -> str:
    """Return the text as code, or a word that can be seen where there is none."""
    return f"`{text}`" if str(text) else "empty"


def default_of(setting: Any) -> str:
    """Return a default as a settings file would say it."""
    value = setting.default
    if isinstance(value, bool):
        return code(str(value).lower())
    if setting.unit == "mode":
        return code(f"{value:04o}")
    if isinstance(value, dict):
        return code("{" + ", ".join(f"{key} = {item}" for key, item in value.items()) + "}")
    if isinstance(value, list | tuple):
        return code(", ".join(map(str, value)))
    return "none" if value is None else code(value)


def settings_page() -> str:
    """Return the page on the settings."""
    from pipeline.settings import SETTINGS
    from pipeline.settings.later import LATER, OBSERVABILITY

    rows = [
        (code(row.name), default_of(row), row.unit, row.meaning, row.at, code(row.env)) for row in SETTINGS
    ]
    later = {**LATER, **{f"observability.{key}": why for key, why in OBSERVABILITY.items()}}
    return (
        "# Settings\n\n"
        "Each can be a keyword of `start_pipeline()`, an environment variable, or a field of the settings\n"
        "file. A keyword goes before the environment, the environment before the file, the file before the\n"
        "default. [Settings](../settings.md) says how they are read.\n\n"
        "*New value at* says what brings a new value into force: `reload` (SIGUSR2, `pipeline reload`), the\n"
        "next start of an `application`, or the next start of the `pipeline`.\n\n"
        + table(("setting", "default", "unit", "meaning", "new value at", "environment"), rows)
        + "\n## Known, without effect yet\n\n"
        "Accepted, so that a file that has them can be used as it is; `pipeline config check` lists them.\n\n"
        + table(("key", "waits for"), ((code(key), why) for key, why in later.items()))
    )


def command_group() -> click.Group:
    """Return the command `pipeline`."""
    from pipeline import cli

    # The entry point may be a function around the group, to turn errors into exit codes.
    candidates = (cli.main, *vars(cli).values())
    return next(value for value in candidates if isinstance(value, click.Group))


def commands(
    command: click.Command, name: str = "pipeline", parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Yield each command's full name and the help it prints, subcommands after their group."""
    width = {"terminal_width": HELP_WIDTH, "max_content_width": HELP_WIDTH, "color": False}
    context = click.Context(command, parent=parent, info_name=name, **{**command.context_settings, **width})
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from commands(child, child_name, context)


def cli_page() -> str:
    """Return the page on the command line: what `--help` prints, command by command."""
    parts = [f"## {path}\n\n```text\n{text.rstrip()}\n```\n" for path, text in commands(command_group())]
    return (
        "# Command line\n\n"
        "The help of each command as it prints it. What they exit with is in [exit codes](exit-codes.md).\n\n"
        + "\n".join(parts)
    )


def metrics_page() -> str:
    """Return the page on the metrics."""
    from pipeline.health.exposition import METRICS

    rows = [(code(metric.name), metric.type, metric.help) for metric in METRICS]
    return (
        "# Metrics\n\n"
        "`GET /metrics` at the address that `pipeline status` shows, in the text format of Prometheus.\n\n"
        + table(("metric", "type", "meaning"), rows)
    )


def exit_codes_page() -> str:
    """Return the page on the exit codes."""
    from pipeline.cli.exit_codes import EXIT_CODES

    rows = [(code(int(number)), meaning) for number, meaning in sorted(EXIT_CODES.items())]
    return "# Exit codes\n\nThe same for every command.\n\n" + table(("code", "meaning"), rows)


def health_page() -> str:
    """Return the page on the reasons that health gives."""
    from pipeline.health.reasons import REASONS

    rows = [(code(name), reason.meaning, reason.remedy) for name, reason in REASONS.items()]
    return (
        "# Health\n\n"
        "`reasons` in `GET /health`, `pl.health()` and `pipeline status --json` holds none but these codes.\n"
        "A code goes away when its cause has.\n\n" + table(("code", "meaning", "what to do"), rows)
    )


def records_page() -> str:
    """Return the page on the types of records and their fields."""
    from pipeline.records import catalogue
    from pipeline.settings.checks import ACTION_TYPES_OFF

    described = catalogue.schemas()
    common = {name: described["log"]["properties"][name] for name in catalogue.COMMON}
    groups = (
        ("The 19 action types", catalogue.ACTIONS),
        ("Requests, log lines, spans", catalogue.OBSERVATIONS),
        ("What the pipeline records of itself", catalogue.OWN),
    )
    parts = [
        "# Types of records\n\n"
        "Fields of the types that the library knows; a field in bold is one that a record of the type is\n"
        "expected to have. Records may have any other field, and any other type. How to emit them, and what\n"
        "happens to a field of another kind: [records](../records.md). The same for programs:\n"
        "[records.schema.json](records.schema.json), and `pipeline schema`.\n\n"
        "## Fields of every record\n\nThe pipeline adds the first four.\n\n"
        + fields_table({**catalogue.ENVELOPE, **common}, list(catalogue.ENVELOPE))
    ]
    for title, types in groups:
        parts.append(f"## {title}\n")
        for name, one in types.items():
            about = described[name]
            own = {field: said for field, said in about["properties"].items() if field not in common}
            own = {field: said for field, said in own.items() if field not in catalogue.ENVELOPE}
            example = json.dumps(about["examples"][0], ensure_ascii=False) if "examples" in about else ""
            off = " Off unless `action_types` switches it on." if name in ACTION_TYPES_OFF else ""
            parts.append(
                f"### {name}\n\n`{one.__name__}`: {about['description']}{off}\n\n"
                + (fields_table(own, about["required"]) if own else "No fields of its own.\n")
                + (f"\n```json\n{example}\n```\n" if example else "")
            )
    return "\n".join(parts)


def fields_table(fields: dict[str, Any], required: list[str]) -> str:
    """Return a table of fields as JSON Schema describes them."""
    rows = [
        (f"**{code(name)}**" if name in required else code(name), kinds_of(said), said["description"])
        for name, said in fields.items()
    ]
    return table(("field", "kind", "meaning"), rows)


def kinds_of(field: dict[str, Any]) -> str:
    """Return the kinds of a field, `null` left out: a field that may be missing may be null."""
    found = field.get("type", "any")
    return ", ".join(kind for kind in ([found] if isinstance(found, str) else found) if kind != "null")


def schema_page() -> str:
    """Return the JSON Schema of all records."""
    from pipeline.records import catalogue

    return json.dumps(catalogue.schema_of_all(), ensure_ascii=False, indent=2) + "\n"


def kinds_module() -> str:
    """Return the source of the table that emit() checks records by, which must not import msgspec."""
    from pipeline.records import catalogue, shapes
    from pipeline.records.typed import Record

    common, _ = shapes.fields_of(Record)
    declared = {
        name: shapes.fields_of(catalogue.TYPES[name])
        for name in (*catalogue.ACTIONS, *catalogue.OBSERVATIONS)
    }
    lines = [
        '"""',
        "The kinds of the fields of each type, as `emit()` needs them: without importing the types.",
        "",
        "Written by docs/generate.py from `catalogue`; change the types there.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import TYPE_CHECKING, Final",
        "",
        "if TYPE_CHECKING:",
        "    from pipeline.records.declared import Shape",
        "",
        "REQUIRED: Final[dict[str, frozenset[str]]] = {",
    ]
    for name, (_, needed) in declared.items():
        values = ", ".join(f'"{field}"' for field in sorted(needed))
        lines.append(f'    "{name}": frozenset({{{values}}}),' if needed else f'    "{name}": frozenset(),')
    lines += ["}", "", "_COMMON: Final[dict[str, Shape]] = {", *kinds_lines("    ", common)]
    lines += ["}", "", "KINDS: Final[dict[str, dict[str, Shape]]] = {"]
    for name, (found, _) in declared.items():
        own = {field: shape for field, shape in found.items() if field not in common}
        lines += [f'    "{name}": {{', *kinds_lines("        ", own), "        **_COMMON,", "    },"]
    return "\n".join([*lines, "}", ""])


def kinds_lines(indent: str, shapes: dict[str, Any]) -> Iterator[str]:
    """Yield a line of source for each field that has a kind."""
    for field, shape in shapes.items():
        if shape != ("any",):
            yield f'{indent}"{field}": {shape!r},'.replace("'", '"')


def masking_rules_page() -> str:
    """Return the page on what is masked."""
    from pipeline.privacy import names
    from pipeline.privacy.value_rules import PERSONAL_RULES, VALUE_RULES

    styles = {"key": "`abc***[MASKED 44 chars]***`", "plain": "`[MASKED]`", "user": "`[USER]`"}
    head = ("rule", "what it is", "shown as")
    rows = [(code(rule.name), rule.source, styles[rule.style]) for rule in VALUE_RULES]
    personal = [(code(rule.name), rule.source, styles[rule.style]) for rule in PERSONAL_RULES]
    lists = [
        ("password-like", names.PASSWORDS, "also plain words behind them are masked in a text"),
        ("headers", names.HEADERS, "in a text, to the end of the line"),
        ("others", sorted({*names.IN_TEXT} - {*names.PASSWORDS, *names.HEADERS}), ""),
        ("only fields, quoted names", sorted({*names.FIELDS} - {*names.IN_TEXT}), "too common in texts"),
        ("`mask_thinking`", names.THINKING, ""),
        ("`mask_tracebacks`", names.TRACEBACKS, ""),
        ("strict preset", names.STRICT, "and any name with a sensitive word anywhere in it"),
        ("never", sorted(names.HARMLESS), "last words that only look like it"),
    ]
    named = [(kind, ", ".join(map(code, group)), note) for kind, group, note in lists]
    return (
        "# Masking rules\n\nHow they are used is in [masking](../masking.md). The names of rules can be "
        "given to `mask_allow`, and are what counts and `pipeline mask` name. `crowded` is what was masked "
        "whole since it had more in it than masking may cost.\n\n"
        "## Names (rule `name`)\n\n" + table(("kind", "names", "note"), named) + "\n"
        "## Values\n\n" + table(head, rows) + "\n"
        "## Personal data\n\nOnly with `mask_personal_data`.\n\n" + table(head, personal)
    )


PAGES: Final[dict[str, Callable[[], str]]] = {
    "cli.md": cli_page,
    "exit-codes.md": exit_codes_page,
    "health.md": health_page,
    "masking-rules.md": masking_rules_page,
    "metrics.md": metrics_page,
    "records.md": records_page,
    "records.schema.json": schema_page,
    "settings.md": settings_page,
}
NOTICE: Final = "<!-- Written by docs/generate.py from the code; change it there. -->\n\n"
KINDS: Final = REFERENCE.parents[1] / "pipeline" / "records" / "kinds.py"


def page(name: str) -> str:
    """Return what a page should hold."""
    return (NOTICE if name.endswith(".md") else "") + PAGES[name]()


def files() -> Iterator[tuple[Path, str]]:
    """Yield each file that is written, with what it should hold."""
    yield KINDS, kinds_module()
    for name in PAGES:
        yield REFERENCE / name, page(name)


def main() -> int:
    """Write or check the pages; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the reference pages from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    is_check = parser.parse_args().check
    REFERENCE.mkdir(exist_ok=True)
    stale = []
    for path, text in files():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(path.name)
            if not is_check:
                path.write_text(text, "utf-8")
    if stale:
        print(("out of date: " if is_check else "written: ") + ", ".join(stale))
    if stale and is_check:
        print("run: python docs/generate.py")
    return 1 if stale and is_check else 0


if __name__ == "__main__":
    sys.exit(main())
