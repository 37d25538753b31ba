"""What is denied, from all who say so, written as Envoy and the decision service look it up."""

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

from mtls_ambassador.decide.denylist import Denied, Packed, pack
from mtls_ambassador.envoy.denylist import DenylistFile
from mtls_ambassador.envoy.place import RuntimePaths
from mtls_ambassador.flows.input_files import read_input
from mtls_ambassador.model.errors import AmbassadorError, FaultsError
from mtls_ambassador.pki.openssl_name import openssl_text
from mtls_ambassador.pki.serial_file import parse_serials
from mtls_ambassador.settings import Settings

PREFIX = "denied-"
_OTHER = "?"
"""No name of Envoy's: an issuer that is not known to it by its name."""


def read_blacklist(settings: Settings) -> frozenset[bytes]:
    """The serials of `MTLS_BLACKLIST_PATH`. Raises AmbassadorError with the lines that are none."""
    if settings.blacklist is None:
        return frozenset()
    content = read_input(settings.blacklist, "MTLS_BLACKLIST_PATH")
    try:
        return frozenset(parse_serials(content))
    except FaultsError as error:
        raise AmbassadorError(f"MTLS_BLACKLIST_PATH: {settings.blacklist}: {error}") from error


def envoy_names(authorities: Iterable[x509.Certificate]) -> dict[str, str | None]:
    """By an issuer's RFC 4514 text, what Envoy calls it; None where that is not certain."""
    return {item.subject.rfc4514_string(): openssl_text(item.subject) for item in authorities}


def write_denylist(
    denied: Denied, names: dict[str, str | None], paths: RuntimePaths, *, ignores_end: bool
) -> DenylistFile:
    """Write the list into the runtime folder, under a new name; `swap` puts it in force for the decision service.

    `names` are the CAs of the bundle, with what Envoy calls them. One of which that is not certain is not known to
    Envoy: its certificates are held against the rules of every issuer. Fails closed.
    """
    packed = pack(denied, (name for name, text in names.items() if text))
    path = paths.directory / f"{PREFIX}{os.urandom(8).hex()}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(packed.to_bytes())
    return _as_file(packed, path, names, ignores_end=ignores_end)


def _as_file(packed: Packed, path: Path, names: dict[str, str | None], *, ignores_end: bool) -> DenylistFile:
    def envoys(issuer: str) -> str:
        return (names.get(issuer) or _OTHER) if issuer else ""

    numbers: dict[str, int] = packed.head["issuers"]
    return DenylistFile(
        path,
        len(packed.records),
        {text: number for issuer, number in numbers.items() if (text := names.get(issuer))},
        tuple(numbers.values()),
        tuple(text for text in names.values() if text),
        tuple((envoys(who), begins, ends) for who, begins, ends in packed.head["spans"]),
        tuple(map(envoys, packed.head["denied_issuers"])),
        ignores_end,
    )


def swap(paths: RuntimePaths, current: Path) -> None:
    """From now on the decision service looks it up here; older lists go, but the last, which Envoy may be reading."""
    last = paths.denied.readlink().name if paths.denied.is_symlink() else ""
    staged = paths.denied.with_name("denied.new")
    staged.unlink(missing_ok=True)
    staged.symlink_to(current.name)
    staged.replace(paths.denied)
    for old in paths.directory.glob(f"{PREFIX}*"):
        if old.name not in {current.name, last}:
            old.unlink(missing_ok=True)
