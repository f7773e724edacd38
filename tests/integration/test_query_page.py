"""The page on finding records says what is so: its examples run, and its tables name what there is."""

import inspect
import re
from pathlib import Path

import pytest
from support.forms import line_of, record, write_day

from pipeline import LogQueryEngine
from pipeline.errors import QueryError

PAGE = (Path(__file__).parents[2] / "docs" / "query.md").read_text("utf-8")


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """One behind the other, as somebody types them."""
    pytest.importorskip("duckdb", reason="the extra `query` is not installed")
    for day in ("2025-11-20", "2025-11-21"):
        lines = [
            line_of(
                record(
                    n, f"{day}T10:00:{n:02d}.000000Z", "tool_error", duration_ms=n * 100, content="timeout"
                )
            )
            for n in range(1, 10)
        ]
        write_day(tmp_path / "logs", day, lines)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    examples = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    assert len(examples) >= 6
    for example in examples:
        exec(compile(example, "docs/query.md", "exec"), names)
    assert "tool_error" in capsys.readouterr().out


def test_error_is_the_one_that_the_page_shows(tmp_path: Path) -> None:
    """Word for word."""
    with pytest.raises(QueryError) as caught:
        LogQueryEngine(tmp_path).filter(where="status =")
    assert str(caught.value).strip() in PAGE


def test_every_argument_and_method_is_on_the_page() -> None:
    """Nothing that the engine can do is left out."""
    for name in inspect.signature(LogQueryEngine.filter).parameters:
        assert name == "self" or f"`{name}`" in PAGE
    for name in vars(LogQueryEngine):
        if not name.startswith("_") and name != "log_dir":
            assert f"{name}(" in PAGE, name
