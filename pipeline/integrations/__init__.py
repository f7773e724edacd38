"""
The recorder from where people already log: one module per library, imported only by who uses it.

    pipeline.integrations.logging       PipelineHandler, JsonFormatter for the standard library
    pipeline.integrations.console       lines for a terminal, or JSON where there is none
    pipeline.integrations.uncaught      errors that nobody caught, as critical records
    pipeline.integrations.printing      print() as records
    pipeline.integrations.structlog     a processor and a logger factory
    pipeline.integrations.loguru        a sink
    pipeline.integrations.gunicorn      a logger_class and hooks
    pipeline.integrations.uvicorn       a log_config
    pipeline.integrations.celery        signals
    pipeline.integrations.opentelemetry LogRecordExporter and SpanExporter
"""
