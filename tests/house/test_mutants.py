"""The mistakes that prove the tests can still be made: their text stands in the code, once each."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]


def test_every_mutant_finds_its_text_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutant whose text is gone changes nothing, and what it proved is proven by nobody."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "crash"))  # they are a program, and import each other so
    mutants = importlib.import_module("mutants").MUTANTS
    assert len(mutants) > 50
    edits = [(mutant.name, file, old) for mutant in mutants for file, old, _ in mutant.edits]
    gone = [(name, file) for name, file, old in edits if (ROOT / file).read_text("utf-8").count(old) != 1]
    assert not gone
