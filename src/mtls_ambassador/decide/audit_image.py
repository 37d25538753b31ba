"""What is right and wrong with a device's image before it is shipped: facts in, findings out.

Fails closed: what could not be read or compared is a fault, not a pass.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from mtls_ambassador.decide.audit_conf import CONF, audit_conf
from mtls_ambassador.model.device_image import CertificateFacts, DeviceImage, KeyFacts, RootFacts
from mtls_ambassador.model.finding import Finding, Level, fail, ok, warn

_OTHERS = 0o077
_OWNER_READS = 0o400
_DECIMAL_600 = 0o130
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Policy:
    """What an image is measured by."""

    now: dt.datetime
    expiring: dt.timedelta
    """A certificate that ends within this time is told."""
    server_url: str = ""
    """The gateway's, when the person said it."""


def audit_image(image: DeviceImage, policy: Policy) -> list[Finding]:
    """All that is to be said of one image; one finding that all is well when nothing else is."""
    if image.fault:
        return [fail("image", image.fault)]
    found = [*(fail("image", fault) for fault in image.faults), *_roots(image.roots, policy), *_differences(image)]
    subject = image.certificate.subject if image.certificate else ""
    return found or [ok("image", f"{subject}: key, certificate and configuration are right")]


def level_of(findings: list[Finding]) -> Level:
    """The worst of them."""
    levels = {finding.level for finding in findings}
    return Level.FAIL if Level.FAIL in levels else Level.WARN if Level.WARN in levels else Level.OK


def _roots(roots: tuple[RootFacts, ...], policy: Policy) -> Iterator[Finding]:
    """What is to be said of A and of B; what is to be said of both, once."""
    if not roots:
        yield fail(CONF, "no root file system can be read")
    said = [list(_root(root, policy)) for root in roots]
    for finding in dict.fromkeys(chain.from_iterable(said)):
        where = [root.where for root, findings in zip(roots, said, strict=True) if finding in findings]
        if len(where) == len(roots):
            yield finding
        else:
            yield from (replace(finding, seen=f"started from {item}: {finding.seen}") for item in where)


def _root(root: RootFacts, policy: Policy) -> Iterator[Finding]:
    if root.conf is None:
        yield fail(CONF, root.conf_fault, "put one there, see `image provision`")
    else:
        yield from audit_conf(root.conf, policy.server_url)
    yield from _certificate(root, policy)
    yield from _key("key", root.key, root.key_fault)
    if root.key and root.certificate and root.key.spki_sha256 not in {"", root.certificate.spki_sha256}:
        yield fail("key", f"{root.key.path}: is not the key of {root.certificate.path}")
    if (root.auth_key, root.auth_key_fault) != (root.key, root.key_fault):
        yield from _key("auth key", root.auth_key, root.auth_key_fault)
    if root.server_ca_fault:
        yield fail("server CA", root.server_ca_fault, "the device would not trust its gateway")
    for item in root.leftovers:
        make = fail if item.is_secret else warn
        yield make("leftover", f"{item.path}: {item.why}", "remove it from the golden image")


def _differences(image: DeviceImage) -> Iterator[Finding]:
    if len({root.conf for root in image.roots}) > 1:
        yield warn(CONF, "differs between root file system A and B", "the device changes its mind with an update")
    if len(image.fingerprints - {""}) > 1:
        yield fail("certificate", "differs between root file system A and B", "a device has one")


def _certificate(root: RootFacts, policy: Policy) -> Iterator[Finding]:
    certificate = root.certificate
    if certificate is None:
        yield fail("certificate", root.certificate_fault)
        return
    if not certificate.is_of_our_ca:
        yield fail("certificate", f"{certificate.path}: {certificate.subject} was not signed by our CA")
    yield from _dates(certificate, policy)


def _dates(certificate: CertificateFacts, policy: Policy) -> Iterator[Finding]:
    if certificate.not_after <= policy.now:
        yield fail("certificate", f"expired on {certificate.not_after:%Y-%m-%d}", "issue another")
    elif certificate.not_after <= policy.now + policy.expiring:
        yield warn("certificate", f"ends on {certificate.not_after:%Y-%m-%d}", "will it be in use for longer?")
    if certificate.not_before > policy.now:
        yield warn("certificate", f"is valid only from {certificate.not_before:%Y-%m-%d} on")


def _key(what: str, key: KeyFacts | None, fault: str) -> Iterator[Finding]:
    if key is None:
        if fault:
            yield fail(what, fault)
        return
    if not key.spki_sha256:
        yield fail(what, f"{key.path}: {fault}")
    if not key.has_mode:
        yield fail(what, f"{key.path}: is on FAT, where every user of the device may read it", "put it on ext4")
    elif key.mode == _DECIMAL_600:
        seen = f"{key.path}: mode 0130, as `mender-artifact install -m 600` leaves it (it takes 600 for decimal)"
        yield fail(what, seen, "install it with mode 0600")
    elif key.mode & _OTHERS:
        yield fail(what, f"{key.path}: mode {key.mode:04o}: others may use it", "mode 0600")
    elif not key.mode & _OWNER_READS:
        yield fail(what, f"{key.path}: mode {key.mode:04o}: its owner may not read it", "mode 0600")
    elif key.uid != 0:
        yield warn(what, f"{key.path}: belongs to user {key.uid}", "Mender's client runs as root")


def duplicates(images: Iterable[DeviceImage]) -> dict[str, list[Finding]]:
    """By name, what each image shares with others: two devices with one key are one device to Mender."""
    owners: dict[str, list[str]] = {}
    for image in images:
        for value in _identities(image):
            owners.setdefault(value, []).append(image.name)
    found: dict[str, list[Finding]] = {}
    for value, names in owners.items():
        for name in names if len(names) > 1 else ():
            others = [other for other in names if other != name] or [name]
            shown = ", ".join(others[:_SHOWN]) + (f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else "")
            what = value.split(":", 1)[0]
            found.setdefault(name, []).append(fail(what, f"is the same as in {shown}", "each device needs its own"))
    return found


def _identities(image: DeviceImage) -> set[str]:
    keys = {key.spki_sha256 for root in image.roots for key in (root.key, root.auth_key) if key}
    return {f"key:{key}" for key in keys - {""}} | {f"certificate:{item}" for item in image.fingerprints - {""}}
