"""What the pipeline records of itself, so that the stream tells its own truth. Written by its workers."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from pipeline.records.typed import Record

Count = Annotated[int, Meta(description="How many records.")]
FirstNumber = Annotated[int, Meta(description="First action_number of the range.")]
LastNumber = Annotated[int, Meta(description="Last action_number of the range.")]
Pid = Annotated[int, Meta(description="Process id.")]
Role = Annotated[str, Meta(description="app, or which of the pipeline's own processes it was.")]
Subject = Annotated[str, Meta(description="Id of the producer that it is about.")]


class PipelineStarted(Record):
    """A pipeline begins to write."""

    version: Annotated[str, Meta(description="Version of this library.")]
    pid: Pid
    instance: Annotated[str, Meta(description="Id of the instance.")]
    log_dir: Annotated[str, Meta(description="The log directory.")]


class PipelineStopped(Record):
    """A pipeline has written everything and ends; the last record of the writer's own producer."""

    reason: Annotated[str, Meta(description="idle: nobody was left; stopped: it was told to.")]


class _End(Record):
    subject: Subject
    role: Role
    pid: Pid
    last_action_number: Annotated[int, Meta(description="The last number that the producer has used.")]
    wrong_fields: (
        Annotated[dict[str, Any], Meta(description="Its fields of the wrong kind, and how many of each.")]
        | None
    ) = None
    masked: (
        Annotated[dict[str, Any], Meta(description="Rules that have masked its values, and how many each.")]
        | None
    ) = None


class ProducerClosed(_End):
    """A producer has ended normally, and all of it is in the files."""

    signal: Annotated[str, Meta(description="Signal that began the end.")] | None = None


class ProducerDied(_End):
    """A producer was killed, and all that it emitted is in the files."""


class RecordsDropped(Record):
    """Records are gone. Only such a record makes a gap in the numbers of a producer legal."""

    subject: Subject
    reason: Annotated[str, Meta(description="Why: drop_oldest, queue_full, segment_removed and others.")]
    count: Count
    first_action_number: FirstNumber | None = None
    last_action_number: LastNumber | None = None
    kept: Annotated[list[int], Meta(description="Numbers of the range that are stored.")] | None = None


class RecordsSampled(Record):
    """Records were left out as the settings ask for, since this was last told. They have no numbers."""

    subject: Subject
    reason: Annotated[str, Meta(description="sampled or rate_limited.")]
    count: Count


class FallbackReplayed(Record):
    """Rows have left the fallback store since this was last told."""

    rows: Annotated[int, Meta(description="Rows that are in the files now.")]
    records: Annotated[int, Meta(description="Records in them.")]
    bytes: Annotated[int, Meta(description="Bytes of these.")]
    quarantined: Annotated[int, Meta(description="Rows that went to quarantine.")]


class Quarantined(Record):
    """A row of the fallback store was not what its checksum says."""

    subject: Subject
    first_action_number: FirstNumber
    last_action_number: LastNumber
    count: Count
    file: Annotated[str, Meta(description="File in quarantine that holds it.")]


class WriterRestarted(Record):
    """A writer has taken the place of one that ended."""

    pid: Pid
    restarts: Annotated[int, Meta(description="How often that has happened in this pipeline.")]
    cause: Annotated[str, Meta(description="How the one before ended.")]


class Repaired(Record):
    """`pipeline repair` was here."""

    rebuilt_bytes: Annotated[int, Meta(description="Bytes that have new manifest entries.")] | None = None
    torn_bytes: Annotated[int, Meta(description="Bytes that were cut into quarantine.")] | None = None
    entries_out_of_force: Annotated[int, Meta(description="Entries that count no more.")] | None = None
    accepted: Annotated[Any, Meta(description="What was accepted as it is.")] = None
    findings: Annotated[Any, Meta(description="What was wrong before.")] = None


class FileChanged(Record):
    """Somebody else has changed a day file."""

    file: Annotated[str, Meta(description="Its name.")]
    change: Annotated[str, Meta(description="moved, deleted, truncated or foreign_bytes.")]
    bytes: Annotated[int, Meta(description="How many bytes of it.")] | None = None


class FileExpired(Record):
    """A day file takes its leave: from here on its manifest says so."""

    file: Annotated[str, Meta(description="Its name, before it was packed.")]
    cause: Annotated[str, Meta(description="age, max_files, size or min_free: which limit it was beyond.")]
    records: Annotated[int, Meta(description="Records in it.")] | None = None
    bytes: Annotated[int, Meta(description="Bytes of these.")] | None = None


class ClockDoubted(Record):
    """The clock has leapt forward: until it is believed, that makes no file old enough to leave."""

    ahead_sec: Annotated[int, Meta(description="How far it is ahead of what it should say.")]
    until: Annotated[str, Meta(description="When it is believed, if it goes on like that.")]
