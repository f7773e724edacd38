"""`pipeline log --since 1h` in a directory of 400 days: what is older is known by its name."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.forms import line_of, record, write_day

DAYS = 400
DAY_BYTES = 250_000_000
CPU_SEC_MAX = 1.0
"""Five times of what the bench shows, and none of it is time that other processes take: a guard, no goal."""
WATCHED = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from pipeline.cli import main
try:
    main()
finally:
    print(json.dumps(opened), file=sys.stderr)
"""


def stamp(at: datetime) -> str:
    """Return a moment as records have it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_years(log_dir: Path, now: datetime) -> None:
    """Write old days that are long and empty, but for a first and a last line, and two that are not."""
    for ago in range(2, DAYS):
        day = (now - timedelta(days=ago)).date()
        path = log_dir / f"{day}.jsonl{'.zst' if ago > 7 else ''}"
        with path.open("wb") as file:
            file.write(line_of(record(1, f"{day}T00:00:00.000000Z", "log")))
            file.truncate(DAY_BYTES)
            file.seek(0, os.SEEK_END)
            file.write(b"\n" + line_of(record(2, f"{day}T23:59:59.999999Z", "log")))
    moments = [now - timedelta(seconds=seconds) for seconds in range(90_000, 0, -100)]
    for ago in (0, 1):
        day = (now - timedelta(days=ago)).date()
        lines = [line_of(record(n, stamp(at), "log")) for n, at in enumerate(moments) if at.date() == day]
        write_day(log_dir, str(day), lines)


def test_an_hour_of_400_days_opens_the_files_of_that_hour(tmp_path: Path) -> None:
    """No file of another day but its neighbour's is opened, and the answer is that hour."""
    now = datetime.now(UTC)
    write_years(tmp_path, now)
    since = stamp(now - timedelta(hours=1))
    command = [sys.executable, "-c", WATCHED, "log", "--dir", str(tmp_path), "--since", since]
    answer, told = tmp_path / "answer", tmp_path / "told"
    with answer.open("wb") as stdout, told.open("wb") as stderr:
        process = subprocess.Popen([*command, "--format", "jsonl"], stdout=stdout, stderr=stderr)
        _, process.returncode, used = os.wait4(process.pid, 0)
    assert process.returncode == 0, told.read_text()
    names = {Path(path).name for path in json.loads(told.read_text().splitlines()[-1])}
    near = {f"{(now + timedelta(days=days)).date()}.jsonl" for days in (-1, 0)}
    assert {name for name in names if ".jsonl" in name and not name.endswith(".manifest")} <= near
    stamps = [json.loads(line)["timestamp"] for line in answer.read_text().splitlines()]
    assert stamps == sorted(stamps)
    assert len(stamps) == 36
    assert stamps[0] >= since
    assert used.ru_utime + used.ru_stime < CPU_SEC_MAX
