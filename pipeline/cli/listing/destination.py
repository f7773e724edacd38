"""The file of `--output`: there as a whole or not at all, and never one of the pipeline's own."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipeline.cli.listing.output import Output
from pipeline.errors import SettingsError
from pipeline.host.terminal import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def written_to(path: str, log_dir: Path) -> Iterator[Output]:
    """
    Give an output that becomes the file when all went well.

    SettingsError for a place in the log directory, where files are the pipeline's; OSError when it cannot be
    written.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if f"{folder}/".startswith(f"{log_dir}/"):
        raise SettingsError(
            f"{visible(path)} lies in the log directory", remedy="Write the output somewhere else"
        )
    if os.path.exists(target) and not os.path.isfile(target):  # a device, a pipe: nothing to put into place
        with open(target, "w", encoding="utf-8") as file:
            yield Output(file, is_terminal=os.isatty(file.fileno()), has_color=False, has_pager=False)
        return
    with _new_file(folder) as (name, file):
        yield Output(file, is_terminal=False, has_color=False, has_pager=False)
        file.flush()
        os.fsync(file.fileno())
        os.replace(name, target)


@contextmanager
def _new_file(folder: str) -> Iterator[tuple[str, tempfile._TemporaryFileWrapper[str]]]:
    """Give a file beside the target, which is removed unless it was renamed."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=folder, prefix=".pipeline-log-", delete=False
    ) as file:
        try:
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            yield file.name, file
        finally:
            with suppress(FileNotFoundError):
                os.unlink(file.name)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
