"""Mender's auth request on the wire: read strictly, verify over the exact bytes.

Mender reads it with Go's encoding/json, which takes the last of two equal members and matches member names without
regard to case. What could be read in two ways is refused here, so that the gateway never decides about one device
while Mender lets in another (mender-server `api_devauth.go`, `model/authreq.go`).
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from mtls_ambassador.model.auth_request import AuthKey, AuthRequest
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason, RefusedError

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

MAX_BODY = 64 * 1024
MAX_IDENTITY = 4096
"""Characters; a real identity has a hundred, and each is written to log, audit and store."""
_MEMBERS = ("id_data", "pubkey", "tenant_token", "tier")
_TEXTS = ("tenant_token", "tier")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/= \t\r\n]+)\n-----END PUBLIC KEY-----[ \t]*")
_CURVES = (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""What Go's `x509.ParsePKIXPublicKey` reads."""
_RSA_BITS = range(1024, 8192 + 1)
"""From Go's own minimum up to where one verification still takes well under a millisecond."""
_RSA_EXPONENT = 2**31 - 1
"""Go's `crypto/rsa` takes none larger; a long exponent is also what would make a verification dear."""


def read_auth_request(body: bytes, signature: str | None) -> AuthRequest:
    """Read an auth request and verify `X-MEN-Signature` over its bytes.

    Fails closed: raises RefusedError with MALFORMED, TOO_LARGE, SIGNATURE_MISSING or SIGNATURE_WRONG.
    """
    if len(body) > MAX_BODY:
        raise RefusedError(Reason.TOO_LARGE)
    members = _members(body)
    identity = _identity(members)
    public_key = _public_key(members)
    if not signature:
        raise RefusedError(Reason.SIGNATURE_MISSING)
    if not _signature_fits(public_key, signature, body):
        raise RefusedError(Reason.SIGNATURE_WRONG)
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return AuthRequest(identity, AuthKey(pem, hashlib.sha256(spki).hexdigest()), body)


def refuse_other_media(headers: Mapping[str, str]) -> None:
    """Plain JSON alone: what Mender answers 415 is not preauthorized first, and nobody on the way may unpack a body.

    Fails closed: raises RefusedError with MALFORMED.
    """
    found = [(name.lower(), value.partition(";")[0].strip().lower()) for name, value in headers.items()]
    types = [value for name, value in found if name == "content-type"]
    if types != ["application/json"]:
        status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if any(types) else HTTPStatus.BAD_REQUEST
        raise RefusedError(Reason.MALFORMED, "Content-Type: application/json is required", status=status)
    if any(name == "content-encoding" and value != "identity" for name, value in found):
        raise RefusedError(Reason.MALFORMED, "Content-Encoding: none is taken")


def _members(body: bytes) -> dict[str, str]:
    try:
        value = json.loads(body.decode(), object_pairs_hook=_unambiguous, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Reason.MALFORMED, f"not the JSON of an auth request ({_brief(error)})") from None
    if not isinstance(value, dict):
        raise RefusedError(Reason.MALFORMED, "not a JSON object")
    for name in ("id_data", "pubkey"):
        if not isinstance(value.get(name), str) or not value[name]:
            raise RefusedError(Reason.MALFORMED, f"{name}: a string is required")
    for name in _TEXTS:
        if not isinstance(value.get(name), str | None):
            raise RefusedError(Reason.MALFORMED, f"{name}: not a string")
    return value


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    for name in members:
        if name not in _MEMBERS and name.casefold() in _MEMBERS:
            raise ValueError("a member's name is in the wrong case")
    return members


def _brief(error: Exception) -> str:
    return str(error)[:100]


def _identity(members: dict[str, str]) -> Identity:
    if len(members["id_data"]) > MAX_IDENTITY:
        raise RefusedError(Reason.MALFORMED, f"id_data: longer than {MAX_IDENTITY} characters")
    try:
        return Identity.parse(members["id_data"])
    except ValueError as error:
        raise RefusedError(Reason.MALFORMED, f"id_data: {_brief(error)}") from None


def _public_key(members: dict[str, str]) -> PublicKey:
    """Exactly one PEM block of type PUBLIC KEY, holding the DER that Mender writes again when it stores the key.

    What Mender cannot read must be refused here: once preauthorized with it, a device could never be let in.
    """
    block = _PEM.fullmatch(members["pubkey"].strip("\r\n"))
    if not block:
        raise RefusedError(Reason.MALFORMED, "pubkey: one PEM block `PUBLIC KEY` is required")
    try:
        der = base64.b64decode("".join(block[1].split()), validate=True)
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedError(Reason.MALFORMED, f"pubkey: {_brief(error)}") from None
    match key:
        case rsa.RSAPublicKey():
            good = key.key_size in _RSA_BITS and key.public_numbers().e <= _RSA_EXPONENT
        case ec.EllipticCurvePublicKey():
            good = isinstance(key.curve, _CURVES)
        case ed25519.Ed25519PublicKey():
            good = True
        case _:
            raise RefusedError(Reason.MALFORMED, "pubkey: neither RSA, ECDSA nor Ed25519")
    if not (good and key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == der):
        raise RefusedError(Reason.MALFORMED, "pubkey: of a size, curve or form that Mender does not read")
    return key


def _signature_fits(key: PublicKey, signature: str, body: bytes) -> bool:
    """RSA: PKCS #1 v1.5 and SHA-256; ECDSA: DER and SHA-256; Ed25519: over the body itself (RFC 8032)."""
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
        match key:
            case rsa.RSAPublicKey():
                key.verify(raw, body, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePublicKey():
                key.verify(raw, body, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PublicKey():
                key.verify(raw, body)
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True
