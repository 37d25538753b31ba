"""Mender's Device JSON to a value."""

import hashlib
import json
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from mtls_ambassador.model.device import AuthSet, AuthSetStatus, MenderDevice
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason, RefusedError


def read_device(value: dict[str, Any]) -> MenderDevice:
    """Read a Device; `auth_sets` is null in a 409 answer. Raises RefusedError UPSTREAM_FAILED on another shape."""
    try:
        return MenderDevice(
            id=str(value["id"]),
            status=_status(value.get("status")),
            decommissioning=bool(value.get("decommissioning", False)),
            auth_sets=tuple(_auth_set(item) for item in value.get("auth_sets") or ()),
            identity=_identity(value.get("identity_data")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefusedError(Reason.UPSTREAM_FAILED, f"a device that cannot be read: {error!r}") from error


def _auth_set(value: dict[str, Any]) -> AuthSet:
    return AuthSet(str(value["id"]), _key_sha256(str(value.get("pubkey", ""))), _status(value.get("status")))


def _status(value: object) -> AuthSetStatus:
    """An unknown status counts as rejected: nobody is let in by a word we do not know."""
    try:
        return AuthSetStatus(str(value))
    except ValueError:
        return AuthSetStatus.REJECTED


def _key_sha256(pem: str) -> str:
    try:
        spki = load_pem_public_key(pem.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return ""
    return hashlib.sha256(spki).hexdigest()


def _identity(value: object) -> str:
    try:
        return Identity.parse(json.dumps(value)).canonical
    except ValueError:
        return ""
