"""The auth request is read as Mender reads it, or not at all; its signature is checked over the exact bytes."""

import base64
import contextlib
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from mtls_ambassador.mender.messages import MAX_BODY, read_auth_request
from mtls_ambassador.model.auth_request import AuthRequest
from mtls_ambassador.model.reason import Reason, RefusedError
from mtls_ambassador.pki.issue import KeyKind, PrivateKey, make_key, public_key_pem
from mtls_ambassador.sandbox.device_wire import ClientStyle, make_auth_request, sign

KEY = make_key()
PEM = public_key_pem(KEY)
ID = '{"mac":"52:54"}'
BEGIN, END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


def body_of(odd_names: dict[str, object] | None = None, **members: object) -> bytes:
    return json.dumps({"id_data": ID, "pubkey": PEM} | members | (odd_names or {})).encode()


def read(body: bytes, key: PrivateKey = KEY) -> AuthRequest:
    return read_auth_request(body, sign(body, key))


def refusal(body: bytes, signature: str | None = None) -> Reason:
    with pytest.raises(RefusedError) as caught:
        read_auth_request(body, sign(body, KEY) if signature is None else signature)
    return caught.value.reason


@pytest.mark.parametrize("kind", list(KeyKind))
@pytest.mark.parametrize("style", list(ClientStyle))
def test_both_clients_with_every_kind_of_key(kind: KeyKind, style: ClientStyle) -> None:
    key = make_key(kind)
    sent = make_auth_request({"mac": "52:54", "n": "<ä>"}, key, style=style)
    request = read_auth_request(sent.body, sent.signature)
    assert request.body == sent.body
    assert request.identity.canonical == '{"mac":"52:54","n":"\\u003cä\\u003e"}'
    assert request.auth_key.pem == public_key_pem(key)


OPENSSL = {
    "rsa": ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "dgst -sha256 -sign key.pem -out signature body"),
    "p224": ("-algorithm EC -pkeyopt ec_paramgen_curve:P-224", "dgst -sha256 -sign key.pem -out signature body"),
    "p256": ("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "dgst -sha256 -sign key.pem -out signature body"),
    "p521": ("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "dgst -sha256 -sign key.pem -out signature body"),
    "ed25519": ("-algorithm ed25519", "pkeyutl -sign -rawin -inkey key.pem -in body -out signature"),
}


@pytest.mark.parametrize("kind", OPENSSL)
def test_what_openssl_signs_is_right_and_one_other_byte_is_not(kind: str, tmp_path: Path) -> None:
    generate, signing = OPENSSL[kind]

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)

    openssl(f"genpkey {generate} -out key.pem")
    openssl("pkey -in key.pem -pubout -out public.pem")
    body = body_of(pubkey=(tmp_path / "public.pem").read_text()) + b"\n"
    (tmp_path / "body").write_bytes(body)
    openssl(signing)
    signature = base64.b64encode((tmp_path / "signature").read_bytes()).decode()
    assert read_auth_request(body, signature).body == body
    assert refusal(body.rstrip(), signature) is Reason.SIGNATURE_WRONG
    assert refusal(body.replace(b"52:54", b"52:55"), signature) is Reason.SIGNATURE_WRONG


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}{}",
        b"\xef\xbb\xbf" + body_of(),
        body_of().decode().encode("utf-16"),
        body_of() + b"\0",
        body_of().replace(b"52:54", b"52\xff54"),
        body_of().replace(b"52:54", b"52\n54"),
        body_of()[:-1] + b',"x":NaN}',
        body_of()[:-1] + b',"x":-Infinity}',
        body_of()[:-1] + b',"pubkey":' + json.dumps(PEM).encode() + b"}",
        body_of()[:-1] + b',"id_data":"{\\"mac\\":\\"other\\"}"}',
        body_of()[:-1] + b',"id_data":null}',
        body_of(ID_DATA='{"mac":"other"}'),
        body_of(Id_Data='{"mac":"other"}'),
        body_of(PubKey=PEM),
        body_of({"pub\u212aey": PEM}),
        body_of({"tenant_to\u212aen": "x"}),
        body_of(Tier="x"),
        b'{"x":' * 9000,
        b'{"id_data":"{}","pubkey":"' + PEM.encode() + b'"}',
    ],
)
def test_what_could_be_read_in_two_ways_or_in_none_is_malformed(body: bytes) -> None:
    assert refusal(body) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["id_data", "pubkey"])
