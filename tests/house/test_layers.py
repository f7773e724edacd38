"""
The import contracts of pyproject.toml hold, and each of them can break.

A contract that names its modules wrongly is kept for ever, so each is also shown a tree that violates it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LINT_IMPORTS = [
    sys.executable,
    "-c",
    "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])",
]


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts on the packages in this directory."""
    return subprocess.run(LINT_IMPORTS, cwd=directory, capture_output=True, text=True, check=False)


def small_tree(directory: Path, modules: dict[str, str]) -> Path:
    """Lay out both packages with these modules, under the contracts in force."""
    modules = {"pipeline/__init__.py": "", "workers/__init__.py": "", **modules}
    for name, source in modules.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    (directory / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return directory


def test_import_contracts_are_kept() -> None:
    """No layer knows one above it, the library knows no worker, and no worker another."""
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_import_contracts_accept_a_tree_without_violation(tmp_path: Path) -> None:
    """The small trees of the next test fail for their violation only."""
    modules = {"pipeline/errors.py": "", "pipeline/app.py": "import pipeline.errors", "workers/writer.py": ""}
    result = lint_imports(small_tree(tmp_path, modules))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("contract", "modules"),
    [
        (
            "pipeline is built in layers",
            {"pipeline/errors.py": "import pipeline.app", "pipeline/app.py": ""},
        ),
        (
            "pipeline is built in layers",
            {"pipeline/errors.py": "def late():\n    import pipeline.app", "pipeline/app.py": ""},
        ),
        ("pipeline is built in layers", {"pipeline/unplaced.py": ""}),
        (
            "pipeline is built in layers",
            {"pipeline/queue.py": "import pipeline.health", "pipeline/health.py": ""},
        ),
        (
            "pipeline does not import workers",
            {"pipeline/app.py": "import workers.writer", "workers/writer.py": ""},
        ),
        (
            "a worker knows no other worker",
            {"workers/writer.py": "import workers.keeper", "workers/keeper.py": ""},
        ),
    ],
    ids=["upward", "upward-inside-a-function", "module-without-place", "sibling", "workers", "other-worker"],
)
def test_import_contract_breaks_when_violated(tmp_path: Path, contract: str, modules: dict[str, str]) -> None:
    """Each contract turns red on a tree with one violation."""
    result = lint_imports(small_tree(tmp_path, modules))
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout
