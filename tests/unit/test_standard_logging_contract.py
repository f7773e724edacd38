"""
CPython's own tests of `logging`, run against PipelineHandler: the classes that exercise a handler's contract.

Those tests read what a StreamHandler wrote. Here the root handler records first, into memory, and what it
writes for them to read is made of the record: a field that is wrong or missing turns them red. Which classes
are left out, and why, is in docs/internals/logging-contract.md.
"""

import importlib.util
import logging
import re
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest

from pipeline.integrations.logging import PipelineHandler
from pipeline.testing import MemoryPipeline

if importlib.util.find_spec("test.test_logging") is None:
    pytest.skip("this Python has no package of its own tests", allow_module_level=True)

from test import test_logging

PAGE = (Path(__file__).parents[2] / "docs" / "internals" / "logging-contract.md").read_text("utf-8")
RUN, LEFT_OUT = (re.findall(r"`(\w+Test(?:Case)?)`", part) for part in PAGE.split("## Left out"))


class Recording(PipelineHandler):
    """Records, then writes what was recorded where the tests of CPython read it."""

    def __init__(self, stream: Any, formatter: logging.Formatter) -> None:
        self.memory = MemoryPipeline()
        super().__init__(pipeline=self.memory)  # type: ignore[arg-type]
        self.stream = stream
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Record the line, and write the record in the form of the formatter."""
        super().emit(record)
        event = self.memory.events[-1]
        told = logging.makeLogRecord(
            {"name": event["logger"], "levelname": event["level"], "msg": event["message"]}
        )
        self.stream.write(self.format(told) + "\n")


def recording(case: type[unittest.TestCase]) -> type[unittest.TestCase]:
    """Return the test class with our handler in the place of the root logger's StreamHandler."""

    class Case(case):  # type: ignore[misc, valid-type]
        def setUp(self) -> None:
            super().setUp()
            ours = Recording(self.stream, self.root_formatter)
            self.root_logger.removeHandler(self.root_hdlr)
            self.root_hdlr.close()
            self.root_hdlr = ours
            self.root_logger.addHandler(ours)
            if hasattr(self, "mem_hdlr"):
                self.mem_hdlr.setTarget(ours)

    Case.__name__ = Case.__qualname__ = case.__name__
    return Case


@pytest.mark.parametrize("name", RUN)
def test_a_handlers_contract_holds(name: str) -> None:
    """All tests of a class pass with PipelineHandler in the place of a StreamHandler."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(recording(getattr(test_logging, name)))
    result = unittest.TestResult()
    handlers = logging.root.handlers[:]
    logging.root.handlers.clear()  # pytest's own, which those tests do not expect
    try:
        suite.run(result)
    finally:
        logging.root.handlers[:] = handlers
    problems = [f"{case.id()}\n{text}" for case, text in (*result.errors, *result.failures)]
    assert not problems, "\n".join(problems)
    assert result.testsRun > 0


def test_every_class_is_run_or_left_out_for_a_reason() -> None:
    """The page is complete for the version that it names, and its number of tests is right."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the page is about CPython 3.11")
    cases = {
        name: unittest.defaultTestLoader.loadTestsFromTestCase(case).countTestCases()
        for name, case in vars(test_logging).items()
        if isinstance(case, type) and issubclass(case, unittest.TestCase)
    }
    assert {name for name, count in cases.items() if count} == {*RUN, *LEFT_OUT}
    assert f"{sum(cases[name] for name in RUN)} tests" in PAGE.replace("\n", " ")
