"""
The house rules, run as tests, so that they do not decay.

Each rule is a function from one source file to what it finds there. The tests at the end show every rule a
file that breaks it: a rule that never turns red checks nothing.
"""

from __future__ import annotations

import ast
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = ("pipeline", "workers")
FOLDERS = (*PACKAGES, "tests", "bench", "docs")

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
# A name that fits everything keeps nothing out, and what keeps nothing out becomes the hub of a cycle.
JUNK_DRAWERS = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
# In two parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b")
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|Users|root|work)/[\w.]+")
TEXT_SUFFIXES = {"", ".cfg", ".ini", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".typed", ".yaml", ".yml"}


@dataclass
class Source:
    """One Python file of ours."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed module."""
        return ast.parse(self.text)

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        """Yield the nodes of these kinds, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def within(self, *folders: str) -> bool:
        """Say whether the file lies in one of these folders."""
        return any(self.path.startswith(f"{folder}/") for folder in folders)


def sources() -> list[Source]:
    """Read every Python file of ours."""
    paths = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return [Source(str(path.relative_to(ROOT)), path.read_text("utf-8")) for path in paths]


def called(node: ast.AST) -> str:
    """Return the name that a call node calls, with dots; empty where it is no plain name."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def module_is_too_long(source: Source) -> Iterator[str]:
    """Find a module of more than 400 lines: it has two subjects."""
    count = source.text.count("\n")
    if count > MODULE_LINES_MAX:
        yield f"{source.path}: {count} lines, {MODULE_LINES_MAX} are allowed"


def function_is_too_long(source: Source) -> Iterator[str]:
    """Find functions of more than 60 lines, docstring included."""
    limit = FUNCTION_LINES_MAX
    for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        count = node.end_lineno - node.lineno + 1
        if count > limit:
            yield f"{source.path}:{node.lineno}: {node.name}() has {count} lines, {limit} are allowed"


def name_is_a_junk_drawer(source: Source) -> Iterator[str]:
    """Find modules and classes whose name could hold anything."""
    for part in Path(source.path).with_suffix("").parts:
        if JUNK_DRAWERS & set(part.lower().split("_")):
            yield f"{source.path}: {part} is no noun of the field"
    for node in source.nodes(ast.ClassDef):
        words = {word.lower() for word in re.findall("[A-Z][a-z]+", node.name)}
        if JUNK_DRAWERS & words:
            yield f"{source.path}:{node.lineno}: {node.name} is no noun of the field"


def prints(source: Source) -> Iterator[str]:
    """Find print() in the library and the workers: stdout is the user's, except in our own command."""
    if source.within(*PACKAGES) and not source.within("pipeline/cli"):
        for node in source.nodes(ast.Call):
            if called(node) == "print":
                yield f"{source.path}:{node.lineno}: print() outside the command line"


def swallows_everything(source: Source) -> Iterator[str]:
    """Find handlers that catch anything and neither count it nor say it."""
    for node in source.nodes(ast.ExceptHandler):
        caught = ast.unparse(node.type) if node.type else "Exception"
        is_broad = not {"Exception", "BaseException"}.isdisjoint(re.findall(r"\w+", caught))
        if is_broad and all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body):
            yield f"{source.path}:{node.lineno}: catches {caught} without counting it or saying so"


def has_no_docstring(source: Source) -> Iterator[str]:
    """Find modules that don't say what they are for."""
    if not ast.get_docstring(source.tree):
        yield f"{source.path}: has no docstring"


def test_has_no_docstring(source: Source) -> Iterator[str]:
    """Find tests that don't say which promise is broken when they are red."""
    if source.within("tests"):
        for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
            if node.name.startswith("test_") and not ast.get_docstring(node):
                yield f"{source.path}:{node.lineno}: {node.name} has no docstring"


def sleeps_in_a_unit_test(source: Source) -> Iterator[str]:
    """Find time.sleep() in unit tests, which are either slow or sometimes red."""
    if source.within("tests/unit"):
        for node in source.nodes(ast.Call):
            if called(node) in {"time.sleep", "sleep"}:
                yield f"{source.path}:{node.lineno}: sleeps; wait for what should happen, or move the clock"


