"""The folder of the CAs: whole or not there, never overwritten, its keys readable by nobody else."""

import pickle
import stat
from pathlib import Path

import pytest
from cryptography import x509

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki import folder
from mtls_ambassador.pki.folder import NewAuthority, Secrets, add, choose, make_handle, open_authority, read_public
from mtls_ambassador.pki.issue import KeyKind, Pair, make_ca
from mtls_ambassador.pki.keys import is_encrypted
from support.pki import validity


def no_secret(what: object) -> str:
    raise AssertionError(f"asked for the secret of {what}")


def secrets(passphrase: bytes) -> Secrets:
    return Secrets(lambda _: passphrase, no_secret)


@pytest.fixture
def ca() -> Pair:
    return make_ca("CA", validity())


def test_a_ca_comes_back_as_it_was_put_in_its_key_encrypted(tmp_path: Path, ca: Pair) -> None:
    root = make_ca("Root", validity())
    add(tmp_path, NewAuthority("issuing", ca.certificate, (root.certificate,), ca.key, b"secret"))
    key = tmp_path / "issuing" / folder.KEY
    assert is_encrypted(key.read_bytes())
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    opened = open_authority(tmp_path, None, secrets(b"secret"))
    assert (opened.name, opened.certificate, opened.chain) == ("issuing", ca.certificate, (root.certificate,))
    assert opened.key.public_key() == ca.key.public_key()
    trust = x509.load_pem_x509_certificates((tmp_path / folder.TRUST).read_bytes())
    assert trust == [ca.certificate, root.certificate]


def test_a_wrong_passphrase_is_told_and_not_repeated(tmp_path: Path, ca: Pair) -> None:
    add(tmp_path, NewAuthority("ca", ca.certificate, (), ca.key, b"secret"))
    with pytest.raises(AmbassadorError, match="wrong passphrase") as error:
        open_authority(tmp_path, None, secrets(b"guess"))
    assert "guess" not in str(error.value)
    with pytest.raises(AmbassadorError, match="encrypted and no passphrase"):
        folder.AuthorityHandle(tmp_path / "ca").open()


def test_an_unencrypted_key_needs_no_secret(tmp_path: Path, ca: Pair) -> None:
    add(tmp_path, NewAuthority("ca", ca.certificate, (), ca.key))
    open_authority(tmp_path, "ca", Secrets(no_secret, no_secret))  # type: ignore[arg-type]  # never called


def test_another_process_opens_the_ca_by_its_handle_which_shows_no_secret(tmp_path: Path, ca: Pair) -> None:
    add(tmp_path, NewAuthority("ca", ca.certificate, (), ca.key, b"secret"))
    handle = make_handle(tmp_path, None, secrets(b"secret"))
    assert "secret" not in repr(handle)
    assert pickle.loads(pickle.dumps(handle)).open().certificate == ca.certificate  # noqa: S301 - our own bytes


def test_nothing_is_overwritten_and_nothing_half_made_is_left(tmp_path: Path, ca: Pair) -> None:
    add(tmp_path, NewAuthority("ca", ca.certificate, (), ca.key))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = make_ca("Other", validity())
    with pytest.raises(AmbassadorError, match="never overwritten"):
        add(tmp_path, NewAuthority("ca", other.certificate, (), other.key))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["ca", "trust.pem"]
    with pytest.raises(UsageError, match="letters, digits"):
        add(tmp_path, NewAuthority("../ca", other.certificate))


def test_the_issuing_ca_is_chosen_then_the_only_one_else_one_is_asked_for(tmp_path: Path, ca: Pair) -> None:
    with pytest.raises(AmbassadorError, match="pki init"):
        choose(tmp_path, None)
    add(tmp_path, NewAuthority("b", ca.certificate))
    assert choose(tmp_path, None).name == "b"
    add(tmp_path, NewAuthority("a", ca.certificate))
    with pytest.raises(UsageError, match="--ca: a, b"):
        choose(tmp_path, None)
    with pytest.raises(UsageError, match="it has a, b"):
        choose(tmp_path, "c")
    add(tmp_path, NewAuthority("issuing", ca.certificate))
    assert choose(tmp_path, None).name == "issuing"
    assert choose(tmp_path, "a").name == "a"


def test_a_key_put_away_or_of_another_ca_is_told(tmp_path: Path, ca: Pair) -> None:
    add(tmp_path, NewAuthority("away", ca.certificate))
    assert read_public(tmp_path / "away").key_place == "elsewhere"
    with pytest.raises(AmbassadorError, match="is not here"):
        open_authority(tmp_path, "away", secrets(b""))
    add(tmp_path, NewAuthority("mixed", ca.certificate, (), make_ca("CA", validity(), kind=KeyKind.ED25519).key))
    with pytest.raises(AmbassadorError, match="is not that of"):
        open_authority(tmp_path, "mixed", secrets(b""))


@pytest.mark.parametrize("name", [folder.CERTIFICATE, folder.KEY])
def test_a_damaged_file_is_named(tmp_path: Path, ca: Pair, name: str) -> None:
    add(tmp_path, NewAuthority("ca", ca.certificate, (), ca.key))
    (tmp_path / "ca" / name).write_text("nonsense")
    with pytest.raises(AmbassadorError, match=name):
        open_authority(tmp_path, "ca", secrets(b""))
