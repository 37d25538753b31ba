"""`mtls-ambassador pki import`: take a CA made elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.cli.pki_secrets import complete_uri, find_pin, known_secrets, new_passphrase, passphrase_option
from mtls_ambassador.cli.pki_store import json_option, now, pki_option
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.pki.issue import PrivateKey

EPILOG = """\b
Examples:
  mtls-ambassador pki import --cert ca-cert.pem --key ca-private.key           # such as Mender's page makes
  mtls-ambassador pki import --name corp --cert corp.pem --chain root.pem \\
      --key-uri 'pkcs11:token=factory;object=corp?module-path=/usr/lib/softhsm/libsofthsm2.so'
"""
FILE = click.Path(path_type=Path)


@click.command("import", epilog=EPILOG)
@click.option("--name", default="imported", show_default=True, help="Folder of the CA.")
@click.option("--cert", "certificate", type=FILE, required=True, help="The CA's certificate, PEM.")
@click.option("--key", type=FILE, help="Its private key, PEM; it is copied, the file stays.")
@click.option("--key-uri", default="", help="Its private key in a token: a pkcs11: URI.")
@click.option("--chain", type=FILE, help="The CAs above it, each one's issuer after it, PEM.")
@click.option("--no-passphrase", is_flag=True, help="Leave the copied key unencrypted.")
@passphrase_option
@json_option
@pki_option
def command(  # noqa: PLR0913 - one argument for each option
    *,
    name: str,
    certificate: Path,
    key: Path | None,
    key_uri: str,
    chain: Path | None,
    no_passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
    pki_dir: Path | None,
) -> None:
    """Take a CA made elsewhere, such as by the commands of Mender's page, and say what is weak about it.

    The passphrase is for the copy of the key kept here; an encrypted --key must have the same one.
    """
    import os  # noqa: PLC0415 - used here only

    from mtls_ambassador.cli.pki_show import authority_facts  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.make_ca import import_ca  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.folder import NewAuthority  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.subject import text_of  # noqa: PLC0415 - see above
    from mtls_ambassador.settings.load import load_store  # noqa: PLC0415 - see above

    if bool(key) == bool(key_uri):
        raise UsageError("give the CA's private key by --key FILE or by --key-uri pkcs11:…, one of them")
    own, *rest = _certificates(certificate, "--cert")
    chain_found = tuple(rest) + (tuple(_certificates(chain, "--chain")) if chain else ())
    uri = complete_uri(key_uri)
    found, in_file = _key(key, uri, passphrase_file)
    passphrase = new_passphrase(passphrase_file, no_passphrase=no_passphrase) if in_file else None
    new = NewAuthority(name, own, chain_found, found if in_file else None, passphrase, uri)
    folder = pki_dir or load_store(os.environ).pki_dir
    known, findings = import_ca(folder, new, found.public_key(), now())
    if as_json:
        said = [
            {"level": item.level.value, "name": item.name, "seen": item.seen, "right": item.right} for item in findings
        ]
        click.echo(json.dumps({**authority_facts(known), "findings": said}, indent=2))
        return
    click.echo(f"{known.name}: {text_of(own.subject)}, until {own.not_valid_after_utc:%Y-%m-%d}")
    click.echo(f"  key: {known.key_place}")
    for item in findings:
        click.echo(f"  {item}")


def _certificates(path: Path, option: str) -> list["x509.Certificate"]:
    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.pem import read_pem  # noqa: PLC0415 - see above

    pem = read_pem(read_file(path, f"{option}: the certificate"))
    if pem.errors or not pem.certificates:
        raise AmbassadorError(f"{option} {path}: {'; '.join(pem.errors) or 'holds no PEM certificate'}")
    return list(pem.certificates)


def _key(path: Path | None, uri: str, passphrase_file: Path | None) -> tuple["PrivateKey", bool]:
    """The key, and whether it is in a file."""
    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.keys import is_encrypted, load_key  # noqa: PLC0415 - see above

    if path is None:
        from mtls_ambassador.pki.token import open_key  # noqa: PLC0415 - the library is optional

        return open_key(uri, find_pin(uri)), False
    pem = read_file(path, "--key: the private key")
    passphrase = known_secrets(passphrase_file).passphrase(path) if is_encrypted(pem) else None
    return load_key(pem, passphrase, path), True
