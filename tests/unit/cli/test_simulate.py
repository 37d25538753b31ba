"""What `simulate` says to wrong usage and wrong files: each names the thing, and the exit code says which it was."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from mtls_ambassador.cli import main
from mtls_ambassador.pki.issue import Pair, Validity, make_ca
from support.ports import free_port

NOW = dt.datetime.now(dt.UTC)
CA = make_ca("CA", Validity.days(NOW, 1))


def write(folder: Path, pair: Pair) -> tuple[str, str]:
    certificate, key = folder / "ca.pem", folder / "ca.key"
    certificate.write_bytes(pair.certificate_pem)
    key.write_bytes(pair.key_pem)
    return str(certificate), str(key)


def simulate(*options: str, url: str = "https://127.0.0.1:9", devices: str = "3") -> int:
    return main(["simulate", "--url", url, "--devices", devices, *options])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], "--ca"),
        (["--ca", "{ca}"], "--issuer-key"),
        (["--ca", "{ca}", "--cert", "{ca}"], "--cert and --key go together"),
        (["--ca", "{ca}", "--cert", "{ca}", "--key", "{key}", "--issuer-key", "{key}"], "take one of them"),
        (["--ca", "{ca}.gone", "--issuer-key", "{key}"], "ca.pem.gone"),
        (["--ca", "{ca}", "--issuer-key", "{key}", "--steps", "enrol,dance"], "dance: of enrol, inventory"),
        (["--ca", "{ca}", "--issuer-key", "{key}", "--steps", "poll"], "enrol must be among them"),
        (["--ca", "{ca}", "--issuer-key", "{key}", "--rounds", "0"], "--rounds"),
    ],
)
def test_wrong_usage_is_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], named: str
) -> None:
    ca, key = write(tmp_path, CA)
    assert simulate(*(word.format(ca=ca, key=key) for word in options)) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["127.0.0.1", "ftp://x", "https://", "https://x/path", "https://x:99999", "https://x:0"]
)
def test_a_wrong_url_is_exit_2(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert simulate(url=url) == 2
    assert url in capsys.readouterr().err


def test_a_key_of_another_certificate_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, key = write(tmp_path, CA)
    Path(key).write_bytes(make_ca("other", Validity.days(NOW, 1)).key_pem)
    assert simulate("--ca", ca, "--issuer-key", key) == 1
    assert f"{key}: is not the key of the certificate in {ca}" in capsys.readouterr().err


@pytest.mark.parametrize(("content", "seen"), [("rubbish", "it is not PEM"), ("{key}", "it holds PRIVATE KEY")])
def test_a_file_that_is_no_certificate_is_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, seen: str
) -> None:
    ca, key = write(tmp_path, CA)
    Path(ca).write_text(content.format(key=Path(key).read_text()))
    assert simulate("--ca", ca, "--issuer-key", key) == 1
    assert f"{ca}: no certificate in it ({seen})" in capsys.readouterr().err


def test_an_encrypted_issuer_key_wants_its_passphrase(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, key = write(tmp_path, CA)
    locked = CA.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    Path(key).write_bytes(locked)
    passphrase = tmp_path / "passphrase"
    given = ["--ca", ca, "--issuer-key", key, "--issuer-passphrase-file", str(passphrase)]
    for word, said in ((None, "is encrypted"), ("wrong", "cannot be read with that"), ("open sesame", "refused")):
        passphrase.write_text(f"{word}\n")
        assert simulate(*(given if word else given[:4]), url=f"https://127.0.0.1:{free_port()}") == 1
        assert said in (text := capsys.readouterr().err)
        assert "sesame" not in text


def test_nobody_listening_is_one_line_and_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, key = write(tmp_path, CA)
    url = f"https://127.0.0.1:{free_port()}"
    assert simulate("--ca", ca, "--issuer-key", key, url=url, devices="10000") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"mtls-ambassador: {url}: connection refused")
    assert error.count("\n") == 1
