"""`pipeline record`: each line of standard input is in the files, whatever it holds and whoever is killed."""

import json
import os
import signal
import subprocess

import pytest
from support.apps import Site
from support.commands import PIPELINE, ask, call, service, start
from support.waiting import until


def contents(site: Site) -> list[str]:
    """Return the content of the text records, in order."""
    return [record["content"] for record in site.records() if "content" in record]


@pytest.mark.smoke
def test_each_line_is_a_record(site: Site) -> None:
    """JSON objects become records of their fields, other lines text, and the summary counts them."""
    stdin = b'hello\n{"action_type":"tool_call","tool":"bash"}\n{"tool":"ls"}\n\n[1,2]\nlast, without newline'
    summary = ask(site, "record", "--type", "line", stdin=stdin)
    assert (summary["lines"], summary["records"], summary["flushed"]) == (6, 6, True)
    assert contents(site) == ["hello", "", "[1,2]", "last, without newline"]
    tools = [(record["action_type"], record["tool"]) for record in site.records() if "tool" in record]
    assert tools == [("tool_call", "bash"), ("line", "ls")]
    site.until_ended()
    call(site, "verify")


def test_hostile_lines_are_recorded_exactly(site: Site) -> None:
    """Bad UTF-8, NUL, control characters, big and odd numbers, reserved names: nothing is lost or rounded."""
    lines = [
        b"\xff\xfe not UTF-8",
        b"nul \x00 and escape \x1b[2J",
        b'{"n":123456789012345678901234567890,"odd":NaN}',
        b'{"durable":true,"producer":"me","timestamp":"now","action_type":7}',
        b'{"half":"\\ud800"}',
        b"{" + b'"a":{' * 3000,
        "Grüße\r".encode(),
    ]
    call(site, "record", stdin=b"\n".join(lines) + b"\n")
    records = [record for record in site.records() if record["action_type"] == "message"]
    assert [record["action_number"] for record in records] == list(range(1, 8))
    bad, nul, numbers, reserved, half, deep, german = records
    assert bad["content"] == "\\xff\\xfe not UTF-8"
    assert bad["content_bytes"] == {"base64": "//4gbm90IFVURi04"}
    assert nul["content"] == "nul \x00 and escape \x1b[2J"
    assert (numbers["n"], numbers["odd"]) == ("123456789012345678901234567890", "NaN")
    assert (reserved["field_durable"], reserved["field_producer"], reserved["field_action_type"]) == (
        True,
        "me",
        7,
    )
    assert half["half"] == "\\ud800"
    assert deep["content"] == lines[5].decode()
    assert german["content"] == "Grüße"


def test_long_text_becomes_parts_that_join_again(site: Site) -> None:
    """A text that does not fit one record is split between characters; nothing is cut off."""
    text = "äöü\x01" * 700_000
    huge = b"x" * (17 << 20)
    call(site, "record", stdin=b"before\n" + text.encode() + b"\n" + huge + b"\nafter\n")
    parts: dict[int, list[dict]] = {}
    for record in site.records():
        if "part" in record:
            parts.setdefault(record["line"], []).append(record)
    assert sorted(parts) == [2, 3]
    for line in parts.values():
        assert [record["part"] for record in line] == list(range(1, len(line) + 1))
    assert "".join(record["content"] for record in parts[2]) == text
    assert "".join(record["content"] for record in parts[3]).encode() == huge
    assert contents(site)[0] == "before"
    assert contents(site)[-1] == "after"
    assert not [record for record in site.records() if "truncated_bytes" in record]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_reading_and_loses_nothing_read(site: Site, number: int) -> None:
    """What was read before the signal is in the files; the exit code tells which signal it was."""
    app = start(site, "record", "--json")
    app.tell("\n".join(f"line {i}" for i in range(5000)))
    until(lambda: site.files() and b"line 4999" in site.files()[0].read_bytes(), "the last line")
    os.write(app.process.stdin.fileno(), b"a beginning")
    app.kill(number)
    summary = json.loads(app.expect('{"lines":', 60) and app.told[-1])
    assert app.wait() == 128 + number
    assert summary["signal"] == signal.Signals(number).name
    assert summary["lines_given_up"] == 0
    stored = contents(site)
    assert stored[:5000] == [f"line {i}" for i in range(5000)]
    assert stored[5000:] in ([], ["a beginning"])
    assert len(stored) == summary["records"]


