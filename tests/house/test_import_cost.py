"""
`import pipeline` stays cheap: what only workers and commands need is not loaded into the user's process.

Which modules are loaded is compared, not the time it took: milliseconds are a property of the machine.
"""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = [
    "asyncio",
    "click",
    "difflib",
    "http",
    "hyperscan",
    "jsonschema",
    "msgspec",
    "multiprocessing",
    "opentelemetry",
    "psutil",
    "pydantic_core",
    "re2",
    "rich",
    "sqlite_utils",
    "subprocess",
    "tenacity",
    "tomllib",
    "urllib.request",
    "workers",
    "yaml",
    "zstandard",
]


def modules_after(statement: str, directory: Path) -> set[str]:
    """Return the modules a fresh interpreter has loaded once it ran the statement."""
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    command = [sys.executable, "-P", "-c", program]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.smoke
def test_import_pipeline_loads_no_heavy_module(tmp_path: Path) -> None:
    """The user's start-up pays for orjson and our own modules, not for what the workers need."""
    # What the interpreter's own start has loaded (path files of the environment may import much) is not ours.
    loaded = modules_after("import pipeline", tmp_path) - modules_after("pass", tmp_path)
    heavy = sorted(name for name in loaded if name.partition(".")[0] in HEAVY)
    assert not heavy, f"`import pipeline` loads {', '.join(heavy)}"


def test_the_keeper_makes_indexes_without_the_libraries_of_questions(tmp_path: Path) -> None:
    """It is small, and works where the extra `query` is not installed."""
    loaded = modules_after("import workers.keeper, pipeline.query.pruning", tmp_path)
    assert not loaded & {"duckdb", "pyarrow", "numpy", "rich"}


def test_emitting_a_known_type_by_its_name_loads_no_heavy_module(tmp_path: Path) -> None:
    """Records are looked at without the classes: msgspec is for who uses a typed record."""
    emitting = "import pipeline\npipeline.start_pipeline(enabled=False).emit('tool_call', tool_name='bash')"
    look = "from pipeline.records.checks import checks_of\nchecks_of('log')['a',]({'a': 1})"
    loaded = modules_after(f"{emitting}\n{look}", tmp_path) - modules_after("pass", tmp_path)
    assert not sorted(name for name in loaded if name.partition(".")[0] == "msgspec")
    assert "msgspec" in modules_after("import pipeline\npipeline.ToolCall", tmp_path)


@pytest.mark.parametrize("package", ["pipeline", "workers"])
@pytest.mark.smoke
def test_package_can_be_imported_from_anywhere(tmp_path: Path, package: str) -> None:
    """Both packages are installed: they are found from a directory that has nothing of ours."""
    assert package in modules_after(f"import {package}", tmp_path)


def test_looking_at_records_loads_only_what_a_table_needs(tmp_path: Path) -> None:
    """`pipeline log` answers at once: charts, selects, pagers and bars are paid for by who asks for them."""
    run = "group.main(['log', '--dir', '.', '--date', '2025-11-21'], standalone_mode=False)"
    (tmp_path / "2025-11-21.jsonl").write_text(
        '{"timestamp":"2025-11-21T14:32:15.123456Z","action_type":"a","action_number":1,"producer":"p"}\n'
    )
    loaded = modules_after(f"from pipeline.cli import group, guarded\nguarded(lambda: {run})", tmp_path)
    allowed = {"click", "difflib", "rich"}
    heavy = {
        name for name in loaded if name.partition(".")[0] in {*HEAVY, "csv", "duckdb", "pyarrow"} - allowed
    }
    heavy |= {"rich.console", "rich.table", "pipeline.cli.listing.chart", "pipeline.verification"} & loaded
    assert not heavy - modules_after("pass", tmp_path)
