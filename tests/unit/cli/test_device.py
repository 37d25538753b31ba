"""`device approve`: what it lets through, and that whatever it refuses leaves the rightful holder in place."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.cli import main
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.pki.issue import make_ca, make_device
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import audit, devices
from mtls_ambassador.store.database import open_database
from support.pki import Files, Pki, run_seed_commands, validity

NOW = dt.datetime.now(dt.UTC)
MAC = '{"mac":"52:54:00:12:34:56"}'


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway's records, in which `holder` speaks for MAC, and its CA."""

    pki: Pki
    state: Path
    holder: Path

    @property
    def store(self) -> StoreSettings:
        return StoreSettings(self.state, None, self.state / "pki")

    def holders(self) -> list[str]:
        """Subjects of the certificates that speak for MAC."""
        asking = device_certificate(self.pki.device("asking").certificate.read_bytes())
        with open_database(self.store) as database, database.transaction() as connection:
            return [pin.subject for pin in devices.read_pins(connection, Identity.parse(MAC), asking).holders]

    def approvals(self) -> list[str]:
        """The audit's rows about approvals."""
        with open_database(self.store) as database, database.transaction() as connection:
            entries = [entry for entry in audit.read_all(connection) if entry.event == "approve-move"]
        return [f"{entry.identity} {entry.certificate_subject} {entry.detail}" for entry in entries]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The environment has what `device approve` needs, and nothing of what the gateway alone does."""
    pki = Pki(tmp_path)
    made = Site(pki, tmp_path / "state", pki.device("holder").certificate)
    with open_database(made.store) as database, database.transaction() as connection:
        devices.move(connection, Identity.parse(MAC), device_certificate(made.holder.read_bytes()), NOW)
    monkeypatch.setenv("MTLS_STATE_DIR", str(made.state))
    monkeypatch.setenv("MTLS_TENANT_CA_PEM", str(pki.ca_file))
    return made


def approve(certificate: Path, identity: str = MAC) -> int:
    return main(["device", "approve", identity, str(certificate), "--by", "me"])


def test_needs_only_the_store_the_ca_and_the_binding(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert approve(site.pki.device("board").certificate) == 0
    said = capsys.readouterr()
    assert "approved: CN=board" in said.out
    assert "no longer: CN=holder" in said.out
    assert said.err == ""
    assert site.holders() == ["CN=board"]
    assert site.approvals() == [f"{MAC} CN=board by me"]


def test_the_ca_may_come_from_the_settings_file(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MTLS_TENANT_CA_PEM")
    config = tmp_path / "gateway.conf"
    board = site.pki.device("board").certificate
    config.write_text('{"HTTPS": {"Listen": "nonsense"}, "Features": {"mTLS": {"CACertificate": "/nowhere/ca.pem"}}}')
    assert main(["device", "approve", MAC, str(board), "--config", str(config)]) == 1
    said = capsys.readouterr().err
    assert "/nowhere/ca.pem does not exist" in said
    assert "nonsense" not in said
    config.write_text(f'{{"Features": {{"mTLS": {{"CACertificate": "{site.pki.ca_file}"}}}}}}')
    assert main(["device", "approve", MAC, str(board), "--config", str(config)]) == 0


def test_faults_of_what_it_needs_are_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MTLS_IDENTITY_BINDING", "sometimes")
    monkeypatch.setenv("MTLS_TENANT_CA_PEM", str(site.state / "gone.pem"))
    assert approve(site.pki.device("board").certificate) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "gone.pem does not exist" in said[0]
    assert "MTLS_IDENTITY_BINDING='sometimes': must be first-use" in said[1]


def nonsense(pki: Pki, kind: str) -> Path:
    other = make_ca("Test CA", validity())
    made = {
        "ca": lambda: pki.ca_file,
        "intermediate": lambda: Files.write(pki.folder, "s", make_ca("S", validity(), issuer=pki.ca)).certificate,
        "stranger": lambda: pki.stranger().certificate,
        "stranger-with-chain": lambda: pki.device("stranger", ca=other, chain=(other,)).certificate,
        "expired": lambda: pki.device("old", dates=validity(-30, -1)).certificate,
        "server": lambda: pki.server.certificate,
        "key": lambda: pki.server.key,
    }
    return made[kind]()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("ca", "is a CA's certificate, not a device's"),
        ("intermediate", "is a CA's certificate, not a device's"),
        ("stranger", "was issued by CN=Test CA, no CA of the gateway's trust (MTLS_TENANT_CA_PEM)"),
        ("stranger-with-chain", "no CA of the gateway's trust"),
        ("expired", "expired on "),
        ("server", "is not for TLS clients"),
        ("key", "PRIVATE KEY and no certificate"),
    ],
)
def test_nonsense_leaves_the_rightful_holder(
    site: Site, capsys: pytest.CaptureFixture[str], kind: str, said: str
) -> None:
    file = nonsense(site.pki, kind)
    assert approve(file) == 1
    err = capsys.readouterr().err
    assert f"CERTIFICATE: {file} " in err
    assert said in err
    assert site.holders() == ["CN=holder"]
    assert site.approvals() == []


def test_the_intermediate_may_follow_in_the_file(site: Site) -> None:
    sub = make_ca("Sub CA", validity(), issuer=site.pki.ca)
    low = make_ca("Low CA", validity(), issuer=sub)
    assert approve(site.pki.device("board", ca=low).certificate) == 1
    assert approve(site.pki.device("board", ca=low, chain=(low,)).certificate) == 1
    assert approve(site.pki.device("board", ca=low, chain=(low, sub)).certificate) == 0
    assert site.holders() == ["CN=board"]


def test_a_device_certificate_vouches_for_no_other(site: Site) -> None:
    issuing = make_device(site.pki.ca, "issuing", validity())
    forged = site.pki.device("forged", ca=issuing, chain=(issuing,)).certificate
    assert approve(forged) == 1
    assert site.holders() == ["CN=holder"]


def test_certificates_of_the_seed_are_taken(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = tmp_path / "seed"
    seed.mkdir()
    run_seed_commands(seed)
    monkeypatch.setenv("MTLS_TENANT_CA_PEM", str(seed / "ca-cert.pem"))
    assert approve(seed / "ca-cert.pem") == 1
    assert site.holders() == ["CN=holder"]
    assert approve(seed / "device-cert.pem") == 0
    assert "my-device-hostname.com" in site.holders()[0]


def test_no_records_are_made_where_there_are_none(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = site.pki.device("board").certificate
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path / "sate"))
    assert approve(board) == 1
    assert f"MTLS_STATE_DIR: there are no records of a gateway at {tmp_path}/sate/" in capsys.readouterr().err
    assert not (tmp_path / "sate").exists()
    monkeypatch.setenv("MTLS_DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert approve(board) == 1
    assert "MTLS_DATABASE_URL: there are no records" in capsys.readouterr().err
    assert not (tmp_path / "other.db").exists()


def test_a_database_of_another_program_is_told(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.db"
    other.write_text("no database, but something")
    monkeypatch.setenv("MTLS_DATABASE_URL", f"sqlite:///{other}")
    assert approve(site.pki.device("board").certificate) == 1
    assert "other.db" in capsys.readouterr().err
    assert other.read_text() == "no database, but something"


def test_a_mistyped_variable_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MTLS_STATEDIR", "/somewhere")
    assert approve(site.pki.device("board").certificate) == 0
    assert "did you mean MTLS_STATE_DIR?" in capsys.readouterr().err


@pytest.mark.parametrize("binding", ["off", "mac={cn}"])
def test_what_has_no_effect_is_not_done(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], binding: str
) -> None:
    monkeypatch.setenv("MTLS_IDENTITY_BINDING", binding)
    assert approve(site.pki.device("board").certificate) == 1
    assert f"has no effect with MTLS_IDENTITY_BINDING={binding}" in capsys.readouterr().err
    assert site.holders() == ["CN=holder"]


def test_a_certificate_that_fits_the_template_may_get_its_key_free(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MTLS_IDENTITY_BINDING", "mac={cn}")
    assert approve(site.holder, '{"mac":"holder"}') == 0
    assert "has no effect, except on a key that enrolled another identity" in capsys.readouterr().err
    assert site.holders() == []


def test_an_identity_never_seen_is_told_and_approved(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    board = site.pki.device("board").certificate
    assert approve(board, '{"mac":"new"}') == 0
    said = capsys.readouterr()
    assert "approved: CN=board" in said.out
    assert "warning: the gateway has never seen this identity" in said.err


def test_a_certificate_of_tomorrow_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert approve(site.pki.device("board", dates=validity(1, 30)).certificate) == 0
    assert "warning: the certificate is not valid before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "is no PEM certificate"),
        (b"", "is no PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is damaged"),
    ],
)
def test_a_file_without_certificate_is_told_in_plain_words(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    file = tmp_path / "what.pem"
    file.write_bytes(content)
    assert approve(file) == 1
    err = capsys.readouterr().err
    assert f"CERTIFICATE: {file} " in err
    assert said in err
    assert "cryptography" not in err
    assert site.holders() == ["CN=holder"]


def test_der_is_told_with_the_command_that_helps(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "board.der"
    pem = x509.load_pem_x509_certificate(site.holder.read_bytes())
    file.write_bytes(pem.public_bytes(Encoding.DER))
    assert approve(file) == 1
    assert "openssl x509 -inform DER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("{mac:52:54:00:12:34:56}", "{mac:52:54:00:12:34:56} is not JSON; a shell takes double quotes away"),
        ("\x1b[2Jmac", "?[2Jmac is not JSON"),
        ('"mac"', "not a JSON object"),
    ],
)
def test_an_identity_that_is_none_is_wrong_usage(
    site: Site, capsys: pytest.CaptureFixture[str], identity: str, said: str
) -> None:
    assert approve(site.holder, identity) == 2
    err = capsys.readouterr().err
    assert said in err
    assert MAC in err
