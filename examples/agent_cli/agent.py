"""The agent: a loop of reading, asking the model, and using tools."""

import time

from bus import Bus
from model import Answer, Model
from tools import DANGEROUS, TOOLS

import pipeline


class Agent:
    """One conversation. Ctrl+C ends what is going on; at the prompt, or twice, it ends the agent."""

    def __init__(self, bus: Bus, pl: pipeline.Pipeline) -> None:
        self._bus = bus
        self._pl = pl
        self._model = Model()
        self._messages: list[str] = []
        self._state = "IDLE"

    def run(self) -> None:
        """Talk until the person leaves."""
        with self._pl.session("agent-cli") as session:
            print(f"session {session.id}; try: run ls, read FILE, wait 5, /status, /quit", flush=True)
            while True:
                try:
                    text = input("> ").strip()
                except (EOFError, KeyboardInterrupt):
                    return
                if text == "/quit":
                    return
                self._take(text)

    def _take(self, text: str) -> None:
        if text.startswith("/"):
            command, *args = text.split()
            self._bus.tell("command", command=command, args=args)
            print(f"state {self._state}, {len(self._messages)} messages", flush=True)
        elif text:
            self._answer(text)

    def _answer(self, text: str) -> None:
        self._bus.tell("input", text=text)
        self._messages.append(text)
        self._go("THINKING", "user_request")
        try:
            answer = self._ask()
            told = self._use(answer) if answer.tool else answer.text
        except KeyboardInterrupt:
            told = "interrupted; Ctrl+C again to leave"
        except Exception as error:  # noqa: BLE001 - recorded where it happened; the conversation goes on
            told = f"error: {error}"
        self._go("IDLE", "done")  # first: who is told so may press Ctrl+C again at once
        print(told, flush=True)

    def _ask(self) -> Answer:
        with self._pl.llm(self._model.name, provider="none", messages_count=len(self._messages)) as call:
            answer = self._model.answer(self._messages)
            call.add(
                response_type="tool_use" if answer.tool else "text",
                input_tokens=answer.input_tokens,
                output_tokens=answer.output_tokens,
            )
            return answer

    def _use(self, answer: Answer) -> str:
        self._go("USING_TOOL", answer.tool)
        with self._pl.tool(answer.tool, args=dict(answer.args)) as use:
            if answer.tool in DANGEROUS and not self._may_use(answer.tool, use.id):
                raise PermissionError(f"{answer.tool} was denied")
            print(f"using {answer.tool}", flush=True)
            use.output = TOOLS[answer.tool](**answer.args)
            return str(use.output)

    def _may_use(self, tool: str, tool_use_id: str) -> bool:
        began = time.monotonic()
        decision = "approved" if input(f"{tool}? [y/n] ").strip() == "y" else "denied"
        self._bus.tell(
            "permission",
            tool_name=tool,
            tool_use_id=tool_use_id,
            permission_level="DANGEROUS",
            user_decision=decision,
            decision_time_ms=int((time.monotonic() - began) * 1000),
        )
        return decision == "approved"

    def _go(self, state: str, reason: str) -> None:
        before, self._state = self._state, state
        self._bus.tell("state", before=before, after=state, reason=reason)
