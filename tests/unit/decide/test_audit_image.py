"""An image before shipping: facts in, findings out; what could not be read is a fault."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from mtls_ambassador.decide.audit_image import Policy, audit_image, duplicates, level_of
from mtls_ambassador.model.device_image import (
    CertificateFacts,
    ClientConf,
    DeviceImage,
    KeyFacts,
    Leftover,
    RootFacts,
)
from mtls_ambassador.model.finding import Level

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
YEAR = dt.timedelta(days=365)
KEY_PATH = "/data/mender/mender-cert-private.pem"
CONF = ClientConf(("https://gw",), certificate="/c.pem", key=KEY_PATH, auth_key=KEY_PATH, server_ca="/ca.pem")
CERTIFICATE = CertificateFacts("/c.pem", "f1", "k1", "CN=dev-1", NOW - YEAR, NOW + 9 * YEAR, True)  # noqa: FBT003 - a row
KEY = KeyFacts(KEY_PATH, "k1", 0o600, 0, True)  # noqa: FBT003 - a table's row
ROOT = RootFacts("A", CONF, certificate=CERTIFICATE, key=KEY, auth_key=KEY)
GOOD = DeviceImage("a.img", (ROOT, replace(ROOT, where="B")))
POLICY = Policy(NOW, dt.timedelta(days=90))


def said(image: DeviceImage) -> list[str]:
    return [f"{item.level} {item.name}: {item.seen}" for item in audit_image(image, POLICY)]


def both(**changes: Any) -> DeviceImage:  # noqa: ANN401 - fields of any type
    """The same in root file system A and B."""
    return replace(GOOD, roots=tuple(replace(root, **changes) for root in GOOD.roots))


def only_b(**changes: Any) -> DeviceImage:  # noqa: ANN401 - see above
    return replace(GOOD, roots=(GOOD.roots[0], replace(GOOD.roots[1], **changes)))


def key(**changes: Any) -> DeviceImage:  # noqa: ANN401 - see above
    changed = replace(KEY, **changes)
    return both(key=changed, auth_key=changed)


def auth_key(**changes: Any) -> DeviceImage:  # noqa: ANN401 - see above
    return both(auth_key=replace(KEY, path="/a.pem", **changes))


def certificate(**changes: Any) -> DeviceImage:  # noqa: ANN401 - see above
    return both(certificate=replace(CERTIFICATE, **changes))


def test_a_good_one_is_said_to_be_good() -> None:
    findings = audit_image(GOOD, POLICY)
    assert [item.level for item in findings] == [Level.OK]
    assert level_of(findings) is Level.OK


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (DeviceImage("a", fault="is no image"), "FAIL image: is no image"),
        (replace(GOOD, faults=("partition 4 was not unmounted",)), "FAIL image: partition 4 was not unmounted"),
        (replace(GOOD, roots=()), "FAIL mender.conf: no root file system can be read"),
        (both(conf=None, conf_fault="it is not there"), "FAIL mender.conf: it is not there"),
        (
            only_b(conf=replace(CONF, servers=("https://gw2",))),
            "warn mender.conf: differs between root file system A and B",
        ),
        (
            only_b(certificate=replace(CERTIFICATE, fingerprint="f2")),
            "FAIL certificate: differs between root file system A and B",
        ),
        (both(certificate=None, certificate_fault="/c.pem is not there"), "FAIL certificate: /c.pem is not"),
        (only_b(certificate=None, certificate_fault="/c.pem is not there"), "FAIL certificate: started from B: /c.pem"),
        (certificate(is_of_our_ca=False), "FAIL certificate: /c.pem: CN=dev-1 was not signed by our CA"),
        (certificate(not_after=NOW), "FAIL certificate: expired on 2026-06-01"),
        (certificate(not_after=NOW + dt.timedelta(days=90)), "warn certificate: ends on 2026-08-30"),
        (certificate(not_before=NOW + YEAR), "warn certificate: is valid only from 2027-06-01 on"),
        (both(key=None, key_fault="is not", auth_key=None, auth_key_fault="is not"), "FAIL key: is not"),
        (both(auth_key=None, auth_key_fault="/a.pem is not there"), "FAIL auth key: /a.pem is not there"),
        (auth_key(mode=0o666), "FAIL auth key: /a.pem: mode 0666: others may use it"),
        (auth_key(uid=1000), "warn auth key: /a.pem: belongs to user 1000"),
        (only_b(auth_key=replace(KEY, mode=0o666)), f"FAIL auth key: started from B: {KEY_PATH}: mode 0666"),
        (auth_key(spki_sha256=""), "FAIL auth key: /a.pem: "),
        (key(spki_sha256="k2"), f"FAIL key: {KEY_PATH}: is not the key of /c.pem"),
        (key(mode=0o130), f"FAIL key: {KEY_PATH}: mode 0130, as `mender-artifact install -m 600` leaves it"),
        (key(mode=0o640), f"FAIL key: {KEY_PATH}: mode 0640: others may use it"),
        (key(mode=0o602), f"FAIL key: {KEY_PATH}: mode 0602: others may use it"),
        (key(mode=0o200), f"FAIL key: {KEY_PATH}: mode 0200: its owner may not read it"),
        (key(uid=1000), f"warn key: {KEY_PATH}: belongs to user 1000"),
        (key(has_mode=False), f"FAIL key: {KEY_PATH}: is on FAT"),
        (both(server_ca_fault="/ca.pem is not there"), "FAIL server CA: /ca.pem is not there"),
        (only_b(server_ca_fault="/ca.pem is not there"), "FAIL server CA: started from B: /ca.pem is not there"),
        (both(leftovers=(Leftover("/x", "a key", is_secret=True),)), "FAIL leftover: /x: a key"),
        (only_b(leftovers=(Leftover("/x", "a key", is_secret=True),)), "FAIL leftover: started from B: /x: a key"),
        (both(leftovers=(Leftover("/x", "a cert", is_secret=False),)), "warn leftover: /x: a cert"),
    ],
)
def test_each_fault_is_told_and_alone(image: DeviceImage, sentence: str) -> None:
    (only,) = said(image)
    assert only.startswith(sentence)


def test_a_key_in_a_token_cannot_be_looked_at_and_is_no_fault() -> None:
    assert level_of(audit_image(both(key=None, auth_key=None), POLICY)) is Level.OK


def test_a_key_that_cannot_be_read_is_told_once_when_it_is_named_twice() -> None:
    unread = replace(KEY, spki_sha256="")
    image = both(key=unread, key_fault="is encrypted", auth_key=unread, auth_key_fault="is encrypted")
    assert said(image) == [f"FAIL key: {KEY_PATH}: is encrypted"]


def test_images_with_one_key_or_certificate_are_told_with_each_other() -> None:
    other = replace(GOOD, name="b.img")
    own = replace(KEY, spki_sha256="k3")
    alone = replace(both(certificate=replace(CERTIFICATE, fingerprint="f3"), key=own, auth_key=own), name="c.img")
    found = duplicates([GOOD, other, alone])
    assert set(found) == {"a.img", "b.img"}
    told = sorted(f"{item.level} {item.name}: {item.seen}" for item in found["a.img"])
    assert told == ["FAIL certificate: is the same as in b.img", "FAIL key: is the same as in b.img"]
    many = [replace(GOOD, name=f"{n}.img") for n in range(9)]
    assert "is the same as in 1.img, 2.img, 3.img and 5 more" in duplicates(many)["0.img"][0].seen
    assert duplicates([both(key=None, auth_key=None, certificate=None)] * 2) == {}
    signing = replace(alone, roots=tuple(replace(root, auth_key=KEY) for root in alone.roots))
    assert set(duplicates([GOOD, signing])) == {"a.img", "c.img"}, "one signs with the key of the other"


def test_the_worst_finding_is_the_verdict() -> None:
    assert level_of(audit_image(key(uid=1), POLICY)) is Level.WARN
    assert level_of(audit_image(both(server_ca_fault="x"), POLICY)) is Level.FAIL