RULES = [
    module_is_too_long,
    function_is_too_long,
    name_is_a_junk_drawer,
    prints,
    swallows_everything,
    has_no_docstring,
    test_has_no_docstring,
    sleeps_in_a_unit_test,
]
# Named as what it finds; it is no test of its own.
test_has_no_docstring.__test__ = False


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_rule_finds_nothing(rule: Callable[[Source], Iterator[str]]) -> None:
    """No file of ours breaks the rule."""
    found = [finding for source in sources() for finding in rule(source)]
    assert not found, "\n".join(["", *found])


def committed_texts(git: str) -> Iterator[tuple[str, str]]:
    """Yield name and content of each text file that is committed, or would be by `git add .`."""
    command = [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in sorted(filter(None, listing.split("\0"))):
        path = ROOT / name
        if path.suffix in TEXT_SUFFIXES and path.is_file():
            yield name, path.read_text("utf-8", errors="replace")


def found_in(pattern: re.Pattern[str], name: str, text: str) -> Iterator[str]:
    """Yield the places where the pattern is found."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in pattern.finditer(line):
            yield f"{name}:{number}: {match.group()}"


@pytest.mark.parametrize("pattern", [UNFINISHED, MACHINE_PATH], ids=["unfinished", "machine-path"])
def test_committed_text_has_none_of(pattern: re.Pattern[str], need_tool: Callable[[str], str]) -> None:
    """No committed file has a note of unfinished work or a path of somebody's machine."""
    texts = committed_texts(need_tool("git"))
    found = [finding for name, text in texts for finding in found_in(pattern, name, text)]
    assert not found, "\n".join(["", *found])


def test_every_module_is_used() -> None:
    """No module is left that nothing else names; a command or an integration is named by its user."""
    texts = {source.path: source.text for source in sources() if source.within(*PACKAGES)}
    entries = re.compile(r"__(init|main)__\.py$|^pipeline/(testing\.py|testing/|integrations/)")
    unused = []
    for path in texts:
        name = re.escape(Path(path).stem).replace("_", "[_-]")  # a command's has dashes for its user
        word = re.compile(rf"\b{name}\b")
        others = (text for other, text in texts.items() if other != path)
        if not entries.search(path) and not any(map(word.search, others)):
            unused.append(path)
    assert not unused, "\n".join(["", *unused])


BROKEN = {
    module_is_too_long: Source("pipeline/lane.py", "\n" * (MODULE_LINES_MAX + 1)),
    function_is_too_long: Source("pipeline/lane.py", "def f():\n" + " pass\n" * FUNCTION_LINES_MAX),
    name_is_a_junk_drawer: Source("workers/time_utils.py", ""),
    prints: Source("workers/writer.py", "print('here')"),
    swallows_everything: Source("pipeline/lane.py", "try: f()\nexcept (OSError, Exception):\n pass"),
    has_no_docstring: Source("pipeline/lane.py", "import os"),
    test_has_no_docstring: Source("tests/unit/test_lane.py", "class TestLane:\n def test_it(self): ..."),
    sleeps_in_a_unit_test: Source("tests/unit/test_lane.py", "import time\ntime.sleep(1)"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_rule_turns_red_when_broken(rule: Callable[[Source], Iterator[str]]) -> None:
    """Each rule has a small file that it finds."""
    assert list(rule(BROKEN[rule]))


def test_swallowing_is_found_in_every_form() -> None:
    """A bare `except` and one that continues are as silent as the plain form; one that counts is not."""
    bare = Source("pipeline/lane.py", "try: f()\nexcept:\n pass")
    going_on = Source("pipeline/lane.py", "for x in y:\n try: f()\n except BaseException: continue")
    counting = Source("pipeline/lane.py", "try: f()\nexcept Exception: count()")
    narrow = Source("pipeline/lane.py", "try: f()\nexcept OSError: pass")
    found = [bool(list(swallows_everything(source))) for source in (bare, going_on, counting, narrow)]
    assert found == [True, True, False, False]


def test_text_rules_turn_red_when_broken() -> None:
    """The two patterns find what they are for, and leave a path below ~ or a variable alone."""
    home, workshop = "/ho" + "me/ann/logs", "/wo" + "rk/logs"
    assert list(found_in(UNFINISHED, "a.py", "# TO" + "DO: later"))
    assert list(found_in(MACHINE_PATH, "a.md", f"see {home}"))
    assert list(found_in(MACHINE_PATH, "a.md", f"`{workshop}`"))
    assert not list(found_in(MACHINE_PATH, "a.md", f"$BASE{workshop} and https://example.org{home}"))
