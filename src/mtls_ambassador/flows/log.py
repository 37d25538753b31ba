"""The log: structured lines on standard error, the same from every process of the gateway."""

import logging
import sys

import structlog

from mtls_ambassador.settings import LogFormat


def configure(*, debug: bool, form: LogFormat) -> None:
    """Set up the log of this process: `debug` shows debug lines too, `form` is a JSON object a line, or plain text."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if form is LogFormat.CONSOLE:
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if form is LogFormat.JSON else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
