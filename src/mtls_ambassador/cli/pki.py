"""`mtls-ambassador pki`: from a CA to the certificates of a million devices, with a record of each."""

import click

from mtls_ambassador.cli.lazy import LazyGroup

COMMANDS = {
    "init": "Make a CA: a root, and below it one that issues.",
    "import": "Take a CA made elsewhere, and say what is weak about it.",
    "server": "Make the gateway's key and certificate.",
    "device": "Make one device's key and certificate.",
    "batch": "Make the keys and certificates of a whole order.",
    "sign": "Sign a certificate request (CSR) of a device or server.",
    "renew": "Make the next certificate of a device or server.",
    "revoke": "Take certificates back.",
    "crl": "Write the list of revoked certificates.",
    "list": "List certificates.",
    "show": "Show the CAs, or one certificate.",
    "audit": "What was done, and whether that record is whole.",
}


@click.group("pki", cls=LazyGroup)
def command() -> None:
    """CAs, certificates for the gateway and the devices, revocation, records.

    CAs are kept in MTLS_PKI_DIR (`pki` in the state folder), records in MTLS_STATE_DIR or MTLS_DATABASE_URL. A CA's
    passphrase is asked for, or read from --passphrase-file, MTLS_CA_PASSPHRASE or MTLS_CA_PASSPHRASE_FILE.
    """


command.load_from("mtls_ambassador.cli.pki_", COMMANDS)
