"""Signal handlers of the application, as far as the library has to know them."""

from __future__ import annotations

import signal
from types import CodeType


def is_from_signal_handler(error: BaseException) -> bool:
    """
    Tell whether a signal handler of the application raised an error: a frame of one stands in its traceback.

    Timeouts are built that way (a handler of SIGALRM that raises), and pass through whatever code they
    interrupt.
    """
    codes = {
        code for number in signal.valid_signals() if (code := _code_of(signal.getsignal(number))) is not None
    }
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def let_through(error: BaseException) -> None:
    """Raise an error again that is not ours to handle; to be called first in a broad `except`."""
    if is_from_signal_handler(error):
        raise error


def _code_of(handler: object) -> CodeType | None:
    """Return the code that a function, a method or an object with `__call__` runs."""
    target = getattr(handler, "__func__", handler)
    for holder in (target, *type(target).__mro__):
        code = getattr(
            vars(holder).get("__call__", holder) if isinstance(holder, type) else holder, "__code__", None
        )
        if isinstance(code, CodeType):
            return code
    return None
