"""`pipeline schema`: what it prints is what is published."""

import json

from click.testing import CliRunner

from pipeline.cli import group
from pipeline.records import catalogue


def printed(*arguments: str, status: int = 0) -> str:
    """Run the command and return all that it prints."""
    # By way of the group: click keeps the help option that a command had at its first use, for the pages too.
    result = CliRunner().invoke(group, ["schema", *arguments])
    assert result.exit_code == status
    return result.output


def test_the_list_has_every_type_with_a_word_on_each() -> None:
    """One type a line, and as JSON."""
    listed = [line.split(maxsplit=1) for line in printed().splitlines()]
    assert [name for name, _ in listed] == list(catalogue.TYPES)
    assert json.loads(printed("--json")) == dict(listed)


def test_a_type_and_all_of_them_are_printed_as_json_schema() -> None:
    """The documents are those of the documentation."""
    assert json.loads(printed("tool_call")) == catalogue.schema("tool_call")
    assert json.loads(printed("--all")) == catalogue.schema_of_all()


def test_a_wrong_name_gets_the_nearest_one() -> None:
    """A usage error says what was probably meant, or where the names are."""
    assert "Did you mean tool_call?" in printed("tool_cal", status=2)
    assert "lists those that there are" in printed("zzz", status=2)
