"""`mtls-ambassador device`: what an operator does about one device."""

import asyncio
import datetime as dt
import getpass
import os
from pathlib import Path

import click

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.identity import Identity

APPROVE_EPILOG = """\b
Example: device 52:54:00:12:34:56 got a certificate with another subject, and is refused with `identity-taken`:
  mtls-ambassador device approve '{"mac":"52:54:00:12:34:56"}' new-device-cert.pem
"""


@click.group("device")
def command() -> None:
    """What an operator does about one device."""


@command.command("approve", epilog=APPROVE_EPILOG)
@click.argument("identity")
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option("--by", help="Who approves, for the audit.  [default: the user running the command]")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings file, as for `run`.")
def approve(identity: str, certificate: Path, by: str | None, config_file: Path | None) -> None:
    """Let CERTIFICATE (PEM) speak for IDENTITY (JSON) in place of the one that enrolled it.

    It takes effect at the device's next auth request; nothing at Mender is changed.
    """
    from mtls_ambassador.flows.approve_move import approve_move  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.parse import device_certificate  # noqa: PLC0415 - see above
    from mtls_ambassador.settings.load import load  # noqa: PLC0415 - see above
    from mtls_ambassador.store.database import open_database  # noqa: PLC0415 - see above

    try:
        named = Identity.parse(identity)
    except ValueError as error:
        raise UsageError(
            f'IDENTITY: {error}; it is the JSON a device names itself with, such as {{"mac":"…"}}'
        ) from error
    try:
        presented = device_certificate(certificate.read_bytes())
    except OSError as error:
        raise AmbassadorError(f"CERTIFICATE: {certificate}: {error.strerror}") from error
    except ValueError as error:
        raise AmbassadorError(f"CERTIFICATE: {certificate} is not one readable PEM certificate: {error}") from error
    settings = load(os.environ, config_file=config_file).settings
    with open_database(settings.store) as database:
        now = dt.datetime.now(dt.UTC)
        done = asyncio.run(approve_move(database, named, presented, by or getpass.getuser(), now))
    click.echo(f"approved: {presented.subject} (serial {presented.serial_hex}) may enrol {named.canonical}")
    for pin in done.holders:
        click.echo(f"  no longer: {pin.subject} (key {pin.spki_sha256[:16]}…)")