@pytest.mark.parametrize("value", [None, "", 5, True, [], {}, ["x"]])
def test_id_data_and_pubkey_must_be_texts(name: str, value: object) -> None:
    assert refusal(body_of({name: value})) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["tenant_token", "tier"])
@pytest.mark.parametrize("value", [5, False, [], {"a": 1}])
def test_what_mender_could_not_decode_is_refused_before_it_is_preauthorized(name: str, value: object) -> None:
    assert refusal(body_of({name: value})) is Reason.MALFORMED


@pytest.mark.parametrize("members", [{"tenant_token": ""}, {"tenant_token": None, "tier": None}, {"tier": "standard"}])
def test_what_go_takes_for_an_absent_member_is_taken(members: dict[str, object]) -> None:
    assert read(body_of(members, unknown={"deep": [1, "ä"]})).auth_key.pem == PEM


@pytest.mark.parametrize("id_data", ["{}", "[]", "null", "x", '{"a":1}{}', '{"a":NaN}', '{"a":1e999}', '{"a":' * 99])
def test_an_identity_mender_would_not_take(id_data: str) -> None:
    assert refusal(body_of(id_data=id_data)) is Reason.MALFORMED


def test_a_lone_surrogate_is_what_go_makes_of_it() -> None:
    one, other = read(body_of(id_data='{"mac":"\ud800"}')), read(body_of(id_data='{"mac":"\ufffd"}'))
    assert one.identity == other.identity
    assert refusal(body_of(pubkey=PEM.replace("MF", "M\ud800"))) is Reason.MALFORMED


@pytest.mark.parametrize(
    "pem",
    [
        "x",
        PEM + PEM,
        "text before\n" + PEM,
        PEM + "text after",
        PEM.replace("PUBLIC KEY", "EC PUBLIC KEY"),
        PEM.replace("PUBLIC KEY", "CERTIFICATE"),
        PEM.replace("\n", " "),
        PEM.replace("\n", ""),
        PEM.replace(f"{BEGIN}\n", f"{BEGIN}\nProc-Type: 4,ENCRYPTED\n\n"),
        f"{BEGIN}\n{END}",
        f"{BEGIN}\nAAAA\n{END}",
        f"{BEGIN}\nAA*A\n{END}",
        f"{BEGIN}\nAAA\n{END}",
    ],
)
def test_exactly_one_pem_block(pem: str) -> None:
    assert refusal(body_of(pubkey=pem)) is Reason.MALFORMED


def test_line_lengths_and_line_ends_do_not_matter() -> None:
    text = PEM.removeprefix(BEGIN).strip().removesuffix(END).replace("\n", "")
    odd = "\r\n".join([BEGIN, *(text[i : i + 20] for i in range(0, len(text), 20)), END, ""])
    body = body_of(pubkey=odd)
    assert read(body).auth_key.pem == PEM


def spki_pem(key: object) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()  # type: ignore[attr-defined,no-any-return]  # any kind of key


