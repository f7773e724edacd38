"""In the place of a language model: a few rules, so that the example needs no key and no network."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Answer(NamedTuple):
    """Text for the person, or the wish to use a tool."""

    text: str
    tool: str = ""
    args: Mapping[str, str] = MappingProxyType({})
    input_tokens: int = 0
    output_tokens: int = 0


class Model:
    """Answers the last message of a conversation."""

    name = "rules-1"

    def answer(self, messages: list[str]) -> Answer:
        """Return what a model would."""
        words = messages[-1].split(maxsplit=1)
        rest = words[1] if len(words) > 1 else ""
        tokens = sum(len(message.split()) for message in messages)
        match words[0].lower() if words else "":
            case "run":
                return Answer("", "bash", {"command": rest}, tokens, 5)
            case "read":
                return Answer("", "read_file", {"path": rest}, tokens, 5)
            case "wait":
                return Answer("", "wait", {"seconds": rest or "1"}, tokens, 5)
            case "overload":
                raise ConnectionError("the model is overloaded")
            case _:
                return Answer(f"You said: {messages[-1]}", input_tokens=tokens, output_tokens=4)
