"""`mtls-ambassador pki show`: the CAs, or one certificate."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_store import Place, json_option, opened, parse_serial, pki_option
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.pki.folder import PublicAuthority
    from mtls_ambassador.store.certificates import Record

EPILOG = """\b
Examples:
  mtls-ambassador pki show                                # the CAs
  mtls-ambassador pki show dev-000001                     # by name: every certificate it had
  mtls-ambassador pki show 4F1C…                          # by serial, or by SHA-256 of certificate or key
  mtls-ambassador pki show mender-cert.pem --json
"""
_SHA256_HEX = 64


@click.command("show", epilog=EPILOG)
@click.argument("what", required=False)
@json_option
@pki_option
def command(what: str | None, pki_dir: Path | None, *, as_json: bool) -> None:
    """Show the CAs, or the certificate WHAT: a name, serial, SHA-256, or a PEM file."""
    with opened(pki_dir) as place:
        found = _authorities(place) if what is None else _certificates(place, what)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for item in found:
        width = max(map(len, item)) + 2
        for name, value in item.items():
            shown = "; ".join(value) if isinstance(value, list) else value
            if shown not in {None, ""}:
                click.echo(printable(f"{name.replace('_', ' ') + ':':<{width}}{shown}"))
        click.echo()


def _authorities(place: Place) -> list[dict[str, Any]]:
    from mtls_ambassador.pki.folder import choose, names, read_public  # noqa: PLC0415 - slow to load

    folder = place.settings.pki_dir
    if not names(folder):
        choose(folder, None)  # says what to do
    return [authority_facts(read_public(folder / name)) for name in names(folder)]


def authority_facts(known: "PublicAuthority") -> dict[str, Any]:
    """What there is to say about a CA."""
    return {"ca": known.name, **certificate_facts(known.certificate), "key_place": known.key_place}


def certificate_facts(certificate: "x509.Certificate") -> dict[str, Any]:
    """What there is to say about a certificate."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - slow to load

    from mtls_ambassador.model.revocation import serial_hex  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.authority import spki_sha256  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.keys import describe_key  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.subject import text_of  # noqa: PLC0415 - see above

    return {
        "subject": text_of(certificate.subject),
        "issuer": text_of(certificate.issuer),
        "alternative_names": _names(certificate),
        "serial": serial_hex(certificate.serial_number),
        "version": certificate.version.name,
        "key": describe_key(certificate.public_key()),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "certificate_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "key_sha256": spki_sha256(certificate.public_key()).hex(),
    }


def _names(certificate: "x509.Certificate") -> list[str]:
    from cryptography import x509  # noqa: PLC0415 - slow to load

    if certificate.version is x509.Version.v1:
        return []
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(item.value) for item in names]


def _certificates(place: Place, what: str) -> list[dict[str, Any]]:
    from cryptography import x509  # noqa: PLC0415 - slow to load

    if Path(what).is_file():
        return [_of_file(place, Path(what))]
    records = _find(place, what)
    if not records:
        raise AmbassadorError(f"{what!r} is no file, and no name, serial or SHA-256 of a certificate recorded here")
    found = []
    for record in records:
        facts = certificate_facts(x509.load_der_x509_certificate(record.der)) if record.der else {}
        found.append({"name": record.name, **facts, **record_facts(place, record)})
    return found


def _of_file(place: Place, path: Path) -> dict[str, Any]:
    from cryptography import x509  # noqa: PLC0415 - slow to load
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above

    from mtls_ambassador.store.certificates import find  # noqa: PLC0415 - see above

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AmbassadorError(f"{path}: no PEM certificate can be read") from error
    with place.database.transaction() as connection:
        records = find(connection, fingerprint=certificate.fingerprint(hashes.SHA256()))
    known = record_facts(place, records[0]) if records else {"status": "not recorded here"}
    return {"name": records[0].name if records else "", **certificate_facts(certificate), **known}


def record_facts(place: Place, record: "Record") -> dict[str, Any]:
    """What the records say beside the certificate itself."""
    revoked = f"{record.revoked_at:%Y-%m-%dT%H:%M:%SZ} ({record.revocation_reason})" if record.revoked_at else ""
    return {
        "serial": record.serial_hex,
        "ca": place.names().get(record.issuer_sha256, record.issuer_sha256.hex()),
        "profile": record.profile,
        "status": record.status.value,
        "recorded": record.reserved_at.isoformat(),
        "revoked": revoked,
    }


def _find(place: Place, what: str) -> list["Record"]:
    from mtls_ambassador.store.certificates import find  # noqa: PLC0415 - slow to load

    with place.database.transaction() as connection:
        found = find(connection, name=what)
        if found:
            return found
        bare = what.replace(":", "").lower()
        if len(bare) == _SHA256_HEX and all(char in "0123456789abcdef" for char in bare):
            digest = bytes.fromhex(bare)
            return find(connection, fingerprint=digest) or find(connection, spki=digest)
        try:
            return find(connection, serial=parse_serial(what))
        except ValueError:
            return []
