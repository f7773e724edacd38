"""
A small agent for the terminal that records everything it does.

    python examples/agent_cli --log-dir logs
"""

import argparse
import sys

from agent import Agent
from bus import Bus
from recorder import Recorder

from pipeline import start_pipeline


def main() -> int:
    """Run the agent; the exit status is 0."""
    parser = argparse.ArgumentParser(prog="agent_cli", description=__doc__.split("\n")[1])
    parser.add_argument("--log-dir", default="logs", help="where the records go (default: logs)")
    parser.add_argument("--no-hooks", action="store_true", help="call no hooks")
    options = parser.parse_args()
    bus = Bus()
    pl = start_pipeline(options.log_dir, action_types={"hook_execute": True})
    recorder = Recorder(bus, pl)
    if not options.no_hooks:
        recorder.hook("input", lambda text: None)
        recorder.hook("command", lambda command, args: 1 / len(args))  # fails without arguments: a hook_error
    try:
        Agent(bus, pl).run()
    except KeyboardInterrupt:
        pass  # a second Ctrl+C, where the first was being told; every record is safe already
    print("bye", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
