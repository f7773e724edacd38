"""
What no fork may come into the middle of: an import, or the making of something that is made once.

The child of a fork has one thread. A module that another thread of the parent was importing at that moment
stays half imported there, under a lock that nobody will ever give back: who imports it in the child, or asks
for what the lock protects, hangs. So these few stretches are run with `kept_out`, and a fork waits for their
end, some milliseconds at most.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

kept_out: Final = threading.RLock()
"""`with kept_out: …`, from any thread. Reentrant, for a signal handler that forks or imports, too."""

os.register_at_fork(
    before=kept_out.acquire, after_in_parent=kept_out.release, after_in_child=kept_out.release
)


class made_once(Generic[Value]):  # noqa: N801 - used as `functools.cached_property` is
    """
    An attribute that is made when it is first asked for, while forks are kept out.

    `functools.cached_property` of Python 3.11 has a lock of its own, which a child would find taken.
    """

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: object, kind: type) -> Value: ...
    def __get__(self, owner: object | None, kind: type) -> Self | Value:
        if owner is None:
            return self
        with kept_out:
            if self._name not in owner.__dict__:
                owner.__dict__[self._name] = self._make(owner)
            value: Value = owner.__dict__[self._name]
        return value