UNREADABLE = {
    "x25519": x25519.X25519PrivateKey.generate(),
    "ed448": ed448.Ed448PrivateKey.generate(),
    "dsa": dsa.generate_private_key(1024),  # noqa: S505 - refused whatever its size
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "brainpool": ec.generate_private_key(ec.BrainpoolP256R1()),
    "p192": ec.generate_private_key(ec.SECP192R1()),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_keys_mender_cannot_read(kind: str) -> None:
    assert refusal(body_of(pubkey=spki_pem(UNREADABLE[kind]))) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("bits", "exponent"),
    [(512, 65537), (1000, 65537), (8200, 65537), (16384, 65537), (2048, 2**31 + 1), (2048, 2**2047 + 1)],
)
def test_the_cost_of_one_rsa_verification_is_bounded(bits: int, exponent: int) -> None:
    """Whatever the modulus: a key nobody holds the other half of costs as much to try."""
    numbers = _rsa_der((1 << (bits - 1)) + 1, exponent)
    pem = f"{BEGIN}\n{base64.encodebytes(numbers).decode().strip()}\n{END}\n"
    assert refusal(body_of(pubkey=pem)) is Reason.MALFORMED


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8])
    return bytes([tag]) + length + (b"" if size < 128 else size.to_bytes((size.bit_length() + 7) // 8)) + content


def _rsa_der(modulus: int, exponent: int) -> bytes:
    pair = b"".join(_der(2, number.to_bytes(number.bit_length() // 8 + 1)) for number in (modulus, exponent))
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return _der(0x30, algorithm + _der(3, b"\0" + _der(0x30, pair)))


def test_the_encoding_above_is_that_of_the_library() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = key.public_key().public_numbers()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    assert _rsa_der(numbers.n, numbers.e) == key.public_key().public_bytes(serialization.Encoding.DER, form)


def test_a_form_that_mender_would_store_otherwise_is_refused() -> None:
    """Go reads no compressed points: preauthorized in the full form, the request itself would never be taken."""
    assert isinstance(KEY, ec.EllipticCurvePrivateKey)
    encoding, form = serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    point = KEY.public_key().public_bytes(encoding, form)
    algorithm = _der(0x30, bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107"))
    der = _der(0x30, algorithm + _der(3, b"\0" + point))
    assert serialization.load_der_public_key(der) == KEY.public_key()
    pem = f"{BEGIN}\n{base64.encodebytes(der).decode().strip()}\n{END}\n"
    assert refusal(body_of(pubkey=pem)) is Reason.MALFORMED


def test_size() -> None:
    padding = MAX_BODY - len(body_of(tenant_token=""))
    fits, too_large = body_of(tenant_token="x" * padding), body_of(tenant_token="x" * (padding + 1))
    assert len(fits) == MAX_BODY
    assert read(fits).body == fits
    assert refusal(too_large) is Reason.TOO_LARGE


@pytest.mark.parametrize("signature", [None, ""])
def test_no_signature(signature: str | None) -> None:
    with pytest.raises(RefusedError) as caught:
        read_auth_request(body_of(), signature)
    assert caught.value.reason is Reason.SIGNATURE_MISSING


GOOD = sign(body_of(), KEY)


@pytest.mark.parametrize(
    "signature",
    [
        " ",
        "!",
        "AAAA",
        GOOD[:-1],
        GOOD[:8] + " " + GOOD[8:],
        GOOD[:8] + "\n" + GOOD[8:],
        GOOD + GOOD,
        f"{GOOD},{GOOD}",
        GOOD + "ä",
        GOOD + "\udcff",
        base64.urlsafe_b64encode(b"\xff" * 64).decode(),
        sign(body_of(), make_key()),
        sign(body_of(), make_key(KeyKind.ED25519)),
        sign(body_of() + b"\n", KEY),
        GOOD * 500,
    ],
    ids=lambda signature: f"{len(signature)} characters",  # not the text, which is another one in each process
)
def test_a_signature_of_anything_else_is_wrong(signature: str) -> None:
    assert refusal(body_of(), signature) is Reason.SIGNATURE_WRONG


def test_blanks_around_a_header_are_no_part_of_it() -> None:
    assert read_auth_request(body_of(), f" {GOOD}\t").auth_key.pem == PEM


@given(st.binary(max_size=200) | st.text().map(str.encode), st.text(max_size=100))
def test_never_raises_anything_but_a_refusal(body: bytes, signature: str) -> None:
    with contextlib.suppress(RefusedError):
        read_auth_request(body, signature)


JSON_MEMBERS = st.dictionaries(
    st.sampled_from(["id_data", "pubkey", "tier", "ID_DATA", "x"]),
    st.none() | st.integers() | st.text() | st.sampled_from([ID, PEM]),
)


@given(JSON_MEMBERS, st.sampled_from([GOOD, "", "AAAA"]))
def test_never_raises_anything_else_on_json_either(members: dict[str, object], signature: str) -> None:
    with contextlib.suppress(RefusedError):
        read_auth_request(json.dumps(members).encode(), signature)
