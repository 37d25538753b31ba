"""What is said about CAs that people bring along."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509

from mtls_ambassador.model.finding import Level
from mtls_ambassador.pki.issue import KeyKind, make_ca, make_key, make_server
from mtls_ambassador.pki.profiles import AuthorityProfile, make_validity, root_certificate
from mtls_ambassador.pki.serial import new_serial
from mtls_ambassador.pki.weakness import weaknesses
from support.pki import run_seed_commands, validity
from support.pki_cli import openssl


def said(certificate: x509.Certificate, *chain: x509.Certificate) -> set[tuple[str, str]]:
    return {(item.level.value, item.name) for item in weaknesses(certificate, chain, dt.datetime.now(dt.UTC))}


def by_openssl(folder: Path, *args: str) -> x509.Certificate:
    path = folder / "ca.pem"
    openssl("req", "-x509", "-nodes", "-subj", "/CN=CA", "-keyout", folder / "ca.key", "-out", path, *args)
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_our_own_ca_has_no_weakness() -> None:
    key = make_key()
    own = root_certificate(
        AuthorityProfile((("CN", "CA"),)), key, new_serial(), make_validity(dt.datetime.now(dt.UTC), 7300)
    )
    assert said(own) == {("ok", "CA")}


def test_the_ca_of_mender_s_page_works_and_its_weaknesses_are_named(tmp_path: Path) -> None:
    run_seed_commands(tmp_path)
    ca = x509.load_pem_x509_certificate((tmp_path / "ca-cert.pem").read_bytes())
    assert said(ca) == {("warn", "version"), ("warn", "path length"), ("warn", "key identifier")}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("-newkey", "rsa:2048", "-days", "4000"), ("warn", "key")),
        (("-newkey", "rsa:1024", "-days", "4000"), ("FAIL", "key")),
        (("-newkey", "rsa:3072", "-sha1", "-days", "4000"), ("warn", "signature")),
        (("-newkey", "rsa:3072", "-days", "4000"), ("warn", "path length")),
        (("-newkey", "rsa:3072", "-days", "4000"), ("warn", "key usage")),
        (("-newkey", "rsa:3072", "-days", "30"), ("warn", "dates")),
        (("-newkey", "rsa:3072", "-days", "4000", "-addext", "keyUsage=keyCertSign"), ("warn", "key usage")),
        (("-newkey", "rsa:3072", "-days", "4000", "-addext", "keyUsage=cRLSign"), ("FAIL", "key usage")),
        (("-newkey", "rsa:3072", "-days", "4000", "-set_serial", f"0x{'7f' * 21}"), ("warn", "serial")),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else None,
)
def test_each_weakness_is_named(tmp_path: Path, args: tuple[str, ...], expected: tuple[str, str]) -> None:
    assert expected in said(by_openssl(tmp_path, *args))


def test_what_is_no_ca_or_over_cannot_be_used() -> None:
    ca = make_ca("CA", validity())
    assert ("FAIL", "CA") in said(make_server(ca, ["localhost"], validity()).certificate)
    expired = make_ca("CA", validity(from_days=-10, to_days=-1)).certificate
    assert ("FAIL", "dates") in said(expired)
    assert ("FAIL", "dates") in said(make_ca("CA", validity(from_days=1)).certificate)


def test_the_chain_must_lead_up_to_a_root() -> None:
    root = make_ca("Root", validity())
    below = make_ca("Issuing", validity(), issuer=root).certificate
    assert ("warn", "chain") in said(below)
    assert not {name for level, name in said(below, root.certificate) if name == "chain"}
    other = make_ca("Root", validity(), kind=KeyKind.ED25519).certificate
    assert ("FAIL", "chain") in said(below, other)


def test_a_finding_is_one_line() -> None:
    for item in weaknesses(make_ca("CA", validity()).certificate, (), dt.datetime.now(dt.UTC)):
        assert item.level in Level
        assert "\n" not in str(item)
