"""The example agent at a terminal: what it does is recorded, and Ctrl+C, once or twice, loses nothing."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from support.apps import HANG_SEC, App, Site, numbers_of

_OVERLOOKED_SEC = 3.0
EXAMPLE = Path(__file__).parents[2] / "examples" / "agent_cli"


def start(site: Site) -> App:
    """Start the agent at a terminal of its own."""
    app = site.command([sys.executable, str(EXAMPLE), "--log-dir", str(site.log_dir)], on_tty=True)
    hear(app, "session")
    return app


def hear(app: App, word: str) -> None:
    """Read until a line has the word in it; before it may stand what the agent asks with."""
    deadline = time.monotonic() + HANG_SEC
    while (line := app._line(deadline)) is not None:
        if word in line:
            return
    raise AssertionError(f"never said {word!r}; said {app.told}")


def of_the_agent(site: Site) -> list[dict[str, Any]]:
    """Return the agent's own records, which have to be numbered without a gap."""
    records = [record for record in site.records() if "session_id" in record]
    (numbers,) = numbers_of(records).values()
    assert numbers == list(range(1, len(numbers) + 1))
    return records


def test_a_conversation_is_recorded_step_by_step(site: Site, tmp_path: Path) -> None:
    """Input, states, model, tools, permissions, hooks and errors, tied together by their ids."""
    (tmp_path / "note").write_text("hello from a file")
    app = start(site)
    app.tell(f"read {tmp_path}/note")
    hear(app, "hello from a file")
    app.tell("run echo from-bash")
    app.tell("y")
    hear(app, "from-bash")
    app.tell("run false")
    app.tell("n")
    hear(app, "error: bash was denied")
    app.tell("overload")
    hear(app, "error: the model is overloaded")
    app.tell("/status")
    hear(app, "state IDLE")
    app.tell("/quit")
    hear(app, "bye")
    assert app.wait() == 0
    site.until_ended()
    records = of_the_agent(site)
    types = [record["action_type"] for record in records]
    assert types[0] == "session_start"
    assert types[-1] == "session_end"
    assert len({record["session_id"] for record in records}) == 1
    first = types[: types.index("tool_result") + 2]
    assert first == [
        "session_start",
        "user_input",
        "hook_execute",
        "agent_state_change",
        "llm_request",
        "llm_response",
        "agent_state_change",
        "tool_call",
        "tool_result",
        "agent_state_change",
    ]
    result = next(record for record in records if record["action_type"] == "tool_result")
    assert (result["output"], result["tool_name"], result["success"]) == (
        "hello from a file",
        "read_file",
        True,
    )
    call = next(record for record in records if record["action_type"] == "tool_call")
    assert call["tool_use_id"] == result["tool_use_id"]
    decisions = [r["user_decision"] for r in records if r["action_type"] == "tool_permission"]
    assert decisions == ["approved", "denied"]
    (denied,) = [record for record in records if record["action_type"] == "tool_error"]
    assert denied["error_type"] == "PermissionError"
    (failed,) = [record for record in records if record["action_type"] == "llm_error"]
    assert failed["error_message"] == "the model is overloaded"
    (hook,) = [record for record in records if record["action_type"] == "hook_error"]
    assert hook["hook_name"] == "on_command"


def test_ctrl_c_twice_ends_the_agent_and_loses_nothing(site: Site) -> None:
    """The first ends a slow tool, the second the conversation; the stream has both, and the session's end."""
    app = start(site)
    app.tell("wait 600")
    hear(app, "using wait")
    interrupt(app, "interrupted")
    interrupt(app, "bye")
    assert app.wait() == 0
    site.until_ended()
    records = of_the_agent(site)
    assert [record["action_type"] for record in records][-3:] == [
        "tool_error",
        "agent_state_change",
        "session_end",
    ]
    assert records[-3]["error_type"] == "KeyboardInterrupt"
    (end,) = [end for end in site.of_type("producer_closed") if end["subject"] == records[0]["producer"]]
    assert end["last_action_number"] == len(records)


def interrupt(app: App, word: str) -> None:
    """
    Type Ctrl+C, and once more if nothing happens, until the agent says the word.

    Python overlooks, until the next one, a signal that comes just as it begins to sleep or to read.
    """
    deadline = time.monotonic() + HANG_SEC
    while time.monotonic() < deadline:
        os.write(app._mouth, b"\x03")
        while (line := app._line(time.monotonic() + _OVERLOOKED_SEC)) is not None:
            if word in line:
                return
    raise AssertionError(f"never said {word!r}; said {app.told}")


def test_a_kill_while_a_tool_runs_leaves_what_had_happened(site: Site) -> None:
    """The tool_call is there without a result, and the stream says how the agent ended."""
    app = start(site)
    app.tell("wait 600")
    hear(app, "using wait")
    app.kill(signal.SIGKILL)
    app.wait()
    site.until_ended()
    records = of_the_agent(site)
    assert records[-1]["action_type"] == "tool_call"
    (end,) = [end for end in site.of_type("producer_died") if end["subject"] == records[0]["producer"]]
    assert end["last_action_number"] == len(records)
