"""The log: structured lines on standard error, the same from every process of the gateway."""

import io
import logging
import sys
import warnings
from typing import TextIO

import structlog

from mtls_ambassador.settings import LogFormat


def configure(*, debug: bool, form: LogFormat) -> None:
    """Set up the log of this process: `debug` shows debug lines too, `form` is a JSON object a line, or plain text.

    Python's warnings are off unless asked for (`-W`, PYTHONWARNINGS): they are no lines of this log, and odd
    certificates make libraries warn, so that strangers could write any number of them.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if form is LogFormat.CONSOLE:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if form is LogFormat.JSON else _printable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _printable(_logger: object, _method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """For people's terminals: what devices say of themselves must not end a line, colour it or turn its direction."""
    return {name: escaped(value) if isinstance(value, str) else value for name, value in fields.items()}


def escaped(text: str) -> str:
    """The text with every character that is not printable as Python writes it."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _traceback(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """Lines of their own, each set in, so that no text of an error passes for a line of the log."""
    whole = io.StringIO()
    structlog.dev.plain_traceback(whole, exc_info)
    out.write("\n" + "\n".join(f"    {escaped(line)}" for line in whole.getvalue().split("\n")))
