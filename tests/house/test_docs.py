"""
The documentation says what the code does: every setting, command, metric, exit code and reason is in it.

The reference pages are written by docs/generate.py; here they are compared with the code, and what the code
says of each thing is read as a person would read it.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = [
    "cli.md",
    "exit-codes.md",
    "health.md",
    "masking-rules.md",
    "metrics.md",
    "records.md",
    "records.schema.json",
    "settings.md",
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """Load docs/generate.py, which is a script and in no package."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference(name: str) -> str:
    """Return a reference page as it is committed."""
    return (REFERENCE / name).read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_reference_page_is_up_to_date(generate: ModuleType, name: str) -> None:
    """A reference page says what the code says; `python docs/generate.py` writes it anew."""
    assert reference(name) == generate.page(name)


def test_table_of_kinds_is_up_to_date(generate: ModuleType) -> None:
    """What emit() checks records by is what the types say; `python docs/generate.py` writes it anew."""
    assert generate.KINDS.read_text("utf-8") == generate.kinds_module()


def test_generator_writes_every_reference_page(generate: ModuleType) -> None:
    """The list of pages above and the generator's are one list."""
    assert sorted(generate.PAGES) == PAGES


def test_every_setting_is_documented() -> None:
    """Each setting stands in the reference with a unit, a meaning that is a sentence, and its variable."""
    from pipeline.settings import SETTINGS

    text = reference("settings.md")
    names = [setting.name for setting in SETTINGS]
    assert len(set(names)) == len(names)
    for setting in SETTINGS:
        assert f"| `{setting.name}` |" in text
        assert setting.env == f"PIPELINE_{setting.name.upper()}"
        assert setting.unit, setting.name
        assert setting.meaning.endswith("."), setting.name


def test_every_command_is_documented_with_an_example(generate: ModuleType) -> None:
    """Each command stands in the reference, and its help shows how it is called."""
    text = reference("cli.md")
    for path, help_text in generate.commands(generate.command_group()):
        assert f"\n## {path}\n" in text
        examples = [
            line for line in help_text.splitlines() if re.search(rf"(^|[|$])\s*{path}\b", line.strip())
        ]
        assert examples, f"`{path} --help` has no example"


def test_every_option_has_help(generate: ModuleType) -> None:
    """No option of any command is left without a word on what it does."""
    group = generate.command_group()
    for path, _ in generate.commands(group):
        command = group
        for name in path.split()[1:]:
            command = command.commands.get(name) or command.get_command(None, name)
        options = [option for option in command.params if option.param_type_name == "option"]
        silent = [option.name for option in options if not option.help]
        assert not silent, f"{path}: {silent}"


def test_every_metric_is_documented_and_named_like_its_kind() -> None:
    """Each metric stands in the reference, begins with `pipeline_`, and a counter ends with `_total`."""
    from pipeline.health.exposition import METRICS

    text = reference("metrics.md")
    for metric in METRICS:
        assert f"| `{metric.name}` |" in text
        assert metric.name.startswith("pipeline_")
        assert (metric.type == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.help, metric.name


def test_every_exit_code_is_documented() -> None:
    """Each exit code stands in the reference; 0, 1 (findings) and 2 (usage) are among them."""
    from pipeline.cli.exit_codes import EXIT_CODES

    text = reference("exit-codes.md")
    assert {0, 1, 2} <= set(EXIT_CODES)
    for number, meaning in EXIT_CODES.items():
        assert f"| `{int(number)}` |" in text
        assert meaning, number


def test_every_health_reason_is_documented_with_its_remedy() -> None:
    """Each reason stands in the reference with what it means and what to do."""
    from pipeline.health.reasons import REASONS

    text = reference("health.md")
    for code, reason in REASONS.items():
        assert re.fullmatch("[a-z][a-z0-9_]*", code), code
        assert f"| `{code}` |" in text
        assert reason.meaning, code
        assert reason.remedy, code


@pytest.mark.parametrize("marker", ["test-command", "main-command"])
def test_readme_has_the_command_that_ci_runs(marker: str) -> None:
    """README.md has one fenced command between the marks from which .ci/run takes it."""
    text = (ROOT / "README.md").read_text("utf-8")
    pattern = rf"<!-- {marker} -->\n+```\w*\n(?P<command>.+?)\n```\n+<!-- /{marker} -->"
    found = re.findall(pattern, text, flags=re.DOTALL)
    assert len(found) == 1
    assert found[0].startswith("python3 -m venv ")


def test_every_link_inside_the_documentation_leads_somewhere() -> None:
    """A relative link in README, changelog or docs names a file that exists."""
    dead = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in LINK.findall(path.read_text("utf-8")):
            place = target.partition("#")[0]
            if place and "://" not in target and not (path.parent / place).exists():
                dead.append(f"{path.relative_to(ROOT)}: {target}")
    assert not dead, "\n".join(["", *dead])


def test_page_about_outages_says_what_the_code_says() -> None:
    """Its settings have the defaults of the table, its reasons the status of the list."""
    from pipeline.health.reasons import REASONS
    from pipeline.settings import SETTINGS

    page = (ROOT / "docs/outages.md").read_text("utf-8")
    sections = dict(part.split("\n", 1) for part in page.split("\n## "))
    reasons, settings = sections["What health says"], sections["Settings"]
    defaults = {row.name: str(row.default) for row in SETTINGS}
    told = re.findall(r"^\| `(\w+)` \| `?(\w+)`? \|", settings, re.MULTILINE)
    assert told
    for name, default in told:
        assert float(default) == float(defaults[name]) if default.isdigit() else default == defaults[name]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", reasons, re.MULTILINE)
    assert rows
    for codes, statuses in rows:
        named = re.findall(r"`(\w+)`", codes)
        if all(code in REASONS for code in named):
            assert re.findall(r"\w+", statuses) == [REASONS[code].status for code in named]


def test_page_about_log_names_every_option(generate: ModuleType) -> None:
    """Whoever reads docs/log.md has met each of them."""
    page = (ROOT / "docs/log.md").read_text("utf-8")
    options = [option for option in generate.command_group().get_command(None, "log").params if option.opts]
    missing = [
        option.opts[0] for option in options if option.opts[0] not in page and option.name != "directory"
    ]
    assert not missing
