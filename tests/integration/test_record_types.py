"""Types of records through a real pipeline: every example field by field, switches, and what is wrong."""

import json
import os
import signal

import jsonschema
import pytest
from support.apps import Site
from support.commands import call
from support.waiting import until

from pipeline.records import catalogue
from pipeline.records.examples import EXAMPLES

EVERY = {"timestamp", "action_type", "action_number", "producer"}
WRONG = """
    import json, os, sys
    import pipeline
    from stage import hear, say
    pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], **json.loads(sys.argv[1]))
    pl.emit("tool_call", tool_name=7, tag="x")
    pl.emit({"action_type": "llm_error"})
    pl.emit("of_my_own", args="ls", tool_name=7)
    for number in range(300):
        pl.emit("tool_call", tool_name="bash", args="ls")
    say("emitted", json.dumps(pl.health()["producer"]["wrong_fields"]))
    hear()
"""
FAULTS = {
    "tool_call.args: string instead of object": 300,
    "tool_call.tool_name: integer instead of string": 1,
    "llm_error.error_type: missing": 1,
}


@pytest.mark.smoke
def test_every_example_goes_in_and_comes_out_field_by_field(site: Site) -> None:
    """As keywords, as a mapping, as a typed record: what is in the file is what was given, in its order."""
    site.run(
        """
        import os
        import pipeline
        from pipeline.records import catalogue
        from pipeline.records.examples import EXAMPLES
        on = dict.fromkeys(EXAMPLES, True)
        with pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], action_types=on, validation="strict") as pl:
            for action_type, fields in EXAMPLES.items():
                assert pl.emit(action_type, **fields)
                assert pl.emit({"action_type": action_type, **fields})
                kind = catalogue.TYPES[action_type]
                typed = {name: value for name, value in fields.items() if name in kind.__struct_fields__}
                assert pl.emit(kind(**typed), **{k: v for k, v in fields.items() if k not in typed})
        """
    )
    site.until_ended()
    found = [record for record in site.records() if record["action_type"] in EXAMPLES]
    assert [record["action_type"] for record in found] == [name for name in EXAMPLES for _ in range(3)]
    for record in found:
        assert list(record)[:4] == ["timestamp", "action_type", "action_number", "producer"]
        fields = {name: value for name, value in record.items() if name not in EVERY}
        assert fields == EXAMPLES[record["action_type"]]
    assert [list(record)[4:] for record in found[::3]] == [list(fields) for fields in EXAMPLES.values()]


def test_all_that_a_pipeline_records_of_itself_is_as_its_types_say(site: Site) -> None:
    """The published schema holds for every line, the pipeline's own included, after a kill and a restart."""
    app = site.app(
        """
        import os
        import pipeline
        from stage import hear, say
        pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"])
        pl.emit("tool_call", tool_name="bash")
        pl.flush()
        say("ready")
        hear()
        pl.emit("tool_result", success=True)
        """
    )
    app.expect("ready")
    os.kill(site.writer(), signal.SIGKILL)
    until(lambda: site.of_type("writer_restarted"), "a successor")
    app.tell("end")
    assert app.wait() == 0
    site.until_ended()
    validator = jsonschema.Draft202012Validator(catalogue.schema_of_all())
    records = site.records()
    assert {"pipeline_started", "writer_restarted", "producer_closed", "pipeline_stopped"} <= {
        record["action_type"] for record in records
    }
    for record in records:
        assert not list(validator.iter_errors(record)), record
        known = catalogue.schemas()[record["action_type"]]["properties"]
        assert set(record) <= set(known), record


def test_wrong_fields_are_recorded_counted_and_told(site: Site) -> None:
    """The default: nothing is refused or changed; health names what is wrong, the record of the end too."""
    app = site.app(WRONG, "{}")
    assert json.loads(app.expect("emitted")) == FAULTS
    health = site.until_reason("wrong_fields")
    assert health["status"] == "ok"
    until(lambda: site.health()["wrong_fields"].keys() == FAULTS.keys(), "all that is wrong, by name")
    metrics = site.get("/metrics")[1].decode()
    assert "pipeline_wrong_fields_total" in metrics
    app.tell("end")
    assert app.wait() == 0
    site.until_ended()
    assert [end["wrong_fields"] for end in site.ends().values()] == [FAULTS]
    (odd,) = [record for record in site.of_type("tool_call") if record.get("tag") == "x"]
    assert odd["tool_name"] == 7
    assert len(site.of_type("tool_call")) == 301
    assert len(site.of_type("of_my_own")) == 1


