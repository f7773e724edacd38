"""A configuration of the standard library's `logging` that names classes nobody has."""

import json
import logging.config
from pathlib import Path
from typing import Any

import pytest

from pipeline.integrations.logging import PipelineHandler, dict_config
from pipeline.settings.dict_config import FORMATTER, HANDLER, is_one, translate
from pipeline.settings.settings_file import parse

DOCUMENT = Path(__file__).parent / "files/logging.yaml"


@pytest.fixture
def document() -> dict[str, Any]:
    """Give the documents' own configuration, as it is written (R-242 to R-251)."""
    return parse(DOCUMENT)


def test_file_handlers_record_and_the_json_formatter_is_ours(document: dict[str, Any]) -> None:
    """A class that its program never had, one of the standard library, and one of another package."""
    config, _ = translate(document)
    handlers, formatters = config["handlers"], config["formatters"]
    assert handlers["async_file"] == {
        "class": HANDLER, "level": "DEBUG", "formatter": "json", "log_dir": "logs",
    }  # fmt: skip
    assert handlers["ai_responses"] == {
        "class": HANDLER, "level": "INFO", "formatter": "json", "log_dir": "data/ai_responses",
    }  # fmt: skip
    assert formatters["json"] == {"class": FORMATTER}


def test_what_is_the_users_stays_as_it_is(document: dict[str, Any]) -> None:
    """Console, text format, loggers with their levels and handlers, the root, and the document itself."""
    config, _ = translate(document)
    for section, names in (("handlers", ["console"]), ("formatters", ["standard"]),
                           ("loggers", ["wechat_backend", "wechat_backend.ai", "security"])):  # fmt: skip
        for name in names:
            assert config[section][name] == document[section][name]
    assert config["root"] == {"level": "INFO", "handlers": ["console", "async_file"]}
    assert config["disable_existing_loggers"] is False
    assert document == parse(DOCUMENT), "what was given is not changed"


def test_what_is_done_in_another_way_is_noted_key_by_key(document: dict[str, Any]) -> None:
    """No key of a handler or formatter that is replaced goes in silence."""
    _, notes = translate(document)
    assert sorted(notes) == [
        "formatters.json.format",
        "handlers.ai_responses.backupCount", "handlers.ai_responses.compression",
        "handlers.ai_responses.maxBytes", "handlers.async_file.backupCount",
        "handlers.async_file.encoding", "handlers.async_file.maxBytes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "level"),
    [("warn", "WARNING"), ("fatal", "CRITICAL"), ("Trace", "DEBUG"), ("INFO", "INFO"), (15, 15),
     ("ALL", "NOTSET"), ("ext://app.LEVEL", "ext://app.LEVEL"), ("loud", "NOTSET")],
)  # fmt: skip
def test_words_for_levels_are_read_by_a_table(word: object, level: object) -> None:
    """R-239 and R-240: those of other libraries are understood, an unknown one lets all pass and is told."""
    given = {"version": 1, "loggers": {"a": {"level": word}}, "root": {"level": word}, "handlers": {}}
    config, notes = translate(given)
    assert (config["loggers"]["a"]["level"], config["root"]["level"]) == (level, level)
    assert list(notes) == (["loggers.a.level", "root.level"] if word == "loud" else [])


def test_a_level_that_the_application_has_added_is_its_own() -> None:
    """`logging.addLevelName` is part of the standard library's table."""
    logging.addLevelName(35, "AUDIT")
    assert translate({"version": 1, "root": {"level": "AUDIT"}}).config["root"]["level"] == "AUDIT"


def test_handlers_that_write_no_file_of_their_own_stay() -> None:
    """By what they have, and not by their name alone: a factory, a stream, a file handler without a file."""
    given = {
        "version": 1,
        "handlers": {
            "stream": {"class": "logging.StreamHandler", "filename": "x"},
            "bare": {"class": "a.MyFileHandler", "level": "DEBUG"},
            "factory": {"()": "app.make_handler", "size": 3},
            "here": {"class": "logging.FileHandler", "filename": "app.log", "delay": True},
            "wrong": None,
        },
    }
    config, notes = translate(given)
    kept = {name: entry for name, entry in config["handlers"].items() if name != "here"}
    assert kept == {name: given["handlers"][name] for name in kept}
    assert config["handlers"]["here"] == {"class": HANDLER, "log_dir": "."}
    assert list(notes) == ["handlers.here.delay"]


@pytest.mark.parametrize(
    ("found", "holds"),
    [({"version": 1, "handlers": {}}, True), ({"version": 1, "root": {}}, True), ({"version": 1}, False),
     ({"handlers": {}}, False), ({"version": 1, "handlers": []}, False), ({}, False)],
)  # fmt: skip
def test_such_a_configuration_is_known_by_its_version_and_a_section(
    found: dict[str, Any], holds: bool
) -> None:
    """A settings file of ours, or of a program with a version, is not mistaken for one."""
    assert is_one(found) is holds


def test_configuration_is_found_in_a_file_a_table_and_a_block(
    document: dict[str, Any], tmp_path: Path
) -> None:
    """Wherever a program has it, the result is one."""
    inside = tmp_path / "app.json"
    inside.write_text(json.dumps({"model": {}, "logging": document}))
    wanted = translate(document).config
    assert dict_config(DOCUMENT) == dict_config(str(inside)) == dict_config(document) == wanted


def test_standard_library_takes_the_result(document: dict[str, Any]) -> None:
    """`logging.config` itself builds it, and the handlers are ours."""
    before = logging.root.handlers[:], logging.root.level
    try:
        logging.config.dictConfig(dict_config(DOCUMENT))
        found = [type(one) for one in logging.getLogger("wechat_backend.ai").handlers]
        assert found == [PipelineHandler, PipelineHandler]
    finally:
        logging.root.handlers[:], logging.root.level = before
        for name in document["loggers"]:
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
