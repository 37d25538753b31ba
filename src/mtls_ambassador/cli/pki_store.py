"""What the `pki` commands over records share: where they are, which CA is meant, how a serial or a span is written."""

import datetime as dt
import getpass
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from mtls_ambassador.settings import StoreSettings
    from mtls_ambassador.store.database import Database

Command = TypeVar("Command", bound=Callable[..., Any])
_SERIAL_OCTETS = 20
_SPAN = re.compile(r"(\d{1,6})([hdwmy])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 30 * 24, "y": 365 * 24}


def pki_option(command: Command) -> Command:
    """`--pki DIR`, as with every pki command."""
    text = "Folder of the CAs.  [default: MTLS_PKI_DIR, else pki in the state folder]"
    return click.option("--pki", "pki_dir", type=click.Path(path_type=Path), help=text)(command)


def ca_option(command: Command) -> Command:
    """`--ca NAME`, where leaving it out means any."""
    return click.option("--ca", "ca", metavar="NAME", help="Only of this CA.  [default: any]")(command)


def json_option(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


@dataclass(frozen=True, slots=True)
class Place:
    """The records and the CAs beside them."""

    settings: "StoreSettings"
    database: "Database"

    def names(self) -> dict[bytes, str]:
        """The CAs' names by the SHA-256 of their SPKI."""
        from mtls_ambassador.pki import folder  # noqa: PLC0415 - slow to load
        from mtls_ambassador.pki.authority import issuer_sha256  # noqa: PLC0415 - see above

        pki = self.settings.pki_dir
        known = [folder.read_public(pki / name) for name in folder.names(pki)]
        return {issuer_sha256(item.certificate): item.name for item in known}

    def issuer(self, ca: str | None) -> bytes | None:
        """The SHA-256 of the SPKI of the CA of this name. Raises UsageError when there is none."""
        if ca is None:
            return None
        names = self.names()
        for issuer, name in names.items():
            if name == ca:
                return issuer
        raise UsageError(f"--ca {ca}: {self.settings.pki_dir} has {', '.join(sorted(names.values())) or 'no CA'}")


@contextmanager
def opened(pki_dir: Path | None) -> Iterator[Place]:
    """The records that the environment names."""
    from mtls_ambassador.settings.load import load_store  # noqa: PLC0415 - slow to load
    from mtls_ambassador.store.database import open_database  # noqa: PLC0415 - see above

    settings = load_store(os.environ)
    if pki_dir is not None:
        settings = replace(settings, pki_dir=pki_dir)
    with open_database(settings) as database:
        yield Place(settings, database)


def pki_folder(given: Path | None) -> Path:
    """The folder of the CAs, there or not."""
    from mtls_ambassador.settings.load import load_store  # noqa: PLC0415 - slow to load

    return given or load_store(os.environ).pki_dir


def parse_serial(text: str) -> int:
    """A serial in hexadecimal, as openssl prints it: with or without 0x, colons or a leading `serial=`."""
    bare = text.strip().removeprefix("serial=").replace(":", "").removeprefix("0x").removeprefix("0X")
    if not re.fullmatch(r"[0-9A-Fa-f]+", bare) or len(bare.lstrip("0")) > 2 * _SERIAL_OCTETS:
        raise ValueError(f"{text.strip()[:60]!r} is no serial: write it in hexadecimal, as openssl prints it")
    return int(bare, 16)


def parse_span(text: str) -> dt.timedelta:
    """A span such as 90d: hours, days, weeks, months of 30 and years of 365 days."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is no span of time: write it as 36h, 90d, 6w, 3m or 2y")
    return dt.timedelta(hours=int(found[1]) * _HOURS[found[2]])


def now() -> dt.datetime:
    """The time, for commands."""
    return dt.datetime.now(dt.UTC)


def who(by: str | None) -> str:
    """Who runs the command, for the audit."""
    return by or getpass.getuser()
