"""The commands that issue one certificate, called in this process: what they take, refuse and print."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mtls_ambassador.cli import main
from mtls_ambassador.cli.pki import COMMANDS
from mtls_ambassador.pki.authority import spki_sha256
from support.pki import run_seed_commands
from support.pki_cli import openssl

Call = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the state in it."""
    for name in [name for name in os.environ if name.startswith("MTLS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def call(place: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a pki command that must end with `code`; returns what it says on both streams."""
    del place

    def run(*args: str | Path, code: int = 0) -> str:
        ended = main(["pki", *map(str, args)])
        said = "".join(capfd.readouterr())
        assert ended == code, said
        return said

    return run


@pytest.fixture
def factory(call: Call) -> Call:
    """As `call`, with a CA."""
    call("init", "--single", "--no-passphrase")
    return call


def request(folder: Path, *args: str, name: str = "dev-2") -> Path:
    path = folder / "device.req"
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "k",
            "-subj", f"/CN={name}/O=Theirs", "-out", path, *args)  # fmt: skip
    return path


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def parsed(text: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(call: Call, name: str) -> None:
    said = call(name, "--help")
    assert "Usage: mtls-ambassador pki" in said
    assert f"mtls-ambassador pki {name}" in said


@pytest.mark.parametrize(
    ("args", "seen"),
    [
        (("device", "../x"), "ASCII letters"),
        (("device", "d", "--days", "3", "--no-expiry"), "exclude each other"),
        (("device", "d", "--mender-conf", "x"), "belong together"),
        (("device", "d", "--subject", "nonsense"), "FIELD=VALUE"),
        (("device", "d", "--ca", "none"), "has no such CA; it has root"),
        (("server", "s"), "--dns NAME or --ip"),
        (("server", "s", "--ip", "nonsense"), "--ip:"),
        (("server", "s", "--dns", "blåbær.example"), "xn--"),
        (("init", "--single", "--below", "root"), "--single makes one CA"),
        (("init", "--no-expiry", "--issuing-days", "3"), "exclude each other"),
        (("init", "--offline-root", "x", "--root-key-uri", "pkcs11:token=t;object=o?module-path=/m"), "in one place"),
        (("import", "--cert", "x"), "one of them"),
        (("renew", "nobody", "--out", "x"), "no name of a certificate made here"),
    ],
)
def test_wrong_usage_is_told_and_ends_with_2(factory: Call, place: Path, args: tuple[str, ...], seen: str) -> None:
    before = sorted(place.rglob("*"))
    assert seen in factory(*args, code=2)
    assert sorted(place.rglob("*")) == before


def test_without_a_ca_the_way_to_one_is_told(call: Call) -> None:
    for args in (("show",), ("device", "d")):
        assert "pki init" in call(*args, code=1)


def test_a_device_that_may_not_be_leaves_no_file_and_a_void_serial(factory: Call, place: Path) -> None:
    assert "would outlive its CA" in factory("device", "d", "--days", "9999", code=1)
    assert "breaks RFC 5280" in factory("device", "d", "--subject", "CN={name},emailAddress=nobody", code=1)
    assert not (place / "d").exists()
    assert {parsed(line)["status"] for line in factory("list", "--json", "--name", "d").splitlines()} == {"void"}
    factory("device", "d")


def test_files_that_are_there_stay(factory: Call, place: Path) -> None:
    for name in ("mender-cert.pem", "mender-cert-private.pem"):
        (place / "d").mkdir(exist_ok=True)
        (place / "d" / name).write_text("mine")
        said = factory("device", "d", code=1)
        assert "never overwritten" in said or "no readable private key" in said
        assert (place / "d" / name).read_text() == "mine"
        (place / "d" / name).unlink()


def test_a_name_in_use_gets_a_second_certificate_only_when_asked(factory: Call, place: Path) -> None:
    factory("device", "d")
    assert "has a certificate already" in factory("device", "d", "--out", "e", code=1)
    factory("device", "d", "--out", "e", "--again")
    assert certificate(place / "d" / "mender-cert.pem") != certificate(place / "e" / "mender-cert.pem")
    factory("revoke", "--name", "d", "--reason", "superseded", "--yes")
    factory("device", "d", "--out", "f")
    factory("batch", "--count", "1", "--name", "lot-{n}", "--out", "lot")
    assert "has a certificate already" in factory("device", "lot-1", code=1)


def test_mender_conf_is_merged(factory: Call, place: Path) -> None:
    (place / "mender.conf").write_text('{"TenantToken": "T"}')
    arguments = ("device", "d", "--mender-conf", "mender.conf", "--server-url", "https://gateway.example")
    for _ in range(2):
        factory(*arguments, "--device-dir", "/data/keys/")
    made = json.loads((place / "d" / "mender.conf").read_text())
    assert made["TenantToken"] == "T"
    assert made["HttpsClient"]["Key"] == "/data/keys/mender-cert-private.pem"
    (place / "d" / "mender.conf").write_text("{}")
    assert "with other contents" in factory(*arguments, code=1)
    (place / "mender.conf").write_text("{,}")
    assert "line 1" in factory("device", "e", *arguments[2:], code=1)
    assert not (place / "e").exists()


def test_of_a_request_the_key_is_taken_and_the_subject_only_when_asked(factory: Call, place: Path) -> None:
    path = request(place, "-addext", "subjectAltName=DNS:evil.example", "-addext", "basicConstraints=CA:TRUE")
    facts = parsed(factory("sign", path, "--json"))
    assert (facts["subject"], facts["alternative_names"]) == ("CN=dev-2", ["urn:x-mender-device:dev-2"])
    made = certificate(place / "device.pem")
    assert made.public_key() == x509.load_pem_x509_csr(path.read_bytes()).public_key()
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    theirs = parsed(factory("sign", path, "--csr-subject", "--again", "--out", "b.pem", "--json"))
    assert theirs["subject"] == "O=Theirs,CN=dev-2"
    named = parsed(factory("sign", path, "--name", "n", "--subject", "CN={name},O=Ours", "--out", "c.pem", "--json"))
    assert named["subject"] == "O=Ours,CN=n"


def test_the_same_request_again_gives_the_same_certificate(factory: Call, place: Path) -> None:
    path = request(place)
    factory("sign", path)
    factory("sign", path, "--out", "copy.pem")
    assert certificate(place / "device.pem") == certificate(place / "copy.pem")


def test_a_forged_request_is_refused_and_nothing_recorded(factory: Call, place: Path) -> None:
    path = request(place, "-outform", "DER")
    path.write_bytes(path.read_bytes().replace(b"dev-2", b"dev-3"))
    assert "forged" in factory("sign", path, code=1)
    assert factory("list", "--name", "dev-*").count("dev-") == 0


def test_names_of_a_server_are_said_by_us_and_not_by_the_request(factory: Call, place: Path) -> None:
    path = request(place, "-addext", "subjectAltName=DNS:a.example", name="a.example")
    assert "the request asks for --dns a.example" in factory("sign", path, "--server", code=2)
    facts = parsed(factory("sign", path, "--server", "--dns", "b.example", "--ip", "::1", "--json"))
    assert facts["alternative_names"] == ["b.example", "::1"]


def test_the_next_certificate_has_the_same_key_or_a_new_one(factory: Call, place: Path) -> None:
    factory("device", "d", "--subject", "CN={name},O=My Organization")
    old = certificate(place / "d" / "mender-cert.pem")
    factory("renew", "d", "--out", "next.pem", "--days", "100")
    new = certificate(place / "next.pem")
    assert (new.subject, new.public_key()) == (old.subject, old.public_key())
    assert new.serial_number != old.serial_number
    factory("renew", "next.pem", "--out", "other.pem", "--new-key", "other.key")
    other = certificate(place / "other.pem")
    assert other.subject == old.subject
    openssl("x509", "-in", place / "other.pem", "-noout", "-checkend", "0")
    assert spki_sha256(other.public_key()) != spki_sha256(old.public_key())


def test_what_was_revoked_or_is_another_ca_s_is_not_renewed(factory: Call, place: Path) -> None:
    factory("device", "d")
    factory("revoke", "--name", "d", "--reason", "superseded", "--yes")
    assert "is revoked" in factory("renew", "d", "--out", "next.pem", code=1)
    run_seed_commands(place)
    assert "was not issued by the CA root" in factory("renew", "device-cert.pem", "--out", "next.pem", code=1)
    factory("import", "--cert", "ca-cert.pem", "--key", "ca-private.key", "--no-passphrase")
    factory("device", "e", "--ca", "imported")
    assert "give --ca" in factory("renew", "e", "--ca", "root", "--out", "next.pem", code=2)
    factory("renew", "device-cert.pem", "--ca", "imported", "--out", "next.pem")
    serial = f"{certificate(place / 'device-cert.pem').serial_number:X}"
    factory("revoke", serial, "--ca", "imported", "--reason", "superseded", "--unknown", "--yes")
    renew = ("renew", "device-cert.pem", "--ca", "imported", "--out", "third.pem")
    assert "is revoked" in factory(*renew, code=1)


def test_a_certificate_is_shown_by_whatever_names_it(factory: Call, place: Path) -> None:
    factory("device", "d")
    path = place / "d" / "mender-cert.pem"
    made = certificate(path)
    digest = made.fingerprint(hashes.SHA256()).hex()
    for what in ("d", f"{made.serial_number:X}", digest, spki_sha256(made.public_key()).hex(), str(path)):
        (facts,) = parsed(factory("show", what, "--json"))
        assert (facts["name"], facts["certificate_sha256"], facts["status"]) == ("d", digest, "done")
    assert "subject:            CN=d\n" in factory("show", "d")
    assert "no name, serial or SHA-256" in factory("show", "nobody", code=1)
    (root,) = parsed(factory("show", "--json"))
    assert (root["ca"], root["key_place"]) == ("root", str(place / "state" / "pki" / "root" / "ca-private.key"))


def test_a_ca_is_not_taken_with_another_one_s_key(factory: Call, place: Path) -> None:
    run_seed_commands(place)
    arguments = ("import", "--cert", "ca-cert.pem", "--no-passphrase", "--key")
    assert "is not that of the certificate" in factory(*arguments, "device-private.key", code=1)
    assert "no readable private key" in factory(*arguments, "ca-cert.conf", code=1)
    leaf = ("import", "--cert", "device.pem", "--key", "k", "--no-passphrase")
    factory("sign", request(place))
    assert "cannot be used: CA" in factory(*leaf, code=1)
    assert not (place / "state" / "pki" / "imported").exists()


def test_a_passphrase_is_asked_for_at_a_terminal_twice(place: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mtls_ambassador", "pki", "init", "--single"]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    for _ in range(2):
        while not said.endswith(b": "):
            said += os.read(ours, 1024)
        os.write(ours, b"correct horse\n")
        said += os.read(ours, 1)
    process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert b"correct horse" not in said
    openssl(
        "pkey", "-in", place / "state" / "pki" / "root" / "ca-private.key", "-passin", "pass:correct horse", "-noout"
    )
