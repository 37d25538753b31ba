"""CA keys in a PKCS#11 token: named by a `pkcs11:` URI, used there, never taken out.

The keys look like any other of the library `cryptography`, so that whatever signs need not know where a key is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.issue import KeyKind
from mtls_ambassador.pki.token_uri import TokenUri, parse_token_uri

try:
    import pkcs11
    from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
except ModuleNotFoundError as missing:
    raise AmbassadorError("a key in a PKCS#11 token needs its library: install mtls-ambassador[pkcs11]") from missing

_CURVES = {KeyKind.P256: "secp256r1", KeyKind.P384: "secp384r1", KeyKind.P521: "secp521r1"}
_RSA_BITS = 3072
_EXPONENT = pkcs11.Attribute.PUBLIC_EXPONENT
_DIGEST_INFO = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
"""What stands before the hash in a signature (RFC 8017 section 9.2)."""


class _TokenKey:
    """What keys of both kinds have in common: nothing of them can be had but signatures. Hashes are made here,
    because not every token can.
    """

    def private_numbers(self) -> NoReturn:
        raise TypeError("the key stays in its token")

    def private_bytes(self, *_: object) -> NoReturn:
        raise TypeError("the key stays in its token")

    def __copy__(self) -> Any:  # noqa: ANN401 - two base classes, two return types
        return self

    def __deepcopy__(self, memo: object) -> Any:  # noqa: ANN401 - see above
        return self


class TokenEcKey(_TokenKey, ec.EllipticCurvePrivateKey):
    """An EC key in a token."""

    def __init__(self, key: pkcs11.SignMixin, public: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self._public = public

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public key."""
        return self._public

    def exchange(self, *_: object, **__: object) -> NoReturn:
        """Not for CA keys."""
        raise TypeError("a CA's key signs and nothing else")

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # noqa: ANN401 - Buffer
        """An ECDSA signature in DER."""
        _, digest = _digest(signature_algorithm.algorithm, data)
        with _errors("signing"):
            raw = self._key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


class TokenRsaKey(_TokenKey, rsa.RSAPrivateKey):
    """An RSA key in a token."""

    def __init__(self, key: pkcs11.SignMixin, public: rsa.RSAPublicKey) -> None:
        self._key = key
        self._public = public

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        """The public key."""
        return self._public

    def decrypt(self, *_: object, **__: object) -> NoReturn:
        """Not for CA keys."""
        raise TypeError("a CA's key signs and nothing else")

    def sign(self, data: Any, padding_used: object, algorithm: object) -> bytes:  # noqa: ANN401 - Buffer
        """An RSASSA-PKCS1-v1_5 signature."""
        if not isinstance(padding_used, padding.PKCS1v15) or not isinstance(
            algorithm, Prehashed | hashes.HashAlgorithm
        ):
            raise TypeError("RSA keys in tokens sign with PKCS #1 v1.5")
        name, digest = _digest(algorithm, data)
        with _errors("signing"):
            return bytes(self._key.sign(_DIGEST_INFO[name] + digest, mechanism=pkcs11.Mechanism.RSA_PKCS))


def open_key(uri: str, pin: str) -> TokenEcKey | TokenRsaKey:
    """The private key a `pkcs11:` URI names. Raises AmbassadorError with what is wrong, such as a wrong PIN."""
    where = parse_token_uri(uri)
    with _errors(uri):
        session = _session(where.module, where.token, where.serial, pin)
        return _wrap(_only(session, where, pkcs11.ObjectClass.PRIVATE_KEY), _public(session, where))


def open_or_make_key(uri: str, pin: str, kind: KeyKind) -> tuple[TokenEcKey | TokenRsaKey, bool]:
    """The key a URI names, and whether it was made in the token just now, because there was none of that name."""
    where = parse_token_uri(uri)
    if not where.object:
        raise UsageError(f"{uri}: must say object=NAME, the key's name in the token")
    with _errors(uri):
        session = _session(where.module, where.token, where.serial, pin)
        is_new = not list(session.get_objects(_attributes(where, pkcs11.ObjectClass.PRIVATE_KEY)))
        if is_new:
            _generate(where, pin, kind)
    return open_key(uri, pin), is_new


