"""Keys in a token sign as keys in files do, and give nothing else away."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.issue import KeyKind
from mtls_ambassador.pki.token import TokenEcKey, TokenRsaKey, open_key, open_or_make_key

MODULE = next(
    path for path in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so") if Path(path).exists()
)
PIN = "648219"
DATA = b"to be signed"
HASHES = [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]


def uri(name: str, label: str = "unit") -> str:
    return f"pkcs11:token={label};object={name}?module-path={MODULE}"


@pytest.fixture(scope="module", autouse=True)
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One for the module: SoftHSM reads its settings once in a process."""
    folder = tmp_path_factory.mktemp("token")
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(config)
    command = ["softhsm2-util", "--init-token", "--free", "--label", "unit", "--so-pin", "1234", "--pin", PIN]
    subprocess.run(command, check=True, capture_output=True)
    yield
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.P521])
def test_ec_keys_sign_data_and_hashes(kind: KeyKind) -> None:
    key, is_new = open_or_make_key(uri(kind), PIN, kind)
    assert isinstance(key, TokenEcKey)
    assert is_new
    assert not open_or_make_key(uri(kind), PIN, kind)[1]
    for algorithm in HASHES:
        signature = key.sign(DATA, ec.ECDSA(algorithm))
        key.public_key().verify(signature, DATA, ec.ECDSA(algorithm))
        digest = hashes.Hash(algorithm)
        digest.update(DATA)
        key.public_key().verify(key.sign(digest.finalize(), ec.ECDSA(Prehashed(algorithm))), DATA, ec.ECDSA(algorithm))
    assert f"{key.curve.name[4:7]}" == kind[1:]
    assert key.key_size == int(kind[1:])


def test_rsa_keys_sign_data_and_hashes_by_pkcs_1_v1_5() -> None:
    key, _ = open_or_make_key(uri("rsa"), PIN, KeyKind.RSA)
    assert isinstance(key, TokenRsaKey)
    assert key.key_size == 3072
    for algorithm in HASHES:
        key.public_key().verify(key.sign(DATA, padding.PKCS1v15(), algorithm), DATA, padding.PKCS1v15(), algorithm)
        digest = hashes.Hash(algorithm)
        digest.update(DATA)
        signature = key.sign(digest.finalize(), padding.PKCS1v15(), Prehashed(algorithm))
        key.public_key().verify(signature, DATA, padding.PKCS1v15(), algorithm)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    with pytest.raises(TypeError, match="keys in tokens sign"):
        key.sign(DATA, pss, hashes.SHA256())
    with pytest.raises(TypeError, match="nothing else"):
        key.decrypt(b"", padding.PKCS1v15())


def test_a_key_gives_nothing_but_signatures() -> None:
    key, _ = open_or_make_key(uri("kept"), PIN, KeyKind.P256)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    with pytest.raises(TypeError, match="stays in its token"):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(TypeError, match="stays in its token"):
        key.private_numbers()
    with pytest.raises(TypeError, match="nothing else"):
        key.exchange(ec.ECDH(), key.public_key())


def test_what_cannot_be_opened_or_made_is_told() -> None:
    with pytest.raises(AmbassadorError, match="no such private key"):
        open_key(uri("nobody"), PIN)
    with pytest.raises(AmbassadorError, match="no such token"):
        open_key(uri("x", label="lost"), PIN)
    with pytest.raises(AmbassadorError, match=r"cannot open shared object"):
        open_key("pkcs11:token=t;object=o?module-path=/none.so", PIN)
    with pytest.raises(UsageError, match="ed25519 keys are not made in tokens"):
        open_or_make_key(uri("ed"), PIN, KeyKind.ED25519)
    with pytest.raises(UsageError, match="must say object="):
        open_or_make_key(f"pkcs11:token=unit;id=%01?module-path={MODULE}", PIN, KeyKind.P256)


def test_two_keys_of_one_name_must_be_told_apart_by_id() -> None:
    for number in ("%01", "%02"):
        named = f"pkcs11:token=unit;object=twin;id={number}?module-path={MODULE}"
        assert open_or_make_key(named, PIN, KeyKind.P256)[1]
    with pytest.raises(AmbassadorError, match="has 2 such private keys; add id="):
        open_key(uri("twin"), PIN)
    first = open_key(f"pkcs11:token=unit;id=%01?module-path={MODULE}", PIN)
    second = open_key(f"pkcs11:token=unit;id=%02?module-path={MODULE}", PIN)
    assert first.public_key() != second.public_key()
