"""
What the small applications of the tests import: emit with a ledger, and words to and from the test.

The ledger has a line for each accepted record, written after `emit()` returned its number. With SITE_PLAIN
set, the application does the same without a pipeline: how it ends then is how it has to end with one.
"""

import os
import sys
import threading

IS_PLAIN = "SITE_PLAIN" in os.environ
_LEDGER = os.environ["SITE_LEDGER"]


def start(**options):
    """Start the pipeline over the site's log directory."""
    if IS_PLAIN:
        return None
    import pipeline

    return pipeline.start_pipeline(os.environ["SITE_LOG_DIR"], **options)


def start_in_thread(**options):
    """Start it from a thread that is not the main one."""
    thread = threading.Thread(target=start, kwargs=options)
    thread.start()
    thread.join()


def emit(tag, through=None, **fields):
    """Emit a record and note in the ledger that it was accepted."""
    if IS_PLAIN:
        return 1
    import pipeline

    number = (through or pipeline).emit("work", tag=tag, **fields)
    if number:
        note(tag, number)
    return number


def note(tag, number):
    """Write one line of the ledger; opened each time, as some applications close every descriptor."""
    fd = os.open(_LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{tag} {number}\n".encode())
    finally:
        os.close(fd)


def say(*words):
    """Tell the test something."""
    print(*words, flush=True)


def hear():
    """Wait for a word of the test; empty when it has closed our stdin."""
    return sys.stdin.readline().strip()
