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


def certain(denied: Denied, names: dict[str, str | None]) -> Denied:
    """What Envoy can tell by the issuer's name; serials of an issuer whose name is not certain count for any issuer.

    Fails closed: rather a certificate of another CA with the same serial is refused than one that is denied let in.
    Serials of an issuer that is none of our CAs are left out: its devices are refused in the handshake.
    """
    unsure = [found for issuer, found in denied.of_issuers.items() if issuer in names and names[issuer] is None]
    sure = {issuer: found for issuer, found in denied.of_issuers.items() if names.get(issuer) is not None}
    return Denied(denied.serials.union(*unsure), sure, denied.spans, denied.issuers)


def write_denylist(
    denied: Denied, names: dict[str, str | None], paths: RuntimePaths, *, ignores_end: bool
) -> DenylistFile:
    """Write the list into the runtime folder, under a new name; `swap` puts it in force for the decision service."""
    packed = pack(certain(denied, names))
    path = paths.directory / f"{PREFIX}{os.urandom(8).hex()}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(packed.to_bytes())
    return _as_file(packed, path, names, ignores_end=ignores_end)


def _as_file(packed: Packed, path: Path, names: dict[str, str | None], *, ignores_end: bool) -> DenylistFile:
    numbers = {name: number for issuer, number in packed.head["issuers"].items() if (name := names.get(issuer))}
    spans = tuple((names.get(who) or "" if who else "", begins, ends) for who, begins, ends in packed.head["spans"])
    issuers = tuple(name for issuer in packed.head["denied_issuers"] if (name := names.get(issuer)))
    return DenylistFile(path, len(packed.records), numbers, spans, issuers, ignores_end)


def swap(paths: RuntimePaths, current: Path) -> None:
    """From now on the decision service looks it up here; older lists go."""
    staged = paths.denied.with_name("denied.new")
    staged.unlink(missing_ok=True)
    staged.symlink_to(current.name)
    staged.replace(paths.denied)
    for old in paths.directory.glob(f"{PREFIX}*"):
        if old != current:
            old.unlink(missing_ok=True)
