"""Certificates of a batch: in every byte but the signature what the builder makes for one device."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509

from mtls_ambassador.flows.batch_maker import DeviceMaker, Recipe
from mtls_ambassador.flows.batch_outlet import NewFolders
from mtls_ambassador.flows.batch_workers import Task
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.folder import AuthorityHandle
from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca
from mtls_ambassador.pki.profiles import DeviceProfile, device_certificate

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
VALIDITY = Validity.days(NOW, 9999)
PROFILES = [
    DeviceProfile(),
    DeviceProfile(san_uri=""),
    DeviceProfile(subject=(("C", "NO"), ("O", "Møre & Sønn, AS"), ("CN", "{name}"), ("OU", "a-{name}"))),
]
TASKS = [
    Task("dev-1", 1, ()),
    Task("52:54:00:12:34:56", 2**126 + 1, (("serialNumber", "SN 7"), ("O", "Other"))),
    Task("x" * 60, 255, (("emailAddress", "me@example.com"), ("L", "Ålesund"))),
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", list(KeyKind))
def test_equals_the_builder(profile: DeviceProfile, kind: KeyKind, tmp_path: Path) -> None:
    check(make_ca("CA", VALIDITY), profile, kind, tmp_path)


@pytest.mark.parametrize("kind", [KeyKind.P384, KeyKind.RSA, KeyKind.ED25519])
def test_every_kind_of_ca_signs(kind: KeyKind, tmp_path: Path) -> None:
    check(make_ca("CA", VALIDITY, kind=kind), PROFILES[0], KeyKind.P256, tmp_path)


def check(ca: Pair, profile: DeviceProfile, kind: KeyKind, folder: Path) -> None:
    authority = Authority("root", ca.certificate, (), ca.key)
    validity = profile.validity(NOW)
    recipe = Recipe(AuthorityHandle(folder), profile, validity, kind, NewFolders(folder, None))
    for task, made in zip(TASKS, DeviceMaker(recipe, authority).make(TASKS), strict=True):
        own = x509.load_der_x509_certificate(made.der)
        own.verify_directly_issued_by(ca.certificate)
        public = own.public_key()
        built = device_certificate(authority, profile, task.name, task.subject, public, task.serial, validity)  # type: ignore[arg-type]  # made here
        assert own.tbs_certificate_bytes == built.tbs_certificate_bytes
        assert made.subject == built.subject.rfc4514_string()
