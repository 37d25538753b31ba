"""What the commands over the denylist share: the records of a gateway, and the CAs that are known beside them."""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.pki_store import parse_span
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.flows.denial_journal import DenialJournal
    from mtls_ambassador.settings import StoreSettings
    from mtls_ambassador.store.database import Database


@dataclass(frozen=True, slots=True)
class Records:
    """A gateway's."""

    settings: "StoreSettings"
    database: "Database"
    journal: "DenialJournal"

    def authorities(self, *more: "x509.Certificate") -> dict[str, bytes]:
        """SHA-256 of the SPKI of the CAs that are kept here, and of more, by the text of their subject."""
        from mtls_ambassador.flows.known_authorities import known_authorities  # noqa: PLC0415 - slow to load

        return known_authorities(self.settings.pki_dir, *more)


@contextmanager
def opened() -> Iterator[Records]:
    """The records that the environment names. Raises AmbassadorError when no gateway has kept any there."""
    from mtls_ambassador.flows.approve_move import require_store  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.denial_journal import DenialJournal  # noqa: PLC0415 - see above
    from mtls_ambassador.settings.load import load_store  # noqa: PLC0415 - see above
    from mtls_ambassador.settings.names import unknown_names  # noqa: PLC0415 - see above
    from mtls_ambassador.store.database import open_database  # noqa: PLC0415 - see above

    for text in unknown_names(os.environ):
        click.echo(f"warning: {printable(text)}", err=True)
    settings = load_store(os.environ)
    require_store(settings)
    with open_database(settings) as database:
        yield Records(settings, database, DenialJournal(settings.state_dir))


def parse_moment(option: str, text: str, *, is_end: bool = False) -> dt.datetime:
    """An ISO date or time, UTC when it says no zone; as an end, a date is the end of that day.

    Raises UsageError for anything else.
    """
    try:
        try:
            day = dt.date.fromisoformat(text)
        except ValueError:
            found = dt.datetime.fromisoformat(text)
        else:
            found = dt.datetime.combine(day, dt.time()) + dt.timedelta(days=1 if is_end else 0)
        moment = found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option}: {printable(text[:60])!r} is no date or time; write it as 2026-11-30 or 2026-11-30T12:00"
        ) from error
    # Certificates and Envoy count whole seconds.
    is_between = is_end and moment.microsecond > 0
    return moment.replace(microsecond=0) + dt.timedelta(seconds=1 if is_between else 0)


def parse_until(text: str, now: dt.datetime) -> dt.datetime:
    """A date, a time or a span from now. Raises UsageError when it is none, or over."""
    try:
        until = now + parse_span(text)
    except (UsageError, OverflowError):
        until = parse_moment("--until", text, is_end=True)
    if until <= now:
        raise UsageError(f"--until: {printable(text[:60])} is over; leave it out to deny for good")
    return until


def clean(text: str) -> str:
    """As a database and a journal take it: what is no Unicode is replaced."""
    return text.encode(errors="replace").decode()