def _generate(where: TokenUri, pin: str, kind: KeyKind) -> None:
    template: dict[str, Any] = {
        "label": where.object,
        "id": where.id or None,
        "store": True,
        "capabilities": pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
        "private_template": {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
    }
    if kind is not KeyKind.RSA and kind not in _CURVES:
        raise UsageError(f"{kind} keys are not made in tokens; right are {', '.join([*_CURVES, KeyKind.RSA])}")
    with _open(where.module, where.token, where.serial, pin, rw=True) as session:
        if kind is KeyKind.RSA:
            session.generate_keypair(pkcs11.KeyType.RSA, _RSA_BITS, **template)
            return
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[kind])}
        session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True).generate_keypair(**template)


@cache
def _session(module: str, token: str, serial: str, pin: str) -> pkcs11.Session:
    """One session for each token for as long as the process lives."""
    return _open(module, token, serial, pin, rw=False)


def _open(module: str, token: str, serial: str, pin: str, *, rw: bool) -> pkcs11.Session:
    wanted: dict[str, Any] = {"token_label": token} if token else {}
    found = pkcs11.lib(module).get_token(**wanted, **({"token_serial": serial.encode()} if serial else {}))
    try:
        return found.open(rw=rw, user_pin=pin)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        return found.open(rw=rw)  # log-in counts for every session of the process


def _attributes(where: TokenUri, kind: pkcs11.ObjectClass) -> dict[pkcs11.Attribute, Any]:
    wanted: dict[pkcs11.Attribute, Any] = {pkcs11.Attribute.CLASS: kind}
    if where.object:
        wanted[pkcs11.Attribute.LABEL] = where.object
    if where.id:
        wanted[pkcs11.Attribute.ID] = where.id
    return wanted


def _only(session: pkcs11.Session, where: TokenUri, kind: pkcs11.ObjectClass) -> Any:  # noqa: ANN401 - several classes
    found = list(session.get_objects(_attributes(where, kind)))
    what = "private" if kind is pkcs11.ObjectClass.PRIVATE_KEY else "public"
    if not found:
        raise AmbassadorError(f"{where.text}: the token has no such {what} key")
    if len(found) > 1:
        raise AmbassadorError(f"{where.text}: the token has {len(found)} such {what} keys; add id= to the URI")
    return found[0]


def _public(session: pkcs11.Session, where: TokenUri) -> object:
    key = _only(session, where, pkcs11.ObjectClass.PUBLIC_KEY)
    if key.key_type is pkcs11.KeyType.RSA:
        numbers = [int.from_bytes(key[name], "big") for name in (_EXPONENT, pkcs11.Attribute.MODULUS)]
        return rsa.RSAPublicNumbers(*numbers).public_key()
    return load_der_public_key(encode_ec_public_key(key))


def _wrap(key: Any, public: object) -> TokenEcKey | TokenRsaKey:  # noqa: ANN401 - pkcs11.PrivateKey
    if isinstance(public, ec.EllipticCurvePublicKey):
        return TokenEcKey(key, public)
    if isinstance(public, rsa.RSAPublicKey):
        return TokenRsaKey(key, public)
    raise AmbassadorError("the key in the token is neither EC nor RSA")


def _digest(algorithm: Prehashed | hashes.HashAlgorithm, data: Any) -> tuple[str, bytes]:  # noqa: ANN401 - Buffer
    """Name and value of the hash; `Prehashed` data is one."""
    if isinstance(algorithm, Prehashed):
        return f"sha{8 * algorithm.digest_size}", bytes(data)
    state = hashes.Hash(algorithm)
    state.update(data)
    return algorithm.name, state.finalize()


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """The library's errors as ours: which token or key, and what it said."""
    try:
        yield
    except pkcs11.exceptions.PinIncorrect:
        raise AmbassadorError(f"{where}: wrong PIN; tokens lock after a few of them") from None
    except pkcs11.exceptions.NoSuchToken:
        raise AmbassadorError(f"{where}: the module knows no such token") from None
    except (pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
        said = str(error) or type(error).__name__
        raise AmbassadorError(f"{where}: the token's module said: {said}") from error