def test_a_killed_producer_has_told_at_least_half_of_what_was_wrong(site: Site) -> None:
    """Counts reach the outside at 1, 2, 4, 8 … of each, so a kill at any moment hides less than half."""
    app = site.app(WRONG, "{}")
    app.expect("emitted")
    app.kill()
    until(site.ends, "the end of the producer")
    (end,) = site.ends().values()
    assert end["action_type"] == "producer_died"
    assert end["wrong_fields"].keys() == FAULTS.keys()
    assert 256 <= end["wrong_fields"]["tool_call.args: string instead of object"] <= 300


@pytest.mark.soak
def test_wrong_fields_clears_after_a_minute(site: Site) -> None:
    """The reason goes away 60 s after the last one; the counts stay."""
    app = site.app(WRONG, "{}")
    app.expect("emitted")
    site.until_reason("wrong_fields")
    health = site.until_reason("wrong_fields", holds=False, timeout_sec=120)
    assert health["wrong_fields"] == FAULTS
    app.tell("end")
    app.wait()


def test_strict_raises_in_the_caller_and_off_looks_at_nothing(site: Site) -> None:
    """For tests: the error names the type, the fields and what was expected; right records are accepted."""
    site.run(
        """
        import os
        import pipeline
        from pipeline import RecordError, ToolCall
        pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], validation="strict")
        for emit in (
            lambda: pl.emit("tool_call", tool_name="bash", args="ls"),
            lambda: pl.emit({"action_type": "tool_call", "tool_name": "bash", "args": "ls"}),
            lambda: pl.emit(ToolCall(tool_name="bash", args="ls")),
            lambda: pipeline.tool("bash", args="ls").__enter__(),
        ):
            try:
                emit()
            except RecordError as error:
                assert error.where == "tool_call"
                assert error.cause == "tool_call.args: string instead of object"
                assert not error.can_retry
            else:
                raise AssertionError("accepted")
        assert pl.emit("tool_call", tool_name="bash") == 1
        assert pl.emit("of_my_own", args="ls") == 2
        other = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"] + "-off", validation="off")
        assert other.emit("tool_call", tool_name=7, args="ls") == 1
        assert other.health()["producer"]["wrong_fields"] == {}
        """
    )
    site.until_ended()
    assert [record["action_number"] for record in site.of_type("tool_call")] == [1]


def test_a_type_that_is_off_is_not_recorded_and_takes_no_number(site: Site) -> None:
    """Two are off by default, a table switches any; a queue handler does not wait for what is off."""
    site.run(
        """
        import logging, os
        from logging.handlers import QueueHandler
        import pipeline
        off = {"agent_thinking": True, "log": False, "of_my_own": False}
        pl = pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], action_types=off)
        numbers = [pl.emit(name) for name in ("of_my_own", "hook_execute", "agent_thinking", "other")]
        assert numbers == [0, 0, 1, 2], numbers
        names = ("hook_execute", "agent_thinking", "log", "other")
        assert [pl.wants(name) for name in names] == [False, True, False, True]
        with pl.span("s"):
            logging.getLogger().addHandler(QueueHandler(pl.queue))
            logging.getLogger().error("not recorded")
        pl.queue.put(logging.makeLogRecord({"msg": "not recorded"}), timeout=None)
        assert pl.health()["producer"]["refused"] == {}
        """
    )
    site.until_ended()
    emitted = {"agent_thinking", "other", "span"}
    kinds = [r["action_type"] for r in site.records() if r["action_type"] in emitted | {"log", "of_my_own"}]
    assert sorted(kinds) == sorted(emitted)


def test_record_passes_over_lines_of_a_type_that_is_off(site: Site) -> None:
    """`pipeline record` does not wait for a record that is never accepted."""
    stdin = b'{"action_type":"agent_thinking"}\n{"action_type":"user_input","content":"hi"}\n'
    answer = json.loads(call(site, "record", "--json", stdin=stdin).stdout)
    assert (answer["lines"], answer["records"]) == (2, 1)
    assert [record["content"] for record in site.of_type("user_input")] == ["hi"]
