"""The documents' own logging configuration, loaded as it is: its lines are records, in both directories."""

import json
from pathlib import Path

from support.apps import Site

DOCUMENT = Path(__file__).parents[1] / "unit/settings/files/logging.yaml"
APPLICATION = """
    import logging.config, os, sys
    from pipeline.integrations.logging import dict_config

    os.chdir(sys.argv[1])
    logging.config.dictConfig(dict_config(sys.argv[2]))
    logging.getLogger("wechat_backend.ai").info("answered", extra={"tokens": 7})
    logging.getLogger("wechat_backend.api").debug("asked")
    logging.getLogger("security").info("too low to be recorded")
    logging.getLogger("main").info("by the root")
    logging.shutdown()
"""


def lines(directory: Path) -> list[tuple[str, str]]:
    """Return logger and message of the log lines in a directory."""
    records = [
        json.loads(line) for path in directory.glob("*.jsonl") for line in path.read_text().splitlines()
    ]
    return [(one["logger"], one["message"]) for one in records if one["action_type"] == "log"]


def test_loggers_levels_and_handlers_of_the_document_are_in_force(site: Site, tmp_path: Path) -> None:
    """Each logger records where the document sends it (R-242 to R-251), and the console goes on."""
    home = tmp_path / "backend"
    home.mkdir()
    app = site.run(APPLICATION, str(home), str(DOCUMENT))
    site.until_ended()
    answered = ("wechat_backend.ai", "answered")
    assert lines(home / "logs") == [answered, ("wechat_backend.api", "asked"), ("main", "by the root")]
    assert lines(home / "data/ai_responses") == [answered]
    console = "\n".join(app.told)
    assert " - main - INFO - [" in console
    assert "asked" not in console