def test_nobody_reading_its_messages_is_no_reason_to_lose_anything(site: Site) -> None:
    """With stdout and stderr closed at the other end it records all the same."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*PIPELINE, "record", "--dir", str(site.log_dir)]
    lines = b"".join(b"line %d\n" % i for i in range(1000))
    result = subprocess.run(
        command, input=lines, stdout=write_end, stderr=write_end, env=site.env(), timeout=60, check=False
    )
    os.close(write_end)
    assert result.returncode == 0
    assert len(contents(site)) == 1000


def test_full_queue_stops_the_reading_and_drops_nothing(site: Site) -> None:
    """With the writer stopped the reader waits for room; then everything comes, none refused."""
    with service(site, PIPELINE_QUEUE_MAX_MB="2"):
        writer = site.writer()
        os.kill(writer, signal.SIGSTOP)
        try:
            app = start(site, "record", "--json")
            feeder = subprocess.Popen(
                ["seq", "1", "60000"], stdout=app.process.stdin.fileno(), env=site.env()
            )
            app.process.stdin.close()
            site.until_reason("queue_full")
            assert feeder.poll() is None or app.process.poll() is None
        finally:
            os.kill(writer, signal.SIGCONT)
        summary = json.loads(app.expect('{"lines":', 60) and app.told[-1])
        assert app.wait() == 0
        assert feeder.wait() == 0
        assert summary["records"] == 60_000
        assert contents(site) == [str(i) for i in range(1, 60_001)]
        assert site.of_type("records_dropped") == []
        call(site, "stop")


def test_second_signal_ends_it_at_once_and_says_what_was_read_in_vain(site: Site) -> None:
    """With a full queue and nobody writing, Ctrl+C twice ends it, and the lines not accepted are counted."""
    with service(site, PIPELINE_QUEUE_MAX_MB="1"):
        writer = site.writer()
        os.kill(writer, signal.SIGSTOP)
        try:
            app = start(site, "record", "--json")
            os.set_blocking(app.process.stdin.fileno(), False)
            chunk = b"".join(b"%d\n" % i for i in range(100_000))
            os.write(app.process.stdin.fileno(), chunk[: 1 << 16])

            def feed() -> bool:
                try:
                    os.write(app.process.stdin.fileno(), b"more\n" * 13000)
                except BlockingIOError:
                    return "queue_full" in site.health()["reasons"]
                return False

            until(feed, "a full queue")
            app.kill(signal.SIGINT)
            until(lambda: app.kill(signal.SIGINT) or app.process.poll() is not None, "the end")
        finally:
            os.kill(writer, signal.SIGCONT)
        summary = json.loads(app.expect('{"lines":', 60) and app.told[-1])
        assert app.wait() == 130
        assert summary["lines_given_up"] > 0
        call(site, "flush")
        assert len(contents(site)) == summary["records"]
        call(site, "stop")


def test_killing_everybody_while_it_records_loses_nothing(site: Site) -> None:
    """Kill -9 of supervisor and writer in the middle: the recording process has them started again."""
    app = start(site, "record", "--json")
    for i in range(200):
        app.tell(f"line {i}")
    writer, supervisor = site.writer(), site.supervisor()
    os.kill(supervisor, signal.SIGKILL)
    os.kill(writer, signal.SIGKILL)
    for i in range(200, 400):
        app.tell(f"line {i}")
    app.process.stdin.close()
    app.expect('{"lines":', 60)
    assert app.wait() == 0
    assert contents(site) == [f"line {i}" for i in range(400)]


def test_stopped_pipeline_keeps_the_records_in_the_queue(site: Site) -> None:
    """After `pipeline stop` a recording is accepted and waits; the next service writes it."""
    with service(site):
        call(site, "stop")
    result = call(site, "record", stdin=b"one\ntwo\n")
    assert "wait in the queue" in result.stderr
    assert contents(site) == []
    assert ask(site, "status", status=3)["queue"]["records"] == 2
    with service(site):
        call(site, "flush")
        assert contents(site) == ["one", "two"]
        call(site, "stop")


def test_progress_is_drawn_on_a_terminal_only(site: Site) -> None:
    """On a terminal a line counts the records; elsewhere stderr has the summary alone."""
    app = start(site, "record", on_tty=True, TERM="xterm")
    app.press(b"typed\n")
    app.press(b"\x04")
    assert app.wait() == 0
    assert any("recorded 1 records" in line for line in app.told)
    assert call(site, "record", stdin=b"x\n").stderr.count("\n") == 1


def test_switched_off_pipeline_is_refused(site: Site) -> None:
    """With enabled = false nothing could be recorded, so nothing is read."""
    result = call(site, "record", stdin=b"x\n", status=2, PIPELINE_ENABLED="false")
    assert "switched off" in result.stderr
    assert not site.log_dir.exists()
