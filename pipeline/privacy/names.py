"""
Which names say that what follows is a secret.

A name is split where its author split it (snake_case, kebab-case, camelCase, dots, brackets), and is
sensitive when the whole or its last words are in the list: `refreshToken` and `db.password` are,
`input_tokens`, `api_key_id` and `secretary` are not. Numbers at the end don't count: `password_2`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


def _list(names: str) -> tuple[str, ...]:
    return tuple(names.split())


PASSWORDS: Final = _list(
    "password passwd pwd passphrase passcode passwords pgpassword sshpass password_hash passwd_hash"
)
"""Names of what people type: also plain words behind them are masked in a text."""

HEADERS: Final = _list("authorization proxy_authorization cookie set_cookie")
"""Names whose value goes on to the end of the line."""

_KEYS: Final = _list(
    "token secret access_token refresh_token id_token auth_token api_token bearer_token session_token "
    "private_token oauth_token personal_access_token app_token bot_token csrf_token xsrf_token "
    "api_key x_api_key access_key secret_key private_key signing_key encryption_key master_key account_key "
    "license_key ssh_key shared_key storage_key service_key app_key_secret client_secret api_secret "
    "app_secret consumer_secret webhook_secret jwt_secret token_secret totp_secret secret_access_key "
    "secret_id credential connection_string bearer jwt"
)
_ONLY_AS_FIELDS: Final = _list(
    "auth basic_auth cookies credentials creds secrets otp totp mfa_code otp_code verification_code "
    "recovery_code recovery_codes backup_codes pat access_tokens refresh_tokens api_tokens auth_tokens "
    "api_keys "
    "access_keys private_keys secret_keys pin_code cvv cvc"
)
"""Words that prose and code use too often to go by them in a text."""

IN_TEXT: Final = (*PASSWORDS, *HEADERS, *_KEYS)
FIELDS: Final = (*IN_TEXT, *_ONLY_AS_FIELDS)
"""The names that are sensitive by default."""

HARMLESS: Final = frozenset(
    _list(
        "per_token first_token last_token new_token next_token_id eos_token bos_token pad_token unk_token "
        "sep_token "
        "cls_token mask_token stop_token special_token max_token min_token input_token "
        "output_token prompt_token "
        "completion_token image_token"
    )
)
"""Last words that end like a sensitive name and are a tokenizer's or a price's."""

_QUESTIONS: Final = frozenset(
    _list("is has had have needs need requires require num count no use uses with without allow show hide")
)

THINKING: Final = ("thinking_content", "thinking", "reasoning_content", "redacted_thinking")
TRACEBACKS: Final = ("traceback", "stack_trace", "stacktrace", "exc_info", "exc_text", "stack_info")
STRICT: Final = _list(
    "user_name username login email phone address birthday ssn iban session session_id key auth name_on_card "
    "card_number credit_card"
)

TAIL: Final = r"(?:[-_]?[0-9]{1,2})?[\])]?"
"""What may stand behind the last word of a name, as an expression: `_2`, `]`."""
BOUND: Final = rf"{TAIL}(?:(?:\\*[\"'`])?(?:[ ]|\\+t)*(?:[:=>]|%3[ad])|\\*[\"'][,}}\]])"
"""What binds a name to a value in any JSON form of a text, or makes it a label."""
OPTION: Final = r"(?:[ ]|\\+t)"
"""What follows the name of an option: `--api-key …`."""

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\x00-\x7f]+")
_NO_LETTERS: Final = "".join(character for character in map(chr, range(128)) if not character.isalpha())
_WORDS_MAX: Final = 4
_NAME_CHARS_MAX: Final = 200
_KNOWN_MAX: Final = 4096


def words_of(name: str) -> list[str]:
    """Return the words of a name in lower case, without a number at its end."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1].isdigit():
        words.pop()
    return words


class Names:
    """A list of sensitive names and what is excepted from it."""

    def __init__(self, names: Iterable[str], allowed: Iterable[str] = (), *, anywhere: bool = False) -> None:
        self.phrases = tuple(dict.fromkeys(tuple(words_of(name)) for name in names if words_of(name)))
        """The words of each name."""
        self._joined = {form for words in self.phrases for form in ("_".join(words), "".join(words))}
        self._allowed = {"_".join(words_of(name)) for name in allowed}
        self._lasts = tuple({words[-1].strip("0123456789") for words in self.phrases})
        self.anywhere = anywhere
        self._known: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        """Tell whether a name is sensitive."""
        name = name[-_NAME_CHARS_MAX:]
        known = self._known.get(name)
        if known is None:
            known = self._judge(name)
            if len(self._known) < _KNOWN_MAX:
                self._known[name] = known
        return known

    @staticmethod
    def asks(name: str) -> bool:
        """Tell whether a name asks for yes, no or a number: `has_password`, `num_secrets`."""
        words = words_of(name[:_NAME_CHARS_MAX])
        return bool(words) and words[0] in _QUESTIONS

    def _judge(self, name: str) -> bool:
        if (
            not self.anywhere
            and name.isascii()
            and not name.rstrip(_NO_LETTERS).lower().endswith(self._lasts)
        ):
            return False
        words = words_of(name)
        endings = ["_".join(words[-count:]) for count in range(1, min(len(words), _WORDS_MAX) + 1)]
        if "_".join(words) in self._allowed or not HARMLESS.isdisjoint(endings):
            return False
        if self.anywhere and not self._joined.isdisjoint(words):
            return True
        return not self._joined.isdisjoint(endings)

    def expression(self) -> str:
        """Return a regular expression for the names as they are spelled, the longest first."""
        spelled = {"[-_. ]?".join(map(re.escape, words)) for words in self.phrases}
        further = "[0-9a-z_.-]*" if self.anywhere else ""
        return "(?:" + "|".join(sorted(spelled, key=len, reverse=True)) + ")" + further

    def gate(self) -> str:
        """Return an expression that stands in every JSON form of what has such a name in it."""
        words = self.expression()
        return rf"{words}{BOUND}|--[0-9a-z_-]*{words}{OPTION}"
