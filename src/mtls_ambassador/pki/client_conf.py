"""A mender.conf read for what matters to a device with a certificate: pure, text in, facts out."""

from typing import Any

from mtls_ambassador.model.device_image import ClientConf
from mtls_ambassador.pki.mender_conf import read_object

_KNOWN = {
    "": ("ServerURL", "Servers", "HttpsClient", "Security", "ServerCertificate", "SkipVerify", "TenantToken"),
    "HttpsClient": ("Certificate", "Key", "SSLEngine"),
    "Security": ("AuthPrivateKey", "SSLEngine"),
}


def read_client_conf(content: str, source: str) -> ClientConf:
    """What it says. Raises AmbassadorError for what is not one JSON object, or is read in two ways."""
    conf = read_object(content, source)
    https, security = _inner(conf, "HttpsClient"), _inner(conf, "Security")
    listed = _get(conf, "Servers")
    urls = [_text(_get(entry, "ServerURL")) for entry in listed if isinstance(entry, dict)] if _is_list(listed) else []
    own = _text(_get(conf, "ServerURL"))
    verify_keys = _get(conf, "ArtifactVerifyKeys")
    return ClientConf(
        servers=tuple(url for url in ([own] if own else urls) if url),
        has_both=bool(own) and listed is not None,
        certificate=_text(_get(https, "Certificate")),
        key=_text(_get(https, "Key")),
        auth_key=_text(_get(security, "AuthPrivateKey")),
        server_ca=_text(_get(conf, "ServerCertificate")),
        is_unverified=_get(conf, "SkipVerify") is True,
        others=tuple(
            path
            for path in (_text(_get(conf, "ArtifactVerifyKey")), *(verify_keys if _is_list(verify_keys) else ()))
            if isinstance(path, str) and path
        ),
        misspelt=tuple(
            key
            for name, members in (("", conf), ("HttpsClient", https), ("Security", security))
            for key in members
            for known in _KNOWN[name]
            if key.lower() == known.lower() and key != known
        ),
    )


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _get(members: dict[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON
    return next((value for key, value in members.items() if key.lower() == name.lower()), None)


def _inner(conf: dict[str, Any], name: str) -> dict[str, Any]:
    value = _get(conf, name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
