"""The secrets of CA keys: from a file, the environment, or a person at a terminal; never from the command line."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from mtls_ambassador.pki.folder import Secrets

Command = TypeVar("Command", bound=Callable[..., Any])
PASSPHRASE = "MTLS_CA_PASSPHRASE"  # noqa: S105 - the name of a variable
PIN = "MTLS_CA_PIN"
MODULE = "MTLS_PKCS11_MODULE"


def passphrase_option(command: Command) -> Command:
    """`--passphrase-file FILE`."""
    text = f"File with the CA key's passphrase.  [default: {PASSPHRASE}, {PASSPHRASE}_FILE, else you are asked]"
    return click.option("--passphrase-file", type=click.Path(path_type=Path), help=text)(command)


def signing_ca_option(command: Command) -> Command:
    """`--ca NAME`, where leaving it out means the one that issues."""
    text = "The CA that signs.  [default: issuing, else the only one]"
    return click.option("--ca", "ca", metavar="NAME", help=text)(command)


def known_secrets(passphrase_file: Path | None) -> "Secrets":
    """How a CA's key is opened; each secret is looked for only when a key needs it."""
    from mtls_ambassador.pki.folder import Secrets  # noqa: PLC0415 - slow to load

    def passphrase(path: Path) -> bytes:
        found = _given(passphrase_file)
        return found if found is not None else _ask(f"Passphrase of {path}", f"the key {path} is encrypted")

    return Secrets(passphrase, find_pin)


def new_passphrase(passphrase_file: Path | None, *, no_passphrase: bool) -> bytes | None:
    """What a new key file is encrypted with; None only when that was asked for in so many words."""
    found = _given(passphrase_file)
    if no_passphrase:
        if passphrase_file is not None:
            raise UsageError("--no-passphrase and --passphrase-file exclude each other")
        return None
    if found is not None:
        return found
    return _ask("Passphrase for the new CA key", "a CA's key is encrypted", confirm=True)


def find_pin(uri: str) -> str:
    """The PIN of a PKCS#11 URI's token: its `pin-source=`, MTLS_CA_PIN, or asked for."""
    from mtls_ambassador.pki.token_uri import parse_token_uri, pin_from_source  # noqa: PLC0415 - slow to load

    given = pin_from_source(parse_token_uri(uri)) or os.environ.get(PIN) or _file_of(f"{PIN}_FILE")
    if given:
        return given
    if not sys.stdin.isatty():
        raise AmbassadorError(f"the key is in a token and its PIN is not given: set {PIN}, or pin-source= in the URI")
    return str(click.prompt("PIN of the token", hide_input=True, err=True))


def complete_uri(uri: str) -> str:
    """A PKCS#11 URI with the module's path of MTLS_PKCS11_MODULE, unless it names one; checked."""
    from mtls_ambassador.pki.token_uri import parse_token_uri, with_module  # noqa: PLC0415 - slow to load

    return parse_token_uri(with_module(uri, os.environ.get(MODULE, ""))).text if uri else ""


def _given(passphrase_file: Path | None) -> bytes | None:
    if passphrase_file is not None:
        return _read(passphrase_file, "--passphrase-file").encode()
    text = os.environ.get(PASSPHRASE) or _file_of(f"{PASSPHRASE}_FILE")
    return text.encode() if text else None


def _file_of(variable: str) -> str | None:
    path = os.environ.get(variable)
    return _read(Path(path), variable) if path else None


def _read(path: Path, origin: str) -> str:
    from mtls_ambassador.settings.files import read_secret  # noqa: PLC0415 - slow to load

    try:
        return read_secret(path)
    except ValueError as error:
        raise AmbassadorError(f"{origin}: file {path} {error}") from error


def _ask(prompt: str, why: str, *, confirm: bool = False) -> bytes:
    if not sys.stdin.isatty():
        choice = ", or say --no-passphrase" if confirm else ""
        raise AmbassadorError(f"{why}, and no passphrase is given: use --passphrase-file or {PASSPHRASE}{choice}")
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)).encode()
