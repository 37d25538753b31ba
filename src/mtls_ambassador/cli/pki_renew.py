"""`mtls-ambassador pki renew`: the next certificate of a device or server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_issue import KINDS, chosen_backdate, chosen_days, issue_options, issuing, tell
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.cli.pki_issue import Issuing
    from mtls_ambassador.flows.issue_one import KeySource
    from mtls_ambassador.pki.profiles import PublicKey

EPILOG = """\b
Examples:
  mtls-ambassador pki renew dev-000001 --out dev-000001/next-cert.pem
  mtls-ambassador pki renew mender-cert.pem --out next-cert.pem               # made elsewhere by the same CA
  mtls-ambassador pki renew my-server.com --out server.crt --new-key server.key
"""
DAYS = 3650
SERVER_DAYS = 730


@click.command("renew", epilog=EPILOG)
@click.argument("what")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new certificate.")
@click.option("--new-key", type=click.Path(path_type=Path), help="Make a new private key into this file.")
@click.option("--key-type", type=click.Choice(KINDS), default="p256", show_default=True, help="Of --new-key.")
@issue_options(DAYS)
def command(what: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Make the next certificate of WHAT, a name or a certificate file: same subject, same names, same key.

    The old one stays good until its end; take it back with `pki revoke --reason superseded` once the new one is in
    place. A revoked one is not renewed.
    """
    from mtls_ambassador.flows.issue_one import GivenKey, KeyFile, Request  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.issue import KeyKind  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.keys import usable_public_key  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.profiles import DeviceProfile, same_again  # noqa: PLC0415 - see above

    with issuing(options) as at:
        name, profile, old = _old(at, what)
        days = chosen_days(options, SERVER_DAYS if profile == "server" else DAYS)
        validity = at.validity(options, DeviceProfile(days=days, backdate=chosen_backdate(options)))
        key: KeySource = GivenKey(usable_public_key(old.public_key(), what))
        if options["new_key"]:
            key = KeyFile(options["new_key"], KeyKind(options["key_type"]))

        def build(public: "PublicKey", serial: int) -> "x509.Certificate":
            return same_again(at.authority, old, public, serial, validity)

        chain = at.authority.intermediates if profile == "server" else ()
        outcome = at.issue(Request(name, profile, key, build, options["out"], chain, again=True))
    files = {"certificate": options["out"]} | ({"key": options["new_key"]} if options["new_key"] else {})
    tell(outcome, name, files, as_json=options["as_json"])


def _old(at: "Issuing", what: str) -> tuple[str, str, "x509.Certificate"]:
    """Name, profile and certificate of what is to be renewed. Raises AmbassadorError when it may not be."""
    from cryptography import x509  # noqa: PLC0415 - slow to load
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above

    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - see above
    from mtls_ambassador.store.certificates import Status, find  # noqa: PLC0415 - see above

    given = None
    if Path(what).is_file():
        try:
            given = x509.load_pem_x509_certificate(read_file(Path(what), "the certificate"))
        except ValueError as error:
            raise AmbassadorError(f"{what}: no PEM certificate can be read") from error
    with at.database.transaction() as connection:
        records = find(connection, fingerprint=given.fingerprint(hashes.SHA256())) if given else []
        records = records or ([] if given else find(connection, name=what))
    done = [item for item in records if item.status is Status.DONE and item.der is not None]
    if not done and given is None:
        raise UsageError(f"{what!r} is no certificate file, and no name of a certificate made here")
    if not done and given is not None:
        return _stranger(at, what, given)
    newest = done[-1]
    if newest.revoked_at is not None:
        raise AmbassadorError(f"{newest.name} (serial {newest.serial_hex}) is revoked and is not renewed")
    if newest.issuer_sha256 != at.authority.issuer_sha256:
        raise UsageError(f"{newest.name} was issued by another CA than {at.authority.name}; give --ca")
    return newest.name, newest.profile, x509.load_der_x509_certificate(newest.der or b"")


def _stranger(at: "Issuing", what: str, given: "x509.Certificate") -> tuple[str, str, "x509.Certificate"]:
    """A certificate that is not recorded: this CA must have signed it, and not taken it back."""
    from cryptography import x509  # noqa: PLC0415 - slow to load
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - see above
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: PLC0415 - see above

    from mtls_ambassador.store.revocations import find as find_revoked  # noqa: PLC0415 - see above

    try:
        given.verify_directly_issued_by(at.authority.certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise AmbassadorError(f"{what}: was not issued by the CA {at.authority.name}") from error
    key = (at.authority.issuer_sha256, given.serial_number)
    with at.database.transaction() as connection:
        if find_revoked(connection, [key]):
            raise AmbassadorError(f"{what}: is revoked and is not renewed")
    common = [str(item.value) for item in given.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    profile = "device"
    if given.version is x509.Version.v3:
        usages = [item.value for item in given.extensions if isinstance(item.value, x509.ExtendedKeyUsage)]
        profile = "server" if usages and ExtendedKeyUsageOID.SERVER_AUTH in usages[0] else "device"
    return (common or [given.subject.rfc4514_string()])[0], profile, given
