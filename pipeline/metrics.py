"""
Measurements as records (R-086): counters, gauges and histograms.

    metrics = pipeline.get_metrics_collector()
    metrics.counter("llm_requests_total").increment(model="m")
    metrics.histogram("llm_request_duration_seconds").record(1.23)
    metrics.gauge("active_sessions").set(5)

Each call is one `metric` record, as safe as any other: nothing is kept in memory that a kill could take, no
thread sends it, and whoever reads the files may add up by any field. What happens thousands of times a
second is better counted by the application, and given as `increment(amount)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline import app

if TYPE_CHECKING:
    from pipeline.app import Pipeline


class _Instrument:
    """Something that is measured, under a name."""

    kind = ""

    def __init__(self, name: str, pipeline: Pipeline | None) -> None:
        self.name = name
        self._pipeline = pipeline

    def _emit(self, value: float, attributes: dict[str, Any]) -> int:
        emit = app.emit if self._pipeline is None else self._pipeline.emit
        fields: dict[str, Any] = {"name": self.name, "kind": self.kind, "value": value}
        return emit("metric", **fields, attributes=attributes) if attributes else emit("metric", **fields)


class Counter(_Instrument):
    """What only grows. The sum of the values of its records is its count."""

    kind = "counter"

    def increment(self, amount: float = 1, **attributes: Any) -> int:
        """Count; returns the action_number of the record."""
        return self._emit(amount, attributes)


class Gauge(_Instrument):
    """What goes up and down. The value of its last record is how it is now."""

    kind = "gauge"

    def set(self, value: float, **attributes: Any) -> int:
        """Say how it is; returns the action_number of the record."""
        return self._emit(value, attributes)


class Histogram(_Instrument):
    """What is different each time, such as a duration. Each value is a record, so quantiles are exact."""

    kind = "histogram"

    def record(self, value: float, **attributes: Any) -> int:
        """Note one value; returns the action_number of the record."""
        return self._emit(value, attributes)


class MetricsCollector:
    """Gives instruments by name. They hold nothing, so it does not matter how often one is asked for."""

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self._pipeline = pipeline

    def counter(self, name: str) -> Counter:
        """Return a counter."""
        return Counter(name, self._pipeline)

    def gauge(self, name: str) -> Gauge:
        """Return a gauge."""
        return Gauge(name, self._pipeline)

    def histogram(self, name: str) -> Histogram:
        """Return a histogram."""
        return Histogram(name, self._pipeline)


def get_metrics_collector(pipeline: Pipeline | None = None) -> MetricsCollector:
    """Return what gives instruments whose measurements are recorded, in the default pipeline unless told."""
    return MetricsCollector(pipeline)
