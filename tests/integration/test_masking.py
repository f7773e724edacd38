"""Masking through real pipelines: no byte of a secret leaves the process that has it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.commands import PIPELINE
from support.needles import SECRET, files_with

if TYPE_CHECKING:
    from pathlib import Path

    from support.apps import Site

PROGRAM = """
import os, sys, threading
from pipeline import context, start_pipeline

secret = sys.argv[1]
threads = [threading.Thread(target=threading.Event().wait, daemon=True) for _ in sys.argv if _ == "threads"]
[thread.start() for thread in threads]
pl = start_pipeline(sys.argv[2], max_record_bytes=4096)
with context(user=f"ann {secret}"):
    pl.emit("call " + secret, password="hunter22hunter22", note=f"x {secret} y", durable=True)
pl.emit("t" * 107 + " " + secret)
pl.emit("long", body="x" * 3700 + " " + secret + " " + "y" * 9000, status="error")
pl.emit("out", output="z" * 995 + " " + secret)
thread = threading.Thread(target=pl.emit, args=("thread",), kwargs={"token": secret})
thread.start(); thread.join()
if os.fork() == 0:
    pl.emit("child", t=secret)
    os._exit(0)
os.wait()
print(pl.health()["producer"]["masked"])
if "killed" in sys.argv:
    pl.flush()
    os.kill(os.getpid(), 9)
pl.close()
"""


def run(site: Site, *arguments: str, **env: str) -> str:
    """Run the program that emits secrets in every way, and return what it printed."""
    import sys

    command = [sys.executable, "-c", PROGRAM, SECRET, str(site.log_dir), *arguments]
    result = subprocess.run(
        command, capture_output=True, text=True, env=site.env(**env), timeout=100, check=False
    )
    assert result.returncode in (0, -9), result.stderr
    return result.stdout


def pipeline(site: Site, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [*PIPELINE, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        env=site.env(),
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(("lanes", "others"), [("memory", []), ("disk", []), ("memory", ["threads"])])
def test_no_byte_of_a_secret_leaves_its_process(
    site: Site, tmp_path: Path, lanes: str, others: list[str]
) -> None:
    """Fields, contexts, action types, threads, forks, cut records: not in the queue, not in a file."""
    printed = run(site, "killed", *others, PIPELINE_LANES=lanes)
    assert "'github_token': 6" in printed
    assert "'name': 2" in printed
    assert not files_with(SECRET[4:20].encode(), tmp_path)
    assert not files_with(b"hunter22", tmp_path)
    records = [
        json.loads(line) for path in site.log_dir.glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    found = {record["action_type"]: record for record in records}
    shown = "ghp***[MASKED 40 chars]***"
    first = found["call " + shown]
    assert (first["password"], first["note"], first["user"]) == ("[MASKED]", f"x {shown} y", f"ann {shown}")
    assert found["thread"]["token"] == found["child"]["t"] == shown
    assert len(found["long"]["body"]) < 4096


def test_scan_finds_what_was_stored_without_masking(site: Site) -> None:
    """Records of before the rules are found in files, with the place and the rule, and never shown."""
    assert pipeline(site, "mask", "scan", "--dir", str(site.log_dir)).returncode == 3
    run(site)
    clean = pipeline(site, "mask", "scan", "--dir", str(site.log_dir), "--json")
    assert (clean.returncode, json.loads(clean.stdout)["found"]) == (0, 0)
    run(site, PIPELINE_MASK_SENSITIVE_DATA="false")
    result = pipeline(site, "mask", "scan", "--dir", str(site.log_dir), "--json")
    answer = json.loads(result.stdout)
    assert result.returncode == 1
    assert answer["rules"]["github_token"] == 4
    assert {place["path"] for place in answer["places"]} >= {
        "action_type",
        "password",
        "note",
        "t",
        "token",
        "user",
    }
    people = pipeline(site, "mask", "scan", "--dir", str(site.log_dir))
    assert people.returncode == 1
    assert ".jsonl:" in people.stdout
    assert SECRET not in result.stdout + people.stdout


def test_mask_test_names_place_and_rule(site: Site, tmp_path: Path) -> None:
    """Lines of text and of JSON from standard input or a file; further rules from a settings file."""
    text = f'hello\nuse {SECRET} now\n{{"a": {{"password": 17}}}}\nEMP-123456\n'
    result = pipeline(site, "mask", "test", stdin=text)
    assert result.returncode == 0
    assert SECRET not in result.stdout
    assert "2: text: github_token\n   use ghp***[MASKED 40 chars]*** now\n" in result.stdout
    assert '3: a.password: name\n   {"a":{"password":"[MASKED]"}}\n' in result.stdout
    assert result.stdout.endswith("2 masked in 4 lines\n")
    (tmp_path / "text").write_text(text)
    (tmp_path / "settings.json").write_text('{"mask_patterns": ["EMP-[0-9]+"]}')
    arguments = ["--settings", str(tmp_path / "settings.json"), "--json", str(tmp_path / "text")]
    answer = json.loads(pipeline(site, "mask", "test", *arguments).stdout)
    assert answer["rules"] == {"github_token": 1, "name": 1, "pattern 1": 1}
    assert answer["findings"][2] == {"line": 4, "path": "", "rule": "pattern 1"}


def test_a_pattern_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """What RE2 has not, such as looking back, is refused with the reason when the settings are read."""
    from pipeline.settings import load

    settings, complaints = load({"mask_patterns": ["(?<=a)b"]})
    assert settings.mask_patterns == ()
    assert "RE2" in complaints[0]
    assert load({"mask_patterns": '["a,b", "c"]'})[0].mask_patterns == ("a,b", "c")
