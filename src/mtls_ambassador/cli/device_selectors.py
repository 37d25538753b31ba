"""How devices and certificates are named to `device revoke` and `device restore`."""

import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import click

from mtls_ambassador.cli.certificate_files import first_certificate, key_sha256, read_bytes
from mtls_ambassador.cli.device_records import parse_moment
from mtls_ambassador.cli.pki_store import parse_serial
from mtls_ambassador.model.errors import AmbassadorError, FaultsError, UsageError

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.flows.denial_targets import Selection
    from mtls_ambassador.model.certificate import DeviceCertificate
    from mtls_ambassador.model.identity import Identity

Command = TypeVar("Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)


class Selectors(TypedDict):
    """The options as given."""

    serials: tuple[str, ...]
    lists: tuple[Path, ...]
    files: tuple[Path, ...]
    keys: tuple[str, ...]
    batches: tuple[str, ...]
    issued_from: str | None
    issued_to: str | None
    ca: Path | None
    unseen: bool


def selectors(command: Command) -> Command:
    """The options, each of which adds to the others."""
    for option in reversed(
        (
            click.option(
                "--serial", "serials", multiple=True, metavar="HEX", help="This serial, as openssl prints it."
            ),
            click.option("--serials", "lists", multiple=True, type=_FILE, help="A file: one serial a line."),
            click.option("--cert", "files", multiple=True, type=_FILE, help="The first certificate of a PEM file."),
            click.option(
                "--key",
                "keys",
                multiple=True,
                metavar="FILE|SHA256",
                help="This key, over renewals too: a PEM file, or SHA-256 of the SPKI.",
            ),
            click.option("--batch", "batches", multiple=True, metavar="NAME|NUMBER", help="A batch of the records."),
            click.option(
                "--issued-from", metavar="DATE", help="Certificates valid from this date or time on, UTC, or later."
            ),
            click.option(
                "--issued-to", metavar="DATE", help="With --issued-from: to the end of this date, or before this time."
            ),
            click.option(
                "--ca",
                type=_FILE,
                help="A CA's certificate: the serials and dates are of this CA; alone, all that it issued.",
            ),
            click.option("--unseen", is_flag=True, help="With --ca: only devices that were never let in before."),
        )
    ):
        command = option(command)
    return command


def select(given: Selectors, identities: "Iterable[Identity]") -> "tuple[Selection, tuple[x509.Certificate, ...]]":
    """What is meant, and the CA that was given. Raises UsageError or AmbassadorError with what would be right."""
    from mtls_ambassador.flows.denial_targets import Selection  # noqa: PLC0415 - slow to load

    span = _span(given["issued_from"], given["issued_to"])
    serials = (*_serials(given["serials"]), *_listed(given["lists"]))
    authority = () if given["ca"] is None else (_authority(given["ca"]),)
    selection = Selection(
        tuple(identities),
        serials,
        tuple(map(_device, given["files"])),
        tuple(key_sha256(text).hex() for text in given["keys"]),
        given["batches"],
        span,
        authority[0].subject.rfc4514_string() if authority else "",
        given["unseen"],
    )
    if given["unseen"] and (not authority or serials or span):
        raise UsageError("--unseen goes with --ca alone: devices of that CA that were never let in stay out")
    others = selection.identities or selection.certificates or selection.keys or selection.batches
    if authority and others and not (serials or span):
        raise UsageError("--ca goes with --serial, --serials or --issued-from, or stands alone: then it means the CA")
    return selection, authority


def _span(begins: str | None, ends: str | None) -> tuple[dt.datetime, dt.datetime] | None:
    if begins is None and ends is None:
        return None
    if begins is None or ends is None:
        raise UsageError("--issued-from and --issued-to go together")
    span = parse_moment("--issued-from", begins), parse_moment("--issued-to", ends, is_end=True)
    if span[0] >= span[1]:
        raise UsageError(f"--issued-from {begins} is not before --issued-to {ends}")
    return span


def _serials(given: Iterable[str]) -> tuple[int, ...]:
    try:
        return tuple(map(parse_serial, given))
    except ValueError as error:
        raise UsageError(f"--serial: {error}") from error


def _listed(paths: Iterable[Path]) -> tuple[int, ...]:
    from mtls_ambassador.pki.serial_file import parse_serials  # noqa: PLC0415 - slow to load

    found: list[int] = []
    for path in paths:
        try:
            found += sorted(int(serial, 16) for serial in parse_serials(read_bytes(path)))
        except FaultsError as error:
            raise FaultsError([f"--serials: {path}: {text}" for text in error.faults]) from error
    return tuple(found)


def _device(path: Path) -> "DeviceCertificate":
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - slow to load

    from mtls_ambassador.pki.approvable import is_authority  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.parse import device_certificate  # noqa: PLC0415 - see above

    certificate = first_certificate(path)
    if is_authority(certificate):
        raise AmbassadorError(f"--cert: {path} is a CA's certificate; --ca means all that it issued")
    try:
        return device_certificate(certificate.public_bytes(Encoding.PEM))
    except ValueError as error:
        raise AmbassadorError(f"--cert: {path} has a key or name that cannot be read; name it by --serial") from error


def _authority(path: Path) -> "x509.Certificate":
    from mtls_ambassador.pki.approvable import is_authority  # noqa: PLC0415 - slow to load

    certificate = first_certificate(path)
    if not is_authority(certificate):
        raise AmbassadorError(f"--ca: {path} is not a CA's certificate; --cert means a device's")
    return certificate
