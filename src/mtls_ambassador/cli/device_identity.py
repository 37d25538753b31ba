"""An identity on the command line."""

import json

from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import UsageError
from mtls_ambassador.model.identity import Identity

EXAMPLE = """'{"mac":"52:54:00:12:34:56"}'"""


def parse_identity(text: str) -> Identity:
    """The device with this JSON object for a name. Raises UsageError with what would be right."""
    try:
        return Identity.parse(text)
    except json.JSONDecodeError as error:
        seen = printable(text[:200])
        raise UsageError(
            f"IDENTITY: {seen} is not JSON; a shell takes double quotes away, so put single ones around it: {EXAMPLE}"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"IDENTITY: {error}; it is the JSON object a device names itself with, such as {EXAMPLE}"
        ) from error
