"""What docs/fallback.md shows is what it does: the script that checks a copied store without our code."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.slices import A, B, lines, make, row

PAGE = Path(__file__).parents[2] / "docs" / "fallback.md"
SCRIPT = re.compile(r"<!-- check-begin -->\n```python\n(.*?)```\n<!-- check-end -->", re.DOTALL)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Give the copy of a store that is open, with its log."""
    store = make(tmp_path, [])
    store.store([row(A, 1, 3), row(B, 1, 2)], {})
    copy = tmp_path / "copy.db"
    for end in ("", "-wal"):
        shutil.copy(f"{store.path}{end}", f"{copy}{end}")
    store.close()
    return copy


def check(copy: Path) -> subprocess.CompletedProcess[bytes]:
    """Run exactly the script of the page, with nothing of ours to import."""
    (script,) = SCRIPT.findall(PAGE.read_text("utf-8"))
    assert script.count("\n") <= 12
    return subprocess.run([sys.executable, "-I", "-c", script, str(copy)], capture_output=True, check=False)


def test_the_script_prints_what_a_copied_store_holds(copied: Path) -> None:
    """Every record of a whole copy comes out, byte for byte, and the exit status is 0."""
    result = check(copied)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == lines(A, 1, 3) + lines(B, 1, 2)


def test_the_script_names_a_damaged_slice(copied: Path) -> None:
    """A slice with other bytes is named and left out, and the exit status is 1."""
    database = sqlite3.connect(copied)
    database.execute("UPDATE slices SET data = CAST(replace(data, 'x', 'y') AS BLOB) WHERE id = 1")
    database.commit()
    database.close()
    result = check(copied)
    assert (result.returncode, result.stderr) == (1, b"slice 1 is damaged\n")
    assert [json.loads(line)["producer"] for line in result.stdout.splitlines()] == [B, B]


def test_the_page_names_every_table_and_column(copied: Path) -> None:
    """The schema in the page is the schema of the database."""
    database = sqlite3.connect(copied)
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    page = PAGE.read_text("utf-8")
    for table in tables:
        if not table.startswith("sqlite_"):
            (line,) = re.findall(rf"^\| `{table}` \|.*$", page, re.MULTILINE)
            columns = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
            hidden = {"id", "key", "value", "reason", "device", "inode", "first", "last"}
            assert not [column for column in columns if column not in hidden and f"`{column}`" not in line]
    database.close()
