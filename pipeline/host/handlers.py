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


def _code_of(handler: object) -> CodeType | None:
    if not callable(handler):
        return None
    target = getattr(handler, "__func__", handler)
    code = getattr(target, "__code__", None) or getattr(
        getattr(type(target), "__call__", None), "__code__", None
    )
    return code if isinstance(code, CodeType) else None
