"""What an engine was told: the question, and in which form the answer is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.query.question import Question

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Plan:
    """`limit` and `tail` are never both given."""

    log_dir: Path
    question: Question = field(default_factory=Question)
    include_fallback: bool = False
    include_queue: bool = False
    completes: bool = False
    is_ordered: bool = False
    is_descending: bool = False
    limit: int | None = None
    tail: int | None = None

    @property
    def is_everything(self) -> bool:
        """Whether each record of the files of some days is asked for, as it stands there, in any order."""
        question = self.question
        asks = question.conditions or question.has_span or self.completes
        return not (
            asks
            or self.include_fallback
            or self.include_queue
            or self.limit is not None
            or self.tail is not None
        )
