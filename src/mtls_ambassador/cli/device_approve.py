"""`mtls-ambassador device approve`: an identity moves to another certificate."""

import asyncio
import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.device_identity import EXAMPLE, parse_identity
from mtls_ambassador.cli.pki_store import who
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import AmbassadorError, FaultsError

if TYPE_CHECKING:
    from mtls_ambassador.flows.approve_move import Approved
    from mtls_ambassador.model.certificate import DeviceCertificate
    from mtls_ambassador.model.identity import Identity
    from mtls_ambassador.pki.approvable import Chain
    from mtls_ambassador.settings import IdentityBinding

EPILOG = f"""\b
Example: device 52:54:00:12:34:56 got a certificate with another subject, and is refused with `identity-taken`:
  mtls-ambassador device approve {EXAMPLE} new-device-cert.pem
"""


@click.command("approve", epilog=EPILOG)
@click.argument("identity")
@click.argument("certificate", type=click.Path(path_type=Path))
@click.option("--by", help="Who approves, for the audit.  [default: the user running the command]")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Settings file, as for `run`.")
def command(identity: str, certificate: Path, by: str | None, config_file: Path | None) -> None:
    """Let CERTIFICATE (PEM) speak for IDENTITY (JSON) in place of the one that enrolled it.

    It takes effect at the device's next auth request; nothing at Mender is changed. Run it where the gateway's
    MTLS_STATE_DIR or MTLS_DATABASE_URL, MTLS_TENANT_CA_PEM and MTLS_IDENTITY_BINDING are set; no other is needed.
    """
    from mtls_ambassador.flows.approve_move import approve_move, require_store  # noqa: PLC0415 - slow to load
    from mtls_ambassador.settings.load import load_store  # noqa: PLC0415 - see above
    from mtls_ambassador.settings.names import unknown_names  # noqa: PLC0415 - see above
    from mtls_ambassador.store.database import open_database  # noqa: PLC0415 - see above

    named = parse_identity(identity)
    for text in unknown_names(os.environ):
        click.echo(f"warning: {printable(text)}", err=True)
    store = load_store(os.environ)
    bundle_file, binding = _trust(os.environ, config_file)
    now = dt.datetime.now(dt.UTC)
    presented = _presented(certificate, _certificates("MTLS_TENANT_CA_PEM", bundle_file), now)
    _require_effect(binding, named, presented)
    require_store(store)
    with open_database(store) as database:
        done = asyncio.run(approve_move(database, named, presented, who(by), now))
    _show(done, named, presented)


def _trust(environ: Mapping[str, str], config_file: Path | None) -> tuple[Path, "IdentityBinding"]:
    """The CA bundle and the binding, as `run` has them; faults of the other settings do not matter here."""
    from mtls_ambassador.settings.load import read  # noqa: PLC0415 - slow to load
    from mtls_ambassador.settings.table import SETTINGS  # noqa: PLC0415 - see above

    reading = read(environ, config_file=config_file)
    needed = [item for item in SETTINGS if item.field in {"tenant_ca", "identity_binding"}]
    names = [name for item in needed for name in (*item.names, item.json) if name]
    faults = [
        text for text in reading.faults if text.startswith("configuration file ") or any(name in text for name in names)
    ]
    if faults:
        raise FaultsError(faults)
    return reading.values["tenant_ca"], reading.values["identity_binding"]


def _certificates(what: str, path: Path) -> "Chain":
    from mtls_ambassador.pki.approvable import read_certificates  # noqa: PLC0415 - slow to load

    try:
        return read_certificates(path.read_bytes())
    except OSError as error:
        raise AmbassadorError(f"{what}: {path}: {error.strerror}") from error
    except ValueError as error:
        raise AmbassadorError(f"{what}: {path} {error}") from error


def _presented(path: Path, bundle: "Chain", now: dt.datetime) -> "DeviceCertificate":
    """The device's certificate: the first of the file, when the gateway would let it in."""
    from mtls_ambassador.flows.approvable_move import presented  # noqa: PLC0415 - slow to load

    try:
        return presented(_certificates("CERTIFICATE", path), bundle, now)
    except ValueError as error:
        raise AmbassadorError(f"CERTIFICATE: {path} {error}") from error


def _require_effect(binding: "IdentityBinding", identity: "Identity", certificate: "DeviceCertificate") -> None:
    from mtls_ambassador.flows.approvable_move import warn_of_effect  # noqa: PLC0415 - slow to load

    warning = warn_of_effect(binding, identity, certificate)
    if warning:
        click.echo(f"warning: {warning}", err=True)


def _show(done: "Approved", identity: "Identity", certificate: "DeviceCertificate") -> None:
    subject = printable(certificate.subject)
    click.echo(f"approved: {subject} (serial {certificate.serial_hex}) may enrol {printable(identity.canonical)}")
    for pin in done.holders:
        click.echo(f"  no longer: {printable(pin.subject)} (key {pin.spki_sha256[:16]}…)")
    if not done.is_known:
        click.echo(
            "warning: the gateway has never seen this identity; if it is mistyped, approve the right one", err=True
        )
    if dt.datetime.now(dt.UTC) < certificate.not_before:
        click.echo(
            f"warning: the certificate is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC", err=True
        )
