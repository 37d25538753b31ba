"""An image before shipping: facts in, findings out; what could not be read is a fault."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from mtls_ambassador.decide.audit_image import Policy, audit_image, duplicates, level_of
from mtls_ambassador.model.device_image import (
    CertificateFacts,
    ClientConf,
    ConfFile,
    DeviceImage,
    KeyFacts,
    Leftover,
)
from mtls_ambassador.model.finding import Level

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
YEAR = dt.timedelta(days=365)
KEY_PATH = "/data/mender/mender-cert-private.pem"
CONF = ClientConf(("https://gw",), certificate="/c.pem", key=KEY_PATH, auth_key=KEY_PATH, server_ca="/ca.pem")
CERTIFICATE = CertificateFacts("/c.pem", "f1", "k1", "CN=dev-1", NOW - YEAR, NOW + 9 * YEAR, True)  # noqa: FBT003 - a row
KEY = KeyFacts(KEY_PATH, "k1", 0o600, 0, True)  # noqa: FBT003 - a table's row
GOOD = DeviceImage("a.img", (ConfFile("A", CONF), ConfFile("B", CONF)), CERTIFICATE, key=KEY)
POLICY = Policy(NOW, dt.timedelta(days=90))


def said(image: DeviceImage) -> list[str]:
    return [f"{item.level} {item.name}: {item.seen}" for item in audit_image(image, POLICY)]


def key(**changes: Any) -> DeviceImage:  # noqa: ANN401 - fields of any type
    return replace(GOOD, key=replace(KEY, **changes))


def certificate(**changes: Any) -> DeviceImage:  # noqa: ANN401 - see above
    return replace(GOOD, certificate=replace(CERTIFICATE, **changes))


def test_a_good_one_is_said_to_be_good() -> None:
    findings = audit_image(GOOD, POLICY)
    assert [item.level for item in findings] == [Level.OK]
    assert level_of(findings) is Level.OK


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (DeviceImage("a", fault="is no image"), "FAIL image: is no image"),
        (replace(GOOD, confs=()), "FAIL mender.conf: no root file system can be read"),
        (replace(GOOD, confs=(ConfFile("A", None, "it is not there"),)), "FAIL mender.conf: A: it is not there"),
        (
            replace(GOOD, confs=(ConfFile("A", CONF), ConfFile("B", replace(CONF, servers=("https://gw2",))))),
            "warn mender.conf: differs between root file system A and B",
        ),
        (replace(GOOD, certificate=None, certificate_fault="/c.pem is not there"), "FAIL certificate: /c.pem is not"),
        (certificate(is_of_our_ca=False), "FAIL certificate: /c.pem: CN=dev-1 was not signed by our CA"),
        (certificate(not_after=NOW), "FAIL certificate: expired on 2026-06-01"),
        (certificate(not_after=NOW + dt.timedelta(days=90)), "warn certificate: ends on 2026-08-30"),
        (certificate(not_before=NOW + YEAR), "warn certificate: is valid only from 2027-06-01 on"),
        (replace(GOOD, key=None, key_fault="is not there"), "FAIL key: is not there"),
        (replace(key(spki_sha256=""), key_fault="is encrypted"), f"FAIL key: {KEY_PATH}: is encrypted"),
        (key(spki_sha256="k2"), f"FAIL key: {KEY_PATH}: is not the key of /c.pem"),
        (key(mode=0o130), f"FAIL key: {KEY_PATH}: mode 0130, as `mender-artifact install -m 600` leaves it"),
        (key(mode=0o640), f"FAIL key: {KEY_PATH}: mode 0640: others may use it"),
        (key(mode=0o602), f"FAIL key: {KEY_PATH}: mode 0602: others may use it"),
        (key(mode=0o200), f"FAIL key: {KEY_PATH}: mode 0200: its owner may not read it"),
        (key(uid=1000), f"warn key: {KEY_PATH}: belongs to user 1000"),
        (key(has_mode=False), f"FAIL key: {KEY_PATH}: is on FAT"),
        (replace(GOOD, server_ca_fault="/ca.pem is not there"), "FAIL server CA: /ca.pem is not there"),
        (replace(GOOD, leftovers=(Leftover("/x", "a key", is_secret=True),)), "FAIL leftover: /x: a key"),
        (replace(GOOD, leftovers=(Leftover("/x", "a cert", is_secret=False),)), "warn leftover: /x: a cert"),
    ],
)
def test_each_fault_is_told_and_alone(image: DeviceImage, sentence: str) -> None:
    (only,) = said(image)
    assert only.startswith(sentence)


def test_what_a_and_b_both_say_is_told_once() -> None:
    bad = replace(CONF, is_unverified=True)
    assert len(said(replace(GOOD, confs=(ConfFile("A", bad), ConfFile("B", bad))))) == 1


def test_a_key_in_a_token_cannot_be_looked_at_and_is_no_fault() -> None:
    assert level_of(audit_image(replace(GOOD, key=None), POLICY)) is Level.OK


def test_images_with_one_key_or_certificate_are_told_with_each_other() -> None:
    other = replace(GOOD, name="b.img")
    alone = replace(
        GOOD, name="c.img", certificate=replace(CERTIFICATE, fingerprint="f3"), key=replace(KEY, spki_sha256="k3")
    )
    found = duplicates([GOOD, other, alone])
    assert set(found) == {"a.img", "b.img"}
    told = sorted(f"{item.level} {item.name}: {item.seen}" for item in found["a.img"])
    assert told == ["FAIL certificate: is the same as in b.img", "FAIL key: is the same as in b.img"]
    many = [replace(GOOD, name=f"{n}.img") for n in range(9)]
    assert "is the same as in 1.img, 2.img, 3.img and 5 more" in duplicates(many)["0.img"][0].seen
    assert duplicates([replace(GOOD, key=None, certificate=None)] * 2) == {}


def test_the_worst_finding_is_the_verdict() -> None:
    assert level_of(audit_image(key(uid=1), POLICY)) is Level.WARN
    assert level_of(audit_image(replace(key(uid=1), server_ca_fault="x"), POLICY)) is Level.FAIL
